//! One instance of a stage as a draft: its parameters from the fields of the stage, parsed by the kind.

use crate::command::shell::{Name, Shell};
use crate::kind::fields::{Field, Shape};
use crate::kind::registry::Kind;
use crate::kind::stage::Output;
use crate::pipeline::expand::draft::Draft;
use crate::pipeline::expand::env;
use crate::pipeline::expand::instance::{self, Instance, plain};
use crate::pipeline::expand::interpolate::{Files, Scope};
use crate::pipeline::expand::outputs;
use crate::pipeline::graph::Params;
use crate::pipeline::shared::same_as;
use crate::pipeline::spec::Stage;
use crate::pipeline::spec::checks::{self, Site};
use crate::pipeline::spec::resources::{self, Resources};
use crate::pipeline::yaml::node::{Entry, Node, Yaml, what_value};
use crate::pipeline::yaml::sink::Sink;
use serde_json::{Map, Value};
use std::sync::Arc;

/// What the instances of a stage share.
pub struct Parts<'a> {
    stage: &'a Stage<'a>,
    inputs: Vec<&'a str>,
    outputs: Vec<&'a str>,
    /// What the last instance had: mostly the next one has the same.
    last: (Option<Arc<Vec<Output>>>, Option<Arc<Resources>>),
}

impl<'a> Parts<'a> {
    pub fn of(stage: &'a Stage<'a>, sink: &Sink) -> Parts<'a> {
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
            last: (None, None),
        }
    }

    /// The draft of an instance, without the instance itself.
    pub fn draft(
        &mut self,
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
        let resources = same_as(&mut self.last.1, Arc::new(resources));
        let sandbox = stage.fields.has(Field::Sandbox) && self.sandbox(scope, sink, &mut sound);
        let instance = Instance::default();
        let encoded = Params::new(&Value::Null);
        let mut draft = Draft {
            id,
            stage: at,
            instance,
            params: encoded,
            outputs: None,
            tools: Vec::new(),
            resources,
            sandbox,
            open: None,
        };
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
                outputs::check(stage, &files.collect::<Vec<_>>(), sink);
            }
            draft.params = Params::new(&parsed.canonical);
            draft.tools = parsed.tools;
            // What they are is told by the kind.
            let plain = parsed.outputs.into_iter().map(|output| Output { about: String::new(), ..output });
            draft.outputs = Some(same_as(&mut self.last.0, Arc::new(plain.collect())));
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
            Some(Value::String(path)) if outputs::inside(path) => return value,
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
                    let map = outputs::read(self.stage, scope, sink, sound);
                    let files: Vec<(&str, &str)> = map
                        .iter()
                        .flatten()
                        .filter_map(|(name, declared)| Some((name.as_str(), file_of(declared)?)))
                        .collect();
                    *sound &= outputs::check(self.stage, &files, sink);
                    map.map(Value::Object)
                }
                Field::Env => env::read(self.stage, scope, sink, sound).map(Value::Object),
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
}

/// The file of a declared output.
fn file_of(declared: &Value) -> Option<&str> {
    declared.as_str().or_else(|| declared.get("file")?.as_str())
}
