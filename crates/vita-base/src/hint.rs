//! Errors that say what to do: the trait, and how a whole chain of causes is printed.

use std::error::Error;
use std::fmt;

/// An error that may know what the reader should do next.
///
/// The message (`Display`) says what was wrong and where; the hint stands apart from it and
/// says what to do. Both read well without colour.
pub trait Hint: Error {
    /// One sentence of advice without a final period, or `None` where there is nothing to advise.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// An error ready to be shown: message, causes, hint.
#[derive(Debug)]
pub struct Report {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Report {
    /// A report of a message that no typed error stands behind.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), hint: None }
    }

    /// Replaces the hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What was wrong, in one sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it, if anything is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl<E: Hint> From<E> for Report {
    fn from(error: E) -> Self {
        let message = error.to_string();
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // A message that already quotes its cause is not repeated.
            if !message.contains(&text) && !causes.contains(&text) {
                causes.push(text);
            }
            source = cause.source();
        }
        Self { message, causes, hint: error.hint() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        for cause in &self.causes {
            write!(f, "\n  caused by: {cause}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n\nhint: {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read `a.bin`")]
    struct Outer(#[source] std::io::Error);

    impl Hint for Outer {
        fn hint(&self) -> Option<String> {
            Some("check the path".into())
        }
    }

    #[test]
    fn a_report_shows_message_causes_and_hint() {
        let report = Report::from(Outer(std::io::Error::other("disk on fire")));
        assert_eq!(report.to_string(), "error: cannot read `a.bin`\n  caused by: disk on fire\n\nhint: check the path");
    }
}
