//! Workflows of the page: what becomes of everything that exists only there.

use serde_json::{Map, Value as Json, json};
use vita_base::Hint;
use vita_graph::{PageError, from_page, is_page};

use crate::toy::{prompt, registry};

/// A workflow in words: nodes apart by `; `, each `id Class` and then, in any order, `!mute` or `!bypass`, widget
/// values in JSON, inputs `name:TYPE` or linked ones `name:TYPE=@node:slot` (`^` before those of widgets), and
/// outputs `>TYPE,TYPE`. `@-10:0` is the first input of the subgraph around.
fn graph(line: &str) -> Map<String, Json> {
    let (mut nodes, mut links) = (Vec::new(), Vec::new());
    for words in line.split("; ").map(|node| node.split(' ').collect::<Vec<_>>()) {
        let mut node = json!({"id": id(words[0]), "type": words[1], "mode": 0, "order": nodes.len()});
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for word in &words[2..] {
            match word.chars().next().unwrap() {
                '!' => node["mode"] = json!(if *word == "!mute" { 2 } else { 4 }),
                '[' | '{' => node["widgets_values"] = serde_json::from_str(word).unwrap(),
                '%' => node["properties"] = json!({"proxyWidgets": serde_json::from_str::<Json>(&word[1..]).unwrap()}),
                '>' => outputs.extend(word[1..].split(',').map(|kind| json!({"name": kind, "type": kind}))),
                _ => inputs.push(input(word, &id(words[0]), &mut links)),
            }
        }
        node["inputs"] = json!(inputs);
        node["outputs"] = json!(outputs);
        nodes.push(node);
    }
    Map::from_iter([("nodes".to_owned(), json!(nodes)), ("links".to_owned(), json!(links))])
}

fn input(word: &str, node: &Json, links: &mut Vec<Json>) -> Json {
    let (is_widget, word) = word.strip_prefix('^').map_or((false, word), |word| (true, word));
    let (name, rest) = word.split_once(':').unwrap();
    let (kind, source) = rest.split_once("=@").map_or((rest, None), |(kind, source)| (kind, source.rsplit_once(':')));
    let link = source.map(|(origin, slot)| {
        let link = links.len() + 1;
        links.push(json!([link, id(origin), slot.parse::<u64>().unwrap(), node, 0, kind]));
        link
    });
    let mut input = json!({"name": name, "type": kind, "link": link});
    if is_widget {
        input["widget"] = json!({"name": name});
    }
    input
}

fn id(word: &str) -> Json {
    word.parse::<i64>().map_or_else(|_| json!(word), |number| json!(number))
}

/// A workflow whose subgraphs are `(name, inputs, outputs as node:slot, nodes)`.
fn workflow(line: &str, subgraphs: &[(&str, &str, &str, &str)]) -> Json {
    let mut root = graph(line);
    let definitions = subgraphs.iter().map(|(name, inputs, outputs, line)| {
        let mut inner = graph(line);
        let inputs = inputs.split_whitespace().map(|name| json!({"name": name}));
        inner.insert("inputs".into(), inputs.collect());
        inner.insert("id".into(), json!(name));
        inner.insert("inputNode".into(), json!({"id": -10}));
        inner.insert("outputNode".into(), json!({"id": -20}));
        // Subgraphs have their links as objects.
        let lists = inner["links"].as_array().unwrap().clone();
        let mut links: Vec<Json> = lists.iter().map(as_object).collect();
        for (slot, source) in outputs.split_whitespace().enumerate() {
            let (origin, origin_slot) = source.split_once(':').unwrap();
            links.push(as_object(&json!([100 + slot, id(origin), id(origin_slot), -20, slot])));
        }
        inner.insert("links".into(), json!(links));
        Json::Object(inner)
    });
    root.insert("definitions".into(), json!({"subgraphs": definitions.collect::<Vec<_>>()}));
    Json::Object(root)
}

fn as_object(link: &Json) -> Json {
    json!({"id": link[0], "origin_id": link[1], "origin_slot": link[2], "target_id": link[3], "target_slot": link[4]})
}

