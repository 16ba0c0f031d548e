//! What most probes take and give: weights, tensors in, tensors out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use vita_base::Report;
use vita_tensor::Tensor;
use vita_weights::{Checkpoint, Role, Weights, write_safetensors};

use crate::terminal;

/// The three files.
#[derive(Args, Debug)]
pub struct Files {
    /// The module's checkpoint, in any format that is read.
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// Where the inputs are, by name, `.safetensors`.
    #[arg(long, value_name = "FILE")]
    inputs: PathBuf,
    #[command(flatten)]
    pub outputs: Outputs,
}

/// Where the result goes.
#[derive(Args, Debug)]
pub struct Outputs {
    /// Where the result goes, as tensor `out`, `.safetensors`; a file of that name is replaced.
    #[arg(long, value_name = "FILE")]
    outputs: PathBuf,
}

impl Files {
    /// The network's tensors.
    ///
    /// # Errors
    /// If the file holds no such network.
    pub fn weights(&self, role: Role) -> Result<Weights, Report> {
        Ok(Checkpoint::open(&self.weights)?.weights(role)?)
    }

    /// # Errors
    /// If the inputs' file cannot be read.
    pub fn inputs(&self) -> Result<Inputs, Report> {
        Ok(Inputs(Checkpoint::open(&self.inputs)?))
    }
}

impl Outputs {
    /// Writes the result, and says its shape.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, out: &Tensor) -> Result<(), Report> {
        write_safetensors(&self.outputs, &[("out", out)], &BTreeMap::new())?;
        terminal::print(&format!("{}: out {}", self.outputs.display(), out.dims()))
    }
}

/// Tensors that a probe is given.
pub struct Inputs(Checkpoint);

impl Inputs {
    /// A tensor of as many axes as are named.
    ///
    /// # Errors
    /// If it is missing, empty, or has another number of axes.
    pub fn tensor(&self, name: &str, axes: &[&str]) -> Result<Tensor, Report> {
        let tensor = self.0.tensor(name)?;
        let found = tensor.dims();
        if found.len() != axes.len() || found.element_count() == 0 {
            let expected = axes.join(", ");
            return Err(self.error(format!("`{name}` is {found}, expected [{expected}], none of them 0")));
        }
        Ok(tensor)
    }

    /// Like [`Self::tensor`], or `None` where there is no tensor of that name.
    ///
    /// # Errors
    /// If it is empty or has another number of axes.
    pub fn optional(&self, name: &str, axes: &[&str]) -> Result<Option<Tensor>, Report> {
        self.0.stored(name).map(|_| self.tensor(name, axes)).transpose()
    }

    /// Whether there is a tensor of a name.
    pub fn has(&self, name: &str) -> bool {
        self.0.stored(name).is_some()
    }

    /// A tensor of whole numbers from 0 on, below 2^32.
    ///
    /// # Errors
    /// Like [`Self::tensor`], or if it holds something else.
    pub fn integers(&self, name: &str, axes: &[&str]) -> Result<(Tensor, Vec<u32>), Report> {
        let tensor = self.tensor(name, axes)?;
        if tensor.dtype().is_float() {
            return Err(self.error(format!("`{name}` is of type {}, expected integers", tensor.dtype())));
        }
        let size = tensor.dtype().size_bytes();
        let values = tensor.bytes().chunks_exact(size).map(|bytes| {
            // Every integer type that files have fits, but i64, whose large values are refused below anyway.
            let value = tensor.dtype().decode(bytes);
            (0.0..=f64::from(u32::MAX)).contains(&value).then_some(value as u32)
        });
        let values: Option<Vec<u32>> = values.collect();
        let values =
            values.ok_or_else(|| self.error(format!("`{name}` holds numbers below 0 or above {}", u32::MAX)))?;
        Ok((tensor, values))
    }

    /// # Errors
    /// If a tensor's first axis, the batch, is not `count`.
    pub fn check_batch(&self, name: &str, tensor: &Tensor, count: usize) -> Result<(), Report> {
        match tensor.dims()[0] {
            found if found == count => Ok(()),
            _ => Err(self.error(format!("`{name}` is {}, expected a batch of {count}", tensor.dims()))),
        }
    }

    pub fn error(&self, problem: String) -> Report {
        Report::new(format!("the input {problem}")).with_hint(format!("write it anew into `{}`", self.0.name()))
    }
}

/// Results of a batch, one after the other: `[B, ..]`.
///
/// # Panics
/// If there are none, or their shapes differ.
pub fn stack(parts: &[Tensor]) -> Tensor {
    let one = parts[0].dims();
    let dims: Vec<usize> = [parts.len()].into_iter().chain(one.iter().copied()).collect();
    let values = parts.iter().flat_map(|part| {
        assert_eq!(part.dims(), one, "results of one batch");
        part.to_vec()
    });
    Tensor::from_vec(values.collect(), &dims[..])
}
