//! Eight `f64` side by side: what is computed for eight points at once.
//!
//! Each element is computed by itself, so a point's result does not depend on its neighbours; the compiler makes vector
//! instructions of it where the caller enables them. Only [`Lane::mul_add`] and what is asked to be `FUSED` fuses
//! multiplication and addition.

use std::ops::{Add, AddAssign, Div, Index, IndexMut, Mul, Neg, Sub};

/// The number of points that are computed together.
pub const LANES: usize = 8;

/// One number of each of [`LANES`] points.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[repr(align(64))]
pub struct Lane(pub [f64; LANES]);

impl Lane {
    pub const ZERO: Lane = Lane([0.0; LANES]);

    /// The same number for every point.
    #[inline(always)]
    pub fn splat(x: f64) -> Lane {
        Lane([x; LANES])
    }

    /// `f` of each number.
    #[inline(always)]
    pub fn map(self, mut f: impl FnMut(f64) -> f64) -> Lane {
        let mut out = self;
        for x in &mut out.0 {
            *x = f(*x);
        }
        out
    }

    #[inline(always)]
    fn zip(self, other: Lane, f: impl Fn(f64, f64) -> f64) -> Lane {
        let mut out = self;
        for i in 0..LANES {
            out.0[i] = f(out.0[i], other.0[i]);
        }
        out
    }

    /// The larger number of each pair.
    #[inline(always)]
    pub fn max(self, other: Lane) -> Lane {
        self.zip(other, f64::max)
    }

    /// x · `by` + `add`, rounded once. Where the machine has no such instruction this is slow.
    #[inline(always)]
    pub fn mul_add(self, by: f64, add: Lane) -> Lane {
        self.zip(add, |x, add| x.mul_add(by, add))
    }

    /// e^x.
    #[inline(always)]
    pub fn exp(self) -> Lane {
        self.map(exp::<false>)
    }

    /// 1/(1 + e^−x).
    #[inline(always)]
    pub fn sigmoid<const FUSED: bool>(self) -> Lane {
        self.map(|x| 1.0 / (1.0 + exp::<FUSED>(-x)))
    }
}

/// Up to eight points side by side: a lane for each coordinate, zero where there is no point.
pub fn side_by_side<const D: usize>(points: &[[f64; D]]) -> [Lane; D] {
    let at = |d: usize, i: usize| points.get(i).map_or(0.0, |point: &[f64; D]| point[d]);
    std::array::from_fn(|d| Lane(std::array::from_fn(|i| at(d, i))))
}

macro_rules! arithmetic {
    ($($operation:ident $method:ident $symbol:tt),*) => {$(
        impl $operation for Lane {
            type Output = Lane;
            #[inline(always)]
            fn $method(self, other: Lane) -> Lane {
                self.zip(other, |a, b| a $symbol b)
            }
        }

        impl $operation<f64> for Lane {
            type Output = Lane;
            #[inline(always)]
            fn $method(self, other: f64) -> Lane {
                self.map(|a| a $symbol other)
            }
        }

        impl $operation<Lane> for f64 {
            type Output = Lane;
            #[inline(always)]
            fn $method(self, other: Lane) -> Lane {
                other.map(|b| self $symbol b)
            }
        }
    )*};
}
arithmetic!(Add add +, Sub sub -, Mul mul *, Div div /);

impl Neg for Lane {
    type Output = Lane;
    #[inline(always)]
    fn neg(self) -> Lane {
        self.map(|x| -x)
    }
}

impl AddAssign for Lane {
    #[inline(always)]
    fn add_assign(&mut self, other: Lane) {
        *self = *self + other;
    }
}

impl Index<usize> for Lane {
    type Output = f64;
    #[inline(always)]
    fn index(&self, i: usize) -> &f64 {
        &self.0[i]
    }
}

impl IndexMut<usize> for Lane {
    #[inline(always)]
    fn index_mut(&mut self, i: usize) -> &mut f64 {
        &mut self.0[i]
    }
}

/// e^x to about one unit in the last place, saturating beyond ±708: x = n ln 2 + r and the Taylor series of e^r.
#[inline(always)]
fn exp<const FUSED: bool>(x: f64) -> f64 {
    // Adding 1.5 · 2^52 rounds to an integer, which stands in the lowest bits.
    const ROUND: f64 = 1.5 * (1u64 << 52) as f64;
    // ln 2 in two parts, the first with 20 trailing zero bits, so that n times it is exact.
    const LN_2_HIGH: f64 = f64::from_bits(std::f64::consts::LN_2.to_bits() & !0xF_FFFF);
    const LN_2_LOW: f64 = (std::f64::consts::LN_2 - LN_2_HIGH) + 2.319_046_813_846_299_6e-17;
    // 1/12! … 1/2!.
    const SERIES: [f64; 11] = [
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
    ];
    let product_and = |a: f64, b: f64, c: f64| if FUSED { a.mul_add(b, c) } else { a * b + c };
    let x = x.clamp(-708.0, 708.0);
    let rounded = product_and(x, std::f64::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = product_and(n, -LN_2_LOW, product_and(n, -LN_2_HIGH, x));
    let series = SERIES.iter().fold(1.0 / 6_227_020_800.0, |sum, &term| product_and(sum, r, term));
    let power = f64::from_bits((rounded.to_bits().wrapping_add(1023) & 0x7FF) << 52);
    (1.0 + product_and(r * r, series, r)) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against libm, which is right to one unit in the last place.
    #[test]
    fn exp_is_accurate() {
        for i in -70_000..=70_000 {
            let x = f64::from(i) * 0.010_037;
            assert!((exp::<false>(x) / libm::exp(x) - 1.0).abs() < 6e-16, "{x}");
            assert!((exp::<true>(x) / libm::exp(x) - 1.0).abs() < 6e-16, "{x}");
        }
        assert!(exp::<false>(-1e9) > 0.0 && exp::<false>(1e9).is_finite() && exp::<false>(f64::NAN).is_nan());
    }

    #[test]
    fn arithmetic_is_by_element() {
        let a = Lane(std::array::from_fn(|i| i as f64));
        let b = 2.0 - a * 3.0 / Lane::splat(2.0) + a;
        assert_eq!(b, a.map(|a| 2.0 - a * 3.0 / 2.0 + a));
        assert_eq!((-a)[3], -3.0);
    }
}
