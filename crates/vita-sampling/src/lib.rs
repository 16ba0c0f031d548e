//! vita-sampling
