//! Names in messages: lists of them, and the one that was meant.

/// More names than these are counted, not listed.
const SHOWN: usize = 12;

/// `a`, `b` and `c`, in backticks, at most a dozen of them.
pub fn list<S: AsRef<str>>(names: &[S]) -> String {
    joined(names, "and")
}

/// `a`, `b` or `c`.
pub fn either<S: AsRef<str>>(names: &[S]) -> String {
    joined(names, "or")
}

/// `a`, `b`, `c`, all of them.
pub fn series<S: AsRef<str>>(names: &[S]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

fn joined<S: AsRef<str>>(names: &[S], word: &str) -> String {
    let quoted: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{}`", name.as_ref())).collect();
    match quoted.as_slice() {
        [] => "nothing".to_owned(),
        _ if names.len() > SHOWN => format!("{} and {} more", quoted.join(", "), names.len() - SHOWN),
        [one] => one.clone(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}

/// The name that a person who typed `word` most likely meant: the one with the fewest typing mistakes between, if they are few for the
/// length of the word. Capitals, `_` and `-` make no difference.
pub fn meant<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let word = plain(word);
    let most = match word.chars().count() {
        0 | 1 => 0,
        2 => 1,
        n => n / 3,
    };
    let mistakes = names.into_iter().map(|name| (strsim::osa_distance(&word, &plain(name)), name));
    mistakes.filter(|(count, _)| *count <= most).min_by_key(|(count, _)| *count).map(|(_, name)| name)
}

/// Advice on an unknown word: the name that was meant, or the list of them behind `all`; none where there are no names.
pub fn did_you_mean<'a>(word: &str, names: impl IntoIterator<Item = &'a str>, all: &str) -> Option<String> {
    let names: Vec<&str> = names.into_iter().collect();
    match (meant(word, names.iter().copied()), names.as_slice()) {
        (Some(name), _) => Some(format!("did you mean `{name}`?")),
        (None, []) => None,
        (None, [only]) => Some(format!("there is only `{only}`")),
        (None, _) => Some(format!("{all} {}", list(&names))),
    }
}

/// `; did you mean ...?`, when one of the names is close.
pub fn nearest(word: &str, names: &[String]) -> String {
    let meant = meant(word, names.iter().map(String::as_str));
    meant.map_or(String::new(), |name| format!("; did you mean `{name}`?"))
}

/// `; did you mean …?` and the like behind a message, when there is such a help.
pub fn advice(help: &Option<String>) -> String {
    help.as_ref().map_or(String::new(), |help| format!("; {help}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_names_are_listed_and_many_counted() {
        assert_eq!(list::<&str>(&[]), "nothing");
        assert_eq!(list(&["a"]), "`a`");
        assert_eq!(list(&["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(either(&["a", "b"]), "`a` or `b`");
        assert_eq!(series(&["a", "b"]), "`a`, `b`");
        let many: Vec<String> = (0..14).map(|n| n.to_string()).collect();
        assert!(list(&many).ends_with("`11` and 2 more"));
    }

    #[test]
    fn a_few_mistakes_are_forgiven() {
        let names = ["column", "columns", "row_height", "x"];
        assert_eq!(meant("colunm", names), Some("column"));
        assert_eq!(meant("Row-heigt", names), Some("row_height"));
        assert_eq!(meant("y", names), None);
        assert_eq!(meant("table", names), None);
        assert_eq!(did_you_mean("table", ["row"], "there are").as_deref(), Some("there is only `row`"));
        assert_eq!(nearest("rows", &["row".into()]), "; did you mean `row`?");
    }
}
