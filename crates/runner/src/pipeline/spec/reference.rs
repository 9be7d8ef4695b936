//! References to artifacts and tasks: `stage`, `stage.output`, `stage[axis=value,…].output`, `stage[matching].output`.

use crate::pipeline::expand::instance::normal;

/// A reference, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub stage: String,
    /// Whether the instances have to agree with the referring one on the axes that both have.
    pub matching: bool,
    /// The coordinates asked for, with their values in the form of [`normal`].
    pub wanted: Vec<(String, String)>,
    pub output: Option<String>,
}

/// A reference that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("the stage is missing")]
    NoStage,
    #[error("`[` is not closed")]
    Open,
    #[error("`{part}` inside the brackets is neither `axis=value` nor `matching`")]
    Selector { part: String },
    #[error("axis `{axis}` is given twice")]
    Twice { axis: String },
    #[error("`{rest}` after the brackets is not `.output`")]
    Rest { rest: String },
    #[error("the output after `.` is missing")]
    NoOutput,
}

/// Reads a reference.
pub fn parse(text: &str) -> Result<Reference, ReferenceError> {
    let text = text.trim();
    let end = text.find(['[', '.']).unwrap_or(text.len());
    let mut reference =
        Reference { stage: text[..end].trim().to_owned(), matching: false, wanted: Vec::new(), output: None };
    if reference.stage.is_empty() {
        return Err(ReferenceError::NoStage);
    }
    let mut rest = &text[end..];
    if let Some(inside) = rest.strip_prefix('[') {
        let (inside, after) = inside.split_once(']').ok_or(ReferenceError::Open)?;
        for part in inside.split(',').map(str::trim) {
            match part.split_once('=') {
                Some((axis, value)) if !axis.trim().is_empty() && !value.trim().is_empty() => {
                    let axis = axis.trim().to_owned();
                    if reference.wanted.iter().any(|(other, _)| *other == axis) {
                        return Err(ReferenceError::Twice { axis });
                    }
                    reference.wanted.push((axis, normal(value.trim())));
                }
                None if part == "matching" => reference.matching = true,
                _ => return Err(ReferenceError::Selector { part: part.to_owned() }),
            }
        }
        rest = after.trim_start();
    }
    match rest.strip_prefix('.') {
        Some(output) if output.trim().is_empty() => return Err(ReferenceError::NoOutput),
        Some(output) if output.contains(['[', ']']) => {
            let rest = output[output.find(['[', ']']).unwrap_or(0)..].to_owned();
            return Err(ReferenceError::Rest { rest });
        }
        Some(output) => reference.output = Some(output.trim().to_owned()),
        None if rest.is_empty() => {}
        None => return Err(ReferenceError::Rest { rest: rest.to_owned() }),
    }
    Ok(reference)
}
