//! The `vitascope` command.
fn main() {}
