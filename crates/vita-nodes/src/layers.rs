//! Lists of blocks in text.

/// The numbers of a text, whatever stands between them.
pub(crate) fn block_numbers(text: &str) -> Vec<usize> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_any_text() {
        assert_eq!(block_numbers("7, 8;9 and 10"), [7, 8, 9, 10]);
        assert!(block_numbers("none").is_empty());
    }
}
