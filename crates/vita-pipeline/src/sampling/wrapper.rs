//! A sampling run as the Wan wrapper's sampler does it: its own schedules and solvers, guidance on velocities, and
//! one generator for all noise.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use vita_sampling::noise::Generator;
use vita_sampling::{Flow, Timetable, WrapperOptions, WrapperStep, sample_wrapper};
use vita_tensor::{Dims, Tensor};

use super::experts::Switch;
use super::job::Sampled;
use super::network::{Network, Place, Which, fitting};
use crate::environment::Environment;
use crate::frame::is_finite;
use crate::guidance::{Cfg, guide, needs_negative, zero_star_scale};
use crate::latent::{Latent, LatentSpace, NoiseState, join_frames};
use crate::parts::ModelPatches;
use crate::progress::Stage;
use crate::windows::pick_frames;
use crate::{Conditioning, Error, Transformer};

/// A sampling run.
#[derive(Clone)]
pub struct WrapperJob {
    /// Which network. Its shift is the schedule's.
    pub model: Transformer,
    /// What should be seen.
    pub positive: Conditioning,
    /// What should not; needed unless guidance is 1 at every step.
    pub negative: Option<Conditioning>,
    /// How strongly the prompt is followed, by the whole schedule's steps.
    pub cfg: Cfg,
    /// Levels and steps.
    pub schedule: WrapperSchedule,
    /// Seed of all noise.
    pub seed: u64,
    /// What to make: `[T, h, w]` of the latent.
    pub latent: [usize; 3],
    /// A latent to go on from, in place of noise.
    pub samples: Option<Latent>,
    /// Whether noise of the first level is added to `samples`. It is where less than all of the schedule is run.
    pub add_noise_to_samples: bool,
    /// Latent frames that are known, `[C, 1, h, w]` on the transformer's scale, by their place: Wan2.2 TI2V.
    pub known_frames: BTreeMap<usize, Tensor>,
}

/// Levels and steps of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct WrapperSchedule {
    /// Name of the schedule and solver.
    pub scheduler: String,
    /// Steps of the whole schedule.
    pub steps: usize,
    /// Flow shift.
    pub shift: f64,
    /// Levels in place of the schedule's own.
    pub sigmas: Option<Vec<f32>>,
    /// First step that is run, from 0.
    pub start_step: usize,
    /// First step that is not run; `None` runs to the end.
    pub end_step: Option<usize>,
    /// Share of the schedule that is run, from its end.
    pub denoise: f64,
}

impl WrapperSchedule {
    /// A whole schedule.
    pub fn new(scheduler: &str, steps: usize, shift: f64) -> Self {
        let scheduler = scheduler.into();
        Self { scheduler, steps, shift, sigmas: None, start_step: 0, end_step: None, denoise: 1.0 }
    }
}

impl WrapperJob {
    /// Levels and timesteps of the steps that are run.
    ///
    /// # Errors
    /// If a name is unknown, or a number is out of range.
    pub fn timetable(&self) -> Result<Timetable, Error> {
        let WrapperSchedule { scheduler, steps, shift, sigmas, start_step, end_step, denoise } = self.schedule.clone();
        let model_dim = self.model.config().dim;
        Ok(Timetable::new(&WrapperOptions {
            scheduler,
            steps,
            shift,
            sigmas,
            start_step,
            end_step,
            denoise,
            model_dim,
        })?)
    }
}

