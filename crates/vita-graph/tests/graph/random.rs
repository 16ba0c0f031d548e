//! Random prompts: the executor against an evaluator that knows nothing of order, cache or lists of nodes.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use vita_graph::{End, validate};

use crate::toy::{Bench, Toys, registry};

/// `xorshift64*`: enough to draw prompts.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

/// Nodes that link backwards only, in a shuffled order of the prompt.
fn draw(random: &mut Random, count: usize) -> Json {
    let mut nodes: Vec<(String, Json)> = Vec::new();
    for index in 0..count {
        let source = |random: &mut Random| match index {
            0 => json!(random.below(50)),
            _ if random.below(4) == 0 => json!(random.below(50)),
            _ => json!([format!("n{}", random.below(index)), 0]),
        };
        let (class, inputs) = match random.below(9) {
            0 => ("Int", json!({"value": random.below(100)})),
            1 => ("List", json!({"start": source(random), "count": 1 + random.below(3)})),
            2 => ("Sum", json!({"a": source(random), "b": source(random)})),
            3 => ("Switch", json!({"on": random.below(2) == 0, "on_true": source(random), "on_false": source(random)})),
            4 => ("Grow", json!({"counted.n0": source(random), "counted.n1": source(random)})),
            _ => ("Add", json!({"a": source(random), "b": source(random)})),
        };
        nodes.push((format!("n{index}"), json!({"class_type": class, "inputs": inputs})));
    }
    for output in 0..1 + random.below(3) {
        let source = json!([format!("n{}", random.below(count)), 0]);
        nodes.push((format!("o{output}"), json!({"class_type": "Show", "inputs": {"source": source}})));
    }
    for index in (1..nodes.len()).rev() {
        nodes.swap(index, random.below(index + 1));
    }
    Json::Object(nodes.into_iter().collect())
}

/// What a node gives, by plain recursion; `needed` collects all that was evaluated.
fn evaluate(prompt: &Json, id: &str, needed: &mut BTreeSet<String>) -> Vec<i64> {
    needed.insert(id.into());
    let inputs = &prompt[id]["inputs"];
    let mut of = |name: &str| match &inputs[name] {
        Json::Array(link) => evaluate(prompt, link[0].as_str().unwrap(), needed),
        literal => vec![literal.as_i64().unwrap()],
    };
    let pairs = |left: Vec<i64>, right: Vec<i64>| {
        let count = left.len().max(right.len());
        let at = |values: &[i64], index: usize| values[index.min(values.len() - 1)];
        (0..count).map(|index| (at(&left, index), at(&right, index))).collect::<Vec<_>>()
    };
    match prompt[id]["class_type"].as_str().unwrap() {
        "Int" => of("value"),
        "List" => {
            let count = inputs["count"].as_i64().unwrap();
            of("start").into_iter().flat_map(|start| start..start + count).collect()
        }
        "Sum" => vec![of("a").iter().chain(&of("b")).sum()],
        "Switch" if inputs["on"] == json!(true) => of("on_true"),
        "Switch" => of("on_false"),
        "Grow" => pairs(of("counted.n0"), of("counted.n1")).into_iter().map(|(a, b)| a + b).collect(),
        "Add" => pairs(of("a"), of("b")).into_iter().map(|(a, b)| a + b).collect(),
        "Show" => of("source"),
        class => panic!("{class}"),
    }
}

#[test]
fn random_prompts_give_what_plain_recursion_gives() {
    for seed in 1..=200 {
        let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let count = 1 + random.below(14);
        let mut prompt = draw(&mut random, count);
        let mut bench = Bench::new();
        // The same prompt with small changes, so that parts come from the cache.
        for round in 0..4 {
            let plan = validate(&registry(), &Toys::default(), &prompt, None)
                .unwrap_or_else(|error| panic!("seed {seed}: {error:?}\n{prompt}"));
            let outcome = bench.run_plan(&plan);
            assert_eq!(outcome.end, End::Success, "seed {seed} round {round}\n{prompt}");

            let mut needed = BTreeSet::new();
            for output in &plan.outputs {
                let expected: Vec<String> = evaluate(&prompt, output, &mut needed).iter().map(i64::to_string).collect();
                assert_eq!(outcome.outputs[output], json!({"text": expected}), "seed {seed} round {round}\n{prompt}");
            }
            let ran: BTreeSet<String> =
                bench.toys.take_ran().split(' ').filter(|id| !id.is_empty()).map(String::from).collect();
            assert!(ran.is_subset(&needed), "seed {seed} round {round}: {ran:?} of {needed:?}\n{prompt}");
            if round == 1 {
                assert!(ran.is_empty(), "seed {seed}: the same prompt ran {ran:?}\n{prompt}");
            }
            if round > 0 {
                change(&mut prompt, &mut random);
            }
        }
    }
}

fn change(prompt: &mut Json, random: &mut Random) {
    let nodes = prompt.as_object_mut().unwrap();
    let index = random.below(nodes.len());
    let literals = nodes.values_mut().nth(index).unwrap()["inputs"].as_object_mut().unwrap();
    for (name, value) in literals.iter_mut() {
        if value.is_number() && name != "count" {
            *value = json!(random.below(50));
        }
    }
}
