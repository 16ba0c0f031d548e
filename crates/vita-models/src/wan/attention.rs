//! Attention of the video to itself, and to the prompt.

use std::ops::Range;
use std::sync::Arc;

use vita_ops::{
    Activation, Arrived, AttentionMode, AttentionOptions, Linear, RopeTable, Upload, add, attention, rms_norm,
    rms_rope, rope, scale, to_f32,
};
use vita_tensor::Tensor;
use vita_weights::Weights;

use super::adapt::Change;
use super::layers::{linear, on_card, small};
use super::layout::{Layout, Part};
use super::{Config, Error, NagNumbers, Result, enhance, nag};

/// What both kinds are made of.
#[derive(Clone)]
struct Attention {
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    norm_q: Tensor, // [C]: over all heads at once
    norm_k: Tensor, // [C]
    /// How precisely a card attends.
    mode: AttentionMode,
}

/// `self_attn`.
#[derive(Clone)]
pub struct SelfAttention(Attention);

/// Queries, keys and values of all tokens, `[L, H, D]`, normalised and turned.
pub struct Projected {
    q: Tensor,
    k: Tensor,
    v: Tensor,
    /// Factor of what is attended to.
    factor: f32,
}

impl SelfAttention {
    pub fn load(weights: &Weights, dim: usize) -> Result<Self> {
        Attention::load(weights, dim).map(Self)
    }

    pub fn change(&mut self, name: &str, change: &mut Change) {
        self.0.change(name, change);
    }

    pub fn upload<'a>(&'a self, upload: &mut Upload<'a>) -> Result<Self> {
        self.0.upload(upload).map(Self)
    }

    /// With weights that came later, see [`Upload::later`].
    pub fn with_weights(&self, arrived: &Arrived) -> Self {
        Self(self.0.with_weights(arrived))
    }

    /// `rows` gives a part's normalised and modulated rows, `[l, C]`; `weight` is that of Enhance-A-Video.
    pub fn project(&self, layout: &Layout, weight: Option<f32>, rows: impl Fn(&Part) -> Tensor) -> Projected {
        let Self(layers) = self;
        let [q, k, v] = layout.gather(|part| {
            let y = rows(part);
            let v = layers.v.forward(&y, Activation::None);
            // The weight is found in queries and keys before they are turned.
            let turn = weight.is_none().then(|| (layout.rope(), part.first_token()));
            let k = normalised(&layers.k, &y, &layers.norm_k, turn);
            let q = normalised(&layers.q, y, &layers.norm_q, turn);
            [q, k, v]
        });
        let [q, k, v] = [q, k, v].map(heads);
        let Some(weight) = weight else { return Projected { q, k, v, factor: 1.0 } };
        let factor = match (q.to_host(), k.to_host()) {
            (Ok(q), Ok(k)) => enhance::factor(&to_f32(&q), &to_f32(&k), layout.token_frames(), weight),
            // What follows fails for the same reason.
            _ => 1.0,
        };
        Projected { q: rope(q, layout.rope()), k: rope(k, layout.rope()), v, factor }
    }

    /// One part's tokens attending to all. Returns `[l, C]`.
    pub fn forward(&self, part: &Part, all: &Projected) -> Tensor {
        let Self(layers) = self;
        let y = attention(&part.of(&all.q), &all.k, &all.v, layers.options(None));
        let y = layers.o.forward(&rows(y), Activation::None);
        // The projection's bias too, as in the wrapper.
        if all.factor == 1.0 { y } else { scale(y, all.factor) }
    }

    /// Asks for the weights' pages, see [`Linear::read_ahead`].
    pub fn read_ahead(&self) {
        self.0.layers().into_iter().for_each(Linear::read_ahead);
    }

    pub fn size_bytes(&self) -> usize {
        self.0.size_bytes()
    }
}

/// `cross_attn`.
#[derive(Clone)]
pub struct CrossAttention {
    layers: Attention,
    image: Option<ImageLayers>,
}

/// The image branch: the same queries, keys and values of their own.
#[derive(Clone)]
struct ImageLayers {
    k_img: Linear,
    v_img: Linear,
    norm_k_img: Tensor, // [C]
}

/// Keys and values of a prompt in one block.
pub struct CrossKeys {
    text: KeyValues,
    /// Logarithm of how many equal keys each key stands for.
    text_bias: Option<Arc<[f32]>>,
    image: Option<KeyValues>,
}

/// A prompt that the attention's answer is pushed away from.
#[derive(Clone, Copy)]
pub struct NagKeys<'a> {
    pub keys: &'a CrossKeys,
    pub numbers: NagNumbers,
}

