//! Scores: s(x, t) ≈ ∇ ln p_t(x), of points in one or two dimensions, eight at a time.

use crate::nn::kernels::jet::Jet;
use crate::nn::kernels::lane::Lane;
use crate::nn::networks::swish_mlp::SwishMlp;

/// A score. A plain function of (t, x) is one too.
pub trait Score<const D: usize>: Sync {
    /// s of eight points, each at its own time.
    fn score(&self, t: Lane, x: [Lane; D]) -> [Lane; D];
}

/// A score whose derivatives by x are known exactly.
pub trait SmoothScore<const D: usize>: Score<D> {
    /// s with its derivatives: none, the first or all up to the third, as ORDER says.
    fn jets<const ORDER: usize>(&self, t: Lane, x: [Lane; D]) -> [Jet<D, ORDER>; D];
}

impl<const D: usize, F: Fn(f64, [f64; D]) -> [f64; D] + Sync> Score<D> for F {
    fn score(&self, t: Lane, x: [Lane; D]) -> [Lane; D] {
        let mut out = [Lane::ZERO; D];
        for i in 0..t.0.len() {
            let s = self(t[i], x.map(|x| x[i]));
            for (out, s) in out.iter_mut().zip(s) {
                out[i] = s;
            }
        }
        out
    }
}

impl<const D: usize> Score<D> for SwishMlp {
    fn score(&self, t: Lane, x: [Lane; D]) -> [Lane; D] {
        self.evaluate::<D, 0>(t, x).map(|s| s.value())
    }
}

impl<const D: usize> SmoothScore<D> for SwishMlp {
    fn jets<const ORDER: usize>(&self, t: Lane, x: [Lane; D]) -> [Jet<D, ORDER>; D] {
        self.evaluate(t, x)
    }
}
