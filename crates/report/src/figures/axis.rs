//! Axes: ranges, ticks and their labels, as a coordinate of plotters.
//!
//! plotters has coordinates of its own, but its logarithm is the platform's, whose last digit differs between machines, and
//! its ticks are neither thinned out to what fits nor labelled with powers of ten.

use onsager_tables::cells::{power_of_ten, superscript};
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How values become lengths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    #[default]
    Linear,
    /// Decades of equal length; every value must be positive, but an interval may reach down to zero and below.
    Log,
}

impl Scale {
    /// Where the scale is even: the logarithm on a log scale, −∞ of what has none.
    pub fn even(self, value: f64) -> f64 {
        match self {
            Scale::Linear => value,
            Scale::Log if value <= 0.0 => f64::NEG_INFINITY,
            Scale::Log => libm::log10(value),
        }
    }

    /// The inverse of [`Scale::even`].
    pub fn value(self, even: f64) -> f64 {
        match self {
            Scale::Linear => even,
            Scale::Log => libm::pow(10.0, even),
        }
    }
}

/// A mark on an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    pub value: f64,
    /// Empty for a minor tick.
    pub label: String,
}

/// An axis of a panel: from `low` to `high`, with its ticks.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub scale: Scale,
    pub low: f64,
    pub high: f64,
    pub ticks: Vec<Tick>,
}

impl Span {
    /// Where a value lies: 0 at the low end, 1 at the high end; well below for what a log scale does not have.
    pub fn place(&self, value: f64) -> f64 {
        let even = |value| self.scale.even(value);
        ((even(value) - even(self.low)) / (even(self.high) - even(self.low))).max(-1e3)
    }

    /// The value at a place.
    pub fn value(&self, place: f64) -> f64 {
        let (low, high) = (self.scale.even(self.low), self.scale.even(self.high));
        self.scale.value(low + place * (high - low))
    }

    /// The nearest value on the axis.
    pub fn clamp(&self, value: f64) -> f64 {
        value.max(self.low).min(self.high)
    }

    /// Whether the axis reaches to the value.
    pub fn holds(&self, value: f64) -> bool {
        (-1e-4..=1.0 + 1e-4).contains(&self.place(value))
    }

    /// The ticks that are marked but not labelled.
    pub fn minor(&self) -> impl Iterator<Item = f64> {
        self.ticks.iter().filter(|tick| tick.label.is_empty()).map(|tick| tick.value)
    }
}

impl Ranged for Span {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        start + (self.place(*value) * f64::from(end - start)).round() as i32
    }

    /// The labelled ticks, whatever number is asked for: they are chosen to fit.
    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let labelled = self.ticks.iter().filter(|tick| !tick.label.is_empty());
        labelled.map(|tick| tick.value).filter(|_| !hint.weight().allow_light_points()).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Span {
    fn format_ext(&self, value: &f64) -> String {
        self.ticks.iter().find(|tick| tick.value == *value).map_or(String::new(), |tick| tick.label.clone())
    }
}

/// The range that shows all values: those of the data, widened by a twentieth, to the chosen ends where there are any.
pub fn range(
    scale: Scale,
    values: impl Iterator<Item = f64>,
    min: Option<f64>,
    max: Option<f64>,
) -> (f64, f64) {
    let even = values.map(|value| scale.even(value)).filter(|value| value.is_finite());
    let (low, high) =
        even.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let (low, high) = match (low <= high, min, max) {
        (true, ..) => (low, high),
        (false, Some(min), _) => (scale.even(min), scale.even(min)),
        (false, None, Some(max)) => (scale.even(max), scale.even(max)),
        (false, None, None) => (0.0, 1.0),
    };
    let (low, high) = if high - low > 1e-12 * low.abs().max(high.abs()) {
        (low, high)
    } else {
        let half = if scale == Scale::Log {
            0.5
        } else {
            (0.1 * low.abs()).max(0.5 * f64::from(u8::from(low == 0.0)))
        };
        (low - half, high + half)
    };
    let margin = 0.05 * (high - low);
    let low = min.map_or(low - margin, |min| scale.even(min));
    let high = max.map_or(high + margin, |max| scale.even(max));
    (scale.value(low), scale.value(high))
}

/// About `target` labelled ticks inside the range (in even steps of 1, 2 or 5 on a linear scale; decades, thinned out or
/// divided by need, on a log scale), and unlabelled ones between decades. Where a log scale shows too small a part of a
/// decade for two such labels, its ticks are those of a linear scale.
pub fn ticks(scale: Scale, low: f64, high: f64, target: usize) -> Vec<Tick> {
    match scale {
        Scale::Linear => linear(low, high, target.max(2)),
        Scale::Log => {
            let ticks = log(low, high, target.max(2));
            let labels = ticks.iter().filter(|tick| !tick.label.is_empty()).count();
            if labels < 2 { linear(low, high, target.max(2)) } else { ticks }
        }
    }
}