/// Keys and values of all prompts and pictures of a job in one block; they do not change from step to step.
pub struct AllKeys {
    text: KeyValues,
    images: Vec<KeyValues>,
}

impl AllKeys {
    /// Those of a prompt: rows of the texts, the bias of its keys, and which picture.
    pub fn of(&self, rows: Range<usize>, text_bias: Option<Arc<[f32]>>, image: Option<usize>) -> CrossKeys {
        let text = KeyValues {
            k: self.text.k.narrow(0, rows.start, rows.len()),
            v: self.text.v.narrow(0, rows.start, rows.len()),
        };
        CrossKeys { text, text_bias, image: image.and_then(|index| self.images.get(index).cloned()) }
    }

    /// Whether there was room for them.
    pub fn is_made(&self) -> bool {
        let mut all = std::iter::once(&self.text).chain(&self.images);
        all.all(|KeyValues { k, v }| k.failure().is_none() && v.failure().is_none())
    }
}

/// `[S, H, D]` each.
#[derive(Clone)]
struct KeyValues {
    k: Tensor,
    v: Tensor,
}

impl CrossAttention {
    pub fn load(weights: &Weights, config: &Config) -> Result<Self> {
        let dim = config.dim;
        let image = match config.image {
            None => None,
            Some(_) => Some(ImageLayers {
                k_img: linear(weights, "k_img", dim, dim)?,
                v_img: linear(weights, "v_img", dim, dim)?,
                norm_k_img: small(weights, "norm_k_img.weight", &[dim])?,
            }),
        };
        Ok(Self { layers: Attention::load(weights, dim)?, image })
    }

    pub fn change(&mut self, name: &str, change: &mut Change) {
        self.layers.change(name, change);
        if let Some(ImageLayers { k_img, v_img, norm_k_img }) = &mut self.image {
            change.linear(&format!("{name}.k_img"), k_img);
            change.linear(&format!("{name}.v_img"), v_img);
            change.tensor(&format!("{name}.norm_k_img.weight"), norm_k_img);
        }
    }

    pub fn upload<'a>(&'a self, upload: &mut Upload<'a>) -> Result<Self> {
        let layers = self.layers.upload(upload)?;
        let image = self.image.as_ref().map(|ImageLayers { k_img, v_img, norm_k_img }| {
            let (k_img, v_img) = (k_img.upload(upload)?, v_img.upload(upload)?);
            Ok::<_, Error>(ImageLayers { k_img, v_img, norm_k_img: on_card(upload.card(), norm_k_img)? })
        });
        Ok(Self { layers, image: image.transpose()? })
    }

    /// With weights that came later, see [`Upload::later`].
    pub fn with_weights(&self, arrived: &Arrived) -> Self {
        let image = self.image.as_ref().map(|ImageLayers { k_img, v_img, norm_k_img }| ImageLayers {
            k_img: k_img.with_weights(arrived),
            v_img: v_img.with_weights(arrived),
            norm_k_img: norm_k_img.clone(),
        });
        Self { layers: self.layers.with_weights(arrived), image }
    }

    /// text: `[S, C]`, all prompts' rows; images: `[n, C]` each, left out where the model has no branch for them.
    pub fn keys(&self, text: &Tensor, images: &[Tensor]) -> AllKeys {
        let Self { layers, image: branch } = self;
        let of_image = |branch: &ImageLayers, image: &Tensor| KeyValues {
            k: heads(normalised(&branch.k_img, image, &branch.norm_k_img, None)),
            v: heads(branch.v_img.forward(image, Activation::None)),
        };
        let images = branch.iter().flat_map(|branch| images.iter().map(move |image| of_image(branch, image))).collect();
        let text = KeyValues {
            k: heads(normalised(&layers.k, text, &layers.norm_k, None)),
            v: heads(layers.v.forward(text, Activation::None)),
        };
        AllKeys { text, images }
    }

    /// x: `[l, C]`. Returns `[l, C]`.
    pub fn forward(&self, x: Tensor, keys: &CrossKeys, nag: Option<NagKeys>) -> Tensor {
        let Self { layers, .. } = self;
        let q = heads(normalised(&layers.q, x, &layers.norm_q, None));
        let mut y = attention(&q, &keys.text.k, &keys.text.v, layers.options(keys.text_bias.as_deref()));
        if let Some(NagKeys { keys, numbers }) = nag {
            let negative = attention(&q, &keys.text.k, &keys.text.v, layers.options(keys.text_bias.as_deref()));
            y = match (y.to_host(), negative.to_host()) {
                (Ok(y), Ok(negative)) => {
                    let mut y = to_f32(&y);
                    nag::guide(y.f32s_mut(), to_f32(&negative).f32s(), layers.norm_q.element_count(), numbers);
                    y
                }
                (Err(failure), _) | (_, Err(failure)) => Tensor::failed(failure, y.dtype(), y.dims()),
            };
        }
        if let Some(image) = &keys.image {
            y = add(y, &attention(&q, &image.k, &image.v, layers.options(None)));
        }
        drop(q);
        layers.o.forward(&rows(y), Activation::None)
    }

    /// Asks for the pages of the weights that [`Self::keys`] needs.
    pub fn read_ahead_keys(&self) {
        let Self { layers, image } = self;
        [&layers.k, &layers.v].into_iter().for_each(Linear::read_ahead);
        let image = image.iter().flat_map(|image| [&image.k_img, &image.v_img]);
        image.for_each(Linear::read_ahead);
    }

    /// Asks for the pages of the weights that [`Self::forward`] needs once the keys are there.
    pub fn read_ahead(&self) {
        [&self.layers.q, &self.layers.o].into_iter().for_each(Linear::read_ahead);
    }

    pub fn size_bytes(&self) -> usize {
        let image = |layers: &ImageLayers| layers.k_img.size_bytes() + layers.v_img.size_bytes();
        self.layers.size_bytes() + self.image.as_ref().map_or(0, image)
    }
}

