//! Where files lie: models by category, inputs, outputs, users; and which names are safe.
#![forbid(unsafe_code)]
