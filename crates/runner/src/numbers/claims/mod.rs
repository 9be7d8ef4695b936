//! Claims: what a text says of numbers, as something that holds or fails.
//!
//! ```yaml
//! claims:
//!   - free.slope within 0.5 ± 0.02
//!   - {name: better, claim: ddpm.frechet < action_k2.frechet with p < 0.05, text: It is better than chance.}
//!   - min over seeds of accuracy > 0.9
//!   - free.slope in its interval of 0.5
//! ```

pub mod judge;
pub mod read;

use onsager_tables::cells::plain;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is claimed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Claim {
    /// One is less than, or at most, or … the other; with a test where it is more than chance.
    Compare { left: Term, sign: Sign, right: Term, chance: Option<f64> },
    /// The first is no farther from the second than the third.
    Within { value: Term, of: Term, reach: f64 },
    /// The value is between these two.
    Between { value: Term, low: f64, high: f64 },
    /// The second lies in the interval of the first.
    Agrees { name: String, with: Term },
}

/// A number, or what is computed from some.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Term {
    Literal(f64),
    /// A number by its name.
    Name(String),
    /// The least, the largest or the mean of the values at the seeds.
    OverSeeds(Over, String),
    Compute(Box<Term>, Operator, Box<Term>),
}

/// One value of those at the seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Over {
    Min,
    Max,
    Mean,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    Plus,
    Minus,
    Times,
    By,
}

/// How two numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sign {
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Claim {
    /// The names of all numbers in it.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        match self {
            Claim::Compare { left, right, .. } => {
                left.names(&mut names);
                right.names(&mut names);
            }
            Claim::Within { value, of, .. } => {
                value.names(&mut names);
                of.names(&mut names);
            }
            Claim::Between { value, .. } => value.names(&mut names),
            Claim::Agrees { name, with } => {
                names.push(name);
                with.names(&mut names);
            }
        }
        names.dedup();
        names
    }
}

impl Term {
    fn names<'t>(&'t self, names: &mut Vec<&'t str>) {
        match self {
            Term::Literal(_) => {}
            Term::Name(name) | Term::OverSeeds(_, name) => names.push(name),
            Term::Compute(left, _, right) => {
                left.names(names);
                right.names(names);
            }
        }
    }
}

/// As it is written in a claim, with brackets where one sum or quotient is in another.
impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = |term: &Term| match term {
            Term::Compute(..) => format!("({term})"),
            term => term.to_string(),
        };
        match self {
            Term::Literal(value) => write!(f, "{}", plain(*value)),
            Term::Name(name) => write!(f, "{name}"),
            Term::OverSeeds(over, name) => {
                let over = match over {
                    Over::Min => "min",
                    Over::Max => "max",
                    Over::Mean => "mean",
                };
                write!(f, "{over} over seeds of {name}")
            }
            Term::Compute(left, operator, right) => {
                let sign = match operator {
                    Operator::Plus => '+',
                    Operator::Minus => '-',
                    Operator::Times => '*',
                    Operator::By => '/',
                };
                write!(f, "{} {sign} {}", inner(left), inner(right))
            }
        }
    }
}

/// The metric that a name belongs to: `loss` of `loss[lr=0.1]`.
pub fn metric_of(name: &str) -> &str {
    name.split('[').next().unwrap_or(name)
}
