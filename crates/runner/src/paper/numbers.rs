//! Numbers that are written by hand in a text and equal a number of the run.

use crate::paper::document::Source;
use crate::paper::scan::without;
use crate::values::document::Value;
use std::collections::BTreeMap;
use std::ops::Range;

/// Commands whose arguments hold no numbers of a text.
const SILENT: [&str; 44] = [
    "ref",
    "eqref",
    "pageref",
    "autoref",
    "cref",
    "Cref",
    "label",
    "cite",
    "citep",
    "citet",
    "nocite",
    "bibitem",
    "url",
    "input",
    "include",
    "includegraphics",
    "usepackage",
    "RequirePackage",
    "documentclass",
    "begin",
    "end",
    "vspace",
    "hspace",
    "setlength",
    "addtolength",
    "setcounter",
    "rule",
    "raisebox",
    "makebox",
    "parbox",
    "hypersetup",
    "definecolor",
    "color",
    "textcolor",
    "onsager",
    "onsagerpm",
    "onsagerunit",
    "onsagerfigure",
    "onsagertable",
    "onsagerclaim",
    "bibliography",
    "bibliographystyle",
    "newcommand",
    "renewcommand",
];
/// Words before a number that only points somewhere.
const POINTERS: [&str; 22] = [
    "section",
    "sections",
    "sec.",
    "figure",
    "figures",
    "fig.",
    "figs.",
    "table",
    "tables",
    "tab.",
    "equation",
    "equations",
    "eq.",
    "eqs.",
    "theorem",
    "lemma",
    "chapter",
    "page",
    "p.",
    "version",
    "appendix",
    "step",
];
/// A comment that says that a number is meant to be written by hand.
const BY_HAND: &str = "onsager: by hand";

/// A number in a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    pub range: Range<usize>,
    pub value: f64,
    /// Half of a unit of its last digit: what it may be off by.
    pub half: f64,
    /// Significant digits.
    pub digits: usize,
    pub whole: bool,
}

/// A number that should be a command.
#[derive(Debug, Clone, PartialEq)]
pub struct ByHand {
    pub at: usize,
    pub text: String,
    /// The names of the numbers that it equals, each with its value and the command that writes it.
    pub meant: Vec<(String, String, String)>,
}

/// The numbers of a file that equal one of the run within the digits that are printed.
pub fn by_hand(source: &Source, values: &BTreeMap<String, Value>) -> Vec<ByHand> {
    let silent = source.calls.iter().filter(|call| SILENT.contains(&call.name.as_str()));
    let silent = silent.flat_map(|call| call.options.iter().chain(&call.arguments)).cloned();
    let mut text = without(&source.plain, silent.collect::<Vec<_>>());
    // What stands before the document is set-up, what stands behind it is not printed, and the references are none of ours.
    let plain = &source.plain;
    let start = plain.find("\\begin{document}").unwrap_or(0);
    let stop = plain.find("\\end{document}").unwrap_or(plain.len());
    let references = plain.match_indices("\\begin{thebibliography}").map(|(from, _)| {
        let length = plain[from..].find("\\end{thebibliography}");
        from..length.map_or(plain.len(), |length| from + length)
    });
    text = without(&text, references.chain([0..start, stop..plain.len()]));
    let mut found = Vec::new();
    for written in written(&text) {
        let line_start = source.text[..written.range.start].rfind('\n').map_or(0, |at| at + 1);
        let line = source.text[line_start..].lines().next().unwrap_or_default();
        if line.contains(BY_HAND) {
            continue;
        }
        let meant: Vec<_> = values.iter().filter_map(|(name, value)| meant(&written, name, value)).collect();
        if !meant.is_empty() {
            let text = source.text[written.range.clone()].to_owned();
            found.push(ByHand { at: written.range.start, text, meant });
        }
    }
    found
}

/// What would write this number, if it is this one.
fn meant(written: &Written, name: &str, value: &Value) -> Option<(String, String, String)> {
    let number = value.number.value.number()?;
    let equal = match written.whole {
        true => number == written.value,
        // The half of a unit, and what a float makes of it.
        false => (number - written.value).abs() <= written.half * (1.0 + 1e-9),
    };
    if !equal {
        return None;
    }
    let command = match value.text.split("\\times").next().unwrap_or_default() {
        plain if digits_of(plain) == written.digits || written.whole => format!("\\onsager{{{name}}}"),
        _ if written.digits > 9 => format!("\\onsager{{{name}}}"),
        _ => format!("\\onsager[{}]{{{name}}}", written.digits),
    };
    Some((name.to_owned(), value.number.value.to_string(), command))
}

/// The significant digits of a number as it is printed.
fn digits_of(text: &str) -> usize {
    let number = text.split("\\,\\%").next().unwrap_or(text);
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').len()
}

/// The numbers of a text that are worth a look: with two digits that count and a point, or with three digits.
pub fn written(text: &str) -> Vec<Written> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let before = text[..at].chars().next_back();
        let (end, body) = body(text, at);
        let part = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '^' | '@' | '.' | '\\'));
        if !part && let Some(written) = number(text, at, end, &body) {
            at = written.range.end;
            if !points(text, written.range.start) {
                found.push(written);
            }
            continue;
        }
        at = end;
    }
    found
}

