//! Frames of videos put after one another: whole frames `[F, H, W, C]`, so plain copies.

use std::ops::Range;

use vita_tensor::Tensor;

/// Copies contiguous videos of equal frames into one.
pub fn concat(parts: &[&Tensor]) -> Tensor {
    let [_, height, width, channels] = parts[0].sizes();
    let count = parts.iter().map(|part| part.dims()[0]).sum::<usize>();
    let mut whole = Tensor::scratch([count, height, width, channels]);
    let mut rest = whole.f32s_mut();
    for part in parts {
        let (here, after) = rest.split_at_mut(part.element_count());
        here.copy_from_slice(part.f32s());
        rest = after;
    }
    whole
}

/// The last `count` frames of `before` and `x` together, in a buffer of their own.
pub fn tail(before: Option<Tensor>, x: &Tensor, count: usize) -> Tensor {
    let last = |video: &Tensor, count: usize| {
        let frames = video.dims()[0];
        video.narrow(0, frames - count.min(frames), count.min(frames))
    };
    let from_x = last(x, count);
    match before {
        Some(before) => concat(&[&last(&before, count - from_x.dims()[0]), &from_x]),
        None => concat(&[&from_x]),
    }
}

/// `[first.., T, h, w, 2 C]` as frames: each frame of the second becomes two, of its first and of its
/// second half of channels. first: `[F, h, w, C]`. Returns `[F + 2 T, h, w, C]`.
pub fn with_doubled(first: Option<&Tensor>, pairs: &Tensor) -> Tensor {
    let [count, height, width, both] = pairs.sizes();
    let channels = both / 2;
    let before = first.map_or(0, |first| first.dims()[0]);
    let mut whole = Tensor::scratch([before + 2 * count, height, width, channels]);
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

/// Cuts `count` frames into as few even ranges as hold at most `most` each.
pub fn pieces(count: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let pieces = count.div_ceil(most.max(1));
    (0..pieces).map(move |i| i * count / pieces..(i + 1) * count / pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(frames: usize, start: f32) -> Tensor {
        Tensor::from_vec((0..frames * 4).map(|i| start + i as f32).collect(), [frames, 1, 2, 2])
    }

    #[test]
    fn tails_reach_into_the_past() {
        let (before, x) = (video(2, 0.0), video(1, 8.0));
        assert_eq!(tail(Some(before.clone()), &x, 2).to_vec(), [4., 5., 6., 7., 8., 9., 10., 11.]);
        assert_eq!(tail(Some(before.clone()), &x, 5).dims()[0], 3);
        assert_eq!(tail(None, &before, 1).to_vec(), [4., 5., 6., 7.]);
    }

    #[test]
    fn halves_of_channels_become_frames() {
        let pairs = Tensor::from_vec((0..8).map(|i| i as f32).collect(), [1, 1, 2, 4]);
        assert_eq!(with_doubled(None, &pairs).to_vec(), [0., 1., 4., 5., 2., 3., 6., 7.]);
        let first = video(1, 20.0);
        let whole = with_doubled(Some(&first), &pairs);
        assert_eq!((whole.dims()[0], &whole.to_vec()[..5]), (3, &[20., 21., 22., 23., 0.][..]));
    }

    #[test]
    fn pieces_are_even_and_complete() {
        for (count, most, want) in [(5, 4, &[(0, 2), (2, 5)][..]), (4, 4, &[(0, 4)]), (3, 0, &[(0, 1), (1, 2), (2, 3)])]
        {
            let got: Vec<_> = pieces(count, most).map(|range| (range.start, range.end)).collect();
            assert_eq!(got, want);
        }
        assert_eq!(pieces(0, 3).count(), 0);
    }
}
