//! A product with a weight of any format that is widened on its way to the matrix units, never to memory.

use super::{Float, Format, Function, Rows, Variant, everywhere};
use crate::arch::Arch;
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine, Pointer, Shape};
use crate::memory::Slice;
use crate::selftest::{Case, Pair, Random};

/// Rows of a block.
pub(super) const ROWS: usize = 128;

/// Threads of a block.
const THREADS: u32 = 256;

/// Bytes of a row of a stage, and how many stages are under way.
const ROW_BYTES: usize = 64;
const STAGES: usize = 3;

/// `[N, K]`: a row for each result.
#[derive(Clone, Copy, Debug)]
pub struct Weight<'a> {
    /// Its rows, without gaps.
    pub data: Slice<'a>,
    /// How they lie.
    pub format: Format,
    /// Results, an even number.
    pub columns: usize,
    /// Elements of a row, a multiple of 8 and of whole blocks.
    pub depth: usize,
}

/// A linear layer.
#[derive(Clone, Copy)]
pub struct Linear<'a> {
    /// `[M, K]`, bf16 or f16; e4m3 in [`linear_e4m3`].
    pub x: Rows<'a>,
    /// `[N, K]`
    pub weight: Weight<'a>,
    /// `[N]` of f32.
    pub bias: Option<Slice<'a>>,
    /// Factor of the products: the weight's scale, where it has one for all.
    pub scale: f32,
    /// What follows the bias.
    pub function: Option<Function>,
    /// `[M, N]`: bf16, f16 or f32; not `x`.
    pub y: Rows<'a>,
}

/// `y = function(x w^T * scale + bias)`. Products are of x's type, sums f32.
///
/// # Panics
/// If the shapes or types do not fit.
///
/// # Errors
/// If the card does not answer.
pub fn linear(machine: &dyn Machine, call: Linear) -> Result<()> {
    assert!(call.x.float != Float::E4m3, "products of 8 bits have scales");
    run(machine, call, None)
}

/// As [`linear`], with products of e4m3: x is `[M, K]` of it, each row to be multiplied by its `x_scale` (`[M]` of f32,
/// see [`super::quantise_rows`]), and so is the weight; K is a multiple of 16. From Ada on.
///
/// # Panics
/// If the shapes or types do not fit.
///
/// # Errors
/// If the card does not answer.
pub fn linear_e4m3(machine: &dyn Machine, call: Linear, x_scale: Slice) -> Result<()> {
    let e4m3 = Format::Plain(Float::E4m3);
    assert_eq!((call.x.float, call.weight.format), (Float::E4m3, e4m3), "products of 8 bits");
    assert!(call.weight.depth.is_multiple_of(16) && call.x.stride.is_multiple_of(16), "depth {}", call.weight.depth);
    assert!(x_scale.bytes() >= 4 * call.x.rows as u64, "{} scales", call.x.rows);
    run(machine, call, Some(x_scale))
}

fn run(machine: &dyn Machine, call: Linear, x_scale: Option<Slice>) -> Result<()> {
    let Linear { x, weight, bias, scale, function, y } = call;
    let Weight { data, format, columns, depth } = weight;
    assert_eq!((x.shape(), y.shape()), ([x.rows, depth], [x.rows, columns]), "x, weight and y");
    assert!(columns.is_multiple_of(2) && y.stride.is_multiple_of(2), "{columns} results");
    assert!(data.bytes() >= format.bytes_of((columns * depth) as u64), "weight of {columns}x{depth} {format}");
    assert!(bias.is_none_or(|bias| bias.bytes() >= 4 * columns as u64), "bias of {columns}");
    x.check_eights("x");
    let row_bytes = format.bytes_of(depth as u64);
    if x.rows == 0 || columns == 0 {
        return Ok(());
    }
    let product = Product {
        float: x.float,
        format,
        columns: columns_of_block(columns),
        y: y.float,
        bias: bias.is_some(),
        function,
    };
    let arguments = Arguments::new()
        .with(x.data.pointer())
        .with(x.stride as u64)
        .with(data.pointer())
        .with(row_bytes)
        .with(bias.map_or(Pointer(0), Slice::pointer))
        .with(scale)
        .with(x_scale.map_or(Pointer(0), Slice::pointer))
        .with(y.data.pointer())
        .with(y.stride as u64)
        .with(x.rows as u32)
        .with(columns as u32)
        .with(depth as u32);
    // SAFETY: the arguments are in the kernel's order; rows, strides and widths were checked against the slices.
    unsafe { machine.launch(&source(product), product.shape(x.rows, columns), &arguments) }
}

