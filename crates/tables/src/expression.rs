//! Columns computed from columns: `1/diffusion`, `gamma*2*mass*diffusion`, `-ln(p)`.

use crate::error::TableError;
use std::iter::Peekable;
use std::str::CharIndices;

/// An arithmetic expression over columns: numbers, names (`loss`, `test.loss`), `+ - * / ^`, parentheses and `ln`, `log10`, `exp`, `sqrt`, `abs`.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    Number(f64),
    Column(String),
    Negative(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    Call(Function, Box<Expression>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    Ln,
    Log10,
    Exp,
    Sqrt,
    Abs,
}

impl Expression {
    /// Parses the text of an expression.
    pub fn parse(text: &str) -> Result<Expression, TableError> {
        let mut parser = Parser { text, rest: text.char_indices().peekable() };
        let expression = parser.sum()?;
        parser.space();
        match parser.rest.peek() {
            None => Ok(expression),
            Some(_) => Err(parser.wrong("an operator was expected")),
        }
    }

    /// The value where `column` gives the value of each column; None where any of them is missing.
    pub fn value<'a>(&'a self, column: &mut impl FnMut(&'a str) -> Option<f64>) -> Option<f64> {
        Some(match self {
            Expression::Number(number) => *number,
            Expression::Column(name) => column(name)?,
            Expression::Negative(inner) => -inner.value(column)?,
            Expression::Binary(operator, left, right) => {
                let (left, right) = (left.value(column)?, right.value(column)?);
                match operator {
                    Operator::Add => left + right,
                    Operator::Subtract => left - right,
                    Operator::Multiply => left * right,
                    Operator::Divide => left / right,
                    Operator::Power => libm::pow(left, right),
                }
            }
            Expression::Call(function, inner) => {
                let inner = inner.value(column)?;
                match function {
                    Function::Ln => libm::log(inner),
                    Function::Log10 => libm::log10(inner),
                    Function::Exp => libm::exp(inner),
                    Function::Sqrt => inner.sqrt(),
                    Function::Abs => inner.abs(),
                }
            }
        })
    }

    /// The columns that it needs, each once, in the order of appearance.
    pub fn columns(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.collect(&mut names);
        names
    }

    fn collect<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Expression::Number(_) => {}
            Expression::Column(name) if names.contains(&name.as_str()) => {}
            Expression::Column(name) => names.push(name),
            Expression::Negative(inner) | Expression::Call(_, inner) => inner.collect(names),
            Expression::Binary(_, left, right) => {
                left.collect(names);
                right.collect(names);
            }
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
}

impl Parser<'_> {
    fn wrong(&mut self, message: &str) -> TableError {
        let at = self
            .rest
            .peek()
            .map_or(self.text.chars().count(), |&(byte, _)| self.text[..byte].chars().count());
        TableError::Expression { text: self.text.into(), message: message.into(), at: at + 1 }
    }

    fn space(&mut self) {
        while self.rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
    }

    fn take(&mut self, wanted: char) -> bool {
        self.space();
        self.rest.next_if(|&(_, c)| c == wanted).is_some()
    }

    fn word(&mut self, keep: impl Fn(char, char) -> bool) -> String {
        let mut word = String::new();
        while let Some((_, c)) = self.rest.next_if(|&(_, c)| keep(word.chars().last().unwrap_or(' '), c)) {
            word.push(c);
        }
        word
    }

    fn sum(&mut self) -> Result<Expression, TableError> {
        let mut left = self.product()?;
        loop {
            let operator = match () {
                () if self.take('+') => Operator::Add,
                () if self.take('-') => Operator::Subtract,
                () => return Ok(left),
            };
            left = Expression::Binary(operator, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Expression, TableError> {
        let mut left = self.signed()?;
        loop {
            let operator = match () {
                () if self.take('*') => Operator::Multiply,
                () if self.take('/') => Operator::Divide,
                () => return Ok(left),
            };
            left = Expression::Binary(operator, Box::new(left), Box::new(self.signed()?));
        }
    }

    fn signed(&mut self) -> Result<Expression, TableError> {
        if self.take('-') {
            return Ok(Expression::Negative(Box::new(self.signed()?)));
        }
        let base = self.atom()?;
        if self.take('^') {
            let exponent = self.signed()?;
            return Ok(Expression::Binary(Operator::Power, Box::new(base), Box::new(exponent)));
        }
        Ok(base)
    }

    fn atom(&mut self) -> Result<Expression, TableError> {
        if self.take('(') {
            let inner = self.sum()?;
            return if self.take(')') { Ok(inner) } else { Err(self.wrong("a `)` was expected")) };
        }
        match self.rest.peek().map(|&(_, c)| c) {
            Some(c) if c.is_ascii_digit() || c == '.' => {
                let word = self.word(|last, c| {
                    c.is_ascii_digit()
                        || matches!(c, '.' | 'e' | 'E')
                        || (matches!(last, 'e' | 'E') && "+-".contains(c))
                });
                word.parse()
                    .map(Expression::Number)
                    .map_err(|_| self.wrong(&format!("`{word}` is not a number")))
            }
            Some(c) if c.is_alphabetic() || c == '_' => {
                let word = self.word(|_, c| c.is_alphanumeric() || matches!(c, '_' | '.'));
                if !self.take('(') {
                    return Ok(Expression::Column(word));
                }
                let function = match word.as_str() {
                    "ln" => Function::Ln,
                    "log10" => Function::Log10,
                    "exp" => Function::Exp,
                    "sqrt" => Function::Sqrt,
                    "abs" => Function::Abs,
                    _ => {
                        let message = format!("no function `{word}`; there are ln, log10, exp, sqrt and abs");
                        return Err(self.wrong(&message));
                    }
                };
                let inner = self.sum()?;
                if self.take(')') {
                    Ok(Expression::Call(function, Box::new(inner)))
                } else {
                    Err(self.wrong("a `)` was expected"))
                }
            }
            _ => Err(self.wrong("a number or a column was expected")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> f64 {
        let expression = Expression::parse(text).unwrap();
        expression.value(&mut |name| if name == "d" { Some(4.0) } else { None }).unwrap()
    }

    #[test]
    fn arithmetic_binds_as_usual() {
        assert_eq!(value("1/d"), 0.25);
        assert_eq!(value("1 + 2*d^2 - -3"), 36.0);
        assert_eq!(value("-d^0.5"), -2.0);
        assert_eq!(value("2e-1*(d+1)"), 1.0);
        assert!((value("ln(exp(sqrt(d)))") - 2.0).abs() < 1e-15);
        assert_eq!(Expression::parse("a_b*x.y/a_b").unwrap().columns(), ["a_b", "x.y"]);
    }

    #[test]
    fn errors_say_where() {
        let message = Expression::parse("1/(d").unwrap_err().to_string();
        assert_eq!(message, "cannot understand the expression `1/(d`: a `)` was expected at character 5");
        assert!(
            Expression::parse("a b").is_err()
                && Expression::parse("").is_err()
                && Expression::parse("sin(x)").is_err()
        );
    }
}
