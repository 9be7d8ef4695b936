//! What the YAML parser refuses, in the words of this program.

use serde_yaml::budget::BudgetBreach;

/// What is wrong with a text that is no YAML, or none that a pipeline can be; and what to do.
pub fn explain(error: &serde_yaml::Error, depth: usize) -> (String, Option<&'static str>) {
    use serde_yaml::Error;
    let (message, help) = match error.without_snippet() {
        Error::MultipleDocuments { .. } => (
            "a second YAML document begins here, and one file is one document",
            Some("remove the `---` before it, or put it into a file of its own"),
        ),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            let message = format!("lists and mappings are nested more than {depth} deep");
            return (message, Some("is a bracket not closed, or a line indented too far?"));
        }
        Error::Budget {
            breach:
                BudgetBreach::Aliases { .. }
                | BudgetBreach::Anchors { .. }
                | BudgetBreach::AliasAnchorRatio { .. }
                | BudgetBreach::RecordedAnchorEvents { .. }
                | BudgetBreach::RecordedAnchorBytes { .. }
                | BudgetBreach::MergeKeys { .. },
            ..
        }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => (
            "the aliases (`*name`) of the file repeat more than a pipeline can need",
            Some("use `params` and `${params.name}` for what is repeated"),
        ),
        Error::AliasError { error, .. } => return explain(error, depth),
        Error::Budget { .. } => ("the file holds more values than a pipeline can need", None),
        Error::UnknownAnchor { .. } => (
            "this alias (`*name`) has no anchor (`&name`) before it",
            Some("put text that begins with `*` in quotes"),
        ),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            ("this alias (`*name`) stands inside its own anchor", None)
        }
        Error::NullIntoString { .. } => {
            ("a key is empty", Some("write a name before the `:`; put it in quotes if it is `null` or `~`"))
        }
        Error::Unexpected { expected: "string scalar", .. } => {
            ("a key must be text, not a list or a mapping", None)
        }
        other => return scanner(&other.to_string()),
    };
    (message.to_owned(), help)
}

/// The parser's messages of wrong characters, by what a person has to do about them; others as they are, without the place, which is
/// shown below.
fn scanner(text: &str) -> (String, Option<&'static str>) {
    let text = text.lines().next().unwrap_or_default();
    let text = text.split(" at line ").next().unwrap_or(text);
    let text = text.strip_prefix("error: ").unwrap_or(text).trim_end_matches([':', ',', ' ']);
    let known = [
        ("tab", "a tab cannot indent YAML", "use blanks"),
        (
            "mapping values are not allowed",
            "there cannot be a `:` here",
            "put text that holds `: ` in quotes, or begin a line for the key",
        ),
        (
            "did not find expected key",
            "this line fits into no mapping: it is indented otherwise than the keys before it, or the line before is not closed",
            "indent the keys of a mapping by the same number of blanks",
        ),
        (
            "did not find expected '-' indicator",
            "this line fits into no list: the values of a list begin with `- `",
            "indent the values of a list by the same number of blanks",
        ),
        ("invalid indentation", "this line is not indented as what it belongs to", "indent it further"),
        (
            "found unknown escape character",
            "there is no such escape in double quotes",
            "use single quotes, or `\\\\` for a backslash",
        ),
        (
            "did not find expected ',' or '}'",
            "a `,` or `}` is missing before this",
            "close the mapping, or put the text in quotes",
        ),
        (
            "expected ',' or ']'",
            "a `,` or `]` is missing before this",
            "close the list, or put the text in quotes",
        ),
        (
            "unclosed quote",
            "this quote is not closed",
            "add the second one, or write `''` for a `'` in single quotes",
        ),
        ("unclosed bracket", "this bracket is not closed", "add the second one, or put the text in quotes"),
    ];
    let found = known.iter().find(|(part, ..)| match *part {
        "tab" => text.starts_with("tab") || text.contains("found a tab"),
        part => text.contains(part),
    });
    match found {
        Some((_, message, help)) => ((*message).to_owned(), Some(help)),
        None => (format!("the YAML cannot be read: {text}"), None),
    }
}