fn linear(low: f64, high: f64, target: usize) -> Vec<Tick> {
    let rough = (high - low) / target as f64;
    let power = libm::floor(libm::log10(rough));
    let (step, power) = [(1, power), (2, power), (5, power), (10, power)]
        .into_iter()
        .find(|&(step, power)| f64::from(step) * libm::pow(10.0, power) >= rough * (1.0 - 1e-9))
        .unwrap_or((10, power));
    let size = f64::from(step) * libm::pow(10.0, power);
    let decimals = (-power - f64::from(u8::from(step == 10))).max(0.0) as usize;
    let largest = low.abs().max(high.abs());
    // A common power of ten would need a place of its own, so very large and small numbers carry theirs.
    let exponent = libm::floor(libm::log10(largest)) as i32;
    let label = |value: f64| {
        if (-4..6).contains(&exponent) {
            let text = format!("{value:.decimals$}");
            return if value == 0.0 { text.trim_start_matches('-').into() } else { text.replace('-', "−") };
        }
        if value == 0.0 {
            return "0".into();
        }
        let digits = (f64::from(exponent) - power).max(0.0) as usize;
        let mantissa = format!("{:.digits$}", value / libm::pow(10.0, f64::from(exponent)));
        let short = if mantissa.contains('.') {
            mantissa.trim_end_matches('0').trim_end_matches('.')
        } else {
            &mantissa
        };
        power_of_ten(short, exponent)
    };
    let first = libm::ceil(low / size - 1e-9) as i64;
    let last = libm::floor(high / size + 1e-9) as i64;
    (first..=last).map(|k| k as f64 * size).map(|value| Tick { value, label: label(value) }).collect()
}

fn log(low: f64, high: f64, target: usize) -> Vec<Tick> {
    let (first, last) = (libm::floor(libm::log10(low)) as i32, libm::ceil(libm::log10(high)) as i32);
    let inside = |value: f64| (low * (1.0 - 1e-9)..=high * (1.0 + 1e-9)).contains(&value);
    let decade = |k: i32| libm::pow(10.0, f64::from(k));
    let decades = (first..=last).filter(|&k| inside(decade(k))).count();
    let thin = decades.div_ceil(target).max(1) as i32;
    // With few decades inside, some of the ticks between are labelled too.
    let named: &[i32] = match decades {
        0 if target >= 5 => &[1, 2, 3, 4, 5, 6, 8],
        0 | 1 => &[1, 2, 5],
        2 if target >= 5 => &[1, 2, 5],
        _ => &[1],
    };
    let mut out = Vec::new();
    for k in first..=last {
        for m in 1..10 {
            let value = f64::from(m) * decade(k);
            if !inside(value) || (m > 1 && thin > 1) {
                continue;
            }
            let shown = named.contains(&m) && k.rem_euclid(thin) == 0;
            let label = match (shown, k) {
                (false, _) => String::new(),
                (true, 0..4) => format!("{value}"),
                (true, -2..0) => format!("{value:.*}", -k as usize),
                (true, _) if m == 1 => format!("10{}", superscript(k)),
                (true, _) => power_of_ten(&m.to_string(), k),
            };
            out.push(Tick { value, label });
        }
    }
    // Powers beside plain numbers read badly: one power makes all decades powers.
    if named.len() == 1 && out.iter().any(|tick| tick.label.starts_with("10") && !tick.label.ends_with('0')) {
        for tick in out.iter_mut().filter(|tick| !tick.label.is_empty()) {
            tick.label = format!("10{}", superscript(libm::round(libm::log10(tick.value)) as i32));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, low: f64, high: f64) -> Vec<String> {
        ticks(scale, low, high, 5)
            .into_iter()
            .map(|tick| tick.label)
            .filter(|label| !label.is_empty())
            .collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(Scale::Linear, -0.03, 1.02), ["0.0", "0.5", "1.0"]);
        assert_eq!(labels(Scale::Linear, -11.0, 11.0), ["−10", "−5", "0", "5", "10"]);
        assert_eq!(labels(Scale::Linear, 0.0, 4.2e-7), ["0", "10⁻⁷", "2×10⁻⁷", "3×10⁻⁷", "4×10⁻⁷"]);
        assert_eq!(labels(Scale::Linear, 0.0, 1.2e6), ["0", "0.5×10⁶", "10⁶"]);
        assert_eq!(labels(Scale::Log, 0.5, 2000.0), ["1", "10", "100", "1000"]);
        assert_eq!(labels(Scale::Log, 1e-5, 1.0), ["10⁻⁴", "10⁻²", "10⁰"]);
        assert_eq!(labels(Scale::Log, 0.02, 0.3), ["0.02", "0.05", "0.1", "0.2"]);
        assert_eq!(labels(Scale::Log, 0.077, 0.094), ["0.080", "0.085", "0.090"]);
    }

    #[test]
    fn a_range_holds_its_data_even_when_they_are_one_value() {
        for scale in [Scale::Linear, Scale::Log] {
            for value in [1e-6, 1.0, 3e7] {
                let (low, high) = range(scale, [value].into_iter(), None, None);
                assert!(low < value && value < high, "{scale:?} {value}");
            }
        }
        assert_eq!(range(Scale::Linear, [0.0].into_iter(), Some(0.0), Some(2.0)), (0.0, 2.0));
        let (low, high) = range(Scale::Linear, [0.0].into_iter(), None, None);
        assert!(low < 0.0 && high > 0.0);
    }
}
