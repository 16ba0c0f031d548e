//! What every target of checkpoints does: bytes are refused, or open and can be used.

use vita_weights::{Checkpoint, Role, identify};

/// Opens bytes and reads everything in them in every way.
pub fn use_all(bytes: Vec<u8>) {
    let Ok(checkpoint) = Checkpoint::from_bytes(bytes, "fuzz") else { return };
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
}
