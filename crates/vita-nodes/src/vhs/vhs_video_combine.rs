//! `VHS_VideoCombine`: pictures as a video or animation, in many formats.

use std::path::Path;

use serde_json::{Value as Json, json};
use vita_folders::{Naming, Place};
use vita_pipeline::{DecodeOptions, Stage};

use super::formats::{FORMATS, Widgets, described};
use super::spec;
use super::writing::{Work, bytes, order};
use crate::pictures::{PngOptions, encode_png};
use crate::prelude::*;
use crate::save::{next_path, texts, write_file};
use crate::studio::Studio;
use crate::work::run;

pub struct VideoCombine;

impl Node for VideoCombine {
    fn spec(&self) -> Spec {
        let rate = Kind::Float { default: Some(8.0), range: 1.0..=f64::INFINITY, step: Some(1.0), round: None };
        let format = combo(FORMATS.iter().map(|format| format.name)).extra("formats", described());
        let loops = "How often it is repeated; 0 plays animations for ever, and videos once.";
        let names = "H.264, GIF, WebP and PNG are written natively, the others need FFmpeg on the PATH.";
        spec("VHS_VideoCombine", "Video Combine 🎥🅥🅗🅢")
            .input("images", link("IMAGE,LATENT").tooltip("Pictures, or a latent video where there is a `vae`."))
            .input("frame_rate", field(rate).tooltip("Pictures per second."))
            .input("loop_count", int(0, 0..=100, 1).tooltip(loops))
            .input("filename_prefix", text("AnimateDiff").tooltip(PREFIX))
            .input("format", format.tooltip(names))
            .input("pingpong", switch(false).tooltip("Goes forth and then back again."))
            .input("save_output", switch(true).tooltip("Off keeps it only until the next start."))
            .optional("audio", link("AUDIO").tooltip("Sound, written by FFmpeg into a second file."))
            .optional("meta_batch", link("VHS_BatchManager").tooltip("Is refused: a video is made in one go."))
            .optional("vae", link("VAE").tooltip("Decodes a latent video."))
            .hidden(Hidden::Prompt)
            .hidden(Hidden::ExtraPngInfo)
            .hidden(Hidden::UniqueId)
            .output_named("VHS_FILENAMES", "Filenames")
            .output_node()
            .describe(
                "Saves pictures as a video or animation. The first picture is saved too, with the workflow inside.",
            )
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        if inputs.has("meta_batch") {
            return Err(crate::work::not_yet("making a video in several batches (`meta_batch`)"));
        }
        let name = inputs.text("format")?;
        let format = FORMATS.iter().find(|format| format.name == name);
        let format = format.ok_or_else(|| NodeError::value(format!("there is no format `{name}`")))?;
        let widgets = Widgets::read(format.widgets, inputs)?;
        let images = images(inputs, context)?;
        let is_saved = inputs.bool("save_output")?;
        let place = if is_saved { Place::Output } else { Place::Temp };
        let size = [images.width(), images.height()];
        let path = next_path(context, place, Naming::Vhs, inputs.text("filename_prefix")?, size)?;
        let texts = texts(context);

        let first = path.path("png");
        if wants_first_picture(context.extra_pnginfo) {
            write_first_picture(&first, place, &images, &texts, context)?;
        }
        let frame_rate = inputs.float("frame_rate")?;
        let audio = inputs.optional::<Audio>("audio")?;
        let work = Work {
            images: &images,
            order: order(images.count(), inputs.bool("pingpong")?),
            frame_rate,
            loop_count: inputs.count("loop_count")? as u16,
            format,
            widgets,
            texts,
            audio: audio.as_deref(),
            path: &path,
            place,
        };
        let is_one_png = images.count() == 1 && format.extension == "png";
        let files = [vec![first.clone()], work.write(context)?].concat();
        let files: Vec<String> = files.iter().map(|file| absolute(file)).collect();
        let shown = files.last().expect("the first picture's at least");
        let name = |file: &str| Path::new(file).file_name().map(|name| name.to_string_lossy().into_owned());
        let ui = json!({ "gifs": [{
            "filename": name(shown),
            "subfolder": path.subfolder,
            "type": place.name(),
            "format": if is_one_png { "image/png" } else { format.name },
            "frame_rate": frame_rate,
            "workflow": name(&absolute(&first)),
            "fullpath": shown,
        }] });
        Ok(Outputs::values([Value::of_json(&json!([is_saved, files]))]).with_ui(ui))
    }
}

