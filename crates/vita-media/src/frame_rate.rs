//! Frames per second as an exact fraction, so that no video drifts by a rounded 23.976.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Frames per second, as a fraction in lowest terms; from 1/1000 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameRate {
    numerator: u32,
    denominator: u32,
}

/// The rates of television that are written rounded: 23.976 means 24000/1001.
const NTSC_NOMINAL: [u32; 5] = [24, 30, 48, 60, 120];
/// How far from the true rate a rounded one may be: people write 23.98 and 23.976.
const NTSC_TOLERANCE: f64 = 0.005;
const EXPECTED: &str = "from 0.001 to 1000, such as 16, 23.976 or 30000/1001";

impl FrameRate {
    /// `numerator / denominator` frames per second.
    ///
    /// # Errors
    /// A rate below 1/1000 or above 1000, or a denominator above 1,000,000 in lowest terms.
    pub fn new(numerator: u32, denominator: u32) -> Result<Self> {
        let divisor = greatest_common_divisor(numerator, denominator).max(1);
        let rate = Self { numerator: numerator / divisor, denominator: denominator / divisor };
        let in_range = numerator > 0
            && (1..=1_000_000).contains(&rate.denominator)
            && u64::from(rate.numerator) <= 1000 * u64::from(rate.denominator)
            && u64::from(rate.denominator) <= 1000 * u64::from(rate.numerator);
        if in_range { Ok(rate) } else { Err(refused(format!("{numerator}/{denominator}"))) }
    }

    /// The fraction meant by a decimal: 23.976 is 24000/1001, 29.97 is 30000/1001, 12.5 is 25/2;
    /// anything else is taken to a thousandth.
    ///
    /// # Errors
    /// Not a number, below 0.001 or above 1000.
    pub fn from_f64(frames_per_second: f64) -> Result<Self> {
        if !(frames_per_second > 0.0 && frames_per_second <= 1000.0) {
            return Err(refused(frames_per_second.to_string()));
        }
        let ntsc = NTSC_NOMINAL.into_iter().find(|&nominal| {
            let rate = f64::from(nominal) * 1000.0 / 1001.0;
            (frames_per_second - rate).abs() < NTSC_TOLERANCE
        });
        match ntsc {
            Some(nominal) => Self::new(nominal * 1000, 1001),
            None => Self::new((frames_per_second * 1000.0).round() as u32, 1000),
        }
    }

    /// The upper part of the fraction, in lowest terms.
    pub fn numerator(self) -> u32 {
        self.numerator
    }

    /// The lower part of the fraction, in lowest terms.
    pub fn denominator(self) -> u32 {
        self.denominator
    }

    /// Frames per second, rounded to the nearest double.
    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// How long `frame_count` frames last.
    pub fn seconds(self, frame_count: u64) -> f64 {
        frame_count as f64 * f64::from(self.denominator) / f64::from(self.numerator)
    }

    /// When the frame at `index` starts, in whole milliseconds, rounded; never drifts.
    pub(crate) fn start_milliseconds(self, index: u64) -> u64 {
        let scaled = u128::from(index) * u128::from(self.denominator) * 1000;
        let numerator = u128::from(self.numerator);
        ((scaled + numerator / 2) / numerator) as u64
    }
}

impl FromStr for FrameRate {
    type Err = Error;

    /// `16`, `23.976` or `30000/1001`.
    fn from_str(text: &str) -> Result<Self> {
        let whole = |part: &str| part.trim().parse().map_err(|_| refused(text.to_owned()));
        match text.split_once('/') {
            Some((numerator, denominator)) => Self::new(whole(numerator)?, whole(denominator)?),
            None => Self::from_f64(text.trim().parse().map_err(|_| refused(text.to_owned()))?),
        }
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator {
            1 => write!(f, "{}", self.numerator),
            denominator => write!(f, "{}/{denominator}", self.numerator),
        }
    }
}

fn refused(found: String) -> Error {
    Error::Setting { name: "the frame rate", found, expected: EXPECTED }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_become_the_fraction_that_is_meant() {
        for (text, expected) in [
            ("16", "16"),
            ("23.976", "24000/1001"),
            ("23.98", "24000/1001"),
            ("29.97", "30000/1001"),
            ("59.94", "60000/1001"),
            ("24", "24"),
            ("12.5", "25/2"),
            ("0.1", "1/10"),
            ("30000/1001", "30000/1001"),
            ("32/2", "16"),
            ("1000", "1000"),
        ] {
            assert_eq!(text.parse::<FrameRate>().unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for text in ["0", "-1", "nan", "inf", "1001", "0.0001", "1/1001", "16/0", "0/5", "fast", "1/2/3", "5000/1"] {
            let message = text.parse::<FrameRate>().unwrap_err().to_string();
            assert!(message.starts_with("the frame rate is "), "{text}: {message}");
        }
    }

    #[test]
    fn milliseconds_do_not_drift() {
        let rate = FrameRate::new(30000, 1001).unwrap();
        assert_eq!([0, 1, 2, 3].map(|index| rate.start_milliseconds(index)), [0, 33, 67, 100]);
        assert_eq!(rate.start_milliseconds(30000), 1_001_000);
    }
}
