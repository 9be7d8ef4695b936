//! The log of TeX: its first error with the place, and what it warns of.

use super::error::LatexError;
use super::layout::Layout;
use crate::words::plural;
use std::fs;
use std::io;
use std::path::Path;

/// The log of the last pass.
pub struct Log {
    text: String,
}

/// What is not an error, and yet not as it should be.
#[derive(Debug, Default, PartialEq)]
pub struct Warnings {
    /// Labels and citations that are not there, each with what TeX says of its place.
    undefined: Vec<String>,
    /// Labels that are there twice.
    multiple: Vec<String>,
    /// Lines that stand out of the text: by how many points, and where.
    overfull: Vec<(f64, String)>,
}

/// How many undefined names are listed.
const LISTED: usize = 5;

impl Log {
    /// The log; empty where TeX did not come as far as writing one.
    pub fn read(path: &Path) -> io::Result<Log> {
        match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Log { text: String::new() }),
            bytes => Ok(Log { text: String::from_utf8_lossy(&bytes?).into_owned() }),
        }
    }

    /// The first error.
    pub fn fault(&self, layout: &Layout) -> Option<LatexError> {
        let (number, told, message) = self.text.lines().enumerate().find_map(|(number, text)| {
            let plain = text.strip_prefix("! ").map(|message| (number, None, message));
            plain.or_else(|| {
                place(text, layout).map(|(file, line, message)| (number, Some((file, line)), message))
            })
        })?;
        let rest: Vec<&str> = self.text.lines().skip(number + 1).collect();
        // Packages go on in lines that begin with their names.
        let package = message.strip_prefix("Package ").and_then(|rest| rest.split(' ').next());
        let mut message = message.to_owned();
        for text in rest.iter().take_while(|text| !text.trim().is_empty()) {
            let Some(more) = package.and_then(|name| text.strip_prefix(&format!("({name})"))) else { break };
            message = format!("{message} {}", more.trim());
        }
        let near = rest.iter().find_map(|text| text.strip_prefix("l.")?.split_once(' '));
        // An error that begins with `!` has its file in the line that ends the document.
        let ends = || rest.iter().find_map(|text| place(text, layout)).map(|(file, line, _)| (file, line));
        let (file, line) = match told.or_else(ends) {
            Some((file, line)) => (file.to_owned(), Some(line)),
            None => (String::new(), near.and_then(|(line, _)| line.parse().ok())),
        };
        let near = near.map_or("", |(_, near)| near.trim()).to_owned();
        let missing = message
            .split_once("File `")
            .and_then(|(_, rest)| rest.split_once("' not found").map(|(file, _)| file.to_owned()));
        if let Some(missing) = missing {
            let at = line.map(|line| (file, line));
            return Some(LatexError::Missing { at, file: missing, said: String::new() });
        }
        // A message that names its culprit needs no more.
        let near = if package.is_some() { String::new() } else { near };
        Some(LatexError::Tex { file, line, message, near })
    }

    /// What it warns of.
    pub fn warnings(&self) -> Warnings {
        let mut warnings = Warnings::default();
        for line in self.text.lines() {
            if let Some((what, place)) = line.split_once(" undefined on input line ")
                && let Some((_, name)) = what.split_once('`')
            {
                let name = name.split('\'').next().unwrap_or(name);
                push_new(&mut warnings.undefined, format!("`{name}` (line {})", place.trim_end_matches('.')));
            } else if let Some(name) = line.strip_prefix("LaTeX Warning: Label `") {
                push_new(&mut warnings.multiple, format!("`{}`", name.split('\'').next().unwrap_or(name)));
            } else if let Some(rest) = line.strip_prefix("Overfull \\hbox (")
                && let Some((by, place)) = rest.split_once("pt too wide) ")
                && let Ok(by) = by.parse()
            {
                warnings.overfull.push((by, place.trim().to_owned()));
            }
        }
        warnings
    }
}

/// The file, the line and the message of an error as TeX tells it: `./main.tex:7: Undefined control sequence.`
fn place<'a>(text: &'a str, layout: &Layout) -> Option<(&'a str, u32, &'a str)> {
    let (place, message) = text.split_once(": ")?;
    let (file, line) = place.rsplit_once(':')?;
    let known = layout.source(file).is_some() || Path::new(file).is_absolute();
    Some((file, line.parse().ok().filter(|_| known)?, message))
}

fn push_new(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}

impl Warnings {
    /// Says them in the task's log and, as warnings, to who runs it.
    pub fn tell(&self) {
        let lists =
            [("undefined references or citations", &self.undefined), ("labels given twice", &self.multiple)];
        for (what, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
            let listed = names[..names.len().min(LISTED)].join(", ");
            match names.len().saturating_sub(LISTED) {
                0 => tracing::warn!("the document has {what}: {listed}"),
                more => tracing::warn!("the document has {what}: {listed} and {more} more"),
            }
        }
        let widest = self.overfull.iter().max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((by, place)) = widest {
            tracing::warn!(
                "the document has {}, the widest by {by:.1} pt {place}",
                plural(self.overfull.len(), "overfull line")
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_summed_up() {
        let text = "LaTeX Warning: Reference `fig:x' on page 1 undefined on input line 12.\n\
                    LaTeX Warning: Citation `knuth' on page 2 undefined on input line 30.\n\
                    LaTeX Warning: Label `eq:a' multiply defined.\n\
                    Overfull \\hbox (12.34pt too wide) in paragraph at lines 5--7\n\
                    Overfull \\hbox (2.0pt too wide) detected at line 9\n\
                    LaTeX Warning: There were undefined references.\n";
        let warnings = Log { text: text.into() }.warnings();
        assert_eq!(warnings.undefined, ["`fig:x` (line 12)", "`knuth` (line 30)"]);
        assert_eq!(warnings.multiple, ["`eq:a`"]);
        assert_eq!(warnings.overfull[0], (12.34, "in paragraph at lines 5--7".to_owned()));
    }
}