fn images(inputs: &Inputs, context: &mut Context<'_>) -> Result<Image, NodeError> {
    let latents = inputs.get("images").and_then(Value::downcast::<Latents>);
    let Some(latents) = latents else { return Ok((*inputs.object::<Image>("images")?).clone()) };
    let vae = inputs.optional::<Vae>("vae")?.ok_or_else(|| NodeError::Failed {
        kind: "ValueError",
        message: "`images` is a latent video, and there is no `vae` to decode it".into(),
        hint: Some("connect an autoencoder, or decode it before".into()),
    })?;
    let decoded = latents.items().iter().map(|latent| {
        let pictures =
            run(context, Stage::Decoding, |environment| vae.decode(latent, DecodeOptions::default(), environment))?;
        Ok(Image::new(pictures))
    });
    Ok(Image::join(&decoded.collect::<Result<Vec<_>, NodeError>>()?))
}

/// The page may say that it wants none.
fn wants_first_picture(extra: &Json) -> bool {
    extra.pointer("/workflow/extra/VHS_MetadataImage") != Some(&Json::Bool(false))
}

fn write_first_picture(
    path: &Path,
    place: Place,
    images: &Image,
    texts: &[(String, String)],
    context: &Context<'_>,
) -> Result<(), NodeError> {
    let mut texts = texts.to_vec();
    if !context.host::<Studio>().settings.disable_metadata {
        let now = context.host::<Studio>().now();
        let date = format!("{:04}-{:02}-{:02}", now.year, now.month, now.day);
        let time = format!("{:02}:{:02}:{:02}", now.hour, now.minute, now.second);
        texts.push(("CreationTime".into(), format!("{date} {time}")));
    }
    let size = [images.width(), images.height()];
    let options = PngOptions { size, channels: images.channels(), level: 4, text: &texts, animation: None };
    write_file(path, place, &encode_png(&[bytes(images, 0)], &options)?)
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use vita_media::{decode_mp4, read_image, read_metadata};

    use super::*;
    use crate::pictures::Pictures;
    use crate::studio::Settings;
    use crate::testing::{Bench, image};

    fn bench_of(images: Image, format: &str, ffmpeg: Option<&str>) -> Bench {
        let settings = Settings { disable_metadata: false, ffmpeg: ffmpeg.map(Into::into) };
        let bench = Bench::with_settings(settings).with("images", images).with("frame_rate", Value::Float(8.0));
        let bench = bench.with("loop_count", Value::Int(0)).with("filename_prefix", Value::text("sub/v"));
        let bench = bench.with("format", Value::text(format)).with("pingpong", Value::Bool(false));
        bench.with("save_output", Value::Bool(true))
    }

    #[test]
    fn h264_is_written_with_its_first_picture_and_numbers_go_on() {
        let bench = bench_of(image(4, 31, 48), "video/h264-mp4", None).with("pingpong", Value::Bool(true));
        let ran = bench.run(&VideoCombine).unwrap();
        let entry = &ran.ui.unwrap()["gifs"][0];
        let path = bench.directory().join("output/sub/v_00001.mp4");
        assert_eq!(entry["fullpath"], path.to_str().unwrap());
        let want = [("filename", "v_00001.mp4"), ("subfolder", "sub"), ("type", "output"), ("workflow", "v_00001.png")];
        assert!(want.iter().all(|(key, value)| entry[key] == *value), "{entry}");
        assert_eq!((&entry["frame_rate"], &entry["format"]), (&json!(8.0), &json!("video/h264-mp4")));
        let video = decode_mp4(&path).unwrap();
        assert_eq!((video.frames.count(), video.frames.width(), video.frames.height()), (6, 48, 32));
        assert_eq!(read_metadata(&path).unwrap()["workflow"], r#"{"id": "w"}"#);

        let picture = read_metadata(path.with_extension("png")).unwrap();
        assert_eq!(
            (picture["CreationTime"].as_str(), picture["workflow"].as_str()),
            ("2031-02-03 04:05:06", r#"{"id": "w"}"#)
        );
        let [png, mp4] = ["png", "mp4"].map(|ending| path.with_extension(ending).to_str().unwrap().to_owned());
        assert_eq!(ran.slots[0][0].to_json(), json!([true, [png, mp4]]));

        let again = bench
            .with("save_metadata", Value::Bool(false))
            .with("crf", Value::Int(30))
            .with("loop_count", Value::Int(1));
        let ui = again.run(&VideoCombine).unwrap().ui.unwrap();
        assert_eq!(ui["gifs"][0]["filename"], "v_00002.mp4");
        let path = bench_path(&again, "v_00002.mp4");
        assert!(!read_metadata(&path).unwrap().contains_key("workflow"));
        assert_eq!(decode_mp4(&path).unwrap().frames.count(), 12);
    }

    fn bench_path(bench: &Bench, name: &str) -> std::path::PathBuf {
        bench.directory().join("output/sub").join(name)
    }

    #[test]
    fn animations_and_pictures_are_written_natively() {
        let webp = bench_of(image(3, 6, 8), "image/webp", None).with("save_output", Value::Bool(false));
        let ui = webp.run(&VideoCombine).unwrap().ui.unwrap();
        assert_eq!((&ui["gifs"][0]["type"], &ui["gifs"][0]["filename"]), (&json!("temp"), &json!("v_00001.webp")));
        let (read, _) = Pictures::read(&webp.directory().join("temp/sub/v_00001.webp")).unwrap().into_image();
        assert_eq!(read.bytes(2), bytes(&image(3, 6, 8), 2));

        let gif = bench_of(image(3, 6, 8), "image/gif", None);
        gif.run(&VideoCombine).unwrap();
        let (read, _) = Pictures::read(&bench_path(&gif, "v_00001.gif")).unwrap().into_image();
        assert_eq!(read.sizes()[..3], [3, 6, 8]);

        let pictures = bench_of(image(2, 6, 8), "video/8bit-png", None);
        pictures.run(&VideoCombine).unwrap();
        assert_eq!(pictures.names("output/sub"), ["v_00001.001.png", "v_00001.002.png", "v_00001.png"]);
        assert_eq!(read_image(bench_path(&pictures, "v_00001.002.png")).unwrap().as_bytes(), bytes(&image(2, 6, 8), 1));
        let deep = bench_of(image(1, 6, 8), "video/16bit-png", None);
        let ui = deep.run(&VideoCombine).unwrap().ui.unwrap();
        assert_eq!(
            (&ui["gifs"][0]["format"], &ui["gifs"][0]["filename"]),
            (&json!("image/png"), &json!("v_00001.001.png"))
        );
    }

    #[test]
    fn what_needs_ffmpeg_says_so() {
        for format in ["video/h265-mp4", "video/webm"] {
            let error = bench_of(image(1, 16, 16), format, None).run(&VideoCombine).unwrap_err().to_string();
            assert_eq!(error, format!("`{format}` files are written by FFmpeg, and there is none on this machine"));
        }
        let error = bench_of(image(1, 16, 16), "video/gifski", None).run(&VideoCombine).unwrap_err().to_string();
        assert!(error.contains("gifski"), "{error}");
    }

    #[test]
    fn ffmpeg_writes_the_others() {
        if std::process::Command::new("ffmpeg").arg("-version").output().is_err() {
            eprintln!("skipped: there is no FFmpeg on this machine");
            return;
        }
        for (format, name) in
            [("video/ffmpeg-gif", "v_00001.gif"), ("video/ffv1-mkv", "v_00001.mkv"), ("video/ProRes", "v_00001.mov")]
        {
            let bench = bench_of(image(3, 32, 32), format, Some("ffmpeg"));
            bench.run(&VideoCombine).unwrap_or_else(|error| panic!("{format}: {error}"));
            let source = VideoSource::File(bench_path(&bench, name));
            let bench = bench.with("video", Video { source });
            let parts = bench.run(crate::registry().node("GetVideoComponents").unwrap()).unwrap();
            assert_eq!(parts.object::<Image>(0).sizes(), [3, 32, 32, 3], "{format}");
        }
    }
}
