//! What a person asks for, checked before anything is loaded.

use crate::Error;

/// A video to make from text.
#[derive(Clone, Debug, PartialEq)]
pub struct TextToVideo {
    /// What should be seen; may be empty.
    pub prompt: String,
    /// What should not be seen.
    pub negative_prompt: String,
    /// Pixels; a multiple of [`SIZE_STEP`].
    pub width: usize,
    /// Pixels; a multiple of [`SIZE_STEP`].
    pub height: usize,
    /// Frames; `4 n + 1`.
    pub frames: usize,
    /// How it is sampled.
    pub sampling: Sampling,
    /// Side of the autoencoder's tiles in pixels; `None` decodes whole frames.
    pub tile: Option<usize>,
}

/// How a latent is sampled.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Seed of the noise. As in PyTorch, its low 32 bits decide.
    pub seed: u64,
    /// Steps of the whole schedule, at least 1.
    pub steps: usize,
    /// Guidance: `uncond + cfg * (cond - uncond)`. At 1 the negative prompt is not run.
    pub cfg: f64,
    /// Flow shift of the schedule, above 0.
    pub shift: f64,
    /// Name of the solver.
    pub sampler: String,
    /// Name of the schedule.
    pub scheduler: String,
}

/// Width and height go in steps of this: 8 pixels a latent, 2 latents a patch.
pub const SIZE_STEP: usize = 16;

/// Frames beyond the first go in steps of this.
pub const FRAME_STEP: usize = 4;

/// Most pixels of a side: far beyond what any model was made for, and sums of bytes stay small numbers.
pub const SIDE_MAX: usize = 16_384;

/// Most frames, for the same reason.
pub const FRAMES_MAX: usize = 100_001;

impl TextToVideo {
    /// Checks sizes and numbers; names of solvers and schedules are checked by `vita-sampling`.
    ///
    /// # Errors
    /// The first thing that cannot be done, and the nearest that can.
    pub fn check(&self) -> Result<(), Error> {
        for (what, pixels) in [("width", self.width), ("height", self.height)] {
            if pixels == 0 || !pixels.is_multiple_of(SIZE_STEP) {
                return Err(Error::Size { what, pixels, nearest: nearest(pixels, SIZE_STEP, 0) });
            }
        }
        for (what, value, most, range) in [
            ("width", self.width, SIDE_MAX, "at most 16384"),
            ("height", self.height, SIDE_MAX, "at most 16384"),
            ("frames", self.frames, FRAMES_MAX, "at most 100001"),
        ] {
            if value > most {
                return Err(Error::Number { what, value: value.to_string(), range });
            }
        }
        if let Some(tile) = self.tile.filter(|tile| !(SIZE_STEP..=SIDE_MAX).contains(tile)) {
            return Err(Error::Number { what: "tile", value: tile.to_string(), range: "16 to 16384" });
        }
        if self.frames % FRAME_STEP != 1 {
            return Err(Error::Frames { frames: self.frames, nearest: nearest(self.frames, FRAME_STEP, 1) });
        }
        let Sampling { steps, cfg, shift, .. } = self.sampling;
        if steps == 0 {
            return Err(Error::Number { what: "steps", value: "0".into(), range: "at least 1" });
        }
        if !(shift.is_finite() && shift > 0.0) {
            return Err(Error::Number { what: "shift", value: shift.to_string(), range: "a number above 0" });
        }
        if !cfg.is_finite() {
            return Err(Error::Number { what: "cfg", value: cfg.to_string(), range: "a number" });
        }
        Ok(())
    }

    /// `[C, T, H, W]` of the latent, for an autoencoder of 8 x 8 pixels and 4 frames a latent.
    pub fn latent_dims(&self, channels: usize) -> [usize; 4] {
        [channels, (self.frames - 1) / FRAME_STEP + 1, self.height / 8, self.width / 8]
    }
}

/// The values `step * n + offset` beside one that is none of them: below (if there is one) and above.
fn nearest(value: usize, step: usize, offset: usize) -> Vec<usize> {
    let first = if offset == 0 { step } else { offset };
    let below = (value >= first).then(|| (value - offset) / step * step + offset);
    let above = below.map_or(first, |below| below + step);
    below.into_iter().chain([above]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> TextToVideo {
        TextToVideo {
            prompt: String::new(),
            negative_prompt: String::new(),
            width: 64,
            height: 64,
            frames: 17,
            sampling: Sampling {
                seed: 0,
                steps: 4,
                cfg: 1.0,
                shift: 5.0,
                sampler: "euler".into(),
                scheduler: "simple".into(),
            },
            tile: None,
        }
    }

    #[test]
    fn what_cannot_be_done_names_the_nearest_that_can() {
        type Change = fn(&mut TextToVideo);
        let cases: &[(Change, &str)] = &[
            (|r| r.width = 500, "width 500 is not a multiple of 16; the nearest are 496 and 512"),
            (|r| r.height = 7, "height 7 is not a multiple of 16; the nearest is 16"),
            (|r| r.height = 0, "height 0 is not a multiple of 16; the nearest is 16"),
            (|r| r.frames = 16, "16 frames are not 4 n + 1; the nearest are 13 and 17"),
            (|r| r.frames = 0, "0 frames are not 4 n + 1; the nearest is 1"),
            (|r| r.width = 160_000, "width is 160000; it must be at most 16384"),
            (|r| r.frames = 4_000_000_001, "frames is 4000000001; it must be at most 100001"),
            (|r| r.tile = Some(0), "tile is 0; it must be 16 to 16384"),
            (|r| r.sampling.steps = 0, "steps is 0; it must be at least 1"),
            (|r| r.sampling.shift = -1.0, "shift is -1; it must be a number above 0"),
            (|r| r.sampling.cfg = f64::NAN, "cfg is NaN; it must be a number"),
        ];
        assert!(request().check().is_ok());
        for (change, want) in cases {
            let mut request = request();
            change(&mut request);
            assert_eq!(request.check().unwrap_err().to_string(), *want);
        }
    }
}
