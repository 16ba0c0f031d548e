//! One open WebSocket as others see it: a backlog that never makes the sender wait.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::frame::{Frame, Lane};

/// With more frames waiting than this, a frame takes the place of an earlier one of its lane.
const FRAMES_BEFORE_MERGING: usize = 1024;
/// The same for bytes: some dozen previews. Sockets share what is told to all.
const BYTES_BEFORE_MERGING: usize = 4 << 20;
/// A reader that lets so much wait is gone.
const BYTES_MAX: usize = 64 << 20;

/// One open WebSocket.
pub(crate) struct Member {
    /// The session that it belongs to.
    pub(crate) id: String,
    backlog: Mutex<Backlog>,
    wake: Notify,
    previews_with_metadata: AtomicBool,
    texts: AtomicBool,
}

#[derive(Default)]
struct Backlog {
    frames: VecDeque<Frame>,
    byte_count: usize,
    overflown: bool,
}

/// What a socket's task finds when it looks.
pub(crate) enum Waiting {
    /// Frames to send.
    Frames(Vec<Frame>),
    /// Nothing at the moment.
    Nothing,
    /// So much that it is pointless.
    Overflow,
}

impl Member {
    pub(crate) fn new(id: String) -> Self {
        Self {
            id,
            backlog: Mutex::default(),
            wake: Notify::new(),
            previews_with_metadata: AtomicBool::new(false),
            texts: AtomicBool::new(false),
        }
    }

    /// Puts a frame into the backlog. Never waits.
    pub(crate) fn push(&self, frame: Frame) {
        let mut backlog = self.lock();
        if backlog.overflown {
            return;
        }
        let slow = backlog.frames.len() >= FRAMES_BEFORE_MERGING || backlog.byte_count >= BYTES_BEFORE_MERGING;
        if slow && frame.lane != Lane::Kept {
            backlog.remove(frame.lane);
        }
        backlog.byte_count += frame.byte_count();
        backlog.frames.push_back(frame);
        if backlog.byte_count > BYTES_MAX {
            *backlog = Backlog { overflown: true, ..Backlog::default() };
        }
        drop(backlog);
        self.wake.notify_one();
    }

    /// Takes up to `count_max` frames out, oldest first.
    pub(crate) fn take(&self, count_max: usize) -> Waiting {
        let mut backlog = self.lock();
        if backlog.overflown {
            return Waiting::Overflow;
        }
        let count = backlog.frames.len().min(count_max);
        if count == 0 {
            // An idle socket keeps no memory of busier times.
            backlog.frames.shrink_to(8);
            return Waiting::Nothing;
        }
        let frames: Vec<_> = backlog.frames.drain(..count).collect();
        backlog.byte_count -= frames.iter().map(Frame::byte_count).sum::<usize>();
        Waiting::Frames(frames)
    }

    /// Until something was pushed.
    pub(crate) async fn pushed(&self) {
        self.wake.notified().await;
    }

    /// Until it lets too much wait.
    pub(crate) fn overflown(&self) -> bool {
        self.lock().overflown
    }

    /// What the client said it understands.
    pub(crate) fn announce(&self, flags: &serde_json::Value) {
        let holds = |key| flags.get(key).and_then(serde_json::Value::as_bool).unwrap_or(false);
        self.previews_with_metadata.store(holds("supports_preview_metadata"), Ordering::Relaxed);
        self.texts.store(holds("supports_progress_text_metadata"), Ordering::Relaxed);
    }

    /// Whether it understands previews that say whose they are.
    pub(crate) fn takes_metadata(&self) -> bool {
        self.previews_with_metadata.load(Ordering::Relaxed)
    }

    /// Whether it understands lines under nodes.
    pub(crate) fn takes_texts(&self) -> bool {
        self.texts.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backlog {
    /// Removes the last frame of a lane, if one waits.
    fn remove(&mut self, lane: Lane) {
        if let Some(index) = self.frames.iter().rposition(|frame| frame.lane == lane)
            && let Some(frame) = self.frames.remove(index)
        {
            self.byte_count -= frame.byte_count();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn push(member: &Member, lane: Lane, number: usize) {
        member.push(Frame::event("e", &json!(number), lane));
    }

    fn waiting(member: &Member) -> Vec<(Lane, String)> {
        match member.take(usize::MAX) {
            Waiting::Frames(frames) => {
                frames.into_iter().map(|frame| (frame.lane, frame.message.into_text().unwrap().to_string())).collect()
            }
            Waiting::Nothing => Vec::new(),
            Waiting::Overflow => panic!("overflown"),
        }
    }

    #[test]
    fn a_reader_that_keeps_up_loses_nothing() {
        let member = Member::new("a".into());
        for number in 0..1000 {
            push(&member, Lane::Progress(1), number);
            push(&member, Lane::Status, number);
            assert_eq!(waiting(&member).len(), 2);
        }
    }

    #[test]
    fn a_slow_reader_gets_the_newest_progress_and_every_kept_frame() {
        let member = Member::new("a".into());
        push(&member, Lane::Progress(2), 7);
        for number in 0..5000 {
            push(&member, Lane::Progress(1), number);
            push(&member, Lane::Kept, number);
        }
        let waiting = waiting(&member);
        let kept = waiting.iter().filter(|(lane, _)| *lane == Lane::Kept).count();
        let progress: Vec<_> = waiting.iter().filter(|(lane, _)| *lane == Lane::Progress(1)).collect();
        assert_eq!(kept, 5000);
        assert_eq!(waiting[0], (Lane::Progress(2), r#"{"type":"e","data":7}"#.to_owned()), "another prompt's stays");
        assert!(progress.len() <= FRAMES_BEFORE_MERGING, "{}", progress.len());
        assert_eq!(progress.last().unwrap().1, r#"{"type":"e","data":4999}"#);
    }

    #[test]
    fn a_reader_that_is_gone_is_given_up() {
        let member = Member::new("a".into());
        let megabyte = json!("x".repeat(1 << 20));
        for _ in 0..65 {
            member.push(Frame::event("e", &megabyte, Lane::Kept));
        }
        assert!(member.overflown());
        assert!(matches!(member.take(1), Waiting::Overflow));
    }
}
