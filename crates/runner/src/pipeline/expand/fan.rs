//! What an axis is over that another stage makes.

use crate::pipeline::expand::draft::Draft;
use crate::pipeline::expand::instance::{Instance, Open};
use crate::pipeline::expand::interpolate::Scope;
use crate::pipeline::expand::items::{self, ItemError, Known};
use crate::pipeline::expand::product::{Fanned, FromAxis};
use crate::pipeline::spec::reference::{self, Reference};
use crate::pipeline::yaml::node::what_value;
use crate::pipeline::yaml::sink::{Sink, Span};
use onsager_tables::names::{did_you_mean, list};
use serde_json::Value;

/// The output that an axis names, as text and as a reference.
pub fn read(from: &FromAxis, scope: &Scope, sink: &Sink) -> Option<(String, Reference)> {
    let span = from.span;
    let text = match scope.text(from.from, span, sink)? {
        Value::String(text) => text,
        other => {
            sink.error(span, format!("`from` must be an output, but is {}", what_value(&other)));
            return None;
        }
    };
    let write = "write `stage.output`, `stage[axis=value].output` or `stage[matching].output`";
    match reference::parse(&text) {
        Ok(Reference { member: Some(member), .. }) => {
            let message = format!("an axis is over a whole output, not over `{member}` in it");
            sink.help(span, message, write);
            None
        }
        Ok(reference) => Some((text, reference)),
        Err(error) => {
            sink.help(span, format!("`{text}` is no output: {error}"), write);
            None
        }
    }
}

/// The items of an output that a reference names, as the values of an axis. The output is one of a draft, which has this place among
/// those of its stage.
pub fn values(
    from: &FromAxis,
    (text, reference): (&str, &Reference),
    (stage, place, draft): (usize, usize, &Draft),
    known: &Known,
    sink: &Sink,
) -> Option<Fanned> {
    let span = from.span;
    let outputs = draft.outputs.as_ref().map_or(&[][..], |outputs| outputs);
    let output = match &reference.output {
        Some(name) => outputs.iter().position(|output| output.name == *name),
        None => (outputs.len() == 1).then_some(0),
    };
    let open = Open { stage, place, output: output.unwrap_or(0) };
    if draft.instance.open.is_some() {
        return Some(Fanned::Open(open));
    }
    if output.is_none() {
        // Without outputs its parameters have errors, which are reported.
        if draft.outputs.is_some() {
            let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
            let message = match &reference.output {
                Some(name) => format!("stage `{}` has no output `{name}`", reference.stage),
                None => format!("stage `{}` has {} outputs", reference.stage, names.len()),
            };
            sink.help(span, message, format!("name one of {}", list(&names)));
        }
        return None;
    }
    let Some(items) = known.get(&draft.id, &outputs[open.output].name) else {
        return Some(Fanned::Open(open));
    };
    match items::coordinates(items, &from.axis, from.column) {
        Ok(axis) => Some(Fanned::Known(axis)),
        Err(error) => {
            let help = match error {
                ItemError::Files => "leave `name` out: a file is called by its path",
                _ => "give each row another name, and say which column has it: `{from: …, name: column}`",
            };
            sink.help(span, format!("`{text}` cannot be fanned out over: {error}"), help);
            None
        }
    }
}

/// The one task whose items an axis is over.
pub fn one(
    reference: &Reference,
    text: &str,
    drafts: &[Draft],
    own: &Instance,
    span: Span,
    sink: &Sink,
) -> Option<usize> {
    let Some(first) = drafts.first() else {
        sink.help(span, format!("`{text}` is made by no task"), "it fans out over nothing itself");
        return None;
    };
    for (axis, _) in &reference.wanted {
        if first.instance.get(axis).is_none() {
            let axes = first.instance.coordinates.iter().map(|coordinate| &*coordinate.axis);
            let help = did_you_mean(axis, axes, "the axes are");
            sink.add(Some(span), format!("stage `{}` has no axis `{axis}`", reference.stage), help);
            return None;
        }
    }
    let agrees = |draft: &Draft| {
        draft.instance.coordinates.iter().all(|there| {
            let wanted =
                reference.wanted.iter().find(|(axis, _)| **axis == *there.axis).map(|(_, text)| text);
            let matched = own.get(&there.axis).filter(|_| reference.matching);
            let wanted = wanted.or(matched.filter(|own| !own.open).map(|own| &own.text));
            there.open || wanted.is_none_or(|text| *text == there.text)
        })
    };
    let found: Vec<usize> = (0..drafts.len()).filter(|place| agrees(&drafts[*place])).collect();
    let exact = found.iter().filter(|place| drafts[**place].instance.open.is_none()).count();
    match (found.as_slice(), exact) {
        ([place], _) => Some(*place),
        // What is not known yet may hold it.
        ([place, ..], 0) => Some(*place),
        ([], _) => {
            let ids = drafts.iter().map(|draft| draft.id.as_str());
            let help = did_you_mean(text, ids, "the instances are");
            sink.add(
                Some(span),
                format!("`{text}` matches no instance of stage `{}`", reference.stage),
                help,
            );
            None
        }
        (found, _) => {
            let shared = own.coordinates.iter().any(|own| first.instance.get(&own.axis).is_some());
            let help = match shared {
                true => {
                    format!("choose the one that agrees with the other axes: `{}[matching]`", reference.stage)
                }
                false => format!("choose one, like `{}`", first.id),
            };
            sink.help(span, format!("an axis is over one output, and `{text}` is {}", found.len()), help);
            None
        }
    }
}
