//! `ImageToMask`: one channel of pictures as masks.

use crate::prelude::*;

pub struct ImageToMask;

const CHANNELS: [&str; 4] = ["red", "green", "blue", "alpha"];

impl Node for ImageToMask {
    fn spec(&self) -> Spec {
        Spec::new("ImageToMask", "mask")
            .module("comfy_extras.nodes_mask", Style::V3)
            .display("Convert Image to Mask")
            .input("image", link("IMAGE"))
            .input("channel", combo(CHANNELS))
            .output("MASK")
            .describe("Takes one channel of pictures as masks.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let image = inputs.object::<Image>("image")?;
        let name = inputs.text("channel")?;
        let channel = CHANNELS.iter().position(|channel| *channel == name);
        match channel.filter(|&channel| channel < image.channels()) {
            Some(channel) => one(Mask::of_channel(&image, channel)),
            None => Err(NodeError::value(format!("`image` has no channel `{name}`, only {}", image.channels()))),
        }
    }
}
