//! GFLOP/s of the ops at the sizes of the real models.

use std::time::Instant;

use vita_ops::{
    Activation, Affine, AttentionOptions, Conv, ConvOptions, Linear, RopeTable, attention, l2_norm, layer_norm, rope,
};
use vita_tensor::{Bytes, DType, Tensor};

/// What to time.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only the cases whose name contains this.
    #[arg(default_value = "")]
    filter: String,
    /// Calls of each case; the fastest counts.
    #[arg(long, default_value_t = 5)]
    repeat: u32,
}

/// The multiplications and additions of a call, and the call.
struct Case {
    flops: f64,
    run: Box<dyn FnMut()>,
}

/// Builds a case's tensors, only when it is asked for.
type MakeCase = fn() -> Case;

/// Times each case and prints a line for it.
pub fn run(arguments: &Arguments) {
    println!("{} threads, {:?}", rayon::current_num_threads(), vita_ops::simd::Isa::best());
    for (name, make) in CASES {
        if !name.contains(&arguments.filter) {
            continue;
        }
        let mut case = make();
        (case.run)();
        let seconds = (0..arguments.repeat).map(|_| {
            let start = Instant::now();
            (case.run)();
            start.elapsed().as_secs_f64()
        });
        let fastest = seconds.fold(f64::INFINITY, f64::min);
        println!("{name:44} {:9.2} ms {:8.1} GFLOP/s", fastest * 1e3, case.flops / fastest / 1e9);
    }
}

const CASES: &[(&str, MakeCase)] = &[
    ("linear 1950x1536x1536 f32", || linear([1950, 1536, 1536], DType::F32)),
    ("linear 1950x1536x8960 f32", || linear([1950, 1536, 8960], DType::F32)),
    ("linear 1950x1536x8960 bf16", || linear([1950, 1536, 8960], DType::BF16)),
    ("linear 1950x1536x8960 fp8", || linear([1950, 1536, 8960], DType::F8E4M3)),
    ("linear 1950x8960x1536 bf16", || linear([1950, 8960, 1536], DType::BF16)),
    ("linear 2048x5120x5120 bf16", || linear([2048, 5120, 5120], DType::BF16)),
    ("linear 257x1280x5120 f16", || linear([257, 1280, 5120], DType::F16)),
    ("linear 257x5120x1280 f16", || linear([257, 5120, 1280], DType::F16)),
    ("linear 40x4096x10240 fp8", || linear([40, 4096, 10240], DType::F8E4M3)),
    ("linear 40x4096x10240 f16", || linear([40, 4096, 10240], DType::F16)),
    ("linear 64x5120x5120 fp8", || linear([64, 5120, 5120], DType::F8E4M3)),
    ("linear 24x4096x10240 fp8", || linear([24, 4096, 10240], DType::F8E4M3)),
    ("linear 33x1536x8960 bf16", || linear([33, 1536, 8960], DType::BF16)),
    ("linear 1x1536x9216 bf16", || linear([1, 1536, 9216], DType::BF16)),
    ("linear 12x4096x10240 fp8", || linear([12, 4096, 10240], DType::F8E4M3)),
    ("linear 128x5120x13824 fp8", || linear([128, 5120, 13824], DType::F8E4M3)),
    // Bytes instead of operations: GB/s. Other dtypes are not packed.
    ("packing 8960x1536 f32, bytes", || pack([8960, 1536], DType::F32)),
    ("attention 1950x1950, 12 heads of 128", || attend([1950, 1950, 12, 128])),
    ("attention 1950x512, 12 heads of 128", || attend([1950, 512, 12, 128])),
    ("attention 512x512, 64 heads of 64", || attend([512, 512, 64, 64])),
    ("conv 3x3x3 384 to 384, 1x30x52", || conv([384, 384, 3, 3], [1, 30, 52])),
    ("conv 3x3x3 384 to 384, 2x30x52", || conv([384, 384, 3, 3], [2, 30, 52])),
    ("conv 3x3x3 384 to 384, 2x60x104", || conv([384, 384, 3, 3], [2, 60, 104])),
    ("conv 3x3x3 192 to 192, 4x120x208", || conv([192, 192, 3, 3], [4, 120, 208])),
    ("conv 3x3x3 96 to 96, 4x240x416", || conv([96, 96, 3, 3], [4, 240, 416])),
    ("conv 3x3x3 96 to 3, 4x240x416", || conv([3, 96, 3, 3], [4, 240, 416])),
    ("conv 3x1x1 384 to 768, 2x30x52", || conv([768, 384, 3, 1], [2, 30, 52])),
    ("conv 1x3x3 192 to 96, 4x240x416", || conv([96, 192, 1, 3], [4, 240, 416])),
    ("layer norm 1950x1536", || {
        let (x, weight) = (values(&[1950, 1536]), values(&[1536]));
        case(1950.0 * 1536.0 * 8.0, move || {
            let _ = layer_norm(&x, Affine::Weight { weight: &weight, bias: &weight }, 1e-6);
        })
    }),
    ("gelu, tanh, 1950x8960", || activate(Activation::GeluTanh)),
    ("gelu, erf, 1950x8960", || activate(Activation::GeluErf)),
    ("silu 1950x8960", || activate(Activation::Silu)),
    ("l2 norm + silu 4x240x416x96", || {
        let (x, gamma) = (values(&[4, 240, 416, 96]), values(&[96]));
        case(4.0 * 240.0 * 416.0 * 96.0 * 8.0, move || {
            let _ = l2_norm(&x, &gamma, Activation::Silu);
        })
    }),
    ("rope 1950x12x128", || {
        let table = RopeTable::new([5, 15, 26], 128, 10_000.0);
        let mut x = Some(values(&[1950, 12, 128]));
        case(1950.0 * 1536.0 * 3.0, move || x = x.take().map(|x| rope(x, &table)))
    }),
];

