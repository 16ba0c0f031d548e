//! `(words:1.2)`: how much each part of a prompt counts, in the notation of ComfyUI.
//!
//! `(x)` multiplies the weight around it by 1.1, `(x:w)` sets it to `w` whatever is around, both
//! nest, `\(` and `\)` are plain parentheses. What does not close stays text, and so does a weight
//! that is no finite number.

use std::ops::Range;

use crate::Error;

/// What a pair of parentheses without a number multiplies by.
const EMPHASIS: f64 = 1.1;

/// Each level is read once more, so the depth bounds the work.
const DEPTH_MAX: usize = 256;

/// A prompt as parts with weights, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptWeights {
    /// Never empty in text, and empty for a prompt without any.
    pub segments: Vec<Segment>,
}

/// A part of a prompt that has one weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// The words, markup removed. Spaces are kept.
    pub text: String,
    /// 1 is neutral. May be negative.
    pub weight: f32,
}

impl PromptWeights {
    /// Reads the notation.
    ///
    /// # Errors
    /// Parentheses more than 256 deep.
    pub fn parse(prompt: &str) -> Result<Self, Error> {
        let mut segments = Vec::new();
        // What is read first lies on top.
        let mut unread = vec![(Part::Markup { depth: 0 }, 0..prompt.len(), 1.0)];
        while let Some((part, span, weight)) = unread.pop() {
            match part {
                Part::Text => segments.push(Segment { text: unescape(&prompt[span]), weight: weight as f32 }),
                Part::Markup { depth } if depth > DEPTH_MAX => return Err(Error::Nesting { depth_max: DEPTH_MAX }),
                Part::Markup { depth } => {
                    let parts = split(prompt, span).into_iter().rev();
                    unread.extend(parts.map(|span| match weighted_inside(prompt, span.clone(), weight) {
                        Some((span, weight)) => (Part::Markup { depth: depth + 1 }, span, weight),
                        None => (Part::Text, span, weight),
                    }));
                }
            }
        }
        Ok(Self { segments })
    }

    /// A prompt without markup: all of it counts once.
    pub fn plain(prompt: &str) -> Self {
        let segment = Segment { text: prompt.to_owned(), weight: 1.0 };
        Self { segments: if prompt.is_empty() { Vec::new() } else { vec![segment] } }
    }
}

enum Part {
    /// May have parentheses.
    Markup { depth: usize },
    /// Stands outside of all parentheses that close.
    Text,
}

/// Cuts a stretch of the prompt before each outermost `(` and after the `)` that closes it.
fn split(prompt: &str, span: Range<usize>) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = span.start;
    let mut push = |part: Range<usize>| {
        if !part.is_empty() {
            parts.push(part);
        }
    };
    // A `)` too many counts as -1, so that the next `(` opens nothing: as ComfyUI reads it.
    let mut depth = 0_i64;
    for at in span.clone() {
        if is_parenthesis(prompt, at, b'(') {
            if depth == 0 {
                push(start..at);
                start = at;
            }
            depth += 1;
        } else if is_parenthesis(prompt, at, b')') {
            depth -= 1;
            if depth == 0 {
                push(start..at + 1);
                start = at + 1;
            }
        }
    }
    push(start..span.end);
    parts
}

/// What stands inside if `span` is `(x)` or `(x:w)`, and its weight.
fn weighted_inside(prompt: &str, span: Range<usize>, weight: f64) -> Option<(Range<usize>, f64)> {
    let is_group =
        span.len() >= 2 && is_parenthesis(prompt, span.start, b'(') && is_parenthesis(prompt, span.end - 1, b')');
    if !is_group {
        return None;
    }
    let inside = span.start + 1..span.end - 1;
    let written = prompt[inside.clone()].rfind(':').filter(|&colon| colon > 0).and_then(|colon| {
        let number: f64 = prompt[inside.clone()][colon + 1..].trim().parse().ok()?;
        (number as f32).is_finite().then_some((inside.start..inside.start + colon, number))
    });
    Some(written.unwrap_or((inside, weight * EMPHASIS)))
}

