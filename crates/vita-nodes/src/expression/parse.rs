//! Text to tree: a tokenizer and one function for each level of Python's operators.

use super::Number;

/// A part of an expression.
#[derive(Debug, PartialEq)]
pub enum Tree {
    Number(Number),
    Name(String),
    Unary(&'static str, Box<Tree>),
    Binary(&'static str, Box<Tree>, Box<Tree>),
    /// `a < b <= c`: each operator with its right side.
    Chain(Box<Tree>, Vec<(&'static str, Tree)>),
    /// Condition, then, otherwise.
    Choice(Box<[Tree; 3]>),
    Call(String, Vec<Tree>),
    Item(Box<Tree>, Box<Tree>),
}

/// Nesting beyond this is refused: it would only exhaust the stack.
const DEPTH_MAX: usize = 100;
const TOO_DEEP: &str = "the expression is nested too deeply";

/// The tree of a text.
pub fn parse(text: &str) -> Result<Tree, String> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0 };
    let tree = parser.choice()?;
    match parser.tokens.get(parser.next) {
        None => Ok(tree),
        Some(token) => Err(format!("`{}` at {} does not belong there", token.text, token.at)),
    }
}

struct Token {
    text: String,
    /// Of the first character, from 1.
    at: usize,
    kind: TokenKind,
}

#[derive(Clone, Copy, PartialEq)]
enum TokenKind {
    Number(Number),
    Name,
    Sign,
}

/// Longer ones first.
const SIGNS: [&str; 27] = [
    "**", "//", "<<", ">>", "<=", ">=", "==", "!=", "+", "-", "*", "/", "%", "&", "|", "^", "~", "<", ">", "(", ")",
    "[", "]", ",", "and", "or", "not",
];
const WORDS: [&str; 6] = ["and", "or", "not", "if", "else", "in"];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return Ok(found) };
        let at = text[..text.len() - rest.len()].chars().count() + 1;
        let (length, kind) =
            if first.is_ascii_digit() || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit())) {
                let length = number_length(rest);
                (length, TokenKind::Number(number(&rest[..length])?))
            } else if first.is_alphabetic() || first == '_' {
                let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let word = &rest[..length];
                (length, if WORDS.contains(&word) { TokenKind::Sign } else { TokenKind::Name })
            } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                (sign.len(), TokenKind::Sign)
            } else {
                return Err(format!("`{first}` at {at} is not part of an expression"));
            };
        found.push(Token { text: rest[..length].into(), at, kind });
        rest = &rest[length..];
    }
}

fn number_length(text: &str) -> usize {
    let mut previous = ' ';
    let is_hex = text.starts_with("0x") || text.starts_with("0X");
    let end = text.find(|c: char| {
        let is_exponent_sign = matches!(c, '+' | '-') && matches!(previous, 'e' | 'E') && !is_hex;
        previous = c;
        !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || is_exponent_sign)
    });
    end.unwrap_or(text.len())
}

