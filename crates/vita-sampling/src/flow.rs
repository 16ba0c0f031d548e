//! The parametrisation of flow matching: `x(sigma) = (1 - sigma) x0 + sigma noise`.

use crate::Error;

/// Levels of noise of a model with a given shift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    shift: f64,
}

impl Flow {
    /// Levels of the table that schedules pick from.
    pub const TABLE_LEN: usize = 1000;

    /// A model's timestep is this times sigma.
    pub const TIMESTEP_MAX: f32 = 1000.0;

    /// shift: 0.01 to 1000; Wan models are made for 3 to 12.
    ///
    /// # Errors
    /// If the shift is outside.
    pub fn new(shift: f64) -> Result<Self, Error> {
        match (0.01..=1000.0).contains(&shift) {
            true => Ok(Self { shift }),
            false => Err(Error::Number { what: "shift", value: shift.to_string(), range: "0.01 to 1000" }),
        }
    }

    /// `shift t / (1 + (shift - 1) t)` for a time in 0..=1, in `f32` as ComfyUI rounds it: with some shifts
    /// the highest level falls just short of 1, which solvers that divide by `1 - s` notice.
    pub fn sigma(&self, time: f32) -> f32 {
        if self.shift == 1.0 {
            return time;
        }
        self.shift as f32 * time / (1.0 + (self.shift - 1.0) as f32 * time)
    }

    /// The level that a model reaches after a share of its way: 1 at 0, 0 at 1.
    pub fn sigma_at_percent(&self, percent: f64) -> f32 {
        let time = 1.0 - percent.clamp(0.0, 1.0);
        (self.shift * time / (1.0 + (self.shift - 1.0) * time)) as f32
    }

    /// Level `index` (from 0, the least) of the table.
    pub fn table(&self, index: usize) -> f32 {
        // As ComfyUI computes it: a thousandth, to a timestep, and back.
        let time = (index + 1) as f32 / Self::TABLE_LEN as f32 * Self::TIMESTEP_MAX;
        self.sigma(time / Self::TIMESTEP_MAX)
    }

    /// The least level of the table that is not 0.
    pub fn sigma_min(&self) -> f32 {
        self.table(0)
    }

    /// The highest level.
    pub fn sigma_max(&self) -> f32 {
        self.table(Self::TABLE_LEN - 1)
    }
}
