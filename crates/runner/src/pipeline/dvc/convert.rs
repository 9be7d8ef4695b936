//! Which stage makes what another one reads, and what the command of each looks like then.

use super::read::Stage;
use super::template::Axis;
use crate::pipeline::expand::instance::{is_name, plain};
use crate::pipeline::yaml::sink::Sink;
use serde_json::{Map, Value};
use std::path::{Component, Path, PathBuf};

/// A pipeline, to be written.
#[derive(Debug)]
pub struct Pipeline {
    pub name: String,
    pub params: Map<String, Value>,
    pub stages: Vec<Command>,
}

/// A stage of kind `command`.
#[derive(Debug)]
pub struct Command {
    pub name: String,
    pub description: Option<String>,
    pub matrix: Vec<(String, Vec<Value>)>,
    pub inputs: Vec<(String, Input)>,
    pub lines: Vec<String>,
    pub outputs: Vec<(String, String)>,
}

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    File(String),
    Artifact(String),
}

/// An output: the stage that makes it, its name, and its path as the `dvc.yaml` writes it, relative to that file.
struct Output<'a> {
    stage: &'a Stage,
    ours: String,
    name: String,
    path: String,
    folder: bool,
}

/// The pipeline that these stages make.
pub fn pipeline(
    name: &str,
    stages: &[Stage],
    values: &Map<String, Value>,
    folder: &Path,
    sink: &Sink,
) -> Pipeline {
    let mut outputs: Vec<Output> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for stage in stages {
        let ours = unique(slug(&stage.name, "stage"), &mut names);
        let mut own = Vec::new();
        for (written, _) in &stage.writes {
            let path = below(stage, written);
            let name = unique(stem(&path), &mut own);
            let folder = is_folder(&path, written, folder);
            outputs.push(Output { stage, ours: ours.clone(), name, path, folder });
        }
    }
    let commands = stages.iter().zip(&names).map(|(stage, ours)| command(stage, ours, &outputs, sink));
    let used = |key: &str| stages.iter().any(|stage| stage.used.iter().any(|used| used == key));
    let params = values.iter().filter(|(key, _)| used(key)).map(|(key, value)| (key.clone(), value.clone()));
    Pipeline { name: name.to_owned(), params: params.collect(), stages: commands.collect() }
}

