//! The potentials that stages take as a parameter: `free`, or `{harmonic: {stiffness: 2}}`.

use onsager_runner::kind::stage::Checks;
use onsager_science::motion::systems::System;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
}

fn one() -> f64 {
    1.0
}

fn four() -> f64 {
    4.0
}

impl Potential {
    pub fn name(&self) -> &'static str {
        match self {
            Potential::Free {} => "free",
            Potential::ConstantForce { .. } => "constant-force",
            Potential::Harmonic { .. } => "harmonic",
            Potential::Cubic { .. } => "cubic",
            Potential::Quartic { .. } => "quartic",
            Potential::Morse { .. } => "morse",
            Potential::DoubleWell { .. } => "double-well",
        }
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
        };
        for (field, value) in settings {
            let path = format!("potential.{}.{field}", self.name());
            checks.finite(&[(&path, value)]);
        }
    }
}
