//! What is refused and with which words; what is converted to what.

use serde_json::{Value as Json, json};
use vita_graph::{InputFault, NodeFaults, RejectionKind, Style, validate};

use crate::toy::{Toys, prompt, registry};

/// `runs 1 2`, or the kind of the rejection; then a line for each fault: node, wire name, details, outputs.
fn verdict(prompt: &Json, targets: Option<&[&str]>) -> String {
    let targets: Option<Vec<String>> = targets.map(|targets| targets.iter().map(|id| (*id).to_owned()).collect());
    let (mut lines, nodes) = match validate(&registry(), &Toys::default(), prompt, targets.as_deref()) {
        Ok(plan) => (vec![format!("runs {}", plan.outputs.join(" "))], plan.faults),
        Err(rejection) => (vec![words(&rejection.kind)], *rejection.nodes),
    };
    lines.extend(nodes.iter().flat_map(|(id, faults)| fault_lines(id, faults)));
    lines.join("\n")
}

fn words(kind: &RejectionKind) -> String {
    match kind {
        RejectionKind::NoPrompt => "no prompt".into(),
        RejectionKind::MissingNodeType { node, class, title } => format!("missing {node} {class:?} {title:?}"),
        RejectionKind::NoOutputs => "no outputs".into(),
        RejectionKind::OutputsFailed { details } => format!("failed [{details}]"),
        RejectionKind::Cycle { nodes } => format!("cycle {}", nodes.join(" ")),
    }
}

fn fault_lines(id: &str, faults: &NodeFaults) -> Vec<String> {
    let style = registry().spec(&faults.class).map_or(Style::V1, |spec| spec.style);
    let dependent = faults.dependent_outputs.join(" ");
    faults.faults.iter().map(|fault| format!("{id} {}: {} -> {dependent}", wire(fault), fault.details(style))).collect()
}

fn wire(fault: &InputFault) -> &'static str {
    match fault {
        InputFault::Missing { .. } => "missing",
        InputFault::BadLink { .. } => "bad link",
        InputFault::TypeMismatch { .. } => "type",
        InputFault::Conversion { .. } => "conversion",
        InputFault::TooSmall { .. } => "small",
        InputFault::TooBig { .. } => "big",
        InputFault::NotInList { .. } => "list",
        InputFault::Refused { .. } => "refused",
        InputFault::Broken { inner: false, .. } => "broken",
        InputFault::Broken { inner: true, .. } => "inner",
    }
}

#[test]
fn prompts_that_are_no_prompts() {
    for (prompt, expected) in [
        (json!(null), "no prompt"),
        (json!([]), "no prompt"),
        (json!("x"), "no prompt"),
        (json!({}), "no outputs"),
        (json!({"1": {}}), "missing 1 None None"),
        (json!({"1": 5}), "missing 1 None None"),
        (json!({"1": {"class_type": 5, "inputs": {}}}), "missing 1 Some(\"5\") None"),
        (json!({"1": {"class_type": "Nope", "inputs": {}}}), "missing 1 Some(\"Nope\") None"),
        (json!({"1": {"class_type": "Nope", "_meta": {"title": "My"}}}), "missing 1 Some(\"Nope\") Some(\"My\")"),
        (json!({"1": {"inputs": {}, "_meta": {"title": "My"}}}), "missing 1 None Some(\"My\")"),
        (
            json!({"1": {"class_type": "Show"}}),
            "failed [Exception when validating node: 'inputs']\n1 broken: 'inputs' -> 1",
        ),
        (
            json!({"1": {"class_type": "Show", "inputs": []}}),
            "failed [Exception when validating node: inputs must be an object, not list]\n\
             1 broken: inputs must be an object, not list -> 1",
        ),
        (
            json!({"1": {"class_type": "Int"}, "2": {"class_type": "Show", "inputs": {"source": ["1", 0]}}}),
            "failed []\n1 inner: 'inputs' -> 2",
        ),
        // A node that nothing depends on may be anything of a known class.
        (json!({"1": {"class_type": "Int"}, "2": {"class_type": "All", "inputs": {}}}), "runs 2"),
    ] {
        assert_eq!(verdict(&prompt, None), expected, "{prompt}");
    }
}

