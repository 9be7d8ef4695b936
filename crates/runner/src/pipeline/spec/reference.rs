//! References to artifacts and tasks: `stage`, `stage.output`, `stage[axis=value,…].output`, `stage[matching].output`, and
//! `stage.folder/file` for what is inside a folder.

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
    /// A path inside the output: `part-1.csv`.
    pub member: Option<String>,
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
    #[error("`{member}` is no path inside a folder: it must be relative, without `.`, `..` and empty parts")]
    Member { member: String },
}

/// Reads a reference.
pub fn parse(text: &str) -> Result<Reference, ReferenceError> {
    // A file's name may end with a blank.
    let text = text.trim_start();
    let text = if text.contains('/') { text } else { text.trim_end() };
    let end = text.find(['[', '.']).unwrap_or(text.len());
    let mut reference = Reference {
        stage: text[..end].trim().to_owned(),
        matching: false,
        wanted: Vec::new(),
        output: None,
        member: None,
    };
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
    if let Some((output, member)) = rest.split_once('/').filter(|(output, _)| output.starts_with('.')) {
        reference.member = Some(self::member(member)?);
        rest = output;
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

/// The path of a member; a slash at its end says that it is a folder, and is left out.
fn member(text: &str) -> Result<String, ReferenceError> {
    let path = text.strip_suffix('/').unwrap_or(text);
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    match path.split('/').all(plain) {
        true => Ok(path.to_owned()),
        false => Err(ReferenceError::Member { member: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_everything_after_the_slash() {
        let member = |text: &str| parse(text).unwrap().member;
        assert_eq!(member("split.parts/a.csv").as_deref(), Some("a.csv"));
        assert_eq!(member("split[n=1].parts/deep/a [1].b=c ").as_deref(), Some("deep/a [1].b=c "));
        assert_eq!(member("split.parts/deep/").as_deref(), Some("deep"));
        assert_eq!(member("split.parts"), None);
        assert_eq!(parse(" split[matching].parts/x").unwrap().output.as_deref(), Some("parts"));
    }

    #[test]
    fn a_member_does_not_leave_its_folder() {
        for wrong in ["../x", "/etc/passwd", "a//b", "", ".", "a/./b"] {
            let error = ReferenceError::Member { member: wrong.to_owned() };
            assert_eq!(parse(&format!("split.parts/{wrong}")), Err(error));
        }
    }
}
