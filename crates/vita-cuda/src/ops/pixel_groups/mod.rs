//! The autoencoder's ways around a stage: means over blocks of pixels, and copies of a pixel to a block.

use super::activation::element_blocks;
use super::{Float, Variant, everywhere};
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine};
use crate::memory::Slice;
use crate::selftest::{Case, Pair, Random};

/// A large video and a small one, which has a pixel for each block of pixels of the large one. The block's values, in
/// the order (channel, frame, row, column), belong in equal groups to the channels of the pixel, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelGroups {
    /// Channels of the large video.
    pub large: usize,
    /// Channels of the small video.
    pub small: usize,
    /// Rows and columns of a block.
    pub space: usize,
    /// Frames of a block.
    pub time: usize,
    /// Frames that the first block of the large video lacks at its start.
    pub blank: usize,
}

/// A channels-last video without gaps.
#[derive(Clone, Copy)]
pub struct Video<'a> {
    /// Where it starts.
    pub data: Slice<'a>,
    /// Its type.
    pub float: Float,
    /// Frames, rows and columns.
    pub size: [usize; 3],
}

impl PixelGroups {
    /// y, the small video, becomes the means of x, the large one; frames that a block lacks count as zeros.
    ///
    /// # Panics
    /// If the shapes do not fit, or y is e5m2.
    ///
    /// # Errors
    /// If the card does not answer.
    pub fn mean(self, machine: &dyn Machine, x: Video, y: Video) -> Result<()> {
        let [frames, height, width] = y.size;
        assert!(x.size[0] + self.blank >= frames * self.time, "{:?} from {:?}", y.size, x.size);
        assert_eq!(x.size[1..], [height * self.space, width * self.space], "rows and columns of the large video");
        assert!((self.large * self.parts()).is_multiple_of(self.small), "{self:?}");
        self.launch(machine, "group_mean", [x, y], [self.large, self.small])
    }

    /// To y, the large video, the values of x are added, the small one.
    ///
    /// # Panics
    /// If the shapes do not fit, or y is e5m2.
    ///
    /// # Errors
    /// If the card does not answer.
    pub fn add(self, machine: &dyn Machine, x: Video, y: Video) -> Result<()> {
        let [frames, height, width] = x.size;
        assert!(frames * self.time >= y.size[0] + self.blank, "{:?} from {:?}", y.size, x.size);
        assert_eq!(y.size[1..], [height * self.space, width * self.space], "rows and columns of the large video");
        assert!((self.large * self.parts()).is_multiple_of(self.small), "{self:?}");
        self.launch(machine, "group_add", [x, y], [self.small, self.large])
    }

    fn launch(
        self,
        machine: &dyn Machine,
        function: &'static str,
        [x, y]: [Video; 2],
        [x_channels, channels]: [usize; 2],
    ) -> Result<()> {
        let count = |video: &Video, channels: usize| video.size.iter().product::<usize>() * channels;
        let holds = |video: &Video, channels| video.data.bytes() >= count(video, channels) as u64 * video.float.bytes();
        assert!(holds(&x, x_channels) && holds(&y, channels), "videos of {:?} and {:?}", x.size, y.size);
        assert!(y.float != Float::E5m2, "e5m2 is only read");
        let all = count(&y, channels);
        if all == 0 {
            return Ok(());
        }
        let mut arguments = Arguments::new().with(x.data.pointer()).with(y.data.pointer()).with(all as u64);
        for number in [y.size[1], y.size[2], channels, x_channels, self.time, self.space, self.blank] {
            arguments = arguments.with(number as u32);
        }
        let source = source(function, x.float, y.float);
        // SAFETY: the arguments are in the kernel's order; both videos' sizes were checked against the slices.
        unsafe { machine.launch(&source, element_blocks(machine, all), &arguments) }
    }

    fn parts(self) -> usize {
        self.time * self.space * self.space
    }
}

fn source(function: &'static str, x: Float, y: Float) -> Source {
    Source::new(function, include_str!("kernel.cu")).define("X", x).define("Y", y)
}

