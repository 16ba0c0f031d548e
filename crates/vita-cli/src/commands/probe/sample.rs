//! `probe sample`: a whole run of the transformer, from noise to the final latent.

use std::ops::ControlFlow;

use clap::Args;
use vita_base::Report;
use vita_models::wan::{self, Context, HIDDEN_BYTES_MAX, LayoutOptions, Prompt, Wan};
use vita_ops::combine;
use vita_pipeline::guidance::{guide, needs_negative};
use vita_sampling::{Flow, sample};
use vita_tensor::Tensor;
use vita_weights::Role;

use super::files::{Files, Inputs};
use super::schedule;
use crate::arguments::Shape;

/// A whole run of the transformer, from noise to the final latent.
///
/// Inputs: `context` and, if --cfg is not 1, `context_negative` [1, S, text width], where rows of
/// zeros at the end are padding and take part; optionally `latent`, of --shape, which the noise is
/// added to. Result: the latent on the sampler's scale, of --shape.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    files: Files,
    /// Seed of all noise, of which the low 32 bits count.
    #[arg(long, value_name = "N")]
    seed: u64,
    /// Shape of the latent: 1,C,T,H,W.
    #[arg(long, value_name = "1,C,T,H,W")]
    shape: Shape,
    /// Guidance; at 1 the negative prompt is not run.
    #[arg(long, value_name = "F", default_value_t = 1.0, allow_negative_numbers = true)]
    cfg: f64,
    #[command(flatten)]
    schedule: schedule::Arguments,
    /// Take `latent` as it is, without noise.
    #[arg(long)]
    no_noise: bool,
}

/// Runs the transformer step by step.
///
/// # Errors
/// If the checkpoint is no transformer, or an input or a flag does not fit it.
pub fn run(arguments: &Arguments) -> Result<(), Report> {
    let &[1, channels, frames, rows, columns] = &arguments.shape.0[..] else {
        return Err(Report::new(format!("--shape is {:?}, expected 1,C,T,H,W", arguments.shape.0)));
    };
    let inputs = arguments.files.inputs()?;
    let latent = match inputs.optional("latent", &["1", "C", "T", "H", "W"])? {
        None => Tensor::zeros([channels, frames, rows, columns]),
        Some(latent) if *latent.dims() == *arguments.shape.0 => latent.select(0, 0).to_contiguous_f32(),
        Some(latent) => return Err(inputs.error(format!("`latent` is {}, expected that of --shape", latent.dims()))),
    };
    let proceed = &mut |_, _| ControlFlow::Continue(());
    let wan = Wan::load(&arguments.files.weights(Role::DiffusionModel)?, proceed)?;
    let layout = wan.layout([frames, rows, columns], LayoutOptions { hidden_bytes_max: HIDDEN_BYTES_MAX })?;
    let context = context(&wan, &inputs, "context")?;
    let negative = match needs_negative(arguments.cfg) {
        true => Some(self::context(&wan, &inputs, "context_negative")?),
        false => None,
    };

    let mut model = |x: &Tensor, sigma: f32| -> Result<Tensor, Failure> {
        let mut denoised = |context: &Context| -> Result<Tensor, Failure> {
            let velocity = wan.forward(x, &[sigma * Flow::TIMESTEP_MAX], context, &layout, proceed)?;
            Ok(combine(&[(1.0, x), (-sigma, &velocity)]))
        };
        let cond = denoised(&context)?;
        match &negative {
            Some(negative) => Ok(guide(&cond, &denoised(negative)?, arguments.cfg)),
            None => Ok(cond),
        }
    };
    let options = arguments.schedule.options(arguments.seed, !arguments.no_noise);
    let out = sample(&options, &latent, &mut model, &mut |_, _| Ok(())).map_err(|Failure(report)| report)?;
    arguments.files.outputs.write(&out.reshape(&arguments.shape.0[..]))
}

fn context(wan: &Wan, inputs: &Inputs, name: &str) -> Result<Context, Report> {
    let padded = inputs.tensor(name, &["1", "S", "text width"])?;
    inputs.check_batch(name, &padded, 1)?;
    Ok(wan.context(&Prompt::from_padded(&padded.select(0, 0).to_contiguous_f32())?, None)?)
}

/// What ends a run: the sampler's fault or the model's.
struct Failure(Report);

impl From<vita_sampling::Error> for Failure {
    fn from(error: vita_sampling::Error) -> Self {
        Self(error.into())
    }
}

impl From<wan::Error> for Failure {
    fn from(error: wan::Error) -> Self {
        Self(error.into())
    }
}
