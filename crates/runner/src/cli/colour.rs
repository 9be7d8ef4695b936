//! Whether there are colours, by the conventions that terminal programs share: `NO_COLOR`, `CLICOLOR` and `CLICOLOR_FORCE`.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal};

/// Whether standard error is to have colours.
pub fn on_stderr() -> bool {
    wanted(|name| env::var_os(name), io::stderr().is_terminal())
}

/// Whether standard output is to have colours.
pub fn on_stdout() -> bool {
    wanted(|name| env::var_os(name), io::stdout().is_terminal())
}

/// `NO_COLOR` with any text turns them off, then `CLICOLOR_FORCE` turns them on everywhere; else they are for terminals that can, unless
/// `CLICOLOR=0`.
fn wanted(variable: impl Fn(&str) -> Option<OsString>, terminal: bool) -> bool {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if set("NO_COLOR").is_some() {
        return false;
    }
    if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    terminal
        && set("CLICOLOR").is_none_or(|value| value != "0")
        && set("TERM").is_none_or(|value| value != "dumb")
}

/// The word that a line begins with, and how it looks.
const WORDS: [(&str, &str); 4] =
    [("error:", "1;31"), ("warning:", "1;33"), ("note:", "1;36"), ("  help:", "1;36")];

/// A line, or several, for standard error: what it is stands out where there are colours.
pub fn paint(text: &str) -> String {
    if !on_stderr() {
        return text.to_owned();
    }
    let lines = text.split('\n').map(|line| {
        let word = WORDS.iter().find(|(word, _)| line.starts_with(word));
        word.map_or_else(
            || line.to_owned(),
            |(word, look)| format!("\u{1b}[{look}m{word}\u{1b}[0m{}", &line[word.len()..]),
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_the_conventions() {
        let wanted = |given: &[(&str, &str)], terminal| {
            let value =
                |name: &str| given.iter().find(|(set, _)| *set == name).map(|(_, value)| value.into());
            wanted(value, terminal)
        };
        assert!(wanted(&[], true) && !wanted(&[], false));
        assert!(!wanted(&[("NO_COLOR", "1")], true) && wanted(&[("NO_COLOR", "")], true));
        assert!(!wanted(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true));
        assert!(wanted(&[("CLICOLOR_FORCE", "1")], false) && !wanted(&[("CLICOLOR_FORCE", "0")], false));
        assert!(!wanted(&[("CLICOLOR", "0")], true) && wanted(&[("CLICOLOR", "1")], true));
        assert!(!wanted(&[("CLICOLOR", "1")], false));
        assert!(!wanted(&[("TERM", "dumb")], true) && wanted(&[("TERM", "xterm")], true));
    }
}