fn convert(workflow: &Json) -> Result<Json, PageError> {
    let mut prompt = from_page(&registry(), workflow)?;
    for node in prompt.as_object_mut().unwrap().values_mut() {
        node.as_object_mut().unwrap().remove("_meta");
    }
    Ok(prompt)
}

fn check(line: &str, subgraphs: &[(&str, &str, &str, &str)], expected: &str) {
    let converted = convert(&workflow(line, subgraphs)).unwrap_or_else(|error| panic!("{line}: {error}"));
    let expected = if expected.is_empty() { json!({}) } else { prompt(expected) };
    assert_eq!(converted, expected, "{line}");
}

#[test]
fn widget_values_stand_in_the_order_of_the_spec() {
    for (line, expected) in [
        ("1 Int [5] >INT; 2 Show source:*=@1:0", "1 Int value=5; 2 Show source=@1:0"),
        // Too few are filled up with defaults, too many are left out.
        (
            "1 All [7,3,\"fixed\",0.1,2,\"cat\",true,\"b\",\"x.bin\",\"?\"]",
            "1 All int=7 seed=3 float=0.1 free=2 text=\"cat\" bool=true combo=\"b\" file=\"x.bin\"",
        ),
        ("1 All [7]", "1 All int=7 seed=0 float=0.5 free=0.0 text=\"\" bool=false combo=\"a\""),
        ("1 All", "1 All int=1 seed=0 float=0.5 free=0.0 text=\"\" bool=false combo=\"a\""),
        // What the page draws after each run is no input; older pages did not save it.
        ("1 All [7,3,0.1]", "1 All int=7 seed=3 float=0.1 free=0.0 text=\"\" bool=false combo=\"a\""),
        ("1 All [7,3,\"randomize\",0.1]", "1 All int=7 seed=3 float=0.1 free=0.0 text=\"\" bool=false combo=\"a\""),
        ("1 All [null,null,null,0.1]", "1 All int=1 seed=0 float=0.5 free=0.1 text=\"\" bool=false combo=\"a\""),
        // A choice brings its own.
        ("1 Choose [\"size\",5,\"y\"]", "1 Choose mode=\"size\" mode.width=5 mode.how=\"y\""),
        ("1 Choose [\"none\",5,\"y\"]", "1 Choose mode=\"none\""),
        ("1 Choose [\"size\"]", "1 Choose mode=\"size\" mode.width=0 mode.how=\"x\""),
        // The button beside a file has a value of its own.
        ("1 Upload [\"a.png\",\"image\",5]", "1 Upload image=\"a.png\" size=5"),
        // Lists are no links.
        ("1 Int [[\"1\",0]]", "1 Int value={\"__value__\":[\"1\",0]}"),
        // Some save by name, with what the page remembers beside it.
        (
            "1 Upload {\"size\":7,\"crf\":19,\"image\":\"b.png\",\"videopreview\":{\"hidden\":true}}",
            "1 Upload image=\"b.png\" size=7 crf=19",
        ),
        ("1 Upload {\"image\":\"b.png\"}", "1 Upload image=\"b.png\" size=1"),
    ] {
        check(line, &[], expected);
    }
}

