//! A number in a text: as mathematics of LaTeX, without the dollars around it.

use crate::numbers::number::Number;
use crate::pipeline::spec::metrics::{Form, Show};
use onsager_tables::cells::{self, Style};
use onsager_tables::value::Value;

/// Significant digits where nothing else is said.
const DIGITS: usize = 3;
/// The exponents of numbers that are written without powers of ten.
const PLAIN: std::ops::Range<i32> = -4..6;

/// How exact a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Precision {
    Digits(usize),
    Decimals(usize),
}

/// The number with so many significant digits, else with those that its metric says, else with those that its interval allows.
/// Whether it is mathematics, or a text.
pub fn short(number: &Number, show: &Show, digits: Option<usize>) -> (String, bool) {
    let value = match &number.value {
        Value::Text(text) => return (cells::latex_text(text), false),
        Value::Bool(value) => return (if *value { "yes" } else { "no" }.to_owned(), false),
        Value::Null => return ("--".to_owned(), false),
        Value::Integer(whole) if digits.is_none() && plain_integer(show) => {
            return (with_unit(grouped(&whole.to_string(), show), show, false), true);
        }
        Value::Integer(whole) => *whole as f64,
        Value::Number(value) => *value,
    };
    let scale = if show.form == Form::Percent { 100.0 } else { 1.0 };
    let half = number.interval().map(|(lower, upper)| 0.5 * scale * (upper - lower));
    let value = scale * value;
    let precision = match (digits, show.digits, show.decimals, half) {
        (Some(digits), ..) | (None, Some(digits), ..) => Precision::Digits(digits),
        (None, None, Some(decimals), _) => Precision::Decimals(decimals),
        (None, None, None, Some(half)) if half > 0.0 && value.is_finite() => {
            let digits = exponent(value, DIGITS) - exponent(half, 2) + 2;
            Precision::Digits(digits.clamp(1, 15) as usize)
        }
        (None, None, None, _) => Precision::Digits(DIGITS),
    };
    (with_unit(written(value, show, precision), show, false), true)
}

/// The number with its interval; none where it has none.
pub fn with_interval(number: &Number, show: &Show) -> Option<String> {
    let (lower, upper) = number.interval()?;
    let value = number.value.number()?;
    let scale = if show.form == Form::Percent { 100.0 } else { 1.0 };
    let text = cells::interval(scale * value, scale * lower, scale * upper, DIGITS, Style::Latex);
    Some(with_unit(bare(&text), show, text.contains("\\pm")))
}

/// The number as a person reads it in a terminal.
pub fn plainly(number: &Number) -> String {
    match (&number.value, number.interval()) {
        (Value::Number(value), Some((lower, upper))) => {
            cells::interval(*value, lower, upper, DIGITS + 1, Style::Unicode)
        }
        (Value::Number(value), None) => cells::significant(*value, DIGITS + 1, Style::Unicode),
        (Value::Null, _) => "nothing".to_owned(),
        (value, _) => value.to_string(),
    }
}

/// The unit of a number, upright.
pub fn unit(show: &Show) -> Option<String> {
    let unit = show.unit.as_deref()?;
    let mut text = String::new();
    for c in unit.chars() {
        match c {
            'µ' | 'μ' => text.push_str("\\mu "),
            'Ω' => text.push_str("\\Omega "),
            '°' => text.push_str("^\\circ "),
            '·' => text.push_str("\\cdot "),
            '−' => text.push('-'),
            '%' | '&' | '#' => text.extend(['\\', c]),
            c => match "⁰¹²³⁴⁵⁶⁷⁸⁹⁻".chars().position(|other| other == c) {
                Some(10) => text.push_str("^{-}"),
                Some(digit) => text.push_str(&format!("^{{{digit}}}")),
                None => text.push(c),
            },
        }
    }
    // A raised sign and the digits behind it are one exponent.
    Some(format!("\\mathrm{{{}}}", text.replace("}^{", "")))
}

fn plain_integer(show: &Show) -> bool {
    show.digits.is_none() && show.decimals.is_none() && matches!(show.form, Form::Auto | Form::Plain)
}

fn with_unit(text: String, show: &Show, several: bool) -> String {
    let percent = (show.form == Form::Percent).then(|| "\\%".to_owned());
    let behind: Vec<String> = percent.into_iter().chain(unit(show)).collect();
    if behind.is_empty() {
        return text;
    }
    let text = if several && !text.starts_with('(') { format!("({text})") } else { text };
    format!("{text}\\,{}", behind.join("\\,"))
}

