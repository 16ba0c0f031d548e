//! vita-pipeline
