//! How layers come to a card: at once, or as a freight that waits on the host and is copied each time it is needed.

use std::borrow::Cow;
use std::sync::Arc;

use vita_cuda::Card;
use vita_cuda::memory::{Buffer, Freight, Journey, Manifest, Slice};
use vita_cuda::ops::Mode;
use vita_tensor::Failure;

use crate::card::failed;

/// How a network computes on a card where less than 16 bits is faster. The host has one way for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Precision {
    /// Of attention.
    pub attention: Mode,
    /// Whether activations are rounded to e4m3 where the weight they are multiplied with is that.
    pub fp8_products: bool,
}

/// Layers on their way to a card.
pub struct Upload<'a> {
    card: Arc<Card>,
    precision: Precision,
    later: Option<Manifest<Cow<'a, [u8]>>>,
}

/// Weights of layers that wait on the host.
#[derive(Clone)]
pub struct Waiting(Arc<Freight>);

/// Weights that are being copied beside the work.
pub struct OnTheWay(Journey);

/// Weights on the card.
#[derive(Clone)]
pub struct Arrived(Arc<Buffer>);

/// Where a weight lies.
#[derive(Clone)]
pub(crate) enum Place {
    There { buffer: Arc<Buffer>, start: u64, bytes: u64 },
    Waiting { start: u64, bytes: u64 },
}

impl<'a> Upload<'a> {
    /// Layers that are on the card when they are made.
    pub fn now(card: &Arc<Card>, precision: Precision) -> Self {
        Self { card: card.clone(), precision, later: None }
    }

    /// Layers whose large weights are not there yet: [`Self::pin`] makes them wait together, and what arrives is put in
    /// by [`crate::Linear::with_weights`]. All else is on the card when they are made.
    pub fn later(card: &Arc<Card>, precision: Precision) -> Self {
        Self { later: Some(Manifest::default()), ..Self::now(card, precision) }
    }

    /// Where the layers go.
    pub fn card(&self) -> &Arc<Card> {
        &self.card
    }

    /// How they will compute.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    pub(crate) fn weight(&mut self, weight: Cow<'a, [u8]>) -> Result<Place, Failure> {
        let bytes = weight.len() as u64;
        match &mut self.later {
            Some(manifest) => Ok(Place::Waiting { start: manifest.add(weight), bytes }),
            None => {
                let buffer = self.card.pool().upload(&weight).map_err(failed)?;
                Ok(Place::There { buffer: Arc::new(buffer), start: 0, bytes })
            }
        }
    }

    /// Puts the weights of all layers since [`Self::later`] in pinned memory, to be copied as one. `None` where the host
    /// has no room for that.
    pub fn pin(self) -> Option<Waiting> {
        self.later?.pin(self.card.pool()).map(Waiting)
    }
}

impl Waiting {
    /// Starts the copy: after the work that was given so far, and beside what is given later.
    ///
    /// # Errors
    /// If there is no room on the card, or it does not answer.
    pub fn depart(&self) -> Result<OnTheWay, Failure> {
        self.0.depart().map(OnTheWay).map_err(failed)
    }
}

impl OnTheWay {
    /// Makes work that comes later wait for the copy.
    ///
    /// # Errors
    /// If the card does not answer.
    pub fn arrive(self) -> Result<Arrived, Failure> {
        self.0.arrive().map(|buffer| Arrived(Arc::new(buffer))).map_err(failed)
    }
}

impl Place {
    /// The same part of what arrived.
    pub fn in_buffer(&self, Arrived(buffer): &Arrived) -> Self {
        match *self {
            Self::Waiting { start, bytes } => Self::There { buffer: buffer.clone(), start, bytes },
            Self::There { .. } => self.clone(),
        }
    }

    /// # Panics
    /// If the weight is not there yet.
    pub fn slice(&self) -> Slice<'_> {
        match self {
            Self::There { buffer, start, bytes } => buffer.slice().part(*start, *bytes),
            Self::Waiting { .. } => panic!("a weight that has not arrived"),
        }
    }

    pub fn size_bytes(&self) -> usize {
        let (Self::There { bytes, .. } | Self::Waiting { bytes, .. }) = self;
        *bytes as usize
    }
}
