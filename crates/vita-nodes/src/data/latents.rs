//! Latent videos as they flow along `LATENT` links.

use vita_graph::NodeError;
use vita_pipeline::{Latent, LatentSpace};
use vita_tensor::Tensor;

/// A batch of latent videos of one shape; at least one.
#[derive(Clone, Debug)]
pub struct Latents {
    items: Vec<Latent>,
    has_end_frame: bool,
    is_looped: bool,
}

/// Latent frames of the seam of a video that plays round and round: from its end, and from its beginning.
const SEAM: [usize; 2] = [3, 2];

/// Most latent values of a batch. Sizes come from workflows, and none that is meant comes near.
const VALUES_MAX: u128 = 1 << 36;

impl Latents {
    /// # Panics
    /// If there is none.
    pub fn new(items: Vec<Latent>) -> Self {
        assert!(!items.is_empty(), "at least one latent");
        Self { items, has_end_frame: false, is_looped: false }
    }

    /// The same, whose last latent frame stands behind the video and is not part of it: an end image of the Wan
    /// wrapper.
    #[must_use]
    pub fn with_end_frame(self, has_end_frame: bool) -> Self {
        Self { has_end_frame, ..self }
    }

    /// The same as videos whose end meets their beginning.
    #[must_use]
    pub fn with_loop(self, is_looped: bool) -> Self {
        Self { is_looped, ..self }
    }

    /// The end and then the beginning of a single video that plays round and round; none where it is too short.
    ///
    /// # Errors
    /// If it has another form.
    pub fn seam(&self) -> Result<Option<Latent>, NodeError> {
        let [latent] = &self.items[..] else { return Ok(None) };
        let latent = self.video(latent)?;
        let frames = latent.sizes().map_err(|error| NodeError::of(&error))?[1];
        let [end, beginning] = SEAM;
        if !self.is_looped || frames < end {
            return Ok(None);
        }
        let parts = [latent.samples.narrow(1, frames - end, end), latent.samples.narrow(1, 0, beginning)];
        Ok(Some(Latent { samples: join(&parts), ..latent }))
    }

    /// What of one of them is the video.
    ///
    /// # Errors
    /// If it has another form.
    pub fn video(&self, latent: &Latent) -> Result<Latent, NodeError> {
        let [_, frames, ..] = latent.sizes().map_err(|error| NodeError::of(&error))?;
        match self.has_end_frame && frames > 1 {
            true => Ok(Latent { samples: latent.samples.narrow(1, 0, frames - 1), ..latent.clone() }),
            false => Ok(latent.clone()),
        }
    }

    /// Nothing yet: `count` times zeros of `[C, T, h, w]`, sharing their memory.
    ///
    /// # Errors
    /// If they do not fit into memory.
    pub fn zeros(count: usize, dims: [usize; 4]) -> Result<Self, NodeError> {
        let values = dims.iter().map(|&size| size as u128).product::<u128>();
        match values * (count as u128) {
            0 => Err(NodeError::value(format!("{count} latents of {dims:?} are none"))),
            1..=VALUES_MAX => Ok(Self::new(vec![Latent::zeros(dims); count])),
            _ => Err(NodeError::value(format!("{count} latents of {dims:?} do not fit into memory"))),
        }
    }

    /// Each of them.
    pub fn items(&self) -> &[Latent] {
        &self.items
    }

    /// `[C, T, h, w]` of each.
    ///
    /// # Errors
    /// If they have another form.
    pub fn dims(&self) -> Result<[usize; 4], NodeError> {
        self.items[0].sizes().map_err(|error| NodeError::of(&error))
    }

    /// Each with other samples, on the autoencoder's scale; masks stay.
    ///
    /// # Errors
    /// If the scale of the latents is not known, or of `map`.
    pub fn map(&self, map: impl Fn(usize, Tensor) -> Result<Tensor, NodeError>) -> Result<Self, NodeError> {
        let items = self.items.iter().enumerate().map(|(index, latent)| {
            let samples = latent.samples_in(LatentSpace::Raw).map_err(|error| NodeError::of(&error))?;
            Ok(Latent { samples: map(index, samples)?, space: LatentSpace::Raw, ..latent.clone() })
        });
        Ok(Self { items: items.collect::<Result<_, NodeError>>()?, ..*self })
    }
}

/// Latents `[C, t, h, w]` one after the other in time.
fn join(parts: &[Tensor; 2]) -> Tensor {
    let [channels, first, rows, columns] = parts[0].sizes();
    let frames = first + parts[1].dims()[1];
    let parts = [parts[0].to_vec(), parts[1].to_vec()];
    let clip = |part: usize, channel: usize| {
        let size = parts[part].len() / channels;
        &parts[part][channel * size..][..size]
    };
    let values = (0..channels).flat_map(|channel| [clip(0, channel), clip(1, channel)].concat()).collect();
    Tensor::from_vec(values, [channels, frames, rows, columns])
}

impl From<Latent> for Latents {
    fn from(latent: Latent) -> Self {
        Self::new(vec![latent])
    }
}