/// Runs a job. The latent that comes out remembers where the noise's generator stands.
///
/// # Errors
/// If the job's parts do not fit each other, the model cannot be loaded or gives no numbers, or the work was
/// cancelled.
pub fn sample_as_wrapper(job: &WrapperJob, environment: &mut Environment) -> Result<Sampled, Error> {
    let timetable = job.timetable()?;
    let step_count = timetable.timesteps.len();
    let whole = job.noisy(&timetable)?;
    let mut generator = whole.generator;
    let is_guided = (0..step_count).any(|step| needs_negative(job.cfg.at(timetable.first_step + step)));
    let negative = match (&job.negative, is_guided) {
        (Some(negative), true) => Some(negative),
        (None, true) => return Err(Error::NoNegative),
        (_, false) => None,
    };
    let network = Network::load(&job.model, job.latent, &job.positive, negative, environment)?;
    network.check_windows(step_count)?;
    let parted = Parted::new(&whole.noisy, &job.known_frames)?;
    refuse_native(job.model.patches())?;
    let schedule_count = job.schedule_steps();
    let model = Model { job, network: &network, parted: &parted, step_count, schedule_count, turn: Cell::new(0) };

    let mut stage = environment.begin(Stage::Sampling, step_count);
    // The model and the report of a step are two closures that both need the last denoised latent.
    let last = RefCell::new(None);
    let end = sample_wrapper(
        &timetable,
        &parted.unknown(&whole.noisy),
        &mut generator,
        &mut |x, at| model.velocity(x, at),
        &mut |step, denoised| {
            if !is_finite(denoised) {
                return Err(Error::NotFinite { step, total: stage.total(), culprit: job.model.broken_tensor() });
            }
            environment.step(&mut stage);
            let denoised = parted.together(denoised);
            environment.preview(step, || job.model.latent_format().preview(&denoised, 0));
            last.replace(Some(denoised));
            environment.check()
        },
    )?;
    environment.end(stage);
    let end = parted.together(&end);
    let out = |samples| Latent { noise_state: Some(NoiseState::new(&generator)), ..Latent::normalised(samples) };
    let denoised = last.into_inner().unwrap_or_else(|| end.clone());
    Ok(Sampled { latent: out(end), denoised: out(denoised), passes: network.passes() })
}

/// Runs a job with the expert for high noise, then goes on with that for low noise: two samplers, one after the
/// other, each with its steps of the same schedule.
///
/// # Errors
/// As [`sample_as_wrapper`].
pub fn sample_experts_as_wrapper(
    job: &WrapperJob,
    low: &Transformer,
    cfg_low: &Cfg,
    switch: Switch,
    environment: &mut Environment,
) -> Result<Sampled, Error> {
    let timetable = job.timetable()?;
    let first = timetable.first_step;
    let switch = switch.step_of(&timetable.timesteps);
    let low = |job: WrapperJob| WrapperJob { model: low.clone(), cfg: cfg_low.clone(), ..job };
    if switch == 0 {
        return sample_as_wrapper(&low(job.clone()), environment);
    }
    if switch >= timetable.timesteps.len() {
        return sample_as_wrapper(job, environment);
    }
    let half = WrapperSchedule { start_step: first, end_step: Some(first + switch), ..job.schedule.clone() };
    let half = sample_as_wrapper(&WrapperJob { schedule: half, ..job.clone() }, environment)?;
    let rest = WrapperSchedule { start_step: first + switch, denoise: 1.0, ..job.schedule.clone() };
    let rest = WrapperJob { schedule: rest, samples: Some(half.latent), add_noise_to_samples: false, ..job.clone() };
    sample_as_wrapper(&low(rest), environment)
}

/// What only ComfyUI's own samplers do must not be left out in silence.
fn refuse_native(patches: &ModelPatches) -> Result<(), Error> {
    let what = match patches {
        ModelPatches { skip_layers: Some(_), .. } => "SkipLayerGuidanceDiT",
        ModelPatches { reuse_cache: Some(_), .. } => "EasyCache and LazyCache",
        _ => return Ok(()),
    };
    Err(Error::NativeOnly { what })
}

/// What a run starts from.
struct Start {
    /// `[C, T, h, w]`
    noisy: Tensor,
    generator: Generator,
}

impl WrapperJob {
    /// Steps of the whole schedule.
    fn schedule_steps(&self) -> usize {
        self.schedule.sigmas.as_ref().map_or(self.schedule.steps, |sigmas| sigmas.len().saturating_sub(1))
    }

