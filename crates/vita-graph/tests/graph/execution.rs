//! What runs, in which order, and what is told meanwhile.

use serde_json::{Value as Json, json};
use vita_base::Cancel;
use vita_graph::{End, Plan};

use crate::toy::{Bench, plan, prompt};

/// Runs a prompt on a fresh executor: what ran, and the text that each output shows.
fn check(line: &str, ran: &str, shown: &str) {
    let mut bench = Bench::new();
    let outcome = bench.run(line);
    assert_eq!(outcome.end, End::Success, "{line}");
    assert_eq!(bench.toys.take_ran(), ran, "{line}");
    let texts = outcome.outputs.iter().map(|(id, ui)| format!("{id}={}", ui["text"]));
    assert_eq!(texts.collect::<Vec<_>>().join(" ").replace('"', ""), shown, "{line}");
}

#[test]
fn nodes_run_after_what_they_need() {
    for (line, ran, shown) in [
        ("1 Show source=5", "1", "1=[5]"),
        ("2 Show source=@1:0; 1 Int value=5", "1 2", "2=[5]"),
        ("1 Int value=1; 2 Int value=2; 3 Add a=@1:0 b=@2:0; 4 Show source=@3:0", "2 1 3 4", "4=[3]"),
        // Nodes that no output needs do not run, and need not be valid.
        ("1 Int value=1; 2 Show source=@1:0; 8 Int value=-5; 9 Add", "1 2", "2=[1]"),
        // An output runs as soon as it can.
        (
            "1 Int value=1; 2 Add a=@1:0 b=1; 3 Add a=@2:0 b=1; 8 Show source=@1:0; 9 Show source=@3:0",
            "1 8 2 3 9",
            "8=[1] 9=[3]",
        ),
        // Then what feeds an output, before what feeds others.
        (
            "1 Int value=1; 2 Int value=2; 3 Add a=@1:0 b=0; 4 Add a=@3:0 b=@2:0; 8 Show source=@4:0; 9 Show source=@2:0",
            "2 9 1 3 4 8",
            "9=[2] 8=[3]",
        ),
        // Second outputs, from the front or the end.
        ("1 Pair; 2 Show source=@1:1; 3 Show source=@1:-2", "1 2 3", "2=[0.5] 3=[1]"),
        // Optional inputs that are absent are not passed; literals that are not declared are.
        ("1 Choose mode=\"none\" extra=5; 2 Show source=@1:0", "1 2", "2=[mode,extra]"),
        ("1 Grow counted.n0=1 counted.n1=20 named.y=@2:0; 2 Int value=5; 3 Show source=@1:0", "2 1 3", "3=[26]"),
    ] {
        check(line, ran, shown);
    }
}

#[test]
fn lazy_inputs_run_only_when_asked_for() {
    let branches = "1 Int value=1; 2 Int value=2; 3 Add a=@2:0 b=1";
    for (rest, ran, shown) in [
        ("s Switch on=true on_true=@1:0 on_false=@3:0; z Show source=@s:0", "1 s z", "z=[1]"),
        ("s Switch on=false on_true=@1:0 on_false=@3:0; z Show source=@s:0", "2 3 s z", "z=[3]"),
        ("s Switch on=true on_true=7 on_false=@3:0; z Show source=@s:0", "s z", "z=[7]"),
        ("o Block words=\"\"; s Switch on=@o:0 on_true=@1:0 on_false=@3:0; z Show source=@s:0", "o", ""),
        // The branch that is not chosen runs if something else needs it.
        (
            "s Switch on=true on_true=@1:0 on_false=@3:0; z Add a=@s:0 b=@3:0; y Show source=@z:0",
            "2 3 1 s z y",
            "y=[4]",
        ),
        // One switch behind another.
        (
            "s Switch on=true on_true=@3:0 on_false=@1:0; t Switch on=false on_true=@1:0 on_false=@s:0; z Show source=@t:0",
            "2 3 s t z",
            "z=[3]",
        ),
    ] {
        check(&format!("{branches}; {rest}"), ran, shown);
    }
}

