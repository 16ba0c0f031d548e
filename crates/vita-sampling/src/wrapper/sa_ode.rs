//! `sa_ode_stable`: Adams and Bashforth's steps on the velocity, whose order, length and smoothness change toward the end.

use vita_tensor::Tensor;

use super::Timetable;
use crate::arithmetic::{combine, direction};

/// What is remembered of the steps before.
#[derive(Default)]
pub struct Past {
    /// The newest last.
    velocities: Vec<Tensor>,
    smooth: Option<Tensor>,
}

/// Schedules of no more steps are walked plainly.
const SHORT: usize = 8;
/// Levels above this are the beginning, where the order is 2.
const BEGINNING: f64 = 0.7;
/// Levels below this are the end, where steps become shorter.
const END: f64 = 0.15;
/// Levels below this go toward the mean velocity.
const LAST: f64 = 0.05;
/// The share of velocities before in a smooth one.
const SMOOTHNESS: f64 = 0.8;

impl Past {
    /// x and denoised: at level `index`; returns the latent at the next level.
    pub fn step(&mut self, x: &Tensor, denoised: &Tensor, index: usize, timetable: &Timetable) -> Tensor {
        let level = |index: usize| f64::from(timetable.sigmas[index]);
        let (sigma, next) = (level(index), level(index + 1));
        let is_long = timetable.schedule_steps > SHORT;
        self.velocities.push(direction(x, denoised, sigma));
        if self.velocities.len() > 4 {
            self.velocities.remove(0);
        }
        let order = if is_long && sigma > END && sigma <= BEGINNING { 3 } else { 2 };
        let mut velocity = self.extrapolated(order);
        let mut length = next - sigma;
        if !is_long {
            return combine([(1.0, x), (length, &velocity)]);
        }
        if let (Some(smooth), true) = (&self.smooth, sigma < END) {
            velocity = combine([(SMOOTHNESS, smooth), (1.0 - SMOOTHNESS, &velocity)]);
        }
        self.smooth = Some(velocity.clone());
        if sigma < END {
            length *= 0.5 + 0.5 * sigma / END;
        }
        match &self.velocities[..] {
            [.., a, b, c] if sigma < LAST => {
                let share = sigma / LAST;
                let mean = (1.0 - share) * length / 3.0;
                combine([(1.0, x), (share * length, &velocity), (mean, a), (mean, b), (mean, c)])
            }
            _ => combine([(1.0, x), (length, &velocity)]),
        }
    }

    /// The velocity of the step, of an order or of as many velocities as there are.
    fn extrapolated(&self, order: usize) -> Tensor {
        match &self.velocities[..] {
            [.., c, b, a] if order == 3 => combine([(23.0 / 12.0, a), (-16.0 / 12.0, b), (5.0 / 12.0, c)]),
            [.., b, a] => combine([(1.5, a), (-0.5, b)]),
            [.., a] => a.clone(),
            [] => unreachable!("the step's own velocity is there"),
        }
    }
}