#[test]
fn inputs_that_are_wrong() {
    for (line, expected) in [
        // Missing.
        ("1 Show", "failed [Required input is missing: source]\n1 missing: source -> 1"),
        ("1 Add a=1; 2 Show source=@1:0", "failed []\n1 missing: b -> 2"),
        ("1 Add; 2 Show source=@1:0", "failed []\n1 missing: a -> 2\n1 missing: b -> 2"),
        ("1 All", "runs 1"),
        ("1 All nonsense=5 more=[1,2]", "runs 1"),
        // Links that are no links.
        (
            "1 Show source=[]",
            "failed [Bad linked input, must be a length-2 list of [node_id, slot_index]: source]\n1 bad link: source -> 1",
        ),
        ("1 Int value=[1,2,3]; 2 Show source=@1:0", "failed []\n1 bad link: value -> 2"),
        // Links to nowhere: the whole node is broken, whatever else is wrong with it.
        ("1 Show source=@9:0", "failed [Exception when validating node: '9']\n1 broken: '9' -> 1"),
        ("1 Show source=[9,0]", "failed [Exception when validating node: 9]\n1 broken: 9 -> 1"),
        ("1 Show source=[null,0]", "failed [Exception when validating node: None]\n1 broken: None -> 1"),
        ("1 All int=99 any=@9:0", "failed [Exception when validating node: '9']\n1 broken: '9' -> 1"),
        (
            "1 Show source=[[1],0]",
            "failed [Exception when validating node: unhashable type: 'list']\n1 broken: unhashable type: 'list' -> 1",
        ),
        (
            "1 Int value=1; 2 Show source=@1:1",
            "failed [Exception when validating node: tuple index out of range]\n2 broken: tuple index out of range -> 2",
        ),
        (
            "1 Grow counted.n0=1; 2 Show source=@1:4",
            "failed [Exception when validating node: list index out of range]\n2 broken: list index out of range -> 2",
        ),
        (
            "1 Int value=1; 2 Show source=@1:-2",
            "failed [Exception when validating node: tuple index out of range]\n2 broken: tuple index out of range -> 2",
        ),
        ("1 Int value=1; 2 Show source=@1:-1", "runs 2"),
        (
            "1 Int value=1; 2 Show source=[\"1\",\"0\"]",
            "failed [Exception when validating node: tuple indices must be integers or slices, not str]\n\
             2 broken: tuple indices must be integers or slices, not str -> 2",
        ),
        (
            "1 Int value=1; 2 Show source=[\"1\",0.0]",
            "failed [Exception when validating node: tuple indices must be integers or slices, not float]\n\
             2 broken: tuple indices must be integers or slices, not float -> 2",
        ),
        ("1 Add a=@9:0 b=1; 2 Show source=@1:0", "failed []\n1 inner: '9' -> 2"),
        ("1 Add a=@9:0 b=1; 2 Add a=@1:0 b=@1:0; 3 Show source=@2:0", "failed []\n1 inner: '9' -> 3"),
        // Types.
        (
            "1 Int value=1; 2 All latent=@1:0",
            "failed [Return type mismatch between linked nodes: latent, received_type(INT) mismatch input_type(LATENT)]\n\
             2 type: latent, received_type(INT) mismatch input_type(LATENT) -> 2",
        ),
        (
            "1 Text text=\"\"; 2 All combo=@1:0",
            "failed [Return type mismatch between linked nodes: combo, received_type(STRING) mismatch input_type(['a', 'b'])]\n\
             2 type: combo, received_type(STRING) mismatch input_type(['a', 'b']) -> 2",
        ),
        (
            "1 Text text=\"\"; 2 All number=@1:0",
            "failed [Return type mismatch between linked nodes: number, received_type(STRING) mismatch input_type(FLOAT,INT)]\n\
             2 type: number, received_type(STRING) mismatch input_type(FLOAT,INT) -> 2",
        ),
        (
            "1 Int value=1; 2 All float=@1:0",
            "failed [Return type mismatch between linked nodes: float, received_type(INT) mismatch input_type(FLOAT)]\n2 type: float, received_type(INT) mismatch input_type(FLOAT) -> 2",
        ),
        ("1 Pair; 2 All number=@1:0 any=@1:1 same=@1:1 float=@1:1", "runs 2"),
        ("1 Block words=\"\"; 2 All int=@1:0 latent=@1:0 combo=@1:0", "runs 2"),
        ("1 Switch on=true on_true=1 on_false=2; 2 All latent=@1:0 combo=@1:0", "runs 2"),
        // A node whose link does not fit is not looked at.
        (
            "1 Int value=999; 2 All latent=@1:0 int=5",
            "failed [Return type mismatch between linked nodes: latent, received_type(INT) mismatch input_type(LATENT)]\n2 type: latent, received_type(INT) mismatch input_type(LATENT) -> 2",
        ),
        // Conversions.
        (
            "1 All int=\"abc\"",
            "failed [Failed to convert an input value to a INT value: int, abc, invalid literal for int() with base 10: 'abc']\n1 conversion: int, abc, invalid literal for int() with base 10: 'abc' -> 1",
        ),
        (
            "1 All int=null",
            "failed [Failed to convert an input value to a INT value: int, None, int() argument must be a string, a bytes-like object or a real number, not 'NoneType']\n1 conversion: int, None, int() argument must be a string, a bytes-like object or a real number, not 'NoneType' -> 1",
        ),
        (
            "1 All int={}",
            "failed [Failed to convert an input value to a INT value: int, {}, int() argument must be a string, a bytes-like object or a real number, not 'dict']\n1 conversion: int, {}, int() argument must be a string, a bytes-like object or a real number, not 'dict' -> 1",
        ),
        (
            "1 All int={\"__value__\":[1]}",
            "failed [Failed to convert an input value to a INT value: int, [1], int() argument must be a string, a bytes-like object or a real number, not 'list']\n1 conversion: int, [1], int() argument must be a string, a bytes-like object or a real number, not 'list' -> 1",
        ),
        (
            "1 All float=\"x\"",
            "failed [Failed to convert an input value to a FLOAT value: float, x, could not convert string to float: 'x']\n1 conversion: float, x, could not convert string to float: 'x' -> 1",
        ),
        (
            "1 All float=null",
            "failed [Failed to convert an input value to a FLOAT value: float, None, float() argument must be a string or a real number, not 'NoneType']\n1 conversion: float, None, float() argument must be a string or a real number, not 'NoneType' -> 1",
        ),
        (
            "1 All float=\"nan\"",
            "failed [Failed to convert an input value to a FLOAT value: float, nan, nan is not a finite number]\n1 conversion: float, nan, nan is not a finite number -> 1",
        ),
        // Ranges.
        ("1 All int=-1", "failed [Value -1 smaller than min of 0: int]\n1 small: int -> 1"),
        ("1 All int=11", "failed [Value 11 bigger than max of 10: int]\n1 big: int -> 1"),
        ("1 All int=10.9", "runs 1"),
        ("1 All int=1e30", "failed [Value 1e+30 bigger than max of 10: int]\n1 big: int -> 1"),
        ("1 All seed=18446744073709551615", "runs 1"),
        (
            "1 All seed=18446744073709551616",
            "failed [Value 1.8446744073709552e+19 bigger than max of 18446744073709551615: seed]\n1 big: seed -> 1",
        ),
        ("1 All seed=-1", "failed [Value -1 smaller than min of 0: seed]\n1 small: seed -> 1"),
        ("1 All float=1.5", "failed [Value 1.5 bigger than max of 1.0: float]\n1 big: float -> 1"),
        ("1 All float=-1", "failed [Value -1.0 smaller than min of 0.0: float]\n1 small: float -> 1"),
        ("1 All free=1e300", "runs 1"),
        // Choices.
        (
            "1 All combo=\"c\"",
            "failed [Value not in list: combo: 'c' not in ['a', 'b']]\n1 list: combo: 'c' not in ['a', 'b'] -> 1",
        ),
        (
            "1 All combo=1",
            "failed [Value not in list: combo: '1' not in ['a', 'b']]\n1 list: combo: '1' not in ['a', 'b'] -> 1",
        ),
        (
            "1 All combo=null",
            "failed [Value not in list: combo: 'None' not in ['a', 'b']]\n1 list: combo: 'None' not in ['a', 'b'] -> 1",
        ),
        ("1 All combo=\"b\"", "runs 1"),
        ("1 All file=\"b.bin\"", "runs 1"),
        (
            "1 All file=\"c.bin\"",
            "failed [Value not in list: file: 'c.bin' not in ['vae/a.bin', 'b.bin']]\n1 list: file: 'c.bin' not in ['vae/a.bin', 'b.bin'] -> 1",
        ),
        (
            "1 Many one=\"x\"",
            "failed [Value not in list: one: 'x' not in (list of length 25)]\n1 list: one: 'x' not in (list of length 25) -> 1",
        ),
        // The node's own opinion; it comes after all others.
        ("1 Judge file=\"anything\"", "runs 1"),
        ("1 Judge file=\"no\"", "failed [Custom validation failed for node: file]\n1 refused: file -> 1"),
        (
            "1 Judge file=\"bad\" other=\"b\"",
            "failed [Value not in list: other: 'b' not in ['a']\nCustom validation failed for node: file - Invalid file: bad]\n1 list: other: 'b' not in ['a'] -> 1\n1 refused: file - Invalid file: bad -> 1",
        ),
        (
            "1 Judge file=\"panic\"",
            "failed [Exception when validating node: internal error: toy]\n1 broken: internal error: toy -> 1",
        ),
        // Several faults stand in the order of the inputs.
        (
            "1 All text=5 float=7 int=\"x\" combo=0",
            "failed [Failed to convert an input value to a INT value: int, x, invalid literal for int() with base 10: 'x'\nValue 7.0 bigger than max of 1.0: float\nValue not in list: combo: '0' not in ['a', 'b']]\n1 conversion: int, x, invalid literal for int() with base 10: 'x' -> 1\n1 big: float -> 1\n1 list: combo: '0' not in ['a', 'b'] -> 1",
        ),
        // Literals where only links make sense pass, as in the reference; the node will complain.
        ("1 All latent=5 any={\"a\":1} number=\"x\"", "runs 1"),
    ] {
        assert_eq!(verdict(&prompt(line), None), expected, "{line}");
    }
}

