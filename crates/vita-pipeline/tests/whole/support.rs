//! The small models, and something to run them in.

use std::path::PathBuf;
use std::time::Duration;

use vita_pipeline::{
    Cancel, Environment, Error, Event, Models, Observer, Paths, Residency, Sampling, Source, Stage, Summary,
    VideoRequest, make_video,
};
use vita_tensor::Tensor;

/// Counts what it hears.
#[derive(Default)]
pub struct Heard {
    /// Stages that began.
    pub began: Vec<Stage>,
    pub warnings: Vec<String>,
    pub previews: usize,
}

impl Observer for Heard {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Step { stage, step: 0, .. } => self.began.push(stage),
            Event::Step { .. } => {}
            Event::Preview { .. } => self.previews += 1,
            Event::Warning(text) => self.warnings.push(text),
        }
    }

    fn wants_previews(&self) -> bool {
        true
    }
}

impl Heard {
    /// How many networks were loaded.
    pub fn loads(&self) -> usize {
        self.began.iter().filter(|stage| **stage == Stage::Loading).count()
    }
}

/// Does something in an environment.
pub fn within<T>(residency: &Residency, heard: &mut Heard, work: impl FnOnce(&mut Environment) -> T) -> T {
    let cancel = Cancel::default();
    work(&mut Environment { cancel: &cancel, observer: heard, clock: &|| Duration::ZERO, residency })
}

/// Does something where nothing is loaded yet and nothing listens.
pub fn alone<T>(work: impl FnOnce(&mut Environment) -> T) -> T {
    within(&Residency::one(None), &mut Heard::default(), work)
}

pub fn nano(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../assets/nano/nano-{file}.safetensors"))
}

/// Files of a small system.
pub fn paths(name: &str) -> Paths {
    let t2v = Paths { dit: nano("t2v-dit"), text_encoder: nano("umt5"), vae: nano("vae"), ..Paths::default() };
    match name {
        "t2v" => t2v,
        "i2v" => Paths { dit: nano("i2v-dit"), clip_vision: Some(nano("clip-vision")), ..t2v },
        "a14b" => Paths { dit: nano("i2v-high"), dit_low: Some(nano("i2v-low")), ..t2v },
        "ti2v" => Paths { dit: nano("ti2v-dit"), vae: nano("vae22"), ..t2v },
        _ => panic!("no system is called {name}"),
    }
}

pub fn models(name: &str) -> Models {
    Models::open(&paths(name)).unwrap()
}

/// A request that takes no time.
pub fn request(source: Source) -> VideoRequest {
    let sampling = Sampling {
        seed: 7,
        steps: 3,
        cfg: 2.0,
        cfg_low: None,
        shift: 3.0,
        sampler: "euler".into(),
        scheduler: "simple".into(),
        denoise: 1.0,
    };
    VideoRequest { source, ..VideoRequest::of_text("a red ball moves to the right", [32, 32], 5, sampling) }
}

/// A picture with something in it.
pub fn picture(height: usize, width: usize) -> Tensor {
    let value = |i: usize| {
        let (row, column, channel) = (i / 3 / width, i / 3 % width, i % 3);
        0.5 + 0.4 * ((row as f32 * 0.4 + channel as f32).sin() * (column as f32 * 0.3).cos())
    };
    Tensor::from_vec((0..height * width * 3).map(value).collect(), [1, height, width, 3])
}

pub fn with_image() -> Source {
    Source::Image { start: picture(40, 48), end: None }
}

/// Frames as bytes, one after the other.
pub fn make(models: &Models, request: &VideoRequest) -> Result<(Vec<Vec<u8>>, Summary), Error> {
    let mut frames = Vec::new();
    let summary = alone(|environment| {
        make_video(models, request, environment, &mut |frame| {
            assert_eq!((frame.width, frame.height, frame.index), (request.width, request.height, frames.len()));
            frames.push(frame.rgb.to_vec());
            Ok(())
        })
    })?;
    Ok((frames, summary))
}

/// In decibels, of bytes.
pub fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let square: f64 = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
    10.0 * (255.0f64.powi(2) / (square / a.len() as f64)).log10()
}
