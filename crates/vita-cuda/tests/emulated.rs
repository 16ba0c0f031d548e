//! The self-test of every kernel, on a processor: see `emulator/cuda_on_cpu.hpp`. Needs a C++ compiler with
//! `_Float16` (g++ 12 or newer); without one the tests say so and pass.

mod emulator;

use std::sync::Arc;

use emulator::{Emulator, Pace};
use vita_cuda::Arch;
use vita_cuda::machine::Machine;
use vita_cuda::selftest::{self, Verdict};

#[test]
fn every_kernel_matches_its_reference() {
    let Some(compiler) = emulator::compiler() else {
        println!("skipped: no C++ compiler with _Float16");
        return;
    };
    let only = std::env::var("OP").unwrap_or_default();
    let mut wrong = Vec::new();
    // Products of 8-bit floats came with Ada, and Hopper has its own attention; all else is the same everywhere.
    let runs: [(Arch, &str, &[Pace]); 4] = [
        (Arch::SM_80, "", &[Pace::Late, Pace::AtOnce]),
        (Arch::SM_89, "attention_fp8", &[Pace::Late, Pace::AtOnce]),
        (Arch::SM_89, "linear_e4m3", &[Pace::Late, Pace::AtOnce]),
        (Arch::SM_90, "attention", &[Pace::Late, Pace::AtOnce, Pace::ProductsLate]),
    ];
    for (arch, ops, paces) in runs {
        for &pace in paces {
            let emulator = Arc::new(Emulator::new(compiler.clone(), arch, pace));
            let machine: Arc<dyn Machine> = emulator.clone();
            let filter = if ops.is_empty() { &only } else { ops };
            if !filter.contains(&only) {
                continue;
            }
            for outcome in selftest::run(&machine, filter) {
                match outcome.verdict {
                    Verdict::Passed(error) => println!("{:<16} {:<60} {error:.2e}", outcome.op, outcome.title),
                    Verdict::Skipped => println!("{:<16} {:<60} skipped: not on this card", outcome.op, outcome.title),
                    other => wrong.push(format!("{} {} ({arch}, {pace:?}): {other:?}", outcome.op, outcome.title)),
                }
            }
            let (rows, in_conflict) = emulator.matrix_rows();
            println!("matrix rows read: {rows}, of them behind another on the same bank: {in_conflict}");
            assert_eq!(in_conflict, 0, "bank conflicts");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
