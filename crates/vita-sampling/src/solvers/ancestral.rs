//! How much of a step's noise is new.

/// The level to go down to, and the noise that leads back up to `next`, with all of the noise new (eta 1).
pub fn split(sigma: f64, next: f64) -> (f64, f64) {
    let up = next.min((next * next * (sigma * sigma - next * next) / (sigma * sigma)).sqrt());
    ((next * next - up * up).sqrt(), up)
}

/// The same for flows, whose signal shrinks where noise grows: down to a level, then scaled and with noise up.
pub struct Renoise {
    /// The level to go down to.
    pub down: f64,
    /// What the latent there is multiplied with.
    pub scale: f64,
    /// Size of the noise that is added.
    pub noise: f64,
}

impl Renoise {
    /// With all of the noise new (eta 1).
    pub fn of_flow(sigma: f64, next: f64) -> Self {
        let down = next * (next / sigma);
        let scale = (1.0 - next) / (1.0 - down);
        Self { down, scale, noise: (next * next - (down * scale).powi(2)).max(0.0).sqrt() }
    }
}
