//! The Wan wrapper's weights of prompts: `(words:1.2)` weighs the whole prompt.

/// A prompt without its weights, and their product. A mark is `(`, the fewest characters that end in `:`, digits
/// and dots, and `)`, on one line; of marks that are not so, nothing changes.
pub fn of_whole(prompt: &str) -> (String, f32) {
    let mut plain = String::with_capacity(prompt.len());
    let mut weight = 1.0;
    let mut rest = prompt;
    while let Some(open) = rest.find('(') {
        let (before, inside) = (&rest[..open], &rest[open + 1..]);
        plain.push_str(before);
        rest = match mark(inside) {
            Some((words, factor, after)) => {
                plain.push_str(words);
                weight *= factor;
                after
            }
            None => {
                plain.push('(');
                inside
            }
        };
    }
    plain.push_str(rest);
    (plain, weight)
}

/// `words:1.2)...` -> the words, the weight, and what follows.
fn mark(text: &str) -> Option<(&str, f32, &str)> {
    let line = text.split('\n').next().unwrap_or(text);
    line.match_indices(':').find_map(|(colon, _)| {
        let number = &text[colon + 1..];
        let end = number.find(|letter: char| !(letter.is_ascii_digit() || letter == '.'))?;
        let is_closed = end > 0 && number[end..].starts_with(')');
        Some((&text[..colon], number[..end].parse().ok().filter(|_| is_closed)?, &number[end + 1..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_multiplied_and_their_marks_removed() {
        for (prompt, plain, weight) in [
            ("a cat", "a cat", 1.0),
            ("a (red:1.5) cat", "a red cat", 1.5),
            ("(a:2)(b:0.5) c", "ab c", 1.0),
            ("(a: b:1.2)", "a: b", 1.2),
            ("((a:1.1))", "(a)", 1.1),
            ("(a) (b:x) (c:)", "(a) (b:x) (c:)", 1.0),
            ("(a:1.2.3)", "(a:1.2.3)", 1.0),
            ("(a\nb:1.2)", "(a\nb:1.2)", 1.0),
            ("(红色:3", "(红色:3", 1.0),
        ] {
            assert_eq!(of_whole(prompt), (plain.to_owned(), weight), "{prompt}");
        }
    }
}
