//! A loaded transformer at work on one latent: velocities of noisy latents, for a prompt and for the negative one.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use vita_base::Cancel;
use vita_models::wan::{Cached, Context, Layout, Nag, Pass, Prompt, Wan};
use vita_tensor::Tensor;

use super::caches::Caches;
use crate::Error;
use crate::TextRows;
use crate::conditioning::{Conditioning, ImageConditioning, KnownFrames};
use crate::environment::{Environment, proceed};
use crate::extras::NagPrompt;
use crate::latent::{Latent, LatentSpace, concat_channels, is_zero, join_frames};
use crate::parts::{LAYOUT, MASK_CHANNELS, ModelPatches, Transformer};
use crate::sampling::Passes;
use crate::windows::{Answer, ContextWindows, Window, WindowStart, mixed, pick_frames};

/// Which of the two prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Positive,
    Negative,
}

/// Where a run is.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// From 0, of the steps that are run.
    pub step_index: usize,
    /// Steps that are run.
    pub step_count: usize,
    /// Steps of the whole schedule.
    pub schedule_count: usize,
    /// The part of the video, if it is parted.
    pub window: Option<&'a Window>,
}

/// A transformer, loaded and made ready for a latent of one size and two prompts.
pub struct Network {
    wan: Arc<Wan>,
    /// Frames of the video's latent.
    frames: usize,
    /// Of the video, or of windows of each length.
    layouts: Vec<Layout>,
    /// Of the prompt, or of each section's.
    positive: Vec<Ready>,
    negative: Option<Ready>,
    nag: Option<Context>,
    patches: ModelPatches,
    caches: Option<RefCell<Caches>>,
    asked: Cell<usize>,
    cancel: Cancel,
}

