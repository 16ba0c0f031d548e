//! What a person asks for, checked before anything is loaded.

use vita_tensor::Tensor;

use crate::{Error, Switch};

/// A video to make.
#[derive(Clone, Debug)]
pub struct VideoRequest {
    /// What should be seen; may be empty.
    pub prompt: String,
    /// What should not be seen.
    pub negative_prompt: String,
    /// Pixels; a multiple of [`SIZE_STEP`], of twice that for a VAE of 16 x 16 pixels.
    pub width: usize,
    /// Pixels; likewise.
    pub height: usize,
    /// Frames; `4 n + 1`.
    pub frames: usize,
    /// What there is besides the prompt.
    pub source: Source,
    /// How it is sampled.
    pub sampling: Sampling,
    /// Where the second of two experts takes over; `None` is the system's boundary.
    pub switch: Option<Switch>,
    /// Side of the autoencoder's tiles in pixels; `None` decodes whole frames.
    pub tile: Option<usize>,
}

/// What a video is made of besides its prompt. Pictures are `[F, H, W, 3]` in 0..1, of any size.
#[derive(Clone, Debug, Default)]
pub enum Source {
    /// Nothing.
    #[default]
    Text,
    /// A picture that it starts with.
    Image {
        /// Its first frame, or frames.
        start: Tensor,
        /// Its last frame, or frames.
        end: Option<Tensor>,
    },
    /// A video that it is made over.
    Video(Tensor),
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
    /// Guidance of the second of two experts; `None` is `cfg`.
    pub cfg_low: Option<f64>,
    /// Flow shift of the schedule, above 0.
    pub shift: f64,
    /// Name of the solver. With [`WRAPPER_PREFIX`] before it, one of the Wan wrapper's schedulers, which are schedule
    /// and solver in one, and the run is done in the wrapper's numbers.
    pub sampler: String,
    /// Name of the schedule; of no account with a scheduler of the wrapper.
    pub scheduler: String,
    /// Share of the schedule that is run: 1 makes all anew, less keeps something of a video that is given.
    pub denoise: f64,
}

/// What stands before the names of the Wan wrapper's schedulers: `wrapper:dpm++`.
pub const WRAPPER_PREFIX: &str = "wrapper:";

impl Sampling {
    /// The wrapper's scheduler, if the run is in its numbers.
    pub fn wrapper_scheduler(&self) -> Option<&str> {
        self.sampler.strip_prefix(WRAPPER_PREFIX)
    }
}

/// Width and height go in steps of this: 8 pixels a latent, 2 latents a patch.
pub const SIZE_STEP: usize = 16;

/// Frames beyond the first go in steps of this.
pub const FRAME_STEP: usize = 4;

/// Most pixels of a side: far beyond what any model was made for, and sums of bytes stay small numbers.
pub const SIDE_MAX: usize = 16_384;

/// Most frames, for the same reason.
pub const FRAMES_MAX: usize = 100_001;

impl VideoRequest {
    /// A video of a prompt alone.
    pub fn of_text(prompt: &str, [width, height]: [usize; 2], frames: usize, sampling: Sampling) -> Self {
        Self {
            prompt: prompt.into(),
            negative_prompt: String::new(),
            width,
            height,
            frames,
            source: Source::Text,
            sampling,
            switch: None,
            tile: None,
        }
    }

    /// Checks sizes and numbers; names of solvers and schedules are checked by `vita-sampling`.
    ///
    /// # Errors
    /// The first thing that cannot be done, and the nearest that can.
    pub fn check(&self) -> Result<(), Error> {
        self.check_sizes(SIZE_STEP)?;
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
        self.check_sampling()
    }

    /// # Errors
    /// If width or height is no multiple of `step`.
    pub(crate) fn check_sizes(&self, step: usize) -> Result<(), Error> {
        for (what, pixels) in [("width", self.width), ("height", self.height)] {
            if pixels == 0 || !pixels.is_multiple_of(step) {
                return Err(Error::Size { what, pixels, step, nearest: nearest(pixels, step, 0) });
            }
        }
        Ok(())
    }

    fn check_sampling(&self) -> Result<(), Error> {
        let number = |what, value: f64, range| Err(Error::Number { what, value: value.to_string(), range });
        let Sampling { steps, cfg, cfg_low, shift, denoise, .. } = self.sampling;
        if steps == 0 {
            return Err(Error::Number { what: "steps", value: "0".into(), range: "at least 1" });
        }
        if !(shift.is_finite() && shift > 0.0) {
            return number("shift", shift, "a number above 0");
        }
        for (what, cfg) in [("cfg", Some(cfg)), ("cfg of the second expert", cfg_low)] {
            if let Some(cfg) = cfg.filter(|cfg| !cfg.is_finite()) {
                return number(what, cfg, "a number");
            }
        }
        if !(denoise > 0.0 && denoise <= 1.0) {
            return number("denoise", denoise, "above 0, at most 1");
        }
        match self.switch {
            Some(Switch::Boundary(boundary)) if !(0.0..=1.0).contains(&boundary) => {
                number("boundary", boundary, "0 to 1")
            }
            _ => Ok(()),
        }
    }

    /// `[frames, height, width]`
    pub fn video(&self) -> [usize; 3] {
        [self.frames, self.height, self.width]
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

    fn request() -> VideoRequest {
        let sampling = Sampling {
            seed: 0,
            steps: 4,
            cfg: 1.0,
            cfg_low: None,
            shift: 5.0,
            sampler: "euler".into(),
            scheduler: "simple".into(),
            denoise: 1.0,
        };
        VideoRequest::of_text("", [64, 64], 17, sampling)
    }

    #[test]
    fn what_cannot_be_done_names_the_nearest_that_can() {
        type Change = fn(&mut VideoRequest);
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
            (|r| r.sampling.cfg_low = Some(f64::NAN), "cfg of the second expert is NaN; it must be a number"),
            (|r| r.sampling.denoise = 0.0, "denoise is 0; it must be above 0, at most 1"),
            (|r| r.switch = Some(Switch::Boundary(2.0)), "boundary is 2; it must be 0 to 1"),
        ];
        assert!(request().check().is_ok());
        for (change, want) in cases {
            let mut request = request();
            change(&mut request);
            assert_eq!(request.check().unwrap_err().to_string(), *want);
        }
        let error = VideoRequest { width: 48, ..request() }.check_sizes(32).unwrap_err();
        assert_eq!(error.to_string(), "width 48 is not a multiple of 32; the nearest are 32 and 64");
    }
}