#[test]
fn links_lead_to_their_source() {
    let one = "1 Int [1] >INT";
    for (rest, expected) in [
        // A widget that became an input keeps its place among the values.
        ("2 Add [7,8] ^b:INT=@1:0", "1 Int value=1; 2 Add a=7 b=@1:0"),
        (
            "2 Grow [] counted.n0:INT=@1:0 counted.n1:INT named.y:INT=@1:0",
            "1 Int value=1; 2 Grow counted.n0=@1:0 named.y=@1:0",
        ),
        ("2 Reroute :*=@1:0 >INT; 3 Reroute :*=@2:0 >INT; 4 Show source:*=@3:0", "1 Int value=1; 4 Show source=@1:0"),
        ("2 Reroute :* >INT; 4 Show source:*=@2:0", "1 Int value=1; 4 Show"),
        ("2 Reroute :* >INT; 4 Add [7,8] ^a:INT=@2:0", "1 Int value=1; 4 Add a=7 b=8"),
        ("4 Show source:*=@99:0", "1 Int value=1; 4 Show"),
        // Values of the page.
        ("2 PrimitiveNode [9,\"fixed\"] >INT; 4 Add [7,8] ^a:INT=@2:0", "1 Int value=1; 4 Add a=9 b=8"),
        (
            "2 PrimitiveNode [9,\"fixed\"] >INT; 3 Reroute :*=@2:0 >INT; 4 Add [7,8] ^a:INT=@3:0",
            "1 Int value=1; 4 Add a=9 b=8",
        ),
        // Named wires.
        (
            "2 SetNode [\"w\"] INT:INT=@1:0 >*; 3 GetNode [\"w\"] >INT; 4 Show source:*=@3:0",
            "1 Int value=1; 4 Show source=@1:0",
        ),
        ("2 SetNode [\"w\"] INT:INT=@1:0 >INT; 4 Show source:*=@2:0", "1 Int value=1; 4 Show source=@1:0"),
        ("2 SetNode [\"v\"] INT:INT=@1:0 >*; 3 GetNode [\"w\"] >INT; 4 Show source:*=@3:0", "1 Int value=1; 4 Show"),
        // Notes, and decoration of other people's pages.
        ("2 Note [\"hello\"]; 3 MarkdownNote [\"#hello\"]; 4 Label(some) [\"x\"]", "1 Int value=1"),
    ] {
        check(&format!("{one}; {rest}"), &[], expected);
    }
}

#[test]
fn bypassed_nodes_pass_on_what_fits_and_muted_ones_nothing() {
    let two = "1 Int [1] >INT; 2 Text [\"x\"] >STRING";
    let nodes = "1 Int value=1; 2 Text text=\"x\"";
    for (rest, expected) in [
        // The input of the same place.
        ("3 Some !bypass a:INT=@1:0 b:INT >INT; 4 Add [7,8] ^a:INT=@3:0", "4 Add a=@1:0 b=8"),
        // Otherwise the first of the same type.
        ("3 Some !bypass s:STRING=@2:0 a:INT=@1:0 >INT; 4 Add [7,8] ^a:INT=@3:0", "4 Add a=@1:0 b=8"),
        ("3 Some !bypass s:STRING=@2:0 a:FLOAT,INT=@1:0 >INT; 4 Add [7,8] ^a:INT=@3:0", "4 Add a=@1:0 b=8"),
        ("3 Some !bypass s:STRING=@2:0 >INT; 4 Add [7,8] ^a:INT=@3:0", "4 Add a=7 b=8"),
        ("3 Some !bypass a:INT b:INT=@1:0 >INT; 4 Add [7,8] ^a:INT=@3:0", "4 Add a=7 b=8"),
        ("3 Some !bypass s:STRING=@2:0 a:INT=@1:0 >STRING,INT; 4 Show source:*=@3:1", "4 Show source=@1:0"),
        ("3 Some !bypass s:STRING=@2:0 >INT,INT; 4 Show source:*=@3:1", "4 Show source=@2:0"),
        ("3 Some !bypass >INT; 4 Show source:*=@3:0", "4 Show"),
        // One behind another.
        (
            "3 Some !bypass a:INT=@1:0 >INT; 5 Some !bypass a:INT=@3:0 >INT; 4 Show source:INT=@5:0",
            "4 Show source=@1:0",
        ),
        ("3 Some !mute a:INT=@1:0 >INT; 4 Add [7,8] ^a:INT=@3:0", "4 Add a=7 b=8"),
        ("3 Reroute !mute :*=@1:0 >INT; 4 Show source:*=@3:0", "4 Show"),
        ("3 SetNode !mute [\"w\"] INT:INT=@1:0; 5 GetNode [\"w\"] >INT; 4 Show source:*=@5:0", "4 Show"),
    ] {
        check(&format!("{two}; {rest}"), &[], &format!("{nodes}; {expected}"));
    }
}

