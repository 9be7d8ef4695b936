//! From references to edges: which artifacts each input of each task is given.

use crate::command::environment::{FILES, LOCK};
use crate::kind::fields::Field;
use crate::kind::registry::Registry;
use crate::kind::stage::Inputs;
use crate::pipeline::expand::apart;
use crate::pipeline::expand::instance::is_name;
use crate::pipeline::expand::interpolate::Scope;
use crate::pipeline::expand::order;
use crate::pipeline::expand::tasks::{Draft, Drafts};
use crate::pipeline::expand::when;
use crate::pipeline::graph::{Source, When};
use crate::pipeline::spec::reference::{self, Reference, ReferenceError};
use crate::pipeline::spec::{self, Spec, Stage};
use crate::pipeline::yaml::node::{Entry, Yaml, what_value};
use crate::pipeline::yaml::sink::{Sink, Span};
use crate::store::chosen::{self, Chosen};
use crate::store::walk;
use onsager_tables::names::{did_you_mean, either, list, meant};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Edges beyond this are a mistake, and would not fit in memory.
const EDGES: usize = 20_000_000;

/// What each task waits for, in the order of the drafts.
pub type Linked = Vec<Links>;

/// What a task takes and waits for; tasks are positions among the drafts.
#[derive(Debug, Default)]
pub struct Links {
    pub inputs: Vec<(String, Vec<Source>)>,
    /// Those that it waits for without taking anything of theirs.
    pub after: Vec<usize>,
    pub when: Option<When>,
    /// What it fans out over, where that is not known yet.
    pub items: Option<Source>,
}

