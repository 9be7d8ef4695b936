//! Heun's method on the probability flow.
//!
//! With φ = arctan √((1 − ᾱ)/ᾱ), √ᾱ = cos φ and √(1 − ᾱ) = sin φ, the flow is dx/dφ = v = cos φ ε − sin φ x̂_0, a turn in the plane of x̂_0 and
//! ε: where they do not change, x(φ + h) = cos h x + sin h v, which is the step of DDIM. Heun's step takes the mean of v at both ends, the second one
//! turned back by h. In σ̄ = tan φ and x/cos φ, the usual variables, the same idea fails where σ̄ is huge (2·10⁴ at the end of the cosine schedule): there
//! its steps in σ̄ span decades.

use super::denoiser::{Denoiser, Node, SamplingError};
use super::schedule::Spacing;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Heun's method on the probability flow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Heun {
    /// Which steps are kept.
    pub spacing: Spacing,
}

/// φ of a node.
pub(super) fn angle(node: &Node) -> f64 {
    libm::atan2((1.0 - node.alpha_bar).sqrt(), node.alpha_bar.sqrt())
}

/// v = cos φ ε − sin φ x̂_0 at a node.
fn velocity<D: Denoiser>(
    denoiser: &D,
    node: &Node,
    x: &[f64],
    count: usize,
    clip: bool,
) -> Result<Vec<f64>, SamplingError<D::Error>> {
    let (clean, noise) = node.clean_and_noise(denoiser, x, count, clip)?;
    let (cos, sin) = (node.alpha_bar.sqrt(), (1.0 - node.alpha_bar).sqrt());
    Ok(clean.iter().zip(&noise).map(|(c, e)| cos * e - sin * c).collect())
}

/// x after a turn by h, with the velocity v at its beginning.
pub(super) fn turn(x: &[f64], v: &[f64], h: f64) -> Vec<f64> {
    let (sin, cos) = libm::sincos(h);
    x.iter().zip(v).map(|(x, v)| cos * x + sin * v).collect()
}

/// The mean of the velocity v at the beginning of a turn by h, and of `end` at its end `x`, turned back.
pub(super) fn mean_velocity(v: &[f64], x: &[f64], end: &[f64], h: f64) -> Vec<f64> {
    let (sin, cos) = libm::sincos(h);
    v.iter().zip(x).zip(end).map(|((v, x), end)| 0.5 * (v + cos * end + sin * x)).collect()
}

/// Follows the flow over the nodes, from `x` at the first. The last step, to ᾱ = 1, ends in x̂_0.
pub fn follow<D: Denoiser>(
    denoiser: &D,
    nodes: &[Node],
    mut x: Vec<f64>,
    count: usize,
    clip: bool,
    mut seen: impl FnMut(&[f64]) -> Result<(), D::Error>,
) -> Result<Vec<f64>, SamplingError<D::Error>> {
    for pair in nodes.windows(2) {
        if pair[1].t == 0 {
            x = pair[0].clean_and_noise(denoiser, &x, count, clip)?.0;
        } else {
            let h = angle(&pair[1]) - angle(&pair[0]);
            let v = velocity(denoiser, &pair[0], &x, count, clip)?;
            let there = turn(&x, &v, h);
            let end = velocity(denoiser, &pair[1], &there, count, clip)?;
            x = turn(&x, &mean_velocity(&v, &there, &end, h), h);
        }
        seen(&x).map_err(SamplingError::Denoiser)?;
    }
    Ok(x)
}
