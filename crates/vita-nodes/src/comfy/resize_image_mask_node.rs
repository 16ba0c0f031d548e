//! `ResizeImageMaskNode`: pictures or masks to a size that is said in one of many ways.

use vita_graph::OutputSlot;

use super::image_scale::resolve;
use crate::prelude::*;
use crate::resize::{CROPS, Crop, METHODS, Method, scale, scale_mask};

pub struct ResizeImageMaskNode;

impl Node for ResizeImageMaskNode {
    fn spec(&self) -> Spec {
        let named = |name: &str, field: Field| Field { name: name.into(), ..field };
        let side = |name, tooltip| named(name, int(512, 0..=SIDE_MAX, 1).tooltip(tooltip));
        let crop = || {
            named("crop", combo(CROPS).default_choice("center"))
                .tooltip("`center` cuts off what sticks out, `disabled` stretches.")
        };
        let option = |key: &str, fields: Vec<Field>| (key.to_owned(), fields);
        let kinds = vec![
            option(
                "scale dimensions",
                vec![side("width", "0 keeps the ratio."), side("height", "0 keeps the ratio."), crop()],
            ),
            option(
                "scale by multiplier",
                vec![named("multiplier", float(1.0, 0.01..=8.0, 0.01).tooltip("2 doubles both sides."))],
            ),
            option("scale longer dimension", vec![side("longer_size", "Pixels of the longer side.")]),
            option("scale shorter dimension", vec![side("shorter_size", "Pixels of the shorter side.")]),
            option("scale width", vec![side("width", "Pixels; the height follows.")]),
            option("scale height", vec![side("height", "Pixels; the width follows.")]),
            option(
                "scale total pixels",
                vec![named("megapixels", float(1.0, 0.01..=16.0, 0.01).tooltip("In units of 1024 x 1024 pixels."))],
            ),
            option("match size", vec![named("match", link("IMAGE,MASK").tooltip("What has the size.")), crop()]),
            option(
                "scale to multiple",
                vec![named("multiple", int(8, 1..=SIDE_MAX, 1).tooltip("Both sides become multiples of this."))],
            ),
        ];
        let mut spec = Spec::new("ResizeImageMaskNode", "transform")
            .module("comfy_extras.nodes_post_processing", Style::V3)
            .display("Resize Image/Mask")
            .input("input", field(Kind::Match { template: "input_type", allowed: "IMAGE,MASK" }))
            .input("resize_type", field(Kind::DynamicCombo { options: kinds }).tooltip("How the size is said."))
            .input("scale_method", combo(METHODS).default_choice("area"))
            .describe("Scales pictures or masks.");
        spec.outputs.push(OutputSlot {
            kind: "COMFY_MATCHTYPE_V3",
            name: "resized",
            is_list: false,
            template: Some("input_type"),
            tooltip: "",
        });
        spec
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let from = size_of(inputs, "input")?;
        let method = Method::named(inputs.text("scale_method")?)?;
        let mut crop = Crop::Disabled;
        let count = |name: &str| inputs.count(&format!("resize_type.{name}"));
        let float = |name: &str| inputs.float(&format!("resize_type.{name}"));
        let to = match inputs.text("resize_type")? {
            "scale dimensions" => {
                crop = Crop::named(inputs.text("resize_type.crop")?)?;
                resolve([count("width")?, count("height")?], from)
            }
            "scale by multiplier" => {
                let factor = float("multiplier")?;
                Some(from.map(|side| rounded(side as f64 * factor)))
            }
            "scale longer dimension" => Some(by_one_side(from, count("longer_size")?, usize::max)),
            "scale shorter dimension" => Some(by_one_side(from, count("shorter_size")?, usize::min)),
            "scale width" => resolve([count("width")?, 0], from),
            "scale height" => resolve([0, count("height")?], from),
            "scale total pixels" => {
                let multiple = if inputs.has("resize_type.multiple") { count("multiple")?.max(1) } else { 1 };
                Some(by_area(from, float("megapixels")?, multiple))
            }
            "match size" => {
                crop = Crop::named(inputs.text("resize_type.crop")?)?;
                Some(size_of(inputs, "resize_type.match")?)
            }
            "scale to multiple" => {
                crop = Crop::Center;
                let multiple = count("multiple")?.max(1);
                Some(from.map(|side| side / multiple * multiple)).filter(|size| size.iter().all(|&side| side > 0))
            }
            other => return Err(NodeError::value(format!("no resize type is called `{other}`"))),
        };
        let value = inputs.get("input").cloned().unwrap_or(Value::Null);
        let Some(to) = to else { return Ok(Outputs::values([value])) };
        match value.downcast::<Image>() {
            Some(image) => one(scale(&image, to, method, crop)?),
            None => one(scale_mask(&*inputs.object::<Mask>("input")?, to, method, crop)?),
        }
    }
}

