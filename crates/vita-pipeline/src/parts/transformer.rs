//! The Wan transformer, with what is changed about it for a run.

use std::path::Path;
use std::sync::Arc;

use vita_cuda::plan::{Network, Placement};
use vita_models::vae::LatentFormat;
use vita_models::wan::{self, HIDDEN_BYTES_MAX, LayoutOptions, Wan};
use vita_ops::{Card, Precision};
use vita_weights::{Checkpoint, Lora, Role};

use super::Part;
use crate::Error;
use crate::environment::{Current, Environment};
use crate::extras::{Enhance, LoopShift, NagPrompt, PassCache, ReuseCache, SkipInNegative, SkipLayers};
use crate::guidance::CfgZeroStar;
use crate::latent::latent_format;
use crate::memory::{BASE_BYTES, StageMemory};
use crate::progress::Stage;
use crate::residency::Residency;
use crate::windows::ContextWindows;

/// A transformer, opened, and what is changed about it. Cheap to clone; changes are the clone's own.
#[derive(Clone)]
pub struct Transformer {
    part: Arc<Part<wan::Config>>,
    patches: ModelPatches,
}

/// A network on a card, and the LoRAs that it has.
struct OnCard {
    wan: Arc<Wan>,
    loras: Vec<LoraAt>,
}

/// What is changed about a transformer for a run. None of it touches loaded weights: LoRAs are kept beside them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelPatches {
    /// Flow shift of the noise levels; `None` is [`ModelPatches::SHIFT`].
    pub shift: Option<f64>,
    /// Guidance whose negative prompt is scaled to fit the prompt.
    pub cfg_zero_star: Option<CfgZeroStar>,
    /// LoRAs, added one after the other.
    pub loras: Vec<LoraAt>,
    /// Guidance away from the model with fewer blocks. ComfyUI's own samplers alone do it.
    pub skip_layers: Option<SkipLayers>,
    /// Blocks that are left out for the negative prompt.
    pub skip_in_negative: Option<SkipInNegative>,
    /// Passes that repeat earlier ones.
    pub pass_cache: Option<PassCache>,
    /// Steps that repeat earlier ones. ComfyUI's own samplers alone do it.
    pub reuse_cache: Option<ReuseCache>,
    /// Frames that take more from each other.
    pub enhance: Option<Enhance>,
    /// Which frequency of the frames, from 1, RIFLEx slows down.
    pub riflex: Option<usize>,
    /// Guidance inside the attention to the prompt.
    pub nag: Option<NagPrompt>,
    /// Windows in which a long video is sampled.
    pub windows: Option<ContextWindows>,
    /// A video that plays round and round.
    pub loop_shift: Option<LoopShift>,
    /// How it computes on a card.
    pub precision: Precision,
    /// Blocks that are brought to a card each time they run, if the residency asks for no more.
    pub blocks_to_swap: usize,
}

/// A LoRA at a strength.
#[derive(Clone, Debug)]
pub struct LoraAt {
    lora: Arc<Lora>,
    strength: f32,
}

impl PartialEq for LoraAt {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.lora, &other.lora) && self.strength == other.strength
    }
}

impl ModelPatches {
    /// Shift of a Wan model in ComfyUI, unless it is changed.
    pub const SHIFT: f64 = 8.0;

    /// The flow shift in effect.
    pub fn shift(&self) -> f64 {
        self.shift.unwrap_or(Self::SHIFT)
    }
}

