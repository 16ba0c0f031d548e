//! The prompt queue, its history and the worker, kept in SQLite. Knows no HTTP and no node.
#![forbid(unsafe_code)]
