//! The ways around a stage of the Wan 2.2 autoencoder. They have no weights: into fewer pixels each output
//! is a mean of inputs (`AvgDown3D`), into more pixels each is a copy of one (`DupUp3D`).

use vita_ops::{PixelGroups, concat_frames, gapless};
use vita_tensor::Tensor;

use super::past::{Past, Slot, Slots};
use super::plan::Extent;

/// A way around a stage, by its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortcutConfig {
    /// Channels in.
    pub inputs: usize,
    /// Channels out.
    pub outputs: usize,
    /// Whether it is around a stage that enlarges; else around one that reduces, or keeps.
    pub enlarges: bool,
    /// By what rows and columns change.
    pub space: usize,
    /// By what frames change, but for the clip's first, which stays one.
    pub time: usize,
}

impl ShortcutConfig {
    /// Whether channels can be shared out evenly.
    pub fn is_possible(&self) -> bool {
        let groups = self.groups();
        let many = groups.large * groups.parts();
        groups.small > 0 && many > 0 && many.is_multiple_of(groups.small)
    }

    fn groups(&self) -> PixelGroups {
        let Self { inputs, outputs, enlarges, space, time } = *self;
        let (large, small) = if enlarges { (outputs, inputs) } else { (inputs, outputs) };
        PixelGroups { large, small, space, time }
    }
}

/// A way around a stage.
#[derive(Clone)]
pub struct Shortcut {
    config: ShortcutConfig,
    /// Where a frame waits for the one that it is averaged with.
    slot: Slot,
}

/// What a stage's input leaves for its output.
pub enum Branch {
    /// The mean, to be added; `None` where all frames wait for more.
    Mean(Option<Tensor>),
    /// The input itself, and whether it starts the clip.
    Input { x: Tensor, first: bool },
}

impl Shortcut {
    pub fn new(config: ShortcutConfig, slots: &mut Slots) -> Self {
        Self { config, slot: slots.next() }
    }

    /// x: what the stage is about to get, `[T, H, W, inputs]`; `first` if it starts the clip.
    pub fn fork(&self, x: &Tensor, first: bool, past: &mut Past) -> Branch {
        match self.config.enlarges {
            true => Branch::Input { x: x.clone(), first },
            false => Branch::Mean(self.mean(x, first, past)),
        }
    }

    /// y: what the stage gave, `[T', H', W', outputs]`. Returns the sum.
    pub fn join(&self, y: Tensor, branch: Branch) -> Tensor {
        match branch {
            Branch::Mean(mean) => vita_ops::add(y, &mean.expect("as many frames on either way")),
            // Of the clip's first frame only the last of its copies is there.
            Branch::Input { x, first } => {
                let skipped = if first { self.config.time - 1 } else { 0 };
                self.config.groups().add_copies(y, &x, skipped)
            }
        }
    }

    /// The clip's first frame is averaged with frames of zeros before it, the others `time` at a time.
    fn mean(&self, x: &Tensor, first: bool, past: &mut Past) -> Option<Tensor> {
        let ShortcutConfig { time, .. } = self.config;
        let x = match past.take(self.slot) {
            Some(before) => concat_frames(&[&before, &gapless(x)]),
            None => gapless(x),
        };
        let blank = if first { time - 1 } else { 0 };
        let count = (blank + x.dims()[0]) / time;
        let waiting = (blank + x.dims()[0]) % time;
        if waiting > 0 {
            past.keep(self.slot, None, &x, waiting);
        }
        (count > 0).then(|| self.config.groups().mean(&x, blank, count))
    }
}

