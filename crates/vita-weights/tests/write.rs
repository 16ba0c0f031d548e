//! Files that are written are read back the same.

mod common;

use std::collections::BTreeMap;

use common::{f32s, failure, zeros};
use vita_tensor::{DType, Tensor};
use vita_weights::{Checkpoint, write_safetensors};

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.safetensors");
    let half = common::checkpoint(&[zeros("h", "F16", &[3])]).tensor("h").unwrap();
    let values = Tensor::from_vec((0..6).map(|i| i as f32).collect(), [2, 3]);
    let turned = values.permute(&[1, 0]);
    let nothing = Tensor::zeros([0, 4]);
    let metadata = BTreeMap::from([("seed".to_owned(), "7 \"quoted\"".to_owned())]);
    let tensors = [("a_half", &half), ("values", &values), ("turned", &turned), ("nothing", &nothing)];
    // Twice: a file that is there is replaced.
    for _ in 0..2 {
        write_safetensors(&path, &tensors, &metadata).unwrap();
    }
    let read = Checkpoint::open(&path).unwrap();
    assert_eq!(read.metadata(), &metadata);
    assert_eq!(read.tensors().len(), 4);
    assert_eq!(read.get("values", &[2, 3]).unwrap().f32s(), values.f32s(), "aligned, so that no copy is needed");
    assert_eq!(read.get("turned", &[3, 2]).unwrap().to_vec(), [0., 3., 1., 4., 2., 5.]);
    assert_eq!(read.get("a_half", &[3]).unwrap().dtype(), DType::F16);
    assert_eq!(read.get("nothing", &[0, 4]).unwrap().element_count(), 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn a_file_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let x = Tensor::zeros([1]);
    let path = folder.path().join("no/out.safetensors");
    let (message, hint) = failure(write_safetensors(&path, &[("x", &x)], &BTreeMap::new()));
    assert!(message.starts_with(&format!("cannot write `{}`: ", path.display())), "{message}");
    assert_eq!(hint, "create the folder first, or choose another place");

    let path = folder.path().join("out.safetensors");
    let (message, _) = failure(write_safetensors(&path, &[("x", &x), ("x", &x)], &BTreeMap::new()));
    assert_eq!(message, format!("cannot write `{}`: tensor name `x` is already taken", path.display()));
    assert!(!path.exists());
}

#[test]
fn tensors_outlive_the_checkpoint_and_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    std::fs::write(&path, common::file(&[f32s("x", &[2], &[1.0, -2.0])], &[])).unwrap();
    let tensor = Checkpoint::open(&path).unwrap().tensor("x").unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(tensor.to_vec(), [1.0, -2.0]);
}
