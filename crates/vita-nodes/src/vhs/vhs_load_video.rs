//! `VHS_LoadVideo`: frames of a video file.

use std::time::UNIX_EPOCH;

use serde_json::json;
use vita_graph::{Host, Refusal};
use vita_pipeline::{DecodeOptions, Stage};

use super::loading::{Pick, TARGETS, described, resized, size};
use super::spec;
use crate::prelude::*;
use crate::studio::{INPUT_VIDEOS, Studio, studio};
use crate::work::{not_yet, run};

pub struct LoadVideo;

/// Longest side that may be asked for.
const SIDE: i128 = 8192;
/// Largest whole number of a page.
const LARGEST: i128 = (1 << 53) - 1;

impl Node for LoadVideo {
    fn spec(&self) -> Spec {
        let rate = Kind::Float { default: Some(0.0), range: 0.0..=60.0, step: Some(1.0), round: None };
        let off = |field: Field| field.extra("disable", 0);
        let target = combo(TARGETS.iter().map(|target| target.name)).default_choice("AnimateDiff");
        let target = target.extra("formats", described());
        let side = || off(whole(0, 0..=SIDE)).tooltip("Pixels; 0 keeps the shape.");
        spec("VHS_LoadVideo", "Load Video (Upload) 🎥🅥🅗🅢")
            .input("video", files(INPUT_VIDEOS).extra("video_upload", true))
            .input("force_rate", off(field(rate)).tooltip("Frames per second; 0 keeps the file's."))
            .input("custom_width", side())
            .input("custom_height", side())
            .input("frame_load_cap", off(int(0, 0..=LARGEST, 1)).tooltip("So many frames at most; 0 is all."))
            .input("skip_first_frames", int(0, 0..=LARGEST, 1).tooltip("So many of the first are left out."))
            .input("select_every_nth", int(1, 1..=LARGEST, 1).tooltip("One of so many is loaded."))
            .optional("meta_batch", link("VHS_BatchManager").tooltip("Is refused: a video is loaded in one go."))
            .optional("vae", link("VAE").tooltip("Gives a latent video in place of pictures."))
            .optional("format", target.tooltip("For which model: multiples of sides, and a number of frames."))
            .hidden(Hidden::UniqueId)
            .output_named("IMAGE,LATENT", "IMAGE")
            .output_named("INT", "frame_count")
            .output_named("AUDIO", "audio")
            .output_named("VHS_VIDEOINFO", "video_info")
            .describe("Frames of a video of the input directory.")
    }