#[test]
fn lists_are_mapped_over() {
    for (line, ran, shown) in [
        ("1 List start=1 count=3; 2 Show source=@1:0", "1 2 2 2", "2=[1,2,3]"),
        (
            "1 List start=1 count=3; 2 List start=10 count=2; 3 Add a=@1:0 b=@2:0; 4 Show source=@3:0",
            "2 1 3 3 3 4 4 4",
            "4=[11,13,14]",
        ),
        ("1 List start=1 count=3; 2 Add a=@1:0 b=100; 3 Sum a=@2:0; 4 Show source=@3:0", "1 2 2 2 3 4", "4=[306]"),
        ("1 List start=1 count=3; 2 Sum a=@1:0 b=5; 3 Show source=@2:0", "1 2 3", "3=[11]"),
        // Lists of lists are spliced.
        ("1 List start=1 count=2; 2 List start=@1:0 count=2; 3 Show source=@2:0", "1 2 2 3 3 3 3", "3=[1,2,2,3]"),
        ("1 List start=0 count=2; 2 List start=5 count=@1:0; 3 Sum a=@2:0; 4 Show source=@3:0", "1 2 2 3 4", "4=[5]"),
        ("1 List start=0 count=0; 2 Sum a=@1:0; 3 Show source=@2:0", "1 2 3", "3=[0]"),
    ] {
        check(line, ran, shown);
    }
}

#[test]
fn blocked_values_skip_what_comes_after() {
    let mut bench = Bench::new();
    let outcome = bench.run("1 Block words=\"sold-out\"; 2 Add a=@1:0 b=1; 3 Show source=@2:0; 4 Show source=5");
    assert_eq!(outcome.end, End::Success);
    assert_eq!(Json::from_iter(outcome.outputs), json!({"4": {"text": ["5"]}}));
    assert_eq!(bench.toys.take_ran(), "4 1");
    let told: Vec<_> = bench.events.lines.iter().filter(|line| line.starts_with("text")).collect();
    assert_eq!(told, ["text 2 sold-out"]);
}

#[test]
fn events_come_in_the_order_of_the_reference() {
    let mut bench = Bench::new();
    let line = "1 Steps a=5; 2 Show source=@1:0";
    bench.run(line);
    let first = [
        "cached []",
        "start 1",
        "progress 1 1/3",
        "progress 1 2/3",
        "progress 1 3/3",
        "finish 1",
        "start 2",
        "executed 2 {\"text\":[\"5\"]}",
        "finish 2",
    ];
    assert_eq!(bench.events.lines, first);
    // The same again: the output tells what it told, and nothing else happens.
    let outcome = bench.run(line);
    assert_eq!(bench.events.lines, ["cached [1 2]", "executed 2 {\"text\":[\"5\"]} cached", "finish 2"]);
    assert_eq!(Json::from_iter(outcome.outputs), json!({"2": {"text": ["5"]}}));
    // A node that does what another did is found in the cache while the prompt runs.
    bench.run("1 Steps a=6; 3 Steps a=6; 2 Add a=@1:0 b=@3:0; 4 Show source=@2:0");
    assert_eq!(bench.toys.take_ran(), "3 2 4");
    assert_eq!(bench.events.lines[6..8], ["executed 1 - cached", "finish 1"]);
}

