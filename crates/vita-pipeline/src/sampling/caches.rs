//! Caches of passes, one for each prompt and window.

use vita_models::wan::{CacheRule, StepCache};

use super::network::Which;
use crate::windows::Window;

/// Windows that are remembered; the oldest is forgotten first. As many as the wrapper remembers.
pub const WINDOWS_MAX: usize = 64;

/// Caches at work in one run.
pub struct Caches {
    rule: CacheRule,
    /// By the frames of the window, in order; of the prompt, and of the negative one.
    windows: Vec<(Vec<usize>, [StepCache; 2])>,
    /// Passes that forgotten caches answered.
    skipped_before: usize,
}

impl Caches {
    pub fn new(rule: CacheRule) -> Self {
        Self { rule, windows: Vec::new(), skipped_before: 0 }
    }

    /// The cache of a prompt in a window, or in the whole video.
    pub fn of(&mut self, which: Which, window: Option<&Window>) -> &mut StepCache {
        let mut frames = window.map_or(Vec::new(), |window| window.frames.clone());
        frames.sort_unstable();
        let known = self.windows.iter().position(|(of, _)| *of == frames);
        let index = known.unwrap_or_else(|| {
            if self.windows.len() == WINDOWS_MAX {
                self.skipped_before += skipped(&self.windows.remove(0).1);
            }
            self.windows.push((frames, [(), ()].map(|()| StepCache::new(self.rule.clone()))));
            self.windows.len() - 1
        });
        &mut self.windows[index].1[usize::from(which == Which::Negative)]
    }

    /// Passes that were left out so far.
    pub fn skipped(&self) -> usize {
        self.skipped_before + self.windows.iter().map(|(_, caches)| skipped(caches)).sum::<usize>()
    }
}

fn skipped(caches: &[StepCache; 2]) -> usize {
    caches.iter().map(StepCache::skipped).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_its_own_cache_and_the_oldest_goes() {
        let mut caches = Caches::new(CacheRule::EasyCache { threshold: 0.1 });
        let window = |frames: &[usize]| Window { frames: frames.to_vec(), shares: vec![1.0; frames.len()] };
        caches.of(Which::Positive, None);
        caches.of(Which::Negative, Some(&window(&[2, 3])));
        // The order of frames does not count.
        caches.of(Which::Positive, Some(&window(&[3, 2])));
        assert_eq!(caches.windows.len(), 2);
        for first in 10..10 + WINDOWS_MAX {
            caches.of(Which::Positive, Some(&window(&[first])));
        }
        assert_eq!((caches.windows.len(), caches.windows[0].0[0]), (WINDOWS_MAX, 10));
    }
}
