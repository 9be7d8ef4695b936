//! DPM-Solver++(2M): the probability flow in λ = ½ ln(ᾱ/(1 − ᾱ)), linear in x beside x̂_0, with x̂_0 extrapolated from two steps (Lu 2022,
//! arXiv:2211.01095, algorithm 2).

use super::denoiser::{Denoiser, Node, SamplingError};
use super::schedule::Spacing;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// DPM-Solver++(2M).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DpmSolver {
    /// Which steps are kept.
    pub spacing: Spacing,
}

impl Default for DpmSolver {
    fn default() -> DpmSolver {
        DpmSolver { spacing: Spacing::LogSnr }
    }
}

/// Follows the flow over the nodes, from `x` at the first. The first step is of order 1, for want of an earlier x̂_0, and so is the last, to
/// ᾱ = 1, which ends in x̂_0.
pub fn follow<D: Denoiser>(
    denoiser: &D,
    nodes: &[Node],
    mut x: Vec<f64>,
    count: usize,
    clip: bool,
    mut seen: impl FnMut(&[f64]) -> Result<(), D::Error>,
) -> Result<Vec<f64>, SamplingError<D::Error>> {
    // x̂_0 of the step before and the length of that step in λ.
    let mut before: Option<(Vec<f64>, f64)> = None;
    for pair in nodes.windows(2) {
        let (clean, _) = pair[0].clean_and_noise(denoiser, &x, count, clip)?;
        if pair[1].t == 0 {
            x = clean;
        } else {
            let h = pair[1].log_snr() - pair[0].log_snr();
            let keep = ((1.0 - pair[1].alpha_bar) / (1.0 - pair[0].alpha_bar)).sqrt();
            let gain = -pair[1].alpha_bar.sqrt() * libm::expm1(-h);
            for (i, x) in x.iter_mut().enumerate() {
                let middle = match &before {
                    Some((last, step)) => clean[i] + 0.5 * h / step * (clean[i] - last[i]),
                    None => clean[i],
                };
                *x = keep * *x + gain * middle;
            }
            before = Some((clean, h));
        }
        seen(&x).map_err(SamplingError::Denoiser)?;
    }
    Ok(x)
}
