use super::fill::{Found, fill};
use super::quote::QuoteError;
use super::scan::scan;
use super::script::Frame;
use super::{Language, Name, Shell};
use proptest::prelude::*;
use std::process::Command;

/// Places in a script that hand a text to `printf`, each with what it adds around the text.
const PLACES: [(&str, &str, &str); 18] = [
    ("printf %s ${x}", "", ""),
    ("printf %s \"${x}\"", "", ""),
    ("printf %s 'a ${x} b'", "a ", " b"),
    ("printf %s a${x}\"b ${x}\"", "", ""),
    ("x=${x}; printf %s \"$x\"", "", ""),
    ("x=\"$(printf '%s.' ${x})\"; printf %s \"$${x%.}\"", "", ""),
    ("x=\"$(printf '%s.' \"${x}\")\"; printf %s \"$${x%.}\"", "", ""),
    ("x=`printf '%s.' ${x}`; printf %s \"$${x%.}\"", "", ""),
    ("x=\"`printf '%s.' ${x}`\"; printf %s \"$${x%.}\"", "", ""),
    ("x=`printf '%s.' \"${x}\"`; printf %s \"$${x%.}\"", "", ""),
    ("unset y; printf %s \"$${y:-}\"$${y:-${x}}", "", ""),
    ("cat <<END\n<${x}>\nEND", "<", ">\n"),
    ("cat <<'END'\n<${x}>\nEND", "<", ">\n"),
    ("cat <<-\"END\"\n\t<${x}>\n\tEND\n", "<", ">\n"),
    ("printf %s ${x} # ${x}", "", ""),
    ("case ${x} in ${x}) printf %s ${x};; esac", "", ""),
    ("x=$(case a in a) printf %s. ${x};; esac); printf %s \"$${x%.}\"", "", ""),
    ("f() { printf %s \"$1\"; }; if true; then f \"${x}\" | cat; fi", "", ""),
];

fn filled(script: &str, text: &str) -> Result<String, QuoteError> {
    let find = |_: &str| Some(Found::Texts(vec![text.as_bytes().to_vec()]));
    match fill(script, &Language::Shell, false, find).expect("it was found") {
        Ok(script) => Ok(String::from_utf8(script).expect("text")),
        Err(error) => Err(error.reason),
    }
}

