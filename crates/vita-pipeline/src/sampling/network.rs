//! A loaded transformer at work on one latent: velocities of noisy latents, for a prompt and for the negative one.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use vita_base::Cancel;
use vita_models::wan::{Cached, Context, Layout, Nag, Pass, StepCache, Wan};
use vita_tensor::Tensor;

use crate::Error;
use crate::TextRows;
use crate::conditioning::{Conditioning, ImageConditioning, KnownFrames};
use crate::environment::{Environment, proceed};
use crate::extras::NagPrompt;
use crate::latent::{Latent, LatentSpace, concat_channels, is_zero};
use crate::parts::{LAYOUT, MASK_CHANNELS, ModelPatches, Transformer};
use crate::sampling::Passes;

/// Which of the two prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Positive,
    Negative,
}

/// Where a run is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// From 0, of the steps that are run.
    pub step_index: usize,
    /// Steps that are run.
    pub step_count: usize,
    /// Steps of the whole schedule.
    pub schedule_count: usize,
}

/// A transformer, loaded and made ready for a latent of one size and two prompts.
pub struct Network {
    wan: Arc<Wan>,
    layout: Layout,
    positive: Ready,
    negative: Option<Ready>,
    nag: Option<Context>,
    patches: ModelPatches,
    /// Of the prompt, and of the negative one.
    caches: Option<[RefCell<StepCache>; 2]>,
    asked: Cell<usize>,
    cancel: Cancel,
}

/// A prompt as the blocks see it, and what goes in beside the noise.
struct Ready {
    context: Context,
    /// `[4 + 16, T, h, w]`, or nothing.
    beside: Option<Tensor>,
}

impl Network {
    /// latent: `[T, h, w]`
    ///
    /// # Errors
    /// If the conditioning does not fit the model or the latent, or the model cannot be loaded.
    pub fn load(
        model: &Transformer,
        latent: [usize; 3],
        positive: &Conditioning,
        negative: Option<&Conditioning>,
        environment: &mut Environment,
    ) -> Result<Self, Error> {
        let all: Vec<&Conditioning> = [Some(positive), negative].into_iter().flatten().collect();
        for conditioning in &all {
            check(model, latent, conditioning)?;
        }
        if let Some(nag) = &model.patches().nag {
            nag_fits(model, nag)?;
        }
        let texts = all.iter().map(|conditioning| &conditioning.text);
        let texts = texts.chain(model.patches().nag.iter().map(|nag| &*nag.text));
        let text_keys: Vec<usize> = texts.map(TextRows::key_count).collect();
        let image_keys = all.iter().filter_map(|conditioning| Some(conditioning.image.clip.as_ref()?.dims()[0])).max();
        let memory = model.memory(latent, &text_keys, image_keys.unwrap_or(0));
        let patches = model.patches().clone();
        let wan = model.load(memory, environment)?;
        let ready = |conditioning: &Conditioning| -> Result<Ready, Error> {
            // Features for a model without the branch are left out, as in ComfyUI.
            let clip = conditioning.image.clip.as_ref().filter(|_| model.clip_width().is_some());
            let context = wan.context(&conditioning.text.prompt()?, clip)?;
            Ok(Ready { context, beside: beside(model, latent, &conditioning.image)? })
        };
        Ok(Self {
            layout: match patches.riflex {
                None => wan.layout(latent, LAYOUT)?,
                Some(index) => wan.layout(latent, LAYOUT)?.with_riflex(index, latent[0]),
            },
            positive: ready(positive)?,
            negative: negative.map(ready).transpose()?,
            nag: patches.nag.as_ref().map(|nag| Ok::<_, Error>(wan.context(&nag.text.prompt()?, None)?)).transpose()?,
            caches: patches
                .pass_cache
                .as_ref()
                .map(|cache| [(), ()].map(|()| RefCell::new(StepCache::new(cache.rule.clone())))),
            asked: Cell::new(0),
            patches,
            cancel: environment.cancel.clone(),
            wan,
        })
    }

    /// Passes so far.
    pub fn passes(&self) -> Passes {
        let skipped = self.caches.as_ref().map_or(0, |caches| caches.iter().map(|one| one.borrow().skipped()).sum());
        Passes { asked: self.asked.get(), skipped }
    }

    /// The velocity of a noisy latent `[C, T, h, w]`. timesteps: one, or one a latent frame.
    ///
    /// # Errors
    /// If the work was cancelled.
    ///
    /// # Panics
    /// If the negative prompt is asked for and there is none.
    pub fn velocity(&self, x: &Tensor, timesteps: &[f32], which: Which, at: Place) -> Result<Tensor, Error> {
        let cache = self.caches.as_ref().map(|caches| caches[usize::from(which == Which::Negative)].borrow_mut());
        let mut cache = cache.filter(|_| self.patches.pass_cache.as_ref().is_some_and(|it| it.holds(at.step_index)));
        let cached = cache.as_deref_mut().map(|cache| {
            let Place { step_index, schedule_count: step_count, .. } = at;
            Cached { cache, step_index, step_count }
        });
        let skipped = self.patches.skip_in_negative.as_ref();
        let skipped = skipped
            .filter(|skip| which == Which::Negative && skip.span.holds(at.step_index, at.step_count))
            .map_or(&[][..], |skip| &skip.blocks);
        self.pass(x, timesteps, which, Pass { skipped_blocks: skipped, cache: cached, ..self.common(which, at) })
    }

