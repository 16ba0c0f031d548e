//! Values of flags that are more than one number.

use std::fmt;
use std::str::FromStr;

/// `832x480`: width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

/// Above what any format of videos holds, and far below where numbers of bytes overflow.
const SIDE_MAX: usize = 1 << 14;

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(['x', 'X', '*', '×']);
        let number = |part: &str| part.trim().parse::<usize>().ok();
        let size = parts.and_then(|(width, height)| Some(Self { width: number(width)?, height: number(height)? }));
        match size {
            None => Err("expected WIDTHxHEIGHT in pixels, such as 832x480".to_owned()),
            Some(size) if size.width.max(size.height) > SIDE_MAX => {
                Err(format!("a side has at most {SIDE_MAX} pixels"))
            }
            Some(size) => Ok(size),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// `1,16,5,30,52`: sizes of axes, outermost first, each at least 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(pub Vec<usize>);

/// More elements than this are a slip of the keyboard: 64 GiB of `f32`.
const ELEMENT_COUNT_MAX: usize = 1 << 34;

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes = text.split(',').map(|part| part.trim().parse::<usize>().ok().filter(|&size| size > 0));
        let sizes: Option<Vec<usize>> = sizes.collect();
        let sizes = sizes.ok_or("expected sizes from 1 on with commas between, such as 1,16,5,30,52")?;
        let count = sizes.iter().try_fold(1, |product: usize, &size| product.checked_mul(size));
        match count {
            Some(count) if count <= ELEMENT_COUNT_MAX && sizes.len() <= vita_tensor::Dims::MAX => Ok(Self(sizes)),
            _ => Err("that is more than a tensor can hold".to_owned()),
        }
    }
}

/// `8GiB`: a size in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

const BYTE_UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected a size such as 8GiB or 500MB".to_owned();
        let lower = text.to_ascii_lowercase();
        let of_unit = |(unit, bytes): &(&str, u64)| Some((lower.strip_suffix(&unit.to_ascii_lowercase())?, *bytes));
        let (number, unit) = BYTE_UNITS.iter().find_map(of_unit).ok_or_else(wrong)?;
        let number: f64 = number.trim().parse().map_err(|_| wrong())?;
        let bytes = number * unit as f64;
        if (0.0..u64::MAX as f64).contains(&bytes) { Ok(Self(bytes as u64)) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for text in ["832x480", "832X480", "832*480", "832×480", "832 x 480"] {
            assert_eq!(text.parse(), Ok(Size { width: 832, height: 480 }), "{text}");
        }
        for text in ["", "832", "832x", "x480", "-832x480", "8e2x480", "832x480x3"] {
            assert_eq!(
                text.parse::<Size>(),
                Err("expected WIDTHxHEIGHT in pixels, such as 832x480".to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_size_beyond_any_format_is_a_slip() {
        assert_eq!("16384x16".parse(), Ok(Size { width: 16384, height: 16 }));
        assert_eq!("16x16400".parse::<Size>(), Err("a side has at most 16384 pixels".to_owned()));
    }

    #[test]
    fn bytes() {
        for (text, want) in [
            ("8GiB", 8 << 30),
            ("1.5 mib", 3 << 19),
            ("500MB", 500_000_000),
            ("2kb", 2000),
            ("7B", 7),
            ("1TiB", 1 << 40),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(want)), "{text}");
        }
        for text in ["", "8", "GiB", "-1GiB", "nanGiB", "1e30TB", "8 G"] {
            assert_eq!(text.parse::<Bytes>(), Err("expected a size such as 8GiB or 500MB".to_owned()), "{text}");
        }
    }

    #[test]
    fn shapes() {
        assert_eq!("1,16, 5,30,52".parse(), Ok(Shape(vec![1, 16, 5, 30, 52])));
        assert_eq!("7".parse(), Ok(Shape(vec![7])));
        for (text, want) in [
            ("", "expected sizes"),
            ("1,,2", "expected sizes"),
            ("0,2", "expected sizes"),
            ("[1,2]", "expected sizes"),
            ("1,1,1,1,1,1,1,1,1", "that is more"),
            ("4294967296,4294967296,4294967296", "that is more"),
        ] {
            let error = text.parse::<Shape>().unwrap_err();
            assert!(error.starts_with(want), "{text}: {error}");
        }
    }
}
