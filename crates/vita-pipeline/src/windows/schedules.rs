//! How windows lie.

use super::ContextWindows;

/// How windows lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowSchedule {
    /// One after the other, at every step the same; the last one ends with the video.
    StaticStandard,
    /// One after the other, each step from another frame on; one that would go on at the video's beginning ends with
    /// the video instead.
    UniformStandard,
    /// The same, but windows do go on at the video's beginning.
    UniformLooped,
    /// One after the other without sharing a frame; the last one may be shorter.
    Batched,
}

impl ContextWindows {
    /// The frames of each window; some may lie behind the video's end where there are windows of too many kinds.
    /// Rules of AnimateDiff's context schedules (Kosinkadink, "AnimateDiff-Evolved"), as ComfyUI and the wrapper have
    /// them.
    pub(super) fn lists(&self, frames: usize, step: usize) -> Vec<Vec<usize>> {
        match self.schedule {
            WindowSchedule::StaticStandard => self.in_turn(frames),
            WindowSchedule::UniformStandard => straightened(self.round(frames, step), frames, self.frames),
            WindowSchedule::UniformLooped => self.round(frames, step),
            WindowSchedule::Batched => (0..frames)
                .step_by(self.frames)
                .map(|start| (start..frames.min(start + self.frames)).collect())
                .collect(),
        }
    }

    fn in_turn(&self, frames: usize) -> Vec<Vec<usize>> {
        let last = frames - self.frames;
        let starts = (0..last).step_by(self.frames - self.overlap).chain([last]);
        starts.map(|start| (start..start + self.frames).collect()).collect()
    }

    /// Windows that go round the video, from a frame that is another at each step.
    fn round(&self, frames: usize, step: usize) -> Vec<Vec<usize>> {
        let turn = halving(step);
        let first = (frames as f64 * turn).round_ties_even() as usize;
        let end = frames + first - if self.closed { 0 } else { self.overlap };
        let kinds = (frames as f64 / self.frames as f64).log2().ceil() as usize + 1;
        let of_kind = |apart: usize| {
            let start = (turn * apart as f64) as usize + first;
            let starts = (start..end).step_by(self.frames * apart - self.overlap);
            starts.map(move |start| (0..self.frames).map(|place| (start + place * apart) % frames).collect())
        };
        (0..kinds.min(self.strides)).flat_map(|kind| of_kind(1 << kind)).collect()
    }
}

/// Windows that go round, moved so that none goes on at the beginning; none is there twice.
fn straightened(mut windows: Vec<Vec<usize>>, frames: usize, length: usize) -> Vec<Vec<usize>> {
    let mut index = 0;
    let mut doubles = Vec::new();
    while index < windows.len() {
        if let Some(again) = begins_again(&windows[index], frames) {
            let again = windows[index][again];
            move_to_end(&mut windows[index], frames);
            let next = (index + 1) % windows.len();
            if !windows[next].contains(&again) {
                windows.insert(index + 1, (again..again + length).collect());
            }
        }
        if windows[..index].contains(&windows[index]) {
            doubles.push(index);
        }
        index += 1;
    }
    for index in doubles.into_iter().rev() {
        windows.remove(index);
    }
    windows
}

/// The place at which a window goes on at the video's beginning.
fn begins_again(window: &[usize], frames: usize) -> Option<usize> {
    let pairs = window.windows(2);
    let mut falls = pairs.map(|pair| pair[1] % frames < pair[0] % frames);
    falls.position(|falls| falls).map(|place| place + 1)
}

/// Moves a window that goes on at the beginning so that its last frame is the video's.
fn move_to_end(window: &mut [usize], frames: usize) {
    let start = window[0];
    let turned = |frame: usize| (frame + frames - start) % frames;
    let behind = frames - 1 - turned(window[window.len() - 1]);
    window.iter_mut().for_each(|frame| *frame = turned(*frame) + behind);
}

/// Shares of 1 in the order 0, 1/2, 1/4, 3/4, 1/8, ...: the bits of a number behind the point.
fn halving(step: usize) -> f64 {
    (step as u64).reverse_bits() as f64 / 2f64.powi(64)
}
