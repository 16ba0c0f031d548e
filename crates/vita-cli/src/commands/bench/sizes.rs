//! Networks of true size, by name: shapes of their tensors, and how far their autoencoder shrinks a picture.

use vita_base::Report;
use vita_tensor::Dims;
use vita_weights::{ClipVisionFacts, DitFacts, DitVariant, Layout, Umt5Facts, VaeFacts, VaeGeneration};

/// Every transformer and what its autoencoder makes of a side of so many pixels.
const TRANSFORMERS: [(&str, DitFacts, usize); 6] = [
    ("1.3b", T2V_1_3B, 8),
    ("14b", T2V_14B, 8),
    ("i2v-14b", DitFacts { in_channels: 36, image_branch: true, ..T2V_14B }, 8),
    ("a14b-i2v", DitFacts { in_channels: 36, ..T2V_14B }, 8),
    ("5b", TI2V_5B, 16),
    // Two blocks of two heads, to try the command.
    ("tiny", DitFacts { dim: 256, ffn_dim: 512, head_count: 2, layer_count: 2, text_dim: 64, ..T2V_1_3B }, 8),
];

const T2V_1_3B: DitFacts = DitFacts {
    dim: 1536,
    ffn_dim: 8960,
    head_count: 12,
    layer_count: 30,
    in_channels: 16,
    out_channels: 16,
    text_dim: 4096,
    freq_dim: 256,
    image_branch: false,
    image_dim: None,
    first_last_frame: false,
    variant: DitVariant::Plain,
};

const T2V_14B: DitFacts = DitFacts { dim: 5120, ffn_dim: 13_824, head_count: 40, layer_count: 40, ..T2V_1_3B };

const TI2V_5B: DitFacts =
    DitFacts { dim: 3072, ffn_dim: 14_336, head_count: 24, in_channels: 48, out_channels: 48, ..T2V_1_3B };

const TEXT_ENCODERS: [(&str, Umt5Facts); 2] = [
    ("xxl", UMT5_XXL),
    // Two blocks of two heads, to try the command.
    ("tiny", Umt5Facts { vocab_size: 500, dim: 128, ffn_dim: 256, head_count: 2, layer_count: 2, ..UMT5_XXL }),
];

const UMT5_XXL: Umt5Facts = Umt5Facts {
    vocab_size: 256_384,
    dim: 4096,
    ffn_dim: 10_240,
    head_count: 64,
    head_dim: 64,
    layer_count: 24,
    bucket_count: 32,
    table_in_every_layer: true,
};

/// Every autoencoder, and how many pixels of a side it makes one element of its latent of.
const AUTOENCODERS: [(&str, VaeFacts, usize); 3] = [
    ("2.1", VAE_21, 8),
    ("2.2", VAE_22, 16),
    // To try the command.
    ("tiny", VaeFacts { encoder_dim: 8, decoder_dim: 8, ..VAE_21 }, 8),
];

const VAE_21: VaeFacts = VaeFacts {
    generation: VaeGeneration::Wan21,
    encoder_dim: 96,
    decoder_dim: 96,
    latent_channels: 16,
    image_channels: 3,
};

const VAE_22: VaeFacts = VaeFacts {
    generation: VaeGeneration::Wan22,
    encoder_dim: 160,
    decoder_dim: 256,
    latent_channels: 48,
    image_channels: 12,
};

/// Name, width, blocks, and pixels of a picture's side.
const VISION_ENCODERS: [(&str, usize, usize, usize); 2] = [("vit-h", 1280, 32, 224), ("tiny", 160, 3, 56)];

/// Tensors of a transformer, and pixels of a side of its latent's elements.
///
/// # Errors
/// If no transformer is called so.
pub fn transformer(name: &str) -> Result<(Layout, usize), Report> {
    let found = TRANSFORMERS.iter().find(|(known, ..)| *known == name);
    found
        .map(|(_, facts, pixels)| (facts.layout(), *pixels))
        .ok_or_else(|| unknown("transformer", name, TRANSFORMERS.iter().map(|(name, ..)| *name)))
}

/// Tensors of a text encoder.
///
/// # Errors
/// If no text encoder is called so.
pub fn text_encoder(name: &str) -> Result<Layout, Report> {
    let found = TEXT_ENCODERS.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, facts)| facts.layout())
        .ok_or_else(|| unknown("text encoder", name, TEXT_ENCODERS.iter().map(|(name, _)| *name)))
}

/// Tensors of a vision encoder.
///
/// # Errors
/// If no vision encoder is called so.
pub fn vision_encoder(name: &str) -> Result<Layout, Report> {
    const PATCH: usize = 14;
    let found = VISION_ENCODERS.iter().find(|(known, ..)| *known == name);
    let facts = found.map(|&(_, dim, layer_count, image_size)| {
        let position_count = 1 + (image_size / PATCH).pow(2);
        ClipVisionFacts {
            dim,
            ffn_dim: 4 * dim,
            head_count: dim / 80,
            layer_count,
            patch_size: PATCH,
            image_size,
            position_count,
            fused_qkv: false,
            image_channels: 3,
            embedding_dims: [Dims::from([dim]), Dims::from([position_count, dim])],
            unused: Layout::new(),
        }
    });
    facts
        .map(|facts| facts.layout())
        .ok_or_else(|| unknown("vision encoder", name, VISION_ENCODERS.iter().map(|(name, ..)| *name)))
}

/// Tensors of an autoencoder, and pixels of a side of its latent's elements.
///
/// # Errors
/// If no autoencoder is called so.
pub fn autoencoder(name: &str) -> Result<(Layout, usize), Report> {
    let found = AUTOENCODERS.iter().find(|(known, ..)| *known == name);
    found
        .map(|(_, facts, pixels)| (facts.layout(), *pixels))
        .ok_or_else(|| unknown("autoencoder", name, AUTOENCODERS.iter().map(|(name, ..)| *name)))
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Report {
    let known: Vec<&str> = known.collect();
    Report::new(format!("no {what} is called `{name}`")).with_hint(format!("choose one of {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layouts_have_the_published_numbers_of_parameters() {
        let count = |layout: Layout| layout.iter().map(|(_, dims)| dims.element_count() as u64).sum::<u64>();
        for (name, parameters) in [
            ("1.3b", 1_418_996_800),
            ("14b", 14_288_491_584),
            ("i2v-14b", 16_394_878_784),
            ("a14b-i2v", 14_288_901_184),
            ("5b", 4_999_787_712),
        ] {
            assert_eq!(count(transformer(name).unwrap().0), parameters, "{name}");
        }
        assert_eq!(count(text_encoder("xxl").unwrap()), 5_680_910_336);
        assert_eq!(count(autoencoder("2.1").unwrap().0), 126_892_531);
        assert_eq!(count(autoencoder("2.2").unwrap().0), 704_688_668);
        // Without the norm that Wan does not use.
        assert_eq!(count(vision_encoder("vit-h").unwrap()), 630_763_520);
        assert!(transformer("15b").is_err() && text_encoder("xl").is_err());
        assert!(vision_encoder("vit-l").is_err() && autoencoder("2.3").is_err());
    }
}
