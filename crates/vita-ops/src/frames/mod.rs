//! Frames of videos put after one another: whole frames `[F, H, W, C]`, so plain copies.

mod card;

use vita_tensor::Tensor;

use crate::card::Site;

/// Copies contiguous videos of equal frames into one, of the first one's type.
///
/// # Panics
/// If there are none, or frames differ.
#[must_use]
pub fn concat_frames(parts: &[&Tensor]) -> Tensor {
    let [_, height, width, channels] = parts[0].sizes();
    let count = parts.iter().map(|part| part.dims()[0]).sum::<usize>();
    let dims = [count, height, width, channels];
    let (site, dtype) = (Site::of(parts.iter().copied()), card::dtype(parts));
    if let Some(whole) = site.make(dtype, dims, |card| card::concat(card, parts, dtype, dims)) {
        return whole;
    }
    let mut whole = Tensor::scratch(dims);
    let mut rest = whole.f32s_mut();
    for part in parts {
        let (here, after) = rest.split_at_mut(part.element_count());
        here.copy_from_slice(part.f32s());
        rest = after;
    }
    whole
}

/// `[first.., T, h, w, 2 C]` as frames: each frame of the second becomes two, of its first and of its
/// second half of channels. first: `[F, h, w, C]`. Returns `[F + 2 T, h, w, C]`.
///
/// # Panics
/// If channels are odd, or frames differ.
#[must_use]
pub fn with_doubled_frames(first: Option<&Tensor>, pairs: &Tensor) -> Tensor {
    let [count, height, width, both] = pairs.sizes();
    let channels = both / 2;
    let before = first.map_or(0, |first| first.dims()[0]);
    let dims = [before + 2 * count, height, width, channels];
    let site = Site::of(first.into_iter().chain([pairs]));
    if let Some(whole) = site.make(pairs.dtype(), dims, |card| card::with_doubled(card, first, pairs, dims)) {
        return whole;
    }
    let mut whole = Tensor::scratch(dims);
    let frame = height * width * channels;
    let (head, doubled) = whole.f32s_mut().split_at_mut(before * frame);
    if let Some(first) = first {
        head.copy_from_slice(first.f32s());
    }
    for (pixels, to) in pairs.f32s().chunks_exact(2 * frame).zip(doubled.chunks_exact_mut(2 * frame)) {
        let (even, odd) = to.split_at_mut(frame);
        for (i, pixel) in pixels.chunks_exact(both).enumerate() {
            even[i * channels..][..channels].copy_from_slice(&pixel[..channels]);
            odd[i * channels..][..channels].copy_from_slice(&pixel[channels..]);
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_follow_one_another() {
        let video = |frames: usize, start: usize| {
            Tensor::from_vec((start..start + frames * 4).map(|i| i as f32).collect(), [frames, 1, 2, 2])
        };
        let want: Vec<f32> = (0..12).map(|i| i as f32).collect();
        assert_eq!(concat_frames(&[&video(2, 0), &video(0, 8), &video(1, 8)]).to_vec(), want);
    }

    #[test]
    fn halves_of_channels_become_frames() {
        let pairs = Tensor::from_vec((0..8).map(|i| i as f32).collect(), [1, 1, 2, 4]);
        assert_eq!(with_doubled_frames(None, &pairs).to_vec(), [0., 1., 4., 5., 2., 3., 6., 7.]);
        let first = Tensor::from_vec((20..24).map(|i| i as f32).collect(), [1, 1, 2, 2]);
        let whole = with_doubled_frames(Some(&first), &pairs);
        assert_eq!((whole.dims()[0], &whole.to_vec()[..5]), (3, &[20., 21., 22., 23., 0.][..]));
    }
}
