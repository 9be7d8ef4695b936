//! Numbers with their exact partial derivatives (forward mode), in one or two variables.
//!
//! A `Jet<D, ORDER>` holds a value and its derivatives by the D variables: none (ORDER 0), the first (1), or all up to
//! the third (3). Equal mixed derivatives are held once. As D ≤ 2, their place within an order is how often the second
//! variable occurs, so ∂_i ∂_j stands at i + j.

use super::lane::Lane;
use std::ops::{Add, Mul};

/// A number of each of eight points, with its partial derivatives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jet<const D: usize, const ORDER: usize>([Lane; COLUMNS]);

/// The derivatives of two variables up to the third order; fewer variables or orders leave the last ones zero.
const COLUMNS: usize = 10;

/// The indices of the n-th second and the n-th third derivative.
const PAIRS: [[usize; 2]; 3] = [[0, 0], [0, 1], [1, 1]];
const TRIPLES: [[usize; 3]; 4] = [[0, 0, 0], [0, 0, 1], [0, 1, 1], [1, 1, 1]];

impl<const D: usize, const ORDER: usize> Jet<D, ORDER> {
    /// The number of columns in use: 1, 1 + D, or 4 and 10.
    pub const COLUMNS: usize = [1, 1 + D, 0, 6 * D - 2][ORDER];
    /// Where the second and the third derivatives begin.
    const SECOND: usize = 1 + D;
    const THIRD: usize = 3 * D;

    /// A constant.
    #[inline(always)]
    pub fn constant(value: Lane) -> Jet<D, ORDER> {
        const { assert!((D == 1 || D == 2) && (ORDER <= 1 || ORDER == 3)) };
        let mut jet = Jet([Lane::ZERO; COLUMNS]);
        jet.0[0] = value;
        jet
    }

    /// The variable number `i`.
    #[inline(always)]
    pub fn variable(i: usize, value: Lane) -> Jet<D, ORDER> {
        let mut jet = Jet::constant(value);
        if ORDER >= 1 {
            jet.0[1 + i] = Lane::splat(1.0);
        }
        jet
    }

    /// From its columns in use: the value, then the derivatives order by order.
    #[inline(always)]
    pub fn from_columns(columns: &[Lane]) -> Jet<D, ORDER> {
        let mut jet = Jet::constant(Lane::ZERO);
        jet.0[..Self::COLUMNS].copy_from_slice(&columns[..Self::COLUMNS]);
        jet
    }

    /// The columns in use.
    #[inline(always)]
    pub fn columns(&self) -> &[Lane] {
        &self.0[..Self::COLUMNS]
    }

    /// The value.
    #[inline(always)]
    pub fn value(&self) -> Lane {
        self.0[0]
    }

    /// ∂_i; zero in jets of order 0.
    #[inline(always)]
    pub fn first(&self, i: usize) -> Lane {
        self.0[1 + i]
    }

    /// ∂_i ∂_j, of jets of the third order.
    #[inline(always)]
    pub fn second(&self, i: usize, j: usize) -> Lane {
        self.0[Self::SECOND + i + j]
    }

    /// ∂_i ∂_j ∂_k, of jets of the third order.
    #[inline(always)]
    pub fn third(&self, i: usize, j: usize, k: usize) -> Lane {
        self.0[Self::THIRD + i + j + k]
    }

    /// φ(u), with `f` the values of φ, φ', φ'' and φ''' at u (Faà di Bruno).
    #[inline(always)]
    pub fn compose(&self, f: [Lane; 4]) -> Jet<D, ORDER> {
        let u = self;
        let mut out = Jet::constant(f[0]);
        if ORDER >= 1 {
            for i in 0..D {
                out.0[1 + i] = f[1] * u.first(i);
            }
        }
        if ORDER == 3 {
            for (n, &[i, j]) in PAIRS.iter().enumerate().take(2 * D - 1) {
                out.0[Self::SECOND + n] = f[2] * (u.first(i) * u.first(j)) + f[1] * u.second(i, j);
            }
            for (n, &[i, j, k]) in TRIPLES.iter().enumerate().take(3 * D - 2) {
                let mixed =
                    u.second(i, j) * u.first(k) + u.second(i, k) * u.first(j) + u.second(j, k) * u.first(i);
                let cube = u.first(i) * u.first(j) * u.first(k);
                out.0[Self::THIRD + n] = f[3] * cube + f[2] * mixed + f[1] * u.third(i, j, k);
            }
        }
        out
    }

    /// e^u.
    #[inline(always)]
    pub fn exp(&self) -> Jet<D, ORDER> {
        self.compose([self.value().exp(); 4])
    }

    /// 1/u.
    #[inline(always)]
    pub fn recip(&self) -> Jet<D, ORDER> {
        let r = 1.0 / self.value();
        self.compose([r, -(r * r), 2.0 * (r * r * r), -6.0 * (r * r * r * r)])
    }

