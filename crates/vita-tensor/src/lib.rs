//! vita-tensor
