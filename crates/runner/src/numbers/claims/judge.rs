//! Whether a claim holds of numbers.

use crate::numbers::claims::{Claim, Operator, Over, Sign, Term, metric_of};
use crate::numbers::number::Number;
use crate::numbers::show;
use onsager_numerics::statistics::{Estimated, NORMAL_QUANTILE, mean};
use onsager_tables::cells::{Style, significant};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Significant digits of what a claim is told with.
const DIGITS: usize = 3;

/// What became of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Holds,
    Fails,
    /// Its numbers were not computed by the run, as the pipeline is now.
    Stale,
}

/// A claim that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    pub outcome: Outcome,
    /// What was reached, and by how much it fails.
    pub reached: String,
}

/// Why a claim has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum NoAnswer {
    #[error("`{name}` has no value")]
    NoNumber { name: String },
    #[error("`{name}` is {value}, which is no number")]
    NotANumber { name: String, value: String },
    #[error("`{name}` has no values at seeds")]
    NoSeeds { name: String },
    #[error("`{name}` has no interval")]
    NoInterval { name: String },
    #[error("`{name}` has neither values at seeds nor a standard error to test with")]
    NoError { name: String },
}

/// Judges a claim. Of a sweep over more than seeds it has to hold at each setting, unless it names one.
pub fn judge(claim: &Claim, numbers: &[Number]) -> Judged {
    let names = claim.names();
    let of_metric = |number: &&Number| names.iter().any(|name| metric_of(&number.name) == *name);
    let mut settings: Vec<&str> = numbers.iter().filter(of_metric).map(setting).collect();
    settings.sort_unstable();
    settings.dedup();
    if settings.is_empty() {
        settings.push("");
    }
    let several = settings.len() > 1;
    let mut reached = Vec::new();
    let mut failed = Vec::new();
    for setting in settings {
        let (holds, text) = At { numbers, setting }
            .judge(claim)
            .unwrap_or_else(|no_answer: NoAnswer| (false, no_answer.to_string()));
        let text = if several { format!("{setting}: {text}") } else { text };
        if holds { reached.push(text) } else { failed.push(text) }
    }
    let (outcome, reached) = match failed.is_empty() {
        true => (Outcome::Holds, reached.join("; ")),
        false => (Outcome::Fails, failed.join("; ")),
    };
    Judged { outcome, reached }
}

/// `lr=0.1` of `loss[lr=0.1]`.
fn setting(number: &Number) -> &str {
    number.name.strip_suffix(']').and_then(|name| name.split_once('[')).map_or("", |(_, label)| label)
}

/// The numbers at one setting of a sweep.
struct At<'a> {
    numbers: &'a [Number],
    setting: &'a str,
}

type Answer = Result<(bool, String), NoAnswer>;

