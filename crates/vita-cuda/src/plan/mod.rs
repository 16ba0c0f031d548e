//! What stays on the card and what streams to it, decided before a run from sizes alone. No card is needed here.
//!
//! Stages run one after another: encoders, transformer(s), autoencoder. A network is blocks that run in turn, and
//! the rest of it. A block either stays on the card, or lies in the host's memory and is copied while the block
//! before it computes; then two blocks' room is enough for all that stream.

mod network;
mod tile;

use std::fmt;

use vita_base::{Hint, bytes_text};

pub use network::{Network, Placement, Source};
pub use tile::{Tile, TileWork};

/// Kept free: the context's own memory, kernels, library workspaces, and what cutting blocks wastes.
pub const RESERVE_BYTES: u64 = 512 << 20;

/// What a run needs.
#[derive(Clone, Debug)]
pub struct Request {
    /// Free on the card before the run, what this process holds and can give back counted in.
    pub free_bytes: u64,
    /// The most that may be used, if bounded.
    pub budget_bytes: Option<u64>,
    /// Host memory that may be pinned for blocks that stream.
    pub pinned_bytes_max: u64,
    /// Text encoder, image encoder: used once, at the start.
    pub encoders: Vec<Network>,
    /// The transformer, or both experts: only one works at a time.
    pub transformers: Vec<Network>,
    /// The autoencoder's weights; its work is in `decode`.
    pub autoencoder: Network,
    /// The autoencoder's work.
    pub decode: TileWork,
    /// Tokens of a pass through the transformer.
    pub tokens: u64,
    /// Blocks of each transformer that stream whether or not they would fit.
    pub blocks_to_swap: usize,
    /// Whether a network leaves the card as soon as its stage is done.
    pub force_offload: bool,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// One for each encoder.
    pub encoders: Vec<Placement>,
    /// One for each transformer.
    pub transformers: Vec<Placement>,
    /// Whether all networks stay on the card from stage to stage, and for the next run.
    pub keeps_all: bool,
    /// How frames are cut for the autoencoder.
    pub tile: Tile,
    /// The most that any stage uses of the card, [`RESERVE_BYTES`] not counted.
    pub peak_bytes: u64,
    /// Host memory that is pinned.
    pub pinned_bytes: u64,
}

/// A card that is too small.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{stage} needs {} of the card, {} can be used", bytes_text(*needed_bytes), bytes_text(*usable_bytes))]
pub struct TooSmall {
    /// What does not fit.
    pub stage: Stage,
    /// The least it needs.
    pub needed_bytes: u64,
    /// What the card and the budget give.
    pub usable_bytes: u64,
    /// The most tokens that would fit, where fewer would.
    pub tokens_max: Option<u64>,
}

/// A stage of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Prompts and pictures are encoded.
    Encoding,
    /// The transformer runs.
    Sampling,
    /// Frames are decoded.
    Decoding,
}

