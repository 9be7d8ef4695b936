//! What the parameters of a sweep are drawn from.

use crate::pipeline::experiments::sweep::setting::literal;
use crate::pipeline::spec;
use crate::pipeline::yaml::node::{Entry, Yaml};
use crate::pipeline::yaml::sink::Sink;
use onsager_numerics::random::Streams;
use onsager_tables::names::{did_you_mean, list};
use serde_json::Number;

/// The distributions of random parameters.
pub const DISTRIBUTIONS: [&str; 4] = ["uniform", "log-uniform", "integer", "choice"];

/// What a random parameter is drawn from.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    /// Between the two.
    Uniform(f64, f64),
    /// Between the two, the logarithm uniform.
    LogUniform(f64, f64),
    /// A whole number from the first to the second, both included.
    Integer(i64, i64),
    /// One of these.
    Choice(Vec<Yaml>),
}

impl Distribution {
    /// Reads `{uniform: [0, 1]}`; what it is not is reported.
    pub fn read(param: &Entry, sink: &Sink) -> Option<Distribution> {
        let span = spec::shown(param);
        let [entry] = param.value.entries().unwrap_or_default() else {
            let message = format!("`{}` must name a distribution, but is {}", param.key, param.value.what());
            sink.help(span, message, "write for example `{uniform: [0, 1]}`");
            return None;
        };
        let items = match &entry.value.value {
            Yaml::List(items) => items.as_slice(),
            _ => &[],
        };
        let refuse = |message: &str| {
            sink.error(spec::shown(entry), format!("`{}` {message}", entry.key));
            None
        };
        let numbers: Vec<&Number> = items
            .iter()
            .filter_map(|item| match &item.value {
                Yaml::Number(number) => Some(number),
                _ => None,
            })
            .collect();
        let ends = match numbers.as_slice() {
            [low, high] if items.len() == 2 => low.as_f64().zip(high.as_f64()),
            _ => None,
        };
        match (entry.key.as_str(), ends) {
            ("uniform", Some((low, high))) if low < high => Some(Distribution::Uniform(low, high)),
            ("log-uniform", Some((low, high))) if 0.0 < low && low < high => {
                Some(Distribution::LogUniform(low, high))
            }
            ("integer", Some(_)) => match (numbers[0].as_i64(), numbers[1].as_i64()) {
                (Some(low), Some(high)) if low <= high => Some(Distribution::Integer(low, high)),
                _ => refuse("needs two whole numbers, the lower one first"),
            },
            ("choice", _) if !items.is_empty() => {
                items.iter().for_each(|item| literal(item, sink));
                Some(Distribution::Choice(items.iter().map(|item| item.value.clone()).collect()))
            }
            ("choice", _) => refuse("needs a list of values"),
            ("uniform", _) => refuse("needs two numbers, the lower one first"),
            ("log-uniform", _) => refuse("needs two positive numbers, the lower one first"),
            ("integer", _) => refuse("needs two whole numbers, the lower one first"),
            (other, _) => {
                let help = did_you_mean(other, DISTRIBUTIONS, "there are")
                    .unwrap_or_else(|| format!("there are {}", list(&DISTRIBUTIONS)));
                sink.help(entry.span, format!("there is no distribution `{other}`"), help);
                None
            }
        }
    }

    /// The value of draw `at` of the parameter `name`.
    pub fn draw(&self, seed: u64, name: &str, at: u64) -> Yaml {
        let mut stream = Streams::new(seed, &format!("sweep {name}")).stream(at);
        match self {
            Distribution::Integer(low, high) => {
                let width = high.abs_diff(*low).saturating_add(1);
                Yaml::Number(low.wrapping_add_unsigned(stream.below(width)).into())
            }
            Distribution::Choice(values) => values[stream.below(values.len() as u64) as usize].clone(),
            _ => self.quantile(stream.uniform()),
        }
    }

    /// The value below which a share `u` of the distribution lies, 0 ≤ u < 1.
    pub fn quantile(&self, u: f64) -> Yaml {
        let float = |value: f64| Number::from_f64(value).map_or(Yaml::NotFinite(value), Yaml::Number);
        match self {
            Distribution::Uniform(low, high) => float((low * (1.0 - u) + high * u).clamp(*low, *high)),
            Distribution::LogUniform(low, high) => {
                // Not by the system's library: the same bits on every machine.
                let (a, b) = (libm::log(*low), libm::log(*high));
                float(libm::exp(a * (1.0 - u) + b * u).clamp(*low, *high))
            }
            Distribution::Integer(low, high) => {
                let width = high.abs_diff(*low).saturating_add(1);
                let step = ((u * width as f64) as u64).min(width - 1);
                Yaml::Number(low.wrapping_add_unsigned(step).into())
            }
            Distribution::Choice(values) => {
                values[((u * values.len() as f64) as usize).min(values.len() - 1)].clone()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: &Yaml) -> f64 {
        match value {
            Yaml::Number(number) => number.as_f64().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn draws_stay_in_range_and_fill_it() {
        let draws = |d: Distribution| (0..4000).map(|at| number(&d.draw(7, "x", at))).collect::<Vec<f64>>();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        // The standard error of the mean of a uniform is width/√(12 n): five of them are 0.023 of the width.
        let uniform = draws(Distribution::Uniform(-1.0, 3.0));
        assert!(uniform.iter().all(|x| (-1.0..=3.0).contains(x)));
        assert!((mean(&uniform) - 1.0).abs() < 4.0 * 0.023);
        let logs: Vec<f64> =
            draws(Distribution::LogUniform(1e-4, 1e-1)).iter().map(|x| libm::log10(*x)).collect();
        assert!(logs.iter().all(|x| (-4.0..=-1.0).contains(x)));
        assert!((mean(&logs) + 2.5).abs() < 3.0 * 0.023);
        let integers = draws(Distribution::Integer(1, 8));
        for k in 1..=8 {
            let share = integers.iter().filter(|x| **x == f64::from(k)).count() as f64 / 4000.0;
            assert!((share - 0.125).abs() < 0.027, "{k}: {share}");
        }
        let choice = Distribution::Choice(vec![Yaml::Bool(true), Yaml::Bool(false)]);
        let share = (0..4000).filter(|at| choice.draw(7, "x", *at) == Yaml::Bool(true)).count();
        assert!((share as f64 / 4000.0 - 0.5).abs() < 0.04, "{share}");
    }

    #[test]
    fn draws_depend_on_seed_name_and_number_alone() {
        let d = Distribution::Uniform(0.0, 1.0);
        let value = |seed, name, at| number(&d.draw(seed, name, at));
        assert_eq!(value(7, "lr", 3), value(7, "lr", 3));
        for other in [value(8, "lr", 3), value(7, "width", 3), value(7, "lr", 4)] {
            assert_ne!(value(7, "lr", 3), other);
        }
    }

    #[test]
    fn draws_never_change() {
        let lr = Distribution::LogUniform(1e-4, 1e-1);
        let draws: Vec<f64> = (0..3).map(|at| number(&lr.draw(7, "lr", at))).collect();
        assert_eq!(draws, [0.0040292356120225385, 0.011435930237541594, 0.0007778393688613093]);
        let depth = Distribution::Integer(1, 8);
        let draws: Vec<f64> = (0..3).map(|at| number(&depth.draw(7, "depth", at))).collect();
        assert_eq!(draws, [7.0, 1.0, 5.0]);
    }
}