impl Attention {
    fn load(weights: &Weights, dim: usize) -> Result<Self> {
        Ok(Self {
            q: linear(weights, "q", dim, dim)?,
            k: linear(weights, "k", dim, dim)?,
            v: linear(weights, "v", dim, dim)?,
            o: linear(weights, "o", dim, dim)?,
            norm_q: small(weights, "norm_q.weight", &[dim])?,
            norm_k: small(weights, "norm_k.weight", &[dim])?,
            mode: AttentionMode::default(),
        })
    }

    fn change(&mut self, name: &str, change: &mut Change) {
        let Self { q, k, v, o, norm_q, norm_k, mode: _ } = self;
        for (layer, linear) in [("q", q), ("k", k), ("v", v), ("o", o)] {
            change.linear(&format!("{name}.{layer}"), linear);
        }
        change.tensor(&format!("{name}.norm_q.weight"), norm_q);
        change.tensor(&format!("{name}.norm_k.weight"), norm_k);
    }

    fn upload<'a>(&'a self, upload: &mut Upload<'a>) -> Result<Self> {
        let Self { q, k, v, o, norm_q, norm_k, mode: _ } = self;
        Ok(Self {
            q: q.upload(upload)?,
            k: k.upload(upload)?,
            v: v.upload(upload)?,
            o: o.upload(upload)?,
            norm_q: on_card(upload.card(), norm_q)?,
            norm_k: on_card(upload.card(), norm_k)?,
            mode: upload.precision().attention,
        })
    }

    fn with_weights(&self, arrived: &Arrived) -> Self {
        let [q, k, v, o] = self.layers().map(|layer| layer.with_weights(arrived));
        Self { q, k, v, o, ..self.clone() }
    }

    fn options<'a>(&self, key_bias: Option<&'a [f32]>) -> AttentionOptions<'a> {
        let scale = 1.0 / (Config::HEAD_DIM as f32).sqrt();
        AttentionOptions { scale, key_bias, position_bias: None, mode: self.mode }
    }

    fn size_bytes(&self) -> usize {
        self.layers().into_iter().map(Linear::size_bytes).sum()
    }

    fn layers(&self) -> [&Linear; 4] {
        [&self.q, &self.k, &self.v, &self.o]
    }
}

/// A projection, normalised over all heads at once, and each head turned where a table is given, with the first token's
/// number. An owned x is gone before the norm.
fn normalised(
    projection: &Linear,
    x: impl std::borrow::Borrow<Tensor>,
    norm: &Tensor,
    turn: Option<(&RopeTable, usize)>,
) -> Tensor {
    let y = projection.forward(x.borrow(), Activation::None);
    drop(x);
    match turn {
        None => rms_norm(&y, norm, Config::EPSILON),
        Some((table, first)) => rms_rope(&y, norm, Config::EPSILON, table, first),
    }
}

/// `[L, C]` as `[L, H, D]`. Takes x whole, so that the result is alone with its buffer and can be written.
fn heads(x: Tensor) -> Tensor {
    let [tokens, dim] = x.sizes();
    x.reshape([tokens, dim / Config::HEAD_DIM, Config::HEAD_DIM])
}

/// `[L, H, D]` as `[L, C]`.
fn rows(x: Tensor) -> Tensor {
    let [tokens, heads, width] = x.sizes();
    x.reshape([tokens, heads * width])
}