/// Decides.
///
/// # Errors
/// [`TooSmall`], saying which stage, and what would fit.
pub fn plan(request: &Request) -> Result<Plan, TooSmall> {
    let usable_bytes = request.budget_bytes.unwrap_or(u64::MAX).min(request.free_bytes).saturating_sub(RESERVE_BYTES);
    if let Some(plan) = all_at_once(request, usable_bytes) {
        return Ok(plan);
    }
    let mut pinned_left = request.pinned_bytes_max;
    let mut place = |network: &Network, stage: Stage, swapped: usize| {
        let placement = network.place(usable_bytes, swapped, pinned_left).ok_or_else(|| TooSmall {
            stage,
            needed_bytes: network.least_bytes(),
            usable_bytes,
            tokens_max: (stage == Stage::Sampling).then(|| tokens_max(network, request.tokens, usable_bytes)).flatten(),
        })?;
        pinned_left -= placement.pinned_bytes;
        Ok(placement)
    };
    // Transformers first: every step streams their blocks, so the pinned memory is theirs.
    let transformers: Vec<Placement> = request
        .transformers
        .iter()
        .map(|network| place(network, Stage::Sampling, request.blocks_to_swap))
        .collect::<Result<_, _>>()?;
    let encoders: Vec<Placement> =
        request.encoders.iter().map(|network| place(network, Stage::Encoding, 0)).collect::<Result<_, _>>()?;
    let weights_bytes = request.autoencoder.weight_bytes();
    let too_small = |work_bytes| TooSmall {
        stage: Stage::Decoding,
        needed_bytes: weights_bytes + work_bytes,
        usable_bytes,
        tokens_max: None,
    };
    let tile = request.decode.choose(usable_bytes.saturating_sub(weights_bytes)).map_err(too_small)?;
    let stages = encoders.iter().chain(&transformers).map(|placement| placement.card_bytes);
    let peak_bytes = stages.max().unwrap_or(0).max(weights_bytes + request.decode.bytes(tile));
    let pinned_bytes = request.pinned_bytes_max - pinned_left;
    Ok(Plan { encoders, transformers, keeps_all: false, tile, peak_bytes, pinned_bytes })
}

/// The plan of a card that has room for every network beside the work of the hungriest stage.
fn all_at_once(request: &Request, usable_bytes: u64) -> Option<Plan> {
    if request.force_offload || request.blocks_to_swap > 0 {
        return None;
    }
    let networks = || request.encoders.iter().chain(&request.transformers).chain([&request.autoencoder]);
    let weights_bytes: u64 = networks().map(Network::weight_bytes).sum();
    let room = usable_bytes.checked_sub(weights_bytes)?;
    let work_bytes = networks().map(|network| network.work_bytes).max().unwrap_or(0);
    if work_bytes > room {
        return None;
    }
    // A cut frame is decoded twice where tiles overlap: rather let networks go than cut.
    let tile = request.decode.choose(room).ok().filter(|tile| tile.count() == 1)?;
    let whole = |networks: &[Network]| networks.iter().map(Network::whole).collect();
    Some(Plan {
        encoders: whole(&request.encoders),
        transformers: whole(&request.transformers),
        keeps_all: true,
        tile,
        peak_bytes: weights_bytes + work_bytes.max(request.decode.bytes(tile)),
        pinned_bytes: 0,
    })
}

/// The most tokens whose work fits beside the least of the network; work grows with the tokens.
fn tokens_max(network: &Network, tokens: u64, usable_bytes: u64) -> Option<u64> {
    let room = usable_bytes.checked_sub(network.least_bytes() - network.work_bytes)?;
    let most = u128::from(room) * u128::from(tokens) / u128::from(network.work_bytes.max(1));
    (most > 0 && tokens > 0).then_some(most as u64)
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encoding => "encoding",
            Self::Sampling => "sampling",
            Self::Decoding => "decoding",
        })
    }
}

