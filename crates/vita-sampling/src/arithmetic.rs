//! Sums over latents.

use vita_tensor::Tensor;

/// Sum of `factor * tensor`, in `f64`, rounded once. All tensors are contiguous and of one shape.
pub(crate) fn combine<const N: usize>(terms: [(f64, &Tensor); N]) -> Tensor {
    combine_slice(&terms)
}

/// [`combine`] of a number of terms that is not known beforehand, at least one.
pub(crate) fn combine_slice(terms: &[(f64, &Tensor)]) -> Tensor {
    let dims = terms.first().expect("a sum of no latents").1.dims();
    let mut sums = vec![0.0f64; dims.element_count()];
    for (factor, tensor) in terms {
        assert_eq!(tensor.dims(), dims, "latents of one shape");
        for (sum, &value) in sums.iter_mut().zip(tensor.f32s()) {
            *sum += factor * f64::from(value);
        }
    }
    Tensor::from_vec(sums.into_iter().map(|sum| sum as f32).collect(), dims)
}

/// `(x - denoised) / sigma`: where the flow goes, Karras' `d`.
pub(crate) fn direction(x: &Tensor, denoised: &Tensor, sigma: f64) -> Tensor {
    combine([(1.0 / sigma, x), (-1.0 / sigma, denoised)])
}
