//! Sums over latents.

use vita_tensor::Tensor;

/// Values that are summed at a time: their `f64` sums stay in the first cache.
const CHUNK: usize = 1024;

/// Sum of `factor * tensor`, in `f64`, rounded once. All tensors are contiguous and of one shape.
pub(crate) fn combine<const N: usize>(terms: [(f64, &Tensor); N]) -> Tensor {
    combine_slice(&terms)
}

/// [`combine`] of a number of terms that is not known beforehand, at least one.
pub(crate) fn combine_slice(terms: &[(f64, &Tensor)]) -> Tensor {
    let dims = terms.first().expect("a sum of no latents").1.dims();
    assert!(terms.iter().all(|(_, tensor)| tensor.dims() == dims), "latents of one shape");
    let mut out = Tensor::scratch(dims);
    let mut sums = [0.0; CHUNK];
    for (index, out) in out.f32s_mut().chunks_mut(CHUNK).enumerate() {
        let sums = &mut sums[..out.len()];
        sums.fill(0.0);
        for (factor, tensor) in terms {
            let values = &tensor.f32s()[index * CHUNK..][..out.len()];
            sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += factor * f64::from(value));
        }
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = *sum as f32);
    }
    out
}

/// `(x - denoised) / sigma`: where the flow goes, Karras' `d`.
pub(crate) fn direction(x: &Tensor, denoised: &Tensor, sigma: f64) -> Tensor {
    combine([(1.0 / sigma, x), (-1.0 / sigma, denoised)])
}
