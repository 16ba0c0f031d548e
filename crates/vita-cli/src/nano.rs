//! The small model, compiled in, so that the program makes videos without any other file.

use vita_base::Report;
use vita_pipeline::Open;
use vita_tensor::Bytes;
use vita_weights::Checkpoint;

static DIT: &[u8] = include_bytes!("../../../assets/nano/nano-t2v-dit.safetensors");
static TEXT_ENCODER: &[u8] = include_bytes!("../../../assets/nano/nano-umt5.safetensors");
static VAE: &[u8] = include_bytes!("../../../assets/nano/nano-vae.safetensors");

/// Opens the small model's files where they are, in the program.
///
/// # Errors
/// If one is damaged; a test sees to it that they are not.
pub fn checkpoints() -> Result<Open, Report> {
    let open = |bytes, name| Checkpoint::from_bytes(Bytes::from_static(bytes), name);
    Ok(Open {
        dit: open(DIT, "nano-t2v-dit.safetensors")?,
        text_encoder: open(TEXT_ENCODER, "nano-umt5.safetensors")?,
        vae: open(VAE, "nano-vae.safetensors")?,
        dit_low: None,
        clip_vision: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_files_are_whole_fit_together_and_are_small() {
        let open = checkpoints().unwrap();
        let bytes = open.dit.size_bytes() + open.text_encoder.size_bytes() + open.vae.size_bytes();
        assert!(bytes < 15_000_000, "{bytes} bytes");
        vita_pipeline::Models::new(open).unwrap();
    }
}
