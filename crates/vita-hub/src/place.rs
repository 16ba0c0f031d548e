//! Addresses: where a redirect leads, and whether a token may go there.

/// Scheme, host and port of an address: `https://huggingface.co`, lower case. `None` if it has none.
pub fn origin(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest[..end].rsplit('@').next().filter(|host| !host.is_empty())?;
    let (scheme, mut host) = (scheme.to_ascii_lowercase(), host.to_ascii_lowercase());
    let usual = if scheme == "https" { ":443" } else { ":80" };
    if let Some(bare) = host.strip_suffix(usual) {
        host = bare.to_owned();
    }
    Some(format!("{scheme}://{host}"))
}

/// Where a `Location` leads from an address.
pub fn join(from: &str, location: &str) -> Option<String> {
    if location.contains("://") && !location.starts_with('/') {
        return Some(location.to_owned());
    }
    let start = origin(from)?;
    if let Some(rest) = location.strip_prefix("//") {
        return Some(format!("{}://{rest}", start.split_once("://")?.0));
    }
    if location.starts_with('/') {
        return Some(format!("{start}{location}"));
    }
    let path = from.split(['?', '#']).next()?;
    let folder = path.rfind('/').filter(|&at| at >= start.len()).map_or(path.len(), |at| at);
    Some(format!("{}/{location}", &path[..folder]))
}

/// A part of an address as it may stand there; slashes stay.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        for (address, want) in [
            ("https://huggingface.co/a/b?c", Some("https://huggingface.co")),
            ("HTTPS://Huggingface.co:443", Some("https://huggingface.co")),
            ("http://127.0.0.1:80/", Some("http://127.0.0.1")),
            ("http://127.0.0.1:8080/x", Some("http://127.0.0.1:8080")),
            ("https://huggingface.co@elsewhere.example/x", Some("https://elsewhere.example")),
            ("https:///x", None),
            ("huggingface.co", None),
        ] {
            assert_eq!(origin(address).as_deref(), want, "{address}");
        }
    }

    #[test]
    fn redirects_are_absolute_or_relative() {
        let from = "https://hub.example/a/b/c?x=/y";
        for (location, want) in [
            ("https://cdn.example/z?sig=1", "https://cdn.example/z?sig=1"),
            ("//cdn.example/z", "https://cdn.example/z"),
            ("/z", "https://hub.example/z"),
            ("/z?u=https://other.example", "https://hub.example/z?u=https://other.example"),
            ("z", "https://hub.example/a/b/z"),
        ] {
            assert_eq!(join(from, location).as_deref(), Some(want), "{location}");
        }
        assert_eq!(join("https://hub.example", "z").as_deref(), Some("https://hub.example/z"));
    }

    #[test]
    fn escapes() {
        assert_eq!(escaped("split_files/a b+c&d%é.bin"), "split_files/a%20b%2Bc%26d%25%C3%A9.bin");
    }
}
