//! Names of hosts in `Host` and `Origin`.

use std::net::IpAddr;

/// Whether a page of `origin` (`http://localhost:8188`) may talk to `host` (`localhost:8188`).
///
/// As in ComfyUI only hosts that are this machine are guarded, and ports are compared only where both name one.
/// An origin without a host (`null`) is a foreign one.
pub(super) fn is_same(host: &str, origin: &str) -> bool {
    let (host, host_port) = split(host);
    if !is_loopback(&host) {
        return true;
    }
    let Some((_, origin)) = origin.split_once("://") else { return false };
    let (origin, origin_port) = split(origin);
    host == origin && (host_port.is_none() || origin_port.is_none() || host_port == origin_port)
}

/// Whether a name can only mean this machine or a neighbour: an address, `localhost`, a name without a dot. Names
/// with dots can be anybody's, and can be made to point here.
pub(super) fn is_own_name(host: &str) -> bool {
    let (name, _) = split(host);
    let name = name.trim_end_matches('.');
    name.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost") || !name.contains('.')
}

fn is_loopback(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

/// The name, in lower case and without brackets, and the port.
fn split(host: &str) -> (String, Option<&str>) {
    let host = host.split('/').next().unwrap_or_default();
    let (name, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((address, rest)) => (address, rest.strip_prefix(':')),
        None => match host.rsplit_once(':') {
            // More than one colon: an address without brackets.
            Some((name, _)) if name.contains(':') => (host, None),
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    (name.to_ascii_lowercase(), port.filter(|port| !port.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_origins_are_told_apart() {
        for (host, origin, expected) in [
            ("127.0.0.1:8188", "http://127.0.0.1:8188", true),
            ("localhost:8188", "http://localhost:8188", true),
            ("LOCALHOST:8188", "http://localhost:8188", true),
            ("[::1]:8188", "http://[::1]:8188", true),
            ("localhost", "https://localhost:3000", true),
            ("localhost:8188", "http://localhost", true),
            ("localhost:8188", "http://localhost:3000", false),
            ("localhost:8188", "http://127.0.0.1:8188", false),
            ("127.0.0.1:8188", "https://evil.example", false),
            ("127.0.0.1:8188", "null", false),
            ("127.0.0.1:8188", "", false),
            ("127.0.0.1:8188", "file://", false),
            ("a.localhost:8188", "http://evil.example", false),
            ("127.9.9.9:8188", "http://evil.example", false),
            ("[::ffff:127.0.0.1]:8188", "http://evil.example", false),
            ("gpu.example.com:8188", "https://app.example.com", true),
            ("192.168.0.5:8188", "http://other", true),
        ] {
            assert_eq!(is_same(host, origin), expected, "{host} {origin}");
        }
    }

    #[test]
    fn names_that_anybody_can_own() {
        for (host, expected) in [
            ("127.0.0.1:8188", true),
            ("[::1]:8188", true),
            ("::1", true),
            ("localhost:1", true),
            ("localhost.", true),
            ("page.localhost", true),
            ("workstation:8188", true),
            ("192.168.0.5", true),
            ("evil.example", false),
            ("evil.example:8188", false),
            ("127.0.0.1.evil.example:8188", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.nip.io", false),
        ] {
            assert_eq!(is_own_name(host), expected, "{host}");
        }
    }
}
