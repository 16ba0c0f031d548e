//! The JSON twins of our types, and the conversions.
