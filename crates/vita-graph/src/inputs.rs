//! A node's inputs, taken out by name and type.

use std::any::Any;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::Value;

/// Values by input name. Of an `input_is_list` node each holds the whole list, otherwise one value.
#[derive(Clone, Debug, Default)]
pub struct Inputs(IndexMap<String, Vec<Value>>);

/// An input that is not there, or not of the type that the node expects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// Nothing of that name.
    #[error("input `{0}` is missing")]
    Missing(String),
    /// Something else than expected.
    #[error("input `{name}` is not {wanted}")]
    Type {
        /// The input.
        name: String,
        /// What was expected.
        wanted: &'static str,
    },
}

impl Inputs {
    /// Sets an input.
    pub fn set(&mut self, name: impl Into<String>, values: Vec<Value>) {
        self.0.insert(name.into(), values);
    }

    /// All names, in the order of the workflow.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The value, or nothing if it is absent or null.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).and_then(|values| values.first()).filter(|value| !matches!(value, Value::Null))
    }

    /// The whole list of an input.
    pub fn list(&self, name: &str) -> &[Value] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether there is a value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// # Errors
    /// If it is absent or no whole number.
    pub fn int(&self, name: &str) -> Result<i128, InputError> {
        match self.required(name)? {
            Value::Int(value) => Ok(*value),
            Value::Float(value) if value.fract() == 0.0 => Ok(*value as i128),
            Value::Bool(value) => Ok((*value).into()),
            _ => Err(wrong(name, "a whole number")),
        }
    }

    /// A whole number that is a size, index or count.
    ///
    /// # Errors
    /// If it is absent, negative or no whole number.
    pub fn count(&self, name: &str) -> Result<usize, InputError> {
        usize::try_from(self.int(name)?).map_err(|_| wrong(name, "a whole number from 0"))
    }

    /// # Errors
    /// If it is absent or outside 0 to 2^64 - 1.
    pub fn seed(&self, name: &str) -> Result<u64, InputError> {
        u64::try_from(self.int(name)?).map_err(|_| wrong(name, "a whole number from 0 to 2^64 - 1"))
    }

    /// # Errors
    /// If it is absent or no number.
    pub fn float(&self, name: &str) -> Result<f64, InputError> {
        match self.required(name)? {
            Value::Int(value) => Ok(*value as f64),
            Value::Float(value) => Ok(*value),
            Value::Bool(value) => Ok((*value).into()),
            _ => Err(wrong(name, "a number")),
        }
    }

    /// # Errors
    /// If it is absent or no truth value.
    pub fn bool(&self, name: &str) -> Result<bool, InputError> {
        match self.required(name)? {
            Value::Bool(value) => Ok(*value),
            Value::Int(value) => Ok(*value != 0),
            _ => Err(wrong(name, "true or false")),
        }
    }

    /// # Errors
    /// If it is absent or no text.
    pub fn text(&self, name: &str) -> Result<&str, InputError> {
        match self.required(name)? {
            Value::Text(value) => Ok(value),
            _ => Err(wrong(name, "text")),
        }
    }

    /// What another node made.
    ///
    /// # Errors
    /// If it is absent or of another type.
    pub fn object<T: Any + Send + Sync>(&self, name: &str) -> Result<Arc<T>, InputError> {
        self.required(name)?.downcast().ok_or_else(|| wrong(name, std::any::type_name::<T>()))
    }

    /// The same where it may be absent.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn optional<T: Any + Send + Sync>(&self, name: &str) -> Result<Option<Arc<T>>, InputError> {
        if self.has(name) { self.object(name).map(Some) } else { Ok(None) }
    }

    fn required(&self, name: &str) -> Result<&Value, InputError> {
        self.get(name).ok_or_else(|| InputError::Missing(name.into()))
    }
}

fn wrong(name: &str, wanted: &'static str) -> InputError {
    InputError::Type { name: name.into(), wanted }
}
