//! Parts of videos `[F, H, W, C]`: ends of them, and even pieces.

use std::ops::Range;

use vita_ops::concat_frames;
use vita_tensor::Tensor;

/// The last `count` frames of `before` and `x` together, in a buffer of their own.
pub fn tail(before: Option<Tensor>, x: &Tensor, count: usize) -> Tensor {
    let last = |video: &Tensor, count: usize| {
        let frames = video.dims()[0];
        video.narrow(0, frames - count.min(frames), count.min(frames))
    };
    let from_x = last(x, count);
    match before {
        Some(before) => concat_frames(&[&last(&before, count - from_x.dims()[0]), &from_x]),
        None => concat_frames(&[&from_x]),
    }
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
    fn pieces_are_even_and_complete() {
        for (count, most, want) in [(5, 4, &[(0, 2), (2, 5)][..]), (4, 4, &[(0, 4)]), (3, 0, &[(0, 1), (1, 2), (2, 3)])]
        {
            let got: Vec<_> = pieces(count, most).map(|range| (range.start, range.end)).collect();
            assert_eq!(got, want);
        }
        assert_eq!(pieces(0, 3).count(), 0);
    }
}
