//! From stages to tasks: the instances of every matrix, each with its parameters parsed by the kind.

use crate::command::shell::{Name, Shell};
use crate::kind::fields::{Field, Shape};
use crate::kind::registry::{Kind, Registry};
use crate::kind::stage::Output;
use crate::pipeline::expand::instance::{self, Instance, Open, plain};
use crate::pipeline::expand::interpolate::{Files, Scope};
use crate::pipeline::expand::items::{self, ItemError, Known};
use crate::pipeline::expand::lint;
use crate::pipeline::expand::matrix::{self, Fanned, FromAxis};
use crate::pipeline::graph::Params;
use crate::pipeline::spec::checks::{self, Site};
use crate::pipeline::spec::reference::{self, Reference};
use crate::pipeline::spec::resources::{self, Resources};
use crate::pipeline::spec::{self, Spec, Stage};
use crate::pipeline::yaml::node::{Entry, Node, Yaml, what_value};
use crate::pipeline::yaml::sink::{Sink, Span};
use onsager_tables::names::{did_you_mean, list};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Component, Path};

/// The longest name of a file that an output may have: those of temporary files beside it are longer.
const LONGEST: usize = 200;
/// A pipeline beyond this is a mistake.
pub const TASKS: usize = 2_000_000;
/// More stages that fan out over each other are a mistake.
const DEPTH: usize = 100;

/// A task before its inputs are resolved.
#[derive(Debug)]
pub struct Draft {
    pub id: String,
    /// Position in [`Spec::stages`].
    pub stage: usize,
    pub instance: Instance,
    pub params: Params,
    /// None when the parameters have errors, so that the outputs are not known.
    pub outputs: Option<Vec<Output>>,
    pub resources: Resources,
    pub sandbox: bool,
    /// The draft, and its output, whose items the instance stands for while they are not known.
    pub open: Option<(usize, usize)>,
}

/// All tasks in the order of declaration.
#[derive(Debug, Default)]
pub struct Drafts {
    pub tasks: Vec<Draft>,
    /// The tasks of each stage; none when its matrix has errors.
    pub stages: Vec<Option<Range<usize>>>,
    /// The names of the axes of each stage.
    pub axes: Vec<Vec<String>>,
}

/// The pipeline's parameters; each may use those before it.
pub fn params(entries: &[Entry], registry: &Registry, sink: &Sink) -> Map<String, Value> {
    let mut params = Map::new();
    for entry in entries {
        let mut sound = true;
        let scope = Scope { registry, params: &params, declared: entries, instance: None, files: None };
        if let Some(value) = scope.value(&entry.value, sink, &mut sound)
            && sound
        {
            params.insert(entry.key.clone(), value);
        } else {
            sink.wrong(entry.value.span);
        }
    }
    params
}

/// Expands every stage. `known` has the items of outputs that stages fan out over.
pub fn expand(
    spec: &Spec,
    params: &Map<String, Value>,
    pools: &[(String, u32)],
    known: &Known,
    registry: &Registry,
    sink: &Sink,
) -> Drafts {
    let kinds = registry.iter().map(|kind| (kind.name(), kind)).collect();
    let stages = spec.stages.iter().map(|_| Progress::Open).collect();
    let mut expander =
        Expander { spec, params, pools, known, registry, sink, kinds, stages, tasks: 0, depth: 0 };
    for at in 0..spec.stages.len() {
        expander.stage(at);
        if expander.tasks > TASKS {
            sink.error(spec.stages[at].span, format!("the pipeline has more than {TASKS} tasks"));
            break;
        }
    }
    let mut drafts = Drafts::default();
    let mut starts = Vec::with_capacity(spec.stages.len());
    for (progress, stage) in expander.stages.into_iter().zip(&spec.stages) {
        let start = drafts.tasks.len();
        starts.push(start);
        let tasks = match progress {
            Progress::Done(tasks) => tasks,
            Progress::Open | Progress::Begun => None,
        };
        drafts.axes.push(axes(stage, tasks.as_deref().unwrap_or_default()));
        drafts.stages.push(tasks.map(|tasks| {
            drafts.tasks.extend(tasks);
            start..drafts.tasks.len()
        }));
    }
    for draft in &mut drafts.tasks {
        draft.open = draft.instance.open.map(|open| (starts[open.stage] + open.place, open.output));
    }
    drafts
}