/// What a product is set up for.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub float: Float,
    pub format: Format,
    pub columns: usize,
    pub y: Float,
    pub bias: bool,
    pub function: Option<Function>,
}

impl Product {
    /// Sets the names of `product.cuh`.
    pub fn define(self, source: Source) -> Source {
        let multiply = match self.float {
            Float::Bf16 => "multiply_bf16",
            Float::F16 => "multiply_f16",
            Float::E4m3 => "multiply_e4m3",
            other => panic!("products of {other}"),
        };
        assert!(matches!(self.y, Float::Bf16 | Float::F16 | Float::F32), "results of {}", self.y);
        source
            .define("T", self.float)
            .define("MULTIPLY", multiply)
            .define("FORMAT", self.format)
            .define("WIDENED", u32::from(self.format != Format::Plain(self.float)))
            .define("COLUMNS", self.columns)
            .define("Y", self.y)
            .define("BIASED", u32::from(self.bias))
            .define("FUNCTION", self.function.map_or("identity", Function::name))
    }

    pub fn shape(self, rows: usize, columns: usize) -> Shape {
        let blocks = rows.div_ceil(ROWS) * columns.div_ceil(self.columns);
        let shared_bytes = (STAGES * (ROWS + self.columns) * ROW_BYTES) as u32;
        Shape { grid: [blocks as u32, 1, 1], threads: THREADS, shared_bytes }
    }
}

/// The columns of a block that waste the fewest.
pub(super) fn columns_of_block(columns: usize) -> usize {
    [128, 96, 64].into_iter().min_by_key(|&block| (columns.next_multiple_of(block), 128 - block)).expect("three")
}

fn source(product: Product) -> Source {
    let text = concat!(include_str!("../widen/blocks.cuh"), include_str!("product.cuh"), include_str!("kernel.cu"));
    product.define(Source::new("linear", text))
}

pub(super) fn variants() -> Vec<Variant> {
    let plain = [Float::Bf16, Float::E4m3, Float::E5m2].map(Format::Plain);
    let formats = Format::QUANTISED.into_iter().chain(plain);
    let variant = |format, function| {
        let product = Product { float: Float::Bf16, format, columns: 128, y: Float::Bf16, bias: true, function };
        Variant { source: source(product), functions: &["linear"], runs_on: everywhere }
    };
    // The autoencoder's attention.
    let of_halves = |format| {
        let product = Product { float: Float::F16, format, columns: 128, y: Float::F16, bias: true, function: None };
        Variant { source: source(product), functions: &["linear"], runs_on: everywhere }
    };
    let e4m3 = Format::Plain(Float::E4m3);
    let (float, y) = (Float::E4m3, Float::Bf16);
    let product = Product { float, format: e4m3, columns: 128, y, bias: true, function: Some(Function::GeluTanh) };
    formats
        .map(|format| variant(format, None))
        .chain([variant(Format::Plain(Float::Bf16), Some(Function::GeluTanh))])
        .chain([Format::Plain(Float::Bf16), Format::Plain(Float::F16)].map(of_halves))
        .chain([Variant { source: source(product), functions: &["linear"], runs_on: Arch::has_fp8 }])
        .collect()
}

pub(super) fn cases() -> Vec<Case> {
    let bf16 = Format::Plain(Float::Bf16);
    let mut all = vec![
        case([1, 2, 8], Float::Bf16, bf16, Float::Bf16, None),
        case([130, 200, 96], Float::Bf16, bf16, Float::Bf16, Some(Function::GeluTanh)),
        case([257, 96, 144], Float::F16, Format::Plain(Float::F16), Float::F32, None),
        case([300, 64, 512], Float::Bf16, bf16, Float::F32, Some(Function::Silu)),
    ];
    let plain = [Float::E4m3, Float::E5m2, Float::F16].map(Format::Plain);
    for format in Format::QUANTISED.into_iter().chain(plain) {
        all.push(case([70, 130, 512], Float::Bf16, format, Float::Bf16, None));
    }
    for (sizes, y, function) in [
        ([1, 2, 16], Float::F32, None),
        ([130, 200, 144], Float::Bf16, Some(Function::GeluTanh)),
        ([70, 96, 512], Float::Bf16, None),
    ] {
        all.push(case_of_e4m3(sizes, y, function));
    }
    all
}

