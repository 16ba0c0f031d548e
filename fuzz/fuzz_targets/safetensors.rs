//! A checkpoint of any bytes opens or is refused, and one that opens can be used.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vita_weights::{Checkpoint, Role, identify};

fuzz_target!(|bytes: &[u8]| {
    let Ok(checkpoint) = Checkpoint::from_bytes(bytes.to_vec(), "fuzz") else { return };
    for (name, stored) in checkpoint.tensors() {
        if let Ok(tensor) = checkpoint.tensor(name) {
            assert_eq!(tensor.bytes().len(), tensor.size_bytes());
            assert_eq!(tensor.dims(), stored.dims);
        }
    }
    let identity = identify(&checkpoint);
    assert_eq!(identity.tensor_count, checkpoint.tensors().len());
    for role in Role::ALL {
        let Ok(weights) = checkpoint.weights(role) else { continue };
        for (name, stored) in weights.all() {
            let _ = weights.weight(name, &stored.dims);
        }
    }
});
