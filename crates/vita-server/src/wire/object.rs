//! JSON objects and arrays written member by member, so that text which is JSON already need not be parsed.

use serde::Serialize;

/// A JSON object being written.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self("{".into())
    }

    /// A member whose value is JSON text.
    pub(crate) fn raw(&mut self, key: &str, json: &str) -> &mut Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0 += &text(key);
        self.0.push(':');
        self.0 += json;
        self
    }

    /// A member.
    pub(crate) fn member(&mut self, key: &str, value: &impl Serialize) -> &mut Self {
        self.raw(key, &text(value))
    }

    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// `[a,b]` of JSON texts.
pub(crate) fn array(items: impl IntoIterator<Item = String>) -> String {
    let mut array = String::from("[");
    for item in items {
        if array.len() > 1 {
            array.push(',');
        }
        array += &item;
    }
    array.push(']');
    array
}

/// A value as JSON text.
pub(crate) fn text<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("values with text keys can be written as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_and_arrays_are_json() {
        let mut object = Object::new();
        object.member("a\"", &1).raw("b", "[true]");
        assert_eq!(object.end(), r#"{"a\"":1,"b":[true]}"#);
        assert_eq!(Object::new().end(), "{}");
        assert_eq!(array([]), "[]");
        assert_eq!(array(["1".into(), "{}".into()]), "[1,{}]");
    }
}
