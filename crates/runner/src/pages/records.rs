//! What entered the keys of tasks: kind, code, parameters and inputs, and what they made.

use crate::pages::made::{Made, Origin, Record};
use crate::pages::names::{Places, anchor};
use crate::pages::shell::stranger;
use crate::pages::tasks::Numbers;
use crate::words::{duration, plural, size};
use maud::{Markup, html};

/// No more is told when the section has so many bytes.
const BYTES: usize = 1_400_000;
/// How many inputs of a task are listed.
const INPUTS: usize = 40;
/// Longer values are cut: they are in the record.
const LONGEST: usize = 2000;

/// The section: the tasks of these chains, each once.
pub fn section(made: &Made, told: &[String], numbers: &Numbers, places: &Places) -> Markup {
    let mut blocks = Vec::new();
    let mut bytes = 0;
    for task in told {
        let (Some(record), Some(number)) = (made.record(task), numbers.get(task.as_str())) else { continue };
        if bytes > BYTES {
            break;
        }
        let block = block(task, record, *number, numbers, places).into_string();
        bytes += block.len();
        blocks.push(block);
    }
    let left = told.len() - blocks.len();
    html! {
        @if !blocks.is_empty() {
            h2 id="made" { "What entered each result" }
            p.muted.small {
                "Everything that a task's key is made of, and what came out; "
                code { "onsager explain" } " shows the same of any task."
                @if left > 0 { " " (plural(left, "task")) " more would make this page too large." }
            }
            @for block in &blocks { (maud::PreEscaped(block)) "\n" }
        }
    }
}

fn block(task: &str, record: &Record, number: usize, numbers: &Numbers, places: &Places) -> Markup {
    let Record { action, kind, code, kernel, inputs } = record;
    let skipped =
        |field: &str| field == "kind" || field == "code" || field == "kernel" || field.starts_with("inputs");
    let lines = action.lines();
    html! {
        details.box {
            summary { b { (stranger(task)) } " " span.muted { (stranger(kind)) } }
            div id=(anchor("made", number)) {
                dl.facts.small {
                    dt { "Key" } dd.code { (action.key.to_string()) }
                    @if !code.is_empty() { dt { "Code" } dd.code { (stranger(code)) } }
                    @if let Some(kernel) = kernel { dt { "Kernel level" } dd { (stranger(kernel)) } }
                    dt { "Made" } dd { "by run " code { (stranger(&action.run)) } @if !action.host.is_empty() { " on " (stranger(&action.host)) } " in " (duration(action.seconds)) }
                    @for (field, value) in lines.iter().filter(|(field, _)| !skipped(field)) {
                        dt.code { (stranger(field)) } dd.code { (cut(value)) }
                    }
                    @for input in inputs.iter().take(INPUTS) {
                        dt { "Input " (stranger(&input.name)) }
                        dd {
                            @match &input.origin {
                                Origin::Task(from) => @match numbers.get(from.as_str()) {
                                    Some(number) => a href={ "#" (anchor("made", *number)) } { (stranger(from)) },
                                    None => (stranger(from)),
                                },
                                Origin::Lost => (stranger(&input.called)),
                                Origin::Outside => { "file " (stranger(&input.called)) },
                            }
                            " " code { (short(&input.content)) }
                        }
                    }
                    @if inputs.len() > INPUTS { dt { "Inputs" } dd { "and " (inputs.len() - INPUTS) " more" } }
                    @for (name, content) in &action.outputs {
                        dt { "Output " (stranger(name)) } dd id=[places.once(content)] { code { (short(&content.to_string())) } ", " (size(content.size)) }
                    }
                }
            }
        }
    }
}

fn cut(value: &str) -> String {
    let mut text: String = value.chars().take(LONGEST).collect();
    if text.len() < value.len() {
        text.push('…');
    }
    text.lines().map(stranger).collect::<Vec<_>>().join("\n")
}

/// A digest as far as a person reads it, with what stands behind it.
fn short(content: &str) -> String {
    let (digest, rest) = content.split_at_checked(64).unwrap_or((content, ""));
    format!("{}{rest}", digest.chars().take(12).collect::<String>())
}