impl ShortcutConfig {
    /// Sizes of the mean of what was kept and x together, and how many frames wait; `first` if x starts the clip.
    pub fn mean_extent(&self, x: Extent, kept: usize, first: bool) -> (Extent, usize) {
        let known = if first { self.time - 1 } else { 0 } + kept + x.frames;
        let (height, width) = (x.height / self.space, x.width / self.space);
        (Extent { frames: known / self.time, height, width, channels: self.outputs }, known % self.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(dims: [usize; 4]) -> Tensor {
        let count = dims.iter().product();
        Tensor::from_vec((0..count).map(|i| ((i * i % 97) as f32 * 0.37).sin()).collect(), dims)
    }

    /// The definition: zeros before the first frame, values `(channel, t, row, column)` in groups.
    fn mean_by_definition(x: &Tensor, config: ShortcutConfig) -> Vec<f32> {
        let [frames, height, width, inputs] = x.sizes();
        let ShortcutConfig { outputs, space, time, .. } = config;
        let blank = (time - frames % time) % time;
        let mut out = Vec::new();
        for t in 0..(frames + blank) / time {
            for i in 0..height / space {
                for j in 0..width / space {
                    let mut values = Vec::new();
                    for channel in 0..inputs {
                        for part in 0..time * space * space {
                            let (dt, di, dj) = (part / (space * space), part / space % space, part % space);
                            let frame = (t * time + dt).checked_sub(blank);
                            let at = |frame| x.at(&[frame, i * space + di, j * space + dj, channel]);
                            values.push(frame.map_or(0.0, at));
                        }
                    }
                    let group = values.len() / outputs;
                    out.extend(values.chunks_exact(group).map(|of| (of.iter().sum::<f64>() / group as f64) as f32));
                }
            }
        }
        out
    }

    #[test]
    fn means_are_those_of_the_definition_whole_or_in_pieces() {
        for (inputs, outputs, space, time) in [(3, 3, 2, 1), (3, 6, 2, 2), (4, 2, 2, 2), (5, 5, 1, 1), (6, 3, 1, 1)] {
            let config = ShortcutConfig { inputs, outputs, enlarges: false, space, time };
            assert!(config.is_possible());
            let x = video([9, 4, 6, inputs]);
            let want = mean_by_definition(&x, config);
            for cuts in [&[0, 9][..], &[0, 1, 2, 3, 9], &[0, 4, 5, 9], &[0, 1, 9]] {
                let mut slots = Slots::default();
                let shortcut = Shortcut::new(config, &mut slots);
                let mut past = slots.past();
                let mut got = Vec::new();
                for cut in cuts.windows(2) {
                    let piece = x.narrow(0, cut[0], cut[1] - cut[0]);
                    let Branch::Mean(mean) = shortcut.fork(&piece, cut[0] == 0, &mut past) else { unreachable!() };
                    got.extend(mean.map_or(Vec::new(), |mean| mean.to_vec()));
                }
                assert_eq!(got.len(), want.len());
                for (got, want) in got.iter().zip(&want) {
                    assert!((got - want).abs() < 1e-6, "{config:?} {cuts:?}");
                }
            }
        }
    }

    #[test]
    fn copies_are_those_of_the_definition() {
        for (inputs, outputs, time) in [(4, 4, 2), (4, 2, 1), (2, 1, 2), (3, 3, 1)] {
            let (space, parts) = (2, 4 * time);
            let config = ShortcutConfig { inputs, outputs, enlarges: true, space, time };
            assert!(config.is_possible());
            let x = video([3, 2, 3, inputs]);
            for first in [true, false] {
                let skipped = if first { time - 1 } else { 0 };
                let frames = 3 * time - skipped;
                let shortcut = Shortcut::new(config, &mut Slots::default());
                let branch = Branch::Input { x: x.clone(), first };
                let got = shortcut.join(Tensor::zeros([frames, 4, 6, outputs]), branch);
                for frame in 0..frames {
                    for (row, column, channel) in
                        (0..24 * outputs).map(|i| (i / (6 * outputs), i / outputs % 6, i % outputs))
                    {
                        let t = frame + skipped;
                        let part = (t % time * 2 + row % 2) * 2 + column % 2;
                        let source = (channel * parts + part) / (outputs * parts / inputs);
                        let want = x.at(&[t / time, row / 2, column / 2, source]);
                        assert_eq!(got.at(&[frame, row, column, channel]), want);
                    }
                }
            }
        }
    }

    #[test]
    fn channels_that_cannot_be_shared_out_are_known() {
        let config = ShortcutConfig { inputs: 5, outputs: 7, enlarges: false, space: 2, time: 2 };
        assert!(!config.is_possible() && !ShortcutConfig { enlarges: true, ..config }.is_possible());
        assert!(!ShortcutConfig { inputs: 0, ..config }.is_possible());
    }
}
