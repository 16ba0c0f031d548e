//! Pictures to another size, as PyTorch's `interpolate` and Pillow's `resize` do it.