    fn judges(&self) -> &'static [&'static str] {
        &["video"]
    }

    fn refuse(&self, inputs: &Inputs, host: &dyn Host) -> Vec<Refusal> {
        let Ok(name) = inputs.text("video") else { return Vec::new() };
        match studio(host).folders.annotated(name) {
            Ok(_) => Vec::new(),
            Err(_) => vec![Refusal { input: "video".into(), reason: Some(format!("Invalid video file: {name}")) }],
        }
    }

    /// When the file was changed: videos are too large to be read for a hash.
    fn stamp(&self, inputs: &Inputs, context: &Context<'_>) -> Result<Option<String>, NodeError> {
        let path = context.host::<Studio>().folders.annotated(inputs.text("video")?);
        let path = path.map_err(|error| NodeError::of(&error))?;
        let changed = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
        let changed =
            changed.map_err(|error| NodeError::value(format!("cannot read `{}`: {error}", path.display())))?;
        Ok(Some(changed.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64().to_string()))
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        if inputs.has("meta_batch") {
            return Err(not_yet("loading a video in several batches (`meta_batch`)"));
        }
        let path = context.host::<Studio>().folders.annotated(inputs.text("video")?);
        let path = path.map_err(|error| NodeError::of(&error))?;
        let parts = Video { source: VideoSource::File(path.clone()) }.parts(context)?;
        let name = if inputs.has("format") { inputs.text("format")? } else { "None" };
        let target = TARGETS.iter().find(|target| target.name == name).unwrap_or(&TARGETS[0]);
        let pick = Pick {
            rate: inputs.float("force_rate")?,
            cap: inputs.count("frame_load_cap")?,
            skip: inputs.count("skip_first_frames")?,
            every: inputs.count("select_every_nth")?,
        };
        let source = &parts.images;
        let source_rate = parts.frame_rate.as_f64();
        let mut places = pick.places(source.count(), source_rate);
        if places.is_empty() {
            return Err(NodeError::value(format!(
                "none of the {} frames of `{}` is left",
                source.count(),
                path.display()
            )));
        }
        places.truncate(target.fitting(places.len())?);
        let vae = inputs.optional::<Vae>("vae")?;
        let step = vae.as_ref().map_or(target.step(), |vae| vae.spatial_factor());
        let custom = [inputs.count("custom_width")?, inputs.count("custom_height")?];
        let [width, height] = size([source.width(), source.height()], custom, step);
        Image::check([places.len(), height, width, 3])?;
        let frames = places.iter().map(|&place| {
            context.check()?;
            resized(&source.range(place, 1), [width, height])
        });
        let images = Image::join(&frames.collect::<Result<Vec<_>, _>>()?);

        let seconds = pick.step(source_rate) * pick.every as f64;
        let info = json!({
            "source_fps": source_rate,
            "source_frame_count": source.count(),
            "source_duration": source.count() as f64 / source_rate,
            "source_width": source.width(),
            "source_height": source.height(),
            "loaded_fps": 1.0 / seconds,
            "loaded_frame_count": images.count(),
            "loaded_duration": images.count() as f64 * seconds,
            "loaded_width": width,
            "loaded_height": height,
        });
        let audio = match parts.audio {
            Some(_) if pick.skip > 0 => {
                context.say("The sound is left out: it would begin with the frames that are left out.");
                Value::Null
            }
            Some(audio) => Value::Object(audio),
            None => Value::Null,
        };
        let count = Value::Int(images.count() as i128);
        let first: Value = match vae {
            Some(vae) => Latents::from(run(context, Stage::Image, |environment| {
                vae.encode(images.tensor(), DecodeOptions::default(), environment)
            })?)
            .into(),
            None => images.into(),
        };
        Ok(Outputs::values([first, count, audio, Value::of_json(&info)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, image};
    use crate::vhs::{vhs_video_combine::VideoCombine, vhs_video_info::VideoInfo};

    #[test]
    fn a_combined_video_is_loaded_again() {
        let bench = Bench::new().with("images", image(9, 32, 48)).with("frame_rate", Value::Float(16.0));
        let bench = bench.with("loop_count", Value::Int(0)).with("filename_prefix", Value::text("v"));
        let bench = bench.with("format", Value::text("video/h264-mp4")).with("pingpong", Value::Bool(false));
        let bench = bench.with("save_output", Value::Bool(true));
        bench.run(&VideoCombine).unwrap();

        let bench = bench.with("video", Value::text("v_00001.mp4 [output]")).with("force_rate", Value::Float(8.0));
        let bench = bench.with("custom_width", Value::Int(24)).with("custom_height", Value::Int(0));
        let bench = bench.with("frame_load_cap", Value::Int(4)).with("skip_first_frames", Value::Int(0));
        let bench = bench.with("select_every_nth", Value::Int(1)).with("format", Value::text("Wan"));
        assert!(LoadVideo.refuse(bench.inputs(), bench.studio()).is_empty());
        let ran = bench.run(&LoadVideo).unwrap();
        assert_eq!(ran.object::<Image>(0).sizes(), [1, 16, 24, 3]);
        assert!(matches!((ran.value(1), ran.value(2)), (Value::Int(1), Value::Null)));
        let info = bench.with("video_info", ran.value(3).clone()).run(&VideoInfo).unwrap();
        let told: Vec<_> = (0..10).map(|slot| info.value(slot).to_json()).collect();
        assert_eq!(json!(told), json!([16.0, 9, 0.5625, 48, 32, 8.0, 1, 0.125, 24, 16]));
    }

    #[test]
    fn a_file_that_is_not_there_is_refused() {
        let bench = Bench::new().with("video", Value::text("none.mp4"));
        let refusal = Refusal { input: "video".into(), reason: Some("Invalid video file: none.mp4".into()) };
        assert_eq!(LoadVideo.refuse(bench.inputs(), bench.studio()), [refusal]);
    }
}
