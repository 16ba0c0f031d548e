//! A cache of passes, as a flag takes it: `teacache:0.2`.

use std::fmt;
use std::str::FromStr;

use vita_pipeline::{
    CacheRule, CacheTables, ModelPatches, PassCache, ReuseCache, ReusePlace, Span, TeaMeasure, Transformer,
};

/// A kind of cache, and its threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cache {
    kind: &'static Kind,
    threshold: f64,
}

/// Where a cache of the wrapper may leave passes out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps {
    /// The first step, from 0.
    pub first: Option<usize>,
    /// The last.
    pub last: Option<usize>,
}

#[derive(Debug, PartialEq)]
struct Kind {
    name: &'static str,
    /// As its node has it.
    threshold: f64,
    /// The first step that may be left out, unless it is said.
    first: usize,
    rule: Rule,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    Tea,
    TeaModulation,
    TeaPlain,
    Mag,
    Easy,
    Reuse(ReusePlace),
}

/// Passes in a row that MagCache leaves out at most.
const SKIPS_MAX: usize = 4;

/// Of the model's way, where ComfyUI's own caches work.
const REUSE_SPAN: Span = Span { start: 0.15, end: 0.95 };

const KINDS: &[Kind] = &[
    Kind { name: "teacache", threshold: 0.3, first: 1, rule: Rule::Tea },
    Kind { name: "teacache-e0", threshold: 0.3, first: 1, rule: Rule::TeaModulation },
    Kind { name: "teacache-plain", threshold: 0.3, first: 1, rule: Rule::TeaPlain },
    Kind { name: "magcache", threshold: 0.02, first: 1, rule: Rule::Mag },
    Kind { name: "easycache", threshold: 0.015, first: 10, rule: Rule::Easy },
    Kind { name: "comfy-easycache", threshold: 0.2, first: 0, rule: Rule::Reuse(ReusePlace::Velocity) },
    Kind { name: "lazycache", threshold: 0.2, first: 0, rule: Rule::Reuse(ReusePlace::Guided) },
];

impl FromStr for Cache {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, threshold) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let names = || KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
        let kind = KINDS.iter().find(|kind| kind.name == name);
        let kind = kind.ok_or_else(|| format!("expected one of {}, and a threshold after `:` if you like", names()))?;
        let threshold = match threshold.map(str::parse::<f64>) {
            None => kind.threshold,
            Some(Ok(threshold)) if threshold >= 0.0 => threshold,
            Some(_) => return Err("the threshold is a number from 0 on".to_owned()),
        };
        Ok(Self { kind, threshold })
    }
}

impl fmt::Display for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.name, self.threshold)
    }
}

impl Cache {
    /// Has a model's passes cached.
    pub fn apply(self, model: &Transformer, patches: &mut ModelPatches, steps: Steps) {
        let threshold = self.threshold;
        let tables = CacheTables::of(model.config(), model.file());
        let tea = |measure| CacheRule::TeaCache { threshold, measure };
        let rule = match self.kind.rule {
            Rule::Tea => tea(TeaMeasure::Embedding(&tables.embedding)),
            Rule::TeaModulation => tea(TeaMeasure::Modulation(&tables.modulation)),
            Rule::TeaPlain => tea(TeaMeasure::Plain),
            Rule::Mag => CacheRule::MagCache { threshold, skips_max: SKIPS_MAX, ratios: tables.ratios },
            Rule::Easy => CacheRule::EasyCache { threshold },
            Rule::Reuse(place) => {
                patches.reuse_cache = Some(ReuseCache { threshold, span: REUSE_SPAN, place });
                return;
            }
        };
        let start_step = steps.first.unwrap_or(self.kind.first);
        patches.pass_cache = Some(PassCache { rule, start_step, end_step: steps.last });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_its_own_threshold_unless_one_is_given() {
        let text = |text: &str| text.parse::<Cache>().map(|cache| cache.to_string());
        for (given, want) in [
            ("teacache", Some("teacache:0.3")),
            ("teacache:0.1", Some("teacache:0.1")),
            ("comfy-easycache", Some("comfy-easycache:0.2")),
            ("magcache:0", Some("magcache:0")),
            ("magcache:-1", None),
            ("easycache:much", None),
            ("nocache", None),
        ] {
            assert_eq!(text(given).ok().as_deref(), want, "{given}");
        }
        assert!(text("nocache").unwrap_err().contains("teacache, teacache-e0, "));
    }
}