fn command(stage: &Stage, ours: &str, outputs: &[Output], sink: &Sink) -> Command {
    let mut lines = stage.commands.clone();
    let mut inputs: Vec<(String, Input)> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let made: Vec<&Output> = outputs.iter().filter(|output| std::ptr::eq(output.stage, stage)).collect();
    // The longer path first: `data/raw` is a part of `data/raw/x.csv`.
    let mut replace: Vec<(String, String)> = Vec::new();
    for (written, span) in &stage.reads {
        let path = below(stage, written);
        let Some(artifact) = artifact(stage, &path, outputs) else {
            let input = Input::File(path.clone());
            if inputs.iter().all(|(_, known)| *known != input) {
                inputs.push((unique(stem(&path), &mut names), input));
            }
            continue;
        };
        let name = unique(stem(&path), &mut names);
        if let Some(producer) = filled_by(stage, &path, outputs) {
            sink.warn(
                *span,
                format!(
                    "stage `{ours}` reads the folder `{written}`, which the instances of `{}` fill",
                    producer.ours
                ),
                format!(
                    "`${{inputs.{name}}}` is their files one after the other; change the command to take them"
                ),
            );
        } else if named(&lines, written) {
            replace.push((written.clone(), format!("${{inputs.{name}}}")));
        } else {
            sink.warn(
                *span,
                format!("stage `{ours}` reads `{written}` without naming it in its command"),
                format!("hand it the path: `${{inputs.{name}}}`, or `ONSAGER_INPUTS` in its environment"),
            );
        }
        inputs.push((name, Input::Artifact(artifact)));
    }
    for output in outputs.iter().filter(|output| !std::ptr::eq(output.stage, stage)) {
        let declared =
            || stage.reads.iter().any(|(read, _)| within(&below(stage, read), &output.path) == Some(""));
        if !named(&lines, &output.path) || declared() {
            continue;
        }
        if let Some(artifact) = artifact(stage, &output.path, outputs) {
            let name = unique(stem(&output.path), &mut names);
            sink.warn(
                stage.span,
                format!("stage `{ours}` names `{}` and does not list it in `deps`", output.path),
                format!("it is the input `{name}` now"),
            );
            replace.push((output.path.clone(), format!("${{inputs.{name}}}")));
            inputs.push((name, Input::Artifact(artifact)));
        }
    }
    for (file, span) in &stage.parameters {
        let path = below(stage, file);
        let input = Input::File(path.clone());
        if inputs.iter().all(|(_, known)| *known != input) {
            inputs.push((unique(stem(&path), &mut names), input));
            sink.warn(
                *span,
                format!("the whole of `{file}` is an input of stage `{ours}`, so any change in it executes that again"),
                "hand values over as `${params.NAME}`; then only those count",
            );
        }
    }
    let mut after = Vec::new();
    let mut before: Vec<String> = Vec::new();
    for (output, (written, span)) in made.iter().zip(&stage.writes) {
        let ours_path = format!("${{outputs.{}}}", output.name);
        if named(&lines, written) {
            replace.push((written.clone(), ours_path));
            continue;
        }
        let parent = Path::new(written.trim_end_matches('/')).parent();
        if let Some(parent) = parent.filter(|parent| !parent.as_os_str().is_empty()) {
            let line = format!("mkdir -p {}", parent.display());
            if !before.contains(&line) && !lines.contains(&line) {
                before.push(line);
            }
        }
        after.push(format!("mv {} {ours_path}", written.trim_end_matches('/')));
        sink.warn(
            *span,
            format!("stage `{ours}` writes `{written}` without naming it in its command, so it is moved afterwards"),
            format!("hand it the path `${{outputs.{}}}`; two runs at once would write one file", output.name),
        );
    }
    replace.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
    for line in &mut lines {
        for (path, with) in &replace {
            *line = replaced(line, path, with);
        }
    }
    if let Some(wdir) = &stage.folder {
        // What comes before the command is written from there, too.
        before.insert(0, format!("cd {wdir}"));
        sink.warn(
            stage.span,
            format!(
                "stage `{ours}` runs in `{wdir}`, and paths of inputs and outputs start at the project's root"
            ),
            "check its paths, or run its program from the root",
        );
    }
    Command {
        name: ours.to_owned(),
        description: stage.description.clone(),
        matrix: stage.axes.iter().map(|axis| (axis.name.clone(), axis.points.clone())).collect(),
        inputs,
        lines: before.into_iter().chain(lines).chain(after).collect(),
        outputs: made
            .iter()
            .map(|output| (output.name.clone(), file_name(&output.path, output.folder)))
            .collect(),
    }
}

/// The reference to the artifact at this path; none for a file that no stage makes.
fn artifact(stage: &Stage, path: &str, outputs: &[Output]) -> Option<String> {
    for output in outputs.iter().filter(|output| !std::ptr::eq(output.stage, stage)) {
        let (ours, name) = (&output.ours, &output.name);
        let axes = &output.stage.axes;
        if axes.is_empty() {
            if let Some(rest) = within(path, &output.path) {
                return Some(format!("{ours}.{name}{rest}"));
            }
        } else if let Some((chosen, rest)) = chosen(path, &output.path, axes) {
            // The same axes throughout: each instance reads what its counterpart wrote.
            let same = chosen.iter().all(|(axis, value)| *value == format!("${{matrix.{axis}}}"));
            let own = |axis: &Axis| stage.axes.iter().any(|own| own.name == axis.name);
            if same && axes.iter().all(own) {
                return Some(format!("{ours}[matching].{name}{rest}"));
            }
            let labels = chosen.iter().map(|(axis, value)| format!("{axis}={value}")).collect::<Vec<_>>();
            return Some(format!("{ours}[{}].{name}{rest}", labels.join(",")));
        }
        for instance in instances(axes) {
            let made =
                instance.iter().fold(output.path.clone(), |text, (axis, point)| filled(&text, axis, point));
            if let Some(rest) = within(path, &made) {
                let labels =
                    instance.iter().filter_map(|(axis, point)| Some(format!("{axis}={}", plain(point)?)));
                return Some(format!("{ours}[{}].{name}{rest}", labels.collect::<Vec<_>>().join(",")));
            }
        }
    }
    // A folder that instances have filled: all of them.
    filled_by(stage, path, outputs).map(|output| format!("{}.{}", output.ours, output.name))
}

