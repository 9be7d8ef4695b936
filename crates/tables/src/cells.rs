//! Numbers as they are printed: significant digits, powers of ten, value ± half-width.

/// One cell of a printed table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Empty,
    /// Yes or no for a reader, true or false as data.
    Bool(bool),
    Text(String),
    Integer(i64),
    Number(f64),
    /// A value with the ends of its confidence interval.
    Interval {
        value: f64,
        lower: f64,
        upper: f64,
    },
}

/// The typographic conventions of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Unicode: − × ± and superscripts.
    Unicode,
    /// LaTeX, each number in mathematics mode.
    Latex,
}

/// The shortest digits that give the number back; powers of ten outside 1e-5 … 1e16.
pub fn plain(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && size.is_finite() && !(1e-5..1e16).contains(&size) {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

/// The number rounded to `digits` significant digits, as people write it: `0.0123`, `−4.50`, `1.2×10⁻⁷`.
///
/// Trailing zeros are kept, since they are significant; numbers of more digits before the point are not rounded there.
pub fn significant(value: f64, digits: usize, style: Style) -> String {
    if let Some(special) = special(value, style) {
        return special;
    }
    let exponent = exponent(value, digits);
    if value != 0.0 && !(-4..6).contains(&exponent) {
        let scientific = format!("{value:.*e}", digits.saturating_sub(1));
        let mantissa = scientific.split('e').next().unwrap_or_default().to_owned();
        return power(&mantissa, exponent, style, false);
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    wrap(&format!("{value:.decimals$}"), style)
}

/// The number with so many digits after the point: a count with none is `102400`.
pub fn fixed(value: f64, decimals: usize, style: Style) -> String {
    if let Some(special) = special(value, style) {
        return special;
    }
    let text = format!("{value:.decimals$}");
    let zero = text.chars().all(|c| matches!(c, '-' | '0' | '.'));
    wrap(if zero { text.trim_start_matches('-') } else { &text }, style)
}

/// The value with its interval: `0.996 ± 0.012` with two significant digits of the half-width, and
/// `0.996 [0.990, 1.020]` when the two sides differ by more than a tenth of the width.
pub fn interval(value: f64, lower: f64, upper: f64, digits: usize, style: Style) -> String {
    let width = upper - lower;
    if !spans(value, width) {
        return significant(value, digits, style);
    }
    let symmetric = ((upper - value) - (value - lower)).abs() <= 0.1 * width;
    let half = 0.5 * width;
    let largest = if value.abs() > half { value } else { half };
    let scale = exponent(largest, 3);
    let shift = if (-4..6).contains(&scale) { 0 } else { scale };
    let ten = libm::pow(10.0, f64::from(-shift));
    let decimals = (1 - exponent(half * ten, 2)).clamp(0, 12) as usize;
    let number = |x: f64| {
        let text = format!("{:.decimals$}", x * ten);
        let zero = text.trim_start_matches('-').chars().all(|c| matches!(c, '0' | '.'));
        if zero { text.trim_start_matches('-').to_owned() } else { text }
    };
    let minus = if style == Style::Unicode { "−" } else { "-" };
    let text = match (symmetric, style) {
        (true, Style::Unicode) => format!("{} ± {}", number(value), number(half)),
        (true, Style::Latex) => format!("{} \\pm {}", number(value), number(half)),
        (false, Style::Unicode) => format!("{} [{}, {}]", number(value), number(lower), number(upper)),
        (false, Style::Latex) => format!("{}\\ [{},\\, {}]", number(value), number(lower), number(upper)),
    };
    let text = text.replace('-', minus);
    match (shift, style) {
        (0, Style::Unicode) => text,
        (0, Style::Latex) => format!("${text}$"),
        (_, Style::Unicode) => format!("({text})×10{}", superscript(shift)),
        (_, Style::Latex) => format!("$({text})\\times10^{{{shift}}}$"),
    }
}

/// `10⁻³`, or `2×10⁻³` with a mantissa other than 1.
pub fn power_of_ten(mantissa: &str, exponent: i32) -> String {
    power(mantissa, exponent, Style::Unicode, true)
}

/// An integer as Unicode superscripts.
pub fn superscript(value: i32) -> String {
    let raise = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        c => c.to_digit(10).and_then(|d| char::from_u32(0x2070 + d)).unwrap_or(c),
    };
    value.to_string().chars().map(raise).collect()
}

fn special(value: f64, style: Style) -> Option<String> {
    match (value.is_nan(), value.is_infinite(), style) {
        (true, ..) => Some("NaN".into()),
        (_, true, Style::Unicode) => Some(if value > 0.0 { "∞".into() } else { "−∞".into() }),
        (_, true, Style::Latex) => Some(if value > 0.0 { "$\\infty$".into() } else { "$-\\infty$".into() }),
        _ => None,
    }
}

/// Whether an interval of this width is one.
fn spans(value: f64, width: f64) -> bool {
    value.is_finite() && width.is_finite() && width > 0.0
}

/// The decimal exponent after rounding to `digits`: 0 for 9.96 with two digits is 1.
fn exponent(value: f64, digits: usize) -> i32 {
    let text = format!("{value:.*e}", digits.saturating_sub(1));
    text.split('e').nth(1).and_then(|e| e.parse().ok()).unwrap_or(0)
}

fn wrap(text: &str, style: Style) -> String {
    match style {
        Style::Unicode => text.replace('-', "−"),
        Style::Latex => format!("${text}$"),
    }
}

fn power(mantissa: &str, exponent: i32, style: Style, drop_one: bool) -> String {
    let times = if drop_one && mantissa == "1" { String::new() } else { mantissa.to_owned() };
    match style {
        Style::Unicode if times.is_empty() => format!("10{}", superscript(exponent)),
        Style::Unicode => format!("{}×10{}", times.replace('-', "−"), superscript(exponent)),
        Style::Latex => format!("${times}\\times10^{{{exponent}}}$"),
    }
}

impl Cell {
    /// The cell for a reader, with this many significant digits.
    pub fn show(&self, digits: usize, style: Style) -> String {
        match self {
            Cell::Empty if style == Style::Latex => "--".into(),
            Cell::Empty => "–".into(),
            Cell::Bool(value) => if *value { "yes" } else { "no" }.into(),
            Cell::Text(text) if style == Style::Latex => latex_text(text),
            Cell::Text(text) => text.clone(),
            Cell::Integer(value) => wrap(&value.to_string(), style),
            Cell::Number(value) => significant(*value, digits, style),
            Cell::Interval { value, lower, upper } => interval(*value, *lower, *upper, digits, style),
        }
    }

    /// Whether it is aligned like a number.
    pub fn numeric(&self) -> bool {
        !matches!(self, Cell::Text(_) | Cell::Bool(_) | Cell::Empty)
    }

    /// The value of a number that is printed without an interval.
    pub fn single(&self) -> Option<f64> {
        match self {
            Cell::Number(value) => Some(*value),
            Cell::Interval { value, lower, upper } => (!spans(*value, upper - lower)).then_some(*value),
            Cell::Empty | Cell::Bool(_) | Cell::Text(_) | Cell::Integer(_) => None,
        }
    }

    /// The value for ranking.
    pub fn value(&self) -> Option<f64> {
        match self {
            Cell::Integer(value) => Some(*value as f64),
            Cell::Number(value) | Cell::Interval { value, .. } => Some(*value),
            Cell::Empty | Cell::Bool(_) | Cell::Text(_) => None,
        }
    }
}

/// Text with LaTeX's special characters escaped, and the Greek letters and signs that tables use as commands.
pub fn latex_text(text: &str) -> String {
    const LETTERS: &str = "αalpha βbeta γgamma δdelta εvarepsilon ζzeta ηeta θtheta κkappa λlambda μmu νnu ξxi πpi ρrho \
                           σsigma τtau φvarphi χchi ψpsi ωomega ΓGamma ΔDelta ΘTheta ΛLambda ΣSigma ΦPhi ΨPsi ΩOmega \
                           ∞infty ±pm ×times ·cdot ≤le ≥ge ≈approx ∝propto ∂partial ∇nabla ℓell ħhbar →to ↓downarrow \
                           ↑uparrow";
    const SUPERSCRIPTS: &str = "⁰¹²³⁴⁵⁶⁷⁸⁹";
    const SUBSCRIPTS: &str = "₀₁₂₃₄₅₆₇₈₉";
    let mut out = String::new();
    for c in text.chars() {
        let digit = |set: &str| set.chars().position(|other| other == c);
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', c]),
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '−' => out.push_str("$-$"),
            '⁻' => out.push_str("$^{-}$"),
            '–' => out.push_str("--"),
            '—' => out.push_str("---"),
            '√' => out.push_str("$\\surd$"),
            '°' => out.push_str("$^\\circ$"),
            '†' => out.push_str("$^\\dagger$"),
            c => match (
                LETTERS.split_whitespace().find(|entry| entry.starts_with(c) && !c.is_ascii()),
                digit(SUPERSCRIPTS),
                digit(SUBSCRIPTS),
            ) {
                (Some(entry), ..) => out.push_str(&format!("$\\{}$", &entry[c.len_utf8()..])),
                (_, Some(d), _) => out.push_str(&format!("$^{{{d}}}$")),
                (_, _, Some(d)) => out.push_str(&format!("$_{{{d}}}$")),
                _ => out.push(c),
            },
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use Style::{Latex, Unicode};

    #[test]
    fn significant_digits() {
        for (value, digits, text) in [
            (0.012_345, 3, "0.0123"),
            (-4.5, 3, "−4.50"),
            (999.96, 3, "1000"),
            (12_345.6, 3, "12346"),
            (1.25e-7, 2, "1.2×10⁻⁷"),
            (3e9, 3, "3.00×10⁹"),
            (0.0, 3, "0.00"),
            (0.999_96, 3, "1.00"),
        ] {
            assert_eq!(significant(value, digits, Unicode), text);
        }
        assert_eq!(significant(-1.25e-7, 3, Latex), "$-1.25\\times10^{-7}$");
        assert_eq!(significant(f64::NAN, 3, Unicode), "NaN");
    }

    #[test]
    fn digits_after_the_point() {
        for (value, decimals, text) in [
            (102_400.0, 0, "102400"),
            (0.0, 0, "0"),
            (-0.004, 2, "0.00"),
            (-2.5e9, 1, "−2500000000.0"),
            (f64::NAN, 0, "NaN"),
        ] {
            assert_eq!(fixed(value, decimals, Unicode), text);
        }
        assert_eq!(fixed(-1.25, 1, Latex), "$-1.2$");
    }

    #[test]
    fn intervals() {
        assert_eq!(interval(0.99612, 0.984, 1.0081, 3, Unicode), "0.996 ± 0.012");
        assert_eq!(interval(0.99612, 0.984, 1.0081, 3, Latex), "$0.996 \\pm 0.012$");
        assert_eq!(interval(1.0, 0.9, 1.5, 3, Unicode), "1.00 [0.90, 1.50]");
        assert_eq!(interval(123.4, 100.0, 147.0, 3, Unicode), "123 ± 24");
        assert_eq!(interval(-2.5e-7, -2.7e-7, -2.3e-7, 3, Unicode), "(−2.50 ± 0.20)×10⁻⁷");
        assert_eq!(interval(2.0, 2.0, 2.0, 3, Unicode), "2.00");
    }

    #[test]
    fn latex_escapes() {
        assert_eq!(latex_text("γ_1 50% A&B"), "$\\gamma$\\_1 50\\% A\\&B");
    }
}
