//! What is allowed, and still likely to be a mistake.

use crate::command::shell::scan::scan;
use crate::command::shell::{Name, Shell};
use crate::kind::fields::Field;
use crate::pipeline::spec::Stage;
use crate::pipeline::yaml::node::{Node, Yaml};
use crate::pipeline::yaml::sink::Sink;

/// Warns of a pipe in a shell that sees only whether the last of its commands fails.
pub fn pipes(stage: &Stage, sink: &Sink) {
    let (Some(run), true) = (stage.node.get("run"), stage.fields.has(Field::Run)) else { return };
    let Yaml::Text(text) = &run.value.value else { return };
    if !text.contains('|') || !shell(stage).is_some_and(|shell| shell.hides_failures()) {
        return;
    }
    let script = scan(text);
    let (Some(&at), false) = (script.pipes.first(), script.pipefail) else { return };
    let line = text[at..].split('\n').next().unwrap_or_default();
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let before = &text[start..at];
    let mut span = sink.narrow(run.value.span, &format!("{before}{line}"));
    if span != run.value.span {
        span.start += before.len() as u32;
        span.end = span.start + 1;
    }
    let message = format!("in `{}` a failure before this `|` goes unseen", stage.name);
    sink.warn(
        span,
        message,
        "write `shell: bash`, which stops at it, or put the parts into steps of their own",
    );
}

/// The stage's shell, as far as it can be told without its parameters.
fn shell(stage: &Stage) -> Option<Shell> {
    let Some(entry) = stage.node.get("shell").filter(|_| stage.fields.has(Field::Shell)) else {
        return Some(Shell::default());
    };
    let literal = |node: &Node| node.text().filter(|text| !text.contains("${")).map(str::to_owned);
    match &entry.value.value {
        Yaml::Text(text) => {
            Name::ALL.iter().find(|(name, _)| name == text).map(|(_, name)| Shell::Named(*name))
        }
        Yaml::List(words) => words.iter().map(literal).collect::<Option<_>>().map(Shell::Program),
        _ => None,
    }
}