impl At<'_> {
    fn judge(&self, claim: &Claim) -> Answer {
        match claim {
            Claim::Compare { left, sign, right, chance: None } => self.compare(left, *sign, right),
            Claim::Compare { left, sign, right, chance: Some(chance) } => {
                self.test(left, *sign, right, *chance)
            }
            Claim::Within { value, of, reach } => {
                let (found, wanted) = (self.value(value)?, self.value(of)?);
                let off = (found - wanted).abs();
                // The ends count, and what a float makes of `0.5 ± 0.02` is no reason to fail.
                let holds = off <= reach * (1.0 + 4.0 * f64::EPSILON) + 4.0 * f64::EPSILON * wanted.abs();
                let told = self.told_to(&[value, of], *reach)?;
                Ok((holds, if holds { told } else { format!("{told}, {} outside", short(off - reach)) }))
            }
            Claim::Between { value, low, high } => {
                let found = self.value(value)?;
                let off = (low - found).max(found - high);
                let told = self.told(&[value])?;
                Ok((off <= 0.0, if off <= 0.0 { told } else { format!("{told}, {} outside", short(off)) }))
            }
            Claim::Agrees { name, with } => {
                let number = self.find(name)?;
                let none = || NoAnswer::NoInterval { name: name.clone() };
                let (lower, upper) = number.interval().ok_or_else(none)?;
                let wanted = self.value(with)?;
                let off = (lower - wanted).max(wanted - upper);
                let told = self.told(&[&Term::Name(name.clone()), with])?;
                let told = format!("{told}; the interval is from {} to {}", short(lower), short(upper));
                Ok((off <= 0.0, if off <= 0.0 { told } else { format!("{told}, {} outside", short(off)) }))
            }
        }
    }

    fn compare(&self, left: &Term, sign: Sign, right: &Term) -> Answer {
        let difference = self.value(left)? - self.value(right)?;
        let holds = match sign {
            Sign::Less => difference < 0.0,
            Sign::AtMost => difference <= 0.0,
            Sign::More => difference > 0.0,
            Sign::AtLeast => difference >= 0.0,
        };
        let told = self.told(&[left, right])?;
        let far = match (holds, difference == 0.0) {
            (true, _) => told,
            (false, true) => format!("{told}: they are equal"),
            (false, false) => format!("{told}: off by {}", short(difference.abs())),
        };
        Ok((holds, far))
    }

    /// Whether the difference is more than chance: by the pairs, where both have values at the same seeds, else by Welch's test.
    fn test(&self, left: &Term, sign: Sign, right: &Term, chance: f64) -> Answer {
        let (direction, told) = self.compare(left, sign, right)?;
        let (a, b) = (self.tested(left)?, self.tested(right)?);
        let pairs = a.pairs(&b).and_then(|pairs| Some((Estimated::mean(&pairs)?, pairs.len())));
        let (p, test) = match pairs {
            Some((difference, seeds)) => (difference.p_value(), format!("paired t-test over {seeds} seeds")),
            None => (a.estimate.minus(b.estimate).p_value(), "Welch's t-test".to_owned()),
        };
        let told = format!("{told}; p = {} ({test}, two-sided)", significant(p, 2, Style::Unicode));
        Ok((direction && p < chance, told))
    }

    /// What a test needs to know of a term; a number that is written has no error.
    fn tested(&self, term: &Term) -> Result<Tested, NoAnswer> {
        let value = self.value(term)?;
        let known = |error| Tested {
            estimate: Estimated { value, error, degrees: f64::INFINITY },
            samples: Vec::new(),
        };
        let Term::Name(name) = term else { return Ok(known(0.0)) };
        let number = self.find(name)?;
        let values: Vec<f64> = number.samples.iter().map(|(_, value)| *value).collect();
        if let Some(estimate) = Estimated::mean(&values) {
            return Ok(Tested { estimate, samples: number.samples.clone() });
        }
        // A standard error that a result tells counts as known, and so does the width of a normal interval.
        let half = number.interval().map(|(lower, upper)| 0.5 * (upper - lower) / NORMAL_QUANTILE);
        number.error.or(half).map(known).ok_or_else(|| NoAnswer::NoError { name: name.clone() })
    }

    fn value(&self, term: &Term) -> Result<f64, NoAnswer> {
        Ok(match term {
            Term::Literal(value) => *value,
            Term::Name(name) => {
                let number = self.find(name)?;
                let wrong = || NoAnswer::NotANumber { name: name.clone(), value: number.value.to_string() };
                number.value.number().filter(|value| value.is_finite()).ok_or_else(wrong)?
            }
            Term::OverSeeds(over, name) => {
                let number = self.find(name)?;
                let values: Vec<f64> = number.samples.iter().map(|(_, value)| *value).collect();
                if values.is_empty() {
                    return Err(NoAnswer::NoSeeds { name: name.clone() });
                }
                if let Some(wrong) = values.iter().find(|value| !value.is_finite()) {
                    return Err(NoAnswer::NotANumber { name: name.clone(), value: wrong.to_string() });
                }
                match over {
                    Over::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
                    Over::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                    Over::Mean => mean(&values),
                }
            }
            Term::Compute(left, operator, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                match operator {
                    Operator::Plus => left + right,
                    Operator::Minus => left - right,
                    Operator::Times => left * right,
                    Operator::By => left / right,
                }
            }
        })
    }

    /// The number of this name, or the one of this setting.
    fn find(&self, name: &str) -> Result<&Number, NoAnswer> {
        let here = format!("{name}[{}]", self.setting);
        let found = self.numbers.iter().find(|number| number.name == name || number.name == here);
        found.ok_or_else(|| NoAnswer::NoNumber { name: name.to_owned() })
    }

    fn told(&self, terms: &[&Term]) -> Result<String, NoAnswer> {
        self.told_to(terms, f64::INFINITY)
    }

    /// `free.slope is 0.498 ± 0.012, x is 3`: what the terms are that are not written as numbers, with the digits that a difference
    /// of `reach` needs.
    fn told_to(&self, terms: &[&Term], reach: f64) -> Result<String, NoAnswer> {
        let mut told = Vec::new();
        for term in terms {
            match term {
                Term::Literal(_) => {}
                Term::Name(name) => {
                    let number = self.find(name)?;
                    let text = match (number.value.number(), number.interval()) {
                        (Some(value), None) => fine(value, reach).unwrap_or_else(|| show::plainly(number)),
                        _ => show::plainly(number),
                    };
                    told.push(format!("{name} is {text}"));
                }
                Term::OverSeeds(over, name) => {
                    let word = match over {
                        Over::Min => "least",
                        Over::Max => "largest",
                        Over::Mean => "mean",
                    };
                    told.push(format!("the {word} {name} is {}", short(self.value(term)?)));
                }
                Term::Compute(..) => {
                    let value = self.value(term)?;
                    told.push(format!("{term} is {}", fine(value, reach).unwrap_or_else(|| short(value))));
                }
            }
        }
        Ok(told.join(", "))
    }
}