/// Where the digits that begin here end, and the digits without what is between thousands.
fn body(text: &str, start: usize) -> (usize, String) {
    let bytes = text.as_bytes();
    let mut body = String::new();
    let mut at = start;
    let mut point = false;
    loop {
        let run = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        body.push_str(&text[at..at + run]);
        at += run;
        let digits = |from: usize| {
            bytes.get(from..).map_or(0, |rest| rest.iter().take_while(|b| b.is_ascii_digit()).count())
        };
        let thousands = ["\\,", "{,}", "{\\,}", ",", "~"].iter().find(|sign| text[at..].starts_with(**sign));
        match (bytes.get(at), thousands) {
            (Some(b'.'), _) if !point && digits(at + 1) > 0 => {
                point = true;
                body.push('.');
                at += 1;
            }
            (_, Some(sign)) if !point && digits(at + sign.len()) == 3 => at += sign.len(),
            _ => return (at, body),
        }
    }
}

/// The number with these digits, with its sign, power of ten and percent sign.
fn number(text: &str, start: usize, end: usize, body: &str) -> Option<Written> {
    let decimals = body.find('.').map_or(0, |point| body.len() - point - 1);
    let whole = decimals == 0;
    let significant: String = body.chars().filter(char::is_ascii_digit).collect();
    let digits = significant.trim_start_matches('0').len();
    let enough = if whole { digits >= 3 } else { digits >= 2 };
    // Years.
    let year =
        whole && body.len() == 4 && end - start == 4 && (body.starts_with("19") || body.starts_with("20"));
    let rest = &text[end..];
    // Letters behind it make it a length, or a name.
    if !enough || year || rest.starts_with(|c: char| c.is_alphabetic()) {
        return None;
    }
    // Versions and section numbers, like 1.2.3.
    if rest.strip_prefix('.').is_some_and(|after| after.starts_with(|c: char| c.is_ascii_digit())) {
        return None;
    }
    let mut value: f64 = body.parse().ok()?;
    let mut half = 0.5 * libm::pow(10.0, -(decimals as f64));
    let mut stop = end;
    let spaced = rest.trim_start_matches([' ', '~']);
    if let Some(power) = ["\\times10^", "\\times 10^", "\\cdot10^", "\\cdot 10^", "\\,\\times\\,10^"]
        .iter()
        .find_map(|sign| spaced.strip_prefix(sign))
    {
        let (inside, length) = match power.strip_prefix('{') {
            Some(inside) => (inside.split('}').next()?, inside.find('}')? + 2),
            None => (power.get(..1)?, 1),
        };
        let exponent: i32 = inside.trim().replace('−', "-").parse().ok()?;
        // From the text, so that the float is the nearest one.
        value = format!("{body}e{exponent}").parse().ok()?;
        half *= libm::pow(10.0, f64::from(exponent));
        stop = end + (rest.len() - power.len()) + length;
    }
    let behind = text[stop..].trim_start_matches([' ', '~']);
    let behind = behind.strip_prefix("\\,").unwrap_or(behind);
    if behind.starts_with("\\%") {
        (value, half) = (value / 100.0, half / 100.0);
    }
    let sign = text[..start].ends_with(['-', '−']) && !text[..start].ends_with("--");
    let from = if sign { start - text[..start].chars().next_back().map_or(0, char::len_utf8) } else { start };
    // A hyphen between words, or in a range, is no sign.
    let minus = sign && !text[..from].ends_with(|c: char| c.is_alphanumeric());
    let (value, start) = if minus { (-value, from) } else { (value, start) };
    let percent = behind.starts_with("\\%");
    let whole = whole && !percent && stop == end;
    Some(Written { range: start..stop, value, half, digits, whole })
}

/// Whether the word before only points somewhere: `Section 2.1`.
fn points(text: &str, start: usize) -> bool {
    let before = text[..start].trim_end_matches([' ', '~', '(', '\n']);
    let word =
        before.rsplit(|c: char| c.is_whitespace() || matches!(c, '~' | '(')).next().unwrap_or_default();
    POINTERS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_as_a_reader_sees_them() {
        let values = |text: &str| written(text).iter().map(|number| number.value).collect::<Vec<_>>();
        assert_eq!(values("is 0.498, or $-1.25\\times10^{-7}$, or 91.2\\,\\%"), [0.498, -1.25e-7, 0.912]);
        assert_eq!(values("20\\,000\\,000 and 1{,}234 and 1,234.5"), [2e7, 1234.0, 1234.5]);
        assert_eq!(values("in 2023, 12 of 3 x_{1} Section~2.1, 1.5pt, 1.2.3, v1.25, 0.5"), Vec::<f64>::new());
        assert_eq!(values("a 10.5-fold range 1.25--2.50"), [10.5, 1.25, 2.5]);
        let one = &written("x = 0.0498")[0];
        assert_eq!((one.digits, one.half), (3, 0.5e-4));
    }
}
