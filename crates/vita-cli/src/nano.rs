//! The small models, compiled in, so that the program makes videos without any other file.

use vita_base::Report;
use vita_pipeline::Open;
use vita_tensor::Bytes;
use vita_weights::Checkpoint;

/// A file that is part of the program.
struct BuiltIn {
    name: &'static str,
    bytes: &'static [u8],
}

macro_rules! built_in {
    ($name:literal) => {
        BuiltIn { name: $name, bytes: include_bytes!(concat!("../../../assets/nano/", $name)) }
    };
}

static TEXT_ENCODER: BuiltIn = built_in!("nano-umt5.safetensors");
static VAE: BuiltIn = built_in!("nano-vae.safetensors");
static VAE_22: BuiltIn = built_in!("nano-vae22.safetensors");
static CLIP_VISION: BuiltIn = built_in!("nano-clip-vision.safetensors");
static T2V: BuiltIn = built_in!("nano-t2v-dit.safetensors");
static I2V: BuiltIn = built_in!("nano-i2v-dit.safetensors");
static I2V_HIGH: BuiltIn = built_in!("nano-i2v-high.safetensors");
static I2V_LOW: BuiltIn = built_in!("nano-i2v-low.safetensors");
static TI2V: BuiltIn = built_in!("nano-ti2v-dit.safetensors");

/// A system's files.
struct System {
    name: &'static str,
    dit: &'static BuiltIn,
    dit_low: Option<&'static BuiltIn>,
    vae: &'static BuiltIn,
    clip_vision: Option<&'static BuiltIn>,
}

static SYSTEMS: &[System] = &[
    System { name: "nano-t2v", dit: &T2V, dit_low: None, vae: &VAE, clip_vision: None },
    System { name: "nano-i2v", dit: &I2V, dit_low: None, vae: &VAE, clip_vision: Some(&CLIP_VISION) },
    System { name: "nano-i2v-a14b", dit: &I2V_HIGH, dit_low: Some(&I2V_LOW), vae: &VAE, clip_vision: None },
    System { name: "nano-ti2v", dit: &TI2V, dit_low: None, vae: &VAE_22, clip_vision: None },
];

/// Opens a small model's files where they are, in the program.
///
/// # Errors
/// If no small model has the name, or a file is damaged; a test sees to it that they are not.
pub fn open(name: &str) -> Result<Open, Report> {
    let system = SYSTEMS.iter().find(|system| system.name == name);
    let system = system.ok_or_else(|| Report::new(format!("`{name}` is not part of this program")))?;
    let maybe = |file: Option<&BuiltIn>| file.map(BuiltIn::open).transpose();
    Ok(Open {
        dit: system.dit.open()?,
        dit_low: maybe(system.dit_low)?,
        text_encoder: TEXT_ENCODER.open()?,
        vae: system.vae.open()?,
        clip_vision: maybe(system.clip_vision)?,
    })
}

/// A file's content by its name.
pub fn bytes(name: &str) -> Option<&'static [u8]> {
    let files = SYSTEMS.iter().flat_map(|system| {
        [Some(&TEXT_ENCODER), Some(system.dit), system.dit_low, Some(system.vae), system.clip_vision]
    });
    files.flatten().find(|file| file.name == name).map(|file| file.bytes)
}

impl BuiltIn {
    fn open(&self) -> Result<Checkpoint, vita_weights::Error> {
        Checkpoint::from_bytes(Bytes::from_static(self.bytes), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn their_files_are_whole_fit_together_and_are_small() {
        for preset in vita_pipeline::PRESETS.iter().filter(|preset| preset.files.is_none()) {
            vita_pipeline::Models::new(open(preset.name).unwrap()).unwrap();
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/nano");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
        let bytes: u64 = files.sum();
        assert!(bytes < 45_000_000, "{bytes} bytes");
    }
}
