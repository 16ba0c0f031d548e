//! Attention on a card: one kernel for heads of 128 without biases, which is what videos ask; products and a softmax a
//! head for the encoders.

use std::sync::Arc;

use vita_cuda::Card;
use vita_cuda::ops::{Attention, HEAD, Linear, Modulation, Rows, Weight, softmax};
use vita_tensor::{DType, Failure, Tensor};

use super::AttentionOptions;
use crate::card::{Operand, contiguous, empty, failed, format, slice, upload, whole_rows, zeros};
use crate::copies::{cut, padded};

/// What logits and weights of some queries may take together; queries go in parts of that.
const LOGITS_BYTES_MAX: usize = 128 << 20;

/// Of a logit in f32 and a weight in 16 bits.
const LOGIT_BYTES: usize = 6;

/// What it works on and answers in: f16 where queries are that, else bf16.
pub fn dtype(q: &Tensor) -> DType {
    if q.dtype() == DType::F16 && !q.is_on_host() { DType::F16 } else { DType::BF16 }
}

pub fn attention(
    card: &Arc<Card>,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    options: AttentionOptions,
) -> Result<Tensor, Failure> {
    let ([queries, heads, width], dtype) = (q.sizes(), dtype(q));
    if !width.is_multiple_of(8) {
        // Zeros add nothing to a logit, and what they weigh is cut off.
        let filled = |x: &Tensor| padded(card, x, width.next_multiple_of(8), dtype);
        return cut(card, attention(card, &filled(q)?, &filled(k)?, &filled(v)?, options)?, width);
    }
    let y = empty(card, dtype, [queries, heads, width])?;
    if k.dims()[0] == 0 || queries == 0 {
        return zeros(card, dtype, [queries, heads, width]);
    }
    let AttentionOptions { scale, key_bias: None, position_bias: None, mode } = options else {
        return by_head(card, [q, k, v], y, options);
    };
    if width != HEAD || dtype != DType::BF16 {
        return by_head(card, [q, k, v], y, options);
    }
    // Heads lie side by side in a token's row.
    let [q, k, v] = [q, k, v].map(|x| narrow_rows(card, x, dtype));
    let (q, k, v, answer) = (q?, k?, v?, y.reshape([queries, heads * width]));
    let call = Attention { q: q.rows(), k: k.rows(), v: v.rows(), y: whole_rows(&answer), scale };
    card.attention(mode, call).map_err(failed)?;
    Ok(y)
}

/// `[L, H, D]` as rows `[L, H D]`.
fn narrow_rows(card: &Arc<Card>, x: &Tensor, dtype: DType) -> Result<Operand, Failure> {
    let [tokens, heads, width] = x.sizes();
    let x = if x.dtype() == dtype && x.strides()[1] == width && x.strides()[2] == 1 {
        x.clone()
    } else {
        contiguous(card, x, dtype)?
    };
    Operand::of(card, &x.reshape([tokens, heads * width]))
}

