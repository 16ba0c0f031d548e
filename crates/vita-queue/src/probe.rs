//! Named points around each commit, where a test can fail it or end it as a crash would.

use std::sync::Arc;

use crate::store::Operation;

/// Asked at each point.
pub type Probe = Arc<dyn Fn(Point) -> Verdict + Send + Sync>;

/// A named point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Nothing of it is written.
    Before(Operation),
    /// It is committed, but not yet in memory, and no one was told.
    After(Operation),
}

/// What is to happen there.
#[cfg_attr(not(test), expect(dead_code, reason = "only tests stop the queue at a point"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    GoOn,
    /// The commit fails as on a full disk.
    Fail,
    /// Everything stops, as if the process had ended here.
    Die,
}
