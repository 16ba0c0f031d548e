//! How a latent of one size becomes tokens: padding, positions, and the parts that are worked on in turn.

use std::ops::Range;

use vita_ops::{RopeTable, patchify, put_rows, room_for_rows, rope_frequencies, unpatchify};
use vita_tensor::Tensor;

use super::{Config, Error, Result};

/// Most bytes of a feed-forward layer's hidden values, by default. Fewer make it slower only when a part
/// has too few tokens to keep all processors busy.
pub const HIDDEN_BYTES_MAX: usize = 256 << 20;

/// How a latent is worked on.
#[derive(Clone, Copy, Debug)]
pub struct LayoutOptions {
    /// Most bytes of a feed-forward layer's hidden values; tokens are worked on in as many parts as that
    /// takes. It changes no result. Usually [`HIDDEN_BYTES_MAX`].
    pub hidden_bytes_max: usize,
}

/// Tokens of a latent of one size. Made once a job.
pub struct Layout {
    latent: [usize; 3],
    grid: [usize; 3],
    rope: RopeTable,
    parts: Vec<Part>,
}

/// Some of the tokens: whole latent frames, or some of a single frame's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    tokens: Range<usize>,
    frames: Range<usize>,
}

impl Layout {
    /// latent: frames, rows and columns, none of them 0. Odd rows and columns are padded by one, with the
    /// first one (circular padding, as ComfyUI has it).
    ///
    /// # Errors
    /// If the latent is empty.
    pub fn new(config: &Config, latent: [usize; 3], options: LayoutOptions) -> Result<Self> {
        if latent.contains(&0) {
            return Err(Error::LatentEmpty(latent));
        }
        let grid = token_grid(latent);
        Ok(Self {
            latent,
            grid,
            rope: RopeTable::new(grid, Config::HEAD_DIM, Config::ROPE_THETA),
            parts: parts(grid, tokens_at_once(config, options)),
        })
    }

    /// The same with RIFLEx (Zhao et al., 2025): frequency `index`, from 1, of the frames turns less than once in
    /// `frames` latent frames, so that a long video does not begin anew.
    #[must_use]
    pub fn with_riflex(self, index: usize, frames: usize) -> Self {
        let mut frequencies = rope_frequencies(Config::HEAD_DIM, Config::ROPE_THETA);
        if let Some(frequency) = index.checked_sub(1).and_then(|index| frequencies[0].get_mut(index)) {
            *frequency = 0.9 * std::f64::consts::TAU / frames as f64;
        }
        Self { rope: RopeTable::with_frequencies(self.grid, &frequencies), ..self }
    }

    /// Frames, rows and columns of the latent.
    pub fn latent(&self) -> [usize; 3] {
        self.latent
    }

    /// Number of tokens, L.
    pub fn token_count(&self) -> usize {
        self.grid.iter().product()
    }

    /// Frames of tokens.
    pub(super) fn token_frames(&self) -> usize {
        self.grid[0]
    }

    /// Bytes of the table of positions.
    pub fn size_bytes(&self) -> usize {
        rope_bytes(self.token_count())
    }

    pub(super) fn rope(&self) -> &RopeTable {
        &self.rope
    }

    /// Latent `[C, T, H, W]` to patches `[L, 4 C]`.
    pub(super) fn patches(&self, x: &Tensor) -> Tensor {
        let [_, rows, columns] = self.latent;
        patchify(&pad(&pad(x, 2, rows % 2), 3, columns % 2))
    }

    /// Patches `[L, 4 C]` to a latent `[C, T, H, W]`.
    pub(super) fn latent_of(&self, patches: &Tensor) -> Tensor {
        let [_, rows, columns] = self.latent;
        vita_ops::to_f32(&unpatchify(patches, self.grid).narrow(2, 0, rows).narrow(3, 0, columns))
    }

