//! The grammar of claims.

use crate::numbers::claims::{Claim, Operator, Over, Sign, Term};

/// More terms and brackets than these are a mistake.
const LARGEST: usize = 100;

/// Two characters before one, so that `<=` is not read as `<`.
const SIGNS: [(&str, Sign); 6] = [
    ("<=", Sign::AtMost),
    (">=", Sign::AtLeast),
    ("≤", Sign::AtMost),
    ("≥", Sign::AtLeast),
    ("<", Sign::Less),
    (">", Sign::More),
];

/// A claim that cannot be read; `at` is where, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("a name or a number is missing")]
    NoTerm { at: usize },
    #[error("`{word}` is not expected here")]
    Unexpected { word: String, at: usize },
    #[error("`(` is not closed")]
    Open { at: usize },
    #[error("`[` is not closed")]
    OpenName { at: usize },
    #[error("nothing is claimed")]
    NoRelation { at: usize },
    #[error("`=` of two measured numbers never holds")]
    Equal { at: usize },
    #[error("`±` and a number are missing")]
    NoReach { at: usize },
    #[error("a test is of two names, or of a name and a number")]
    NoTest { at: usize },
    #[error("`with` is followed by `p < 0.05`")]
    NoChance { at: usize },
    #[error("`in its interval of` stands between a name and a number or another name")]
    NoInterval { at: usize },
    #[error("it has more than {LARGEST} terms and brackets")]
    Large { at: usize },
}

impl ReadError {
    /// Where.
    pub fn at(&self) -> usize {
        match self {
            ReadError::NoTerm { at }
            | ReadError::Unexpected { at, .. }
            | ReadError::Open { at }
            | ReadError::OpenName { at }
            | ReadError::NoRelation { at }
            | ReadError::Equal { at }
            | ReadError::NoReach { at }
            | ReadError::NoTest { at }
            | ReadError::NoChance { at }
            | ReadError::NoInterval { at }
            | ReadError::Large { at } => *at,
        }
    }
}

