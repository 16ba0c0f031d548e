//! Arithmetic in Python's words: `floor(a * b) + 1`, `max(values) if c else 2 ** 3`.
//!
//! What Python's rules say holds here: `//` and `%` round down, `/` is never whole, `and` and `or` give one of
//! their operands, `a < b < c` is a chain. Whole numbers have 127 bits; what does not fit is an error.

mod eval;
mod number;
mod parse;

pub use number::Number;

/// The value of an expression. `names` are the variables; all of them together are the list `values`.
///
/// # Errors
/// What cannot be read, is not known, or is no number.
pub fn evaluate(expression: &str, names: &[(String, Number)]) -> Result<Number, String> {
    let tree = parse::parse(expression)?;
    match eval::eval(&tree, names)? {
        eval::Item::One(number) => Ok(number),
        eval::Item::Many(_) => Err("the result is a list; it must be one number".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<(String, Number)> {
        vec![
            ("a".into(), Number::Float(5.0)),
            ("b".into(), Number::Int(16)),
            ("c".into(), Number::Bool(true)),
            ("d".into(), Number::Int(-7)),
        ]
    }

    /// Every right side is what Python 3 says.
    #[test]
    fn what_python_says() {
        for (expression, want) in [
            ("floor(a * b) + 1", "81"),
            ("1 + 2 * 3", "7"),
            ("(1 + 2) * 3", "9"),
            ("2 ** 3 ** 2", "512"),
            ("-2 ** 2", "-4"),
            ("2 ** -1", "0.5"),
            ("7 / 2", "3.5"),
            ("8 / 2", "4.0"),
            ("d // 2", "-4"),
            ("d % 3", "2"),
            ("7 % -3", "-2"),
            ("-7.5 // 2", "-4.0"),
            ("5.5 % -2", "-0.5"),
            ("round(2.5)", "2"),
            ("round(3.5)", "4"),
            ("round(2.675, 2)", "2.67"),
            ("round(1234, -2)", "1200"),
            ("ceil(-1.5)", "-1"),
            ("floor(-1.5)", "-2"),
            ("int(-1.9)", "-1"),
            ("int(c)", "1"),
            ("float(3)", "3.0"),
            ("abs(d)", "7"),
            ("min(3, 1.5, 2)", "1.5"),
            ("max(values)", "16"),
            ("sum(values)", "15.0"),
            ("sum(1, 2, 3)", "6"),
            ("values[1]", "16"),
            ("values[-1]", "-7"),
            ("pow(2, 10)", "1024"),
            ("sqrt(16)", "4.0"),
            ("log2(8)", "3.0"),
            ("log(8, 2)", "3.0"),
            ("log10(1000)", "3.0"),
            ("sin(0)", "0.0"),
            ("a > 4 and b", "16"),
            ("0 or 3", "3"),
            ("not a", "False"),
            ("1 < 2 < 3", "True"),
            ("1 < 3 < 2", "False"),
            ("1 == 1.0", "True"),
            ("1 if c else 2", "1"),
            ("1 if a < 2 else 2 if d > 0 else 3", "3"),
            ("b & 24 | 3", "19"),
            ("b ^ 1", "17"),
            ("~b", "-17"),
            ("b >> 2 << 1", "8"),
            ("1e3", "1000.0"),
            (".5 + 1.", "1.5"),
            ("0x10 + 1_000", "1016"),
            ("True + True", "2"),
            ("3 in values", "False"),
            ("16 in values", "True"),
        ] {
            let found = evaluate(expression, &names()).unwrap_or_else(|error| panic!("{expression}: {error}"));
            assert_eq!(found.to_string(), want, "{expression}");
        }
    }

    #[test]
    fn what_cannot_be_says_why() {
        for (expression, want) in [
            ("1 +", "the expression ends where a value should stand"),
            ("1 2", "`2` at 3 does not belong there"),
            ("(1", "`)` is missing at the end"),
            ("e + 1", "`e` is not known; the values are a, b, c, d"),
            (
                "exp(1)",
                "`exp` is no function; there are sum, min, max, abs, round, pow, sqrt, ceil, floor, log, log2, log10, sin, cos, tan, int, float",
            ),
            ("1 / 0", "division by zero"),
            ("d % 0", "division by zero"),
            ("sqrt(-1)", "`sqrt` is not defined for -1"),
            ("2 ** 127", "the result is too large"),
            ("2 ** 99999999", "the exponent 99999999 is too large"),
            ("pow(2, 5000)", "the exponent 5000 is too large"),
            ("values", "the result is a list; it must be one number"),
            ("values[9]", "`values` has no item 9"),
            ("round(1, 2, 3)", "`round` takes 1 to 2 values, not 3"),
            ("a $ b", "`$` at 3 is not part of an expression"),
            ("1.5 & 2", "`&` takes whole numbers"),
            ("min()", "`min` takes at least one value"),
            (&"(".repeat(200), "the expression is nested too deeply"),
            (&"-".repeat(5000), "the expression is nested too deeply"),
        ] {
            assert_eq!(evaluate(expression, &names()).unwrap_err(), want, "{expression}");
        }
    }
}
