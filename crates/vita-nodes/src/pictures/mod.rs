//! Picture files with transparency and animation: read as `LoadImage` needs them, written as PNG.

mod gif_file;
mod orientation;
mod png_file;
mod png_write;
mod webp_file;

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use vita_graph::NodeError;
use vita_tensor::Tensor;

use crate::data::{Image, Mask};

pub(crate) use png_write::{Animation, PngOptions, encode_png};

/// Pictures of one size, as a file has them.
#[derive(Debug)]
pub(crate) struct Pictures {
    width: usize,
    height: usize,
    /// One `[height, width, 3]` a picture.
    rgb: Vec<Vec<u8>>,
    /// One `[height, width]` a picture, 255 where it is opaque; empty if the file has no transparency.
    alpha: Vec<Vec<u8>>,
}

/// Most pixels of a picture; a header may claim any size.
const PIXEL_COUNT_MAX: u64 = 1 << 26;
/// Most pixels of all pictures of an animation.
const PIXELS_OF_ALL_MAX: usize = 1 << 32;
/// Side of the mask that a picture without transparency has, as in ComfyUI.
const EMPTY_MASK_SIDE: usize = 64;

impl Pictures {
    /// Reads a PNG, APNG, JPEG, WebP or GIF file, whatever its name says it is, upright.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, is of another kind or too large.
    pub fn read(path: &Path) -> Result<Self, NodeError> {
        let failed = |problem: String| NodeError::Failed {
            kind: "ValueError",
            message: format!("cannot read the picture `{}`: {problem}", path.display()),
            hint: Some("give a PNG, JPEG, WebP or GIF file; other kinds can be converted to one of these".into()),
        };
        let mut file = File::open(path).map_err(|error| failed(error.to_string()))?;
        let mut start = Vec::new();
        let read = file.by_ref().take(12).read_to_end(&mut start).and_then(|_| file.rewind());
        read.map_err(|error| failed(error.to_string()))?;
        let file = BufReader::new(file);
        match &start[..] {
            [0x89, b'P', b'N', b'G', ..] => png_file::read(file).map_err(failed),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => webp_file::read(file).map_err(failed),
            [b'G', b'I', b'F', b'8', ..] => gif_file::read(file).map_err(failed),
            [0xff, 0xd8, 0xff, ..] => {
                let frames = vita_media::read_image(path).map_err(|error| NodeError::of(&error))?;
                let (width, height) = (frames.width() as usize, frames.height() as usize);
                Ok(Self { width, height, rgb: vec![frames.into_bytes()], alpha: Vec::new() })
            }
            _ => Err(failed("it is none that is known".into())),
        }
    }

    fn new(width: u32, height: u32) -> Result<Self, String> {
        if u64::from(width) * u64::from(height) > PIXEL_COUNT_MAX {
            return Err(format!("{width}x{height} pixels are more than 8192x8192, the most that is read"));
        }
        Ok(Self { width: width as usize, height: height as usize, rgb: Vec::new(), alpha: Vec::new() })
    }

    /// Adds a picture of `[height, width, 4]`.
    fn push_rgba(&mut self, rgba: &[u8], has_alpha: bool) -> Result<(), String> {
        if (self.rgb.len() + 1) * self.width * self.height > PIXELS_OF_ALL_MAX {
            return Err("all its pictures together are more than can be held".into());
        }
        let pixels = rgba.as_chunks::<4>().0;
        self.rgb.push(pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect());
        if has_alpha {
            self.alpha.push(pixels.iter().map(|pixel| pixel[3]).collect());
        }
        Ok(())
    }

    /// Turned as an EXIF block says.
    fn upright(mut self, exif: Option<&[u8]>) -> Self {
        let turn = exif.and_then(orientation::of_exif).unwrap_or_default();
        if turn.is_upright() {
            return self;
        }
        let size = [self.width, self.height];
        self.rgb.iter_mut().for_each(|picture| *picture = turn.apply(picture, size, 3));
        self.alpha.iter_mut().for_each(|picture| *picture = turn.apply(picture, size, 1));
        [self.width, self.height] = turn.size(size);
        self
    }

    /// As a batch, and its masks: 1 where a picture is transparent.
    pub fn into_image(self) -> (Image, Mask) {
        let (width, height, count) = (self.width, self.height, self.rgb.len());
        let image = Image::from_bytes(&self.rgb.concat(), [count, height, width, 3]);
        let mask = match self.alpha.len() == count {
            true => {
                let values = self.alpha.concat().into_iter().map(|alpha| 1.0 - f32::from(alpha) / 255.0).collect();
                Tensor::from_vec(values, [count, height, width])
            }
            false => Tensor::zeros([count, EMPTY_MASK_SIDE, EMPTY_MASK_SIDE]),
        };
        (image, Mask::new(mask))
    }
}

/// A picture that parts are laid upon, as animations are made of.
struct Canvas {
    width: usize,
    height: usize,
    /// `[height, width, 4]`.
    rgba: Vec<u8>,
}

