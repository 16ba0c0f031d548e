//! Fixture files (`tools/reference/README.md` says what is in them), and the one measure that results
//! are held to.
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::BTreeSet;
use std::path::Path;

use vita_tensor::{Bytes, DType, Tensor};
use vita_weights::{Checkpoint, Role, Weights};

/// One fixture file: weights, and cases of inputs and PyTorch's answers.
pub struct Fixture {
    file: Checkpoint,
    name: String,
}

impl Fixture {
    pub fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{name}.safetensors"));
        Self { file: Checkpoint::open(path).unwrap(), name: name.to_owned() }
    }

    /// Names of the cases, sorted.
    pub fn cases(&self) -> BTreeSet<String> {
        let keys = self.file.tensors().filter_map(|(key, _)| key.strip_prefix("out.")?.strip_suffix(".out"));
        keys.map(str::to_owned).collect()
    }

    /// An input of a case.
    pub fn input(&self, case: &str, name: &str) -> Tensor {
        self.file.tensor(&format!("in.{case}.{name}")).unwrap()
    }

    /// PyTorch's answer.
    pub fn output(&self, case: &str) -> Tensor {
        self.answer(case, "out")
    }

    /// One of several answers.
    pub fn answer(&self, case: &str, name: &str) -> Tensor {
        self.file.tensor(&format!("out.{case}.{name}")).unwrap()
    }

    /// The weights, as a checkpoint of their own would hold them.
    pub fn weights(&self, role: Role) -> Weights {
        self.weights_as(role, |_, weight| Some(weight))
    }

    /// The weights, each changed or left out.
    pub fn weights_as(&self, role: Role, change: impl Fn(&str, Tensor) -> Option<Tensor>) -> Weights {
        let tensors = self.file.tensors().filter_map(|(key, _)| {
            let name = key.strip_prefix("w.")?;
            Some((name.to_owned(), change(name, self.file.tensor(key).unwrap())?))
        });
        checkpoint(&self.name, &tensors.collect::<Vec<_>>()).weights(role).unwrap()
    }
}

/// A checkpoint in memory.
pub fn checkpoint(name: &str, tensors: &[(String, Tensor)]) -> Checkpoint {
    let (mut header, mut bytes) = (String::new(), Vec::new());
    for (key, tensor) in tensors {
        let start = bytes.len();
        bytes.extend_from_slice(tensor.bytes());
        let dtype = match tensor.dtype() {
            DType::F32 => "F32",
            DType::F16 => "F16",
            DType::BF16 => "BF16",
            DType::F8E4M3 => "F8_E4M3",
            other => panic!("no fixture holds {other}"),
        };
        let comma = if header.is_empty() { "" } else { "," };
        let (dims, end) = (tensor.dims(), bytes.len());
        header += &format!(r#"{comma}"{key}":{{"dtype":"{dtype}","shape":{dims},"data_offsets":[{start},{end}]}}"#);
    }
    let header = format!("{{{header}}}");
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.into_bytes());
    file.extend(bytes);
    Checkpoint::from_bytes(file, name).unwrap()
}

/// The upper halves of `f32` values: bf16, cut off.
pub fn to_bf16(weight: &Tensor) -> Tensor {
    let bytes: Vec<u8> = weight.to_vec().iter().flat_map(|value| value.to_le_bytes()[2..].to_vec()).collect();
    Tensor::from_bytes(Bytes::from(bytes), DType::BF16, &weight.dims()).unwrap()
}

/// Rounded to the nearest that e4m3 has.
pub fn to_e4m3(weight: &Tensor) -> Tensor {
    let codes: Vec<(u8, f64)> = (0..0x7f).map(|code| (code, DType::F8E4M3.decode(&[code]))).collect();
    let round = |value: f32| {
        let size = f64::from(value.abs());
        let nearest = codes.partition_point(|(_, known)| *known < size).clamp(1, codes.len() - 1);
        let [below, above] = [codes[nearest - 1], codes[nearest]];
        let (code, _) = if size - below.1 < above.1 - size { below } else { above };
        code | u8::from(value.is_sign_negative()) << 7
    };
    let bytes: Vec<u8> = weight.to_vec().into_iter().map(round).collect();
    Tensor::from_bytes(Bytes::from(bytes), DType::F8E4M3, &weight.dims()).unwrap()
}

/// The same values as `f32`.
pub fn to_f32(weight: &Tensor) -> Tensor {
    weight.to_contiguous_f32()
}

/// Norm of the difference over norm of the reference.
#[track_caller]
pub fn relative_error(got: &Tensor, want: &Tensor) -> f64 {
    assert_eq!(got.dims(), want.dims(), "shape");
    let (mut difference, mut norm) = (0.0, 0.0);
    for (&got, &want) in got.to_vec().iter().zip(&want.to_vec()) {
        difference += (f64::from(got) - f64::from(want)).powi(2);
        norm += f64::from(want).powi(2);
    }
    difference.sqrt() / norm.sqrt()
}

/// Fails unless the error is within the bound; prints it, for `cargo test -- --nocapture`.
#[track_caller]
pub fn assert_close(got: &Tensor, want: &Tensor, bound: f64, what: &str) {
    let error = relative_error(got, want);
    println!("{what}: relative error {error:.1e}");
    // Not `error > bound`: that lets NaN pass.
    assert!(error <= bound, "{what}: relative error {error:.2e}, at most {bound:.0e}");
}
