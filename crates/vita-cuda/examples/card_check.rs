//! Everything on a card at once: what was found, the self-test of every op, of cuBLASLt and cuDNN, and rates at the sizes of
//! the 14B transformer. `card_check CACHE_FOLDER [SITE_PACKAGES..]`; exits with 1 if anything is wrong.

use std::process::ExitCode;
use std::sync::Arc;

use vita_cuda::Result;
use vita_cuda::compile::Cache;
use vita_cuda::cublaslt::{CublasLt, Product, Scale};
use vita_cuda::cudnn::Cudnn;
use vita_cuda::discover::Search;
use vita_cuda::machine::{Driver, Gpu, Machine};
use vita_cuda::memory::{Buffer, Pool};
use vita_cuda::ops::{
    Affine, Attention, Conv, ConvShape, Float, Format, Function, GatedAdd, LayerNorm, Linear, Mode, Modulation,
    RmsRope, Rope, Rows, Weight, attention_in, conv, gated_add, layer_norm, linear, rms_rope,
};
use vita_cuda::report::Report;
use vita_cuda::selftest::{self, Outcome, Random, Verdict};

/// Tokens of 832x480x81, width, MLP and heads of the 14B transformer.
const TOKENS: usize = 32_760;
const WIDTH: usize = 5120;
const HIDDEN: usize = 13_824;
const HEAD: usize = 128;

/// Runs of each timing; the median counts.
const RUNS: usize = 7;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(cache) = arguments.next() else {
        eprintln!("usage: card_check CACHE_FOLDER [SITE_PACKAGES..]");
        return ExitCode::FAILURE;
    };
    let search = Search { site_packages: arguments.map(Into::into).collect(), system: true, ..Search::default() };
    print!("{}", Report::new(&search));
    match check(&search, Cache::new(cache)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(wrong) => {
            println!("{wrong} cases are wrong");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{}", vita_base::Report::from(error));
            ExitCode::FAILURE
        }
    }
}

/// Tests and times; how many cases are wrong.
fn check(search: &Search, cache: Cache) -> Result<usize> {
    let driver = Driver::open(search)?;
    let gpu = Arc::new(Gpu::open(&driver, search, 0, cache)?);
    let machine: Arc<dyn Machine> = gpu.clone();
    let pool = Pool::new(machine.clone(), None);
    let library = Arc::new(CublasLt::open(search, gpu.clone(), &pool, driver.version)?);
    println!("cuBLASLt {}", library.version().0);

    let mut outcomes = selftest::run(&machine, "");
    outcomes.extend(selftest::run_cases(&pool, library.cases()));
    let cudnn = match Cudnn::open(search, gpu.clone(), &pool, driver.version) {
        Ok(cudnn) => Some(Arc::new(cudnn)),
        Err(error) => {
            println!("without cuDNN: {error}");
            None
        }
    };
    if let Some(cudnn) = &cudnn {
        println!("cuDNN {}", cudnn.planner().version());
        outcomes.extend(selftest::run_cases(&pool, cudnn.cases()));
    }
    let wrong = outcomes.iter().filter(|outcome| print_outcome(outcome)).count();
    println!("{} cases, {wrong} wrong\n", outcomes.len());

    let bench = Bench { gpu: &gpu, pool: &pool, library: &library, cudnn: cudnn.as_deref() };
    bench.memory_bound()?;
    bench.products()?;
    bench.attention()?;
    bench.convolution()?;
    println!("pool: {:?}", pool.stats());
    Ok(wrong)
}

/// Prints what became of a case; whether it is wrong.
fn print_outcome(Outcome { op, title, verdict }: &Outcome) -> bool {
    let (text, wrong) = match verdict {
        Verdict::Passed(error) => (format!("{error:.2e}"), false),
        Verdict::Skipped => ("skipped: not on this card".into(), false),
        Verdict::Wrong(error, most) => (format!("WRONG: {error:.2e}, at most {most:.2e}"), true),
        Verdict::Failed(message) => (format!("FAILED: {message}"), true),
    };
    println!("{op:<16} {title:<64} {text}");
    wrong
}

struct Bench<'a> {
    gpu: &'a Gpu,
    pool: &'a Pool,
    library: &'a CublasLt,
    cudnn: Option<&'a Cudnn>,
}

