//! Texts that stand for other values.

use crate::time;
use crate::value::Value;

/// A field as a number where it reads as one and none of its digits is lost.
pub fn typed(field: &str) -> Value {
    let plain = field.trim();
    if plain.is_empty() {
        Value::Null
    } else if let Ok(integer) = plain.parse() {
        Value::Integer(integer)
    } else if let Ok(number) = plain.parse::<f64>() {
        let digits = plain.trim_start_matches(['+', '-']);
        // A whole number of more than 64 bits may be a name: rounded, two of them could become one.
        let whole = digits.bytes().all(|byte| byte.is_ascii_digit());
        if whole && format!("{:.0}", number.abs()) != digits {
            Value::Text(field.into())
        } else {
            Value::Number(number)
        }
    } else {
        match plain {
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            _ => Value::Text(field.into()),
        }
    }
}

/// The numbers that texts stand for, which are all numbers or all timestamps; or the first text that is to blame. One bad cell makes
/// a column one of texts: the others in it are numbers all the same.
pub fn numbers<'a>(texts: impl IntoIterator<Item = Option<&'a str>>) -> Result<Vec<Option<f64>>, &'a str> {
    let texts: Vec<Option<&str>> = texts.into_iter().collect();
    let number = |text: &str| typed(text).number();
    let others: Vec<&str> = texts.iter().flatten().copied().filter(|text| number(text).is_none()).collect();
    let Some(first) = others.first() else { return Ok(texts.iter().map(|text| number((*text)?)).collect()) };
    let neither = || others.iter().find(|text| time::seconds(text).is_none());
    time::all(texts.iter().copied()).map_err(|_| *neither().unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_that_is_to_blame_is_named() {
        assert_eq!(numbers([Some("0.5"), None, Some("2")]), Ok(vec![Some(0.5), None, Some(2.0)]));
        assert_eq!(numbers([Some("1970-01-02"), None]), Ok(vec![Some(86_400.0), None]));
        assert_eq!(numbers([Some("0.5"), Some("n/a"), Some("-")]), Err("n/a"));
        assert_eq!(numbers([Some("1970-01-02"), Some("soon")]), Err("soon"));
        assert_eq!(numbers([Some("0.5"), Some("1970-01-02")]), Err("1970-01-02"));
        assert_eq!(numbers([Some("1"), Some("")]), Err(""));
    }
}