    /// Whole tensors from what each part yields, `[l, C]` each.
    pub(super) fn gather<const N: usize>(&self, work: impl Fn(&Part) -> [Tensor; N]) -> [Tensor; N] {
        let (first, rest) = self.parts.split_first().expect("a layout has tokens");
        let pieces = work(first);
        if rest.is_empty() {
            return pieces;
        }
        let mut whole = pieces.each_ref().map(|piece| room_for_rows(piece, self.token_count()));
        let mut put = |part: &Part, pieces: [Tensor; N]| {
            whole.iter_mut().zip(pieces).for_each(|(whole, piece)| part.put(whole, &piece));
        };
        put(first, pieces);
        rest.iter().for_each(|part| put(part, work(part)));
        whole
    }

    /// Replaces each part's rows of x, `[L, C]`, by what `work` makes of them.
    pub(super) fn update(&self, x: Tensor, work: impl Fn(&Part, Tensor) -> Tensor) -> Tensor {
        if let [part] = &self.parts[..] {
            return work(part, x);
        }
        let mut x = x;
        for part in &self.parts {
            let rows = work(part, part.of(&x));
            part.put(&mut x, &rows);
        }
        x
    }
}

impl Part {
    /// The part's rows of x: `[L, ..]`.
    pub fn of(&self, x: &Tensor) -> Tensor {
        x.narrow(0, self.tokens.start, self.tokens.len())
    }

    /// The part's rows of a modulation: all of `[1, C]`, its frames' of `[T, C]`.
    pub fn of_time(&self, x: &Tensor) -> Tensor {
        match x.dims()[0] {
            1 => x.clone(),
            _ => x.narrow(0, self.frames.start, self.frames.len()),
        }
    }

    /// The number of its first token.
    pub fn first_token(&self) -> usize {
        self.tokens.start
    }

    fn put(&self, x: &mut Tensor, rows: &Tensor) {
        put_rows(x, self.tokens.start, rows);
    }
}

/// Frames, rows and columns of tokens.
pub(super) fn token_grid(latent: [usize; 3]) -> [usize; 3] {
    std::array::from_fn(|axis| latent[axis].div_ceil(Config::PATCH[axis]))
}

/// Tokens of the largest part.
pub(super) fn largest_part(config: &Config, grid: [usize; 3], options: LayoutOptions) -> usize {
    parts(grid, tokens_at_once(config, options)).iter().map(|part| part.tokens.len()).max().unwrap_or(0)
}

/// Bytes of a table of positions: a cosine and a sine for each pair of a head.
pub(super) fn rope_bytes(token_count: usize) -> usize {
    token_count * Config::HEAD_DIM * size_of::<f32>()
}

fn tokens_at_once(config: &Config, options: LayoutOptions) -> usize {
    (options.hidden_bytes_max / (config.ffn_dim * size_of::<f32>())).max(1)
}

/// Parts of about equal size, of at most so many tokens.
fn parts([frames, rows, columns]: [usize; 3], tokens_max: usize) -> Vec<Part> {
    let frame_tokens = rows * columns;
    if frame_tokens <= tokens_max {
        return even_runs(frames, tokens_max / frame_tokens)
            .map(|frames| Part { tokens: frames.start * frame_tokens..frames.end * frame_tokens, frames })
            .collect();
    }
    let of_frame = |frame: usize| {
        even_runs(frame_tokens, tokens_max).map(move |run| Part {
            tokens: frame * frame_tokens + run.start..frame * frame_tokens + run.end,
            frames: frame..frame + 1,
        })
    };
    (0..frames).flat_map(of_frame).collect()
}

/// Cuts `0..count` into as few runs of at most `len_max` as possible, of about equal length.
fn even_runs(count: usize, len_max: usize) -> impl Iterator<Item = Range<usize>> {
    let runs = count.div_ceil(len_max);
    (0..runs).map(move |run| run * count / runs..(run + 1) * count / runs)
}

