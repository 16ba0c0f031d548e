//! Nodes of VideoHelperSuite, one file each.

use vita_graph::Node;

/// Every node of this folder.
pub const NODES: &[&'static dyn Node] = &[];
