//! What else may be done at each step, as it flows along `EXPERIMENTALARGS` links.

use vita_pipeline::CfgZeroStar;

/// What is switched on of the experiments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Experiments {
    /// Guidance whose negative answer is scaled.
    pub cfg_zero_star: Option<CfgZeroStar>,
}
