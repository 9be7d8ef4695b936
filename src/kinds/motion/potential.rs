//! The potentials that stages take as a parameter: `free`, or `{harmonic: {stiffness: 2}}`. `random-motion` takes the name alone and has
//! fields of its own for the settings, with other defaults.

use onsager_runner::kind::stage::Checks;
use onsager_science::motion::systems::{System, TERMS};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A potential's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PotentialName {
    Free,
    ConstantForce,
    Harmonic,
    Cubic,
    Quartic,
    Morse,
    DoubleWell,
    Polynomial,
}

impl PotentialName {
    pub fn name(self) -> &'static str {
        match self {
            PotentialName::Free => "free",
            PotentialName::ConstantForce => "constant-force",
            PotentialName::Harmonic => "harmonic",
            PotentialName::Cubic => "cubic",
            PotentialName::Quartic => "quartic",
            PotentialName::Morse => "morse",
            PotentialName::DoubleWell => "double-well",
            PotentialName::Polynomial => "polynomial",
        }
    }
}

/// A potential V(x), an energy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Potential {
    /// V = 0.
    Free {},
    /// V = F x, F = `force`.
    ConstantForce {
        #[serde(default = "one")]
        force: f64,
    },
    /// V = ½ k x², k = `stiffness`.
    Harmonic {
        #[serde(default = "one")]
        stiffness: f64,
    },
    /// V = ⅓ C x³, C = `coefficient`.
    Cubic {
        #[serde(default = "one")]
        coefficient: f64,
    },
    /// V = ¼ C x⁴, C = `coefficient`: x⁴ by default.
    Quartic {
        #[serde(default = "four")]
        coefficient: f64,
    },
    /// V = C (1 − e^(−α x))², C = `depth`, α = `alpha`.
    Morse {
        #[serde(default = "one")]
        depth: f64,
        #[serde(default = "one")]
        alpha: f64,
    },
    /// V = C (x² − 1)², C = `coefficient`: a barrier of height C between wells at ±1.
    DoubleWell {
        #[serde(default = "one")]
        coefficient: f64,
    },
    /// V = Σ c_n xⁿ, c_0 first, of degree 8 at most.
    Polynomial { coefficients: Coefficients },
}

/// c_0, c_1, … of a polynomial, from 1 to 9 of them; the missing ones are zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct Coefficients([f64; TERMS]);

impl Coefficients {
    /// These and zeros; those beyond the last are left out.
    pub fn padded(given: &[f64]) -> Coefficients {
        let mut all = [0.0; TERMS];
        all.iter_mut().zip(given).for_each(|(c, given)| *c = *given);
        Coefficients(all)
    }

    /// The last one that is not zero, with its power.
    pub fn leading(&self) -> Option<(usize, f64)> {
        self.0.iter().copied().enumerate().rfind(|(_, c)| *c != 0.0)
    }
}

impl TryFrom<Vec<f64>> for Coefficients {
    type Error = String;

    fn try_from(given: Vec<f64>) -> Result<Coefficients, String> {
        match given.len() {
            1..=TERMS => Ok(Coefficients::padded(&given)),
            n => Err(format!("there must be from 1 to {TERMS} coefficients, but there are {n}")),
        }
    }
}

impl From<Coefficients> for Vec<f64> {
    fn from(coefficients: Coefficients) -> Vec<f64> {
        let terms = coefficients.leading().map_or(1, |(power, _)| power + 1);
        coefficients.0[..terms].to_vec()
    }
}

fn one() -> f64 {
    1.0
}

fn four() -> f64 {
    4.0
}

impl Potential {
    pub fn name(&self) -> &'static str {
        let name = match self {
            Potential::Free {} => PotentialName::Free,
            Potential::ConstantForce { .. } => PotentialName::ConstantForce,
            Potential::Harmonic { .. } => PotentialName::Harmonic,
            Potential::Cubic { .. } => PotentialName::Cubic,
            Potential::Quartic { .. } => PotentialName::Quartic,
            Potential::Morse { .. } => PotentialName::Morse,
            Potential::DoubleWell { .. } => PotentialName::DoubleWell,
            Potential::Polynomial { .. } => PotentialName::Polynomial,
        };
        name.name()
    }

    pub fn system(&self) -> System {
        match *self {
            Potential::Free {} => System::Free,
            Potential::ConstantForce { force } => System::ConstantForce { force },
            Potential::Harmonic { stiffness } => System::Harmonic { stiffness },
            Potential::Cubic { coefficient } => System::Cubic { coefficient },
            Potential::Quartic { coefficient } => System::Quartic { coefficient },
            Potential::Morse { depth, alpha } => System::Morse { depth, alpha },
            Potential::DoubleWell { coefficient } => System::DoubleWell { coefficient },
            Potential::Polynomial { coefficients } => System::Polynomial { coefficients: coefficients.0 },
        }
    }

    /// Refuses settings that are not finite.
    pub fn check(&self, checks: &mut Checks) {
        let settings = match *self {
            Potential::Free {} => vec![],
            Potential::ConstantForce { force } => vec![("force", force)],
            Potential::Harmonic { stiffness } => vec![("stiffness", stiffness)],
            Potential::Cubic { coefficient }
            | Potential::Quartic { coefficient }
            | Potential::DoubleWell { coefficient } => vec![("coefficient", coefficient)],
            Potential::Morse { depth, alpha } => vec![("depth", depth), ("alpha", alpha)],
            Potential::Polynomial { coefficients } => {
                coefficients.0.iter().map(|&c| ("coefficients", c)).collect()
            }
        };
        for (field, value) in settings {
            let path = format!("potential.{}.{field}", self.name());
            checks.finite(&[(&path, value)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Both parameters, the name alone and the map, spell a potential alike.
    #[test]
    fn names_are_spelled_alike() {
        for name in
            ["free", "constant-force", "harmonic", "cubic", "quartic", "morse", "double-well", "polynomial"]
        {
            let read: PotentialName = serde_json::from_value(json!(name)).unwrap();
            assert_eq!(read.name(), name);
            let settings = if name == "polynomial" { json!({"coefficients": [1]}) } else { json!({}) };
            let read: Potential = serde_json::from_value(json!({name: settings})).unwrap();
            assert_eq!(read.name(), name);
        }
    }

    #[test]
    fn polynomials_have_from_one_to_nine_coefficients() {
        let read = |coefficients: &[f64]| -> Result<Coefficients, _> { coefficients.to_vec().try_into() };
        let cubic = read(&[0.0, 1.0, 0.0, -2.0, 0.0]).unwrap();
        assert_eq!(cubic.leading(), Some((3, -2.0)));
        assert_eq!(Vec::from(cubic), [0.0, 1.0, 0.0, -2.0]);
        assert_eq!(Vec::from(read(&[0.0]).unwrap()), [0.0]);
        assert!(read(&[]).is_err() && read(&[1.0; 10]).is_err());
    }
}
