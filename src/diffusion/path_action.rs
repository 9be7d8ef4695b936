//! The action of a path of the reverse chain, `A_θ[x] = Σ_t ‖x_{t−1} − μ_θ(x_t, t)‖²/(2 σ_t²)`: the
//! Onsager–Machlup action of a discrete diffusion path. The chain gives the path the probability density ∝
//! exp(−A_θ).

use super::sampler::{Denoiser, Step};

/// The action of each of `count` paths, recomputed from their states (as [`super::sampler::sample_paths`]
/// gives them) with fresh calls of the denoiser. Steps without noise carry no action. On paths that were
/// sampled without clipping, 2A follows the χ² law with (numbers of a state) × (number of noisy steps)
/// degrees of freedom.
pub fn path_actions<D: Denoiser>(
    denoiser: &D,
    plan: &[Step],
    states: &[Vec<f32>],
    count: usize,
) -> Result<Vec<f64>, D::Error> {
    let mut actions = vec![0.0; count];
    for (step, pair) in plan.iter().zip(states.windows(2)) {
        if step.noise == 0.0 {
            continue;
        }
        let mean = step.mean(denoiser, &pair[0], count, false)?;
        let size = mean.len() / count.max(1);
        for (i, action) in actions.iter_mut().enumerate() {
            let rows = i * size..(i + 1) * size;
            let distance: f64 =
                pair[1][rows.clone()].iter().zip(&mean[rows]).map(|(&x, m)| (f64::from(x) - m).powi(2)).sum();
            *action += distance / (2.0 * step.noise * step.noise);
        }
    }
    Ok(actions)
}