/// Repeats the first `by` entries of an axis at its end.
fn pad(x: &Tensor, axis: usize, by: usize) -> Tensor {
    if by == 0 {
        return x.clone();
    }
    let dims = x.dims();
    let outer: usize = dims[..axis].iter().product();
    let inner: usize = dims[axis + 1..].iter().product();
    let from = x.to_vec();
    let mut values = Vec::with_capacity(outer * (dims[axis] + by) * inner);
    for entry in from.chunks_exact(dims[axis] * inner) {
        values.extend(entry);
        values.extend(&entry[..by * inner]);
    }
    let mut padded = dims.to_vec();
    padded[axis] += by;
    Tensor::from_vec(values, &padded[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_frames_or_pieces_of_one() {
        let tokens =
            |grid, max| -> Vec<_> { parts(grid, max).into_iter().map(|part| (part.tokens, part.frames)).collect() };
        assert_eq!(tokens([2, 2, 3], 100), [(0..12, 0..2)]);
        assert_eq!(tokens([5, 2, 3], 25), [(0..12, 0..2), (12..30, 2..5)]);
        assert_eq!(tokens([2, 2, 3], 5), [(0..3, 0..1), (3..6, 0..1), (6..9, 1..2), (9..12, 1..2)]);
        assert_eq!(tokens([1, 1, 2], 1), [(0..1, 0..1), (1..2, 0..1)]);
    }

    #[test]
    fn parts_are_put_back_where_they_were() {
        let config = Config { ffn_dim: 1, ..Config::t2v_1_3b() };
        let x = Tensor::from_vec((0..60).map(|i| i as f32).collect(), [30, 2]);
        for hidden_bytes_max in [1, 28, 40, 100, 1000] {
            let layout = Layout::new(&config, [5, 4, 6], LayoutOptions { hidden_bytes_max }).unwrap();
            let [copy] = layout.gather(|part| [vita_ops::to_f32(&part.of(&x))]);
            assert_eq!(copy.to_vec(), x.to_vec());
            let doubled = layout.update(copy, |_, rows| vita_ops::add(rows.clone(), &rows));
            assert_eq!(doubled.to_vec(), x.to_vec().iter().map(|value| 2.0 * value).collect::<Vec<_>>());
        }
    }

    #[test]
    fn riflex_changes_one_frequency_of_the_frames() {
        let options = LayoutOptions { hidden_bytes_max: HIDDEN_BYTES_MAX };
        let layout = || Layout::new(&Config::t2v_1_3b(), [3, 2, 4], options).unwrap();
        let turned = |layout: &Layout| {
            let x = Tensor::from_vec([1.0, 0.0].repeat(6 * 64), [6, 1, 128]);
            vita_ops::rope(x, layout.rope()).to_vec()
        };
        let (plain, riflex) = (turned(&layout()), turned(&layout().with_riflex(6, 21)));
        let last_frame = 4 * 128;
        let angle = 2.0 * 0.9 * std::f64::consts::TAU / 21.0;
        let pair = &riflex[last_frame + 10..][..2];
        assert!((f64::from(pair[0]) - angle.cos()).abs() < 1e-6 && (f64::from(pair[1]) - angle.sin()).abs() < 1e-6);
        let changed: Vec<usize> = (0..plain.len()).filter(|&i| plain[i] != riflex[i]).map(|i| i % 128 / 2).collect();
        assert!(!changed.is_empty() && changed.iter().all(|&pair| pair == 5), "{changed:?}");
        // The first frame stays where it is, and a frequency that is not there changes nothing.
        assert_eq!(plain[..2 * 128], riflex[..2 * 128]);
        assert_eq!(turned(&layout().with_riflex(23, 21)), plain);
    }

    #[test]
    fn odd_sizes_are_padded_with_the_first_row_and_column() {
        let x = Tensor::from_vec((0..6).map(|i| i as f32).collect(), [1, 1, 2, 3]);
        let padded = pad(&pad(&x, 2, 1), 3, 1);
        assert_eq!(padded.sizes(), [1, 1, 3, 4]);
        assert_eq!(padded.to_vec(), [0., 1., 2., 0., 3., 4., 5., 3., 0., 1., 2., 0.]);
    }
}
