//! vita-tokenizer
