//! Values of flags that are more than one number.

use std::fmt;
use std::str::FromStr;

/// `832x480`: width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(['x', 'X', '*', '×']);
        let number = |part: &str| part.trim().parse::<usize>().ok();
        parts
            .and_then(|(width, height)| Some(Self { width: number(width)?, height: number(height)? }))
            .ok_or_else(|| "expected WIDTHxHEIGHT in pixels, such as 832x480".to_owned())
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
        let sizes = sizes.ok_or_else(|| "expected sizes from 1 on with commas between, such as 1,16,5,30,52")?;
        let count = sizes.iter().try_fold(1, |product: usize, &size| product.checked_mul(size));
        match count {
            Some(count) if count <= ELEMENT_COUNT_MAX && sizes.len() <= vita_tensor::Dims::MAX => Ok(Self(sizes)),
            _ => Err("that is more than a tensor can hold".to_owned()),
        }
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
