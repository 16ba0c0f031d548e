//! Which steps may be left out, as it flows along `CACHEARGS` links.

use vita_graph::{InputError, Inputs};
use vita_pipeline::{CacheRule, CacheTables, PassCache, TeaMeasure, Transformer};

/// Which steps may be left out. What that means is known with the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CacheArgs {
    /// How it is decided.
    pub kind: CacheKind,
    /// The first step, from 0, that may be left out.
    pub start_step: usize,
    /// The last; `None` is the run's last.
    pub end_step: Option<usize>,
}

/// How it is decided which steps are left out, up to which sum of estimates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CacheKind {
    /// By the timestep; with the model's polynomials or as it is.
    Tea { threshold: f64, measure: TeaKind },
    /// By measured ratios, so many steps in a row.
    Mag { threshold: f64, skips_max: usize },
    /// By the tokens.
    Easy { threshold: f64 },
}

/// What TeaCache looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeaKind {
    /// The timestep's embedding: `e`.
    Embedding,
    /// The modulation made of it: `e0`.
    Modulation,
    /// The modulation, without coefficients.
    Plain,
}

impl CacheArgs {
    /// Of a node's inputs `start_step` and `end_step`.
    ///
    /// # Errors
    /// If one is missing.
    pub fn of(kind: CacheKind, inputs: &Inputs) -> Result<Self, InputError> {
        let end_step = usize::try_from(inputs.int("end_step")?).ok();
        Ok(Self { kind, start_step: inputs.count("start_step")?, end_step })
    }

    /// With the tables of a model.
    pub fn for_model(self, model: &Transformer) -> PassCache {
        let tables = CacheTables::of(model.config(), model.file());
        let rule = match self.kind {
            CacheKind::Tea { threshold, measure } => {
                let measure = match measure {
                    TeaKind::Embedding => TeaMeasure::Embedding(&tables.embedding),
                    TeaKind::Modulation => TeaMeasure::Modulation(&tables.modulation),
                    TeaKind::Plain => TeaMeasure::Plain,
                };
                CacheRule::TeaCache { threshold, measure }
            }
            CacheKind::Mag { threshold, skips_max } => {
                CacheRule::MagCache { threshold, skips_max, ratios: tables.ratios }
            }
            CacheKind::Easy { threshold } => CacheRule::EasyCache { threshold },
        };
        PassCache { rule, start_step: self.start_step, end_step: self.end_step }
    }
}
