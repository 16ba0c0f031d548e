//! The arguments of a kernel, each where the driver reads it.

use std::ffi::c_void;

use super::Pointer;

/// Room for one argument; as large and as aligned as the largest, a tensor map.
#[derive(Clone, Copy)]
#[repr(C, align(128))]
pub struct Slot([u64; 16]);

/// What the copy engine is told of a tile, opaque.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorMap(pub [u64; 16]);

/// Something a kernel takes by value.
pub trait Argument {
    /// Its bytes, from the start of a slot.
    fn slot(self) -> Slot;
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        impl Argument for $type {
            fn slot(self) -> Slot {
                let mut bytes = [0u8; 8];
                bytes[..size_of::<$type>()].copy_from_slice(&self.to_ne_bytes());
                let mut words = [0; 16];
                words[0] = u64::from_ne_bytes(bytes);
                Slot(words)
            }
        }
    )*};
}

plain!(u32, u64, f32);

impl Argument for Pointer {
    fn slot(self) -> Slot {
        self.0.slot()
    }
}

impl Argument for TensorMap {
    fn slot(self) -> Slot {
        Slot(self.0)
    }
}

/// A kernel's arguments, in the order it declares them.
#[derive(Clone, Default)]
pub struct Arguments(Vec<Slot>);

impl Arguments {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more.
    #[must_use]
    pub fn with(mut self, argument: impl Argument) -> Self {
        self.0.push(argument.slot());
        self
    }

    /// Where each lies. The pointers are good as long as `self` is.
    pub fn addresses(&self) -> Vec<*mut c_void> {
        self.0.iter().map(|slot| std::ptr::from_ref(slot).cast_mut().cast()).collect()
    }
}