impl Bench<'_> {
    /// Norms and sums: bytes a second, each input and output counted once.
    fn memory_bound(&self) -> Result<()> {
        let bytes = TOKENS * WIDTH * 2;
        let (x, y) = (self.random(bytes)?, self.random(bytes)?);
        let modulation = self.random(WIDTH * 4)?;
        let angles = self.random(TOKENS * HEAD / 2 * 4)?;
        let [x, y] = [&x, &y].map(|buffer| Rows::new(buffer.slice(), Float::Bf16, TOKENS, WIDTH));
        let factor = Modulation { data: modulation.slice(), groups: 1 };
        let call = LayerNorm {
            x,
            y,
            affine: Affine::Modulate { scale: factor, shift: factor },
            row_scale: None,
            epsilon: 1e-6,
        };
        self.rate("layer_norm modulated", 2 * bytes, "GB/s", || layer_norm(self.gpu, call))?;
        let call = RmsRope {
            x,
            y,
            weight: factor,
            epsilon: 1e-6,
            rope: Some(Rope { cosines: angles.slice(), sines: angles.slice(), head: HEAD }),
        };
        self.rate("rms_rope", 2 * bytes, "GB/s", || rms_rope(self.gpu, call))?;
        let call = GatedAdd { x, y, gate: Some(factor), sum: x };
        self.rate("gated_add", 3 * bytes, "GB/s", || gated_add(self.gpu, call))
    }

    fn products(&self) -> Result<()> {
        let (x, w) = (self.random(TOKENS * WIDTH * 2)?, self.random(HIDDEN * WIDTH * 2)?);
        let (y, bias) = (self.random(TOKENS * HIDDEN * 2)?, self.random(HIDDEN * 4)?);
        let scale = self.pool.upload(&1f32.to_le_bytes())?;
        let work = 2 * TOKENS * WIDTH * HIDDEN;
        let out = Rows::new(y.slice(), Float::Bf16, TOKENS, HIDDEN);
        for (title, float, scaled) in [
            ("cuBLASLt bf16, bias and GELU", Float::Bf16, Scale::None),
            ("cuBLASLt e4m3, bias and GELU", Float::E4m3, Scale::Tensor(scale.slice())),
        ] {
            let product = Product {
                x: Rows::new(x.slice(), float, TOKENS, WIDTH),
                x_scale: scaled,
                weight: Rows::new(w.slice(), float, HIDDEN, WIDTH),
                weight_scale: scaled,
                bias: Some(bias.slice()),
                function: Some(Function::GeluTanh),
                y: out,
                fast_sums: true,
            };
            if float != Float::E4m3 || self.gpu.properties().arch.has_fp8() {
                self.rate(title, work, "TFLOP/s", || self.library.product(product))?;
            }
        }
        for format in [Format::Plain(Float::Bf16), Format::Plain(Float::E4m3), Format::Q8_0, Format::Q4K] {
            let call = Linear {
                x: Rows::new(x.slice(), Float::Bf16, TOKENS, WIDTH),
                weight: Weight { data: w.slice(), format, columns: HIDDEN, depth: WIDTH },
                bias: Some(bias.slice()),
                scale: 1.0,
                function: None,
                y: out,
            };
            self.rate(&format!("linear of {format}"), work, "TFLOP/s", || linear(self.gpu, call))?;
        }
        Ok(())
    }

    fn attention(&self) -> Result<()> {
        for tokens in [512, 8192, TOKENS, 75_600] {
            let buffers: Vec<Buffer> = (0..4).map(|_| self.random(tokens * WIDTH * 2)).collect::<Result<_>>()?;
            let [q, k, v, y] = [0, 1, 2, 3].map(|i| Rows::new(buffers[i].slice(), Float::Bf16, tokens, WIDTH));
            let call = Attention { q, k, v, y, scale: (HEAD as f32).powf(-0.5) };
            for mode in Mode::ALL.into_iter().filter(|mode| mode.on(self.gpu.properties().arch) == *mode) {
                let title = format!("attention {mode}, {tokens} tokens");
                self.rate(&title, 4 * tokens * tokens * WIDTH, "TFLOP/s", || {
                    attention_in(self.pool, mode, call).map(drop)
                })?;
            }
            if let Some(cudnn) = self.cudnn {
                self.rate(
                    &format!("cuDNN attention, {tokens} tokens"),
                    4 * tokens * tokens * WIDTH,
                    "TFLOP/s",
                    || cudnn.attention(call),
                )?;
            }
        }
        Ok(())
    }

    fn convolution(&self) -> Result<()> {
        for (channels, height, width) in [(96, 480, 832), (192, 240, 416), (384, 120, 208)] {
            let shape = ConvShape {
                channels,
                out_channels: channels,
                video: [4, height, width],
                history: 2,
                blank: 0,
                kernel: [3, 3, 3],
                step: [1, 1, 1],
                pad_height: [1, 1],
                pad_width: [1, 1],
                enlarge: 1,
            };
            let frame = height * width * channels * 2;
            let (video, history, y) = (self.random(4 * frame)?, self.random(2 * frame)?, self.random(4 * frame)?);
            let weight = self.random(channels * shape.depth() * 2)?;
            let call = Conv {
                shape,
                float: Float::Bf16,
                video: video.slice(),
                history: Some(history.slice()),
                weight: weight.slice(),
                bias: None,
                y: y.slice(),
                y_float: Float::Bf16,
            };
            let work = 2 * 4 * height * width * channels * shape.depth();
            self.rate(&format!("conv 3x3x3, {channels} channels"), work, "TFLOP/s", || conv(self.gpu, call))?;
        }
        Ok(())
    }

    /// Memory full of bf16 numbers of about unit size; as f32 or 8 bits they are numbers as well.
    fn random(&self, bytes: usize) -> Result<Buffer> {
        const CHUNK: usize = 1 << 20;
        let mut random = Random::new(bytes as u64);
        let mut chunk = Vec::with_capacity(2 * CHUNK);
        (0..CHUNK).for_each(|_| Float::Bf16.encode(random.uniform() - 0.5, &mut chunk));
        let buffer = self.pool.allocate(bytes as u64)?;
        for start in (0..bytes).step_by(2 * CHUNK) {
            let len = (bytes - start).min(2 * CHUNK);
            self.pool.write(buffer.slice().part(start as u64, len as u64), &chunk[..len])?;
        }
        Ok(buffer)
    }

    /// Prints the work of a call by its time: the median of some runs, after two to warm up.
    fn rate(&self, title: &str, work: usize, unit: &str, give: impl Fn() -> Result<()>) -> Result<()> {
        give()?;
        give()?;
        let mut times = (0..RUNS).map(|_| self.gpu.timed(&give)).collect::<Result<Vec<f32>>>()?;
        times.sort_by(f32::total_cmp);
        let milliseconds = f64::from(times[RUNS / 2]);
        let per_second = work as f64 / milliseconds * 1e3 / if unit == "GB/s" { 1e9 } else { 1e12 };
        println!("{title:<40} {milliseconds:>10.3} ms {per_second:>10.1} {unit}");
        Ok(())
    }
}
