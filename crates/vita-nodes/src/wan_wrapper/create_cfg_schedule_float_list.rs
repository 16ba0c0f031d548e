//! `CreateCFGScheduleFloatList`: guidance that changes from step to step.

use serde_json::json;

use super::fields::spec;
use crate::prelude::*;

pub struct CreateCFGScheduleFloatList;

impl Node for CreateCFGScheduleFloatList {
    fn spec(&self) -> Spec {
        let cfg = |tooltip| {
            let kind = Kind::Float { default: Some(5.0), range: 0.0..=30.0, step: Some(0.01), round: Some(0.01) };
            field(kind).tooltip(tooltip)
        };
        let share = |default, tooltip| {
            let kind = Kind::Float { default: Some(default), range: 0.0..=1.0, step: Some(0.01), round: Some(0.01) };
            field(kind).tooltip(tooltip)
        };
        let ways = combo(["linear", "ease_in", "ease_out"]).default_choice("linear");
        spec("CreateCFGScheduleFloatList", "Create CFG Schedule Float List")
            .input("steps", int(30, 2..=1000, 1).tooltip("Steps of the sampler."))
            .input("cfg_scale_start", cfg("Guidance at the first step that is led."))
            .input("cfg_scale_end", cfg("Guidance at the last step that is led."))
            .input("interpolation", ways.tooltip("How it goes from one to the other."))
            .input("start_percent", share(0.0, "Share of the steps before the first that is led."))
            .input("end_percent", share(1.0, "Share of the steps up to the last that is led."))
            .hidden(Hidden::UniqueId)
            .output_named("FLOAT", "float_list")
            .describe("A list of guidance, one for each step; steps outside the range have 1, which is none.")
    }

    fn run(&self, inputs: &Inputs, context: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let range = [inputs.float("start_percent")?, inputs.float("end_percent")?];
        let ends = [inputs.float("cfg_scale_start")?, inputs.float("cfg_scale_end")?];
        let list = guidance(inputs.count("steps")?, ends, inputs.text("interpolation")?, range);
        context.say(&format!("{list:?}"));
        one(Value::of_json(&json!(list)))
    }
}

fn guidance(steps: usize, [first, last]: [f64; 2], way: &str, range: [f64; 2]) -> Vec<f64> {
    let place = |share: f64| ((steps as f64 * share) as usize).min(steps - 1);
    let (start, end) = (place(range[0]), place(range[1]));
    let mut list = vec![1.0; steps];
    for (place, guidance) in list.iter_mut().take(end + 1).skip(start).enumerate() {
        let share = if end == start { 0.0 } else { place as f64 / (end - start) as f64 };
        let share = match way {
            "ease_in" => share * share,
            "ease_out" => share * (2.0 - share),
            _ => share,
        };
        // To two digits as Python rounds: of the number's exact value.
        *guidance = format!("{:.2}", first + share * (last - first)).parse().unwrap_or(1.0);
    }
    if range[0] > 0.0 {
        list[0] = 1.0;
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guidance_goes_from_one_value_to_the_other() {
        assert_eq!(guidance(5, [6.0, 2.0], "linear", [0.0, 1.0]), [6.0, 5.0, 4.0, 3.0, 2.0]);
        assert_eq!(guidance(4, [1.0, 2.0], "ease_in", [0.0, 1.0]), [1.0, 1.11, 1.44, 2.0]);
        assert_eq!(guidance(4, [1.0, 2.0], "ease_out", [0.0, 1.0]), [1.0, 1.56, 1.89, 2.0]);
        assert_eq!(guidance(6, [4.0, 4.0], "linear", [0.5, 0.7]), [1.0, 1.0, 1.0, 4.0, 4.0, 1.0]);
        assert_eq!(guidance(4, [4.0, 4.0], "linear", [0.1, 0.0]), [1.0, 1.0, 1.0, 1.0]);
        assert_eq!(guidance(4, [4.0, 4.0], "linear", [0.9, 0.1]), [1.0; 4]);
    }
}
