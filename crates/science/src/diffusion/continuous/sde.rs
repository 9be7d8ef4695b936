//! Forward processes in continuous time: dx = f(x, t) dt + g(t) dw with f = a(t) x, for t from `t_min` to `t_max`.
//!
//! x_t given x_0 is normal with mean m(t) x_0 and variance σ²(t) I. `simple` and `cosine` are those of Hirono, Tanaka and
//! Fukushima (2024, arXiv:2403.11262), the others of Song et al. (2021, section 3.4).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::{FRAC_PI_2, PI};

/// A forward process and its times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sde {
    /// f = −10 t x, g² = 20 t.
    Simple(Simple),
    /// f = −(π/2) tan(πt/2) x, g² = π tan(πt/2).
    Cosine(Cosine),
    /// Variance preserving, with β growing linearly: f = −½ β x, g² = β.
    Vp(Linear),
    /// The same β with less noise: f = −½ β x, g² = β (1 − exp(−2 ∫β)).
    SubVp(Linear),
    /// Variance exploding: f = 0, with σ growing geometrically.
    Ve(Exploding),
}

/// The times of `simple`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Simple {
    /// Where data are taken to be.
    pub t_min: f64,
    /// Where only noise is left.
    pub t_max: f64,
}

/// The times of `cosine`, below 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cosine {
    /// Where data are taken to be.
    pub t_min: f64,
    /// Where only noise is left.
    pub t_max: f64,
}

/// β(t) = `beta_min` + t (`beta_max` − `beta_min`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Linear {
    /// β at t = 0.
    pub beta_min: f64,
    /// β at t = 1.
    pub beta_max: f64,
    /// Where data are taken to be.
    pub t_min: f64,
    /// Where only noise is left.
    pub t_max: f64,
}

/// σ²(t) = s² − `sigma_min`² with s = `sigma_min` (`sigma_max`/`sigma_min`)^t.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Exploding {
    /// s at t = 0.
    pub sigma_min: f64,
    /// s at t = 1.
    pub sigma_max: f64,
    /// Where data are taken to be.
    pub t_min: f64,
    /// Where only noise is left.
    pub t_max: f64,
}

impl Default for Simple {
    fn default() -> Simple {
        Simple { t_min: 0.01, t_max: 1.0 }
    }
}

impl Default for Cosine {
    fn default() -> Cosine {
        Cosine { t_min: 0.01, t_max: 0.999 }
    }
}

impl Default for Linear {
    fn default() -> Linear {
        Linear { beta_min: 0.1, beta_max: 20.0, t_min: 0.01, t_max: 1.0 }
    }
}

impl Default for Exploding {
    fn default() -> Exploding {
        Exploding { sigma_min: 0.01, sigma_max: 20.0, t_min: 0.1, t_max: 1.0 }
    }
}

impl Default for Sde {
    fn default() -> Sde {
        Sde::Simple(Simple::default())
    }
}

impl Linear {
    fn beta(&self, t: f64) -> f64 {
        self.beta_min + t * (self.beta_max - self.beta_min)
    }

    /// ∫_0^t β.
    fn integral(&self, t: f64) -> f64 {
        t * self.beta_min + 0.5 * t * t * (self.beta_max - self.beta_min)
    }
}

impl Exploding {
    fn s_squared(&self, t: f64) -> f64 {
        let s = self.sigma_min * libm::pow(self.sigma_max / self.sigma_min, t);
        s * s
    }
}