pub(super) fn variants() -> Vec<Variant> {
    ["group_mean", "group_add"]
        .map(|function| Variant {
            source: source(function, Float::F32, Float::F32),
            functions: if function == "group_mean" { &["group_mean"] } else { &["group_add"] },
            runs_on: everywhere,
        })
        .into()
}

pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (large, small, space, time, blank) in
        [(3, 3, 2, 1, 0), (3, 6, 2, 2, 1), (4, 2, 2, 2, 0), (5, 5, 1, 1, 0), (6, 3, 1, 1, 0), (2, 8, 2, 2, 1)]
    {
        let groups = PixelGroups { large, small, space, time, blank };
        for float in [Float::Bf16, Float::F32] {
            all.extend([case(groups, float, true), case(groups, float, false)]);
        }
    }
    all
}

fn case(groups: PixelGroups, float: Float, mean: bool) -> Case {
    let PixelGroups { large, small, space, time, blank } = groups;
    let few = [3, 5, 4];
    let many = [3 * time - blank, 5 * space, 4 * space];
    let run = move |bench: &crate::selftest::Bench| {
        let mut random = Random::new((large * 8 + small) as u64);
        let count = |size: [usize; 3], channels: usize| size.iter().product::<usize>() * channels;
        let wide = bench.random(&mut random, float, count(many, large))?;
        let narrow = bench.random(&mut random, float, count(few, small))?;
        let of_large = Video { data: wide.buffer.slice(), float, size: many };
        let of_small = Video { data: narrow.buffer.slice(), float, size: few };
        let (got, want) = if mean {
            groups.mean(bench.machine(), of_large, of_small)?;
            (bench.read(&narrow.buffer, float)?, means(groups, &wide.values, few))
        } else {
            groups.add(bench.machine(), of_small, of_large)?;
            (bench.read(&wide.buffer, float)?, sums(groups, &wide.values, &narrow.values, few))
        };
        Ok(vec![Pair { got, want }])
    };
    let title = format!(
        "{} {large}|{small} channels, {time}x{space}x{space}-{blank}, {float}",
        if mean { "mean" } else { "add" }
    );
    let error_max = if float == Float::Bf16 { 3e-3 } else { 1e-6 };
    Case { op: "pixel_groups", title, error_max, runs_on: everywhere, run: Box::new(run) }
}

/// For each value of the large video, were it whole, its place there and the place of its group in the small one.
fn places(groups: PixelGroups, [frames, height, width]: [usize; 3]) -> Vec<(Option<usize>, usize)> {
    let PixelGroups { large, small, space, time, blank } = groups;
    let mut places = Vec::new();
    for pixel in 0..frames * height * width {
        let (frame, row, column) = (pixel / (height * width), pixel / width % height, pixel % width);
        let values = large * groups.parts();
        for value in 0..values {
            let (channel, part) = (value / groups.parts(), value % groups.parts());
            let (t, r, c) = (part / (space * space), part / space % space, part % space);
            let from = (frame * time + t).checked_sub(blank).map(|from| {
                let line = from * height * space + row * space + r;
                (line * width * space + column * space + c) * large + channel
            });
            places.push((from, pixel * small + value * small / values));
        }
    }
    places
}

fn means(groups: PixelGroups, large: &[f32], size: [usize; 3]) -> Vec<f64> {
    let mut means = vec![0.0; size.iter().product::<usize>() * groups.small];
    for (from, to) in places(groups, size) {
        means[to] += from.map_or(0.0, |from| f64::from(large[from]));
    }
    let group = (groups.large * groups.parts() / groups.small) as f64;
    means.into_iter().map(|sum| sum / group).collect()
}

fn sums(groups: PixelGroups, large: &[f32], small: &[f32], size: [usize; 3]) -> Vec<f64> {
    let mut sums: Vec<f64> = large.iter().map(|&value| f64::from(value)).collect();
    for (from, to) in places(groups, size) {
        if let Some(from) = from {
            sums[from] += f64::from(small[to]);
        }
    }
    sums
}
