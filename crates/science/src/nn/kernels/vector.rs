//! Vector registers: kernels are written once, for any of them, and compiled for each kernel level.

/// A vector register of `f32`. The methods of an implementation run its instructions, so they are called from functions
/// that enable them, which is what `by_level` makes; all code between must be inlined, so it is written in loops:
/// closures are compiled without those instructions.
pub trait Vector: Copy {
    const LANES: usize;
    fn splat(x: f32) -> Self;
    /// # Safety
    /// `from` holds `LANES` numbers.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// `to` has room for `LANES` numbers.
    unsafe fn store(self, to: *mut f32);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// self + x·y, rounded once, but twice where there is no such instruction.
    fn multiply_add(self, x: Self, y: Self) -> Self;

    /// The first `width` numbers of a slice, at most `LANES`, and zeros.
    #[inline(always)]
    fn read(from: &[f32], width: usize) -> Self {
        if width == Self::LANES {
            let from = &from[..width];
            // SAFETY: the slice has `LANES` numbers.
            unsafe { Self::load(from.as_ptr()) }
        } else {
            let mut lanes = [0.0; MOST_LANES];
            lanes[..width].copy_from_slice(&from[..width]);
            // SAFETY: the array has at least `LANES` numbers.
            unsafe { Self::load(lanes.as_ptr()) }
        }
    }

    /// The first `width` lanes into a slice.
    #[inline(always)]
    fn write(self, to: &mut [f32], width: usize) {
        if width == Self::LANES {
            let to = &mut to[..width];
            // SAFETY: the slice has `LANES` numbers.
            unsafe { self.store(to.as_mut_ptr()) }
        } else {
            let mut lanes = [0.0; MOST_LANES];
            // SAFETY: the array has at least `LANES` numbers.
            unsafe { self.store(lanes.as_mut_ptr()) }
            to[..width].copy_from_slice(&lanes[..width]);
        }
    }

    /// self·x.
    #[inline(always)]
    fn scale(self, x: f32) -> Self {
        self.mul(Self::splat(x))
    }
}

/// The lanes of the widest register.
pub const MOST_LANES: usize = 16;

impl Vector for [f32; 8] {
    const LANES: usize = 8;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        [x; 8]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise; an array of f32 needs no more alignment than an f32.
        unsafe { *from.cast() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { *to.cast() = self }
    }

    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        for i in 0..8 {
            self[i] += other[i];
        }
        self
    }

    #[inline(always)]
    fn sub(mut self, other: Self) -> Self {
        for i in 0..8 {
            self[i] -= other[i];
        }
        self
    }

    #[inline(always)]
    fn mul(mut self, other: Self) -> Self {
        for i in 0..8 {
            self[i] *= other[i];
        }
        self
    }

    #[inline(always)]
    fn multiply_add(self, x: Self, y: Self) -> Self {
        self.add(x.mul(y))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    macro_rules! vector {
        ($vector:ident, $lanes:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $mul:ident,
         $fma:ident) => {
            // SAFETY (of all): the trait's condition on the caller.
            impl Vector for $vector {
                const LANES: usize = $lanes;
                #[inline(always)]
                fn splat(x: f32) -> Self {
                    unsafe { $splat(x) }
                }
                #[inline(always)]
                unsafe fn load(from: *const f32) -> Self {
                    unsafe { $load(from) }
                }
                #[inline(always)]
                unsafe fn store(self, to: *mut f32) {
                    unsafe { $store(to, self) }
                }
                #[inline(always)]
                fn add(self, other: Self) -> Self {
                    unsafe { $add(self, other) }
                }
                #[inline(always)]
                fn sub(self, other: Self) -> Self {
                    unsafe { $sub(self, other) }
                }
                #[inline(always)]
                fn mul(self, other: Self) -> Self {
                    unsafe { $mul(self, other) }
                }
                #[inline(always)]
                fn multiply_add(self, x: Self, y: Self) -> Self {
                    unsafe { $fma(x, y, self) }
                }
            }
        };
    }

    vector!(
        __m512,
        16,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_mul_ps,
        _mm512_fmadd_ps
    );
    vector!(
        __m256,
        8,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_mul_ps,
        _mm256_fmadd_ps
    );
}

/// A function for any register `V`, compiled for each kernel level; a call runs that of this process.
macro_rules! by_level {
    ($(#[$doc:meta])* $vis:vis fn $name:ident<$v:ident>($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$doc])*
        $vis fn $name($($arg: $type),*) {
            #[inline(always)]
            fn body<$v: $crate::nn::kernels::vector::Vector>($($arg: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f")]
                fn avx512($($arg: $type),*) {
                    body::<std::arch::x86_64::__m512>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $type),*) {
                    body::<std::arch::x86_64::__m256>($($arg),*)
                }
                match onsager_numerics::kernel::Level::current() {
                    // SAFETY: `Level::current` is at most what the machine can run.
                    onsager_numerics::kernel::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    onsager_numerics::kernel::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    onsager_numerics::kernel::Level::Portable => {}
                }
            }
            body::<[f32; 8]>($($arg),*)
        }
    };
}
pub(crate) use by_level;