#[test]
fn subgraphs_are_taken_apart() {
    let add = ("add", "left b", "5:0", "5 Add [1,2] ^a:INT=@-10:0 ^b:INT=@-10:1 >INT");
    // Its first input is a slot of the node that stands for it, its second a widget.
    let half = ("half", "left b", "5:0", "5 Sum [1,2] a:INT=@-10:0 ^b:INT=@-10:1 >INT");
    let outer = ("outer", "x", "7:0", "6 Int [3] >INT; 7 half [20] left:INT=@6:0 ^b:INT=@-10:0 >INT");
    for (line, subgraphs, expected) in [
        (
            "1 Int [1] >INT; 2 add left:INT=@1:0 >INT; 3 Show source:*=@2:0",
            &[add][..],
            "1 Int value=1; 3 Show source=@2:5:0; 2:5 Add a=@1:0 b=2",
        ),
        // Widgets of the node that stands for it: one value for each input that feeds a widget.
        ("2 add [10,20] >INT; 3 Show source:*=@2:0", &[add], "3 Show source=@2:5:0; 2:5 Add a=10 b=20"),
        ("2 half [20] left:INT >INT; 3 Show source:*=@2:0", &[half], "3 Show source=@2:5:0; 2:5 Sum a=1 b=20"),
        ("2 half [20,30] left:INT >INT; 3 Show source:*=@2:0", &[half], "3 Show source=@2:5:0; 2:5 Sum a=1 b=2"),
        ("2 add [null,20] >INT; 3 Show source:*=@2:0", &[add], "3 Show source=@2:5:0; 2:5 Add a=1 b=20"),
        // A link is stronger.
        (
            "1 Int [1] >INT; 2 add [10,20] ^b:INT=@1:0 >INT; 3 Show source:*=@2:0",
            &[add],
            "1 Int value=1; 3 Show source=@2:5:0; 2:5 Add a=10 b=@1:0",
        ),
        ("1 PrimitiveNode [9,\"fixed\"] >INT; 2 add [10,20] ^b:INT=@1:0 >INT", &[add], "2:5 Add a=10 b=9"),
        // Two of them.
        ("2 add [1,2] >INT; 3 add [3,4] ^a:INT=@2:0 >INT", &[add], "2:5 Add a=1 b=2; 3:5 Add a=3 b=4"),
        ("2 add [1,2] >INT; 3 add [3,4] ^left:INT=@2:0 >INT", &[add], "2:5 Add a=1 b=2; 3:5 Add a=@2:5:0 b=4"),
        // Older pages: values stand at the inner nodes, or beside a list of whose they are.
        ("2 add [] %[[\"5\",\"a\"],[\"5\",\"b\"]] >INT", &[add], "2:5 Add a=1 b=2"),
        ("2 add [10] %[[\"5\",\"b\"]] >INT", &[add], "2:5 Add a=1 b=10"),
        ("2 add [10] %[[\"-1\",\"left\"]] >INT", &[add], "2:5 Add a=10 b=2"),
        // One inside another.
        (
            "2 outer [9] >INT; 3 Show source:*=@2:0",
            &[half, outer],
            "3 Show source=@2:7:5:0; 2:6 Int value=3; 2:7:5 Sum a=@2:6:0 b=9",
        ),
        (
            "2 outer >INT; 3 Show source:*=@2:0",
            &[half, outer],
            "3 Show source=@2:7:5:0; 2:6 Int value=3; 2:7:5 Sum a=@2:6:0 b=20",
        ),
        ("2 outer [11] %[[\"7\",\"b\"]] >INT", &[half, outer], "2:6 Int value=3; 2:7:5 Sum a=@2:6:0 b=11"),
        // Off as a whole.
        ("1 Int [1] >INT; 2 add !mute left:INT=@1:0 >INT; 3 Show source:*=@2:0", &[add], "1 Int value=1; 3 Show"),
        (
            "1 Int [1] >INT; 2 add !bypass left:INT=@1:0 >INT; 3 Show source:*=@2:0",
            &[add],
            "1 Int value=1; 3 Show source=@1:0",
        ),
        ("2 outer !mute [9] >INT", &[half, outer], ""),
        // Outputs that lead nowhere, or straight back out.
        ("2 empty >INT; 3 Show source:*=@2:0", &[("empty", "x", "", "5 Int [1] >INT")], "3 Show; 2:5 Int value=1"),
        (
            "1 Int [1] >INT; 2 through x:INT=@1:0 >INT; 3 Show source:*=@2:0",
            &[("through", "x", "-10:0", "5 Note")],
            "1 Int value=1; 3 Show source=@1:0",
        ),
        // Named wires reach inwards.
        (
            "1 Int [1] >INT; 4 SetNode [\"w\"] INT:INT=@1:0; 2 inner >INT",
            &[("inner", "", "", "5 GetNode [\"w\"] >INT; 6 Show source:*=@5:0")],
            "1 Int value=1; 2:6 Show source=@1:0",
        ),
    ] {
        check(line, subgraphs, expected);
    }
}