fn case_of_e4m3([rows, columns, depth]: [usize; 3], y: Float, function: Option<Function>) -> Case {
    let run = move |bench: &crate::selftest::Bench| {
        let mut random = Random::new((rows * columns) as u64);
        // Rows of very different size.
        let x = (0..rows * depth).map(|i| random.normal() * (1 + i / depth) as f32).collect();
        let x = bench.numbers(x, Float::Bf16)?;
        let format = Format::Plain(Float::E4m3);
        let bytes = super::widen::random_weight(&mut random, format, columns * depth);
        let mut weight = Vec::new();
        super::widen::reference(format, &bytes, &mut weight);
        let data = bench.pool.upload(&bytes)?;
        let bias = bench.random(&mut random, Float::F32, columns)?;
        let output = bench.poisoned(y, rows * columns)?;
        let (codes, scales) = (bench.poisoned(Float::E4m3, rows * depth)?, bench.poisoned(Float::F32, rows)?);
        let x_rows = Rows::new(codes.slice(), Float::E4m3, rows, depth);
        super::quantise_rows(bench.machine(), x.rows(depth), x_rows, scales.slice())?;
        let scale = 0.25;
        let call = Linear {
            x: x_rows,
            weight: Weight { data: data.slice(), format, columns, depth },
            bias: Some(bias.buffer.slice()),
            scale,
            function,
            y: Rows::new(output.slice(), y, rows, columns),
        };
        linear_e4m3(bench.machine(), call, scales.slice())?;
        // Of what the rows were rounded to, which has a case of its own.
        let (codes, scales) = (bench.read(&codes, Float::E4m3)?, bench.read(&scales, Float::F32)?);
        let mut want = Vec::new();
        for (row, row_scale) in codes.chunks(depth).zip(scales) {
            for (weight, &bias) in weight.chunks(depth).zip(&bias.values) {
                let products = row.iter().zip(weight).map(|(&x, &w)| f64::from(x) * f64::from(w));
                let value = products.sum::<f64>() * f64::from(scale) * f64::from(row_scale) + f64::from(bias);
                want.push(function.map_or(value, |function| function.reference(value)));
            }
        }
        Ok(vec![Pair { got: bench.read(&output, y)?, want }])
    };
    let then = function.map_or("", Function::name);
    Case {
        op: "linear_e4m3",
        title: format!("{rows}x{depth} by {columns} -> {y} {then}"),
        error_max: if y == Float::Bf16 { 4e-3 } else { 1e-4 },
        runs_on: Arch::has_fp8,
        run: Box::new(run),
    }
}

fn case(
    [rows, columns, depth]: [usize; 3],
    float: Float,
    format: Format,
    y: Float,
    function: Option<Function>,
) -> Case {
    let run = move |bench: &crate::selftest::Bench| {
        let mut random = Random::new((rows * columns) as u64);
        let stride = depth + 8;
        let x = bench.random(&mut random, float, rows * stride)?;
        let bytes = super::widen::random_weight(&mut random, format, columns * depth);
        let mut weight = Vec::new();
        super::widen::reference(format, &bytes, &mut weight);
        let data = bench.pool.upload(&bytes)?;
        let bias = bench.random(&mut random, Float::F32, columns)?;
        let output = bench.poisoned(y, rows * columns)?;
        let scale = 0.25;
        linear(
            bench.machine(),
            Linear {
                x: Rows::strided(x.buffer.slice(), float, rows, depth, stride),
                weight: Weight { data: data.slice(), format, columns, depth },
                bias: Some(bias.buffer.slice()),
                scale,
                function,
                y: Rows::new(output.slice(), y, rows, columns),
            },
        )?;
        let mut want = Vec::new();
        for row in x.values.chunks(stride) {
            for (weight, &bias) in weight.chunks(depth).zip(&bias.values) {
                let products = row.iter().zip(weight).map(|(&x, &w)| f64::from(x) * f64::from(w));
                let value = products.sum::<f64>() * f64::from(scale) + f64::from(bias);
                want.push(function.map_or(value, |function| function.reference(value)));
            }
        }
        Ok(vec![Pair { got: bench.read(&output, y)?, want }])
    };
    let then = function.map_or("", Function::name);
    Case {
        op: "linear",
        title: format!("{rows}x{depth} {float} by {columns} of {format} -> {y} {then}"),
        // The weight is rounded to the type of the products.
        error_max: if float == Float::Bf16 { 4e-3 } else { 1e-3 },
        runs_on: everywhere,
        run: Box::new(run),
    }
}