    fn noisy(&self, timetable: &Timetable) -> Result<Start, Error> {
        let [frames, rows, columns] = self.latent;
        let dims = [self.model.latent_channels(), frames, rows, columns];
        let mut generator = Generator::new(self.seed);
        let noise = generator.randn(dims);
        let windows = self.model.patches().windows.as_ref();
        let noise = match windows.filter(|windows| windows.free_noise && windows.part(frames)) {
            Some(windows) => windows.shuffle_noise(&noise, &mut generator)?,
            None => noise,
        };
        let Some(samples) = &self.samples else { return Ok(Start { noisy: noise, generator }) };
        if let Some(state) = &samples.noise_state {
            generator = state.generator();
        }
        let samples = fitting(samples, &self.model)?;
        if samples.sizes()? != dims {
            return Err(Error::Shapes {
                what: "latent to go on from",
                found: samples.samples.dims().to_string(),
                other: "latent to make",
                expected: Dims::from(dims).to_string(),
            });
        }
        let samples = samples.samples_in(LatentSpace::Normalised)?;
        let level = timetable.timesteps[0] / Flow::TIMESTEP_MAX;
        let noisy = match self.add_noise_to_samples || self.schedule.denoise < 1.0 {
            true => vita_ops::combine(&[(level, &noise), (1.0 - level, &samples)]),
            false => samples,
        };
        Ok(Start { noisy, generator })
    }
}

/// Guided velocities.
struct Model<'a> {
    job: &'a WrapperJob,
    network: &'a Network,
    parted: &'a Parted,
    step_count: usize,
    schedule_count: usize,
    /// Latent frames by which the video is turned at the next step that turns it.
    turn: Cell<usize>,
}

impl Model<'_> {
    /// x: the frames that are made.
    fn velocity(&self, x: &Tensor, at: WrapperStep) -> Result<Tensor, Error> {
        let turn = self.turn(at.index);
        let zero_star = self.job.model.patches().cfg_zero_star;
        if zero_star.is_some_and(|zero| at.index < zero.zero_steps) {
            return Ok(Tensor::zeros(x.dims()));
        }
        let cfg = self.job.cfg.at(at.schedule_index);
        let whole = turned(self.parted.together(x), turn);
        let timesteps = self.parted.timesteps(at.timestep);
        let (step_count, schedule_count) = (self.step_count, self.schedule_count);
        let guided = self.network.in_windows(&whole, &timesteps, at.index, &mut |x, timesteps, window| {
            let mut timesteps = timesteps.to_vec();
            if let (Some(_), [first, _, ..]) = (window, &mut timesteps[..]) {
                *first = 0.0;
            }
            self.guided(x, &timesteps, cfg, Place { step_index: at.index, step_count, schedule_count, window })
        })?;
        Ok(self.parted.unknown(&turned(guided, self.job.latent[0] - turn)))
    }

    /// Latent frames by which the video is turned at a step. Known frames are not told, as in the original.
    fn turn(&self, step: usize) -> usize {
        let shift = self.job.model.patches().loop_shift;
        let Some(shift) = shift.filter(|shift| shift.span.holds(step, self.step_count)) else { return 0 };
        self.turn.replace((self.turn.get() + shift.skip) % self.job.latent[0])
    }

    fn guided(&self, x: &Tensor, timesteps: &[f32], cfg: f64, place: Place) -> Result<Tensor, Error> {
        let one = |which| self.network.velocity(x, timesteps, which, place);
        let cond = one(Which::Positive)?;
        if !needs_negative(cfg) {
            return Ok(cond);
        }
        let uncond = one(Which::Negative)?;
        Ok(match self.job.model.patches().cfg_zero_star {
            None => guide(&cond, &uncond, cfg),
            Some(_) => guide(&cond, &vita_ops::combine(&[(zero_star_scale(&cond, &uncond), &uncond)]), cfg),
        })
    }
}