fn printed(shell: &str, script: &str) -> Option<String> {
    let output = Command::new(shell).args(["-e", "-c", "--", script]).output().ok()?;
    assert!(output.status.success(), "{shell}: {script}\n{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("text"))
}

/// Every kind of quotes with every text, twice: filled in at once, and with the text filled in first and the rest later.
fn stands_everywhere(text: &str) {
    for (place, before, after) in PLACES {
        let script = filled(place, text).expect("it can stand there");
        let expected = match place.contains("a${x}\"b") {
            true => format!("a{text}b {text}"),
            false => format!("{before}{text}{after}"),
        };
        let find = |_: &str| Some(Found::Texts(vec![text.as_bytes().to_vec()]));
        let kept = fill(place, &Language::Shell, true, find).expect("found").expect("it can stand there");
        let kept = String::from_utf8(kept).expect("text");
        assert_eq!(filled(&kept, "nothing is left to fill in").unwrap(), script, "{place}");
        for shell in ["sh", "bash"] {
            if let Some(printed) = printed(shell, &script) {
                assert_eq!(printed, expected, "{shell}: {script}");
            }
        }
    }
}

#[test]
fn all_punctuation_stands_in_every_kind_of_quotes() {
    let all: String = (b' '..=b'~').map(char::from).filter(|c| !c.is_ascii_alphanumeric()).collect();
    stands_everywhere(&all);
    stands_everywhere(&all.chars().rev().collect::<String>());
    for text in [
        "a b",
        "ü",
        "it's",
        "$HOME",
        "`id`",
        "$(id)",
        "\\",
        "two\nlines",
        "-n",
        "*",
        "~",
        "a=b",
        "if",
        "{a,b}",
        "!",
        "#x",
        "x'\"'",
    ] {
        stands_everywhere(text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_text_stands_in_every_kind_of_quotes(text in "[ -~\n]{1,12}") {
        // A substitution drops line ends, and one place has its own sign there.
        stands_everywhere(&format!("{text}x"));
    }

    /// Whatever the script is, reading it comes to an end, and every name in it is found once.
    #[test]
    fn every_name_is_found(parts in proptest::collection::vec("[ -~\n]{0,4}|\\$\\{x\\}|\\$\\$\\{|<<E\n|\\$\\(|`|\"|'|case |esac|\\$\\(\\(", 0..12)) {
        let script = parts.concat();
        let mut names = 0;
        let mut rest = script.as_str();
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                rest = &rest[at + 2..];
                continue;
            }
            let Some(end) = rest[at..].find('}') else { break };
            names += 1;
            rest = &rest[at + end + 1..];
        }
        prop_assert_eq!(scan(&script).references.len(), names);
    }
}

#[test]
fn a_list_is_one_word_for_each() {
    let find = |_: &str| Some(Found::Texts(vec![b"a b".to_vec(), b"c".to_vec(), b"d'".to_vec()]));
    let script = fill("printf '<%s>' ${x}", &Language::Shell, false, find).unwrap().unwrap();
    assert_eq!(printed("sh", &String::from_utf8(script).unwrap()).unwrap(), "<a b><c><d'>");
}

#[test]
fn what_cannot_be_right_is_refused() {
    assert_eq!(filled("echo $((1 + ${x}))", "2"), Ok("echo $((1 + 2))".to_owned()));
    let refused = |script: &str, text: &str| filled(script, text).unwrap_err();
    assert!(matches!(refused("echo $((1 + ${x}))", "a[$(id)]"), QuoteError::NoNumber { .. }));
    assert!(matches!(refused("((i = ${x}))", "a"), QuoteError::NoNumber { .. }));
    assert!(matches!(refused("echo $'a ${x}'", "it's"), QuoteError::Unclear { .. }));
    assert!(matches!(refused("echo \"$${y:-${x}}\"", "}"), QuoteError::Unclear { .. }));
    assert!(matches!(refused("cat <<END\n${x}\nEND", "END"), QuoteError::EndsDocument { .. }));
    assert!(matches!(refused("cat <<'END'\nE${x}\nEND", "ND\nid"), QuoteError::EndsDocument { .. }));
    assert!(matches!(refused("echo ${x}", "a\0b"), QuoteError::Nul));
}

#[test]
fn a_number_is_no_file_descriptor() {
    assert_eq!(filled("echo ${x}>out", "2").unwrap(), "echo '2'>out");
    assert_eq!(filled("echo ${x} >out", "2").unwrap(), "echo 2 >out");
}

#[test]
fn another_language_gets_harmless_text_only() {
    let python = Shell::Program(vec!["python3".into(), "-c".into()]).language();
    let fill_in =
        |found: fn() -> Found| fill("open('${x}')  # $${y}", &python, false, |_| Some(found())).unwrap();
    let script = fill_in(|| Found::Paths(vec!["/a b (ü)/c".into()])).unwrap();
    assert_eq!(String::from_utf8(script).unwrap(), "open('/a b (ü)/c')  # ${y}");
    assert!(fill_in(|| Found::Paths(vec!["/it's".into()])).is_err());
    assert!(fill_in(|| Found::Texts(vec!["1); import os".into()])).is_err());
    assert!(fill_in(|| Found::Texts(vec!["0.5".into()])).is_ok());
}

#[test]
fn pipes_are_found_and_other_bars_are_not() {
    let pipes = |script: &str| scan(script).pipes.len();
    for script in [
        "a || b",
        "echo 'a | b'",
        "echo \"a | b\"",
        "# a | b",
        "case x in a|b) c;; (d|e) f;; esac",
        "cat <<E\na | b\nE\n",
        "a >| b",
        "echo a\\|b",
        "echo $((1 | 2))",
        "[[ a =~ b|c ]]",
        "echo $${x:-a|b}",
        "((i = 1 | 2))",
    ] {
        assert_eq!(pipes(script), 0, "{script}");
    }
    for script in [
        "a | b",
        "a|b",
        "x=$(a | b)",
        "x=\"$(a | b)\"",
        "`a | b`",
        "a |& b",
        "case x in x) a | b;; esac",
        "cat <<E | b\nE\n",
        "a || b | c",
    ] {
        assert_eq!(pipes(script), 1, "{script}");
    }
    assert!(scan("set -euo pipefail\na | b").pipefail);
    assert!(scan("cd x; set -o pipefail; a | b").pipefail);
    assert!(!scan("echo set pipefail").pipefail);
}

#[test]
fn deep_nesting_ends() {
    for open in ["$(", "\"$(", "`\\`", "$${x:-", "$((", "(", "case a in b) "] {
        let script = format!("{}${{x}}", open.repeat(5000));
        let found = scan(&script).references;
        assert_eq!(found.len(), 1, "{open}");
    }
    assert_eq!(
        scan(&format!("{}${{x}}", "$(".repeat(5000))).references[0].frames.last(),
        Some(&Frame::Unclear)
    );
}

#[test]
fn shells_and_their_languages() {
    let program = |words: &[&str]| Shell::Program(words.iter().map(|word| (*word).to_owned()).collect());
    assert_eq!(Shell::default().words(), ["sh", "-e", "-c"]);
    assert_eq!(Shell::Named(Name::Bash).words(), ["bash", "-euo", "pipefail", "-c"]);
    assert_eq!(program(&["/usr/bin/env", "-S", "A=1", "bash", "-c"]).language(), Language::Shell);
    assert_eq!(program(&["python3", "-c"]).language(), Language::Other("python3".to_owned()));
    assert_eq!(program(&["python3", "-c"]).words_for_file().unwrap(), ["python3"]);
    assert_eq!(program(&["awk"]).words_for_file(), None);
    assert!(Shell::default().hides_failures());
    assert!(!Shell::Named(Name::Bash).hides_failures());
    assert!(!program(&["bash", "-o", "pipefail", "-c"]).hides_failures());
}
