//! From references to edges: which artifacts each input of each task is given.

mod edges;
mod outside;
mod select;

pub use edges::{Linked, Links, order};

use crate::kind::registry::Registry;
use crate::kind::stage::{Inputs, Tool};
use crate::pipeline::expand::draft::{Draft, Drafts};
use crate::pipeline::expand::interpolate::Scope;
use crate::pipeline::expand::numbers;
use crate::pipeline::expand::when;
use crate::pipeline::graph::{Source, When};
use crate::pipeline::spec::reference::{Reference, ReferenceError};
use crate::pipeline::spec::{self, Spec, Stage};
use crate::pipeline::yaml::node::{Entry, what_value};
use crate::pipeline::yaml::sink::{Sink, Span};
use crate::store::chosen::Chosen;
use edges::input_span;
use onsager_tables::names::did_you_mean;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Edges beyond this are a mistake, and would not fit in memory.
const EDGES: usize = 20_000_000;

/// Resolves every reference. The outcome is sound only if nothing was reported.
pub fn link(
    spec: &Spec,
    drafts: &Drafts,
    params: &Map<String, Value>,
    root: &Path,
    registry: &Registry,
    sink: &Sink,
) -> Linked {
    let mut linker = Linker {
        spec,
        drafts,
        params,
        root,
        registry,
        sink,
        read: HashMap::new(),
        index: HashMap::new(),
        exists: HashMap::new(),
        found: HashMap::new(),
        open: HashMap::new(),
        edges: 0,
    };
    for (at, draft) in drafts.tasks.iter().enumerate().filter(|(_, draft)| draft.open.is_some()) {
        linker.open.entry(draft.stage).or_default().push(at);
    }
    let mut linked = Vec::with_capacity(drafts.tasks.len());
    for (stage, range) in spec.stages.iter().zip(&drafts.stages) {
        let kind = stage.kind.and_then(|(name, _)| registry.get(name));
        let inputs = kind.map(|kind| kind.inputs());
        if let Some(inputs) = &inputs {
            names(stage, inputs, sink);
        }
        for task in range.clone().unwrap_or_default() {
            let draft = &drafts.tasks[task];
            let given = stage.inputs.iter().map(|input| {
                let sources = linker.input(stage, input, draft, inputs.as_ref());
                (input.name.to_owned(), sources)
            });
            let mut inputs: Vec<_> = given.collect();
            inputs.extend(linker.computed_with(stage, draft));
            let asked = |tool: &Tool| {
                (format!("tools.{}", tool.name), vec![Source::Tool { command: tool.command.clone() }])
            };
            inputs.extend(draft.tools.iter().map(asked));
            if kind.is_some_and(|kind| kind.takes_metrics()) {
                inputs.extend(linker.metrics(draft));
            }
            let after =
                stage.after.iter().flat_map(|&(text, span)| linker.after(text, span, draft)).collect();
            let when = stage.when.and_then(|entry| linker.when(entry, draft)).map(Box::new);
            let items =
                draft.open.map(|(task, output)| Box::new(linker.source(task, output, None, stage.name)));
            linked.push(Links { inputs, after, when, items });
        }
    }
    linked
}

/// Checks the names of a stage's inputs against its kind.
fn names(stage: &Stage, inputs: &Inputs, sink: &Sink) {
    let kind = stage.kind.map_or("", |(kind, _)| kind);
    for input in &stage.inputs {
        if !inputs.others && !inputs.named.iter().any(|named| named.name == input.name) {
            let known = inputs.named.iter().map(|named| named.name);
            let help = did_you_mean(input.name, known, "the inputs are")
                .unwrap_or_else(|| format!("remove it: `{kind}` takes no inputs"));
            sink.help(input.span, format!("kind `{kind}` has no input `{}`", input.name), help);
        }
    }
    for named in inputs.named.iter().filter(|named| named.required) {
        if !stage.inputs.iter().any(|input| input.name == named.name) {
            sink.help(
                stage.node.get("inputs").map_or(stage.span, |entry| entry.span),
                format!("stage `{}` lacks the input `{}` of kind `{kind}`", stage.name, named.name),
                format!("add `{}: stage` under `inputs`: {}", named.name, named.about),
            );
        }
    }
}