#[test]
fn inputs_that_grow_and_choose() {
    for (line, expected) in [
        ("1 Grow; 2 Show source=@1:0", "runs 2"),
        ("1 Grow counted.n0=1; 2 Show source=@1:0", "runs 2"),
        ("1 Grow counted.n1=1; 2 Show source=@1:0", "runs 2"),
        (
            "1 Grow counted.n0=1 counted.n2=\"x\"; 2 Show source=@1:0",
            "failed []\n1 conversion: counted.n2, x, invalid literal for int() with base 10: 'x' -> 2",
        ),
        ("1 Grow counted.n0=1 counted.n3=\"x\"; 2 Show source=@1:0", "runs 2"),
        (
            "0 Text text=\"\"; 1 Grow counted.n0=1 named.y=@0:0; 2 Show source=@1:0",
            "failed []\n1 type: named.y, received_type(STRING) mismatch input_type(INT) -> 2",
        ),
        ("0 Int value=1; 1 Grow counted.n0=@0:0 named.x=@0:0; 2 Show source=@1:0", "runs 2"),
        ("1 Choose mode=\"none\"", "runs 1"),
        ("1 Choose", "failed [Required input is missing: mode]\n1 missing: mode -> 1"),
        (
            "1 Choose mode=\"size\"",
            "failed [Required input is missing: width\nRequired input is missing: how]\n1 missing: width -> 1\n1 missing: how -> 1",
        ),
        (
            "1 Choose mode=\"size\" mode.width=11 mode.how=\"z\"",
            "failed [Value 11 bigger than max of 10: mode.width\nValue not in list: mode.how: 'z' not in ['x', 'y']]\n1 big: mode.width -> 1\n1 list: mode.how: 'z' not in ['x', 'y'] -> 1",
        ),
        (
            "1 Choose mode=\"other\"",
            "failed [Value not in list: mode: 'other' not in ['size', 'none']]\n1 list: mode: 'other' not in ['size', 'none'] -> 1",
        ),
        ("1 Switch on=true on_true=1; 2 Show source=@1:0", "failed []\n1 missing: on_false -> 2"),
    ] {
        assert_eq!(verdict(&prompt(line), None), expected, "{line}");
    }
}

