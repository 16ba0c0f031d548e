//! The cases that hold the library, and how it is told, to the definition.

use std::sync::Arc;

use super::Cudnn;
use crate::error::Result;
use crate::ops::{self, Attention, Float, HEAD, Rows};
use crate::selftest::{Bench, Case, Pair, Random};

impl Cudnn {
    /// Cases for [`crate::selftest::run_cases`].
    pub fn cases(self: &Arc<Self>) -> Vec<Case> {
        let sizes =
            [(1, 1, 1), (1, 2000, 2), (128, 128, 1), (130, 64, 2), (200, 515, 3), (333, 257, 2), (512, 1000, 1)];
        let mut cases = Vec::new();
        for float in [Float::Bf16, Float::F16] {
            for (queries, keys, heads) in sizes {
                cases.push(self.case(queries, keys, heads, float));
            }
        }
        cases.push(self.case_of_parts(300, 2));
        cases
    }

    fn case(self: &Arc<Self>, queries: usize, keys: usize, heads: usize, float: Float) -> Case {
        let (library, width) = (self.clone(), heads * HEAD);
        let run = move |bench: &Bench| {
            let mut random = Random::new((queries * 1000 + keys) as u64);
            // Scores of some size, so that the softmax is not flat.
            let q = bench.numbers((0..queries * width).map(|_| 2.0 * random.normal()).collect(), float)?;
            let k = bench.random(&mut random, float, keys * width)?;
            let v = bench.random(&mut random, float, keys * width)?;
            let y = bench.poisoned(float, queries * width)?;
            let rows = Rows::new(y.slice(), float, queries, width);
            let scale = 1.0 / (HEAD as f32).sqrt();
            library.attention(Attention { q: q.rows(width), k: k.rows(width), v: v.rows(width), y: rows, scale })?;
            let want = ops::attention_reference(&q.values, &k.values, &v.values, width, scale);
            Ok(vec![Pair { got: bench.read(&y, float)?, want }])
        };
        let error_max = if float == Float::Bf16 { 5e-3 } else { 1e-3 };
        case(format!("{queries} queries, {keys} keys, {heads} heads, {float}"), error_max, run)
    }

    /// Queries, keys and values that lie side by side in one row, as one product makes them.
    fn case_of_parts(self: &Arc<Self>, tokens: usize, heads: usize) -> Case {
        let (library, width) = (self.clone(), heads * HEAD);
        let run = move |bench: &Bench| {
            let float = Float::Bf16;
            let together = bench.random(&mut Random::new(tokens as u64), float, tokens * 3 * width)?;
            let part = |index: usize| {
                let start = (index * width) as u64 * float.bytes();
                let slice = together.buffer.slice();
                Rows::strided(slice.part(start, slice.bytes() - start), float, tokens, width, 3 * width)
            };
            let y = bench.poisoned(float, tokens * width)?;
            let rows = Rows::new(y.slice(), float, tokens, width);
            library.attention(Attention { q: part(0), k: part(1), v: part(2), y: rows, scale: 0.5 })?;
            let values = |index: usize| -> Vec<f32> {
                let rows = together.values.chunks(3 * width);
                rows.flat_map(|row| &row[index * width..(index + 1) * width]).copied().collect()
            };
            let want = ops::attention_reference(&values(0), &values(1), &values(2), width, 0.5);
            Ok(vec![Pair { got: bench.read(&y, float)?, want }])
        };
        case(format!("{tokens} tokens, {heads} heads, parts of rows, bf16"), 5e-3, run)
    }
}

fn case(title: String, error_max: f64, run: impl Fn(&Bench) -> Result<Vec<Pair>> + Send + Sync + 'static) -> Case {
    Case { op: "cudnn", title, error_max, runs_on: |_| true, run: Box::new(run) }
}
