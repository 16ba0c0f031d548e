//! A loaded transformer at work on one latent: velocities of noisy latents, for a prompt and for the negative one.

use std::sync::Arc;

use vita_base::Cancel;
use vita_models::wan::{Context, Layout, Wan};
use vita_tensor::Tensor;

use crate::Error;
use crate::conditioning::{Conditioning, ImageConditioning, KnownFrames};
use crate::environment::{Environment, proceed};
use crate::latent::{Latent, LatentSpace, concat_channels, is_zero};
use crate::parts::{LAYOUT, MASK_CHANNELS, Transformer};

/// Which of the two prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Positive,
    Negative,
}

/// A transformer, loaded and made ready for a latent of one size and two prompts.
pub struct Network {
    wan: Arc<Wan>,
    layout: Layout,
    positive: Ready,
    negative: Option<Ready>,
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
        let text_keys: Vec<usize> = all.iter().map(|conditioning| conditioning.text.key_count()).collect();
        let image_keys = all.iter().filter_map(|conditioning| Some(conditioning.image.clip.as_ref()?.dims()[0])).max();
        let memory = model.memory(latent, &text_keys, image_keys.unwrap_or(0));
        let wan = model.load(memory, environment)?;
        let ready = |conditioning: &Conditioning| -> Result<Ready, Error> {
            // Features for a model without the branch are left out, as in ComfyUI.
            let clip = conditioning.image.clip.as_ref().filter(|_| model.clip_width().is_some());
            let context = wan.context(&conditioning.text.prompt()?, clip)?;
            Ok(Ready { context, beside: beside(model, latent, &conditioning.image)? })
        };
        Ok(Self {
            layout: wan.layout(latent, LAYOUT)?,
            positive: ready(positive)?,
            negative: negative.map(ready).transpose()?,
            cancel: environment.cancel.clone(),
            wan,
        })
    }

    /// The velocity of a noisy latent `[C, T, h, w]`. timesteps: one, or one a latent frame.
    ///
    /// # Errors
    /// If the work was cancelled.
    ///
    /// # Panics
    /// If the negative prompt is asked for and there is none.
    pub fn velocity(&self, x: &Tensor, timesteps: &[f32], which: Which) -> Result<Tensor, Error> {
        let ready = match which {
            Which::Positive => &self.positive,
            Which::Negative => self.negative.as_ref().expect("a run with guidance has a negative prompt"),
        };
        let on_block = &mut |_, _| proceed(&self.cancel);
        Ok(match &ready.beside {
            None => self.wan.forward(x, timesteps, &ready.context, &self.layout, on_block)?,
            Some(beside) => {
                let x = concat_channels(&[x, beside]);
                self.wan.forward(&x, timesteps, &ready.context, &self.layout, on_block)?
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
