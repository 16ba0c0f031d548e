//! Flags for what is done beside guidance: passes left out, blocks skipped, frames strengthened, windows.

use clap::{Args, value_parser};
use vita_pipeline::{
    AttentionMode, CfgZeroStar, ContextWindows, Enhance, ModelPatches, NagNumbers, NagPrompt, Precision,
    SkipInNegative, SkipLayers, Span, TextRows, Transformer, WindowMix, WindowSchedule, WindowStart,
};

use super::cache::{Cache, Steps};

/// What is done at some steps.
#[derive(Args, Debug)]
#[command(next_help_heading = "Speed and guidance")]
#[group(skip)]
pub struct Arguments {
    /// Leave out passes that would change little, up to a threshold: teacache, magcache or easycache as the Wan
    /// wrapper has them, comfy-easycache or lazycache as ComfyUI has.
    ///
    /// Less time, another video; more threshold does more of both. teacache takes the model's own coefficients of the
    /// timestep's embedding, teacache-e0 those of the modulation, teacache-plain none. Thresholds that are not given
    /// are those of the nodes.
    #[arg(long, value_name = "KIND[:THRESHOLD]")]
    cache: Option<Cache>,
    /// The first step, from 0, that a cache of the wrapper may leave out [default: 1, of easycache 10].
    #[arg(long, value_name = "N", requires = "cache")]
    cache_first_step: Option<usize>,
    /// The last step, from 0, that a cache of the wrapper may leave out [default: the last of all].
    #[arg(long, value_name = "N", requires = "cache")]
    cache_last_step: Option<usize>,
    /// Lead away from what the model makes without these blocks, from 0: ComfyUI's skip-layer guidance.
    #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
    skip_layers: Vec<usize>,
    /// How strongly it leads.
    #[arg(long, value_name = "F", default_value_t = 3.0, requires = "skip_layers")]
    skip_scale: f64,
    /// Shares of the way, 0 to 1, between which it leads.
    #[arg(long, value_name = "FROM-TO", default_value = "0.01-0.15", value_parser = span, requires = "skip_layers")]
    skip_span: Span,
    /// Leave these blocks out for the negative prompt: the wrapper's skip-layer guidance.
    #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
    skip_in_negative: Vec<usize>,
    /// Shares of the steps, 0 to 1, between which they are left out.
    #[arg(long, value_name = "FROM-TO", default_value = "0.1-1", value_parser = span, requires = "skip_in_negative")]
    skip_in_negative_span: Span,
    /// Scale the negative prompt's answer to fit the prompt's (CFG-Zero*); with a number, the first so many steps do
    /// not move at all.
    #[arg(long, value_name = "STEPS", num_args = 0..=1, require_equals = true, default_missing_value = "0")]
    cfg_zero_star: Option<usize>,
    /// Let frames take more from each other (Enhance-A-Video); the authors use 1 to 4.
    #[arg(long, value_name = "WEIGHT", allow_negative_numbers = true)]
    enhance: Option<f32>,
    /// Slow this frequency of the frames down, from 1, so that a long video does not begin anew (RIFLEx); the authors
    /// use 4 to 6.
    #[arg(long, value_name = "N")]
    riflex: Option<usize>,
    /// Make a video that is longer than this many frames in windows of as many, which overlap: about the memory of one
    /// window, and no more than the model was made for.
    #[arg(long, value_name = "FRAMES", value_parser = value_parser!(u32).range(1..=100_000))]
    window: Option<u32>,
    /// Frames that neighbouring windows share.
    #[arg(long, value_name = "FRAMES", default_value_t = 30, requires = "window")]
    window_overlap: u32,
    /// How precisely a card attends: bf16, int8, int8-all or fp8. The 8-bit ones follow SageAttention and are
    /// about two parts in a hundred off in each attention.
    #[arg(long, value_name = "MODE", default_value_t = AttentionMode::Bf16, hide_default_value = true)]
    attention: AttentionMode,
    /// Round activations to 8 bits where a card multiplies them with weights of e4m3, which is about two parts in a
    /// hundred off in each product.
    #[arg(long)]
    fp8_products: bool,
}

/// Guidance inside the attention to the prompt, away from a prompt of its own.
pub struct Nag {
    pub text: TextRows,
    pub scale: f32,
}

impl Arguments {
    /// Changes a model.
    pub fn apply(&self, model: &Transformer, nag: Option<Nag>) -> Transformer {
        model.patched(|patches| {
            if let Some(cache) = self.cache {
                cache.apply(model, patches, Steps { first: self.cache_first_step, last: self.cache_last_step });
            }
            self.guide(patches);
            patches.nag = nag.map(|Nag { text, scale }| {
                let numbers = NagNumbers { scale, tau: NAG_TAU, alpha: NAG_ALPHA };
                NagPrompt { text: text.into(), numbers }
            });
        })
    }

