//! Generations of cards: what they are called and what they can do.

use std::fmt;

/// Compute capability of a card, such as 9.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arch {
    /// Before the point.
    pub major: u32,
    /// After the point.
    pub minor: u32,
}

impl Arch {
    /// A100.
    pub const SM_80: Self = Self { major: 8, minor: 0 };
    /// RTX 30, A10, A40.
    pub const SM_86: Self = Self { major: 8, minor: 6 };
    /// RTX 40, L4, L40.
    pub const SM_89: Self = Self { major: 8, minor: 9 };
    /// H100, H200.
    pub const SM_90: Self = Self { major: 9, minor: 0 };
    /// B200.
    pub const SM_100: Self = Self { major: 10, minor: 0 };
    /// RTX 50.
    pub const SM_120: Self = Self { major: 12, minor: 0 };

    /// The generations that every kernel is compiled for before it is released.
    pub const CHECKED: [Self; 6] = [Self::SM_80, Self::SM_86, Self::SM_89, Self::SM_90, Self::SM_100, Self::SM_120];

    /// The oldest that the kernels run on: they need the asynchronous copies and bf16 products that came with it.
    pub const OLDEST: Self = Self::SM_80;

    /// `sm_90a`: machine code for exactly this generation, with the instructions that no other has.
    pub fn machine_code(self) -> String {
        let own_instructions = if self.has_wgmma() || self.major == 10 { "a" } else { "" };
        format!("sm_{}{}{own_instructions}", self.major, self.minor)
    }

    /// `compute_80`: code that the driver turns into machine code of this or any newer generation.
    pub fn virtual_code(self) -> String {
        format!("compute_{}{}", self.major, self.minor)
    }

    /// Whether the matrix units multiply 8-bit floats.
    pub fn has_fp8(self) -> bool {
        self >= Self::SM_89
    }

    /// Whether warpgroups multiply straight from shared memory (`wgmma`): Hopper only.
    pub fn has_wgmma(self) -> bool {
        self == Self::SM_90
    }

    /// Whether tiles are copied by descriptor (TMA).
    pub fn has_tensor_maps(self) -> bool {
        self >= Self::SM_90
    }

    /// Most shared memory of one block, in bytes.
    pub fn shared_bytes_max(self) -> u32 {
        let kib = match (self.major, self.minor) {
            (8, 0) => 163,
            (8, 7) => 163,
            (9 | 10, _) => 227,
            _ => 99,
        };
        kib << 10
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_abilities() {
        for (arch, name, fp8, wgmma) in [
            (Arch::SM_80, "sm_80", false, false),
            (Arch::SM_86, "sm_86", false, false),
            (Arch::SM_89, "sm_89", true, false),
            (Arch::SM_90, "sm_90a", true, true),
            (Arch::SM_100, "sm_100a", true, false),
            (Arch::SM_120, "sm_120", true, false),
        ] {
            assert_eq!((arch.machine_code().as_str(), arch.has_fp8(), arch.has_wgmma()), (name, fp8, wgmma));
        }
    }
}