impl Transformer {
    /// Opens a file.
    ///
    /// # Errors
    /// If it cannot be read, or is no Wan transformer that can be run.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::new(&Checkpoint::open(path)?)
    }

    /// The same of a checkpoint that is open already.
    ///
    /// # Errors
    /// As [`Transformer::open`].
    pub fn new(checkpoint: &Checkpoint) -> Result<Self, Error> {
        let weights = checkpoint.weights(Role::DiffusionModel)?;
        let config = wan::Config::of(&weights)?;
        latent_format(config.out_dim)?;
        Ok(Self { part: Arc::new(Part::new(weights, config, "diffusion model")), patches: ModelPatches::default() })
    }

    /// The same network, with changes of its own.
    #[must_use]
    pub fn patched(&self, change: impl FnOnce(&mut ModelPatches)) -> Self {
        let mut patched = self.clone();
        change(&mut patched.patches);
        patched
    }

    /// The same network with one more LoRA; at a strength of 0, as it was.
    ///
    /// # Errors
    /// If the file cannot be read, or is no LoRA for this network; if the strength is no number.
    pub fn with_lora(&self, path: impl AsRef<Path>, strength: f64) -> Result<Self, Error> {
        if !strength.is_finite() {
            let value = strength.to_string();
            return Err(Error::Number { what: "strength of a LoRA", value, range: "a number" });
        }
        if strength == 0.0 {
            return Ok(self.clone());
        }
        let lora = Arc::new(Lora::of(&Checkpoint::open(path)?, &self.part.weights)?);
        Ok(self.patched(|patches| patches.loras.push(LoraAt { lora, strength: strength as f32 })))
    }

    /// What is changed about it.
    pub fn patches(&self) -> &ModelPatches {
        &self.patches
    }

    /// Has it leave the card it is on, if it is on one, until it is used again.
    pub fn offload(&self, residency: &Residency) {
        residency.leave_card(&self.part.id);
    }

    /// Its file, as it was given.
    pub fn file(&self) -> &str {
        self.part.file()
    }

    /// Its sizes.
    pub fn config(&self) -> &wan::Config {
        &self.part.config
    }

    /// What it is, in a few words: "Wan2.1 I2V 14B".
    pub fn system(&self) -> String {
        vita_weights::identify(self.part.weights.checkpoint()).system
    }

    /// Channels of its latents: 16 or 48.
    pub fn latent_channels(&self) -> usize {
        self.part.config.out_dim
    }

    /// The scale of its latents.
    pub fn latent_format(&self) -> &'static LatentFormat {
        latent_format(self.latent_channels()).expect("checked when it was opened")
    }

    /// Whether image latents and a mask go in beside the noise: 4 + 16 channels.
    pub fn takes_image_latents(&self) -> bool {
        self.part.config.in_dim == self.part.config.out_dim + MASK_CHANNELS + self.part.config.out_dim
    }

    /// Blocks of the network.
    pub(crate) fn layers(&self) -> usize {
        self.part.config.layers
    }

    /// Width of the CLIP features that it takes, if it takes any.
    pub fn clip_width(&self) -> Option<usize> {
        self.part.config.image.map(|image| image.dim)
    }

    /// Whether it tells a first frame's CLIP features from a last frame's.
    pub fn takes_last_image(&self) -> bool {
        self.part.config.image.is_some_and(|image| image.positions.is_some())
    }

    /// Whether each latent frame has a timestep of its own, 0 for those that are kept: Wan2.2 TI2V.
    pub fn has_frame_timesteps(&self) -> bool {
        self.part.config.out_dim == TI2V_CHANNELS && self.part.config.in_dim == TI2V_CHANNELS
    }

    pub(crate) fn load(&self, memory: StageMemory, environment: &mut Environment) -> Result<Arc<Wan>, Error> {
        let part = &self.part;
        let card = environment.card().cloned();
        match card {
            Some(card) => self.load_on_card(&card, memory, environment),
            None => {
                let wan = environment.network(&part.id, memory, part.config.layers, |environment, loading| {
                    self.load_on_host(environment, loading)
                })?;
                self.warn_of_loras(environment);
                if self.patches.loras.is_empty() { Ok(wan) } else { Ok(Arc::new(self.adapted(&wan)?)) }
            }
        }
    }

    fn load_on_host(&self, environment: &mut Environment, loading: &mut Current) -> Result<Wan, Error> {
        let wan = Wan::load(&self.part.weights, &mut |_, _| {
            environment.step(loading);
            environment.proceed()
        })?;
        Ok(wan.with_precision(self.patches.precision))
    }

    /// What is on a card stays as it is, so LoRAs are added before; the network stays there for as long as the same are
    /// asked for.
    fn load_on_card(
        &self,
        card: &Arc<Card>,
        memory: StageMemory,
        environment: &mut Environment,
    ) -> Result<Arc<Wan>, Error> {
        let Self { part, patches } = self;
        let placement = self.placement(memory, environment.residency)?;
        let swapped = placement.streamed_blocks;
        let fits = |there: &OnCard| {
            let OnCard { wan, loras } = there;
            *loras == patches.loras && wan.swapped_blocks() >= swapped && wan.precision() == patches.precision
        };
        environment.residency.unload_unless::<OnCard>(&part.id, fits);
        self.warn_of_loras(environment);
        let weight_bytes = placement.card_bytes - memory.activation_bytes;
        let memory = StageMemory { weight_bytes, ..memory };
        let there = environment.network(&part.id, memory, part.config.layers, |environment, loading| {
            let wan = self.load_on_host(environment, loading)?;
            let wan = if patches.loras.is_empty() { wan } else { self.adapted(&wan)? };
            let wan = self.bring(&wan, card, swapped, environment)?;
            Ok(OnCard { wan: Arc::new(wan), loras: patches.loras.clone() })
        })?;
        Ok(there.wan.clone())
    }

    /// A network on the card with so many blocks swapped, or with more of them where it turns out to have less room.
    fn bring(
        &self,
        wan: &Wan,
        card: &Arc<Card>,
        mut swapped: usize,
        environment: &mut Environment,
    ) -> Result<Wan, Error> {
        let layers = self.part.config.layers;
        loop {
            let shortage = match wan.to_card(card, swapped) {
                Err(wan::Error::Card(failure)) if failure.is_shortage() => failure,
                done => return Ok(done?),
            };
            if !environment.residency.unload_others(&self.part.id) {
                if swapped >= layers {
                    return Err(wan::Error::Card(shortage).into());
                }
                swapped = (swapped + layers.div_ceil(8)).min(layers);
            }
            tracing::warn!("{shortage}; {swapped} of {layers} blocks are swapped now");
        }
    }

    /// How many blocks have room on a card beside the work. Whether the others wait in pinned memory is decided when they
    /// are put there.
    fn placement(&self, memory: StageMemory, residency: &Residency) -> Result<Placement, Error> {
        let layers = self.part.config.layers;
        // Blocks are alike, and next to all of the weights.
        let network = Network {
            block_bytes: vec![memory.weight_bytes / layers.max(1) as u64; layers],
            other_bytes: 0,
            work_bytes: memory.activation_bytes,
        };
        let free_bytes = residency.memory_bytes_max().map_or(u64::MAX, |most| most.saturating_sub(BASE_BYTES));
        let swapped = residency.blocks_to_swap().max(self.patches.blocks_to_swap);
        network.place(free_bytes, swapped).ok_or(Error::Memory {
            needed_bytes: network.least_bytes(),
            free_bytes,
            card_bytes: residency.card_bytes(),
            stage: memory.stage,
            fits: None,
        })
    }

    /// Says what of the LoRAs is not used.
    fn warn_of_loras(&self, environment: &mut Environment) {
        self.patches.loras.iter().filter_map(|lora| lora.lora.warning()).for_each(|text| environment.warn(text));
    }

    /// With the LoRAs.
    fn adapted(&self, wan: &Wan) -> Result<Wan, Error> {
        let loras = &self.patches.loras;
        let loras: Vec<(&Lora, f32)> = loras.iter().map(|lora| (&*lora.lora, lora.strength)).collect();
        Ok(wan.adapted(&loras)?)
    }

    /// What sampling a latent of `[T, h, w]` takes, with the keys of each prompt.
    pub(crate) fn memory(
        &self,
        latent: [usize; 3],
        text_keys: &[usize],
        image_keys: &[usize],
        on_card: bool,
    ) -> StageMemory {
        let config = &self.part.config;
        let longest = text_keys.iter().copied().max().unwrap_or(1);
        let windows = self.patches.windows.as_ref().filter(|windows| windows.part(latent[0]));
        let window = [windows.map_or(latent[0], |windows| windows.frames), latent[1], latent[2]];
        let most_image_keys = image_keys.iter().copied().max().unwrap_or(0);
        let workload = wan::Workload { latent: window, text_keys: longest, image_keys: most_image_keys };
        let contexts = config.context_bytes(text_keys.iter().sum(), image_keys.iter().sum());
        // The sampler's own: latent, noise, the model's two answers and a solver's history; a mixed answer beside them.
        let pixels = latent.iter().product::<usize>() * size_of::<f32>();
        let latents = (8 + usize::from(windows.is_some())) * config.out_dim * pixels;
        // What goes in beside the noise: kept, and together with the noise.
        let beside = (config.in_dim - config.out_dim.min(config.in_dim)) * pixels;
        let inputs = if beside > 0 { beside + config.in_dim * pixels } else { 0 };
        let tokens = window[0] * window[1].div_ceil(2) * window[2].div_ceil(2) * config.dim * size_of::<f32>();
        // A cache's of each prompt in each window, and what the blocks start from.
        let window_count = windows.map_or(1, |windows| windows.count_max(latent[0]));
        let cached = self
            .patches
            .pass_cache
            .as_ref()
            .map_or(0, |cache| (1 + window_count * text_keys.len() * cache.rule.kept_tensors()) * tokens);
        let activations = config.activation_bytes(&workload, LAYOUT) + contexts + latents + inputs + cached;
        // LoRAs lie beside the weights, packed anew for each run.
        let loras: usize = self.patches.loras.iter().map(|lora| lora.lora.size_bytes()).sum();
        // Keys and values in 8 bits, which only cards attend in.
        let patch = |sizes: [usize; 3]| sizes[0] * sizes[1].div_ceil(2) * sizes[2].div_ceil(2);
        let codes = if on_card { self.patches.precision.attention.scratch_bytes(patch(window), config.dim) } else { 0 };
        let activation_bytes = (activations + loras) as u64 + codes;
        StageMemory { stage: Stage::Sampling, weight_bytes: self.part.bytes, activation_bytes }
    }

    /// A part of the network that holds values that are not numbers itself.
    pub(crate) fn broken_tensor(&self) -> Option<String> {
        use vita_tensor::Tensor;
        let broken = self.part.weights.all().find(|(_, stored)| {
            let dtype = stored.element_type.dtype().filter(|dtype| dtype.is_float());
            let tensor = dtype.and_then(|dtype| Tensor::from_bytes(stored.bytes.clone(), dtype, &stored.dims).ok());
            tensor.is_some_and(|tensor| !crate::frame::is_finite(&vita_ops::to_f32(&tensor)))
        });
        broken.map(|(name, _)| name.to_owned())
    }
}

/// Channels that say which frames are known.
pub(crate) const MASK_CHANNELS: usize = 4;

const TI2V_CHANNELS: usize = 48;

pub(crate) const LAYOUT: LayoutOptions = LayoutOptions { hidden_bytes_max: HIDDEN_BYTES_MAX };
