//! Sessions: what the login page gives to a browser in place of the token.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::http::HeaderValue;
use vita_folders::Result;

use super::store::{Stored, StoredSession};
use super::token::{TokenHash, hex, sha256, unhex};

/// How long a session lives.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// More than this many are not kept; the ones that end first go.
const SESSION_COUNT_MAX: usize = 1000;

/// The open sessions, by hash.
pub(super) struct Sessions {
    token: Option<TokenHash>,
    file: Option<PathBuf>,
    /// Hash of a session, and when it ends, in seconds since 1970.
    open: Mutex<HashMap<[u8; 32], u64>>,
}

impl Sessions {
    /// The sessions that an earlier process left; none where the file cannot be read.
    pub fn load(file: Option<PathBuf>, token: Option<TokenHash>) -> Self {
        let stored = file.as_deref().map(Stored::read).and_then(Result::ok).unwrap_or_default();
        let open = stored.sessions.iter().filter_map(|session| Some((unhex(&session.sha256)?, session.expires)));
        Self { token, file, open: Mutex::new(open.collect()) }
    }

    /// Whether a session is open. Looked up by hash, so the time says nothing about the ids of others.
    pub fn is_open(&self, id: &str, now: SystemTime) -> bool {
        let Some(key) = self.key(id) else { return false };
        self.lock().get(&key).is_some_and(|expires| *expires > seconds(now))
    }

    /// Opens a session.
    pub fn open(&self, id: &str, now: SystemTime) -> Result<()> {
        let Some(key) = self.key(id) else { return Ok(()) };
        let mut open = self.lock();
        open.retain(|_, expires| *expires > seconds(now));
        if open.len() >= SESSION_COUNT_MAX
            && let Some(first) = open.iter().min_by_key(|(_, expires)| **expires).map(|(key, _)| *key)
        {
            open.remove(&first);
        }
        open.insert(key, seconds(now + LIFETIME));
        self.save(&open)
    }

    /// Ends a session.
    pub fn close(&self, id: &str) -> Result<()> {
        let Some(key) = self.key(id) else { return Ok(()) };
        let mut open = self.lock();
        if open.remove(&key).is_some() { self.save(&open) } else { Ok(()) }
    }

    /// Sessions of another token have another hash.
    fn key(&self, id: &str) -> Option<[u8; 32]> {
        let token = self.token?;
        Some(sha256(&[b"vitascope session\0", token.as_bytes(), id.as_bytes()]))
    }

    fn save(&self, open: &HashMap<[u8; 32], u64>) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut stored = Stored::read(file).unwrap_or_default();
        stored.sessions =
            open.iter().map(|(key, expires)| StoredSession { sha256: hex(key), expires: *expires }).collect();
        stored.sessions.sort_by(|one, two| one.sha256.cmp(&two.sha256));
        stored.write(file)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], u64>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cookies do not know ports, so servers beside each other need names of their own.
pub(super) fn cookie_name(token: TokenHash) -> String {
    format!("vitascope_{}", &hex(&sha256(&[b"vitascope cookie\0", token.as_bytes()]))[..8])
}

/// The cookie of a session: not for scripts, not for other sites, over TLS only where there is TLS.
pub(super) fn cookie(token: TokenHash, id: &str, is_secure: bool) -> HeaderValue {
    let secure = if is_secure { "; Secure" } else { "" };
    let age = LIFETIME.as_secs();
    let text = format!("{}={id}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}", cookie_name(token));
    HeaderValue::from_str(&text).expect("hexadecimal digits are ASCII")
}

/// Takes the cookie away.
pub(super) fn no_cookie(token: TokenHash) -> HeaderValue {
    let text = format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax", cookie_name(token));
    HeaderValue::from_str(&text).expect("hexadecimal digits are ASCII")
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(day * 24 * 3600)
    }

    #[test]
    fn sessions_end_by_time_logout_and_token_and_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = Some(folder.path().join("login.json"));
        let (token, other) = (Some(TokenHash::of("one")), Some(TokenHash::of("two")));
        let sessions = Sessions::load(file.clone(), token);
        sessions.open("a", at(1)).unwrap();
        sessions.open("b", at(2)).unwrap();
        assert!(sessions.is_open("a", at(30)) && !sessions.is_open("a", at(31)) && !sessions.is_open("c", at(1)));
        sessions.close("a").unwrap();
        assert!(!sessions.is_open("a", at(2)));
        let text = std::fs::read_to_string(file.as_ref().unwrap()).unwrap();
        assert!(text.contains("sha256") && !text.contains("\"b\""), "{text}");

        assert!(Sessions::load(file.clone(), token).is_open("b", at(3)));
        assert!(!Sessions::load(file.clone(), other).is_open("b", at(3)));
        assert!(!Sessions::load(file, None).is_open("b", at(3)));
    }

    #[test]
    fn there_are_not_endlessly_many() {
        let sessions = Sessions::load(None, Some(TokenHash::of("one")));
        for index in 0..SESSION_COUNT_MAX as u64 + 5 {
            sessions.open(&index.to_string(), at(1) + Duration::from_secs(index)).unwrap();
        }
        assert_eq!(sessions.lock().len(), SESSION_COUNT_MAX);
        assert!(!sessions.is_open("0", at(1)) && sessions.is_open("1004", at(1)));
    }
}
