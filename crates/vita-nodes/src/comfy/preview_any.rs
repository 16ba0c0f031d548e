//! `PreviewAny`: a value as text under the node.

use serde_json::json;

use crate::prelude::*;

pub struct PreviewAny;

impl Node for PreviewAny {
    fn spec(&self) -> Spec {
        Spec::new("PreviewAny", "utils")
            .module("comfy_extras.nodes_preview_any", Style::V1)
            .display("Preview Any")
            .input("source", link("*"))
            .output_node()
            .describe("Shows any value as text.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let text = inputs.get("source").map_or_else(|| "None".into(), shown);
        Ok(Outputs::default().with_ui(json!({ "text": [text] })))
    }
}

/// A value as Python prints it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        Value::Text(value) => value.to_string(),
        Value::Json(value) => value.to_string(),
        Value::Object(_) | Value::Blocked(_) => describe(value),
    }
}

fn describe(value: &Value) -> String {
    if let Some(image) = value.downcast::<Image>() {
        return format!("{image:?}");
    }
    if let Some(mask) = value.downcast::<Mask>() {
        return format!("{mask:?}");
    }
    "an object of the program, which has no text".into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, image};

    #[test]
    fn values_are_shown_as_python_prints_them() {
        for (value, want) in [
            (Value::Bool(true), "True"),
            (Value::Int(-7), "-7"),
            (Value::Float(2.0), "2.0"),
            (Value::text("a\nb"), "a\nb"),
            (Value::Null, "None"),
            (image(2, 3, 4).into(), "Image[2, 3, 4, 3]"),
        ] {
            let found = Bench::new().with("source", value).run(&PreviewAny).unwrap();
            assert_eq!(found.ui.unwrap(), json!({ "text": [want] }));
        }
    }
}