/// Width and height of pictures or masks.
fn size_of(inputs: &Inputs, name: &str) -> Result<[usize; 2], NodeError> {
    match inputs.get(name).and_then(Value::downcast::<Image>) {
        Some(image) => Ok([image.width(), image.height()]),
        None => {
            let [_, height, width] = inputs.object::<Mask>(name)?.sizes();
            Ok([width, height])
        }
    }
}

fn rounded(side: f64) -> usize {
    side.round_ties_even() as usize
}

/// The side that `choose` names becomes `size`, the other follows.
fn by_one_side([width, height]: [usize; 2], size: usize, choose: fn(usize, usize) -> usize) -> [usize; 2] {
    let follow = |side: usize, of: usize| rounded(side as f64 / of as f64 * size as f64);
    match (width == height, choose(width, height) == width) {
        (true, _) => [size, size],
        (_, true) => [size, follow(height, width)],
        (_, false) => [follow(width, height), size],
    }
}

fn by_area([width, height]: [usize; 2], megapixels: f64, multiple: usize) -> [usize; 2] {
    let factor = ((megapixels * 1024.0 * 1024.0).floor() / (width * height) as f64).sqrt();
    [width, height].map(|side| rounded(side as f64 * factor / multiple as f64).max(1) * multiple)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, image};

    #[test]
    fn every_way_to_say_a_size() {
        let number = |value: f64| Value::Float(value);
        type Case<'a> = (&'a str, &'a [(&'a str, Value)], [usize; 2]);
        let cases: &[Case] = &[
            ("scale by multiplier", &[("multiplier", number(0.5))], [4, 2]),
            ("scale longer dimension", &[("longer_size", Value::Int(16))], [16, 8]),
            ("scale shorter dimension", &[("shorter_size", Value::Int(8))], [16, 8]),
            ("scale width", &[("width", Value::Int(2))], [2, 1]),
            ("scale height", &[("height", Value::Int(6))], [12, 6]),
            ("scale total pixels", &[("megapixels", number(0.0001))], [14, 7]),
            ("scale to multiple", &[("multiple", Value::Int(3))], [6, 3]),
            (
                "scale dimensions",
                &[("width", Value::Int(5)), ("height", Value::Int(0)), ("crop", Value::text("center"))],
                [5, 2],
            ),
            ("match size", &[("match", image(1, 3, 9).into()), ("crop", Value::text("center"))], [9, 3]),
        ];
        for (kind, fields, want) in cases {
            let mut bench = Bench::new().with("input", image(2, 4, 8)).with("scale_method", Value::text("area"));
            bench = bench.with("resize_type", Value::text(*kind));
            for (name, value) in *fields {
                bench = bench.with(&format!("resize_type.{name}"), value.clone());
            }
            let found = bench.run(&ResizeImageMaskNode).unwrap().object::<Image>(0);
            assert_eq!([found.width(), found.height()], *want, "{kind}");
        }
    }

    #[test]
    fn masks_stay_masks() {
        let mask = Mask::of_channel(&image(1, 4, 8), 0);
        let bench = Bench::new().with("input", mask).with("scale_method", Value::text("bilinear"));
        let bench = bench.with("resize_type", Value::text("scale width")).with("resize_type.width", Value::Int(16));
        assert_eq!(bench.run(&ResizeImageMaskNode).unwrap().object::<Mask>(0).sizes(), [1, 8, 16]);
    }
}
