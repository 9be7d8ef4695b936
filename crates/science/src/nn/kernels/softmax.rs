//! The softmax of rows and its reverse pass.

use super::pointwise::{exp, vectorised};

/// Sums run in so many lanes, so that they are the same at every kernel level.
const LANES: usize = 16;

/// Σ f(row, i), or any other fold of all i, by lanes.
macro_rules! by_lanes {
    ($len:expr, $start:expr, $fold:expr, |$i:ident| $term:expr) => {{
        let mut lanes = [$start; LANES];
        let whole = $len - $len % LANES;
        let mut first = 0;
        while first < whole {
            for lane in 0..LANES {
                let $i = first + lane;
                lanes[lane] = $fold(lanes[lane], $term);
            }
            first += LANES;
        }
        for lane in 0..$len - whole {
            let $i = whole + lane;
            lanes[lane] = $fold(lanes[lane], $term);
        }
        let mut total = lanes[0];
        for lane in 1..LANES {
            total = $fold(total, lanes[lane]);
        }
        total
    }};
}

#[inline(always)]
fn sum(a: f32, b: f32) -> f32 {
    a + b
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

vectorised! {
    /// softmax(`scale`·x) of each row of `width` numbers, in place.
    pub fn softmax(rows: &mut [f32], width: usize, scale: f32) {
        for row in rows.chunks_exact_mut(width) {
            let largest = by_lanes!(width, f32::NEG_INFINITY, larger, |i| row[i]);
            for x in row.iter_mut() {
                *x = exp((*x - largest) * scale);
            }
            let total = by_lanes!(width, 0.0, sum, |i| row[i]);
            let inverse = 1.0 / total;
            for x in row.iter_mut() {
                *x *= inverse;
            }
        }
    }
}

vectorised! {
    /// From dw = dL/d softmax(`scale`·x), and w the softmax, to dL/dx, in place.
    pub fn softmax_gradient(w: &[f32], width: usize, scale: f32, dw: &mut [f32]) {
        for (w, dw) in w.chunks_exact(width).zip(dw.chunks_exact_mut(width)) {
            let mean = by_lanes!(width, 0.0, sum, |i| w[i] * dw[i]);
            for (w, dw) in w.iter().zip(dw) {
                *dw = scale * w * (*dw - mean);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::normal;

    /// Against sums in f64, to the rounding of a few operations in f32: also with scores far beyond what an exponential can
    /// hold, where the weights go to one pixel.
    #[test]
    fn softmax_is_accurate() {
        for size in [1.0, 500.0] {
            let x: Vec<f32> = normal(3, 3 * 37).iter().map(|x| size * x).collect();
            let mut y = x.clone();
            softmax(&mut y, 37, 0.5);
            for (x, y) in x.chunks_exact(37).zip(y.chunks_exact(37)) {
                let largest = x.iter().fold(f64::NEG_INFINITY, |m, &x| m.max(f64::from(x)));
                let terms: Vec<f64> = x.iter().map(|&x| (0.5 * (f64::from(x) - largest)).exp()).collect();
                let total: f64 = terms.iter().sum();
                for (y, term) in y.iter().zip(&terms) {
                    let exact = term / total;
                    // The scaled difference is rounded to its 24 bits before the exponential; below e⁻⁸⁷ it stays there.
                    let digits = 1e-6 * (4.0 - exact.max(1e-38).ln());
                    let error = (f64::from(*y) - exact).abs();
                    assert!(error < digits * exact + 1e-36, "{y}, {exact}");
                }
            }
        }
    }
}