impl Links {
    fn sources(&self) -> impl Iterator<Item = &Source> {
        let inputs = self.inputs.iter().flat_map(|(_, sources)| sources);
        let results = self.when.iter().flat_map(|when| &when.results).map(|(source, _)| source);
        inputs.chain(results).chain(&self.items)
    }
}

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
            let after =
                stage.after.iter().flat_map(|&(text, span)| linker.after(text, span, draft)).collect();
            let when = stage.when.and_then(|entry| linker.when(entry, draft));
            let items = draft.open.map(|(task, output)| linker.source(task, output, None, stage.name));
            linked.push(Links { inputs, after, when, items });
        }
    }
    linked
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
            (Some(matrix), _) if own.items.as_ref().is_some_and(waits) => matrix.span,
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
fn input_span(input: &spec::Input) -> Span {
    match input.references.as_slice() {
        [reference] => reference.span(),
        _ => input.span,
    }
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

    /// Something that no stage makes.
    fn outside(&mut self, reference: &spec::Reference, draft: &Draft) -> Option<Source> {
        match reference {
            spec::Reference::Artifact(..) => None,
            spec::Reference::Remote { url, sha256 } => self.remote(*url, *sha256, draft),
            spec::Reference::File { text, span, glob, exclude } => {
                let patterns = exclude.iter().map(|&(text, span)| self.text(text, span, draft));
                let exclude: Vec<String> = patterns.collect::<Option<_>>()?;
                match glob {
                    true => self.pattern(text, *span, exclude, draft),
                    false => self.file(text, *span, exclude, draft),
                }
            }
        }
    }

    /// The files that a pattern finds.
    fn pattern(&mut self, written: &str, span: Span, exclude: Vec<String>, draft: &Draft) -> Option<Source> {
        let pattern = self.text(written, span, draft)?;
        let (folder, only) = chosen::split(&pattern);
        if pattern.starts_with('~') || only.is_empty() || only.contains("../") {
            let help = "write a pattern from the project's folder on, like `data/**/*.csv`";
            self.sink.help(span, format!("`{pattern}` is no pattern of files"), help);
            return None;
        }
        // Patterns of paths are written as the glob is: from the project's folder on.
        let relative = |pattern: String| {
            let (sign, own) = pattern.strip_prefix('!').map_or(("", pattern.as_str()), |own| ("!", own));
            match own.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) {
                Some(rest) if !folder.is_empty() => format!("{sign}/{rest}"),
                _ => pattern,
            }
        };
        // A pattern over the whole project does not find what the project makes.
        let own = folder.is_empty().then(|| "/artifacts".to_owned());
        let exclude = own.into_iter().chain(exclude.into_iter().map(relative)).collect();
        let path = if folder.is_empty() { self.root.to_owned() } else { self.root.join(folder) };
        let chosen = Chosen { path, only: Some(only.to_owned()), exclude };
        if let Err(error) = apart::check(&chosen, folder, &self.root.join("artifacts"), self.spec.name) {
            self.sink.help(span, error.to_string(), error.help());
            return None;
        }
        let found = match self.found.get(&chosen) {
            Some(found) => *found,
            None => {
                let found = walk::finds_any(&chosen);
                self.found.insert(chosen.clone(), found);
                found
            }
        };
        if !found {
            let help = format!(
                "create one, or correct the pattern, which starts at {}; `*` stays in one folder, `**` goes into all below",
                self.root.display()
            );
            self.sink.help(span, format!("no file matches `{pattern}`"), help);
            return None;
        }
        Some(Source::File { chosen, name: folder.to_owned() })
    }

    /// A file from elsewhere.
    fn remote(&mut self, url: (&str, Span), sha256: (&str, Span), draft: &Draft) -> Option<Source> {
        let address = self.text(url.0, url.1, draft)?;
        let digest = self.text(sha256.0, sha256.1, draft)?;
        let known = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
        if !known || address.contains(char::is_whitespace) {
            self.sink.help(
                url.1,
                format!("`{address}` is no address"),
                "write one that starts with `https://` or `http://`",
            );
            return None;
        }
        match digest.to_ascii_lowercase().parse() {
            Ok(sha256) => Some(Source::Remote { url: address, sha256 }),
            Err(_) => {
                let help = "give its 64 hexadecimal digits; `curl -L URL | sha256sum` prints them";
                self.sink.help(sha256.1, format!("`{digest}` is no SHA-256"), help);
                None
            }
        }
    }

    /// What a command is computed with: its tools, and the file of its environment.
    fn computed_with(&mut self, stage: &Stage, draft: &Draft) -> Vec<(String, Vec<Source>)> {
        let entries = |field: Field| {
            let entry = stage.node.get(field.name()).filter(|_| stage.fields.has(field));
            entry.and_then(|entry| entry.value.entries()).unwrap_or_default()
        };
        let mut inputs = Vec::new();
        for entry in entries(Field::Environment).iter().filter(|entry| FILES.contains(&entry.key.as_str())) {
            let Some(path) = entry.value.text() else { continue };
            let mut source = self.file(path, entry.value.span, Vec::new(), draft);
            if entry.key == "uv" {
                source = source.and_then(|source| self.uv_project(source, entry.value.span));
            }
            inputs.push((format!("environment.{}", entry.key), source.into_iter().collect()));
        }
        for entry in entries(Field::Tools) {
            if !is_name(&entry.key) {
                let help = "use letters, digits, `_` and `-`, starting with a letter";
                self.sink.help(entry.span, format!("`{}` cannot be the name of a tool", entry.key), help);
                continue;
            }
            let source = match &entry.value.value {
                Yaml::Text(text) if !text.trim().is_empty() => {
                    self.text(text, entry.value.span, draft).map(|command| Source::Tool { command })
                }
                Yaml::Map(fields) if fields.iter().all(|field| field.key == "file") && !fields.is_empty() => {
                    spec::read_outside(
                        &entry.value,
                        fields,
                        &format!("tool `{}`", entry.key),
                        entry.span,
                        self.sink,
                    )
                    .and_then(|reference| self.outside(&reference, draft))
                }
                _ => {
                    let message = format!("tool `{}` cannot be {}", entry.key, entry.value.what());
                    let help = "write a command that tells its version, `python3 --version`, or `{file: /usr/bin/solver}`";
                    self.sink.help(spec::shown(entry), message, help);
                    None
                }
            };
            inputs.push((format!("tools.{}", entry.key), source.into_iter().collect()));
        }
        inputs
    }

    /// A `uv.lock` with the files beside it that say what is installed, too.
    fn uv_project(&self, source: Source, span: Span) -> Option<Source> {
        let Source::File { chosen, name } = source else { return None };
        match (chosen.path.file_name(), chosen.path.parent()) {
            (Some(file), Some(folder)) if file == LOCK => {
                let only = Some(format!("{{{LOCK},pyproject.toml,.python-version}}"));
                let chosen = Chosen { path: folder.to_owned(), only, exclude: Vec::new() };
                Some(Source::File { chosen, name })
            }
            _ => {
                let help = format!("write `uv: folder/{LOCK}`; `uv lock` makes it");
                self.sink.help(span, format!("`{name}` is not called `{LOCK}`"), help);
                None
            }
        }
    }

    fn file(&mut self, written: &str, span: Span, exclude: Vec<String>, draft: &Draft) -> Option<Source> {
        let name = self.text(written, span, draft)?;
        if name.starts_with('~') {
            let help = "write the absolute path, or one relative to the project";
            self.sink.help(span, format!("`~` is not expanded in `{name}`"), help);
            return None;
        }
        let path = self.root.join(&name);
        let exists = match self.exists.get(&path) {
            Some(&exists) => exists,
            None => {
                let exists = path.exists();
                self.exists.insert(path.clone(), exists);
                exists
            }
        };
        if !exists {
            let help = format!("create it, or correct the path, which starts at {}", self.root.display());
            self.sink.help(span, format!("there is no file or folder {}", path.display()), help);
            return None;
        }
        if !exclude.is_empty() && path.is_file() {
            self.sink.help(
                span,
                format!("`{name}` is a file, from which nothing can be excluded"),
                "remove `exclude`",
            );
            return None;
        }
        let chosen = Chosen { path, only: None, exclude };
        if let Err(error) = apart::check(&chosen, &name, &self.root.join("artifacts"), self.spec.name) {
            self.sink.help(span, error.to_string(), error.help());
            return None;
        }
        Some(Source::File { chosen, name })
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

    fn read(&mut self, text: &str, span: Span) -> Option<Rc<Reference>> {
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

    fn unknown_stage(&self, text: &str, reference: &Reference, span: Span) {
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
    fn tasks(
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
    fn output(&self, task: usize, reference: &Reference, input: &str, span: Span) -> Option<usize> {
        let draft = &self.drafts.tasks[task];
        let outputs = draft.outputs.as_deref().unwrap_or_default();
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