/// Whether the byte at `at` is this parenthesis, not escaped by a backslash before it.
fn is_parenthesis(prompt: &str, at: usize, parenthesis: u8) -> bool {
    let bytes = prompt.as_bytes();
    bytes[at] == parenthesis && (at == 0 || bytes[at - 1] != b'\\')
}

fn unescape(text: &str) -> String {
    text.replace("\\(", "(").replace("\\)", ")")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_nested_absolute_and_escaped_weights() {
        check("", &[]);
        check("()", &[]);
        check("a cat", &[("a cat", 1.0)]);
        check("(cat)", &[("cat", 1.1)]);
        check("a (cat) b", &[("a ", 1.0), ("cat", 1.1), (" b", 1.0)]);
        check("((cat))", &[("cat", 1.21)]);
        check("(a (b (c)))", &[("a ", 1.1), ("b ", 1.21), ("c", 1.331)]);
        check("(cat:1.5)", &[("cat", 1.5)]);
        check("(cat:-0.5)(dog: 2 )", &[("cat", -0.5), ("dog", 2.0)]);
        check("(a (b:0.5) c:3)", &[("a ", 3.0), ("b", 0.5), (" c", 3.0)]);
        check("((a:2))", &[("a", 2.0)]);
        check("(at 10:30:1.3)", &[("at 10:30", 1.3)]);
        check("(红球:1.4)，蓝色", &[("红球", 1.4), ("，蓝色", 1.0)]);
        check(r"\(a\) (b\):2)", &[("(a) ", 1.0), ("b)", 2.0)]);
        check(r"\\(a\)", &[(r"\(a)", 1.0)]);
    }

    #[test]
    fn what_is_no_weight_stays_text() {
        check("(cat:big)", &[("cat:big", 1.1)]);
        check("(:2)", &[(":2", 1.1)]);
        check("(cat:)", &[("cat:", 1.1)]);
        check("(cat:inf)", &[("cat:inf", 1.1)]);
        check("(cat:1e99)", &[("cat:1e99", 1.1)]);
        check("a: 2", &[("a: 2", 1.0)]);
    }

    #[test]
    fn unbalanced_parentheses_stay_text() {
        check("(cat", &[("(cat", 1.0)]);
        check("cat)", &[("cat)", 1.0)]);
        check("a (b", &[("a ", 1.0), ("(b", 1.0)]);
        // One `)` too many takes the next `(` with it.
        check(") (a) (b)", &[(") (a) (b)", 1.0)]);
        check(") ((b))", &[(") (", 1.0), ("b", 1.1), (")", 1.0)]);
        check("(a\\)", &[("(a)", 1.0)]);
        // The stretch from the unclosed `(` to the end looks like a group, and ComfyUI takes it for one.
        check("(a (b)", &[("a ", 1.1), ("(b", 1.1)]);
    }

    #[test]
    fn endless_nesting_is_refused_in_little_time() {
        let prompt = "(".repeat(100_000) + &")".repeat(100_000);
        let error = PromptWeights::parse(&prompt).unwrap_err();
        assert_eq!(error.to_string(), "the prompt nests parentheses more than 256 deep");
        let levels = "(".repeat(100) + "a" + &")".repeat(100);
        assert_eq!(PromptWeights::parse(&levels).unwrap().segments.len(), 1);
    }

    #[track_caller]
    fn check(prompt: &str, expected: &[(&str, f32)]) {
        let found = PromptWeights::parse(prompt).unwrap().segments;
        let texts: Vec<_> = found.iter().map(|segment| segment.text.as_str()).collect();
        assert_eq!(texts, expected.iter().map(|(text, _)| *text).collect::<Vec<_>>(), "{prompt}");
        for (segment, (_, weight)) in found.iter().zip(expected) {
            assert!((segment.weight - weight).abs() < 1e-6, "{prompt}: {segment:?}, expected {weight}");
        }
    }
}