/// Keys of each picture that is among the features, counted once.
fn image_keys(clips: &[Option<Tensor>]) -> Vec<usize> {
    let known = |index: usize, clip: &Tensor| clips[..index].iter().flatten().any(|other| other.is_same(clip));
    let distinct =
        clips.iter().enumerate().filter_map(|(index, clip)| clip.as_ref().filter(|clip| !known(index, clip)));
    distinct.map(|clip| clip.dims()[0]).collect()
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
        if let Some(windows) = &model.patches().windows {
            windows.check()?;
        }
        let windows = model.patches().windows.as_ref().filter(|windows| windows.part(latent[0]));
        if let Some(WindowStart::Picture(picture)) = windows.map(|windows| &windows.start) {
            picture_fits(model, latent, picture)?;
        }
        let sections = sections(positive, model.patches().windows.as_ref(), windows.is_some())?;
        let all: Vec<&Conditioning> = sections.iter().chain(negative).collect();
        for conditioning in &all {
            check(model, latent, conditioning)?;
        }
        if let Some(nag) = &model.patches().nag {
            nag_fits(model, nag)?;
        }
        // Features for a model without the branch are left out, as in ComfyUI.
        let clip_of =
            |conditioning: &&Conditioning| conditioning.image.clip.clone().filter(|_| model.clip_width().is_some());
        let clips: Vec<Option<Tensor>> = all.iter().map(clip_of).collect();
        let nag = model.patches().nag.iter().map(|nag| &*nag.text);
        let texts: Vec<&TextRows> = all.iter().map(|conditioning| &conditioning.text).chain(nag).collect();
        let text_keys: Vec<usize> = texts.iter().map(|text| text.key_count()).collect();
        let memory = model.memory(latent, &text_keys, &image_keys(&clips), environment.card().is_some());
        let patches = model.patches().clone();
        let wan = model.load(memory, environment)?;
        let prompts = texts.iter().map(|text| text.prompt()).collect::<Result<Vec<Prompt>, Error>>()?;
        let pictures = clips.iter().map(Option::as_ref).chain(std::iter::repeat(None));
        let pairs: Vec<(&Prompt, Option<&Tensor>)> = prompts.iter().zip(pictures).collect();
        let mut contexts = wan.contexts(&pairs)?.into_iter();
        let mut ready = |conditioning: &Conditioning| -> Result<Ready, Error> {
            let context = contexts.next().expect("one for each prompt");
            Ok(Ready { context, beside: beside(model, latent, &conditioning.image)? })
        };
        let layout = |frames| -> Result<Layout, Error> {
            let layout = wan.layout([frames, latent[1], latent[2]], LAYOUT)?;
            Ok(match patches.riflex {
                None => layout,
                Some(index) => layout.with_riflex(index, latent[0]),
            })
        };
        let lengths = windows.map_or(vec![latent[0]], |windows| windows.lengths(latent[0]));
        Ok(Self {
            frames: latent[0],
            layouts: lengths.into_iter().map(layout).collect::<Result<_, _>>()?,
            positive: sections.iter().map(&mut ready).collect::<Result<_, _>>()?,
            negative: negative.map(&mut ready).transpose()?,
            nag: contexts.next(),
            caches: patches.pass_cache.as_ref().map(|cache| RefCell::new(Caches::new(cache.rule.clone()))),
            asked: Cell::new(0),
            patches,
            cancel: environment.cancel.clone(),
            wan,
        })
    }

    /// Passes so far.
    pub fn passes(&self) -> Passes {
        let skipped = self.caches.as_ref().map_or(0, |caches| caches.borrow().skipped());
        Passes { asked: self.asked.get(), skipped }
    }

    /// An answer to a noisy latent `[C, T, h, w]`, mixed of those to its windows if it is parted. step: that of the
    /// windows, from 0.
    ///
    /// # Errors
    /// If the windows leave something out; whatever `answer` says.
    pub fn in_windows(&self, x: &Tensor, timesteps: &[f32], step: usize, answer: &mut Answer) -> Result<Tensor, Error> {
        let Some(windows) = self.windows() else { return answer(x, timesteps, None) };
        let windows = windows.at_step(self.frames, step)?;
        mixed(x, timesteps, &windows, answer)
    }

    /// Windows that the video is parted into.
    pub fn windows(&self) -> Option<&ContextWindows> {
        self.patches.windows.as_ref().filter(|windows| windows.part(self.frames))
    }

    /// # Errors
    /// If at some step the windows leave something out.
    pub fn check_windows(&self, step_count: usize) -> Result<(), Error> {
        let Some(windows) = self.windows() else { return Ok(()) };
        (0..step_count).try_for_each(|step| windows.at_step(self.frames, step).map(|_| ()))
    }

    /// The velocity of a noisy latent `[C, T, h, w]`, or of a window's frames of it. timesteps: one, or one a latent
    /// frame.
    ///
    /// # Errors
    /// If the work was cancelled.
    ///
    /// # Panics
    /// If the negative prompt is asked for and there is none.
    pub fn velocity(&self, x: &Tensor, timesteps: &[f32], which: Which, at: Place) -> Result<Tensor, Error> {
        let mut caches = self.caches.as_ref().map(RefCell::borrow_mut);
        let caches = caches.as_deref_mut();
        let caches = caches.filter(|_| self.patches.pass_cache.as_ref().is_some_and(|it| it.holds(at.step_index)));
        let cached = caches.map(|caches| {
            let Place { step_index, schedule_count: step_count, window, .. } = at;
            Cached { cache: caches.of(which, window), step_index, step_count }
        });
        let skipped = self.patches.skip_in_negative.as_ref();
        let skipped = skipped
            .filter(|skip| which == Which::Negative && skip.span.holds(at.step_index, at.step_count))
            .map_or(&[][..], |skip| &skip.blocks);
        let pass = Pass { skipped_blocks: skipped, cache: cached, ..self.common(which, at) };
        self.pass(x, timesteps, which, at.window, pass)
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
        self.pass(x, timesteps, Which::Positive, at.window, pass)
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

    fn pass(
        &self,
        x: &Tensor,
        timesteps: &[f32],
        which: Which,
        window: Option<&Window>,
        pass: Pass,
    ) -> Result<Tensor, Error> {
        self.asked.set(self.asked.get() + 1);
        let ready = match (which, self.windows().zip(window)) {
            (Which::Positive, None) => &self.positive[0],
            (Which::Positive, Some((windows, window))) => &self.positive[windows.section(self.frames, window)],
            (Which::Negative, _) => self.negative.as_ref().expect("a run with guidance has a negative prompt"),
        };
        let frames = x.dims()[1];
        let layout = self.layouts.iter().find(|layout| layout.latent()[0] == frames).expect("windows of this length");
        let on_block = &mut |_, _| proceed(&self.cancel);
        Ok(match &ready.beside {
            None => self.wan.pass(x, timesteps, &ready.context, layout, pass, on_block)?,
            Some(beside) => {
                let x = match window {
                    None => concat_channels(&[x, beside]),
                    Some(window) => concat_channels(&[x, &self.beside_of(beside, window)?]),
                };
                self.wan.pass(&x, timesteps, &ready.context, layout, pass, on_block)?
            }
        })
    }

    /// What goes in beside a window's noise.
    fn beside_of(&self, beside: &Tensor, window: &Window) -> Result<Tensor, Error> {
        let start = self.windows().map_or(&WindowStart::OfFrame, |windows| &windows.start);
        if let WindowStart::OfFrame = start {
            return Ok(pick_frames(beside, &window.frames));
        }
        let first = pick_frames(beside, &[0]);
        let first = match start {
            WindowStart::Picture(picture) if window.frames[0] != 0 => {
                let picture = picture.samples_in(LatentSpace::Normalised)?.narrow(1, 0, 1);
                concat_channels(&[&first.narrow(0, 0, MASK_CHANNELS), &picture])
            }
            _ => first,
        };
        let rest = pick_frames(beside, &window.frames[1..]);
        Ok(if rest.dims()[1] == 0 { first } else { join_frames(&[&first, &rest]) })
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

/// What leads each section of a video; all of it if the video has none.
fn sections(
    positive: &Conditioning,
    windows: Option<&ContextWindows>,
    is_parted: bool,
) -> Result<Vec<Conditioning>, Error> {
    let texts = windows.map_or(&[][..], |windows| &windows.sections);
    match (texts.len(), is_parted) {
        (0, _) => Ok(vec![positive.clone()]),
        (_, true) => Ok(texts.iter().map(|text| Conditioning { text: (**text).clone(), ..positive.clone() }).collect()),
        (sections, false) => Err(Error::SectionsWithoutWindows { sections }),
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

/// Whether a picture that later windows start from is of the video's size.
fn picture_fits(model: &Transformer, [_, rows, columns]: [usize; 3], picture: &Latent) -> Result<(), Error> {
    let [channels, frames, high, wide] = picture.sizes()?;
    match [channels, high, wide] == [model.latent_channels(), rows, columns] && frames > 0 {
        true => Ok(()),
        false => Err(Error::ImageLatent { found: picture.samples.dims(), expected: [1, rows, columns] }),
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