/// The names of the axes: those of any instance, and as written where there is none.
fn axes(stage: &Stage, tasks: &[Draft]) -> Vec<String> {
    if let Some(first) = tasks.first() {
        return first.instance.coordinates.iter().map(|coordinate| coordinate.axis.to_string()).collect();
    }
    let written = stage.matrix.and_then(Node::entries).unwrap_or_default().iter().map(|entry| &entry.key);
    written.filter(|key| !matches!(key.as_str(), "zip" | "include" | "exclude")).cloned().collect()
}

/// How far the expansion of a stage is.
enum Progress {
    Open,
    Begun,
    /// Its tasks; none when its matrix has errors.
    Done(Option<Vec<Draft>>),
}

struct Expander<'a> {
    spec: &'a Spec<'a>,
    params: &'a Map<String, Value>,
    pools: &'a [(String, u32)],
    known: &'a Known,
    registry: &'a Registry,
    sink: &'a Sink,
    kinds: HashMap<&'a str, &'a dyn Kind>,
    stages: Vec<Progress>,
    tasks: usize,
    /// How many stages wait for one that they fan out over.
    depth: usize,
}

impl<'a> Expander<'a> {
    fn scope(&self) -> Scope<'a> {
        let (registry, params, declared) = (self.registry, self.params, self.spec.params);
        Scope { registry, params, declared, instance: None, files: None }
    }

    /// Expands a stage, after those that it fans out over.
    fn stage(&mut self, at: usize) {
        if matches!(self.stages[at], Progress::Done(_)) || self.tasks > TASKS {
            return;
        }
        self.stages[at] = Progress::Begun;
        let (stage, sink) = (&self.spec.stages[at], self.sink);
        let kind = stage.kind.and_then(|(name, span)| {
            let kind = self.kinds.get(name).copied();
            if kind.is_none() {
                let help = did_you_mean(name, self.registry.iter().map(Kind::name), "there are");
                sink.add(Some(span), format!("there is no kind `{name}`"), help);
            }
            kind
        });
        let scope = self.scope();
        let instances = match stage.matrix {
            None => Some(vec![Instance::default()]),
            Some(node) => {
                matrix::expand(node, &scope, &mut |from, instance| self.fan_out(from, instance), sink)
            }
        };
        let Some(instances) = instances else {
            self.stages[at] = Progress::Done(None);
            return;
        };
        self.tasks += instances.len();
        if self.tasks > TASKS {
            return;
        }
        let parts = Parts::of(stage, sink);
        lint::pipes(stage, sink);
        let mut drafts = Vec::with_capacity(instances.len());
        for instance in instances {
            let scope = Scope { instance: Some(&instance), ..scope };
            let draft = parts.draft(at, kind, &scope, &instance, self.pools, sink);
            drafts.push(Draft { instance, ..draft });
        }
        self.stages[at] = Progress::Done(Some(drafts));
    }

    /// The values of an axis over what another stage makes.
    fn fan_out(&mut self, from: &FromAxis, instance: &Instance) -> Option<Fanned> {
        let (sink, span) = (self.sink, from.span);
        let scope = Scope { instance: Some(instance), ..self.scope() };
        let text = match scope.text(from.from, span, sink)? {
            Value::String(text) => text,
            other => {
                sink.error(span, format!("`from` must be an output, but is {}", what_value(&other)));
                return None;
            }
        };
        let write = "write `stage.output`, `stage[axis=value].output` or `stage[matching].output`";
        let reference = match reference::parse(&text) {
            Ok(Reference { member: Some(member), .. }) => {
                let message = format!("an axis is over a whole output, not over `{member}` in it");
                sink.help(span, message, write);
                return None;
            }
            Ok(reference) => reference,
            Err(error) => {
                sink.help(span, format!("`{text}` is no output: {error}"), write);
                return None;
            }
        };
        let stages = &self.spec.stages;
        let Some(&at) = self.spec.by_name.get(reference.stage.as_str()) else {
            let help =
                did_you_mean(&reference.stage, stages.iter().map(|stage| stage.name), "the stages are");
            sink.add(Some(span), format!("there is no stage `{}`", reference.stage), help);
            return None;
        };
        if matches!(self.stages[at], Progress::Begun) {
            let message =
                format!("the axis is over what `{}` makes, which fans out over this stage", reference.stage);
            sink.help(span, message, "remove one of the two");
            return None;
        }
        if self.depth >= DEPTH {
            sink.error(span, format!("more than {DEPTH} stages fan out over each other"));
            return None;
        }
        self.depth += 1;
        self.stage(at);
        self.depth -= 1;
        let Progress::Done(Some(drafts)) = &self.stages[at] else { return None };
        let place = one(&reference, &text, drafts, instance, span, sink)?;
        let draft = &drafts[place];
        let outputs = draft.outputs.as_deref().unwrap_or_default();
        let output = match &reference.output {
            Some(name) => outputs.iter().position(|output| output.name == *name),
            None => (outputs.len() == 1).then_some(0),
        };
        let open = Open { stage: at, place, output: output.unwrap_or(0) };
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
        let Some(items) = self.known.get(&draft.id, &outputs[open.output].name) else {
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
}

/// The one task whose items an axis is over.
fn one(
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

/// What the instances of a stage share.
struct Parts<'a> {
    stage: &'a Stage<'a>,
    inputs: Vec<&'a str>,
    outputs: Vec<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(stage: &'a Stage<'a>, sink: &Sink) -> Parts<'a> {
        let declared =
            |field| stage.node.get(field).and_then(|entry: &Entry| entry.value.entries()).unwrap_or_default();
        if stage.fields.has(Field::Outputs) {
            for output in declared("outputs").iter().filter(|output| !instance::is_name(&output.key)) {
                sink.help(
                    output.span,
                    format!("`{}` cannot be the name of an output", output.key),
                    "use letters, digits, `_` and `-`, starting with a letter",
                );
            }
        }
        Parts {
            stage,
            inputs: stage.inputs.iter().map(|input| input.name).collect(),
            outputs: declared("outputs").iter().map(|output| output.key.as_str()).collect(),
        }
    }

    fn draft(
        &self,
        at: usize,
        kind: Option<&dyn Kind>,
        scope: &Scope,
        instance: &Instance,
        pools: &[(String, u32)],
        sink: &Sink,
    ) -> Draft {
        let stage = self.stage;
        let id = instance.id(stage.name);
        let before = sink.count();
        let mut sound = true;
        let own_fields = !stage.fields.is_empty();
        let params = match stage.params {
            _ if own_fields => self.fields(scope, sink, &mut sound),
            Some(Entry { value: node @ Node { value: Yaml::Map(_), .. }, .. }) => {
                scope.value(node, sink, &mut sound).unwrap_or(Value::Null)
            }
            _ => Value::Object(Map::new()),
        };
        let resources =
            stage.resources.map_or_else(Resources::default, |node| resources::read(node, pools, scope, sink));
        let sandbox = stage.fields.has(Field::Sandbox) && self.sandbox(scope, sink, &mut sound);
        let instance = Instance::default();
        let encoded = Params::new(&Value::Null);
        let mut draft =
            Draft { id, stage: at, instance, params: encoded, outputs: None, resources, sandbox, open: None };
        let Some(kind) = kind else { return draft };
        let site = match stage.params {
            _ if own_fields => Site { node: Some(stage.node), span: stage.span, task: &draft.id },
            Some(params) => Site { node: Some(&params.value), span: params.span, task: &draft.id },
            None => {
                Site { node: None, span: stage.kind.map_or(stage.span, |(_, span)| span), task: &draft.id }
            }
        };
        // Of wrong fields everything is told; what the kind would say is the same again.
        sound &= !own_fields || sink.count() == before && self.complete();
        if let Some(parsed) = checks::parse(kind, params, sound, &site, sink) {
            if !stage.fields.has(Field::Outputs) {
                let files = parsed.outputs.iter().map(|output| (output.name.as_str(), output.file.as_str()));
                self.files(files.collect(), sink);
            }
            draft.params = Params::new(&parsed.canonical);
            draft.outputs = Some(parsed.outputs);
        }
        draft
    }

    /// Whether the stage has the fields that its kind needs.
    fn complete(&self) -> bool {
        self.stage.fields.required().all(|field| {
            self.stage.node.get(field.name()).is_some_and(|entry| match field.shape() {
                Shape::Text => entry.value.text().is_some(),
                Shape::Map => entry.value.entries().is_some_and(|entries| !entries.is_empty()),
                Shape::Flag | Shape::Words | Shape::Open => true,
            })
        })
    }

    /// Whether the stage is to be confined.
    fn sandbox(&self, scope: &Scope, sink: &Sink, sound: &mut bool) -> bool {
        let Some(entry) = self.stage.node.get("sandbox") else { return false };
        let Some(value) = scope.value(&entry.value, sink, sound) else { return false };
        value.as_bool().unwrap_or_else(|| {
            let span = if value.is_null() { entry.span } else { entry.value.span };
            let message = format!("`sandbox` must be `true` or `false`, but is {}", what_value(&value));
            sink.error(span, message);
            *sound = false;
            false
        })
    }

    /// The place of the stage's checkpoint, as a path in its folder.
    fn checkpoint(&self, scope: &Scope, sink: &Sink, sound: &mut bool) -> Option<Value> {
        let Some(Entry { value: Node { value: Yaml::Text(text), span }, .. }) =
            self.stage.node.get("checkpoint")
        else {
            return None;
        };
        let value = scope.text(text, *span, sink);
        match &value {
            Some(Value::String(path)) if inside(path) => return value,
            Some(other) => {
                let path = plain(other).unwrap_or_default();
                let help = "give a name: `state/` for a folder, `state.bin` for a file";
                sink.help(*span, format!("the checkpoint cannot be kept as `{path}`"), help);
            }
            None => {}
        }
        *sound = false;
        None
    }

    /// The parameters of a kind that takes them from fields of the stage.
    fn fields(&self, scope: &Scope, sink: &Sink, sound: &mut bool) -> Value {
        let mut params = Map::new();
        let shell = self.shell(scope, sink, sound);
        for field in Field::ALL.into_iter().filter(|field| self.stage.fields.has(*field)) {
            let value = match field {
                Field::Run => self.run(shell.as_ref(), scope, sink, sound),
                Field::Shell => shell.as_ref().map(|shell| match shell {
                    Shell::Named(name) => Name::ALL
                        .iter()
                        .find(|(_, own)| own == name)
                        .map_or(Value::Null, |(name, _)| (*name).into()),
                    Shell::Program(words) => words.as_slice().into(),
                }),
                Field::Outputs => {
                    let map = self.outputs(scope, sink, sound);
                    let file = |declared: &Value| {
                        declared.as_str().or_else(|| declared.get("file")?.as_str()).map(str::to_owned)
                    };
                    let files: Vec<(&str, String)> = map
                        .iter()
                        .flatten()
                        .filter_map(|(name, d)| Some((name.as_str(), file(d)?)))
                        .collect();
                    *sound &=
                        self.files(files.iter().map(|(name, file)| (*name, file.as_str())).collect(), sink);
                    map.map(Value::Object)
                }
                Field::Env => self.texts(field, scope, sink, sound).map(Value::Object),
                Field::Checkpoint => self.checkpoint(scope, sink, sound),
                Field::Environment => {
                    let entry = self.stage.node.get(field.name());
                    entry.and_then(|entry| scope.value(&entry.value, sink, sound))
                }
                Field::Sandbox | Field::Tools => None,
            };
            params.extend(value.map(|value| (field.name().to_owned(), value)));
        }
        Value::Object(params)
    }

    /// The script in `run`, in which the kind itself fills in the files.
    fn run(&self, shell: Option<&Shell>, scope: &Scope, sink: &Sink, sound: &mut bool) -> Option<Value> {
        let Entry { value: Node { value: Yaml::Text(run), span }, .. } = self.stage.node.get("run")? else {
            return None;
        };
        let checkpoint = self.stage.node.get("checkpoint").is_some();
        let files = Some(Files { checkpoint, inputs: &self.inputs, outputs: &self.outputs });
        let language = shell.cloned().unwrap_or_default().language();
        let script = (Scope { files, ..*scope }).script(run, *span, &language, sink);
        *sound &= script.is_some();
        script.map(Value::String)
    }

    /// What the script is given to; none where the stage does not say.
    fn shell(&self, scope: &Scope, sink: &Sink, sound: &mut bool) -> Option<Shell> {
        let entry = self.stage.node.get("shell").filter(|_| self.stage.fields.has(Field::Shell))?;
        let value = scope.value(&entry.value, sink, sound)?;
        let words = |words: &Vec<Value>| -> Option<Vec<String>> {
            words.iter().map(|word| word.as_str().map(str::to_owned)).collect()
        };
        match (&value, value.as_array().map(words)) {
            (Value::String(text), _) if Name::ALL.iter().any(|(name, _)| name == text) => {
                return Name::ALL.iter().find(|(name, _)| name == text).map(|(_, name)| Shell::Named(*name));
            }
            (_, Some(Some(words)))
                if words.first().is_some_and(|word| !word.is_empty())
                    && !words.iter().any(|word| word.contains('\0')) =>
            {
                return Some(Shell::Program(words));
            }
            _ => {}
        }
        *sound = false;
        let span = if value.is_null() { entry.span } else { entry.value.span };
        let (message, example) = match &value {
            Value::String(text) => {
                let words: Vec<&str> = text.split_whitespace().collect();
                let words = if words.len() < 2 { format!("{text}, -c") } else { words.join(", ") };
                (
                    format!("there is no shell `{text}`"),
                    format!("a program with its arguments like `[{words}]`"),
                )
            }
            value => (
                format!(
                    "`shell` must be the name of a shell or a list of texts, but is {}",
                    what_value(value)
                ),
                "a program with its arguments like `[python3, -c]`".to_owned(),
            ),
        };
        sink.help(span, message, format!("write `sh`, `bash`, or {example}"));
        None
    }

    /// The outputs by name: the file of each as text, or `{file: …, optional: true}`.
    fn outputs(&self, scope: &Scope, sink: &Sink, sound: &mut bool) -> Option<Map<String, Value>> {
        let entries = self.stage.node.get(Field::Outputs.name())?.value.entries()?;
        let mut map = Map::new();
        for entry in entries {
            let Some(mut value) = scope.value(&entry.value, sink, sound) else { continue };
            let name = &entry.key;
            let before = sink.count();
            if let Some(fields) = value.as_object_mut() {
                for field in entry.value.entries().unwrap_or_default() {
                    let wrong = match (field.key.as_str(), fields.get(&field.key)) {
                        (_, None) => continue,
                        ("file", Some(Value::String(_))) | ("optional", Some(Value::Bool(_))) => continue,
                        ("file", Some(other)) => format!("`file` must be text, but is {}", what_value(other)),
                        ("optional", Some(other)) => {
                            format!("`optional` must be `true` or `false`, but is {}", what_value(other))
                        }
                        _ => {
                            spec::unknown(field, &["file", "optional"], "an output", sink);
                            *sound = false;
                            continue;
                        }
                    };
                    sink.error(spec::shown(field), wrong);
                    *sound = false;
                }
                if entry.value.get("file").is_none() {
                    let message = format!("output `{name}` has no `file`");
                    sink.help(
                        entry.span,
                        message,
                        format!("write `{name}: {{file: {name}.txt, optional: true}}`"),
                    );
                    *sound = false;
                }
                // Written out, the default is the short form: the key is the same.
                if fields.get("optional") != Some(&Value::Bool(true))
                    && let Some(file) = fields.get("file").cloned()
                {
                    value = file;
                }
            }
            if sink.count() > before {
                continue;
            }
            if !matches!(value, Value::String(_) | Value::Object(_)) {
                let span = if value.is_null() { entry.span } else { entry.value.span };
                let message = format!("`outputs.{name}` must be text, but is {}", what_value(&value));
                sink.help(
                    span,
                    message,
                    format!("write `{name}: file.txt`, or `{name}: {{file: file.txt, optional: true}}`"),
                );
                *sound = false;
                continue;
            }
            map.insert(name.clone(), value);
        }
        Some(map)
    }

    /// Texts by name; in `env` numbers and truth values are text too.
    fn texts(
        &self,
        field: Field,
        scope: &Scope,
        sink: &Sink,
        sound: &mut bool,
    ) -> Option<Map<String, Value>> {
        let name = field.name();
        let entries = self.stage.node.get(name)?.value.entries()?;
        let mut map = Map::new();
        for entry in entries {
            let Some(value) = scope.value(&entry.value, sink, sound) else { continue };
            let nul = value.as_str().is_some_and(|text| text.contains('\0'));
            if field == Field::Env && (entry.key.is_empty() || entry.key.contains(['=', '\0']) || nul) {
                let (span, message) = match nul {
                    true => {
                        (entry.value.span, format!("the value of `{name}.{}` has a NUL character", entry.key))
                    }
                    false => (
                        entry.span,
                        format!(
                            "`{}` cannot be the name of an environment variable",
                            entry.key.replace('\0', "\\0")
                        ),
                    ),
                };
                sink.help(
                    span,
                    message,
                    "a name has at least one character, and neither it nor a value has NUL, nor a name `=`",
                );
                *sound = false;
                continue;
            }
            match (plain(&value), &value) {
                (Some(text), Value::String(_)) => _ = map.insert(entry.key.clone(), Value::String(text)),
                (Some(text), Value::Number(_) | Value::Bool(_)) if field == Field::Env => {
                    map.insert(entry.key.clone(), Value::String(text));
                }
                _ => {
                    let span = if value.is_null() { entry.span } else { entry.value.span };
                    let message =
                        format!("`{name}.{}` must be text, but is {}", entry.key, what_value(&value));
                    sink.error(span, message);
                    *sound = false;
                }
            }
        }
        Some(map)
    }

    /// Checks where the outputs, as names and files, are written.
    fn files(&self, outputs: Vec<(&str, &str)>, sink: &Sink) -> bool {
        let declared = self.stage.node.get("outputs").filter(|_| self.stage.fields.has(Field::Outputs));
        let before = sink.count();
        for (at, &(name, file)) in outputs.iter().enumerate() {
            let span = || match declared {
                Some(entry) => entry.value.locate([name]),
                None => self.stage.kind.map_or(self.stage.span, |(_, span)| span),
            };
            if !inside(file) {
                sink.help(
                    span(),
                    format!("output `{name}` cannot be written to `{file}`"),
                    "give a path inside the stage's folder, without `..` and with names of at most 200 bytes: `plot.png`",
                );
            } else if let Some((other, _)) = outputs[..at].iter().find(|(_, other)| overlap(other, file)) {
                sink.help(
                    span(),
                    format!("outputs `{other}` and `{name}` are written to the same place"),
                    "give each a file of its own",
                );
            }
        }
        sink.count() == before
    }
}

/// Whether a path stays in the folder that it starts from, and names something there.
fn inside(file: &str) -> bool {
    let path = Path::new(file);
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        && path.file_name().is_some()
        && !file.contains(['\0', '\n'])
        && path.components().all(|part| part.as_os_str().len() <= LONGEST)
}

/// Whether two paths are the same or one is inside the other.
fn overlap(a: &str, b: &str) -> bool {
    let normal = |path| {
        let parts = Path::new(path).components().filter(|part| matches!(part, Component::Normal(_)));
        parts.map(Component::as_os_str).collect::<Vec<_>>()
    };
    let (a, b) = (normal(a), normal(b));
    a.iter().zip(&b).all(|(a, b)| a == b)
}