#[test]
fn outputs_that_run_while_others_do_not() {
    let line = "1 Int value=5; 2 Int value=500; 3 Show source=@1:0; 4 Show source=@2:0; 5 Show source=@2:0; 6 Show";
    for (line, targets, expected) in [
        (line, None, "runs 3\n2 big: value -> 4 5\n6 missing: source -> 6"),
        (line, Some(&["3"][..]), "runs 3"),
        (line, Some(&["4", "3"]), "runs 3\n2 big: value -> 4"),
        (line, Some(&["4"]), "failed []\n2 big: value -> 4"),
        (line, Some(&["1"]), "no outputs"),
        (line, Some(&["77"]), "no outputs"),
        (line, Some(&[]), "no outputs"),
        ("2 Show source=1; 10 Show source=1; 1 Show source=1", None, "runs 2 10 1"),
        // Both outputs reach the same fault; each reaches one of its own.
        (
            "1 Int value=-1; 2 Show source=@1:0; 3 Add a=@1:0 b=\"x\"; 4 Show source=@3:0",
            None,
            "failed []\n1 small: value -> 2 4\n3 conversion: b, x, invalid literal for int() with base 10: 'x' -> 4",
        ),
        // A circle is told as such.
        ("1 Add a=@2:0 b=1; 2 Add a=@1:0 b=1; 3 Show source=@1:0", None, "cycle 1 2 1"),
        ("1 Add a=@1:0 b=1; 3 Show source=@1:0", None, "cycle 1 1"),
        ("1 Add a=@1:0 b=1; 3 Show source=1", None, "runs 3"),
    ] {
        assert_eq!(verdict(&prompt(line), targets), expected, "{line} {targets:?}");
    }
}

