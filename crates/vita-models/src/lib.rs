//! vita-models
