//! Which frames of a file are loaded, at which size, and what is told of them.

use serde_json::{Value as Json, json};
use vita_graph::NodeError;

use crate::data::Image;
use crate::resize::{Crop, Method, scale};

/// What a model wants of a video: frames per second, a size, and a number of frames.
pub struct Target {
    /// As the node lists it.
    pub name: &'static str,
    /// Frames per second.
    rate: Option<u32>,
    /// Sides are multiples of the first; then least, and the usual width and height.
    dim: Option<[u32; 4]>,
    /// Frames are a multiple of the first, and the second more.
    frames: Option<[usize; 2]>,
}

const fn target(name: &'static str, rate: u32, dim: [u32; 4], frames: Option<[usize; 2]>) -> Target {
    Target { name, rate: Some(rate), dim: Some(dim), frames }
}

/// Every target, in the original's order.
pub const TARGETS: &[Target] = &[
    Target { name: "None", rate: None, dim: None, frames: None },
    target("AnimateDiff", 8, [8, 0, 512, 512], None),
    target("Mochi", 24, [16, 0, 848, 480], Some([6, 1])),
    target("LTXV", 24, [32, 0, 768, 512], Some([8, 1])),
    target("Hunyuan", 24, [16, 0, 848, 480], Some([4, 1])),
    target("Cosmos", 24, [16, 0, 1280, 704], Some([8, 1])),
    target("Wan", 16, [8, 0, 832, 480], Some([4, 1])),
];

impl Target {
    /// Sides are multiples of this.
    pub fn step(&self) -> usize {
        self.dim.map_or(1, |[step, ..]| step as usize)
    }

    /// So many of these frames are kept.
    ///
    /// # Errors
    /// If there are fewer than the least.
    pub fn fitting(&self, count: usize) -> Result<usize, NodeError> {
        let Some([multiple, rest]) = self.frames else { return Ok(count) };
        match count.checked_sub(rest) {
            Some(more) => Ok(more / multiple * multiple + rest),
            None => Err(NodeError::value(format!("{count} frames are too few for the format {}", self.name))),
        }
    }
}

/// What every target wants, as the page uses it.
pub fn described() -> Json {
    let targets = TARGETS.iter().map(|target| {
        let mut wants = json!({});
        if let (Some(rate), Some(dim)) = (target.rate, target.dim) {
            wants["target_rate"] = json!(rate);
            wants["dim"] = json!(dim);
        }
        if let Some(frames) = target.frames {
            wants["frames"] = json!(frames);
        }
        (target.name.to_owned(), wants)
    });
    Json::Object(targets.collect())
}

/// Which frames are loaded.
pub struct Pick {
    /// Frames per second; 0 keeps the file's.
    pub rate: f64,
    /// So many at most; 0 is all.
    pub cap: usize,
    /// So many of the first are left out, of those at the rate.
    pub skip: usize,
    /// One of so many, of those that are left.
    pub every: usize,
}

impl Pick {
    /// Seconds from one loaded frame to the next, before some are left out.
    pub fn step(&self, source_rate: f64) -> f64 {
        if self.rate == 0.0 { 1.0 / source_rate } else { 1.0 / self.rate }
    }

    /// Places of the frames that are loaded. At a higher rate than the file's frames are repeated.
    pub fn places(&self, count: usize, source_rate: f64) -> Vec<usize> {
        let (source_step, step) = (1.0 / source_rate, self.step(source_rate));
        let mut places = Vec::new();
        let mut ahead = step;
        let (mut at, mut seen) = (0, 0);
        loop {
            // The time of the frame in hand, against that of the next to load.
            while ahead < step {
                at += 1;
                ahead += source_step;
            }
            if at >= count || (self.cap > 0 && places.len() >= self.cap) {
                return places;
            }
            ahead -= step;
            if seen >= self.skip && (seen - self.skip).is_multiple_of(self.every.max(1)) {
                places.push(at);
            }
            seen += 1;
        }
    }
}

/// Width and height of what is loaded: 0 keeps the shape, and both are whole multiples.
pub fn size([width, height]: [usize; 2], [custom_width, custom_height]: [usize; 2], step: usize) -> [usize; 2] {
    let shape = width as f64 / height as f64;
    let wanted = match [custom_width, custom_height] {
        [0, 0] => [width as f64, height as f64],
        [custom, 0] => [custom as f64, custom as f64 / shape],
        [0, custom] => [custom as f64 * shape, custom as f64],
        both => both.map(|side| side as f64),
    };
    wanted.map(|side| ((side / step as f64 + 0.5) as usize * step).max(step))
}

/// Pictures at a size, whose middle is kept.
///
/// # Errors
/// If they do not fit into memory.
pub fn resized(images: &Image, size: [usize; 2]) -> Result<Image, NodeError> {
    match size == [images.width(), images.height()] {
        true => Ok(images.clone()),
        false => scale(images, size, Method::Lanczos, Crop::Center),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_picked_by_their_time() {
        let pick = |rate, cap, skip, every| Pick { rate, cap, skip, every }.places(8, 16.0);
        assert_eq!(pick(0.0, 0, 0, 1), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(pick(8.0, 0, 0, 1), [0, 2, 4, 6]);
        assert_eq!(pick(0.0, 3, 1, 2), [1, 3, 5]);
        assert_eq!(pick(8.0, 0, 1, 1), [2, 4, 6]);
        assert_eq!(pick(32.0, 6, 0, 1), [0, 1, 1, 2, 2, 3]);
        assert!(pick(0.0, 0, 9, 1).is_empty());
    }

    #[test]
    fn sizes_keep_the_shape_and_are_multiples() {
        assert_eq!(size([640, 360], [0, 0], 1), [640, 360]);
        assert_eq!(size([640, 360], [320, 0], 8), [320, 184]);
        assert_eq!(size([640, 360], [0, 720], 16), [1280, 720]);
        assert_eq!(size([640, 360], [500, 500], 8), [504, 504]);
        assert_eq!((TARGETS[6].step(), TARGETS[6].fitting(20).unwrap(), TARGETS[0].fitting(20).unwrap()), (8, 17, 20));
        assert!(TARGETS[6].fitting(0).is_err());
    }
}
