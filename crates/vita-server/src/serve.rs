//! Listening.

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {}

/// A server that listens.
pub struct Served {}

/// Listens.
///
/// # Errors
/// If an address is taken.
pub fn bind() -> Result<Served, ServeError> {
    Ok(Served {})
}
