//! A workflow of any JSON becomes a plan or is refused, whether it is a page's or a prompt.
#![no_main]

#[allow(dead_code, missing_docs)]
#[path = "../../crates/vita-server/tests/common/toys.rs"]
mod toys;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::Value as Json;
use vita_graph::{Registry, from_page, is_page, validate};

static NODES: LazyLock<Registry> = LazyLock::new(toys::registry);

fuzz_target!(|bytes: &[u8]| {
    let Ok(workflow) = serde_json::from_slice::<Json>(bytes) else { return };
    let prompt = match is_page(&workflow) {
        false => workflow,
        true => match from_page(&NODES, &workflow) {
            Ok(prompt) => prompt,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return;
            }
        },
    };
    if let Ok(plan) = validate(&NODES, &toys::Files, &prompt, None) {
        assert!(!plan.outputs.is_empty());
        assert!(plan.outputs.iter().all(|output| plan.prompt.get(output).is_some()));
        // What was converted once is as it should be.
        let again = validate(&NODES, &toys::Files, &plan.prompt, Some(&plan.outputs));
        assert!(again.is_ok_and(|again| again.faults.is_empty()));
    }
});