/// Head by head: logits in f32, weights of the type that is asked. Keys are filled up to whole eights, hidden by their bias.
fn by_head(card: &Arc<Card>, [q, k, v]: [&Tensor; 3], y: Tensor, options: AttentionOptions) -> Result<Tensor, Failure> {
    let ([queries, heads, width], keys, dtype) = (q.sizes(), k.dims()[0], y.dtype());
    let all_keys = keys.next_multiple_of(8);
    let filled = |x: &Tensor, order: [usize; 3]| -> Result<Tensor, Failure> {
        let rows = zeros(card, dtype, [all_keys, heads, width])?;
        let place = rows.narrow(0, 0, keys).reshape([keys, heads * width]);
        let from = contiguous(card, x, dtype)?.reshape([keys, heads * width]);
        vita_cuda::ops::cast(card.machine(), whole_rows(&from), whole_rows(&place), 1.0).map_err(failed)?;
        contiguous(card, &rows.permute(&order), dtype)
    };
    let k = filled(k, [1, 0, 2])?; // [H, S, D]
    let v = filled(v, [1, 2, 0])?; // [H, D, S]
    let q = narrow_rows(card, q, dtype)?;
    let bias = bias(queries, [keys, all_keys], heads, options);
    let bias = bias.map(|bias| upload(card, &bias)).transpose()?;
    let at_once = queries_at_once(queries, all_keys);
    let logits = empty(card, DType::F32, [at_once, all_keys])?;
    let weights = empty(card, dtype, [at_once, all_keys])?;
    let answer = y.reshape([queries, heads * width]);
    for (head, start) in (0..heads).flat_map(|head| (0..queries).step_by(at_once).map(move |start| (head, start))) {
        let count = at_once.min(queries - start);
        let part = |x: &Tensor, columns: usize, depth: usize| (x.select(0, head), columns, depth);
        let multiply = |x: Rows, (weight, columns, depth): (Tensor, usize, usize), y: Rows| {
            let weight = Weight { data: slice(&weight), format: format(dtype), columns, depth };
            let call = Linear { x, weight, bias: None, scale: 1.0, function: None, y };
            vita_cuda::ops::linear(card.machine(), call).map_err(failed)
        };
        let (logits, weights) = (logits.narrow(0, 0, count), weights.narrow(0, 0, count));
        let of_head = |rows| part_of(rows, [start, count], [head * width, width]);
        multiply(of_head(q.rows()), part(&k, all_keys, width), whole_rows(&logits))?;
        let bias = bias.as_ref().map(|bias| match bias.dims()[1] {
            1 => (bias.select(0, head), 1),
            _ => (bias.select(0, head).narrow(0, start, count), count),
        });
        let bias = bias.as_ref().map(|(bias, groups)| Modulation { data: slice(bias), groups: *groups });
        softmax(card.machine(), whole_rows(&logits), options.scale, bias, whole_rows(&weights)).map_err(failed)?;
        multiply(whole_rows(&weights), part(&v, width, all_keys), of_head(whole_rows(&answer)))?;
    }
    Ok(y)
}

/// What the logits and weights of a head take.
pub fn scratch_bytes(queries: usize, keys: usize) -> usize {
    let all_keys = keys.next_multiple_of(8);
    queries_at_once(queries, all_keys) * all_keys * LOGIT_BYTES
}

fn queries_at_once(queries: usize, all_keys: usize) -> usize {
    (LOGITS_BYTES_MAX / (LOGIT_BYTES * all_keys).max(1)).clamp(1, queries.max(1))
}

/// Some rows, and of them some columns: starts and counts.
fn part_of<'a>(rows: Rows<'a>, [first, count]: [usize; 2], [start, width]: [usize; 2]) -> Rows<'a> {
    let skipped = (first * rows.stride + start) as u64 * rows.float.bytes();
    let data = rows.data.part(skipped, rows.data.bytes() - skipped);
    Rows::strided(data, rows.float, count, width, rows.stride)
}

/// What is added to the logits, if anything is: `[H, L, S]`, or `[H, 1, S]` for all queries.
fn bias(queries: usize, [keys, all_keys]: [usize; 2], heads: usize, options: AttentionOptions) -> Option<Tensor> {
    let AttentionOptions { key_bias, position_bias, .. } = options;
    if key_bias.is_none() && position_bias.is_none() && keys == all_keys {
        return None;
    }
    let positions = position_bias.map(Tensor::to_vec);
    let places = queries + keys - 1;
    let rows = if positions.is_some() { queries } else { 1 };
    let mut values = Vec::with_capacity(heads * rows * all_keys);
    for head in 0..heads {
        for query in 0..rows {
            let of_key = |key: usize| {
                let position = positions.as_ref().map_or(0.0, |all| all[head * places + query + keys - 1 - key]);
                position + key_bias.map_or(0.0, |bias| bias[key])
            };
            values.extend((0..keys).map(of_key));
            values.resize(values.len() + all_keys - keys, f32::NEG_INFINITY);
        }
    }
    Some(Tensor::from_vec(values, [heads, rows, all_keys]))
}
