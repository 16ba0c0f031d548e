//! How an autoencoder's work is cut for the memory that is there, and cut smaller where it found less.

use vita_cuda::plan::TileWork;
use vita_models::vae::{Cost, InputError, Options, Tile};

use super::DecodeOptions;
use crate::Error;
use crate::environment::Environment;
use crate::memory::{BASE_BYTES, StageMemory};
use crate::progress::Stage;
use crate::residency::{NetworkId, Residency};

/// Activations of work that is given no bound: beyond this, larger pieces gain nothing.
const WORK_BYTES: u64 = 4 << 30;

/// Pixels that neighbouring tiles share at most. They share a quarter where that is less.
const OVERLAP_MAX: usize = 64;

/// Latent pixels of the smallest tile a side: smaller ones know too little of what is around them.
const LATENT_PIXELS_MIN: usize = 8;

/// Whose memory work takes, and how much of it there is.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// `None` for no bound.
    pub free_bytes: Option<u64>,
    pub on_card: bool,
}

impl Room {
    pub fn on_host(free_bytes: Option<u64>) -> Self {
        Self { free_bytes, on_card: false }
    }

    pub fn of(residency: &Residency) -> Self {
        Self { free_bytes: residency.memory_bytes_max(), on_card: residency.card().is_some() }
    }
}

/// An encode or a decode, by its sizes.
pub(super) struct Work<'a> {
    pub stage: Stage,
    pub weight_bytes: u64,
    /// What lies in the processor's memory beside the network's work.
    pub beside_bytes: u64,
    /// Rows and columns of a picture, in pixels.
    pub picture: [usize; 2],
    /// Pixels a side of a latent pixel.
    pub factor: usize,
    /// What the clip takes, of pictures of any size.
    pub cost: &'a dyn Fn([usize; 2], Options) -> Cost,
}

impl Work<'_> {
    /// What it takes, and how it is then done. Where even the least is too much, the check before the work says so.
    pub fn plan(&self, DecodeOptions { tile }: DecodeOptions, room: Room) -> (StageMemory, Options) {
        let (options, activation_bytes) =
            if room.on_card { self.on_card(tile, room.free_bytes) } else { self.on_host(tile, room.free_bytes) };
        (StageMemory { stage: self.stage, weight_bytes: self.weight_bytes, activation_bytes }, options)
    }

    fn on_host(&self, tile: Option<Tile>, free_bytes: Option<u64>) -> (Options, u64) {
        let taken = BASE_BYTES + self.weight_bytes + self.beside_bytes;
        let bound = free_bytes.map_or(WORK_BYTES, |free| free.saturating_sub(taken).min(WORK_BYTES));
        let cost = |options| (self.cost)(self.picture, Options { tile, ..options });
        let found = Options::within(bound as usize, cost);
        let options = Options { tile, piece_bytes: found.map_or(0, |found| found.piece_bytes) };
        (options, cost(options).peak_bytes as u64 + self.beside_bytes)
    }

    /// Whole pictures if they have room frame by frame, else tiles. Results are put together on the host.
    fn on_card(&self, tile: Option<Tile>, free_bytes: Option<u64>) -> (Options, u64) {
        let room_bytes = free_bytes.map_or(u64::MAX, |free| free.saturating_sub(BASE_BYTES + self.weight_bytes));
        let tile = tile.or_else(|| (self.card_bytes(None, 0) > room_bytes).then(|| self.tile(room_bytes)));
        let cost = |options: Options| {
            let peak_bytes = self.card_bytes(tile, options.piece_bytes) as usize;
            Cost { flops: 0.0, peak_bytes }
        };
        let found = Options::within(room_bytes.min(WORK_BYTES) as usize, cost);
        let piece_bytes = found.map_or(0, |found| found.piece_bytes);
        (Options { piece_bytes, tile }, self.card_bytes(tile, piece_bytes))
    }

    /// Tiles that have room, as few as can be.
    fn tile(&self, room_bytes: u64) -> Tile {
        let [height, width] = self.picture.map(|pixels| pixels as u64);
        let fixed_bytes = attention_bytes(self.picture, self.factor);
        let work = TileWork {
            height,
            width,
            step: self.factor as u64,
            overlap: OVERLAP_MAX.next_multiple_of(self.factor) as u64,
            bytes_per_pixel: (self.card_bytes(None, 0) - fixed_bytes).div_ceil(height * width),
            fixed_bytes,
        };
        let square = |side: u64| tile_of(side as usize, self.factor);
        let least = tile_of(LATENT_PIXELS_MIN * self.factor, self.factor);
        let Ok(cut) = work.choose(room_bytes) else { return least };
        // Tiles are squares, the planned ones need not be.
        let sides = [cut.height.max(cut.width), cut.height.min(cut.width)].map(square);
        let fits = |tile: &Tile| tile.size >= least.size && self.card_bytes(Some(*tile), 0) <= room_bytes;
        sides.into_iter().find(fits).unwrap_or(least)
    }

    /// What a tile of the clip, or all of it, takes of a card.
    fn card_bytes(&self, tile: Option<Tile>, piece_bytes: usize) -> u64 {
        let side = tile.map_or(usize::MAX, |tile| (tile.size / self.factor).max(1) * self.factor);
        let part = self.picture.map(|pixels| pixels.min(side));
        let cost = (self.cost)(part, Options { piece_bytes, tile: None });
        cost.peak_bytes as u64 + attention_bytes(part, self.factor)
    }
}

