//! vita-media
