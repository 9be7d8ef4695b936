//! Points that are drawn: at random, in a Latin hypercube, or of Sobol's sequence.

use crate::pipeline::experiments::sweep::distribution::Distribution;
use crate::pipeline::experiments::sweep::setting::{Setting, whole};
use crate::pipeline::spec;
use crate::pipeline::yaml::node::{Entry, Node, Yaml};
use crate::pipeline::yaml::sink::Sink;
use onsager_numerics::random::Streams;
use sobol_burley::{NUM_DIMENSIONS, sample};

/// The fields of `random`, `latin-hypercube` and `sobol`.
pub const FIELDS: [&str; 3] = ["points", "seed", "params"];

/// A way to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Each draw by itself: more points leave the first ones as they are.
    Random,
    /// Each parameter's range in as many parts as there are points, and a point in each part.
    LatinHypercube,
    /// Owen-scrambled: points that fill the space evenly, whatever their number; more points leave the first ones as they are.
    Sobol,
}

impl Method {
    pub const ALL: [Method; 3] = [Method::Random, Method::LatinHypercube, Method::Sobol];

    /// The name of the field.
    pub fn field(self) -> &'static str {
        match self {
            Method::Random => "random",
            Method::LatinHypercube => "latin-hypercube",
            Method::Sobol => "sobol",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Method::Random => "draw",
            other => other.field(),
        }
    }

    /// The most points: a crate's limit for the one, one against mistakes for the others.
    pub fn most(self) -> u64 {
        if self == Method::Sobol { 65_536 } else { 100_000 }
    }
}

/// The points of `random`, `latin-hypercube` or `sobol`.
pub fn read(entry: &Entry, method: Method, sink: &Sink) -> Vec<Setting> {
    let fields = spec::mapping(entry, sink);
    for field in fields.iter().filter(|field| !FIELDS.contains(&field.key.as_str())) {
        spec::unknown(field, &FIELDS, &format!("`{}`", entry.key), sink);
    }
    let count = match (whole(entry, "points", sink), entry.value.get("points")) {
        (Some(count), Some(points)) if count == 0 || count > method.most() => {
            sink.error(points.value.span, format!("`points` must be from 1 to {}", method.most()));
            return Vec::new();
        }
        (Some(count), _) => count,
        (None, Some(_)) => return Vec::new(),
        (None, None) => {
            let message = format!("`{}` has no `points`", entry.key);
            sink.help(entry.span, message, "add `points: 20`, how many to draw");
            return Vec::new();
        }
    };
    let seed = whole(entry, "seed", sink).unwrap_or(0);
    let drawn = distributions(entry, method, sink);
    let values = draw(&drawn, method, seed, count);
    let setting = |(at, values)| Setting::new(format!("{}={}", method.prefix(), at + 1), values);
    values.into_iter().enumerate().map(setting).collect()
}

/// The parameters with their distributions.
pub fn distributions<'a>(entry: &'a Entry, method: Method, sink: &Sink) -> Vec<(&'a Entry, Distribution)> {
    let params = entry.value.get("params").map_or(&[][..], |params| spec::mapping(params, sink));
    if params.is_empty() {
        let help = "add `params: {lr: {log-uniform: [1e-4, 1e-1]}}`";
        sink.help(entry.span, format!("`{}` has no `params`", entry.key), help);
    }
    if let Some(last) = params.get(NUM_DIMENSIONS as usize).filter(|_| method == Method::Sobol) {
        sink.error(last.span, format!("Sobol's sequence has no more than {NUM_DIMENSIONS} parameters"));
    }
    params.iter().filter_map(|param| Some((param, Distribution::read(param, sink)?))).collect()
}

