//! vita-base
