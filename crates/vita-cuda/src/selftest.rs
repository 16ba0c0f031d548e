//! Every kernel held to its reference, on whatever machine is given.
//!
//! A case makes its inputs from a seed, poisons the output, runs the op, and compares with the reference in f64 by
//! `|got - want| / |want|` over all elements; a NaN where there should be none never passes.

use std::sync::Arc;

use crate::error::Result;
use crate::machine::Machine;
use crate::memory::{Buffer, Pool};
use crate::ops::{Float, Rows};

/// One check of an op.
pub struct Case {
    /// The op.
    pub op: &'static str,
    /// Sizes and types.
    pub title: String,
    /// The largest relative error that passes.
    pub error_max: f64,
    /// Whether a machine can run it.
    pub runs_on: fn(crate::Arch) -> bool,
    /// Runs it, and gives what came out beside what should.
    pub run: Run,
}

/// What a case does.
pub type Run = Box<dyn Fn(&Bench) -> Result<Vec<Pair>> + Send + Sync>;

/// What came out, and what should.
pub struct Pair {
    /// As decoded from the card.
    pub got: Vec<f32>,
    /// As the reference has it.
    pub want: Vec<f64>,
}

/// What became of a case.
pub struct Outcome {
    /// The op.
    pub op: &'static str,
    /// Sizes and types.
    pub title: String,
    /// What was found.
    pub verdict: Verdict,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Near enough: the relative error.
    Passed(f64),
    /// Too far off: the relative error and the bound.
    Wrong(f64, f64),
    /// It did not run.
    Failed(String),
    /// This machine cannot run it.
    Skipped,
}

/// Runs every case of [`crate::ops`] whose op's name contains `filter`.
pub fn run(machine: &Arc<dyn Machine>, filter: &str) -> Vec<Outcome> {
    let cases = crate::ops::cases().into_iter().filter(|case| case.op.contains(filter));
    run_cases(&Pool::new(machine.clone(), None), cases)
}

/// Runs cases in a pool's memory.
pub fn run_cases(pool: &Pool, cases: impl IntoIterator<Item = Case>) -> Vec<Outcome> {
    let arch = pool.machine().properties().arch;
    let outcome = |case: Case| {
        let verdict = if (case.runs_on)(arch) { verdict(&case, pool) } else { Verdict::Skipped };
        Outcome { op: case.op, title: case.title, verdict }
    };
    cases.into_iter().map(outcome).collect()
}

fn verdict(case: &Case, pool: &Pool) -> Verdict {
    match (case.run)(&Bench { pool }) {
        Ok(pairs) => {
            let error = pairs
                .iter()
                .map(relative_error)
                .fold(0.0, |most: f64, error| if error.is_nan() || most.is_nan() { f64::NAN } else { most.max(error) });
            if error <= case.error_max { Verdict::Passed(error) } else { Verdict::Wrong(error, case.error_max) }
        }
        Err(error) => Verdict::Failed(error.to_string()),
    }
}

/// `|got - want| / |want|`; NaN where either has one that the other has not.
fn relative_error(pair: &Pair) -> f64 {
    assert_eq!(pair.got.len(), pair.want.len(), "elements");
    let (mut difference, mut size) = (0.0, 0.0);
    for (&got, &want) in pair.got.iter().zip(&pair.want) {
        if got.is_nan() && want.is_nan() {
            continue;
        }
        difference += (f64::from(got) - want).powi(2);
        size += want * want;
    }
    // Where all should be zero, the error is absolute.
    (difference / if size > 0.0 { size } else { 1.0 }).sqrt()
}

/// Where a case finds its memory and its numbers.
pub struct Bench<'a> {
    /// The card's memory.
    pub pool: &'a Pool,
}

/// Numbers of a case, on the host and on the card.
pub struct Numbers {
    /// What the card holds, exactly.
    pub values: Vec<f32>,
    /// The same on the card.
    pub buffer: Buffer,
    float: Float,
}

impl Bench<'_> {
    /// The machine.
    pub fn machine(&self) -> &dyn Machine {
        &**self.pool.machine()
    }

    /// Numbers around zero of about unit size, rounded to the type.
    ///
    /// # Errors
    /// If the card has no room.
    pub fn random(&self, random: &mut Random, float: Float, count: usize) -> Result<Numbers> {
        self.numbers((0..count).map(|_| random.normal()).collect(), float)
    }

    /// Given numbers, rounded to the type.
    ///
    /// # Errors
    /// If the card has no room.
    pub fn numbers(&self, values: Vec<f32>, float: Float) -> Result<Numbers> {
        let mut bytes = Vec::new();
        for value in values {
            float.encode(value, &mut bytes);
        }
        let values = decode(float, &bytes);
        Ok(Numbers { values, buffer: self.pool.upload(&bytes)?, float })
    }

    /// Room for results, filled with bytes that are NaN in every type.
    ///
    /// # Errors
    /// If the card has no room.
    pub fn poisoned(&self, float: Float, count: usize) -> Result<Buffer> {
        let buffer = self.pool.allocate(count as u64 * float.bytes())?;
        self.pool.fill(buffer.slice(), 0xff)?;
        Ok(buffer)
    }

    /// Numbers from the card.
    ///
    /// # Errors
    /// If the card does not answer.
    pub fn read(&self, buffer: &Buffer, float: Float) -> Result<Vec<f32>> {
        Ok(decode(float, &self.pool.download(buffer.slice())?))
    }
}

impl Numbers {
    /// As rows without gaps.
    pub fn rows(&self, width: usize) -> Rows<'_> {
        Rows::new(self.buffer.slice(), self.float, self.values.len() / width, width)
    }
}

fn decode(float: Float, bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(float.bytes() as usize).map(|element| float.decode(element)).collect()
}

/// The same numbers from the same seed everywhere.
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1.
    pub fn uniform(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Nearly normal: twelve uniform numbers less six.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_not_pass_does_not() {
        let error = |got: &[f32], want: &[f64]| relative_error(&Pair { got: got.into(), want: want.into() });
        assert_eq!(error(&[1.0, 2.0], &[1.0, 2.0]), 0.0);
        assert!((error(&[1.01, 0.0], &[1.0, 0.0]) - 0.01).abs() < 1e-6);
        assert!(error(&[f32::NAN, 2.0], &[1.0, 2.0]).is_nan());
        assert!(error(&[1.0, 2.0], &[f64::NAN, 2.0]).is_nan());
        assert_eq!(error(&[f32::NAN, 2.0], &[f64::NAN, 2.0]), 0.0);
        assert_eq!(error(&[1.0], &[0.0]), 1.0, "absolute around zero");
    }
}
