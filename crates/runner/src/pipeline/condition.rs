//! The conditions of `when`: comparisons of parameters and results, joined by `and`, `or` and `not`.
//!
//! ```yaml
//! when: ${params.full}
//! when: ${test.summary:accuracy} >= 0.9 and not (${params.mode} == quick)
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use std::cmp::Ordering;

/// A condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Condition {
    /// Something that must be true or false by itself.
    Value(Operand),
    Compare(Operand, Comparison, Operand),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

/// What is compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Operand {
    Literal(Value),
    /// A value that is known once its stage has run, by its position among those of the condition.
    Result(usize),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Two characters before one, so that `<=` is not read as `<`.
const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

/// A condition that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("a value is missing")]
    NoValue { at: usize },
    #[error("`{word}` is not expected here")]
    Unexpected { word: String, at: usize },
    #[error("`(` is not closed")]
    Open { at: usize },
    #[error("a quotation is not closed")]
    Quotation { at: usize },
    #[error("`${{` is not closed")]
    Name { at: usize },
    /// The name inside `${…}` means nothing; that was reported.
    #[error("a name is not known")]
    Reported,
}

/// A condition whose values do not fit it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    #[error("`{value}` is neither true nor false")]
    NotTruth { value: String },
    #[error("`{left}` and `{right}` have no order")]
    NoOrder { left: String, right: String },
}

impl Condition {
    /// Reads a condition. `name` tells what stands for the words inside a `${…}`; none where that was reported as an error.
    pub fn read(text: &str, name: &mut dyn FnMut(&str) -> Option<Operand>) -> Result<Condition, ReadError> {
        let mut reader = Reader { text, at: 0, name };
        let condition = reader.any()?;
        match reader.word() {
            "" => Ok(condition),
            word => Err(ReadError::Unexpected { word: word.to_owned(), at: reader.at }),
        }
    }

    /// Whether it holds with these results.
    pub fn holds(&self, results: &[Value]) -> Result<bool, ValueError> {
        match self {
            Condition::Value(operand) => match operand.value(results) {
                Value::Bool(truth) => Ok(*truth),
                other => Err(ValueError::NotTruth { value: shown(other) }),
            },
            Condition::Compare(left, comparison, right) => {
                compare(left.value(results), *comparison, right.value(results))
            }
            Condition::Not(inner) => Ok(!inner.holds(results)?),
            Condition::All(parts) => parts.iter().try_fold(true, |all, part| Ok(all && part.holds(results)?)),
            Condition::Any(parts) => {
                parts.iter().try_fold(false, |any, part| Ok(any || part.holds(results)?))
            }
        }
    }
}

impl Operand {
    fn value<'a>(&'a self, results: &'a [Value]) -> &'a Value {
        match self {
            Operand::Literal(value) => value,
            Operand::Result(at) => results.get(*at).unwrap_or(&Value::Null),
        }
    }
}

fn compare(left: &Value, comparison: Comparison, right: &Value) -> Result<bool, ValueError> {
    let order = match (left, right) {
        (Value::Number(a), Value::Number(b)) => order(a, b),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    };
    let equal = order.map_or(left == right, Ordering::is_eq);
    match (comparison, order) {
        (Comparison::Equal, _) => return Ok(equal),
        (Comparison::NotEqual, _) => return Ok(!equal),
        (Comparison::Less, Some(order)) => Some(order.is_lt()),
        (Comparison::LessOrEqual, Some(order)) => Some(order.is_le()),
        (Comparison::Greater, Some(order)) => Some(order.is_gt()),
        (Comparison::GreaterOrEqual, Some(order)) => Some(order.is_ge()),
        (_, None) => None,
    }
    .ok_or_else(|| ValueError::NoOrder { left: shown(left), right: shown(right) })
}