fn case(flops: f64, run: impl FnMut() + 'static) -> Case {
    Case { flops, run: Box::new(run) }
}

fn linear([rows, depth, columns]: [usize; 3], dtype: DType) -> Case {
    let layer = Linear::new(&weight(&[columns, depth], dtype), None, Some(&values(&[columns])));
    let x = values(&[rows, depth]);
    case(2.0 * (rows * depth * columns) as f64, move || {
        let _ = layer.forward(&x, Activation::None);
    })
}

fn activate(activation: Activation) -> Case {
    let mut x = Some(values(&[1950, 8960]));
    case(1950.0 * 8960.0 * 8.0, move || x = x.take().map(|x| activation.forward(x)))
}

fn pack(dims: [usize; 2], dtype: DType) -> Case {
    let weight = weight(&dims, dtype);
    case(weight.size_bytes() as f64, move || {
        let _ = Linear::new(&weight, None, None);
    })
}

fn attend([queries, keys, heads, width]: [usize; 4]) -> Case {
    let (q, k) = (values(&[queries, heads, width]), values(&[keys, heads, width]));
    case(4.0 * (queries * keys * heads * width) as f64, move || {
        let options = AttentionOptions::scaled((width as f32).sqrt().recip());
        let _ = attention(&q, &k, &k, options);
    })
}

/// The kernel is `side` wide in rows and columns; the input `[T, H, W]` is the output's size.
fn conv([out, ins, kt, side]: [usize; 4], [frames, height, width]: [usize; 3]) -> Case {
    let pad = [side / 2; 2];
    let options = ConvOptions { pad_height: pad, pad_width: pad, causal: true, ..ConvOptions::default() };
    let layer = Conv::new(&values(&[out, ins, kt, side, side]), Some(&values(&[out])), options);
    let x = values(&[frames, height, width, ins]);
    let history = (kt > 1).then(|| values(&[kt - 1, height, width, ins]));
    let flops = 2.0 * (frames * height * width * out * ins * kt * side * side) as f64;
    case(flops, move || {
        let _ = layer.forward(&x, history.as_ref());
    })
}

/// Values that are spread out, of no particular distribution: times do not depend on it.
fn values(dims: &[usize]) -> Tensor {
    let count = dims.iter().product::<usize>();
    Tensor::from_vec((0..count).map(|i| (i * 7919 % 1013) as f32 / 1013.0 - 0.5).collect(), dims)
}

fn weight(dims: &[usize], dtype: DType) -> Tensor {
    let source = values(dims);
    let bytes: Vec<u8> = match dtype {
        DType::F32 => return source,
        // Any bits but those of infinities will do.
        DType::F16 => {
            source.f32s().iter().flat_map(|value| ((value * 2e4) as i16 as u16 & 0xbfff).to_le_bytes()).collect()
        }
        DType::BF16 => source.f32s().iter().flat_map(|value| ((value.to_bits() >> 16) as u16).to_le_bytes()).collect(),
        _ => source.f32s().iter().map(|value| (value * 100.0) as i8 as u8 & 0xb7).collect(),
    };
    Tensor::from_bytes(Bytes::from(bytes), dtype, dims).expect("as many bytes as elements")
}