    /// u · sigmoid(u), the swish; `FUSED` as in [`Lane::sigmoid`].
    #[inline(always)]
    pub fn swish<const FUSED: bool>(&self) -> Jet<D, ORDER> {
        let (z, s) = (self.value(), self.value().sigmoid::<FUSED>());
        let s1 = s * (1.0 - s);
        let s2 = s1 * (1.0 - 2.0 * s);
        let s3 = s1 * (1.0 - 6.0 * s1);
        self.compose([z * s, s + z * s1, 2.0 * s1 + z * s2, 3.0 * s2 + z * s3])
    }

    /// The jet times a number of each point.
    #[inline(always)]
    pub fn scale(&self, by: Lane) -> Jet<D, ORDER> {
        let mut out = *self;
        out.0[..Self::COLUMNS].iter_mut().for_each(|x| *x = *x * by);
        out
    }
}

impl<const D: usize, const ORDER: usize> Add for Jet<D, ORDER> {
    type Output = Jet<D, ORDER>;
    #[inline(always)]
    fn add(self, other: Jet<D, ORDER>) -> Jet<D, ORDER> {
        let mut out = self;
        for i in 0..Self::COLUMNS {
            out.0[i] += other.0[i];
        }
        out
    }
}

impl<const D: usize, const ORDER: usize> Mul for Jet<D, ORDER> {
    type Output = Jet<D, ORDER>;
    /// Leibniz's rule.
    #[inline(always)]
    fn mul(self, v: Jet<D, ORDER>) -> Jet<D, ORDER> {
        let u = self;
        let mut out = Jet::constant(u.value() * v.value());
        if ORDER >= 1 {
            for i in 0..D {
                out.0[1 + i] = u.first(i) * v.value() + u.value() * v.first(i);
            }
        }
        if ORDER == 3 {
            for (n, &[i, j]) in PAIRS.iter().enumerate().take(2 * D - 1) {
                let mixed = u.first(i) * v.first(j) + u.first(j) * v.first(i);
                out.0[Self::SECOND + n] = u.second(i, j) * v.value() + mixed + u.value() * v.second(i, j);
            }
            for (n, &[i, j, k]) in TRIPLES.iter().enumerate().take(3 * D - 2) {
                let mixed = |a: &Jet<D, ORDER>, b: &Jet<D, ORDER>| {
                    a.second(i, j) * b.first(k) + a.second(i, k) * b.first(j) + a.second(j, k) * b.first(i)
                };
                let ends = u.third(i, j, k) * v.value() + u.value() * v.third(i, j, k);
                out.0[Self::THIRD + n] = ends + mixed(&u, &v) + mixed(&v, &u);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// w = exp(x y) · swish(x + y²)/(1 + x²) against derivatives by central differences of the jets one order lower, whose
    /// error is h²/6 times derivatives of a few tens at most: 1e-5 for h = 1e-4, beside rounding of 1e-16/h.
    #[test]
    fn two_variables() {
        fn w<const ORDER: usize>(x: f64, y: f64) -> Jet<2, ORDER> {
            let (x, y) = (Jet::variable(0, Lane::splat(x)), Jet::variable(1, Lane::splat(y)));
            let one = Jet::constant(Lane::splat(1.0));
            (x * y).exp() * (x + y * y).swish::<false>() * (one + x * x).recip()
        }
        let (x, y, h) = (0.4, -0.7, 1e-4);
        let jet = w::<3>(x, y);
        let exact = (x * y).exp() * (x + y * y) / (1.0 + (-x - y * y).exp()) / (1.0 + x * x);
        assert!((jet.value()[3] - exact).abs() < 1e-14);
        assert_eq!(w::<0>(x, y).columns(), &jet.0[..1]);
        assert_eq!(w::<1>(x, y).columns(), &jet.0[..3]);
        for i in 0..2 {
            let [dx, dy] = [[h, 0.0], [0.0, h]][i];
            let (above, below) = (w::<3>(x + dx, y + dy), w::<3>(x - dx, y - dy));
            let close = |derivative: Lane, of: &dyn Fn(&Jet<2, 3>) -> Lane| {
                let difference = (of(&above)[0] - of(&below)[0]) / (2.0 * h);
                assert!((derivative[0] - difference).abs() < 1e-5, "{derivative:?} {difference}");
            };
            close(jet.first(i), &|w| w.value());
            for j in 0..2 {
                close(jet.second(i, j), &|w| w.first(j));
                for k in 0..2 {
                    close(jet.third(i, j, k), &|w| w.second(j, k));
                }
            }
        }
    }

    /// x⁴/(1 + x) in one variable: by polynomial division x³ − x² + x − 1 + 1/(1 + x).
    #[test]
    fn one_variable() {
        let at = 0.3;
        let x = Jet::<1, 3>::variable(0, Lane::splat(at));
        let w = x * x * x * x * (x + Jet::constant(Lane::splat(1.0))).recip();
        let r: f64 = 1.0 / (1.0 + at);
        let exact = [
            at.powi(4) * r,
            3.0 * at * at - 2.0 * at + 1.0 - r * r,
            6.0 * at - 2.0 + 2.0 * r.powi(3),
            6.0 - 6.0 * r.powi(4),
        ];
        assert_eq!(w.columns().len(), 4);
        for (found, exact) in w.columns().iter().zip(exact) {
            assert!((found[5] - exact).abs() < 1e-13);
        }
    }
}
