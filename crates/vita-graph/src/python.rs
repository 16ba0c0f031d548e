//! Python's ways with plain values: clients see its words in error messages, and workflows rely on its conversions.

use serde_json::Value as Json;

/// `str(value)` of a JSON value.
pub fn text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => repr(other),
    }
}

/// `repr(value)` of a JSON value.
pub fn repr(value: &Json) -> String {
    match value {
        Json::Null => "None".into(),
        Json::Bool(true) => "True".into(),
        Json::Bool(false) => "False".into(),
        Json::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => repr_float(float),
            _ => number.to_string(),
        },
        Json::String(text) => repr_text(text),
        Json::Array(items) => format!("[{}]", items.iter().map(repr).collect::<Vec<_>>().join(", ")),
        Json::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(key, value)| format!("{}: {}", repr_text(key), repr(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// `repr` of a list of strings.
pub fn repr_list<S: AsRef<str>>(items: &[S]) -> String {
    format!("[{}]", items.iter().map(|item| repr_text(item.as_ref())).collect::<Vec<_>>().join(", "))
}

/// `type(value).__name__`.
pub(crate) fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "NoneType",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_f64() => "float",
        Json::Number(_) => "int",
        Json::String(_) => "str",
        Json::Array(_) => "list",
        Json::Object(_) => "dict",
    }
}

/// `int(value)`; numbers beyond 128 bits are cut there, which no range of an input reaches.
pub(crate) fn int(value: &Json) -> Result<i128, String> {
    match value {
        Json::Bool(value) => Ok((*value).into()),
        Json::Number(number) => Ok(number.as_i128().unwrap_or_else(|| number.as_f64().unwrap_or(0.0) as i128)),
        Json::String(text) => {
            int_of_text(text).ok_or_else(|| format!("invalid literal for int() with base 10: {}", repr_text(text)))
        }
        other => Err(format!(
            "int() argument must be a string, a bytes-like object or a real number, not '{}'",
            type_name(other)
        )),
    }
}

/// `float(value)`, finite.
pub(crate) fn float(value: &Json) -> Result<f64, String> {
    let float = match value {
        Json::Bool(value) => f64::from(u8::from(*value)),
        Json::Number(number) => number.as_f64().unwrap_or(f64::NAN),
        Json::String(text) => without_underscores(text.trim())
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| format!("could not convert string to float: {}", repr_text(text)))?,
        other => {
            return Err(format!("float() argument must be a string or a real number, not '{}'", type_name(other)));
        }
    };
    if float.is_finite() { Ok(float) } else { Err(format!("{} is not a finite number", text(value))) }
}

/// `bool(value)`.
pub(crate) fn truth(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(value) => *value,
        Json::Number(number) => number.as_f64() != Some(0.0),
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(members) => !members.is_empty(),
    }
}

fn int_of_text(text: &str) -> Option<i128> {
    let text = without_underscores(text.trim())?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let limit = if text.starts_with('-') { i128::MIN } else { i128::MAX };
    Some(text.parse().unwrap_or(limit))
}

/// Python takes `1_000`: one underscore between two digits.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |index: Option<usize>| index.and_then(|index| bytes.get(index)).is_some_and(u8::is_ascii_digit);
    let misplaced = |index: usize| !digit(index.checked_sub(1)) || !digit(Some(index + 1));
    if bytes.iter().enumerate().any(|(index, byte)| *byte == b'_' && misplaced(index)) {
        return None;
    }
    Some(text.replace('_', ""))
}

/// Rust and Python both write the shortest digits that read back as the same number, and turn to
/// exponents at the same sizes; only the exponent itself looks different: `1e-5` is `1e-05`.
fn repr_float(value: f64) -> String {
    let text = format!("{value:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => {
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
            format!("{digits}e{sign}{exponent:0>2}")
        }
    }
}

fn repr_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut repr = String::with_capacity(text.len() + 2);
    repr.push(quote);
    for character in text.chars() {
        match character {
            '\\' => repr.push_str("\\\\"),
            '\n' => repr.push_str("\\n"),
            '\r' => repr.push_str("\\r"),
            '\t' => repr.push_str("\\t"),
            _ if character == quote => {
                repr.push('\\');
                repr.push(character);
            }
            _ if character.is_control() => repr.push_str(&format!("\\x{:02x}", u32::from(character))),
            _ => repr.push(character),
        }
    }
    repr.push(quote);
    repr
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_print_as_in_python() {
        for (value, expected) in [
            (json!(null), "None"),
            (json!(true), "True"),
            (json!(5), "5"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(5.0), "5.0"),
            (json!(1e16), "1e+16"),
            (json!(1e15), "1000000000000000.0"),
            (json!(0.00001), "1e-05"),
            (json!(0.0001), "0.0001"),
            (json!(1.5e-7), "1.5e-07"),
            (json!(1e300), "1e+300"),
            (json!(-0.0), "-0.0"),
            (json!("it's"), "\"it's\""),
            (json!("a\n\u{1}"), "'a\\n\\x01'"),
            (json!("it's \"x\""), "'it\\'s \"x\"'"),
            (json!(["a", 1, [2.5]]), "['a', 1, [2.5]]"),
            (json!({"a": null, "b": [false]}), "{'a': None, 'b': [False]}"),
        ] {
            assert_eq!(repr(&value), expected);
        }
        assert_eq!(text(&json!("it's")), "it's");
    }

    #[test]
    fn numbers_are_read_as_in_python() {
        for (value, expected) in [
            (json!(4.7), Ok(4)),
            (json!(-4.7), Ok(-4)),
            (json!(true), Ok(1)),
            (json!(" 12 "), Ok(12)),
            (json!("+1_000"), Ok(1000)),
            (json!("4.7"), Err("invalid literal for int() with base 10: '4.7'")),
            (json!("1__0"), Err("invalid literal for int() with base 10: '1__0'")),
            (json!("_1"), Err("invalid literal for int() with base 10: '_1'")),
            (json!(""), Err("invalid literal for int() with base 10: ''")),
            (json!(null), Err("int() argument must be a string, a bytes-like object or a real number, not 'NoneType'")),
        ] {
            assert_eq!(int(&value), expected.map_err(String::from), "{value}");
        }
        for (value, expected) in [
            (json!(" 1_0.5e1 "), Ok(105.0)),
            (json!(".5"), Ok(0.5)),
            (json!("x"), Err("could not convert string to float: 'x'")),
            (json!("inf"), Err("inf is not a finite number")),
            (json!({}), Err("float() argument must be a string or a real number, not 'dict'")),
        ] {
            assert_eq!(float(&value), expected.map_err(String::from), "{value}");
        }
    }
}