/// Whole numbers exactly, others as floats.
fn order(a: &Number, b: &Number) -> Option<Ordering> {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

struct Reader<'t, 'n> {
    text: &'t str,
    at: usize,
    name: &'n mut dyn FnMut(&str) -> Option<Operand>,
}

impl<'t> Reader<'t, '_> {
    fn rest(&mut self) -> &'t str {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        &self.text[self.at..]
    }

    /// The next word, which is not taken: up to a blank, a parenthesis or a comparison.
    fn word(&mut self) -> &'t str {
        let rest = self.rest();
        let mark = COMPARISONS.iter().find(|(mark, _)| rest.starts_with(mark)).map(|(mark, _)| mark.len());
        let end = match rest.chars().next() {
            Some('(' | ')') => 1,
            _ => mark.unwrap_or_else(|| {
                let ends = |c: char| c.is_whitespace() || "()<>=!".contains(c);
                rest.find(ends).unwrap_or(rest.len()).max(rest.chars().next().map_or(0, char::len_utf8))
            }),
        };
        &rest[..end]
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.word() == word;
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn any(&mut self) -> Result<Condition, ReadError> {
        let mut parts = vec![self.all()?];
        while self.take("or") {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::Any(parts) })
    }

    fn all(&mut self) -> Result<Condition, ReadError> {
        let mut parts = vec![self.not()?];
        while self.take("and") {
            parts.push(self.not()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::All(parts) })
    }

    fn not(&mut self) -> Result<Condition, ReadError> {
        if self.take("not") {
            return Ok(Condition::Not(Box::new(self.not()?)));
        }
        let at = self.at;
        if self.take("(") {
            let inner = self.any()?;
            return if self.take(")") { Ok(inner) } else { Err(ReadError::Open { at }) };
        }
        let left = self.operand()?;
        let word = self.word();
        let Some((mark, comparison)) = COMPARISONS.into_iter().find(|(mark, _)| *mark == word) else {
            return Ok(Condition::Value(left));
        };
        self.at += mark.len();
        Ok(Condition::Compare(left, comparison, self.operand()?))
    }

    fn operand(&mut self) -> Result<Operand, ReadError> {
        let rest = self.rest();
        let at = self.at;
        if let Some(inside) = rest.strip_prefix("${") {
            let Some(end) = inside.find('}') else { return Err(ReadError::Name { at }) };
            self.at += end + 3;
            return (self.name)(&inside[..end]).ok_or(ReadError::Reported);
        }
        if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            let Some(end) = rest[1..].find(quote) else { return Err(ReadError::Quotation { at }) };
            self.at += end + 2;
            return Ok(Operand::Literal(Value::String(rest[1..=end].to_owned())));
        }
        let word = self.word();
        if word.is_empty() {
            return Err(ReadError::NoValue { at });
        }
        let mark = COMPARISONS.iter().any(|(mark, _)| *mark == word);
        if mark || matches!(word, "and" | "or" | "not" | "(" | ")") || word.starts_with(['=', '!']) {
            return Err(ReadError::Unexpected { word: word.to_owned(), at });
        }
        self.at += word.len();
        // A word that is no number, truth or null stands for itself.
        let literal = serde_json::from_str(word).ok().filter(|value: &Value| !value.is_array());
        Ok(Operand::Literal(literal.unwrap_or_else(|| Value::String(word.to_owned()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(text: &str) -> Result<bool, ValueError> {
        let mut results = Vec::new();
        let mut name = |name: &str| {
            let value = match name {
                "params.n" => json!(3),
                "params.word" => json!("full"),
                "test.summary:score" => json!(0.5),
                "params.on" => json!(true),
                _ => return None,
            };
            results.push(value);
            Some(Operand::Result(results.len() - 1))
        };
        let condition = Condition::read(text, &mut name).unwrap();
        condition.holds(&results)
    }

    #[test]
    fn conditions_compare_and_join() {
        for text in [
            "${params.on}",
            "${params.n} == 3",
            "${params.n} == 3.0",
            "${params.n}>=3 and ${test.summary:score}<0.6",
            "not ${params.n} != 3",
            "${params.word} == full",
            "${params.word} == 'full'",
            "false or (${params.n} < 2 or true) and not false",
            "a < b",
            "${params.n} != three",
        ] {
            assert_eq!(holds(text), Ok(true), "{text}");
        }
        assert_eq!(holds("${params.n} > 3"), Ok(false));
        // `and` binds before `or`.
        assert_eq!(holds("true or true and false"), Ok(true));
        assert_eq!(holds("${params.n}"), Err(ValueError::NotTruth { value: "3".into() }));
        let error = ValueError::NoOrder { left: "full".into(), right: "3".into() };
        assert_eq!(holds("${params.word} < 3"), Err(error));
    }

    #[test]
    fn what_cannot_be_read_is_placed() {
        let read = |text: &str| Condition::read(text, &mut |_| None).unwrap_err();
        assert_eq!(read(""), ReadError::NoValue { at: 0 });
        assert_eq!(read("1 =="), ReadError::NoValue { at: 4 });
        assert_eq!(read("1 = 2"), ReadError::Unexpected { word: "=".into(), at: 2 });
        assert_eq!(read("1 == 2 3"), ReadError::Unexpected { word: "3".into(), at: 7 });
        assert_eq!(read("(true"), ReadError::Open { at: 0 });
        assert_eq!(read("'a == 1"), ReadError::Quotation { at: 0 });
        assert_eq!(read("true and ${params.x"), ReadError::Name { at: 9 });
        assert_eq!(read("and"), ReadError::Unexpected { word: "and".into(), at: 0 });
        assert_eq!(read("${params.x}"), ReadError::Reported);
    }
}
