//! Pictures as numbers and as bytes.

use vita_tensor::Tensor;

/// One frame of a video.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// From 0.
    pub index: usize,
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Rows of red, green, blue.
    pub rgb: &'a [u8],
}

/// Why frames were refused by whoever takes them.
pub type SinkError = Box<dyn std::error::Error + Send + Sync>;

/// Takes frames as they come; its error ends the run.
pub type Sink<'a> = dyn FnMut(Frame<'_>) -> Result<(), SinkError> + 'a;

/// Pictures `[F, H, W, 3]` in 0..1 of packed bytes: rows of red, green, blue.
///
/// # Panics
/// If there are not `count * height * width * 3` bytes.
pub fn pictures([count, height, width]: [usize; 3], rgb: &[u8]) -> Tensor {
    Tensor::from_vec(rgb.iter().map(|&byte| f32::from(byte) / 255.0).collect(), [count, height, width, 3])
}

/// 0..1 to 0..=255, rounded.
pub(crate) fn byte(value: f32) -> u8 {
    (value * 255.0 + 0.5) as u8
}

/// Hands over pictures `[F, H, W, 3]` in 0..1 one by one, as bytes. Returns how many they were.
pub(crate) fn push_frames(pictures: &Tensor, first: usize, sink: &mut Sink) -> Result<usize, SinkError> {
    let [count, height, width, channels] = pictures.sizes();
    let pictures = vita_ops::to_f32(pictures);
    for (i, values) in pictures.f32s().chunks_exact(height * width * channels).enumerate() {
        let rgb: Vec<u8> = values.iter().map(|&value| byte(value)).collect();
        sink(Frame { index: first + i, width, height, rgb: &rgb })?;
    }
    Ok(count)
}

pub(crate) fn is_finite(tensor: &Tensor) -> bool {
    // A sum of products with zero is zero, unless one factor is infinite or no number.
    tensor.f32s().iter().map(|value| value * 0.0).sum::<f32>() == 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_bytes_and_broken_ones_are_found() {
        assert_eq!([-0.1, 0.0, 0.5, 1.0, 1.2, f32::NAN].map(byte), [0, 0, 128, 255, 255, 0]);
        let tensor = |value| Tensor::from_vec(vec![1.0, value, -3e38], [3]);
        assert!(is_finite(&tensor(3e38)));
        assert!(!is_finite(&tensor(f32::NAN)) && !is_finite(&tensor(f32::NEG_INFINITY)));
    }

    #[test]
    fn bytes_survive_the_way_to_numbers_and_back() {
        let bytes: Vec<u8> = (0..=254).chain([255, 0, 9]).collect();
        let pictures = pictures([2, 1, 43], &bytes);
        let mut back = Vec::new();
        push_frames(&pictures, 0, &mut |frame| {
            back.extend_from_slice(frame.rgb);
            Ok(())
        })
        .unwrap();
        assert_eq!(back, bytes);
    }
}