    fn guide(&self, patches: &mut ModelPatches) {
        let blocks = |blocks: &[usize]| Some(blocks.to_vec()).filter(|blocks| !blocks.is_empty());
        patches.skip_layers = blocks(&self.skip_layers).map(|blocks| {
            let (scale, span) = (self.skip_scale, self.skip_span);
            SkipLayers { blocks, scale, span, rescale: 0.0 }
        });
        let span = self.skip_in_negative_span;
        patches.skip_in_negative = blocks(&self.skip_in_negative).map(|blocks| SkipInNegative { blocks, span });
        patches.cfg_zero_star = self.cfg_zero_star.map(|zero_steps| CfgZeroStar { zero_steps });
        patches.enhance = self.enhance.map(|weight| Enhance { weight, span: Span { start: 0.0, end: 1.0 } });
        patches.riflex = self.riflex;
        patches.precision = Precision { attention: self.attention, fp8_products: self.fp8_products };
        patches.windows = self.window.map(|frames| ContextWindows {
            schedule: WindowSchedule::StaticStandard,
            // (n - 1) / 4 + 1 latent frames, and none of none.
            frames: frames.div_ceil(4) as usize,
            overlap: self.window_overlap.div_ceil(4) as usize,
            strides: 1,
            closed: false,
            mix: WindowMix::Pyramid,
            free_noise: false,
            start: WindowStart::OfFrame,
            sections: Vec::new(),
        });
    }

    /// What is asked for, as flags without their dashes.
    pub fn texts(&self) -> Vec<String> {
        let list = |blocks: &[usize]| blocks.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let skipped = |name: &str, blocks: &[usize], span: Span, scale: &str| {
            let text = format!("{name} {}{scale} {}-{}", list(blocks), span.start, span.end);
            Some(text).filter(|_| !blocks.is_empty())
        };
        let step = |name: &str, step: Option<usize>| step.map(|step| format!(" {name} {step}")).unwrap_or_default();
        let (first, last) = (step("from", self.cache_first_step), step("to", self.cache_last_step));
        let scale = format!(" scale {}", self.skip_scale);
        [
            self.cache.map(|cache| format!("cache {cache}{first}{last}")),
            skipped("skip-layers", &self.skip_layers, self.skip_span, &scale),
            skipped("skip-in-negative", &self.skip_in_negative, self.skip_in_negative_span, ""),
            self.cfg_zero_star.map(|steps| format!("cfg-zero-star {steps}")),
            self.enhance.map(|weight| format!("enhance {weight}")),
            self.riflex.map(|index| format!("riflex {index}")),
            self.window.map(|frames| format!("window {frames} overlap {}", self.window_overlap)),
            Some(format!("attention {}", self.attention)).filter(|_| self.attention != AttentionMode::Bf16),
            Some("fp8-products".to_owned()).filter(|_| self.fp8_products),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// As the wrapper's node has them.
const NAG_TAU: f32 = 2.5;
const NAG_ALPHA: f32 = 0.25;

/// `0.01-0.15`
fn span(text: &str) -> Result<Span, String> {
    let share = |text: &str| text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    let ends = text.split_once('-').and_then(|(start, end)| Some(Span { start: share(start)?, end: share(end)? }));
    ends.filter(|span| span.start <= span.end).ok_or_else(|| "expected two shares, such as 0.01-0.15".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        features: Arguments,
    }

    fn of(flags: &[&str]) -> Result<(Vec<String>, ModelPatches), String> {
        let flags = Flags::try_parse_from(["x"].iter().chain(flags)).map_err(|error| error.to_string())?;
        let mut patches = ModelPatches::default();
        flags.features.guide(&mut patches);
        Ok((flags.features.texts(), patches))
    }

    #[test]
    fn nothing_is_changed_that_is_not_asked_for() {
        assert_eq!(of(&[]).unwrap(), (vec![], ModelPatches::default()));
    }

    #[test]
    fn flags_say_what_is_done() {
        let (texts, patches) =
            of(&["--skip-layers", "7,8", "--cfg-zero-star", "--enhance", "2", "--riflex", "6"]).unwrap();
        let span = Span { start: 0.01, end: 0.15 };
        assert_eq!(patches.skip_layers, Some(SkipLayers { blocks: vec![7, 8], scale: 3.0, span, rescale: 0.0 }));
        assert_eq!((patches.cfg_zero_star, patches.riflex), (Some(CfgZeroStar { zero_steps: 0 }), Some(6)));
        assert_eq!(texts, ["skip-layers 7,8 scale 3 0.01-0.15", "cfg-zero-star 0", "enhance 2", "riflex 6"]);
        let (texts, patches) =
            of(&["--skip-in-negative=3", "--skip-in-negative-span=0.2-0.5", "--cfg-zero-star=2"]).unwrap();
        assert_eq!(patches.skip_in_negative.unwrap().span, Span { start: 0.2, end: 0.5 });
        assert_eq!(texts, ["skip-in-negative 3 0.2-0.5", "cfg-zero-star 2"]);
        let (texts, patches) = of(&["--attention", "int8-all", "--fp8-products"]).unwrap();
        assert_eq!(patches.precision, Precision { attention: AttentionMode::Int8All, fp8_products: true });
        assert_eq!(texts, ["attention int8-all", "fp8-products"]);
        assert!(of(&["--attention", "int4"]).unwrap_err().contains("`int8-all`"));
        assert!(of(&["--skip-layers", "1", "--skip-span", "0.5-0.2"]).unwrap_err().contains("expected two shares"));
    }
}