/// One side of a test.
struct Tested {
    estimate: Estimated,
    samples: Vec<(String, f64)>,
}

impl Tested {
    /// The differences at the same seeds, where both sides have the same ones, each once.
    fn pairs(&self, other: &Tested) -> Option<Vec<f64>> {
        let unique = |samples: &[(String, f64)]| {
            let mut keys: Vec<&str> = samples.iter().map(|(seed, _)| seed.as_str()).collect();
            keys.sort_unstable();
            let before = keys.len();
            keys.dedup();
            before == keys.len() && !keys.contains(&"")
        };
        if self.samples.len() < 2 || self.samples.len() != other.samples.len() || !unique(&self.samples) {
            return None;
        }
        let pair = |(seed, value): &(String, f64)| {
            let (_, twin) = other.samples.iter().find(|(other, _)| other == seed)?;
            Some(value - twin)
        };
        self.samples.iter().map(pair).collect()
    }
}

/// The value with the digits that a difference of `reach` needs, where that is more than usual.
fn fine(value: f64, reach: f64) -> Option<String> {
    let digits = libm::ceil(libm::log10(value.abs() / reach)) + 1.0;
    (digits > DIGITS as f64 + 1.0 && digits <= 17.0)
        .then(|| significant(value, digits as usize, Style::Unicode))
}