/// The values of `count` points.
pub fn draw(params: &[(&Entry, Distribution)], method: Method, seed: u64, count: u64) -> Vec<Vec<Entry>> {
    // For each parameter the order of the parts that its points are in.
    let mut parts: Vec<Vec<u64>> = Vec::new();
    if method == Method::LatinHypercube {
        for (param, _) in params {
            let mut order: Vec<u64> = (0..count).collect();
            Streams::new(seed, &format!("latin hypercube {}", param.key)).stream(0).shuffle(&mut order);
            parts.push(order);
        }
    }
    // The sequence takes a seed of 32 bits.
    let scramble = Streams::new(seed, "sobol").stream(0).below(1 << 32) as u32;
    let value = |at: u64, which: usize| {
        let (param, distribution) = &params[which];
        let drawn = match method {
            Method::Random => distribution.draw(seed, &param.key, at),
            Method::Sobol => distribution.quantile(sample(at as u32, which as u32, scramble).into()),
            Method::LatinHypercube => {
                let within =
                    Streams::new(seed, &format!("latin hypercube {}", param.key)).stream(1 + at).uniform();
                distribution.quantile((parts[which][at as usize] as f64 + within) / count as f64)
            }
        };
        node(param, drawn)
    };
    (0..count).map(|at| (0..params.len()).map(|which| value(at, which)).collect()).collect()
}

fn node(param: &Entry, value: Yaml) -> Entry {
    Entry { key: param.key.clone(), span: param.span, value: Node { span: param.value.span, value } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::yaml::sink::Span;

    fn draws(method: Method, seed: u64, count: u64) -> Vec<[f64; 2]> {
        let span = Span { text: 0, start: 0, end: 0 };
        let param = |key: &str| Entry { key: key.into(), span, value: Node { span, value: Yaml::Null } };
        let (x, y) = (param("x"), param("y"));
        let params = [(&x, Distribution::Uniform(0.0, 1.0)), (&y, Distribution::Uniform(-1.0, 1.0))];
        let number = |entry: &Entry| match &entry.value.value {
            Yaml::Number(number) => number.as_f64().unwrap(),
            other => panic!("{other:?}"),
        };
        let all = draw(&params, method, seed, count);
        all.iter().map(|values| [number(&values[0]), number(&values[1])]).collect()
    }

    #[test]
    fn a_latin_hypercube_has_one_point_in_each_part() {
        for seed in 0..5 {
            let points = draws(Method::LatinHypercube, seed, 16);
            for which in 0..2 {
                let part = |point: &[f64; 2]| {
                    let u = if which == 0 { point[0] } else { 0.5 * (point[1] + 1.0) };
                    (u * 16.0) as usize
                };
                let mut parts: Vec<usize> = points.iter().map(part).collect();
                assert_ne!(parts, (0..16).collect::<Vec<_>>(), "they are shuffled");
                parts.sort_unstable();
                assert_eq!(parts, (0..16).collect::<Vec<_>>());
            }
        }
        assert_ne!(draws(Method::LatinHypercube, 1, 4), draws(Method::LatinHypercube, 2, 4));
    }

    #[test]
    fn sobol_points_are_even_in_every_square_and_the_first_ones_stay() {
        let points = draws(Method::Sobol, 7, 64);
        // A (0, 6, 2)-net in base 2 has one of 64 points in each of 8 by 8 squares.
        let mut squares: Vec<(usize, usize)> =
            points.iter().map(|[x, y]| ((x * 8.0) as usize, (4.0 * (y + 1.0)) as usize)).collect();
        squares.sort_unstable();
        squares.dedup();
        assert_eq!(squares.len(), 64);
        assert_eq!(draws(Method::Sobol, 7, 16), points[..16]);
        assert_ne!(draws(Method::Sobol, 8, 16), points[..16]);
    }

    #[test]
    fn points_never_change() {
        assert_eq!(
            draws(Method::Sobol, 7, 2),
            [[0.1404033899307251, -0.38017988204956055], [0.9632672071456909, 0.9496157169342041]]
        );
        assert_eq!(
            draws(Method::LatinHypercube, 7, 2),
            [[0.7080617629751269, 0.9437206802093088], [0.04431592927921685, -0.16597878522205306]]
        );
    }
}