#[test]
fn links_may_be_objects_and_ids_texts() {
    let list = json!({"nodes": [
        {"id": 1, "type": "Int", "widgets_values": [5]},
        {"id": "two", "type": "Show", "title": "My", "inputs": [{"name": "source", "type": "*", "link": 9}]},
    ], "links": [[9, 1, 0, "two", 0, "INT"]]});
    let object = json!({"version": 1, "nodes": list["nodes"], "links": [
        {"id": 9, "origin_id": 1, "origin_slot": 0, "target_id": "two", "target_slot": 0, "type": "INT"},
    ]});
    let expected = json!({
        "1": {"class_type": "Int", "inputs": {"value": 5}, "_meta": {"title": "Int"}},
        "two": {"class_type": "Show", "inputs": {"source": ["1", 0]}, "_meta": {"title": "My"}},
    });
    assert_eq!(from_page(&registry(), &list), Ok(expected.clone()));
    assert_eq!(from_page(&registry(), &object), Ok(expected));
    assert!(is_page(&list) && !is_page(&prompt("1 Int value=5")) && !is_page(&json!([])));
}

#[test]
fn what_cannot_be_converted_says_why() {
    let doubled: Vec<(String, String)> =
        (0..30).map(|level| (format!("g{level}"), format!("1 g{} >INT; 2 g{} >INT", level + 1, level + 1))).collect();
    let doubled: Vec<_> = doubled.iter().map(|(name, line)| (name.as_str(), "", "", line.as_str())).collect();
    let itself = ("itself", "", "1:0", "1 itself >INT");
    for (workflow, message) in [
        (json!({}), "this JSON is no workflow: it has no list of nodes"),
        (json!({"nodes": {}}), "this JSON is no workflow: it has no list of nodes"),
        (json!({"nodes": [{}]}), "nodes: a node has no id"),
        (json!({"nodes": [5]}), "nodes: a node has no id"),
        (json!({"nodes": [{"id": 3}]}), "node 3: it has no type"),
        (json!({"nodes": [], "links": [7]}), "links: a link is neither a list nor an object with its two ends"),
        (json!({"nodes": [], "links": [[1, 2]]}), "links: a link is neither a list nor an object with its two ends"),
        (json!({"nodes": [], "definitions": {"subgraphs": [{}]}}), "definitions.subgraphs: a subgraph has no id"),
        (workflow("1 Nope >INT; 2 Show source:*=@1:0", &[]), "node 1 is of the unknown class `Nope`"),
        (
            workflow("1 g", &[("g", "", "", "1 Nope >INT; 2 Show source:*=@1:0")]),
            "node 1:1 is of the unknown class `Nope`",
        ),
        (workflow("1 workflow>mine", &[]), "node 1 is a group node (`workflow>mine`), which is not supported"),
        (
            workflow("1 Reroute :*=@2:0 >*; 2 Reroute :*=@1:0 >*; 3 Show source:*=@1:0", &[]),
            "the links or subgraphs around node 1 go round in a circle",
        ),
        (workflow("5 itself >INT", &[itself]), "the links or subgraphs around node 5:1 go round in a circle"),
        (workflow("1 g0", &doubled), "the workflow has more than 100000 nodes once its subgraphs are taken apart"),
    ] {
        let error = convert(&workflow).unwrap_err();
        assert!(error.to_string().starts_with(message) || error.to_string() == message, "{error}");
        assert_eq!(
            error.hint().is_some(),
            matches!(error, PageError::NotAPage | PageError::UnknownClass { .. } | PageError::GroupNode { .. })
        );
    }
    // What is off does not have to be known.
    check("1 Nope !mute >INT; 2 Nope !bypass x:INT=@1:0 >INT", &[], "");
}
