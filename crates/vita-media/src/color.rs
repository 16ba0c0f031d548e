//! RGB <-> Y'CbCr 4:2:0 in fixed point.
//!
//! Video here is BT.709, limited range. The chroma of two by two pixels is their mean, and on the
//! way back all four take it: what FFmpeg, libyuv and browsers do unless told otherwise, so a clip
//! looks the same everywhere, and decoding and encoding again moves no colour. Other people's
//! files may use BT.601 or BT.2020, or full range.

use crate::frame::Frame;

/// Planes of a 4:2:0 picture; both sizes are even.
#[derive(Debug)]
pub(crate) struct Yuv420 {
    pub width: usize,
    pub height: usize,
    pub y: Vec<u8>,  // [height, width]
    pub cb: Vec<u8>, // [height / 2, width / 2]
    pub cr: Vec<u8>, // [height / 2, width / 2]
}

/// Borrowed planes as a decoder hands them out: rows are `stride` bytes apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct YuvPlanes<'a> {
    pub width: usize,
    pub height: usize,
    pub y: &'a [u8],
    pub cb: &'a [u8],
    pub cr: &'a [u8],
    pub y_stride: usize,
    pub chroma_stride: usize,
}

/// How a stream's numbers mean colour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ColorSpace {
    /// Weight of red in luma.
    pub kr: f64,
    /// Weight of blue in luma.
    pub kb: f64,
    /// Luma in 0..=255 instead of 16..=235.
    pub full_range: bool,
}

/// ITU-R BT.709-6, limited range: what this crate writes.
pub(crate) const BT709: ColorSpace = ColorSpace { kr: 0.2126, kb: 0.0722, full_range: false };
/// ITU-R BT.601-7, limited range.
pub(crate) const BT601: ColorSpace = ColorSpace { kr: 0.299, kb: 0.114, full_range: false };
/// ITU-R BT.2020-2, limited range.
pub(crate) const BT2020: ColorSpace = ColorSpace { kr: 0.2627, kb: 0.0593, full_range: false };

const LUMA_BITS: u32 = 16;
/// Chroma is computed from a sum of four pixels.
const CHROMA_BITS: u32 = LUMA_BITS + 2;

impl Yuv420 {
    /// Black planes. Odd sizes have no place here; the caller has refused them.
    pub fn new(width: usize, height: usize) -> Self {
        debug_assert!(width.is_multiple_of(2) && height.is_multiple_of(2));
        let chroma = width * height / 4;
        Self { width, height, y: vec![16; width * height], cb: vec![128; chroma], cr: vec![128; chroma] }
    }

    /// Converts a frame of the same size to BT.709 limited range.
    pub fn fill_from_rgb(&mut self, frame: Frame<'_>) {
        debug_assert_eq!((frame.width() as usize, frame.height() as usize), (self.width, self.height));
        let coefficients = Forward::bt709();
        let (width, row_bytes) = (self.width, self.width * 3);
        let pairs = frame.data().chunks_exact(2 * row_bytes).zip(self.y.chunks_exact_mut(2 * width));
        let chroma_rows = self.cb.chunks_exact_mut(width / 2).zip(self.cr.chunks_exact_mut(width / 2));
        for ((rgb, y), (cb, cr)) in pairs.zip(chroma_rows) {
            for (pixel, y) in rgb.chunks_exact(3).zip(y.iter_mut()) {
                *y = coefficients.luma(pixel);
            }
            let (upper, lower) = rgb.split_at(row_bytes);
            let blocks = upper.chunks_exact(6).zip(lower.chunks_exact(6));
            for ((upper, lower), (cb, cr)) in blocks.zip(cb.iter_mut().zip(cr)) {
                let sums = [0, 1, 2].map(|channel| {
                    let [left, right] = [channel, channel + 3].map(|at| i32::from(upper[at]) + i32::from(lower[at]));
                    left + right
                });
                (*cb, *cr) = (chroma(coefficients.cb, sums), chroma(coefficients.cr, sums));
            }
        }
    }
}