impl Sde {
    /// The name.
    pub fn name(&self) -> &'static str {
        match self {
            Sde::Simple(_) => "simple",
            Sde::Cosine(_) => "cosine",
            Sde::Vp(_) => "vp",
            Sde::SubVp(_) => "sub-vp",
            Sde::Ve(_) => "ve",
        }
    }

    /// (`t_min`, `t_max`).
    pub fn times(&self) -> (f64, f64) {
        match *self {
            Sde::Simple(Simple { t_min, t_max })
            | Sde::Cosine(Cosine { t_min, t_max })
            | Sde::Vp(Linear { t_min, t_max, .. })
            | Sde::SubVp(Linear { t_min, t_max, .. })
            | Sde::Ve(Exploding { t_min, t_max, .. }) => (t_min, t_max),
        }
    }

    /// a(t), where f = a(t) x.
    pub fn drift(&self, t: f64) -> f64 {
        match self {
            Sde::Simple(_) => -10.0 * t,
            Sde::Cosine(_) => -FRAC_PI_2 * libm::tan(FRAC_PI_2 * t),
            Sde::Vp(linear) | Sde::SubVp(linear) => -0.5 * linear.beta(t),
            Sde::Ve(_) => 0.0,
        }
    }

    /// g²(t).
    pub fn diffusion(&self, t: f64) -> f64 {
        match self {
            Sde::Simple(_) => 20.0 * t,
            Sde::Cosine(_) => PI * libm::tan(FRAC_PI_2 * t),
            Sde::Vp(linear) => linear.beta(t),
            Sde::SubVp(linear) => linear.beta(t) * -libm::expm1(-2.0 * linear.integral(t)),
            Sde::Ve(e) => 2.0 * e.s_squared(t) * libm::log(e.sigma_max / e.sigma_min),
        }
    }

    /// m(t): x_t has the mean m x_0.
    pub fn mean(&self, t: f64) -> f64 {
        match self {
            Sde::Simple(_) => libm::exp(-5.0 * t * t),
            Sde::Cosine(_) => libm::cos(FRAC_PI_2 * t),
            Sde::Vp(linear) | Sde::SubVp(linear) => libm::exp(-0.5 * linear.integral(t)),
            Sde::Ve(_) => 1.0,
        }
    }

    /// σ²(t): the variance of x_t given x_0.
    pub fn variance(&self, t: f64) -> f64 {
        match self {
            Sde::Simple(_) => -libm::expm1(-10.0 * t * t),
            Sde::Cosine(_) => libm::pow(libm::sin(FRAC_PI_2 * t), 2.0),
            Sde::Vp(linear) => -libm::expm1(-linear.integral(t)),
            Sde::SubVp(linear) => libm::pow(libm::expm1(-linear.integral(t)), 2.0),
            Sde::Ve(e) => e.s_squared(t) - e.s_squared(0.0),
        }
    }

    /// The variance of the normal law that sampling starts from: 1, or σ²(`t_max`) where the variance explodes.
    pub fn prior_variance(&self) -> f64 {
        match self {
            Sde::Ve(e) => self.variance(e.t_max),
            _ => 1.0,
        }
    }

    /// What is wrong with the numbers, as (field, message).
    pub fn issues(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let mut ensure = |holds: bool, field, message: String| {
            if !holds {
                found.push((field, message));
            }
        };
        let (t_min, t_max) = self.times();
        ensure((0.0..1.0).contains(&t_min), "t_min", format!("must be from 0 to below 1, but is {t_min}"));
        let end = if matches!(self, Sde::Cosine(_)) { 1.0 - 1e-6 } else { 1.0 };
        let ordered = t_max > t_min && t_max <= end;
        ensure(ordered, "t_max", format!("must be above `t_min` and at most {end}, but is {t_max}"));
        match self {
            Sde::Vp(l) | Sde::SubVp(l) => {
                ensure(l.beta_min > 0.0, "beta_min", format!("must be positive, but is {}", l.beta_min));
                let grows = l.beta_max >= l.beta_min && l.beta_max.is_finite();
                ensure(grows, "beta_max", format!("must be at least `beta_min`, but is {}", l.beta_max));
            }
            Sde::Ve(e) => {
                ensure(e.sigma_min > 0.0, "sigma_min", format!("must be positive, but is {}", e.sigma_min));
                let grows = e.sigma_max > e.sigma_min && e.sigma_max.is_finite();
                ensure(grows, "sigma_max", format!("must be above `sigma_min`, but is {}", e.sigma_max));
            }
            Sde::Simple(_) | Sde::Cosine(_) => {}
        }
        found
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Every process with its defaults.
    pub(crate) fn all() -> [Sde; 5] {
        [
            Sde::Simple(Simple::default()),
            Sde::Cosine(Cosine::default()),
            Sde::Vp(Linear::default()),
            Sde::SubVp(Linear::default()),
            Sde::Ve(Exploding::default()),
        ]
    }

    /// The transition's moments obey their equations, ṁ = a m and dσ²/dt = 2 a σ² + g², by central differences (error h²
    /// times third derivatives of up to 10⁵ of the values).
    #[test]
    fn moments_obey_their_equations() {
        let h = 1e-5;
        for sde in all() {
            assert_eq!((sde.mean(0.0), sde.variance(0.0)), (1.0, 0.0));
            for t in [0.05, 0.3, 0.6, 0.9] {
                let slope = |f: &dyn Fn(f64) -> f64| (f(t + h) - f(t - h)) / (2.0 * h);
                let (m, v) = (sde.mean(t), sde.variance(t));
                assert!((slope(&|t| sde.mean(t)) - sde.drift(t) * m).abs() < 1e-6, "{sde:?} {t}");
                let expected = 2.0 * sde.drift(t) * v + sde.diffusion(t);
                assert!((slope(&|t| sde.variance(t)) / expected - 1.0).abs() < 1e-6, "{sde:?} {t}");
            }
            assert!(sde.issues().is_empty());
        }
        assert_eq!(Sde::Cosine(Cosine { t_min: 0.5, t_max: 1.0 }).issues().len(), 1);
    }
}