#[test]
fn literals_are_converted_where_they_stand() {
    for (input, given, expected) in [
        ("int", json!(4.7), json!(4)),
        ("int", json!(true), json!(1)),
        ("int", json!("7"), json!(7)),
        ("int", json!({"__value__": 3}), json!(3)),
        ("seed", json!(18446744073709551615_u64), json!(18446744073709551615_u64)),
        ("float", json!(1), json!(1.0)),
        ("float", json!("0.25"), json!(0.25)),
        ("float", json!(false), json!(0.0)),
        ("text", json!(5), json!("5")),
        ("text", json!(5.0), json!("5.0")),
        ("text", json!(null), json!("None")),
        ("text", json!({"__value__": ["a", 1]}), json!("['a', 1]")),
        ("text", json!({"a": true}), json!("{'a': True}")),
        ("bool", json!(0), json!(false)),
        ("bool", json!("false"), json!(true)),
        ("bool", json!(""), json!(false)),
        ("bool", json!(null), json!(false)),
        ("bool", json!({"__value__": []}), json!(false)),
        ("any", json!({"__value__": [1, 2, 3]}), json!([1, 2, 3])),
        ("any", json!("x"), json!("x")),
        ("undeclared", json!(4.5), json!(4.5)),
    ] {
        let prompt = json!({"1": {"class_type": "All", "inputs": {input: given}, "_meta": {"title": "x"}, "more": 1}});
        let plan = validate(&registry(), &Toys::default(), &prompt, None)
            .unwrap_or_else(|error| panic!("{prompt}: {error:?}"));
        let converted =
            json!({"1": {"class_type": "All", "inputs": {input: expected}, "_meta": {"title": "x"}, "more": 1}});
        assert_eq!(plan.prompt.to_string(), converted.to_string());
    }
}

#[test]
fn a_prompt_deeper_than_the_stack_is_validated() {
    let mut nodes = vec!["0 Int value=1".to_owned()];
    nodes.extend((1..50_000).map(|index| format!("{index} Add a=@{}:0 b=1", index - 1)));
    nodes.push("end Show source=@49999:0".into());
    assert_eq!(verdict(&prompt(&nodes.join("; ")), None), "runs end");
    nodes[0] = "0 Int value=101".into();
    assert_eq!(verdict(&prompt(&nodes.join("; ")), None), "failed []\n0 big: value -> end");
}
