//! `ComfyMathExpression`: arithmetic on linked numbers.

use crate::expression::{Number, evaluate};
use crate::prelude::*;

pub struct ComfyMathExpression;

impl Node for ComfyMathExpression {
    fn spec(&self) -> Spec {
        let value = Field { group: vita_graph::Group::Optional, ..link("FLOAT,INT,BOOLEAN") };
        let values = Kind::Autogrow {
            item: Box::new(value),
            names: ('a'..='z').map(String::from).collect(),
            prefix: "",
            min: 1,
            max: 26,
        };
        let expression = field(Kind::Text { default: Some("a + b"), multiline: true, dynamic_prompts: false });
        Spec::new("ComfyMathExpression", "utils")
            .module("comfy_extras.nodes_math", Style::V3)
            .display("Math Expression")
            .input("expression", expression.tooltip("`a` to `z` are the linked values, `values` is the list of them."))
            .input("values", field(values))
            .output("FLOAT")
            .output("INT")
            .output_named("BOOLEAN", "BOOL")
            .describe("Arithmetic in Python's words: `floor(a * b) + 1`, `max(a, 16)`, `a if c else b`.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let expression = inputs.text("expression")?;
        if expression.trim().is_empty() {
            return Err(NodeError::value("`expression` is empty"));
        }
        let values = inputs.names().filter_map(|name| Some((name.strip_prefix("values.")?, name)));
        let values = values.map(|(letter, name)| Ok((letter.to_owned(), number(inputs, name)?)));
        let values = values.collect::<Result<Vec<_>, NodeError>>()?;
        let failed = |reason: String| NodeError::value(format!("in `{expression}`: {reason}"));
        let result = evaluate(expression, &values).map_err(failed)?;
        if !result.float().is_finite() {
            return Err(failed(format!("the result is {result}; it must be finite")));
        }
        let whole = result.truncated().map_err(failed)?;
        Ok(Outputs::values([Value::Float(result.float()), Value::Int(whole), Value::Bool(result.truth())]))
    }
}

fn number(inputs: &Inputs, name: &str) -> Result<Number, NodeError> {
    Ok(match inputs.get(name) {
        Some(Value::Bool(value)) => Number::Bool(*value),
        Some(Value::Int(value)) => Number::Int(*value),
        Some(Value::Json(value)) if value.is_boolean() => Number::Bool(value.as_bool().unwrap_or_default()),
        Some(Value::Json(value)) if value.is_i64() => Number::Int(value.as_i64().unwrap_or_default().into()),
        Some(Value::Json(value)) if value.is_number() => Number::Float(value.as_f64().unwrap_or_default()),
        _ => Number::Float(inputs.float(name)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[test]
    fn the_length_of_the_templates() {
        let bench = Bench::new().with("expression", Value::text("floor(a * b) + 1"));
        let bench = bench.with("values.a", Value::Float(5.0)).with("values.b", Value::Int(16));
        let out = bench.run(&ComfyMathExpression).unwrap();
        assert!(matches!(out.value(0), Value::Float(81.0)));
        assert!(matches!(out.value(1), Value::Int(81)));
        assert!(matches!(out.value(2), Value::Bool(true)));
        for (expression, want) in [
            ("  ", "`expression` is empty"),
            ("1 / 0", "in `1 / 0`: division by zero"),
            ("1e308 * 10", "in `1e308 * 10`: the result is inf; it must be finite"),
        ] {
            let error =
                bench.clone().with("expression", Value::text(expression)).run(&ComfyMathExpression).unwrap_err();
            assert_eq!(error.to_string(), want);
        }
    }
}
