//! Where the times of a reverse process lie.

use super::sde::Sde;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The spacing of the times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TimeSpacing {
    /// Equal steps of t.
    #[default]
    Equal,
    /// Equal steps of λ = ln(m²/σ²), the logarithm of the signal-to-noise ratio, as for fast solvers (Lu et al. 2022,
    /// arXiv:2206.00927). As dλ = −(g²/σ²) dt where variance is preserved, each step's noise is the same small part of the variance, however
    /// large g² grows. Needs σ² > 0 at t_min.
    LogSnr,
}

impl TimeSpacing {
    /// The `steps` + 1 times from t_max down to t_min.
    pub fn times(self, sde: &Sde, steps: usize) -> Vec<f64> {
        let (t_min, t_max) = sde.times();
        let ratio = |t: f64| 2.0 * libm::log(sde.mean(t)) - libm::log(sde.variance(t));
        let (first, last) = (ratio(t_max), ratio(t_min));
        let at = |step: usize| match (self, step) {
            (_, 0) => t_max,
            (_, step) if step == steps => t_min,
            (TimeSpacing::Equal, step) => t_max - step as f64 * ((t_max - t_min) / steps as f64),
            (TimeSpacing::LogSnr, step) => {
                let wanted = first + (last - first) * (step as f64 / steps as f64);
                // λ falls with t: halved until the ends are neighbouring numbers.
                let (mut low, mut high) = (t_min, t_max);
                loop {
                    let middle = 0.5 * (low + high);
                    if middle <= low || middle >= high {
                        return middle;
                    }
                    if ratio(middle) > wanted { low = middle } else { high = middle }
                }
            }
        };
        (0..=steps).map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::continuous::sde::{self, Cosine};

    /// Both begin and end at the process's ends and fall throughout; λ is cos and sin of one angle for `cosine`, so its times are known:
    /// tan(πt/2) = exp(−λ/2).
    #[test]
    fn times_of_both_spacings() {
        for sde in sde::tests::all() {
            for spacing in [TimeSpacing::Equal, TimeSpacing::LogSnr] {
                let times = spacing.times(&sde, 37);
                assert_eq!((times[0], times[37], times.len()), (sde.times().1, sde.times().0, 38));
                assert!(times.windows(2).all(|pair| pair[1] < pair[0]), "{sde:?} {spacing:?}");
            }
            let equal = TimeSpacing::Equal.times(&sde, 10);
            assert!((equal[5] - 0.5 * (equal[0] + equal[10])).abs() < 1e-15);
        }
        let times = TimeSpacing::LogSnr.times(&Sde::Cosine(Cosine::default()), 50);
        let half_angle = |t: f64| libm::log(libm::tan(std::f64::consts::FRAC_PI_2 * t));
        let step = (half_angle(times[50]) - half_angle(times[0])) / 50.0;
        for (k, &t) in times.iter().enumerate() {
            assert!((half_angle(t) - half_angle(times[0]) - step * k as f64).abs() < 1e-11, "{k}");
        }
        assert_eq!(TimeSpacing::LogSnr.times(&Sde::default(), 1), [1.0, 0.01]);
    }
}
