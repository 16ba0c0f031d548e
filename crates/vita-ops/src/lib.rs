//! vita-ops