/// The first output of another stage that lies in this folder, which itself is no output.
fn filled_by<'a, 'b>(stage: &Stage, path: &str, outputs: &'b [Output<'a>]) -> Option<&'b Output<'a>> {
    let inside = |output: &&Output| {
        !std::ptr::eq(output.stage, stage)
            && output.path.strip_prefix(path.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
    };
    outputs.iter().find(inside)
}

/// The instance whose output is at this path: the text that stands for each axis in the output's path, and what follows
/// in it. None where an axis does not stand there whole.
fn chosen<'a>(
    path: &'a str,
    output: &'a str,
    axes: &'a [Axis],
) -> Option<(Vec<(&'a str, &'a str)>, &'a str)> {
    let mut chosen: Vec<(&str, &str)> = Vec::new();
    let (mut path, mut output) = (path.trim_end_matches('/'), output.trim_end_matches('/'));
    while let Some((literal, rest)) = output.split_once("${matrix.") {
        let (axis, rest) = rest.split_once('}')?;
        let axis = axes.iter().find(|known| known.name == axis)?;
        path = path.strip_prefix(literal)?;
        let next = rest.split("${").next().filter(|next| !next.is_empty());
        let end = match (path.starts_with("${"), next) {
            (true, _) => path.find('}')? + 1,
            (false, Some(next)) => path.find(next)?,
            (false, None) => path.find('/').unwrap_or(path.len()),
        };
        let value = &path[..end];
        let known = |point: &Value| plain(point).is_some_and(|label| label == value);
        if !value.starts_with("${") && !axis.points.iter().any(known) {
            return None;
        }
        match chosen.iter().find(|(name, _)| *name == axis.name) {
            Some((_, before)) if *before != value => return None,
            Some(_) => {}
            None => chosen.push((&axis.name, value)),
        }
        (path, output) = (&path[end..], rest);
    }
    let rest = within(path, output)?;
    (chosen.len() == axes.len()).then_some((chosen, rest))
}

