//! What flows along a link.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// One value of an output slot. Cheap to clone: what is large is shared.
#[derive(Clone)]
pub enum Value {
    /// Nothing, as of an optional input that a node passes on.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number; seeds go up to 2^64 - 1.
    Int(i128),
    /// A number.
    Float(f64),
    /// Text, or the choice of a combo.
    Text(Arc<str>),
    /// Literal JSON that is none of the above.
    Json(Arc<serde_json::Value>),
    /// Anything that a node made: a model, a latent, images. The nodes that know the type take it out again.
    Object(Arc<dyn Any + Send + Sync>),
}

impl Value {
    /// Wraps what a node made.
    pub fn object<T: Any + Send + Sync>(value: T) -> Self {
        Self::Object(Arc::new(value))
    }

    /// The object, if it is a `T`.
    pub fn downcast<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        match self {
            Self::Object(object) => object.clone().downcast().ok(),
            _ => None,
        }
    }

    /// Text.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
            Self::Json(value) => value.fmt(f),
            Self::Object(_) => f.write_str("object"),
        }
    }
}
