//! Numbers as Python has them.

use std::cmp::Ordering;
use std::fmt;

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A truth value, which counts as 0 or 1.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Any other.
    Float(f64),
}

impl Number {
    /// Whether it is not 0.
    pub fn truth(self) -> bool {
        self.float() != 0.0
    }

    /// The nearest double.
    pub fn float(self) -> f64 {
        match self {
            Self::Bool(value) => f64::from(u8::from(value)),
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// The whole number that it is, truth values among them.
    pub fn whole(self) -> Option<i128> {
        match self {
            Self::Bool(value) => Some(value.into()),
            Self::Int(value) => Some(value),
            Self::Float(_) => None,
        }
    }

    /// The part before the point.
    pub fn truncated(self) -> Result<i128, String> {
        match self {
            Self::Float(value) => int_of(value.trunc()),
            other => Ok(other.whole().unwrap_or_default()),
        }
    }

    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self.whole(), other.whole()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => self.float().partial_cmp(&other.float()),
        }
    }
}

/// A double without a part behind the point as a whole number.
pub(super) fn int_of(value: f64) -> Result<i128, String> {
    if !value.is_finite() {
        return Err(format!("{value} is no whole number"));
    }
    if value.abs() >= i128::MAX as f64 { Err("the result is too large".into()) } else { Ok(value as i128) }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => write!(f, "{value:?}"),
        }
    }
}
