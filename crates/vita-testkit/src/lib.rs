//! vita-testkit