/// Where a part lies.
#[derive(Clone, Copy)]
struct Place {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, rgba: vec![0; width * height * 4] }
    }

    /// Lays `[height, width, 4]` upon the canvas; what sticks out is cut off. `over` lets the old shine through.
    fn draw(&mut self, part: &[u8], place: Place, over: bool) {
        self.each(place, part, |old, new| match (over, new[3]) {
            (false, _) | (true, 255) => *old = new,
            (true, 0) => {}
            (true, _) => *old = blend(*old, new),
        });
    }

    fn clear(&mut self, place: Place) {
        self.each(place, &vec![0; place.width * place.height * 4], |old, new| *old = new);
    }

    fn each(&mut self, place: Place, part: &[u8], change: impl Fn(&mut [u8; 4], [u8; 4])) {
        let (columns, rows) = (
            place.width.min(self.width.saturating_sub(place.left)),
            place.height.min(self.height.saturating_sub(place.top)),
        );
        let part = part.as_chunks::<4>().0;
        let canvas = self.rgba.as_chunks_mut::<4>().0;
        for row in 0..rows {
            let old = &mut canvas[(place.top + row) * self.width + place.left..][..columns];
            let new = &part[row * place.width..][..columns];
            old.iter_mut().zip(new).for_each(|(old, new)| change(old, *new));
        }
    }
}

fn blend(old: [u8; 4], new: [u8; 4]) -> [u8; 4] {
    let [above, below] = [new, old].map(|pixel| f32::from(pixel[3]) / 255.0);
    let alpha = above + below * (1.0 - above);
    let mix =
        |old: u8, new: u8| ((f32::from(new) * above + f32::from(old) * below * (1.0 - above)) / alpha).round() as u8;
    [mix(old[0], new[0]), mix(old[1], new[1]), mix(old[2], new[2]), (alpha * 255.0).round() as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: [usize; 2] = [3, 2];

    fn rgb(seed: usize) -> Vec<u8> {
        (0..SIZE[0] * SIZE[1] * 3).map(|i| (i * 17 + seed * 40) as u8).collect()
    }

    fn rgba(seed: usize) -> Vec<u8> {
        let pixels = rgb(seed);
        pixels.chunks(3).enumerate().flat_map(|(i, pixel)| [pixel[0], pixel[1], pixel[2], (i * 50) as u8]).collect()
    }

    fn write(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn options(channels: usize) -> PngOptions<'static> {
        PngOptions { size: SIZE, channels, level: 4, text: &[], animation: None }
    }

    #[test]
    fn png_with_and_without_transparency() {
        let (_folder, path) = write("a.png", &encode_png(&[rgb(1)], &options(3)).unwrap());
        let (image, mask) = Pictures::read(&path).unwrap().into_image();
        assert_eq!((image.sizes(), mask.sizes()), ([1, 2, 3, 3], [1, 64, 64]));
        assert_eq!(image.bytes(0), rgb(1));

        let (_folder, path) = write("a.png", &encode_png(&[rgba(2)], &options(4)).unwrap());
        let (image, mask) = Pictures::read(&path).unwrap().into_image();
        assert_eq!((image.bytes(0), mask.sizes()), (rgb(2), [1, 2, 3]));
        assert_eq!(mask.values()[1], 1.0 - 50.0 / 255.0);
    }

    #[test]
    fn animations_are_batches() {
        let animation = Some(Animation { milliseconds: 100 });
        let bytes = encode_png(&[rgb(1), rgb(2), rgb(3)], &PngOptions { animation, ..options(3) }).unwrap();
        let (_folder, path) = write("a.png", &bytes);
        let (image, _) = Pictures::read(&path).unwrap().into_image();
        assert_eq!(image.count(), 3);
        assert_eq!([0, 1, 2].map(|i| image.bytes(i)), [rgb(1), rgb(2), rgb(3)]);

        let mut bytes = Vec::new();
        let mut encoder = gif::Encoder::new(&mut bytes, 3, 2, &[10, 20, 30, 200, 100, 0]).unwrap();
        encoder.write_frame(&gif::Frame::from_indexed_pixels(3, 2, vec![0, 1, 0, 1, 0, 1], None)).unwrap();
        let part = gif::Frame::from_indexed_pixels(1, 1, vec![1], None);
        encoder.write_frame(&gif::Frame { left: 2, top: 0, ..part }).unwrap();
        drop(encoder);
        let (_folder, path) = write("a.gif", &bytes);
        let (image, mask) = Pictures::read(&path).unwrap().into_image();
        assert_eq!((image.sizes(), mask.sizes()), ([2, 2, 3, 3], [2, 64, 64]));
        assert_eq!((&image.bytes(0)[6..9], &image.bytes(1)[6..9]), (&[10, 20, 30][..], &[200, 100, 0][..]));
        assert_eq!(image.bytes(0)[..6], image.bytes(1)[..6]);
    }

    #[test]
    fn parts_lie_over_each_other() {
        let mut canvas = Canvas::new(2, 1);
        let all = Place { left: 0, top: 0, width: 2, height: 1 };
        canvas.draw(&[0, 0, 0, 255, 100, 100, 100, 255], all, false);
        canvas.draw(&[200, 200, 200, 128, 9, 9, 9, 0], all, true);
        assert_eq!(canvas.rgba, [100, 100, 100, 255, 100, 100, 100, 255]);
        canvas.draw(&[7; 16], Place { left: 1, top: 0, width: 2, height: 2 }, false);
        assert_eq!(canvas.rgba[4..], [7; 4]);
        canvas.clear(all);
        assert_eq!(canvas.rgba, [0; 8]);
    }

    #[test]
    fn what_is_no_picture_says_so() {
        let (_folder, path) = write("a.png", b"GIF89a then nothing");
        assert!(Pictures::read(&path).unwrap_err().to_string().contains("a.png"));
        let (_folder, path) = write("a.txt", b"hello");
        assert!(Pictures::read(&path).unwrap_err().to_string().ends_with("it is none that is known"));
        assert!(Pictures::read(Path::new("/nowhere/a.png")).is_err());
    }
}