fn short(value: f64) -> String {
    significant(value, DIGITS, Style::Unicode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::claims::read::read;
    use onsager_tables::value::Value;

    fn number(name: &str, value: f64, ends: Option<(f64, f64)>, samples: &[f64]) -> Number {
        let (lower, upper) = (ends.map(|ends| ends.0), ends.map(|ends| ends.1));
        let samples =
            samples.iter().enumerate().map(|(seed, value)| (format!("seed={seed}"), *value)).collect();
        Number { name: name.into(), value: Value::Number(value), lower, upper, error: None, samples }
    }

    fn judged(text: &str, numbers: &[Number]) -> (Outcome, String) {
        let Judged { outcome, reached } = judge(&read(text).unwrap(), numbers);
        (outcome, reached)
    }

    #[test]
    fn what_was_reached_is_told_with_the_digits_that_the_claim_needs() {
        let numbers = [number("a", -5.311_909, None, &[]), number("p", 0.2, None, &[])];
        let said = |text: &str| judged(text, &numbers).1;
        assert_eq!(said("a within -5.3119 ± 0.0001"), "a is −5.31191");
        assert_eq!(said("a within -5 ± 1"), "a is −5.312");
        assert_eq!(said("p > 0.01 / 3"), "p is 0.2000, 0.01 / 3 is 0.00333");
        assert_eq!(said("(a - p) * 2 < 0"), "(a - p) * 2 is −11.0");
    }

    #[test]
    fn claims_hold_or_fail_and_say_by_how_much() {
        let numbers = [number("slope", 0.473, Some((0.469, 0.477)), &[]), number("two", 2.0, None, &[])];
        let said = |text: &str| judged(text, &numbers);
        assert_eq!(
            said("slope within 0.5 ± 0.02"),
            (Outcome::Fails, "slope is 0.4730 ± 0.0040, 0.00700 outside".into())
        );
        assert_eq!(said("slope within 0.5 ± 0.027").0, Outcome::Holds);
        assert_eq!(
            said("slope within [0.4, 0.45]"),
            (Outcome::Fails, "slope is 0.4730 ± 0.0040, 0.0230 outside".into())
        );
        assert_eq!(
            said("slope in its interval of 0.48"),
            (
                Outcome::Fails,
                "slope is 0.4730 ± 0.0040; the interval is from 0.469 to 0.477, 0.00300 outside".into()
            )
        );
        assert_eq!(
            said("2 * slope > two"),
            (Outcome::Fails, "2 * slope is 0.946, two is 2.000: off by 1.05".into())
        );
        assert_eq!(said("nothing > 1"), (Outcome::Fails, "`nothing` has no value".into()));
        assert_eq!(
            said("min over seeds of two > 1"),
            (Outcome::Fails, "`two` has no values at seeds".into())
        );
    }

    /// With the same seeds the pairs are tested, which see what Welch's test cannot; by hand: the differences are 1, 1 and 1.3, their
    /// mean 1.1 and its error 0.1, so t is 11 with two degrees of freedom, and p = 1 − t/√(2 + t²) = 0.00816.
    #[test]
    fn a_test_takes_the_pairs_where_it_can() {
        let (a, b) = ([1.0, 5.0, 9.0], [2.0, 6.0, 10.3]);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / 3.0;
        let both = [number("a", mean(&a), None, &a), number("b", mean(&b), None, &b)];
        let (outcome, reached) = judged("a < b with p < 0.05", &both);
        assert_eq!(
            (outcome, reached.as_str()),
            (Outcome::Holds, "a is 5.000, b is 6.100; p = 0.0082 (paired t-test over 3 seeds, two-sided)")
        );
        let other = [
            both[0].clone(),
            Number {
                samples: vec![("x".into(), 2.0), ("y".into(), 6.0), ("z".into(), 10.3)],
                ..both[1].clone()
            },
        ];
        let (outcome, reached) = judged("a < b with p < 0.05", &other);
        assert_eq!(
            (outcome, reached.as_str()),
            (Outcome::Fails, "a is 5.000, b is 6.100; p = 0.76 (Welch's t-test, two-sided)")
        );
        assert_eq!(judged("min over seeds of a >= 1", &both).0, Outcome::Holds);
    }

    #[test]
    fn at_every_setting_of_a_sweep() {
        let numbers = [number("loss[lr=1]", 2.0, None, &[]), number("loss[lr=2]", 4.0, None, &[])];
        assert_eq!(judged("loss < 3", &numbers), (Outcome::Fails, "lr=2: loss is 4.000: off by 1.00".into()));
        assert_eq!(judged("loss[lr=1] < 3", &numbers).0, Outcome::Holds);
        assert_eq!(judged("loss < 5", &numbers).0, Outcome::Holds);
    }
}
