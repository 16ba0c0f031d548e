//! Has cuDNN name its engines for every attention of the Wan models, on cards that are described to it: what it would
//! refuse, or what it is told wrongly, shows here without a card.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use vita_base::{Report, bytes_text};
use vita_cuda::Error;
use vita_cuda::cudnn::{Planner, Sizes};
use vita_cuda::discover::{Library, Search};
use vita_cuda::ops::{Float, HEAD};

use super::cards::{CARDS, Card};
use super::stand_ins;

/// Heads of the 1.3B, 5B and 14B transformers.
const HEADS: [usize; 3] = [12, 24, 40];

/// Video tokens: the least, one frame of 832x480, five seconds of the 5B at 1280x704, of 832x480 and 1280x720, the most.
const TOKENS: [usize; 6] = [512, 1560, 27_280, 32_760, 75_600, 130_000];

/// Keys of the prompt and of CLIP's picture.
const CROSS_KEYS: [usize; 2] = [512, 257];

/// Queries and keys of the cases that a card is held to.
const ODD: [[usize; 2]; 7] = [[1, 1], [1, 2000], [128, 128], [130, 64], [200, 515], [333, 257], [512, 1000]];

/// The chore's flags.
#[derive(Args)]
pub struct Arguments {
    /// Folder of `libcudnn.so.*`, as in pip's `nvidia-cudnn-cu13`; without it the system is asked.
    #[arg(long)]
    cudnn: Option<PathBuf>,
    /// Folder of `libnvrtc.so.*`, without which versions before 9.28 have no engine.
    #[arg(long)]
    nvrtc: Option<PathBuf>,
}

/// Asks, and prints a line a card: how many attentions have an engine, which engines, the memory they want, and how many
/// of them compile.
///
/// # Errors
/// If cuDNN is not there, has no engine for one of them, or one that does not compile.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let stand_ins = tempfile::tempdir().map_err(|error| Report::new(format!("no temporary folder: {error}")))?;
    let planner = open(arguments, stand_ins.path())?;
    println!("cuDNN {} from {}", planner.version(), planner.found().path.display());
    let least = Sizes::dense(Float::Bf16, HEADS[0], TOKENS[0], TOKENS[0]);
    if planner.engines("{}", &least).is_ok() {
        return Err(Report::new("cuDNN has engines for a card that was not described: nothing is checked"));
    }
    let missing: usize = CARDS.iter().map(|card| check(&planner, card)).sum();
    match missing {
        0 => Ok(()),
        missing => Err(Report::new(format!("cuDNN has no engine, or no kernel, in {missing} cases"))),
    }
}

/// Opens cuDNN, with stand-ins for what a machine without a card lacks.
fn open(arguments: &Arguments, stand_ins: &Path) -> Result<Planner, Report> {
    let folders = [&arguments.cudnn, &arguments.nvrtc].into_iter().flatten().cloned().collect();
    let mut search = Search { folders, system: true, ..Search::default() };
    if search.open(Library::Driver, None).is_err() {
        stand_ins::driver(stand_ins)?;
        let folders = vec![stand_ins.to_path_buf()];
        Search { folders, ..Search::default() }.open(Library::Driver, None)?;
    }
    match Planner::open(&search, None) {
        Err(Error::LibraryMissing { library: Library::CublasLt, .. }) => {
            stand_ins::cublaslt(stand_ins)?;
            search.folders.push(stand_ins.to_path_buf());
            Ok(Planner::open(&search, None)?)
        }
        opened => Ok(opened?),
    }
}

/// Prints the card's line; how many attentions have no engine, or engines no kernel.
fn check(planner: &Planner, card: &Card) -> usize {
    let (all, description) = (attentions(), card.json());
    let (mut engines, mut workspace_bytes, mut failed) = (BTreeSet::new(), 0, Vec::new());
    for sizes in &all {
        match planner.engines(&description, sizes) {
            Ok(found) => {
                engines.extend(found.iter().map(|engine| engine.index));
                workspace_bytes = found.iter().map(|engine| engine.workspace_bytes).fold(workspace_bytes, u64::max);
            }
            Err(error) => failed.push(format!("{sizes}, {} apart: {error}", sizes.strides[0])),
        }
    }
    let with_engine = all.len() - failed.len();
    let kernels = compile(planner, &description).unwrap_or_else(|error| {
        failed.push(format!("a kernel: {error}"));
        0
    });
    let (name, arch, workspace) = (card.name, card.arch.to_string(), bytes_text(workspace_bytes));
    let all = all.len();
    println!(
        "{name:<16} {arch:<5} {with_engine:>4} of {all} attentions, engines {engines:?}, workspace at most {workspace}, \
         kernels compiled: {kernels}"
    );
    // One reason is as good as a hundred of the same.
    failed.iter().take(3).for_each(|line| println!("    {line}"));
    failed.len()
}

/// How many engines make a kernel of one attention; where there is no card, the driver refuses to load it then.
fn compile(planner: &Planner, description: &str) -> Result<usize, Error> {
    let outcomes = planner.compile(description, &Sizes::dense(Float::Bf16, 40, 32_760, 32_760))?;
    let count = outcomes.len();
    for outcome in outcomes {
        match outcome {
            Err(Error::LibraryRefused { message, .. }) if message.contains("cuLibraryLoadData") => {}
            other => _ = other?,
        }
    }
    Ok(count)
}

/// Self-attention and cross-attention, in both types, in rows of their own and as parts of longer ones.
fn attentions() -> Vec<Sizes> {
    let mut all = Vec::new();
    for float in [Float::Bf16, Float::F16] {
        for heads in HEADS {
            let wan = TOKENS.iter().flat_map(|&tokens| [[tokens; 2], [tokens, CROSS_KEYS[0]], [tokens, CROSS_KEYS[1]]]);
            for [tokens, keys] in wan.chain(ODD) {
                let dense = Sizes::dense(float, heads, tokens, keys);
                let width = heads * HEAD;
                // Queries, keys and values of one product; keys and values of another.
                let parts = if keys == tokens { [3, 3, 3, 1] } else { [1, 2, 2, 1] };
                all.extend([dense, Sizes { strides: parts.map(|times| times * width), ..dense }]);
            }
        }
    }
    all
}