fn written(value: f64, show: &Show, precision: Precision) -> String {
    if !value.is_finite() {
        return bare(&cells::significant(value, DIGITS, Style::Latex));
    }
    let size = exponent(value, DIGITS);
    let powers = match show.form {
        Form::Scientific => true,
        Form::Plain | Form::Percent => false,
        // Whoever asks for digits after the point gets them.
        Form::Auto => value != 0.0 && matches!(precision, Precision::Digits(_)) && !PLAIN.contains(&size),
    };
    if powers {
        let behind = match precision {
            Precision::Digits(digits) => digits.saturating_sub(1),
            Precision::Decimals(decimals) => decimals,
        };
        let text = format!("{value:.behind$e}");
        let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{mantissa}\\times10^{{{power}}}");
    }
    let decimals = match precision {
        Precision::Digits(digits) => (digits as i32 - 1 - exponent(value, digits)).max(0) as usize,
        Precision::Decimals(decimals) => decimals,
    };
    let text = format!("{value:.decimals$}");
    let zero = text.chars().all(|c| matches!(c, '-' | '0' | '.'));
    grouped(if zero { text.trim_start_matches('-') } else { &text }, show)
}

/// With a thin space between thousands, from five digits on.
fn grouped(text: &str, show: &Show) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, rest) = digits.find('.').map_or((digits, ""), |point| digits.split_at(point));
    if !show.thousands || whole.len() < 5 {
        return text.to_owned();
    }
    let first = whole.len() % 3;
    let mut parts: Vec<&str> = Vec::new();
    parts.extend((first > 0).then(|| &whole[..first]));
    parts.extend((first..whole.len()).step_by(3).map(|at| &whole[at..at + 3]));
    format!("{sign}{}{rest}", parts.join("\\,"))
}

/// The decimal exponent after rounding to so many digits.
fn exponent(value: f64, digits: usize) -> i32 {
    let text = format!("{value:.*e}", digits.saturating_sub(1));
    text.split('e').nth(1).and_then(|e| e.parse().ok()).unwrap_or(0)
}

/// Without the dollars.
fn bare(text: &str) -> String {
    text.trim_matches('$').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: f64, ends: Option<(f64, f64)>) -> Number {
        let (lower, upper) = (ends.map(|ends| ends.0), ends.map(|ends| ends.1));
        Number {
            name: "x".into(),
            value: Value::Number(value),
            lower,
            upper,
            error: None,
            samples: Vec::new(),
        }
    }

    fn said(value: f64, ends: Option<(f64, f64)>, show: Show) -> String {
        short(&number(value, ends), &show, None).0
    }

    #[test]
    fn digits_powers_percent_units_and_thousands() {
        let show = Show::default;
        assert_eq!(said(0.498_765, None, show()), "0.499");
        assert_eq!(said(-1.25e-7, None, show()), "-1.25\\times10^{-7}");
        assert_eq!(said(0.498_765, Some((0.488_765, 0.508_765)), show()), "0.499");
        assert_eq!(said(0.498_765, Some((0.497_765, 0.499_765)), show()), "0.4988");
        assert_eq!(said(1234.5, None, Show { decimals: Some(2), ..show() }), "1234.50");
        assert_eq!(said(0.123_4, None, Show { form: Form::Percent, ..show() }), "12.3\\,\\%");
        assert_eq!(
            said(1500.0, None, Show { form: Form::Scientific, digits: Some(2), ..show() }),
            "1.5\\times10^{3}"
        );
        assert_eq!(said(-0.0001, None, Show { decimals: Some(2), ..show() }), "0.00");
        let show =
            Show {
                thousands: true, form: Form::Plain, digits: Some(7), unit: Some("µm²".into()), ..show()
            };
        assert_eq!(said(-1_234_567.0, None, show), "-1\\,234\\,567\\,\\mathrm{\\mu m^{2}}");
    }

    #[test]
    fn intervals_have_brackets_before_a_unit() {
        let found = with_interval(&number(0.996, Some((0.984, 1.008))), &Show::default());
        assert_eq!(found.as_deref(), Some("0.996 \\pm 0.012"));
        let show = Show { unit: Some("s⁻¹".into()), ..Show::default() };
        let found = with_interval(&number(0.996, Some((0.984, 1.008))), &show);
        assert_eq!(found.as_deref(), Some("(0.996 \\pm 0.012)\\,\\mathrm{s^{-1}}"));
        assert_eq!(with_interval(&number(1.0, None), &Show::default()), None);
    }

    #[test]
    fn whole_numbers_and_texts_are_written_as_they_are() {
        let whole = |value| Number { value, ..number(0.0, None) };
        let show = Show { thousands: true, ..Show::default() };
        assert_eq!(short(&whole(Value::Integer(20_000_000)), &show, None), ("20\\,000\\,000".into(), true));
        assert_eq!(short(&whole(Value::Integer(3)), &Show::default(), Some(2)), ("3.0".into(), true));
        assert_eq!(short(&whole(Value::Text("a_b".into())), &show, None), ("a\\_b".into(), false));
    }
}