/// Does work that may find no room on a card: then other networks leave it and less is done at once, down to single
/// frames of the smallest tiles.
pub(super) fn with_room<T>(
    environment: &mut Environment,
    id: &NetworkId,
    work: &Work,
    mut options: Options,
    mut run: impl FnMut(Options, &mut Environment) -> Result<T, InputError>,
) -> Result<T, Error> {
    if let Some(tile) = options.tile.filter(|_| environment.card().is_some()) {
        tracing::info!("{} goes on the card in tiles of {} pixels", work.stage, tile.size);
    }
    loop {
        match run(options, environment) {
            Err(InputError::Card(failure)) if failure.is_shortage() => {
                let Some(less) = less(options, work.picture, work.factor) else { return Err(failure.into()) };
                environment.residency.unload_others(id);
                match less.tile {
                    Some(tile) => tracing::warn!("{failure}; {} goes on in tiles of {} pixels", work.stage, tile.size),
                    None => tracing::warn!("{failure}; {} goes on frame by frame", work.stage),
                }
                options = less;
            }
            done => return Ok(done?),
        }
    }
}

/// Less at once: single frames, then tiles of half the side; `None` where it is the least already.
fn less(options: Options, picture: [usize; 2], factor: usize) -> Option<Options> {
    if options.piece_bytes > 0 {
        return Some(Options { piece_bytes: 0, ..options });
    }
    let [height, width] = picture;
    let side = options.tile.map_or(usize::MAX, |tile| tile.size).min(height.max(width));
    let half = (side / 2).next_multiple_of(factor).max(LATENT_PIXELS_MIN * factor);
    (half < side).then(|| Options { piece_bytes: 0, tile: Some(tile_of(half, factor)) })
}

/// Squares of a size that share a quarter, or less, with their neighbours.
fn tile_of(size: usize, factor: usize) -> Tile {
    let shared = (size / 4).min(OVERLAP_MAX) / factor;
    Tile { size, overlap: shared.max(1) * factor }
}

/// What the attention of a picture's latent pixels to each other takes of a card.
fn attention_bytes(picture: [usize; 2], factor: usize) -> u64 {
    let pixels = picture.iter().map(|pixels| pixels.div_ceil(factor)).product();
    vita_ops::attention_card_bytes(pixels, pixels) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Work of 1000 bytes a pixel where frames are parted, of four times that where not.
    fn work(picture: [usize; 2], factor: usize) -> Work<'static> {
        let cost = &|[height, width]: [usize; 2], options: Options| {
            let frames = if options.piece_bytes > 1 << 20 { 4 } else { 1 };
            Cost { flops: 0.0, peak_bytes: frames * height * width * 1000 }
        };
        Work { stage: Stage::Decoding, weight_bytes: 1 << 20, beside_bytes: 0, picture, factor, cost }
    }

    fn on_card(free_bytes: Option<u64>) -> Room {
        Room { free_bytes, on_card: true }
    }

    #[test]
    fn the_largest_tile_that_fits_is_taken_on_a_card() {
        let work = work([480, 832], 8);
        let fixed = BASE_BYTES + work.weight_bytes + attention_bytes(work.picture, work.factor);
        let whole = 480 * 832 * 1000;
        for (free, tile) in [
            (None, None),
            (Some(fixed + 4 * whole), None),
            (Some(fixed + whole), None),
            (Some(fixed + whole - 1), Some(480)),
            (Some(fixed + whole / 2), Some(480)),
            (Some(fixed + whole / 10), Some(208)),
            (Some(0), Some(64)),
        ] {
            let (memory, options) = work.plan(DecodeOptions::default(), on_card(free));
            assert_eq!(options.tile.map(|tile| tile.size), tile, "{free:?}");
            let needed = BASE_BYTES + memory.bytes();
            assert!(free.is_none_or(|free| free == 0 || needed <= free), "{needed} of {free:?}");
        }
        // What is asked for stays.
        let asked = DecodeOptions { tile: Some(Tile { size: 272, overlap: 128 }) };
        assert_eq!(work.plan(asked, on_card(None)).1.tile, asked.tile);
        // The processor's memory is not cut for.
        assert_eq!(work.plan(DecodeOptions::default(), Room::on_host(Some(0))).1.tile, None);
    }

    #[test]
    fn less_and_less_is_done_at_once() {
        let sizes = |picture, factor, first| {
            let next = |options: &Options| less(*options, picture, factor);
            let all = std::iter::successors(Some(first), next).skip(1);
            all.map(|options| options.tile.map(|tile| (tile.size, tile.overlap))).collect::<Vec<_>>()
        };
        let whole = Options::WHOLE;
        let frames = Options { piece_bytes: 0, tile: None };
        let tiles = Options { piece_bytes: 0, tile: Some(Tile { size: 272, overlap: 128 }) };
        for (picture, factor, first, want) in [
            ([480, 832], 8, whole, &[None, Some((416, 64)), Some((208, 48)), Some((104, 24)), Some((64, 16))][..]),
            ([480, 832], 8, tiles, &[Some((136, 32)), Some((72, 16)), Some((64, 16))]),
            ([704, 1280], 16, frames, &[Some((640, 64)), Some((320, 64)), Some((160, 32)), Some((128, 32))]),
            ([64, 64], 8, frames, &[]),
        ] {
            assert_eq!(sizes(picture, factor, first), want, "{picture:?}");
        }
    }
}