/// Fixed-point weights of RGB -> BT.709 limited range.
struct Forward {
    y: [i32; 3],
    cb: [i32; 3],
    cr: [i32; 3],
}

impl Forward {
    fn bt709() -> Self {
        let scaled = |value: f64| (value * f64::from(1 << LUMA_BITS)).round() as i32;
        let ColorSpace { kr, kb, .. } = BT709;
        let (luma, chroma) = (219.0 / 255.0, 224.0 / 255.0);
        let (y_red, y_blue) = (scaled(luma * kr), scaled(luma * kb));
        let half = scaled(chroma * 0.5);
        let (cb_red, cr_blue) = (scaled(-chroma * 0.5 * kr / (1.0 - kb)), scaled(-chroma * 0.5 * kb / (1.0 - kr)));
        // Green takes what is left, so that white is 235 and greys have exactly no colour.
        Self {
            y: [y_red, scaled(luma) - y_red - y_blue, y_blue],
            cb: [cb_red, -half - cb_red, half],
            cr: [half, -half - cr_blue, cr_blue],
        }
    }

    #[inline]
    fn luma(&self, pixel: &[u8]) -> u8 {
        let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(i32::from);
        let sum = self.y[0] * r + self.y[1] * g + self.y[2] * b;
        ((sum + (16 << LUMA_BITS) + (1 << (LUMA_BITS - 1))) >> LUMA_BITS) as u8
    }
}

#[inline]
fn chroma(weights: [i32; 3], sums: [i32; 3]) -> u8 {
    let sum = weights[0] * sums[0] + weights[1] * sums[1] + weights[2] * sums[2];
    ((sum + (128 << CHROMA_BITS) + (1 << (CHROMA_BITS - 1))) >> CHROMA_BITS) as u8
}

/// Converts decoded planes to packed RGB, `[height, width, 3]`, replacing what `rgb` held.
/// Both sizes are even.
pub(crate) fn yuv_to_rgb(planes: YuvPlanes<'_>, space: ColorSpace, rgb: &mut Vec<u8>) {
    let YuvPlanes { width, height, .. } = planes;
    let backward = Backward::new(space);
    rgb.resize(width * height * 3, 0);
    for (row, out) in rgb.chunks_exact_mut(width * 3).enumerate() {
        let y = &planes.y[row * planes.y_stride..][..width];
        let [cb, cr] = [planes.cb, planes.cr].map(|plane| &plane[row / 2 * planes.chroma_stride..][..width / 2]);
        for ((y, out), (&cb, &cr)) in y.chunks_exact(2).zip(out.chunks_exact_mut(6)).zip(cb.iter().zip(cr)) {
            let shift = backward.shift(i32::from(cb) - 128, i32::from(cr) - 128);
            for (&y, out) in y.iter().zip(out.chunks_exact_mut(3)) {
                out.copy_from_slice(&backward.pixel(i32::from(y), shift));
            }
        }
    }
}

/// Fixed-point weights of Y'CbCr -> RGB.
struct Backward {
    y_offset: i32,
    y: i32,
    cr_to_red: i32,
    cb_to_green: i32,
    cr_to_green: i32,
    cb_to_blue: i32,
}

impl Backward {
    fn new(space: ColorSpace) -> Self {
        let scaled = |value: f64| (value * f64::from(1 << LUMA_BITS)).round() as i32;
        let ColorSpace { kr, kb, full_range } = space;
        let kg = 1.0 - kr - kb;
        let (y_offset, luma, chroma) = if full_range { (0, 1.0, 1.0) } else { (16, 255.0 / 219.0, 255.0 / 224.0) };
        Self {
            y_offset,
            y: scaled(luma),
            cr_to_red: scaled(chroma * 2.0 * (1.0 - kr)),
            cb_to_green: scaled(chroma * 2.0 * kb * (1.0 - kb) / kg),
            cr_to_green: scaled(chroma * 2.0 * kr * (1.0 - kr) / kg),
            cb_to_blue: scaled(chroma * 2.0 * (1.0 - kb)),
        }
    }

