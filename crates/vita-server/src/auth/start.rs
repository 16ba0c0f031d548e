//! Which token is in force, decided once at the start.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use vita_base::Hint;

use super::store::Stored;
use super::token::random_text;
use super::{Settings, TokenHash};

/// The shortest token that is accepted from the command line.
const TOKEN_LENGTH_MIN: usize = 8;
/// How long the answer to the sixth wrong token in a row is held back.
const FAILURE_DELAY: Duration = Duration::from_millis(500);

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// Addresses to listen on.
    pub listen: &'a [IpAddr],
    /// `--token` or `VITASCOPE_TOKEN`. Empty counts as absent.
    pub token: Option<&'a str>,
    /// `--login`: a token is asked for; the first time one is made.
    pub login: bool,
    /// `--no-auth`: everybody may come in.
    pub no_auth: bool,
    /// Where the hash of a made token and the sessions are kept: `login.json` in the user directory.
    pub file: PathBuf,
}

/// What was decided.
#[derive(Clone, Debug)]
pub struct Decided {
    /// For the server.
    pub settings: Settings,
    /// What to print on the console and to pin in the log panel ([`crate::LogRing::pin`]), and nowhere else: it
    /// may hold the token. `None` where everybody may come in.
    pub notice: Option<String>,
}

/// Why the server must not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Others could come in without being asked.
    #[error("listening on {address} lets other machines in, and no token is set")]
    Open {
        /// The address.
        address: IpAddr,
    },
    /// A token that protects nothing or cannot be sent.
    #[error("the token {reason}")]
    BadToken {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// `--no-auth` beside `--token` or `--login`.
    #[error("--no-auth and a token were given together")]
    Contradiction,
    /// The file of logins.
    #[error("cannot keep logins")]
    File(#[from] vita_folders::Error),
}

impl Hint for StartError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Open { .. } => {
                "add --login to have a token made, or --token TOKEN, or --no-auth to let everybody in".into()
            }
            Self::BadToken { .. } => {
                "give at least 8 letters, digits or signs without spaces, or --login to have one made".into()
            }
            Self::Contradiction => "leave one of them out".into(),
            Self::File(error) => return error.hint().or_else(|| Some("remove the file to begin anew".into())),
        })
    }
}

/// Decides whether a token is asked for, and makes one where there is none yet.
///
/// A token given on the command line counts; else one that was made before, whose hash is in the file; else
/// `--login` makes one. Without any, only this machine may be listened to.
///
/// # Errors
/// If others could come in unasked, or the token or the file is unusable.
pub fn decide(start: &Start<'_>) -> Result<Decided, StartError> {
    let given = start.token.filter(|token| !token.is_empty());
    if start.no_auth {
        return if given.is_some() || start.login { Err(StartError::Contradiction) } else { Ok(everybody()) };
    }
    if let Some(token) = given {
        check_token(token)?;
        return Ok(with_token(start, TokenHash::of(token), shown(token)));
    }
    let mut stored = Stored::read(&start.file)?;
    if let Some(hash) = stored.token_sha256.as_deref().and_then(TokenHash::from_hex) {
        let notice = format!(
            "A token is asked for. It was shown at the first start; to have a new one made, remove `{}` and start with --login",
            start.file.display()
        );
        return Ok(with_token(start, hash, notice));
    }
    if start.login {
        let token = random_text();
        let hash = TokenHash::of(&token);
        stored.token_sha256 = Some(hash.to_hex());
        stored.write(&start.file)?;
        return Ok(with_token(start, hash, shown(&token)));
    }
    match start.listen.iter().find(|address| !address.to_canonical().is_loopback()) {
        Some(address) => Err(StartError::Open { address: *address }),
        None => Ok(everybody()),
    }
}

fn everybody() -> Decided {
    Decided { settings: Settings::default(), notice: None }
}

fn with_token(start: &Start<'_>, token: TokenHash, notice: String) -> Decided {
    let file = Some(start.file.clone());
    Decided { settings: Settings { token: Some(token), file, failure_delay: FAILURE_DELAY }, notice: Some(notice) }
}

/// The words that users of ComfyUI look for in the log panel.
fn shown(token: &str) -> String {
    format!("For direct API calls, use token={token}")
}

fn check_token(token: &str) -> Result<(), StartError> {
    let fault = |reason| Err(StartError::BadToken { reason });
    if token.len() < TOKEN_LENGTH_MIN {
        return fault("is shorter than 8 characters");
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return fault("holds a space or a character that cannot be sent in a header");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &[&str] = &["127.0.0.1", "::1"];

    fn check(
        listen: &[&str],
        token: Option<&str>,
        login: bool,
        no_auth: bool,
        file: &std::path::Path,
    ) -> Result<Decided, String> {
        let listen: Vec<IpAddr> = listen.iter().map(|address| address.parse().unwrap()).collect();
        decide(&Start { listen: &listen, token, login, no_auth, file: file.to_owned() })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn nobody_is_let_in_by_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("login.json");
        let open = "listening on 0.0.0.0 lets other machines in, and no token is set";
        for (listen, token, login, no_auth, expected) in [
            (LOCAL, None, false, false, Ok(false)),
            (LOCAL, Some(""), false, false, Ok(false)),
            (
                LOCAL,
                Some("long enough"),
                false,
                false,
                Err("the token holds a space or a character that cannot be sent in a header"),
            ),
            (LOCAL, Some("longenough"), false, false, Ok(true)),
            (&["127.0.0.1", "0.0.0.0"], None, false, false, Err(open)),
            (&["0.0.0.0"], Some(""), false, false, Err(open)),
            (&["192.168.0.5"], Some("longenough"), false, false, Ok(true)),
            (&["0.0.0.0"], None, false, true, Ok(false)),
            (&["0.0.0.0"], Some("longenough"), false, true, Err("--no-auth and a token were given together")),
            (&["::"], Some("short"), false, false, Err("the token is shorter than 8 characters")),
        ] {
            let decided = check(listen, token, login, no_auth, &file).map(|decided| decided.settings.token.is_some());
            assert_eq!(decided, expected.map_err(str::to_owned), "{listen:?} {token:?}");
        }
        assert!(!file.exists());
    }

    #[test]
    fn a_made_token_is_shown_once_and_holds() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("user/login.json");
        let first = check(&["0.0.0.0"], None, true, false, &file).unwrap();
        let notice = first.notice.unwrap();
        let token = notice.strip_prefix("For direct API calls, use token=").unwrap();
        assert!(token.len() == 64 && first.settings.token.unwrap().is_of(token));
        assert!(!std::fs::read_to_string(&file).unwrap().contains(token));

        let again = check(&["0.0.0.0"], None, false, false, &file).unwrap();
        assert!(again.settings.token.unwrap().is_of(token) && !again.notice.unwrap().contains(token));
        // It protects this machine too, until told otherwise.
        assert!(check(LOCAL, None, false, false, &file).unwrap().settings.token.is_some());
        assert!(check(LOCAL, None, false, true, &file).unwrap().settings.token.is_none());
        std::fs::write(&file, "damaged").unwrap();
        assert_eq!(check(LOCAL, None, false, false, &file).unwrap_err(), "cannot keep logins");
    }
}
