//! How precisely attention is computed, and what of it a card can do.

use std::fmt;
use std::str::FromStr;
use std::sync::Once;

use super::eight_bits::{self, Values};
use super::{Attention, attention};
use crate::arch::Arch;
use crate::error::Result;
use crate::memory::Pool;

/// How precisely attention is computed. Softmax and sums are f32 in all modes.
///
/// The 8-bit modes follow Zhang et al., "SageAttention" (arXiv 2410.02367) and "SageAttention2" (2411.10958): q and k
/// are rounded to 8 bits by a scale for each block of tokens, k without its mean over tokens. Scratch is needed for the
/// codes of k and v; q is rounded where it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// In the 16 bits of q, k and v.
    #[default]
    Bf16,
    /// Scores of int8, weights and values in their 16 bits.
    Int8,
    /// Scores of int8, weights and values as well: values by a scale for each column, so that a value far beyond the
    /// others of its column costs these their digits.
    Int8All,
    /// Scores of int8, weights and values as e4m3, values by a scale for each column. From Ada on.
    Fp8,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Bf16, Self::Int8, Self::Int8All, Self::Fp8];

    /// This mode, or the nearest that the generation has.
    #[must_use]
    pub fn on(self, arch: Arch) -> Self {
        if self == Self::Fp8 && !arch.has_fp8() { Self::Int8 } else { self }
    }

    /// Memory that [`attention_in`] takes from the pool for so many keys, all heads together `width` wide.
    pub fn scratch_bytes(self, keys: usize, width: usize) -> u64 {
        self.values().map_or(0, |values| eight_bits::scratch_bytes(values, keys, width))
    }

    /// What becomes of the values, in the 8-bit modes.
    pub(super) fn values(self) -> Option<Values> {
        match self {
            Self::Bf16 => None,
            Self::Int8 => Some(Values::Kept),
            Self::Int8All => Some(Values::S8),
            Self::Fp8 => Some(Values::E4m3),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Int8All => "int8-all",
            Self::Fp8 => "fp8",
        })
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        Self::ALL.into_iter().find(|mode| mode.to_string() == text).ok_or_else(|| {
            let names: Vec<String> = Self::ALL.iter().map(|mode| format!("`{mode}`")).collect();
            format!("attention is one of {}", names.join(", "))
        })
    }
}

/// As [`attention`], in the wanted mode or the nearest that the card has, which is returned; that another was taken is
/// logged once. Scratch comes from the pool.
///
/// # Panics
/// As [`attention`].
///
/// # Errors
/// If the card has no room for the scratch, or does not answer.
pub fn attention_in(pool: &Pool, mode: Mode, call: Attention) -> Result<Mode> {
    let properties = pool.machine().properties();
    let chosen = mode.on(properties.arch);
    if chosen != mode {
        static SAID: Once = Once::new();
        SAID.call_once(|| tracing::info!("attention: {} has no {mode}, chose {chosen}", properties.name));
    }
    match chosen.values() {
        None => attention(&**pool.machine(), call)?,
        Some(values) => eight_bits::attention(pool, values, call)?,
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_without_a_mode_gets_the_nearest() {
        for (mode, arch, want) in [
            (Mode::Fp8, Arch::SM_80, Mode::Int8),
            (Mode::Fp8, Arch::SM_86, Mode::Int8),
            (Mode::Fp8, Arch::SM_89, Mode::Fp8),
            (Mode::Fp8, Arch::SM_120, Mode::Fp8),
            (Mode::Int8All, Arch::SM_80, Mode::Int8All),
            (Mode::Bf16, Arch::SM_90, Mode::Bf16),
        ] {
            assert_eq!(mode.on(arch), want, "{mode} on {arch}");
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
    }

    #[test]
    fn scratch_holds_a_byte_for_each_number_and_little_else() {
        for (mode, copies) in [(Mode::Bf16, 0), (Mode::Int8, 1), (Mode::Int8All, 2), (Mode::Fp8, 2)] {
            let (bytes, numbers) = (mode.scratch_bytes(75_600, 5120), 75_600 * 5120);
            assert!(bytes >= copies * numbers && bytes <= copies * (numbers + numbers / 100), "{mode}: {bytes}");
        }
    }
}
