//! Which tasks and outputs a reference means.

use crate::pipeline::expand::draft::Draft;
use crate::pipeline::expand::link::Linker;
use crate::pipeline::spec::reference::{self, Reference};
use crate::pipeline::yaml::sink::Span;
use onsager_tables::names::{did_you_mean, either, list, meant};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

impl Linker<'_> {
    pub(super) fn read(&mut self, text: &str, span: Span) -> Option<Rc<Reference>> {
        if !self.read.contains_key(text) {
            self.read.insert(text.to_owned(), reference::parse(text).map(Rc::new));
        }
        match self.read.get(text)? {
            Ok(reference) => Some(reference.clone()),
            Err(error) => {
                let help = "write `stage`, `stage.output`, `stage[axis=value].output`, `stage[matching]` or `stage.folder/file`";
                self.sink.help(span, format!("`{text}` is no reference: {error}"), help);
                None
            }
        }
    }

    pub(super) fn unknown_stage(&self, text: &str, reference: &Reference, span: Span) {
        if self.sink.full() {
            return;
        }
        let names = self.spec.stages.iter().map(|stage| stage.name);
        let path = text.contains('/') && meant(&reference.stage, names.clone()).is_none();
        let help = if path || self.root.join(text).exists() {
            Some(format!("for a file, write `{{file: {text}}}`"))
        } else {
            did_you_mean(&reference.stage, names, "the stages are")
        };
        self.sink.add(Some(span), format!("there is no stage `{}`", reference.stage), help);
    }

    /// The tasks of a stage that a reference selects, in their order.
    pub(super) fn tasks(
        &mut self,
        at: usize,
        reference: &Reference,
        span: Span,
        draft: &Draft,
    ) -> Option<Rc<Vec<usize>>> {
        let range = self.drafts.stages.get(at)?.clone()?;
        let stage = self.spec.stages[at].name;
        // All instances of a stage have the same axes.
        let axes = &self.drafts.axes[at];
        let has = |axis: &str| axes.iter().any(|other| other == axis);
        let mut coordinates: Vec<(&str, &str)> = Vec::new();
        for (axis, value) in &reference.wanted {
            if !has(axis) {
                let help = did_you_mean(axis, axes.iter().map(String::as_str), "the axes are")
                    .unwrap_or_else(|| format!("write `{stage}`: it has no matrix"));
                self.sink.help(span, format!("stage `{stage}` has no axis `{axis}`"), help);
                return None;
            }
            coordinates.push((axis, value));
        }
        let shared = draft.instance.coordinates.iter().any(|own| has(&own.axis));
        if reference.matching {
            for own in &draft.instance.coordinates {
                let given = coordinates.iter().any(|(axis, _)| **axis == *own.axis);
                if !given && !own.open && has(&own.axis) {
                    coordinates.push((&own.axis, &own.text));
                }
            }
        }
        if reference.matching && !shared && range.len() > 1 && coordinates.len() < axes.len() {
            let message = format!(
                "`{}` shares no axis with `{stage}`, so `[matching]` chooses none of its {} instances",
                self.spec.stages[draft.stage].name,
                range.len()
            );
            let help =
                format!("write `{stage}` for all of them, or add {} to this stage's matrix", either(axes));
            self.sink.help(span, message, help);
            return None;
        }
        if coordinates.is_empty() {
            return Some(Rc::new(range.collect()));
        }
        coordinates.sort_unstable();
        let axes: Vec<&str> = coordinates.iter().map(|(axis, _)| *axis).collect();
        let values: Vec<&str> = coordinates.iter().map(|(_, value)| *value).collect();
        let mut found = self.lookup(at, &axes, &values.join("\n"));
        // What is not known yet may be among what is wanted.
        let may = |task: &usize| {
            let instance = &self.drafts.tasks[*task].instance;
            let agrees = |(axis, value): &(&str, &str)| {
                instance.get(axis).is_some_and(|there| there.open || there.text == *value)
            };
            coordinates.iter().all(agrees)
        };
        let open = self.open.get(&at).into_iter().flatten().copied();
        let open: Vec<usize> = open.filter(may).filter(|task| !found.contains(task)).collect();
        if !open.is_empty() {
            found = Rc::new(found.iter().copied().chain(open).collect());
        }
        if found.is_empty() {
            self.no_instance(at, &coordinates, span, draft);
            return None;
        }
        Some(found)
    }

    fn no_instance(&self, at: usize, coordinates: &[(&str, &str)], span: Span, draft: &Draft) {
        if self.sink.full() {
            return;
        }
        let stage = self.spec.stages[at].name;
        let tasks = &self.drafts.tasks[self.drafts.stages[at].clone().unwrap_or_default()];
        let mut help = Some("the matrix leaves these coordinates out together".to_owned());
        for (axis, value) in coordinates {
            let mut seen = HashSet::new();
            let labels: Vec<&str> = tasks
                .iter()
                .filter_map(|task| task.instance.get(axis))
                .map(|coordinate| coordinate.text.as_str())
                .filter(|text| seen.insert(*text))
                .collect();
            if !labels.contains(value) {
                help = did_you_mean(value, labels.iter().copied(), &format!("the values of `{axis}` are"));
                break;
            }
        }
        let wanted: Vec<String> = coordinates.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
        let message =
            format!("no instance of `{stage}` has {}, which `{}` asks for", wanted.join(" and "), draft.id);
        self.sink.add(Some(span), message, help);
    }

    /// The tasks of a stage with these labels on these axes.
    fn lookup(&mut self, at: usize, axes: &[&str], values: &str) -> Rc<Vec<usize>> {
        let index = self.index.entry((at, axes.join("\n"))).or_insert_with(|| {
            let mut index: HashMap<String, Vec<usize>> = HashMap::new();
            for task in self.drafts.stages[at].clone().unwrap_or_default() {
                let instance = &self.drafts.tasks[task].instance;
                let texts: Vec<&str> =
                    axes.iter().filter_map(|axis| instance.get(axis)).map(|c| c.text.as_str()).collect();
                index.entry(texts.join("\n")).or_default().push(task);
            }
            Rc::new(index.into_iter().map(|(key, tasks)| (key, Rc::new(tasks))).collect())
        });
        index.get(values).cloned().unwrap_or_default()
    }

    /// The output of a task that a reference means.
    pub(super) fn output(
        &self,
        task: usize,
        reference: &Reference,
        input: &str,
        span: Span,
    ) -> Option<usize> {
        let draft = &self.drafts.tasks[task];
        let outputs = draft.outputs.as_ref().map_or(&[][..], |outputs| outputs);
        let stage = &reference.stage;
        let names = || outputs.iter().map(|output| output.name.as_str());
        match &reference.output {
            Some(name) => {
                let found = names().position(|output| output == name);
                if found.is_none() && !self.sink.full() {
                    let help = did_you_mean(name, names(), "its outputs are");
                    self.sink.add(Some(span), format!("stage `{stage}` has no output `{name}`"), help);
                }
                found
            }
            None if outputs.len() == 1 => Some(0),
            None => {
                let found = names().position(|output| output == input);
                if found.is_none() && !self.sink.full() {
                    let first = names().next().unwrap_or("output");
                    let help = format!(
                        "its outputs are {}; write `{stage}.{first}`",
                        list(&names().collect::<Vec<_>>())
                    );
                    let message =
                        format!("stage `{stage}` has several outputs, and none is called `{input}`");
                    self.sink.help(span, message, help);
                }
                found
            }
        }
    }
}
