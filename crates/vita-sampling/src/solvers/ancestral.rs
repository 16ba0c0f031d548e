//! How much of a step's noise is new.

/// The level to go down to, and the noise that leads back up to `next`, with all of the noise new (eta 1).
pub fn split(sigma: f64, next: f64) -> (f64, f64) {
    let up = next.min((next * next * (sigma * sigma - next * next) / (sigma * sigma)).sqrt());
    ((next * next - up * up).sqrt(), up)
}