#[test]
fn an_interrupt_stops_the_node_that_runs_or_the_next_one() {
    let line = "1 Int value=1; 2 Steps a=@1:0; 3 Add a=@2:0 b=1; 4 Show source=@3:0";
    for (at, node, class, executed, rerun) in [
        ("finish 1", "2", "Steps", &["1"][..], "2 3 4"),
        ("start 1", "1", "Int", &[], "1 2 3 4"),
        ("progress 2 2/3", "2", "Steps", &["1"], "2 3 4"),
        ("finish 2", "3", "Add", &["1", "2"], "3 4"),
        ("cached []", "1", "Int", &[], "1 2 3 4"),
    ] {
        let mut bench = Bench::new();
        bench.events.cancel_at = Some((at.into(), Cancel::default()));
        let outcome = bench.run(line);
        let executed = executed.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(outcome.end, End::Interrupted { node: node.into(), class: class.into(), executed }, "{at}");
        // What was finished is there for the next prompt.
        bench.events.cancel_at = None;
        assert_eq!(bench.ran(line), rerun, "{at}");
    }
    // A node that does not look finishes; the one after it is not called, not even for the next of a list.
    let mut bench = Bench::new();
    let outcome = bench.run("1 List start=1 count=3; 2 Cancel a=@1:0; 3 Show source=@2:0");
    assert!(matches!(outcome.end, End::Interrupted { ref node, .. } if node == "2"));
    assert_eq!(bench.toys.take_ran(), "1 2");
}

#[test]
fn a_failure_says_where_and_with_what() {
    let mut bench = Bench::new();
    let line = "1 Int value=7; 2 Fail a=@1:0; 3 Show source=@2:0; 4 Show source=@1:0";
    let outcome = bench.run(line);
    let End::Failed(failure) = outcome.end else { panic!("{outcome:?}") };
    assert_eq!(
        (failure.node.as_str(), failure.class.as_str(), failure.kind.as_str()),
        ("2", "Fail", "OutOfMemoryError")
    );
    assert_eq!((failure.message.as_str(), failure.hint.as_deref()), ("too big", Some("make it smaller")));
    assert_eq!(failure.trace, ["in node 2 (Fail)"]);
    assert_eq!(Json::from_iter(failure.current_inputs), json!({"a": [7]}));
    assert_eq!(failure.current_outputs, ["1", "4"]);
    assert_eq!(failure.executed, ["1", "4"]);
    // Outputs that were done keep what they told.
    assert_eq!(Json::from_iter(outcome.outputs), json!({"4": {"text": ["7"]}}));
    assert_eq!(bench.ran(line), "2");

    for (line, kind, message) in [
        ("1 Panic a=1; 2 Show source=@1:0", "RuntimeError", "internal error: oh no"),
        ("1 List start=0 count=0; 2 Add a=@1:0 b=1; 3 Show source=@2:0", "ValueError", "input `a` is an empty list"),
        (
            "1 Switch on=true on_true={\"a\":1} on_false=2; 2 Add a=@1:0 b=1; 3 Show source=@2:0",
            "TypeError",
            "input `a` is not a whole number",
        ),
    ] {
        let mut bench = Bench::new();
        let End::Failed(failure) = bench.run(line).end else { panic!("{line} did not fail") };
        assert_eq!((failure.kind.as_str(), failure.message.as_str()), (kind, message), "{line}");
        // The executor goes on.
        assert_eq!(bench.ran("1 Show source=5"), "1");
    }
}

#[test]
fn a_plan_that_was_not_validated_fails_in_words() {
    let whole = |line: &str, outputs: &[&str]| Plan {
        prompt: prompt(line),
        outputs: outputs.iter().map(|id| (*id).to_owned()).collect(),
        ..plan("1 Show source=1")
    };
    for (plan, node, message) in [
        (whole("1 Nope", &["1"]), "1", "there is no node of class Nope"),
        (whole("1 Show source=1", &["2"]), "2", "this output is not in the prompt"),
        (whole("1 Add a=@2:0 b=1; 2 Add a=@1:0 b=1", &["1"]), "1", "the nodes of this prompt wait for each other"),
        (
            whole("1 Int value=1; 2 Show source=@1:5", &["2"]),
            "2",
            "node 2 links to an output that node 1 does not have",
        ),
        (Plan { prompt: json!([]), ..whole("1 Show source=1", &["1"]) }, "", "the prompt is no object"),
    ] {
        let End::Failed(failure) = Bench::new().run_plan(&plan).end else { panic!("{message}") };
        assert_eq!((failure.node.as_str(), failure.message.as_str()), (node, message));
    }
}
