//! `LatentConcat`: two latents side by side, or one after the other.

use vita_pipeline::LatentSpace;
use vita_tensor::Tensor;

use crate::prelude::*;

pub struct LatentConcat;

impl Node for LatentConcat {
    fn spec(&self) -> Spec {
        Spec::new("LatentConcat", "latent/advanced")
            .module("comfy_extras.nodes_latent", Style::V3)
            .input("samples1", link("LATENT"))
            .input("samples2", link("LATENT"))
            .input(
                "dim",
                combo(["x", "-x", "y", "-y", "t", "-t"])
                    .tooltip("Where the second lies: right, left, below, above, after, before."),
            )
            .output("LATENT")
            .describe("Puts two latents together along an axis.")
    }

    fn run(&self, inputs: &Inputs, _: &mut Context<'_>) -> Result<Outputs, NodeError> {
        let second = inputs.object::<Latents>("samples2")?;
        let dim = inputs.text("dim")?;
        let axis = axis_of(dim)?;
        one(inputs.object::<Latents>("samples1")?.map(|index, first| {
            let second = &second.items()[index % second.items().len()];
            let second = second.samples_in(LatentSpace::Raw).map_err(|error| NodeError::of(&error))?;
            if dim.starts_with('-') { concat(&second, &first, axis) } else { concat(&first, &second, axis) }
        })?)
    }
}

/// Of `[C, T, h, w]`.
pub(crate) fn axis_of(dim: &str) -> Result<usize, NodeError> {
    match dim.trim_start_matches('-') {
        "t" => Ok(1),
        "y" => Ok(2),
        "x" => Ok(3),
        _ => Err(NodeError::value(format!("`dim` {dim} is none of x, y and t"))),
    }
}

fn concat(first: &Tensor, second: &Tensor, axis: usize) -> Result<Tensor, NodeError> {
    let (before, after) = (first.dims(), second.dims());
    let fits = before.len() == after.len() && (0..before.len()).all(|i| i == axis || before[i] == after[i]);
    if !fits {
        return Err(NodeError::value(format!("latents of {before} and {after} do not fit together along `dim`")));
    }
    let [inner_first, inner_second] = [first, second].map(|part| part.dims()[axis..].iter().product::<usize>());
    let (first, second) = (first.to_contiguous_f32(), second.to_contiguous_f32());
    let blocks = first.f32s().chunks_exact(inner_first.max(1)).zip(second.f32s().chunks_exact(inner_second.max(1)));
    let values = blocks.flat_map(|(first, second)| first.iter().chain(second).copied()).collect();
    let mut dims = before.to_vec();
    dims[axis] += after[axis];
    Ok(Tensor::from_vec(values, &dims[..]))
}

#[cfg(test)]
mod tests {
    use vita_pipeline::Latent;

    use super::*;
    use crate::comfy::{latent_cut::LatentCut, trim_video_latent::TrimVideoLatent};
    use crate::testing::{Bench, Ran};

    fn latent(dims: [usize; 4], first: f32) -> Latents {
        let count = dims.iter().product::<usize>();
        Latent::raw(Tensor::from_vec((0..count).map(|i| first + i as f32).collect(), dims)).into()
    }

    fn values(out: &Ran) -> Vec<f32> {
        out.object::<Latents>(0).items()[0].samples.to_vec()
    }

    #[test]
    fn what_is_put_together_can_be_cut_apart() {
        for dim in ["x", "-x", "y", "-y", "t", "-t"] {
            let (first, second) = (latent([2, 1, 2, 3], 0.0), latent([2, 1, 2, 3], 100.0));
            let bench = Bench::new().with("samples1", first).with("samples2", second).with("dim", Value::text(dim));
            let joined = bench.run(&LatentConcat).unwrap();
            let axis = axis_of(dim).unwrap();
            let length = [2, 1, 2, 3][axis];
            assert_eq!(joined.object::<Latents>(0).dims().unwrap()[axis], 2 * length, "{dim}");
            let index = if dim.starts_with('-') { 0 } else { length };
            let bench = bench.with("samples", joined.value(0).clone()).with("dim", Value::text(dim.trim_matches('-')));
            let bench = bench.with("index", Value::Int(index as i128)).with("amount", Value::Int(99));
            let cut = if index == 0 { bench.with("amount", Value::Int(length as i128)) } else { bench };
            let want: Vec<f32> = (0..12).map(|i| 100.0 + i as f32).collect();
            assert_eq!(values(&cut.run(&LatentCut).unwrap()), want, "{dim}");
        }
    }

    #[test]
    fn ends_are_kept_inside_and_beginnings_dropped() {
        let bench = Bench::new().with("samples", latent([1, 4, 1, 1], 0.0)).with("dim", Value::text("t"));
        for (index, amount, want) in
            [(-1, 5, vec![3.0]), (-9, 2, vec![0.0, 1.0]), (9, 2, vec![3.0]), (1, 2, vec![1.0, 2.0])]
        {
            let bench = bench.clone().with("index", Value::Int(index)).with("amount", Value::Int(amount));
            assert_eq!(values(&bench.run(&LatentCut).unwrap()), want, "{index} {amount}");
        }
        let trim = |amount| bench.clone().with("trim_amount", Value::Int(amount)).run(&TrimVideoLatent);
        assert_eq!(values(&trim(1).unwrap()), [1.0, 2.0, 3.0]);
        assert_eq!(trim(4).unwrap_err().to_string(), "`trim_amount` 4 leaves nothing of 4 latent frames");
    }
}
