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
    /// Stops what comes after it: a node that would get it is not run and passes it on. With words, they are told once.
    Blocked(Option<Arc<str>>),
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

    /// A literal of a workflow.
    pub fn of_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => match number.as_i128() {
                Some(value) => Self::Int(value),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::text(text.as_str()),
            other => Self::Json(Arc::new(other.clone())),
        }
    }

    /// The value where JSON has a word for it, otherwise what it is: for messages.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => match serde_json::Number::from_i128(*value) {
                Some(number) => number.into(),
                None => value.to_string().into(),
            },
            Self::Float(value) if value.is_finite() => (*value).into(),
            Self::Text(text) => (**text).into(),
            Self::Json(json) => (**json).clone(),
            other => format!("{other:?}").into(),
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
            Self::Blocked(_) => f.write_str("blocked"),
            Self::Object(_) => f.write_str("object"),
        }
    }
}
