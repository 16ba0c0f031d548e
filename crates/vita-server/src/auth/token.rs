//! Tokens and their hashes.

use std::fmt;

use sha2::{Digest, Sha256};

/// Bytes of a random token: 256 bits cannot be guessed.
const RANDOM_BYTES: usize = 32;

/// The SHA-256 of a token. Tokens that this program makes are random, so no slow hash is needed.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &str) -> Self {
        Self(sha256(&[b"vitascope token\0", token.as_bytes()]))
    }

    /// Whether it is the hash of this token, in a time that does not depend on where they differ.
    pub fn is_of(self, token: &str) -> bool {
        is_equal(&self.0, &Self::of(token).0)
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn to_hex(self) -> String {
        hex(&self.0)
    }

    pub(super) fn from_hex(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }
}

/// The hash is not shown either: it would let others check guesses.
impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// A random text for tokens and sessions: 64 hexadecimal digits.
pub(super) fn random_text() -> String {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    hex(&bytes)
}

/// The SHA-256 of pieces one after the other.
pub(super) fn sha256(pieces: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update(piece);
    }
    hash.finalize().into()
}

/// Compares all bytes, whatever the first ones say.
pub(super) fn is_equal(one: &[u8; 32], two: &[u8; 32]) -> bool {
    let difference = one.iter().zip(two).fold(0, |difference, (one, two)| difference | (one ^ two));
    std::hint::black_box(difference) == 0
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_know_their_token_only() {
        let hash = TokenHash::of("s3cret");
        for (token, expected) in
            [("s3cret", true), ("s3cret ", false), ("S3cret", false), ("", false), ("s3cre", false)]
        {
            assert_eq!(hash.is_of(token), expected, "{token}");
        }
        let back = TokenHash::from_hex(&hash.to_hex()).unwrap();
        assert!(
            back.is_of("s3cret")
                && TokenHash::from_hex("00").is_none()
                && TokenHash::from_hex(&"zz".repeat(32)).is_none()
        );
        assert_eq!(format!("{hash:?}"), "TokenHash(..)");
    }

    #[test]
    fn random_texts_are_long_and_differ() {
        let (one, two) = (random_text(), random_text());
        assert!(one.len() == 64 && one != two);
    }
}