impl Hint for TooSmall {
    fn hint(&self) -> Option<String> {
        Some(match self.tokens_max {
            Some(tokens) => format!("up to {tokens} tokens would fit: fewer frames or a smaller size"),
            None => "close what else is on the card, raise the budget, or use a quantised model".into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;

    fn network(count: usize, block: u64, other: u64, work: u64) -> Network {
        Network { block_bytes: vec![block; count], other_bytes: other, work_bytes: work }
    }

    /// Both experts of A14B in 8 bits, 832x480x81.
    fn a14b() -> Request {
        Request {
            free_bytes: 139 * GIB,
            budget_bytes: None,
            pinned_bytes_max: 40 * GIB,
            encoders: vec![network(24, 230 * MIB, GIB, GIB / 2)],
            transformers: vec![network(40, 340 * MIB, 300 * MIB, 5 * GIB); 2],
            autoencoder: network(0, 0, 250 * MIB, 0),
            decode: TileWork { height: 480, width: 832, step: 8, overlap: 64, bytes_per_pixel: 9000, fixed_bytes: 0 },
            tokens: 32_760,
            blocks_to_swap: 0,
            force_offload: false,
        }
    }

    #[test]
    fn a_large_card_keeps_all() {
        let plan = plan(&a14b()).unwrap();
        assert!(plan.keeps_all && plan.tile.count() == 1 && plan.pinned_bytes == 0);
        assert!(plan.transformers.iter().all(|placement| placement.streamed_blocks == 0));
        let forced = super::plan(&Request { force_offload: true, ..a14b() }).unwrap();
        assert!(!forced.keeps_all && forced.peak_bytes < plan.peak_bytes);
        assert_eq!(forced.transformers, plan.transformers);
    }

    #[test]
    fn both_experts_on_24_gb_with_64_gb_of_ram() {
        let request = Request { free_bytes: 23 * GIB, ..a14b() };
        let eight_bits = plan(&request).unwrap();
        assert!(!eight_bits.keeps_all);
        assert!(
            eight_bits.transformers.iter().all(|placement| placement.streamed_blocks == 0),
            "one expert fits alone"
        );
        let mut wide = request.clone();
        wide.transformers = vec![network(40, 680 * MIB, 600 * MIB, 5 * GIB); 2];
        let plan = plan(&wide).unwrap();
        for placement in &plan.transformers {
            let resident = (40 - placement.streamed_blocks) as u64;
            assert!(placement.streamed_blocks > 0 && resident > 10, "{placement:?}");
            assert_eq!(placement.card_bytes, 5 * GIB + 600 * MIB + (resident + 2) * 680 * MIB);
        }
        assert!(plan.peak_bytes <= 23 * GIB - RESERVE_BYTES && plan.pinned_bytes <= 40 * GIB);
        // A budget is obeyed as a smaller card is.
        let budget = super::plan(&Request { free_bytes: 80 * GIB, budget_bytes: Some(23 * GIB), ..wide }).unwrap();
        assert_eq!(budget, plan);
    }

    #[test]
    fn swapping_is_obeyed_and_pinned_memory_ends() {
        let plan = plan(&Request { blocks_to_swap: 30, pinned_bytes_max: 12 * GIB, ..a14b() }).unwrap();
        let sources: Vec<_> = plan.transformers.iter().map(|p| (p.streamed_blocks, p.source)).collect();
        assert_eq!(sources, [(30, Source::Pinned), (30, Source::Mapped)], "10 GiB of the 12 are the first expert's");
        assert_eq!(plan.pinned_bytes, 30 * 340 * MIB);
    }

    #[test]
    fn what_does_not_fit_says_what_would() {
        let error = plan(&Request { free_bytes: 5 * GIB, ..a14b() }).unwrap_err();
        assert_eq!((error.stage, error.usable_bytes), (Stage::Sampling, 5 * GIB - RESERVE_BYTES));
        let tokens = error.tokens_max.unwrap();
        assert!((20_000..25_000).contains(&tokens), "{tokens}");
        // With that many tokens it does fit.
        let mut fewer = Request { free_bytes: 5 * GIB, tokens, ..a14b() };
        fewer.transformers.iter_mut().for_each(|network| network.work_bytes = 5 * GIB * tokens / 32_760);
        assert!(plan(&fewer).is_ok());
        let error = plan(&Request { free_bytes: GIB, ..a14b() }).unwrap_err();
        assert_eq!(error.tokens_max, None);
        assert!(error.to_string().starts_with("sampling needs "), "{error}");
    }

    #[test]
    fn a_smaller_card_cuts_frames() {
        let mut request = Request { free_bytes: 8 * GIB, ..a14b() };
        request.transformers = vec![network(30, 90 * MIB, 100 * MIB, GIB)];
        request.decode.bytes_per_pixel = 30_000;
        let plan = plan(&request).unwrap();
        assert!(plan.tile.count() > 1 && plan.peak_bytes <= 8 * GIB - RESERVE_BYTES, "{plan:?}");
    }
}
