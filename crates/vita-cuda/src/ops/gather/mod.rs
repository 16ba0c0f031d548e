//! Rows of a table by their numbers: token embeddings.

use super::{Float, Format, Rows, Variant, everywhere};
use crate::compile::Source;
use crate::error::Result;
use crate::machine::{Arguments, Machine, Shape};
use crate::memory::Slice;
use crate::selftest::{Case, Pair, Random};

/// `y[i] = table[numbers[i]]`. table: `[table_rows, C]` in any format; numbers: `L` of u32; y: `[L, C]` without gaps, C a
/// multiple of 8. A number beyond the table gives a row of NaN.
///
/// # Panics
/// If the shapes do not fit, or y is e5m2.
///
/// # Errors
/// If the card does not answer.
pub fn gather(
    machine: &dyn Machine,
    table: Slice,
    format: Format,
    table_rows: usize,
    numbers: Slice,
    y: Rows,
) -> Result<()> {
    let row_bytes = format.bytes_of(y.width as u64);
    assert!(table_rows > 0 && table.bytes() >= table_rows as u64 * row_bytes, "a table of {table_rows} rows");
    assert!(numbers.bytes() >= 4 * y.rows as u64, "{} numbers", y.rows);
    assert!(y.float != Float::E5m2, "e5m2 is only read");
    y.check_eights("y");
    if y.element_count() == 0 {
        return Ok(());
    }
    let arguments = Arguments::new()
        .with(table.pointer())
        .with(row_bytes)
        .with(numbers.pointer())
        .with(y.data.pointer())
        .with(table_rows as u32)
        .with(y.width as u32);
    // SAFETY: the arguments are in the kernel's order; sizes were checked, and the kernel checks the numbers.
    unsafe { machine.launch(&source(format, y.float), Shape::new(y.rows as u32, 128), &arguments) }
}

fn source(format: Format, y: Float) -> Source {
    let text = concat!(include_str!("../widen/blocks.cuh"), include_str!("kernel.cu"));
    Source::new("gather", text).define("FORMAT", format).define("Y", y)
}

pub(super) fn variants() -> Vec<Variant> {
    [Format::Plain(Float::Bf16), Format::Plain(Float::E4m3), Format::Q8_0, Format::Q4K]
        .map(|format| Variant { source: source(format, Float::Bf16), functions: &["gather"], runs_on: everywhere })
        .into()
}

pub(super) fn cases() -> Vec<Case> {
    [Format::Plain(Float::Bf16), Format::Plain(Float::E4m3), Format::Q8_0, Format::Q6K].map(case).into()
}

fn case(format: Format) -> Case {
    let (rows, width) = (9, 512);
    let run = move |bench: &crate::selftest::Bench| {
        let mut random = Random::new(3);
        let bytes = super::widen::random_weight(&mut random, format, rows * width);
        let mut table = Vec::new();
        super::widen::reference(format, &bytes, &mut table);
        let data = bench.pool.upload(&bytes)?;
        let numbers = [0u32, 8, 3, 3, 9, u32::MAX, 1];
        let ids = bench.pool.upload(&numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())?;
        let output = bench.poisoned(Float::F32, numbers.len() * width)?;
        let y = Rows::new(output.slice(), Float::F32, numbers.len(), width);
        gather(bench.machine(), data.slice(), format, rows, ids.slice(), y)?;
        let row = |&number: &u32| match number as usize {
            number if number < rows => table[number * width..][..width].to_vec(),
            _ => vec![f32::NAN; width],
        };
        let want = numbers.iter().flat_map(row).map(f64::from).collect();
        Ok(vec![Pair { got: bench.read(&output, Float::F32)?, want }])
    };
    let title = format!("rows of {format}");
    Case { op: "gather", title, error_max: 1e-6, runs_on: everywhere, run: Box::new(run) }
}