    /// What the colour adds to R, G and B.
    #[inline]
    fn shift(&self, cb: i32, cr: i32) -> [i32; 3] {
        [self.cr_to_red * cr, -self.cb_to_green * cb - self.cr_to_green * cr, self.cb_to_blue * cb]
    }

    #[inline]
    fn pixel(&self, y: i32, shift: [i32; 3]) -> [u8; 3] {
        let luma = (y - self.y_offset) * self.y + (1 << (LUMA_BITS - 1));
        shift.map(|shift| ((luma + shift) >> LUMA_BITS).clamp(0, 255) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(width: u32, height: u32, rgb: &[u8]) -> Yuv420 {
        let mut yuv = Yuv420::new(width as usize, height as usize);
        yuv.fill_from_rgb(Frame::new(width, height, rgb).unwrap());
        yuv
    }

    fn back(yuv: &Yuv420) -> Vec<u8> {
        let mut rgb = Vec::new();
        let planes = YuvPlanes {
            width: yuv.width,
            height: yuv.height,
            y: &yuv.y,
            cb: &yuv.cb,
            cr: &yuv.cr,
            y_stride: yuv.width,
            chroma_stride: yuv.width / 2,
        };
        yuv_to_rgb(planes, BT709, &mut rgb);
        rgb
    }

    /// The 100 % colour bars of BT.709 as given in SMPTE RP 177 / EBU tables, 8 bits.
    #[test]
    fn colour_bars_have_their_published_values() {
        for (rgb, expected) in [
            ([255, 255, 255], [235, 128, 128]),
            ([255, 255, 0], [219, 16, 138]),
            ([0, 255, 255], [188, 154, 16]),
            ([0, 255, 0], [173, 42, 26]),
            ([255, 0, 255], [78, 214, 230]),
            ([255, 0, 0], [63, 102, 240]),
            ([0, 0, 255], [32, 240, 118]),
            ([0, 0, 0], [16, 128, 128]),
        ] {
            let yuv = convert(2, 2, &rgb.repeat(4));
            assert_eq!([yuv.y[3], yuv.cb[0], yuv.cr[0]], expected, "{rgb:?}");
        }
    }

    #[test]
    fn greys_stay_grey_and_every_flat_colour_returns_within_two() {
        for level in 0..=255u8 {
            let rgb = back(&convert(2, 2, &[level; 12]));
            assert!(rgb.iter().all(|value| value.abs_diff(level) <= 1 && *value == rgb[0]), "{level}: {rgb:?}");
        }
        let levels = [0u8, 17, 64, 128, 200, 255];
        for color in levels.iter().flat_map(|&r| levels.iter().flat_map(move |&g| levels.map(|b| [r, g, b]))) {
            let rgb = back(&convert(4, 4, &color.repeat(16)));
            for (found, expected) in rgb.iter().zip(color.repeat(16)) {
                assert!(found.abs_diff(expected) <= 2, "{color:?} came back as {:?}", &rgb[..3]);
            }
        }
    }

    /// Decoding and encoding again must not move colours about, however often.
    #[test]
    fn a_second_round_changes_nothing_to_speak_of() {
        let (width, height) = (32u32, 16u32);
        let rgb: Vec<u8> = (0..width * height * 3).map(|index| (60 + index * 7919 % 131) as u8).collect();
        let first = convert(width, height, &rgb);
        let second = convert(width, height, &back(&first));
        for (first, second) in [(&first.y, &second.y), (&first.cb, &second.cb), (&first.cr, &second.cr)] {
            let most = first.iter().zip(second.iter()).map(|(&a, &b)| a.abs_diff(b)).max();
            assert!(most <= Some(1), "{most:?}");
        }
    }
}
