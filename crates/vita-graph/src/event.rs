//! What an execution tells while it goes on.

/// Something that happened in a run of a plan. Node ids are those of the prompt.
#[derive(Debug)]
pub enum Event<'a> {
    /// The run begins; these nodes were found in the cache, in the order of the prompt.
    Cached(&'a [String]),
    /// A node begins.
    Started {
        /// Its id.
        node: &'a str,
    },
    /// A node is `value` of `total` done.
    Progress {
        /// Its id.
        node: &'a str,
        /// Steps done.
        value: u64,
        /// Steps in all.
        total: u64,
    },
    /// What a node's result looks like so far.
    Preview {
        /// Its id.
        node: &'a str,
        /// Pixels.
        width: usize,
        /// Pixels.
        height: usize,
        /// Rows of red, green, blue.
        rgb: &'a [u8],
    },
    /// A line for the page under the node, and for the log.
    Text {
        /// Its id.
        node: &'a str,
        /// The line.
        text: &'a str,
    },
    /// A node has something for the page, now or from the cache (then without having begun).
    Executed {
        /// Its id.
        node: &'a str,
        /// Its `ui`, if it has one.
        ui: Option<&'a serde_json::Value>,
        /// Whether it was not run.
        cached: bool,
    },
    /// A node is done.
    Finished {
        /// Its id.
        node: &'a str,
    },
}

/// Where events go. Called on the thread that runs; a slow observer slows it.
pub trait Observer {
    /// Takes one event.
    fn observe(&mut self, event: Event<'_>);

    /// Whether [`Event::Preview`] should be made.
    fn wants_previews(&self) -> bool {
        false
    }
}

/// Observes nothing.
impl Observer for () {
    fn observe(&mut self, _: Event<'_>) {}
}
