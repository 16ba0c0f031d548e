//! The definition in f64, and the cases that hold the library, and how it is told, to it.

use std::sync::Arc;

use super::{CublasLt, Product, Scale};
use crate::arch::Arch;
use crate::ops::{Float, Function, Rows};
use crate::selftest::{Bench, Case, Numbers, Pair, Random};

/// How 8-bit matrices are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scaled {
    No,
    Tensor,
    Rows,
}

impl Scaled {
    fn of(self, numbers: &Numbers) -> Scale<'_> {
        match self {
            Self::No => Scale::None,
            Self::Tensor => Scale::Tensor(numbers.buffer.slice()),
            Self::Rows => Scale::Rows(numbers.buffer.slice()),
        }
    }
}

impl CublasLt {
    /// Cases for [`crate::selftest::run_cases`].
    pub fn cases(self: &Arc<Self>) -> Vec<Case> {
        let (bf16, f16, e4m3) = (Float::Bf16, Float::F16, Float::E4m3);
        [
            ([1, 16, 64], bf16, Scaled::No, None, false),
            ([200, 1536, 1536], bf16, Scaled::No, None, true),
            ([333, 8960, 1536], bf16, Scaled::No, Some(Function::GeluTanh), true),
            ([77, 128, 512], f16, Scaled::No, Some(Function::GeluTanh), true),
            ([128, 256, 512], e4m3, Scaled::Tensor, None, true),
            ([333, 1536, 1536], e4m3, Scaled::Tensor, Some(Function::GeluTanh), true),
            ([336, 1536, 1536], e4m3, Scaled::Rows, None, true),
        ]
        .map(|(sizes, float, scaled, function, bias)| self.case(sizes, float, scaled, function, bias))
        .into()
    }

    fn case(
        self: &Arc<Self>,
        sizes: [usize; 3],
        float: Float,
        scaled: Scaled,
        function: Option<Function>,
        with_bias: bool,
    ) -> Case {
        let library = self.clone();
        let [m, n, k] = sizes;
        let run = move |bench: &Bench| {
            let mut random = Random::new((m + n + k) as u64);
            let y_float = if float == Float::F16 { Float::F16 } else { Float::Bf16 };
            let (x, w) = (bench.random(&mut random, float, m * k)?, bench.random(&mut random, float, n * k)?);
            let bias = bench.random(&mut random, y_float, n)?;
            let mut scales = |count: usize| (0..count).map(|_| 0.1 + random.uniform()).collect::<Vec<f32>>();
            let (x_scales, w_scales) = match scaled {
                Scaled::Rows => (scales(m), scales(n)),
                Scaled::Tensor => (vec![scales(1)[0]; m], vec![scales(1)[0]; n]),
                Scaled::No => (vec![1.0; m], vec![1.0; n]),
            };
            let (x_scale, w_scale) = (bench.numbers(x_scales, Float::F32)?, bench.numbers(w_scales, Float::F32)?);
            let output = bench.poisoned(y_float, m * n)?;
            library.product(Product {
                x: x.rows(k),
                x_scale: scaled.of(&x_scale),
                weight: w.rows(k),
                weight_scale: scaled.of(&w_scale),
                bias: with_bias.then(|| bias.buffer.slice()),
                function,
                y: Rows::new(output.slice(), y_float, m, n),
                fast_sums: true,
            })?;
            let mut want = Vec::new();
            for (row, x_scale) in x.values.chunks(k).zip(&x_scale.values) {
                for (column, (w, w_scale)) in w.values.chunks(k).zip(&w_scale.values).enumerate() {
                    let products = row.iter().zip(w).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum::<f64>();
                    let bias = if with_bias { f64::from(bias.values[column]) } else { 0.0 };
                    let value = products * f64::from(*x_scale) * f64::from(*w_scale) + bias;
                    want.push(function.map_or(value, |function| function.reference(value)));
                }
            }
            Ok(vec![Pair { got: bench.read(&output, y_float)?, want }])
        };
        Case {
            op: "cublaslt",
            title: format!("{m}x{k} by {n} {float} {scaled:?} {}", function.map_or("", Function::name)),
            error_max: if float == Float::E4m3 { 1e-2 } else { 4e-3 },
            runs_on: match (float, scaled) {
                (Float::E4m3, Scaled::Rows) => |arch| arch == Arch::SM_90,
                (Float::E4m3, _) => Arch::has_fp8,
                _ => |_| true,
            },
            run: Box::new(run),
        }
    }
}