fn number(text: &str) -> Result<Number, String> {
    let plain = text.replace('_', "");
    let hex = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X"));
    let whole = match hex {
        Some(digits) => i128::from_str_radix(digits, 16).ok(),
        None => plain.parse().ok(),
    };
    if let Some(whole) = whole {
        return Ok(Number::Int(whole));
    }
    plain.parse().map(Number::Float).map_err(|_| format!("`{text}` is no number"))
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

/// Operators of two operands from the loosest to the tightest, below comparison.
const LEVELS: [&[&str]; 6] = [&["|"], &["^"], &["&"], &["<<", ">>"], &["+", "-"], &["*", "//", "/", "%"]];
const COMPARISONS: [&str; 7] = ["<=", ">=", "==", "!=", "<", ">", "in"];

impl Parser {
    fn choice(&mut self) -> Result<Tree, String> {
        self.deeper(|parser| {
            let then = parser.either()?;
            if parser.take(&["if"]).is_none() {
                return Ok(then);
            }
            let condition = parser.either()?;
            parser.expect("else")?;
            Ok(Tree::Choice(Box::new([condition, then, parser.choice()?])))
        })
    }

    fn either(&mut self) -> Result<Tree, String> {
        let mut left = self.both()?;
        while let Some(sign) = self.take(&["or"]) {
            left = Tree::Binary(sign, Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Tree, String> {
        let mut left = self.negation()?;
        while let Some(sign) = self.take(&["and"]) {
            left = Tree::Binary(sign, Box::new(left), Box::new(self.negation()?));
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Tree, String> {
        match self.take(&["not"]) {
            Some(sign) => self.deeper(|parser| Ok(Tree::Unary(sign, Box::new(parser.negation()?)))),
            None => self.comparison(),
        }
    }

    fn comparison(&mut self) -> Result<Tree, String> {
        let left = self.level(0)?;
        let mut chain = Vec::new();
        while let Some(sign) = self.take(&COMPARISONS) {
            chain.push((sign, self.level(0)?));
        }
        Ok(if chain.is_empty() { left } else { Tree::Chain(Box::new(left), chain) })
    }

    fn level(&mut self, level: usize) -> Result<Tree, String> {
        let Some(signs) = LEVELS.get(level) else { return self.signed() };
        let mut left = self.level(level + 1)?;
        while let Some(sign) = self.take(signs) {
            left = Tree::Binary(sign, Box::new(left), Box::new(self.level(level + 1)?));
        }
        Ok(left)
    }

    fn signed(&mut self) -> Result<Tree, String> {
        match self.take(&["+", "-", "~"]) {
            Some(sign) => self.deeper(|parser| Ok(Tree::Unary(sign, Box::new(parser.signed()?)))),
            None => self.power(),
        }
    }

    fn power(&mut self) -> Result<Tree, String> {
        let base = self.value()?;
        match self.take(&["**"]) {
            Some(sign) => self.deeper(|parser| Ok(Tree::Binary(sign, Box::new(base), Box::new(parser.signed()?)))),
            None => Ok(base),
        }
    }

    fn value(&mut self) -> Result<Tree, String> {
        let Some(token) = self.tokens.get(self.next) else {
            return Err("the expression ends where a value should stand".into());
        };
        let (text, at, kind) = (token.text.clone(), token.at, token.kind);
        self.next += 1;
        let mut tree = match kind {
            TokenKind::Number(number) => Tree::Number(number),
            TokenKind::Name if self.take(&["("]).is_some() => Tree::Call(text, self.arguments()?),
            TokenKind::Name => Tree::Name(text),
            TokenKind::Sign if text == "(" => {
                let inner = self.choice()?;
                self.expect(")")?;
                inner
            }
            TokenKind::Sign => return Err(format!("`{text}` at {at} does not belong there")),
        };
        while self.take(&["["]).is_some() {
            let index = self.choice()?;
            self.expect("]")?;
            tree = Tree::Item(Box::new(tree), Box::new(index));
        }
        Ok(tree)
    }

    fn arguments(&mut self) -> Result<Vec<Tree>, String> {
        let mut arguments = Vec::new();
        while self.take(&[")"]).is_none() {
            arguments.push(self.choice()?);
            if self.take(&[","]).is_none() {
                self.expect(")")?;
                break;
            }
        }
        Ok(arguments)
    }

    /// The next token if it is one of these signs.
    fn take(&mut self, signs: &[&'static str]) -> Option<&'static str> {
        let token = self.tokens.get(self.next).filter(|token| token.kind == TokenKind::Sign)?;
        let sign = signs.iter().find(|sign| **sign == token.text)?;
        self.next += 1;
        Some(sign)
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), String> {
        match (self.take(&[sign]), self.tokens.get(self.next)) {
            (Some(_), _) => Ok(()),
            (None, Some(token)) => Err(format!("`{sign}` is missing before `{}` at {}", token.text, token.at)),
            (None, None) => Err(format!("`{sign}` is missing at the end")),
        }
    }

    fn deeper(&mut self, parse: impl FnOnce(&mut Self) -> Result<Tree, String>) -> Result<Tree, String> {
        if self.depth == DEPTH_MAX {
            return Err(TOO_DEEP.into());
        }
        self.depth += 1;
        let tree = parse(self);
        self.depth -= 1;
        tree
    }
}
