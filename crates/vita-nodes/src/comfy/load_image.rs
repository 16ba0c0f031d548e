//! `LoadImage`: a picture file, animated ones as a batch.

use std::fs::File;
use std::io::Read;

use sha2::{Digest, Sha256};
use vita_graph::{Host, Refusal};

use crate::pictures::Pictures;
use crate::prelude::*;
use crate::studio::{INPUT_IMAGES, Studio, studio};

pub struct LoadImage;

impl Node for LoadImage {
    fn spec(&self) -> Spec {
        Spec::new("LoadImage", "image")
            .display("Load Image")
            .input("image", files(INPUT_IMAGES).extra("image_upload", true))
            .output("IMAGE")
            .output("MASK")
            .describe("Reads a picture of the input directory. The mask is 1 where the picture is transparent.")
    }

    /// Files that have come since the list was made, in subfolders and other places will do too.
    fn judges(&self) -> &'static [&'static str] {
        &["image"]
    }

    fn refuse(&self, inputs: &Inputs, host: &dyn Host) -> Vec<Refusal> {
        let Ok(name) = inputs.text("image") else { return Vec::new() };
        match studio(host).folders.annotated(name) {
            Ok(_) => Vec::new(),
            Err(_) => vec![Refusal { input: "image".into(), reason: Some(format!("Invalid image file: {name}")) }],
        }
    }

    /// The file's SHA-256.
    fn stamp(&self, inputs: &Inputs, context: &Context<'_>) -> Result<Option<String>, NodeError> {
        let path = context.host::<Studio>().folders.annotated(inputs.text("image")?);
        let path = path.map_err(|error| NodeError::of(&error))?;
        let failed = |error: std::io::Error| NodeError::value(format!("cannot read `{}`: {error}", path.display()));
        let mut file = File::open(&path).map_err(failed)?;
        let mut hash = Sha256::new();
        let mut block = vec![0; 1 << 16];
        loop {
            let length = file.read(&mut block).map_err(failed)?;
            if length == 0 {
                return Ok(Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()));
            }
            hash.update(&block[..length]);
        }
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let path = context.host::<Studio>().folders.annotated(inputs.text("image")?);
        let pictures = Pictures::read(&path.map_err(|error| NodeError::of(&error))?)?;
        let (image, mask) = pictures.into_image();
        Ok(Outputs::values([image.into(), mask.into()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::{PngOptions, encode_png};
    use crate::testing::{Bench, image};

    #[test]
    fn files_of_all_places_are_read_and_stamped() {
        let bench = Bench::new();
        let options = PngOptions { size: [6, 4], channels: 3, level: 4, text: &[], animation: None };
        let bytes = encode_png(&[image(1, 4, 6).bytes(0)], &options).unwrap();
        std::fs::create_dir_all(bench.directory().join("input/sub")).unwrap();
        for place in ["input/a.png", "input/sub/b.png", "output/c.png"] {
            std::fs::write(bench.directory().join(place), &bytes).unwrap();
        }
        assert_eq!(bench.studio().files(INPUT_IMAGES), ["a.png"]);
        for name in ["a.png", "sub/b.png", "c.png [output]"] {
            let bench = bench.clone().with("image", Value::text(name));
            assert_eq!(LoadImage.refuse(bench.inputs(), bench.studio()), []);
            let out = bench.run(&LoadImage).unwrap();
            assert_eq!(out.object::<Image>(0).bytes(0), image(1, 4, 6).bytes(0));
            assert_eq!(out.object::<Mask>(1).sizes(), [1, 64, 64]);
            let stamp = bench.stamp(&LoadImage).unwrap().unwrap();
            assert_eq!(stamp, format!("{:x}", Sha256::digest(&bytes)));
        }
        for name in ["c.png", "../output/c.png", ""] {
            let bench = bench.clone().with("image", Value::text(name));
            let refusals = LoadImage.refuse(bench.inputs(), bench.studio());
            assert_eq!(refusals[0].reason, Some(format!("Invalid image file: {name}")));
            assert!(bench.run(&LoadImage).is_err() && bench.stamp(&LoadImage).is_err());
        }
    }
}
