//! `name=value&name=value`, as in queries and forms.

use percent_encoding::percent_decode;

/// The first value of a name.
pub(super) fn value(form: &[u8], name: &str) -> Option<String> {
    form.split(|byte| *byte == b'&').find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        (decoded(&pair[..at]) == name).then(|| decoded(&pair[at + 1..]))
    })
}

fn decoded(text: &[u8]) -> String {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded() {
        for (form, expected) in [
            ("token=a", Some("a")),
            ("x=1&token=%242b%2412%24+y&token=z", Some("$2b$12$ y")),
            ("t%6fken=a", Some("a")),
            ("token=", Some("")),
            ("token", None),
            ("tokens=a", None),
            ("", None),
        ] {
            assert_eq!(value(form.as_bytes(), "token").as_deref(), expected, "{form}");
        }
    }
}