    /// The prompt's velocity of a model without some of its blocks.
    ///
    /// # Errors
    /// If the work was cancelled.
    pub fn velocity_without(
        &self,
        blocks: &[usize],
        x: &Tensor,
        timesteps: &[f32],
        at: Place,
    ) -> Result<Tensor, Error> {
        let pass = Pass { skipped_blocks: blocks, ..self.common(Which::Positive, at) };
        self.pass(x, timesteps, Which::Positive, pass)
    }

    fn common(&self, which: Which, at: Place) -> Pass<'_> {
        let enhance = self.patches.enhance.filter(|enhance| enhance.span.holds(at.step_index, at.step_count));
        let nag = self.nag.as_ref().zip(self.patches.nag.as_ref()).filter(|_| which == Which::Positive);
        Pass {
            enhance: enhance.map(|enhance| enhance.weight),
            nag: nag.map(|(context, nag)| Nag { context, numbers: nag.numbers }),
            ..Pass::default()
        }
    }

    fn pass(&self, x: &Tensor, timesteps: &[f32], which: Which, pass: Pass) -> Result<Tensor, Error> {
        self.asked.set(self.asked.get() + 1);
        let ready = match which {
            Which::Positive => &self.positive,
            Which::Negative => self.negative.as_ref().expect("a run with guidance has a negative prompt"),
        };
        let on_block = &mut |_, _| proceed(&self.cancel);
        Ok(match &ready.beside {
            None => self.wan.pass(x, timesteps, &ready.context, &self.layout, pass, on_block)?,
            Some(beside) => {
                let x = concat_channels(&[x, beside]);
                self.wan.pass(&x, timesteps, &ready.context, &self.layout, pass, on_block)?
            }
        })
    }
}

/// A latent for a model; one of nothing is given the model's channels, as ComfyUI does.
///
/// # Errors
/// If it holds something, and has other channels.
pub fn fitting(latent: &Latent, model: &Transformer) -> Result<Latent, Error> {
    let [channels, frames, rows, columns] = latent.sizes()?;
    let expected = model.latent_channels();
    if channels == expected {
        return Ok(latent.clone());
    }
    match is_zero(&latent.samples) {
        true => Ok(Latent { samples: Tensor::zeros([expected, frames, rows, columns]), ..latent.clone() }),
        false => Err(Error::LatentOfAnotherModel { found: channels, file: model.file().into(), expected }),
    }
}

/// Whether a conditioning fits a model and a latent.
fn check(model: &Transformer, latent: [usize; 3], conditioning: &Conditioning) -> Result<(), Error> {
    let text_dim = model.config().text_dim;
    if conditioning.text.width() != text_dim {
        return Err(Error::PromptWidth {
            found: conditioning.text.width(),
            file: model.file().into(),
            expected: text_dim,
        });
    }
    let (Some(clip), Some(expected)) = (&conditioning.image.clip, model.clip_width()) else { return Ok(()) };
    match clip.dims()[1] == expected {
        true => known_fits(latent, conditioning),
        false => Err(Error::ClipWidth { found: clip.dims()[1], file: model.file().into(), expected }),
    }
}

/// Whether a model can be led inside its attention.
fn nag_fits(model: &Transformer, nag: &NagPrompt) -> Result<(), Error> {
    let (found, expected) = (nag.text.width(), model.config().text_dim);
    match found == expected {
        true if model.clip_width().is_some() => Err(Error::NagWithImageBranch { file: model.file().into() }),
        true => Ok(()),
        false => Err(Error::PromptWidth { found, file: model.file().into(), expected }),
    }
}

fn known_fits(latent: [usize; 3], conditioning: &Conditioning) -> Result<(), Error> {
    let Some(known) = &conditioning.image.known else { return Ok(()) };
    let dims = known.latent.dims();
    match dims.len() == 4 && dims[1..] == latent {
        true => Ok(()),
        false => Err(Error::ImageLatent { found: dims, expected: latent }),
    }
}

/// What goes in beside the noise: the mask, then the image's latent on the transformer's scale. Zeros where
/// nothing is known; nothing for a model that takes nothing.
fn beside(
    model: &Transformer,
    [frames, rows, columns]: [usize; 3],
    image: &ImageConditioning,
) -> Result<Option<Tensor>, Error> {
    let config = model.config();
    if config.in_dim == config.out_dim {
        return Ok(None);
    }
    let channels = config.in_dim.saturating_sub(config.out_dim);
    let Some(KnownFrames { latent, mask, space }) = &image.known else {
        return Ok(Some(Tensor::zeros([channels, frames, rows, columns])));
    };
    let known = Latent { space: *space, ..Latent::raw(latent.clone()) };
    let latent = known.samples_in(LatentSpace::Normalised)?;
    if *mask.dims() != [MASK_CHANNELS, frames, rows, columns] || latent.dims()[0] + MASK_CHANNELS != channels {
        return Err(Error::ImageLatent { found: latent.dims(), expected: [frames, rows, columns] });
    }
    Ok(Some(concat_channels(&[mask, &latent])))
}