/// What follows in a path that is this output or lies in it.
fn within<'a>(path: &'a str, output: &str) -> Option<&'a str> {
    let rest = path.trim_end_matches('/').strip_prefix(output.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Every choice of a point on each axis; none without axes.
fn instances(axes: &[Axis]) -> Vec<Vec<(&str, &Value)>> {
    if axes.is_empty() {
        return Vec::new();
    }
    axes.iter().fold(vec![Vec::new()], |chosen: Vec<Vec<(&str, &Value)>>, axis| {
        let longer = chosen.iter().flat_map(|before| {
            axis.points.iter().map(move |point| {
                let mut instance = before.clone();
                instance.push((axis.name.as_str(), point));
                instance
            })
        });
        longer.collect()
    })
}

/// The text with the references to this axis filled in.
fn filled(text: &str, axis: &str, point: &Value) -> String {
    let mut text = text.replace(&format!("${{matrix.{axis}}}"), &plain(point).unwrap_or_default());
    for (field, value) in point.as_object().into_iter().flatten() {
        text = text.replace(&format!("${{matrix.{axis}.{field}}}"), &plain(value).unwrap_or_default());
    }
    text
}

/// Whether a command names this path.
fn named(lines: &[String], path: &str) -> bool {
    lines.iter().any(|line| places(line, path).next().is_some())
}

/// Where a path stands in a command as a word, or as the beginning of a longer path.
fn places<'a>(line: &'a str, path: &'a str) -> impl Iterator<Item = usize> + 'a {
    let path = path.trim_end_matches('/');
    let found = line.match_indices(path).map(|(at, _)| at);
    found.filter(move |&at| {
        let before = line[..at].chars().next_back();
        let after = line[at + path.len()..].chars().next();
        let begins = before.is_none_or(|c| c.is_whitespace() || "=:,'\"<>(".contains(c))
            || line[..at].ends_with("./") && !line[..at].ends_with("../");
        begins && after.is_none_or(|c| c.is_whitespace() || "/:,;'\"<>)&|".contains(c))
    })
}

fn replaced(line: &str, path: &str, with: &str) -> String {
    let (mut out, mut from) = (String::new(), 0);
    let len = path.trim_end_matches('/').len();
    for at in places(line, path) {
        let before = line[from..at].strip_suffix("./").unwrap_or(&line[from..at]);
        out += before;
        out += with;
        from = at + len;
        // `data/` is the folder `data`.
        let rest = &line[from..];
        if rest.starts_with('/') && rest[1..].chars().next().is_none_or(char::is_whitespace) {
            from += 1;
        }
    }
    out + &line[from..]
}

/// A path of a stage, relative to the `dvc.yaml`.
fn below(stage: &Stage, path: &str) -> String {
    let joined = match &stage.folder {
        Some(folder) => Path::new(folder).join(path),
        None => PathBuf::from(path),
    };
    let mut out = PathBuf::new();
    for part in joined.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if out.file_name().is_some() => _ = out.pop(),
            other => out.push(other),
        }
    }
    out.display().to_string()
}

/// Whether an output is a folder: by what is there, else by how it is written.
fn is_folder(path: &str, written: &str, folder: &Path) -> bool {
    match folder.join(path).metadata() {
        Ok(data) => data.is_dir(),
        Err(_) => written.ends_with('/') || Path::new(path).extension().is_none(),
    }
}

/// The name of an output's file within its stage's folder; a reference in it stands in the folder's name already.
fn file_name(path: &str, folder: bool) -> String {
    let name = Path::new(path).file_name().map_or(path.into(), |name| name.to_string_lossy());
    let plain = if name.contains("${") { stem(path) } else { name.into_owned() };
    let extension = Path::new(path).extension().map(|extension| extension.to_string_lossy());
    match (folder, extension) {
        (true, _) => format!("{plain}/"),
        (false, Some(extension)) if !plain.ends_with(&*extension) => format!("{plain}.{extension}"),
        (false, _) => plain,
    }
}

/// A name for the artifact at this path: the last part of it without its ending and without references.
fn stem(path: &str) -> String {
    let parts = Path::new(path).components().filter_map(|part| match part {
        Component::Normal(name) => Some(without_references(&name.to_string_lossy())),
        _ => None,
    });
    let mut names = parts.map(|part| slug(part.split('.').next().unwrap_or_default(), ""));
    let name = names.rfind(|name| !name.is_empty()).unwrap_or_default();
    slug(&name, "file").replace('-', "_")
}

fn without_references(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        out += before;
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    out + rest
}

/// The text as a name may be: letters, digits, `_` and `-`.
pub fn slug(text: &str, otherwise: &str) -> String {
    let name: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '-' })
        .collect();
    let name = name.trim_matches(|c| c == '-' || c == '_').to_owned();
    match name {
        name if is_name(&name) => name,
        name if name.is_empty() || otherwise.is_empty() => otherwise.to_owned(),
        name => format!("{otherwise}-{name}"),
    }
}

fn unique(name: String, names: &mut Vec<String>) -> String {
    let numbered = (2..).map(|n| format!("{name}_{n}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| !names.contains(name));
    let free = free.unwrap_or(name);
    names.push(free.clone());
    free
}