/// Reads a claim.
pub fn read(text: &str) -> Result<Claim, ReadError> {
    let mut reader = Reader { text, at: 0, parts: 0 };
    let claim = reader.claim()?;
    match reader.peek() {
        "" => Ok(claim),
        word => Err(ReadError::Unexpected { word: word.to_owned(), at: reader.here() }),
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// Terms and brackets so far.
    parts: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default().trim_start()
    }

    /// Where the next word begins.
    fn here(&self) -> usize {
        self.text.len() - self.rest().len()
    }

    /// The next word as far as the next space or sign, for messages and keywords.
    fn peek(&self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || "()[]<>=±,".contains(c)).unwrap_or(rest.len());
        let first = rest.chars().next().map_or(0, char::len_utf8);
        &rest[..end.max(first)]
    }

    /// Takes a word or a sign if it comes next.
    fn take(&mut self, word: &str) -> bool {
        let letters = word.ends_with(char::is_alphabetic);
        let found = if letters { self.peek() == word } else { self.rest().starts_with(word) };
        if found {
            self.at = self.here() + word.len();
        }
        found
    }

    fn claim(&mut self) -> Result<Claim, ReadError> {
        let start = self.here();
        let left = self.sum()?;
        if self.take("within") {
            return self.within(left);
        }
        if self.take("in") {
            let at = self.here();
            let words = self.take("its") && self.take("interval") && self.take("of");
            return match left {
                Term::Name(name) if words => Ok(Claim::Agrees { name, with: self.sum()? }),
                _ => Err(ReadError::NoInterval { at: if words { start } else { at } }),
            };
        }
        let at = self.here();
        let Some(sign) = self.sign() else {
            return Err(match self.peek() {
                "" => ReadError::NoRelation { at },
                word if word.starts_with('=') => ReadError::Equal { at },
                word => ReadError::Unexpected { word: word.to_owned(), at },
            });
        };
        let right = self.sum()?;
        let with = self.here();
        if !self.take("with") {
            return Ok(Claim::Compare { left, sign, right, chance: None });
        }
        let at = self.here();
        let chance = if self.take("p") && self.take("<") { self.number() } else { None };
        let chance = chance.filter(|p| *p > 0.0 && *p < 1.0).ok_or(ReadError::NoChance { at })?;
        let plain = |term: &Term| matches!(term, Term::Name(_) | Term::Literal(_));
        let named = |term: &Term| matches!(term, Term::Name(_));
        if !plain(&left) || !plain(&right) || !(named(&left) || named(&right)) {
            return Err(ReadError::NoTest { at: with });
        }
        Ok(Claim::Compare { left, sign, right, chance: Some(chance) })
    }

    fn within(&mut self, value: Term) -> Result<Claim, ReadError> {
        if self.take("[") {
            let open = self.here();
            let low = self.number().ok_or(ReadError::NoTerm { at: self.here() })?;
            if !self.take(",") {
                return Err(ReadError::Unexpected { word: self.peek().to_owned(), at: self.here() });
            }
            let high = self.number().ok_or(ReadError::NoTerm { at: self.here() })?;
            return if self.take("]") {
                Ok(Claim::Between { value, low, high })
            } else {
                Err(ReadError::OpenName { at: open })
            };
        }
        let of = self.sum()?;
        let at = self.here();
        let sign = self.take("±") || self.take("+-");
        let reach = if sign { self.number() } else { None };
        let reach = reach.filter(|reach| *reach >= 0.0).ok_or(ReadError::NoReach { at })?;
        Ok(Claim::Within { value, of, reach })
    }

    fn sign(&mut self) -> Option<Sign> {
        SIGNS.into_iter().find(|(text, _)| self.take(text)).map(|(_, sign)| sign)
    }

    fn sum(&mut self) -> Result<Term, ReadError> {
        let mut term = self.product()?;
        loop {
            // `+-` is a way to write `±`.
            let operator = match self.rest() {
                rest if rest.starts_with("+-") => return Ok(term),
                _ if self.take("+") => Operator::Plus,
                _ if self.take("-") || self.take("−") => Operator::Minus,
                _ => return Ok(term),
            };
            term = Term::Compute(Box::new(term), operator, Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Term, ReadError> {
        let mut term = self.factor()?;
        loop {
            let operator = if self.take("*") || self.take("×") {
                Operator::Times
            } else if self.take("/") {
                Operator::By
            } else {
                return Ok(term);
            };
            term = Term::Compute(Box::new(term), operator, Box::new(self.factor()?));
        }
    }

    fn factor(&mut self) -> Result<Term, ReadError> {
        let at = self.here();
        self.parts += 1;
        if self.parts > LARGEST {
            return Err(ReadError::Large { at });
        }
        if self.take("(") {
            let inner = self.sum()?;
            return if self.take(")") { Ok(inner) } else { Err(ReadError::Open { at }) };
        }
        if let Some(number) = self.number() {
            return Ok(Term::Literal(number));
        }
        let over = [("min", Over::Min), ("max", Over::Max), ("mean", Over::Mean)];
        for (word, over) in over {
            let before = self.at;
            if self.take(word) {
                if self.take("over") && self.take("seeds") {
                    self.take("of");
                    return Ok(Term::OverSeeds(over, self.name()?));
                }
                self.at = before;
            }
        }
        Ok(Term::Name(self.name()?))
    }

    /// `free.slope`, `loss[lr=0.1]`.
    fn name(&mut self) -> Result<String, ReadError> {
        let at = self.here();
        let rest = self.rest();
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
        let starts = rest.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let mut end = rest.find(|c| !plain(c)).unwrap_or(rest.len());
        if !starts || end == 0 {
            return Err(ReadError::NoTerm { at });
        }
        if rest[end..].starts_with('[') {
            end += rest[end..].find(']').ok_or(ReadError::OpenName { at: at + end })? + 1;
        }
        self.at = at + end;
        Ok(rest[..end].to_owned())
    }

    fn number(&mut self) -> Option<f64> {
        let rest = self.rest();
        let sign = rest.strip_prefix(['-', '−', '+']).map_or(0, |after| rest.len() - after.len());
        let body = &rest[sign..];
        if !body.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        let mut end = body.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(body.len());
        if let Some(power) = body[end..].strip_prefix(['e', 'E']) {
            let digits = power.strip_prefix(['-', '+']).unwrap_or(power);
            let length = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            if length > 0 {
                end += 1 + (power.len() - digits.len()) + length;
            }
        }
        let value: f64 = body[..end].parse().ok()?;
        let value = if rest.starts_with(['-', '−']) { -value } else { value };
        let before = self.here();
        self.at = before + sign + end;
        Some(if self.take("%") { value / 100.0 } else { value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Term {
        Term::Name(text.to_owned())
    }

    #[test]
    fn claims_are_read() {
        let within = Claim::Within { value: name("free.slope"), of: Term::Literal(0.5), reach: 0.02 };
        assert_eq!(read("free.slope within 0.5 ± 0.02"), Ok(within.clone()));
        assert_eq!(read("free.slope within 0.5 +- 0.02"), Ok(within));
        let between = Claim::Between { value: name("r"), low: -1.0, high: 2e-3 };
        assert_eq!(read("r within [-1, 2e-3]"), Ok(between));
        let better = Claim::Compare {
            left: name("ddpm.frechet"),
            sign: Sign::Less,
            right: name("action_k2.frechet"),
            chance: Some(0.05),
        };
        assert_eq!(read("ddpm.frechet < action_k2.frechet with p < 0.05"), Ok(better));
        let least = Claim::Compare {
            left: Term::OverSeeds(Over::Min, "loss[lr=0.1]".to_owned()),
            sign: Sign::AtLeast,
            right: Term::Compute(Box::new(Term::Literal(2.0)), Operator::Times, Box::new(name("best-loss"))),
            chance: None,
        };
        assert_eq!(read("min over seeds of loss[lr=0.1] >= 2 * best-loss"), Ok(least));
        assert_eq!(
            read("free.slope in its interval of 0.5"),
            Ok(Claim::Agrees { name: "free.slope".to_owned(), with: Term::Literal(0.5) })
        );
        assert!(matches!(read("min < max"), Ok(Claim::Compare { .. })));
        assert_eq!(read("x > 95 %"), read("x > 0.95"));
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        for (text, at, message) in [
            ("", 0, "a name or a number is missing"),
            ("a", 1, "nothing is claimed"),
            ("a = b", 2, "`=` of two measured numbers never holds"),
            ("a < ", 4, "a name or a number is missing"),
            ("a is b", 2, "`is` is not expected here"),
            ("a < b c", 6, "`c` is not expected here"),
            ("(a < b", 0, "`(` is not closed"),
            ("a[x < b", 1, "`[` is not closed"),
            ("a within 0.5", 12, "`±` and a number are missing"),
            ("a < b with q < 1", 11, "`with` is followed by `p < 0.05`"),
            ("a < 2 * b with p < 0.05", 10, "a test is of two names, or of a name and a number"),
            (
                "2 in its interval of a",
                0,
                "`in its interval of` stands between a name and a number or another name",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!((error.at(), error.to_string().as_str()), (at, message), "{text}");
        }
        for large in ["(".repeat(1000), "a + ".repeat(1000)] {
            assert!(matches!(read(&large), Err(ReadError::Large { .. })));
        }
    }
}
