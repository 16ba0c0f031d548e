//! What is not computed again.

use serde_json::{Value as Json, json};
use vita_base::Cancel;
use vita_graph::{End, validate};

use crate::toy::{Bench, Toys, prompt, registry};

/// Runs two prompts one after the other and says what the second one ran.
fn second(first: &str, then: &str) -> String {
    let mut bench = Bench::new();
    bench.run(first);
    bench.ran(then)
}

const TEXT_TO_VIDEO: &str = "model Int value=1; text Text text=\"cat\"; shift Add a=@model:0 b=3; \
     sample Add a=@shift:0 b=42; decode Add a=@sample:0 b=0; video Add a=@decode:0 b=16; \
     out Show source=@video:0; prompt Show source=@text:0";

#[test]
fn only_what_a_change_reaches_runs_again() {
    for (change, into, ran) in [
        ("b=42", "b=42", ""),
        ("b=42", "b=43", "sample decode video out"),
        ("b=16", "b=24", "video out"),
        ("\"cat\"", "\"dog\"", "text prompt"),
        ("model Int value=1", "model Int value=2", "model shift sample decode video out"),
        // Ids and titles do not count.
        ("model", "m", ""),
        ("decode", "7:12", ""),
        // The way a number is written does not count.
        ("b=16", "b=16.0", ""),
        ("b=16", "b=\"16\"", ""),
        // Another slot, another class, another name do.
        ("decode Add a=@sample:0 b=0", "decode Own a=@sample:0", "decode video out"),
        // Literals that the node does not declare count, since it may read them.
        ("b=16", "b=16 crf=19", "video out"),
    ] {
        assert_eq!(second(TEXT_TO_VIDEO, &TEXT_TO_VIDEO.replace(change, into)), ran, "{change} -> {into}");
    }
}

#[test]
fn results_are_kept_for_the_prompt_before_only() {
    let mut bench = Bench::new();
    let (one, other) = ("1 Int value=1; 2 Show source=@1:0", "1 Int value=2; 2 Show source=@1:0");
    assert_eq!(bench.ran(one), "1 2");
    assert_eq!(bench.ran(one), "");
    assert_eq!(bench.ran(other), "1 2");
    assert_eq!(bench.ran(one), "1 2");
    bench.executor.forget();
    assert_eq!(bench.ran(one), "1 2");
    // What no output needs any more stays, as long as it is in the prompt.
    assert_eq!(bench.ran("1 Int value=1; 2 Show source=@1:0; 3 Int value=3; 4 Show source=@3:0"), "3 4");
    let both = prompt("1 Int value=1; 2 Show source=@1:0; 3 Int value=3; 4 Show source=@3:0");
    let targets = ["2".to_owned()];
    let plan = validate(&registry(), &Toys::default(), &both, Some(&targets)).unwrap();
    let outcome = bench.run_plan(&plan);
    assert_eq!(bench.events.lines[0], "cached [1 2 3 4]");
    assert_eq!(Json::from_iter(outcome.outputs), json!({"2": {"text": ["1"]}}));
    assert_eq!(bench.ran("1 Int value=1; 2 Show source=@1:0; 3 Int value=3; 4 Show source=@3:0"), "");
}

#[test]
fn a_node_that_takes_its_id_is_not_another() {
    for (first, then, ran) in [
        ("1 Own a=1; 2 Show source=@1:0", "1 Own a=1; 2 Show source=@1:0", ""),
        ("1 Own a=1; 2 Show source=@1:0", "7 Own a=1; 2 Show source=@7:0", "7 2"),
        ("1 Own a=1; 2 Show source=@1:0", "1 Own a=1; 7 Show source=@1:0", ""),
        ("1 Own a=1; 2 Own a=1; 3 Add a=@1:0 b=@2:0; 4 Show source=@3:0", "1 Own a=1; 4 Show source=@1:0", "4"),
    ] {
        assert_eq!(second(first, then), ran, "{first} -> {then}");
    }
}

#[test]
fn a_changed_file_is_read_again() {
    let mut bench = Bench::new();
    let line = "1 File file=\"a.png\"; 2 Show source=@1:0";
    let set = |bench: &Bench, stamp: &str| bench.toys.stamps.lock().unwrap().insert("a.png".into(), stamp.into());
    // Without the file there is no stamp, and it runs each time.
    assert_eq!(bench.ran(line), "1 2");
    assert_eq!(bench.ran(line), "1 2");
    set(&bench, "v1");
    let outcome = bench.run(line);
    // The stamp is in the copy of the prompt that nodes see, and nowhere else.
    assert_eq!(outcome.outputs["2"], json!({"text": ["a.png \"v1\""]}));
    bench.toys.take_ran();
    assert_eq!(bench.ran(line), "");
    set(&bench, "v2");
    assert_eq!(bench.ran(line), "1 2");
}

#[test]
fn what_a_lazy_branch_made_is_found_again() {
    let line = |on: bool| {
        format!("1 Int value=1; 2 Int value=2; s Switch on={on} on_true=@1:0 on_false=@2:0; z Show source=@s:0")
    };
    let mut bench = Bench::new();
    assert_eq!(bench.ran(&line(true)), "1 s z");
    assert_eq!(bench.ran(&line(false)), "2 s z");
    // Both branches are known now.
    assert_eq!(bench.ran(&line(true)), "s z");
}

#[test]
fn a_prompt_deeper_than_the_stack_runs() {
    let mut nodes = vec!["0 Int value=1".to_owned()];
    nodes.extend((1..20_000).map(|index| format!("{index} Add a=@{}:0 b=1", index - 1)));
    nodes.push("end Show source=@19999:0".into());
    let plan = validate(&registry(), &Toys::default(), &prompt(&nodes.join("; ")), None).unwrap();
    let mut bench = Bench::new();
    let outcome = bench.executor.run(&plan, &Json::Null, &Cancel::default(), &mut ());
    assert_eq!(outcome.end, End::Success);
    assert_eq!(outcome.outputs["end"], json!({"text": ["20000"]}));
}
