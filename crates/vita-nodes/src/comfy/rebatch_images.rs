//! `RebatchImages`: batches of another length.

use crate::prelude::*;

pub struct RebatchImages;

impl Node for RebatchImages {
    fn spec(&self) -> Spec {
        let mut spec = Spec::new("RebatchImages", "image/batch")
            .module("comfy_extras.nodes_rebatch", Style::V3)
            .display("Rebatch Images")
            .input("images", link("IMAGE"))
            .input("batch_size", whole(1, 1..=4096).tooltip("Pictures a batch; the last may have fewer."))
            .output("IMAGE")
            .describe("Takes all batches together and cuts them anew; what follows is run once for each.");
        spec.input_is_list = true;
        spec.outputs[0].is_list = true;
        spec
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let length = inputs.count("batch_size")?.max(1);
        let mut pictures = Vec::new();
        for value in inputs.list("images") {
            let image = value.downcast::<Image>().ok_or_else(|| NodeError::value("`images` holds no pictures"))?;
            pictures.extend((0..image.count()).map(|index| image.range(index, 1)));
        }
        let batches = pictures.chunks(length).map(|pictures| {
            let first = pictures[0].sizes();
            match pictures.iter().all(|picture| picture.sizes() == first) {
                true => Ok(Image::join(pictures).into()),
                false => Err(NodeError::value("pictures of different sizes cannot be one batch")),
            }
        });
        Ok(Outputs { slots: vec![batches.collect::<Result<_, _>>()?], ui: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bench, image};

    #[test]
    fn batches_are_cut_anew() {
        let images = vec![image(3, 2, 2).into(), image(2, 2, 2).into()];
        let bench = Bench::new().with_list("images", images).with("batch_size", Value::Int(2));
        let slots = bench.run(&RebatchImages).unwrap().slots;
        let counts: Vec<usize> = slots[0].iter().map(|value| value.downcast::<Image>().unwrap().count()).collect();
        assert_eq!(counts, [2, 2, 1]);
    }
}
