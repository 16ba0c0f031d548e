//! Attention on a card: one kernel for heads of 128 without biases, which is what videos ask; products and a softmax a
//! head for the encoders.

use std::sync::Arc;

use vita_cuda::Card;
use vita_cuda::ops::{Attention, HEAD, Linear, Rows, Weight, softmax};
use vita_tensor::{DType, Failure, Tensor};

use super::AttentionOptions;
use crate::card::{Operand, contiguous, empty, failed, format, slice, upload, whole_rows, zeros};

pub fn attention(
    card: &Arc<Card>,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    options: AttentionOptions,
) -> Result<Tensor, Failure> {
    let [queries, heads, width] = q.sizes();
    let y = empty(card, DType::BF16, [queries, heads, width])?;
    if k.dims()[0] == 0 || queries == 0 {
        return zeros(card, DType::BF16, [queries, heads, width]);
    }
    let AttentionOptions { scale, key_bias: None, position_bias: None, mode } = options else {
        return by_head(card, [q, k, v], y, options);
    };
    if width != HEAD {
        return by_head(card, [q, k, v], y, options);
    }
    // Heads lie side by side in a token's row.
    let [q, k, v] = [q, k, v].map(|x| narrow_rows(card, x));
    let (q, k, v, answer) = (q?, k?, v?, y.reshape([queries, heads * width]));
    let call = Attention { q: q.rows(), k: k.rows(), v: v.rows(), y: whole_rows(&answer), scale };
    card.attention(mode, call).map_err(failed)?;
    Ok(y)
}

/// `[L, H, D]` as rows `[L, H D]` of bf16.
fn narrow_rows(card: &Arc<Card>, x: &Tensor) -> Result<Operand, Failure> {
    let [tokens, heads, width] = x.sizes();
    let x = if x.dtype() == DType::BF16 && x.strides()[1] == width && x.strides()[2] == 1 {
        x.clone()
    } else {
        contiguous(card, x, DType::BF16)?
    };
    Operand::of(card, &x.reshape([tokens, heads * width]))
}

/// Head by head: logits in f32, weights in bf16. Keys are filled up to whole eights, hidden by their bias.
fn by_head(card: &Arc<Card>, [q, k, v]: [&Tensor; 3], y: Tensor, options: AttentionOptions) -> Result<Tensor, Failure> {
    let ([queries, heads, width], keys) = (q.sizes(), k.dims()[0]);
    let all_keys = keys.next_multiple_of(8);
    let filled = |x: &Tensor, order: [usize; 3]| -> Result<Tensor, Failure> {
        let rows = zeros(card, DType::BF16, [all_keys, heads, width])?;
        let place = rows.narrow(0, 0, keys).reshape([keys, heads * width]);
        let from = contiguous(card, x, DType::BF16)?.reshape([keys, heads * width]);
        vita_cuda::ops::cast(card.machine(), whole_rows(&from), whole_rows(&place), 1.0).map_err(failed)?;
        contiguous(card, &rows.permute(&order), DType::BF16)
    };
    let k = filled(k, [1, 0, 2])?; // [H, S, D]
    let v = filled(v, [1, 2, 0])?; // [H, D, S]
    let q = narrow_rows(card, q)?;
    let bias = bias(queries, [keys, all_keys], heads, options);
    let bias = bias.map(|bias| upload(card, &bias)).transpose()?;
    let logits = empty(card, DType::F32, [queries, all_keys])?;
    let weights = empty(card, DType::BF16, [queries, all_keys])?;
    for head in 0..heads {
        let part = |x: &Tensor, columns: usize, depth: usize| (x.select(0, head), columns, depth);
        let multiply = |x: Rows, (weight, columns, depth): (Tensor, usize, usize), y: Rows| {
            let weight = Weight { data: slice(&weight), format: format(DType::BF16), columns, depth };
            let call = Linear { x, weight, bias: None, scale: 1.0, function: None, y };
            vita_cuda::ops::linear(card.machine(), call).map_err(failed)
        };
        multiply(columns_of(q.rows(), head * width, width), part(&k, all_keys, width), whole_rows(&logits))?;
        let bias = bias.as_ref().map(|bias| bias.select(0, head));
        let bias = bias.as_ref().map(slice);
        softmax(card.machine(), whole_rows(&logits), options.scale, bias, whole_rows(&weights)).map_err(failed)?;
        let answer = y.reshape([queries, heads * width]);
        multiply(
            whole_rows(&weights),
            part(&v, width, all_keys),
            columns_of(whole_rows(&answer), head * width, width),
        )?;
    }
    Ok(y)
}

/// Some columns of rows.
fn columns_of(rows: Rows<'_>, start: usize, width: usize) -> Rows<'_> {
    let skipped = start as u64 * rows.float.bytes();
    let data = rows.data.part(skipped, rows.data.bytes() - skipped);
    Rows::strided(data, rows.float, rows.rows, width, rows.stride)
}

/// What is added to the logits, `[H, L, S]`, if anything is.
fn bias(queries: usize, [keys, all_keys]: [usize; 2], heads: usize, options: AttentionOptions) -> Option<Tensor> {
    let AttentionOptions { key_bias, position_bias, .. } = options;
    if key_bias.is_none() && position_bias.is_none() && keys == all_keys {
        return None;
    }
    let positions = position_bias.map(Tensor::to_vec);
    let places = queries + keys - 1;
    let mut values = Vec::with_capacity(heads * queries * all_keys);
    for head in 0..heads {
        for query in 0..queries {
            let of_key = |key: usize| {
                let position = positions.as_ref().map_or(0.0, |all| all[head * places + query + keys - 1 - key]);
                position + key_bias.map_or(0.0, |bias| bias[key])
            };
            values.extend((0..keys).map(of_key));
            values.resize(values.len() + all_keys - keys, f32::NEG_INFINITY);
        }
    }
    Some(Tensor::from_vec(values, [heads, queries, all_keys]))
}
