//! Which instruction set runs the kernels, and the vector functions they share.
//!
//! Kernels are written once over `pulp::Simd` and compiled for each instruction set; [`Isa::run`]
//! enters the compiled form. Everything a kernel calls must be `#[inline(always)]`, or it is
//! compiled without the instruction set's features.

mod math;

use std::fmt;

use pulp::{Simd, WithSimd};

pub(crate) use math::{erf, exp, sigmoid, tanh};

/// An instruction set that this processor has.
#[derive(Clone, Copy)]
pub struct Isa(Token);

#[derive(Clone, Copy)]
enum Token {
    Portable(pulp::Scalar),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
}

impl Isa {
    /// Every one that this processor has, slowest first.
    pub fn available() -> Vec<Self> {
        let mut all = vec![Self(Token::Portable(pulp::Scalar::new()))];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(pulp::x86::V3::try_new().map(|token| Self(Token::Avx2(token))));
            all.extend(pulp::x86::V4::try_new().map(|token| Self(Token::Avx512(token))));
        }
        #[cfg(target_arch = "aarch64")]
        all.extend(pulp::aarch64::Neon::try_new().map(|token| Self(Token::Neon(token))));
        all
    }

    /// The fastest that this processor has.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(token) = pulp::x86::V4::try_new() {
                return Self(Token::Avx512(token));
            }
            if let Some(token) = pulp::x86::V3::try_new() {
                return Self(Token::Avx2(token));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if let Some(token) = pulp::aarch64::Neon::try_new() {
            return Self(Token::Neon(token));
        }
        Self(Token::Portable(pulp::Scalar::new()))
    }

    /// Runs a kernel compiled for this instruction set, on this thread.
    #[inline]
    pub(crate) fn run<K: WithSimd>(self, kernel: K) -> K::Output {
        match self.0 {
            Token::Portable(simd) => Simd::vectorize(simd, kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(simd) => Simd::vectorize(simd, kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(simd) => Simd::vectorize(simd, kernel),
            #[cfg(target_arch = "aarch64")]
            Token::Neon(simd) => Simd::vectorize(simd, kernel),
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Token::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Token::Neon(_) => "neon",
        })
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads one vector from `values`, which must be long enough.
///
/// # Safety
/// `pointer` must be readable for `S::F32_LANES` floats.
#[inline(always)]
pub(crate) unsafe fn load<S: Simd>(pointer: *const f32) -> S::f32s {
    // SAFETY: readable, by this function's contract; any alignment is fine, any bits are a vector.
    unsafe { pointer.cast::<S::f32s>().read_unaligned() }
}

/// Writes one vector.
///
/// # Safety
/// `pointer` must be writable for `S::F32_LANES` floats.
#[inline(always)]
pub(crate) unsafe fn store<S: Simd>(pointer: *mut f32, value: S::f32s) {
    // SAFETY: writable, by this function's contract.
    unsafe { pointer.cast::<S::f32s>().write_unaligned(value) }
}

/// A function of many operations on each value. As a closure, which nothing forces to be compiled into the kernel, it
/// would be called without the instruction set's features: [`map_in_place`] is for a few operations.
pub(crate) trait Pointwise: Copy {
    fn of<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s;
}

/// Applies `function` to every value of a slice, a vector at a time; the last vector may be partial.
#[inline(always)]
pub(crate) fn apply_in_place<S: Simd>(simd: S, values: &mut [f32], function: impl Pointwise) {
    let (body, tail) = S::as_mut_simd_f32s(values);
    for value in body {
        *value = function.of(simd, *value);
    }
    if !tail.is_empty() {
        let value = function.of(simd, simd.partial_load_f32s(tail));
        simd.partial_store_f32s(tail, value);
    }
}

/// Applies `f`, of a few operations, to every value of a slice, a vector at a time; the last vector may be partial.
#[inline(always)]
pub(crate) fn map_in_place<S: Simd>(simd: S, values: &mut [f32], f: impl Fn(S::f32s) -> S::f32s) {
    let (body, tail) = S::as_mut_simd_f32s(values);
    for value in body {
        *value = f(*value);
    }
    if !tail.is_empty() {
        let value = f(simd.partial_load_f32s(tail));
        simd.partial_store_f32s(tail, value);
    }
}

/// [`map_in_place`] with a second operand of the same length.
#[inline(always)]
pub(crate) fn zip_in_place<S: Simd>(
    simd: S,
    values: &mut [f32],
    other: &[f32],
    f: impl Fn(S::f32s, S::f32s) -> S::f32s,
) {
    debug_assert_eq!(values.len(), other.len());
    let (body, tail) = S::as_mut_simd_f32s(values);
    let (other_body, other_tail) = S::as_simd_f32s(other);
    for (value, &with) in body.iter_mut().zip(other_body) {
        *value = f(*value, with);
    }
    if !tail.is_empty() {
        let value = f(simd.partial_load_f32s(tail), simd.partial_load_f32s(other_tail));
        simd.partial_store_f32s(tail, value);
    }
}
