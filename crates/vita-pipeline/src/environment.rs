//! What work has around it: who hears of it, who stops it, and which networks are loaded.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use vita_base::Cancel;
use vita_ops::Card;
use vita_tensor::{Failure, Tensor};

use crate::Error;
use crate::memory::StageMemory;
use crate::progress::{Event, Observer, Stage};
use crate::residency::{NetworkId, Residency};

/// What work has around it.
pub struct Environment<'a> {
    /// Stops it.
    pub cancel: &'a Cancel,
    /// Hears of it.
    pub observer: &'a mut dyn Observer,
    /// Time since any fixed moment.
    pub clock: &'a dyn Fn() -> Duration,
    /// Keeps loaded networks, and bounds the memory of all work.
    pub residency: &'a Residency,
}

/// How a network comes into memory, and from there to a card.
pub(crate) struct Loading<'a, N> {
    pub load: &'a dyn Fn() -> Result<N, Error>,
    pub to_card: ToCard<'a, N>,
}

type ToCard<'a, N> = &'a dyn Fn(&N, &Arc<Card>) -> Result<N, Failure>;

/// A stage that is running.
pub(crate) struct Current {
    stage: Stage,
    total: usize,
    done: usize,
    start: Duration,
}

impl Current {
    pub fn total(&self) -> usize {
        self.total
    }
}

impl Environment<'_> {
    /// Reports a stage's beginning.
    pub(crate) fn begin(&mut self, stage: Stage, total: usize) -> Current {
        let current = Current { stage, total, done: 0, start: (self.clock)() };
        self.report(&current);
        current
    }

    pub(crate) fn step(&mut self, current: &mut Current) {
        current.done += 1;
        self.report(current);
    }

    /// Reports a number of steps done, if it is new.
    pub(crate) fn advance(&mut self, current: &mut Current, done: usize) {
        if done > current.done {
            current.done = done;
            self.report(current);
        }
    }

    pub(crate) fn end(&mut self, mut current: Current) {
        if current.done < current.total {
            current.done = current.total;
            self.report(&current);
        }
    }

    pub(crate) fn warn(&mut self, text: String) {
        self.observer.observe(Event::Warning(text));
    }

    /// The card that networks work on.
    pub(crate) fn card(&self) -> Option<&Arc<Card>> {
        self.residency.card()
    }

    /// # Errors
    /// If the work was asked to stop.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    pub(crate) fn proceed(&self) -> ControlFlow<()> {
        proceed(self.cancel)
    }

    /// A picture of a denoised latent, if anyone wants it. picture: `[h, w, 3]` in 0..1.
    pub(crate) fn preview(&mut self, step: usize, picture: impl FnOnce() -> Tensor) {
        if !self.observer.wants_previews() {
            return;
        }
        let picture = picture();
        let [height, width, _] = picture.sizes();
        let rgb: Vec<u8> = picture.f32s().iter().map(|&value| crate::frame::byte(value)).collect();
        self.observer.observe(Event::Preview { step, width, height, rgb: &rgb });
    }

    /// A network that is loaded already, or is loaded now, with room for what it will work on.
    ///
    /// # Errors
    /// If it does not fit in memory, or of `load`.
    pub(crate) fn network<T: Send + Sync + 'static>(
        &mut self,
        id: &NetworkId,
        memory: StageMemory,
        total: usize,
        load: impl FnOnce(&mut Self, &mut Current) -> Result<T, Error>,
    ) -> Result<Arc<T>, Error> {
        if let Some(network) = self.residency.loaded_network(id, memory)? {
            return Ok(network);
        }
        self.residency.release_idle();
        let mut loading = self.begin(Stage::Loading, total);
        let network = Arc::new(load(self, &mut loading)?);
        self.end(loading);
        self.residency.keep(id, memory.weight_bytes, network.clone());
        Ok(network)
    }

    /// Loads a network and has it work. Where the card has no room for either, all other networks leave it and both are
    /// done again; where there is no room even so, they are done on the processor.
    ///
    /// # Errors
    /// Of `load` and `work`.
    pub(crate) fn with_network<N: Send + Sync + 'static, T>(
        &mut self,
        id: &NetworkId,
        memory: StageMemory,
        network: Loading<'_, N>,
        mut work: impl FnMut(&mut Self, &N) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Loading { load, to_card } = network;
        let mut attempt = |environment: &mut Self| {
            let network = environment.network(id, memory, 1, |environment, _| {
                let network = load()?;
                Ok(match environment.card() {
                    Some(card) => to_card(&network, card)?,
                    None => network,
                })
            })?;
            work(environment, &network)
        };
        let mut done = attempt(self);
        let is_short = |done: &Result<T, Error>| done.as_ref().is_err_and(Error::is_shortage);
        if self.card().is_none() || !is_short(&done) {
            return done;
        }
        if self.residency.unload_others(id) {
            done = attempt(self);
        }
        match done {
            Err(shortage) if shortage.is_shortage() => {
                self.residency.unload_all();
                self.warn(format!("the {} works on the processor: {shortage}", id.part()));
                let mut loading = self.begin(Stage::Loading, 1);
                let network = load()?;
                self.step(&mut loading);
                work(self, &network)
            }
            done => done,
        }
    }

    fn report(&mut self, current: &Current) {
        let &Current { stage, total, done, start } = current;
        let elapsed = (self.clock)() - start;
        self.observer.observe(Event::Step { stage, step: done, total, elapsed });
    }
}

/// Whether to go on, as networks ask it.
pub(crate) fn proceed(cancel: &Cancel) -> ControlFlow<()> {
    if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}