/// The tasks of a stage by the labels that they have on some axes.
type Index = HashMap<String, Rc<Vec<usize>>>;

struct Linker<'a> {
    spec: &'a Spec<'a>,
    drafts: &'a Drafts,
    params: &'a Map<String, Value>,
    root: &'a Path,
    registry: &'a Registry,
    sink: &'a Sink,
    /// References read before.
    read: HashMap<String, Result<Rc<Reference>, ReferenceError>>,
    /// By stage and axes.
    index: HashMap<(usize, String), Rc<Index>>,
    exists: HashMap<PathBuf, bool>,
    /// Whether patterns find anything.
    found: HashMap<Chosen, bool>,
    /// By stage, the drafts that stand for several.
    open: HashMap<usize, Vec<usize>>,
    edges: usize,
}

impl Linker<'_> {
    /// What one input of one task is given. After an error the list is incomplete.
    fn input(
        &mut self,
        stage: &Stage,
        input: &spec::Input,
        draft: &Draft,
        inputs: Option<&Inputs>,
    ) -> Vec<Source> {
        let mut sound = true;
        let mut sources = Vec::new();
        for reference in &input.references {
            if let spec::Reference::Artifact(text, span) = *reference {
                sound &= self.artifacts(text, span, input.name, draft, &mut sources).is_some();
                continue;
            }
            let source = self.outside(reference, draft);
            sound &= source.is_some();
            sources.extend(source);
        }
        let one = inputs.is_some_and(|i| i.named.iter().any(|named| named.name == input.name && !named.many));
        let pattern = sources
            .iter()
            .any(|source| matches!(source, Source::File { chosen: Chosen { only: Some(_), .. }, .. }));
        if one && sound && (sources.len() > 1 || pattern) && draft.open.is_none() {
            let kind = stage.kind.map_or("", |(kind, _)| kind);
            let count = if pattern { "a pattern".to_owned() } else { sources.len().to_string() };
            let message = format!("input `{}` of kind `{kind}` takes one artifact, not {count}", input.name);
            self.sink.help(input_span(input), message, self.choice(input, &sources, draft));
        }
        sources
    }

    /// What the metrics are read from that a task was given. Those of a sweep's points are found where the points are.
    fn metrics(&mut self, draft: &Draft) -> Vec<(String, Vec<Source>)> {
        let mut inputs = Vec::new();
        for (input, from, name) in numbers::inputs(&draft.params) {
            let Some(entry) = self.spec.metrics.iter().find(|entry| entry.key == name) else { continue };
            let span = entry.value.get("from").map_or(entry.span, |from| from.value.span);
            let mut sources = Vec::new();
            self.artifacts(&from, span, "", draft, &mut sources);
            inputs.push((input, sources));
        }
        inputs
    }

    /// How to choose one artifact.
    fn choice(&self, input: &spec::Input, sources: &[Source], own: &Draft) -> String {
        match (input.references.as_slice(), sources.first()) {
            ([_], Some(Source::Artifact { task, .. })) => {
                let draft = &self.drafts.tasks[*task];
                let stage = self.spec.stages[draft.stage].name;
                let shared = own.instance.coordinates.iter().any(|c| draft.instance.get(&c.axis).is_some());
                match shared {
                    true => {
                        format!("choose the one that agrees with this stage's matrix: `{stage}[matching]`")
                    }
                    false => format!("choose one, like `{}`", draft.id),
                }
            }
            _ => "give it a single reference".to_owned(),
        }
    }

    /// The tasks that one waits for by its `after`.
    fn after(&mut self, written: &str, span: Span, draft: &Draft) -> Vec<usize> {
        let Some(text) = self.text(written, span, draft) else { return Vec::new() };
        let Some(reference) = self.read(&text, span) else { return Vec::new() };
        if let Some(output) = &reference.output {
            let help =
                format!("write `{}`; or make it an input", text.replacen(&format!(".{output}"), "", 1));
            self.sink.help(span, "`after` waits for stages, not for an output", help);
            return Vec::new();
        }
        let Some(&at) = self.spec.by_name.get(reference.stage.as_str()) else {
            self.unknown_stage(&text, &reference, span);
            return Vec::new();
        };
        let tasks = self.tasks(at, &reference, span, draft).map(|tasks| tasks.to_vec()).unwrap_or_default();
        self.edges += tasks.len();
        if self.edges > EDGES {
            self.sink.error(span, format!("the pipeline has more than {EDGES} edges between tasks"));
            return Vec::new();
        }
        tasks
    }

    fn text(&self, text: &str, span: Span, draft: &Draft) -> Option<String> {
        let scope = Scope {
            registry: self.registry,
            params: self.params,
            declared: self.spec.params,
            instance: Some(&draft.instance),
            files: None,
        };
        match scope.text(text, span, self.sink)? {
            Value::String(text) => Some(text),
            other => {
                self.sink
                    .error(span, format!("a reference must be text, but this is {}", what_value(&other)));
                None
            }
        }
    }

    /// Adds the artifacts that a reference stands for.
    fn artifacts(
        &mut self,
        written: &str,
        span: Span,
        input: &str,
        draft: &Draft,
        sources: &mut Vec<Source>,
    ) -> Option<()> {
        let text = self.text(written, span, draft)?;
        let reference = self.read(&text, span)?;
        let Some(&at) = self.spec.by_name.get(reference.stage.as_str()) else {
            self.unknown_stage(&text, &reference, span);
            return None;
        };
        let tasks = self.tasks(at, &reference, span, draft)?;
        self.edges += tasks.len();
        if self.edges > EDGES {
            self.sink.error(span, format!("the pipeline has more than {EDGES} edges between tasks"));
            return None;
        }
        let member = reference.member.as_ref();
        for &task in tasks.iter() {
            // With an unknown output the edge is kept all the same, so that cycles are found; the graph is never built.
            let output = match &self.drafts.tasks[task].outputs {
                Some(_) => self.output(task, &reference, input, span).unwrap_or(0),
                None => 0,
            };
            if let Some(member) = member {
                self.folder(task, output, member, span);
            }
            sources.push(self.source(task, output, member.cloned(), &text));
        }
        Some(())
    }

    /// The condition of a task; of one that stands for several it is not known yet.
    fn when(&mut self, entry: &Entry, draft: &Draft) -> Option<When> {
        if draft.open.is_some() {
            return None;
        }
        let (spec, sink) = (self.spec, self.sink);
        let scope = Scope {
            registry: self.registry,
            params: self.params,
            declared: spec.params,
            instance: Some(&draft.instance),
            files: None,
        };
        let mut find = |text: &str, span: Span| {
            let mut sources = Vec::new();
            self.artifacts(text, span, "", draft, &mut sources)?;
            match sources.len() {
                1 => sources.pop(),
                n => {
                    let help = "name one instance: `stage[axis=value].output`, or `stage[matching].output`";
                    sink.help(span, format!("a condition compares one result, and `{text}` is {n}"), help);
                    None
                }
            }
        };
        when::read(entry, spec, &scope, &mut find, sink)
    }

    /// An output of a draft, or what stands for those of the tasks that a draft stands for.
    fn source(&self, task: usize, output: usize, member: Option<String>, text: &str) -> Source {
        match self.drafts.tasks[task].open {
            Some(_) => Source::Open { task, name: text.to_owned() },
            None => Source::Artifact { task, output, member },
        }
    }

    /// Reports a member of an output that is no folder.
    fn folder(&self, task: usize, output: usize, member: &str, span: Span) {
        let draft = &self.drafts.tasks[task];
        let Some(output) = draft.outputs.as_ref().and_then(|outputs| outputs.get(output)) else { return };
        if !output.folder && !self.sink.full() {
            let stage = self.spec.stages[draft.stage].name;
            let message = format!("`{stage}.{}` is a file, so there is no `{member}` in it", output.name);
            let help = format!(
                "declare it as a folder, with a slash at the end: `{}: {}/`",
                output.name, output.file
            );
            self.sink.help(span, message, help);
        }
    }
}
