//! What tasks wait for, and the order that follows.

use crate::pipeline::expand::draft::Drafts;
use crate::pipeline::expand::order;
use crate::pipeline::graph::{Source, When};
use crate::pipeline::spec::{self, Spec};
use crate::pipeline::yaml::sink::{Sink, Span};
use std::collections::HashSet;

/// What each task waits for, in the order of the drafts.
pub type Linked = Vec<Links>;

/// What a task takes and waits for; tasks are positions among the drafts.
#[derive(Debug, Default)]
pub struct Links {
    pub inputs: Vec<(String, Vec<Source>)>,
    /// Those that it waits for without taking anything of theirs.
    pub after: Vec<usize>,
    pub when: Option<Box<When>>,
    /// What it fans out over, where that is not known yet.
    pub items: Option<Box<Source>>,
}

impl Links {
    fn sources(&self) -> impl Iterator<Item = &Source> {
        let inputs = self.inputs.iter().flat_map(|(_, sources)| sources);
        let results = self.when.iter().flat_map(|when| &when.results).map(|(source, _)| source);
        inputs.chain(results).chain(self.items.as_deref())
    }
}

/// The order of the tasks; cycles are reported.
pub fn order(spec: &Spec, drafts: &Drafts, linked: &Linked, sink: &Sink) -> Option<Vec<usize>> {
    let dependencies = |task: usize, visit: &mut dyn FnMut(usize)| {
        let sources = linked[task].sources().filter_map(Source::task);
        sources.chain(linked[task].after.iter().copied()).for_each(visit);
    };
    let cycles = match order::topological(linked.len(), dependencies) {
        Ok(order) => return Some(order),
        Err(cycles) => cycles,
    };
    let mut reported = HashSet::new();
    for cycle in cycles {
        let stages: Vec<usize> = cycle.iter().map(|&task| drafts.tasks[task].stage).collect();
        if !reported.insert(stages.clone()) {
            continue;
        }
        // The reference by which the first task waits for the next one.
        let next = cycle.get(1).copied().unwrap_or(cycle[0]);
        let waits = |source: &Source| source.task() == Some(next);
        let input = linked[cycle[0]].inputs.iter().position(|(_, sources)| sources.iter().any(waits));
        let stage = &spec.stages[stages[0]];
        let after = stage.node.get("after").map_or(stage.span, |entry| entry.value.span);
        let own = &linked[cycle[0]];
        let results = own.when.iter().flat_map(|when| &when.results).any(|(source, _)| waits(source));
        let other = match (stage.matrix, stage.when) {
            (Some(matrix), _) if own.items.as_deref().is_some_and(waits) => matrix.span,
            (_, Some(when)) if results => when.value.span,
            _ => after,
        };
        let span = input.and_then(|at| stage.inputs.get(at)).map_or(other, input_span);
        let needs = |(at, &task): (usize, &usize)| {
            let next = cycle[(at + 1) % cycle.len()];
            let takes = linked[task].sources().any(|source| source.task() == Some(next));
            let word = if takes { "needs" } else { "is after" };
            format!("`{}` {word} `{}`", drafts.tasks[task].id, drafts.tasks[next].id)
        };
        let needs: Vec<String> = cycle.iter().enumerate().map(needs).collect();
        let message = format!("cycle: {}", needs.join(", "));
        sink.help(
            span,
            message,
            if input.is_some() { "remove one of these inputs" } else { "remove one of these" },
        );
    }
    None
}

/// The place of an input: its reference, if it has just one.
pub fn input_span(input: &spec::Input) -> Span {
    match input.references.as_slice() {
        [reference] => reference.span(),
        _ => input.span,
    }
}
