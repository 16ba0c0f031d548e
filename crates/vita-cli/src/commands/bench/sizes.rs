//! Networks of true size, by name: shapes of their tensors, and how far their autoencoder shrinks a picture.

use vita_base::Report;
use vita_tensor::Dims;
use vita_weights::{ClipVisionFacts, DitFacts, Layout, Umt5Facts, VaeFacts};

/// Every transformer and what its autoencoder makes of a side of so many pixels.
const TRANSFORMERS: [(&str, DitFacts, usize); 6] = [
    ("1.3b", DitFacts::T2V_1_3B, 8),
    ("14b", DitFacts::T2V_14B, 8),
    ("i2v-14b", DitFacts::I2V_14B, 8),
    ("a14b-i2v", DitFacts::I2V_A14B, 8),
    ("5b", DitFacts::TI2V_5B, 16),
    // Two blocks of two heads, to try the command.
    ("tiny", DitFacts { dim: 256, ffn_dim: 512, head_count: 2, layer_count: 2, text_dim: 64, ..DitFacts::T2V_1_3B }, 8),
];

const TEXT_ENCODERS: [(&str, Umt5Facts); 2] = [
    ("xxl", Umt5Facts::XXL),
    // Two blocks of two heads, to try the command.
    ("tiny", Umt5Facts { vocab_size: 500, dim: 128, ffn_dim: 256, head_count: 2, layer_count: 2, ..Umt5Facts::XXL }),
];

/// Every autoencoder, and how many pixels of a side it makes one element of its latent of.
const AUTOENCODERS: [(&str, VaeFacts, usize); 3] = [
    ("2.1", VaeFacts::WAN_21, 8),
    ("2.2", VaeFacts::WAN_22, 16),
    // To try the command.
    ("tiny", VaeFacts { encoder_dim: 8, decoder_dim: 8, ..VaeFacts::WAN_21 }, 8),
];

/// Three blocks of two heads, sixteen patches, to try the command.
fn tiny_vision_encoder() -> ClipVisionFacts {
    ClipVisionFacts {
        dim: 160,
        ffn_dim: 640,
        head_count: 2,
        layer_count: 3,
        image_size: 56,
        position_count: 17,
        embedding_dims: [Dims::from([160]), Dims::from([17, 160])],
        ..ClipVisionFacts::vit_h_14()
    }
}

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
    match name {
        "vit-h" => Ok(ClipVisionFacts::vit_h_14().layout()),
        "tiny" => Ok(tiny_vision_encoder().layout()),
        _ => Err(unknown("vision encoder", name, ["vit-h", "tiny"].into_iter())),
    }
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
