//! What `selftest` holds of the small models on a card. The card is emulated, see `vita-cuda/tests/emulator`: without a
//! C++ compiler that knows `_Float16` the test says so and passes.

#[path = "../../vita-cuda/tests/emulator/mod.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod emulator;
#[path = "../src/made_up.rs"]
mod made_up;
#[path = "../src/nano.rs"]
#[allow(dead_code, reason = "the program uses more of it")]
mod nano;
#[path = "../src/commands/selftest/networks.rs"]
mod networks;

use std::sync::Arc;

use emulator::{Emulator, Pace};
use vita_cuda::memory::Pool;
use vita_cuda::{Arch, Card};

#[test]
fn the_small_models_answer_as_on_the_processor() {
    let Some(compiler) = emulator::compiler() else {
        println!("skipped: no C++ compiler with _Float16");
        return;
    };
    let machine = Arc::new(Emulator::new(compiler, Arch::SM_80, Pace::AtOnce));
    let card = Card::new(Pool::new(machine, None), None);
    // An emulated card takes minutes for a transformer, and for a whole video: `NETWORKS=transformer` has it do those.
    let wanted = std::env::var("NETWORKS").unwrap_or_else(|_| "encoder".to_owned());
    for check in networks::checks() {
        let name = check.full_name();
        if !name.contains(&wanted) {
            continue;
        }
        let nearness = (check.run)(&card).unwrap_or_else(|report| panic!("{name}: {report}"));
        println!("{name}: {nearness}");
        assert!(nearness.is_right(), "{name}: {nearness}");
    }
    assert_eq!(card.pool().stats().buffer_count, 0, "all memory came back");
}

#[test]
fn what_is_far_is_wrong() {
    use networks::Nearness;
    let error = |error| Nearness::Error { error, most: 1e-2 };
    for (nearness, is_right, text) in [
        (error(0.003), true, "ok      3.0e-3"),
        (error(0.02), false, "WRONG   2.0e-2, at most 1.0e-2 is right"),
        (error(f64::NAN), false, "WRONG   NaN, at most 1.0e-2 is right"),
        (Nearness::Decibels(f64::INFINITY), true, "ok      inf dB"),
        (Nearness::Decibels(34.9), false, "WRONG   34.9 dB, at least 35 dB are right"),
        (Nearness::Decibels(f64::NAN), false, "WRONG   NaN dB, at least 35 dB are right"),
    ] {
        assert_eq!((nearness.is_right(), nearness.to_string().as_str()), (is_right, text));
    }
}