/// A latent video from its frame `by` on, and then what is before.
fn turned(x: Tensor, by: usize) -> Tensor {
    let frames = x.dims()[1];
    match by % frames {
        0 => x,
        by => pick_frames(&x, &(by..frames).chain(0..by).collect::<Vec<_>>()),
    }
}

/// Latent frames that are known, and those that are made: the solver sees the latter alone.
struct Parted {
    known: BTreeMap<usize, Tensor>,
    frames: usize,
}

impl Parted {
    fn new(noisy: &Tensor, known: &BTreeMap<usize, Tensor>) -> Result<Self, Error> {
        let [channels, frames, rows, columns] = noisy.sizes();
        for (&place, frame) in known {
            if *frame.dims() != [channels, 1, rows, columns] {
                return Err(Error::ImageLatent { found: frame.dims(), expected: [1, rows, columns] });
            }
            if place >= frames {
                let value = place.to_string();
                return Err(Error::Number { what: "place of a known latent frame", value, range: "within the latent" });
            }
        }
        if known.len() >= frames && !known.is_empty() {
            let value = known.len().to_string();
            return Err(Error::Number { what: "number of known latent frames", value, range: "less than all" });
        }
        Ok(Self { known: known.clone(), frames })
    }

    /// The frames of a whole latent that are made.
    fn unknown(&self, whole: &Tensor) -> Tensor {
        if self.known.is_empty() {
            return whole.clone();
        }
        let places: Vec<usize> = (0..self.frames).filter(|place| !self.known.contains_key(place)).collect();
        let frames: Vec<Tensor> = places.iter().map(|&place| whole.narrow(1, place, 1)).collect();
        join_frames(&frames.iter().collect::<Vec<_>>())
    }

    /// The whole latent of the frames that are made.
    fn together(&self, made: &Tensor) -> Tensor {
        if self.known.is_empty() {
            return made.clone();
        }
        let mut next = 0;
        let frames: Vec<Tensor> = (0..self.frames)
            .map(|place| match self.known.get(&place) {
                Some(known) => known.clone(),
                None => {
                    next += 1;
                    made.narrow(1, next - 1, 1)
                }
            })
            .collect();
        join_frames(&frames.iter().collect::<Vec<_>>())
    }

    fn timesteps(&self, timestep: f32) -> Vec<f32> {
        match self.known.is_empty() {
            true => vec![timestep],
            false => {
                (0..self.frames).map(|place| if self.known.contains_key(&place) { 0.0 } else { timestep }).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_frames_are_taken_out_and_put_back() {
        let whole = Tensor::from_vec((0..12).map(|i| i as f32).collect(), [2, 3, 1, 2]);
        let known = Tensor::from_vec(vec![90.0, 91.0, 92.0, 93.0], [2, 1, 1, 2]);
        let parted = Parted::new(&whole, &BTreeMap::from([(1, known.clone())])).unwrap();
        let unknown = parted.unknown(&whole);
        assert_eq!(unknown.to_vec(), [0., 1., 4., 5., 6., 7., 10., 11.]);
        assert_eq!(parted.together(&unknown).to_vec(), [0., 1., 90., 91., 4., 5., 6., 7., 92., 93., 10., 11.]);
        assert_eq!(parted.timesteps(999.0), [999.0, 0.0, 999.0]);
        assert!(Parted::new(&whole, &BTreeMap::from([(3, known.clone())])).is_err());
        assert!(Parted::new(&whole.narrow(1, 0, 1), &BTreeMap::from([(0, known)])).is_err());
        assert!(Parted::new(&whole, &BTreeMap::from([(0, whole.clone())])).is_err());
        let none = Parted::new(&whole, &BTreeMap::new()).unwrap();
        assert_eq!((none.together(&whole).to_vec(), none.timesteps(7.0)), (whole.to_vec(), vec![7.0]));
    }
}
