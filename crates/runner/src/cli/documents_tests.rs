//! Keeps `schema/output/` and `docs/json.md` as the types of the documents say.

use crate::cli::Cli;
use crate::cli::curve_documents::*;
use crate::cli::documents::*;
use crate::compare::difference::Difference;
use crate::kind::reference::Reference;
use crate::store::archive::Moved;
use crate::store::doctor;
use crate::store::remote::check::Abilities;
use crate::store::remote::upkeep::{du::Space, gc::Swept, verify::Verified};
use crate::store::usage::Usage;
use crate::store::verify::Report;
use clap::{Command, CommandFactory};
use schemars::JsonSchema;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Every document: the command that prints it, and its schema.
fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("run", schema::<RunDocument>()),
        ("plan", schema::<PlanDocument>()),
        ("status", schema::<StatusDocument>()),
        ("explain", schema::<Vec<ExplainTask>>()),
        ("list", schema::<ListDocument>()),
        ("get", schema::<Vec<GetResult>>()),
        ("jobs", schema::<JobsDocument>()),
        ("cancel", schema::<JobsDocument>()),
        ("log", schema::<Vec<LogTask>>()),
        ("metrics", schema::<MetricsDocument>()),
        ("export crate", schema::<CrateDocument>()),
        ("export tensorboard", schema::<TensorboardDocument>()),
        ("export mlflow", schema::<MlflowDocument>()),
        ("compare", schema::<CompareDocument>()),
        ("diff", schema::<Difference>()),
        ("kinds", schema::<Vec<Reference>>()),
        ("paper check", schema::<PaperCheck>()),
        ("paper tarball", schema::<PaperTarball>()),
        ("init", schema::<InitDocument>()),
        ("key list", schema::<KeyList>()),
        ("store verify", schema::<Report>()),
        ("store verify --rerun", schema::<Vec<RerunTask>>()),
        ("store gc", schema::<GcDocument>()),
        ("store du", schema::<Usage>()),
        ("store doctor", schema::<doctor::Report>()),
        ("store export", schema::<Moved>()),
        ("store import", schema::<Moved>()),
        ("remote add", schema::<RemoteDocument>()),
        ("remote list", schema::<RemotesDocument>()),
        ("remote remove", schema::<RemoteDocument>()),
        ("remote check", schema::<Abilities>()),
        ("remote du", schema::<Space>()),
        ("remote gc", schema::<Swept>()),
        ("remote verify", schema::<Verified>()),
        ("push", schema::<PushDocument>()),
        ("pull", schema::<PullDocument>()),
    ]
}

fn schema<T: JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

const HEAD: &str = "\
# The `--json` documents

With `--json` a command prints one JSON document to standard output and nothing else there; `run --watch` prints one for each run. Its shape is
the one below and that of the JSON Schema in `schema/output/`. Fields may be added in later versions; those that are here keep their name and
meaning within a major version. A field whose type says *or null* may be null.

The documents are types with doc comments in `crates/runner/src/cli/documents.rs`; this page and the schemas are made from them by
`ONSAGER_UPDATE=1 cargo test --release -p onsager-runner --features remote documents`. A new command adds its type there, a line to the list in `crates/runner/src/cli/documents_tests.rs`, and an
example of its output to `tests/json.rs`, which checks what the program prints against the schemas.

## Exit codes

| code | |
| --- | --- |
| 0 | done |
| 1 | a task failed, something in the store is damaged, a file or the store cannot be read or written, or standard output is full |
| 2 | the request is wrong: an argument, a pipeline file, a name that does not exist |
| 3 | all is computed, and a claim of the pipeline fails or is stale (`run --check-claims`) |
| 130 | interrupted: by Ctrl-C, by SIGTERM, or because the terminal was closed |

## Errors

A command that stops with 1 or 2 before it has a document of its own prints this one. The same is on standard error as text.

";

/// `ONSAGER_UPDATE=1 cargo test --release -p onsager-runner --features remote documents` writes the files anew.
#[test]
fn documents_are_described() {
    let failure = schema::<ErrorDocument>();
    current("schema/output/error.schema.json", &format!("{failure:#}\n"));
    let mut page = HEAD.to_owned() + &section(&failure);
    for (command, schema) in all() {
        let name = command.replace(" --", "-").replace(' ', "-");
        current(&format!("schema/output/{name}.schema.json"), &format!("{schema:#}\n"));
        page += &format!("\n## `onsager {command}`\n\n{}", section(&schema));
    }
    current("docs/json.md", &page);
}

/// The program's commands and theirs, each with its whole name.
fn commands() -> Vec<(String, Command)> {
    fn below(command: &Command, before: &str, found: &mut Vec<(String, Command)>) {
        for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = format!("{before}{}", command.get_name());
            below(command, &format!("{name} "), found);
            found.push((name, command.clone()));
        }
    }
    let mut found = Vec::new();
    below(&Cli::command(), "", &mut found);
    found
}

/// Every command that takes `--json` has a document, and the other way round; an option may have one of its own.
#[test]
fn documents_are_those_of_the_commands() {
    let taken = commands().into_iter().filter(|(_, command)| {
        let mut arguments = command.get_arguments();
        arguments.any(|argument| argument.get_id() == "json")
    });
    let mut found: Vec<String> = taken.map(|(name, _)| name).collect();
    let documented = all().into_iter().map(|(command, _)| command.to_owned());
    let mut documented: Vec<String> = documented.filter(|command| !command.contains(" --")).collect();
    found.sort_unstable();
    documented.sort_unstable();
    assert_eq!(found, documented);
}

/// Every command tells an example, and has a row in the README's reference.
#[test]
fn commands_have_examples_and_a_reference() {
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    let commands = commands();
    assert!(commands.iter().any(|(name, _)| name == "store verify"));
    for (name, mut command) in commands {
        let help = command.render_long_help().to_string();
        assert!(help.contains("Example"), "`onsager {name} --help` has no example");
        assert!(readme.contains(&format!("| `onsager {name}")), "the README does not list `onsager {name}`");
    }
}

/// Where the documents lie.
fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn current(name: &str, text: &str) {
    let path = workspace().join(name);
    if std::env::var_os("ONSAGER_UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == text,
        "{name} is stale; run `ONSAGER_UPDATE=1 cargo test --release -p onsager-runner --features remote documents`"
    );
}

/// The document's own fields, then those of the objects in it.
fn section(schema: &Value) -> String {
    let mut text = match schema["items"]["$ref"].as_str() {
        Some(item) => format!("A list of {}.\n\n", name(item)),
        None => format!("{}\n\n", about(schema)) + &fields(schema, ""),
    };
    for (name, part) in schema["$defs"].as_object().into_iter().flatten() {
        text += &format!("**{name}.** {}\n\n{}", about(part), fields(part, ""));
    }
    text.trim_end().to_owned() + "\n"
}

fn fields(schema: &Value, when: &str) -> String {
    let mut text = String::new();
    if when.is_empty() && schema["properties"].is_object() {
        text += "| field | type | |\n| --- | --- | --- |\n";
    }
    for (field, part) in schema["properties"].as_object().into_iter().flatten() {
        text += &format!("| `{field}` | {} | {}{when} |\n", kind(part), about(part));
    }
    text = if text.is_empty() || !when.is_empty() { text } else { text + "\n" };
    for choice in schema["oneOf"].as_array().into_iter().flatten() {
        let tag = choice["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .find(|(_, part)| part["const"].is_string());
        let Some((tag, value)) = tag else {
            text += &format!("- {}{}\n", kind(choice), colon(&about(choice)));
            continue;
        };
        let others: Vec<String> = choice["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(field, _)| *field != tag)
            .map(|(field, part)| format!("`{field}` ({}){}", kind(part), colon(&about(part))))
            .collect();
        let more = choice["$ref"].as_str().map(|part| format!("the fields of {}", name(part)));
        let with: Vec<String> = others.into_iter().chain(more).collect();
        let with = if with.is_empty() { String::new() } else { format!(" With {}.", with.join(", ")) };
        text += &format!("- `{tag}` is {}: {}{with}\n", value["const"], about(choice));
    }
    if schema["anyOf"].is_array() {
        text += &format!("It is {}.\n", kind(schema));
    }
    if schema["oneOf"].is_array() || schema["anyOf"].is_array() { text + "\n" } else { text }
}

fn colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

fn about(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or("").replace('\n', " ")
}

fn name(reference: &str) -> String {
    format!("**{}**", reference.trim_start_matches("#/$defs/"))
}

/// A type in a few words.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return name(reference);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if let Some(value) = schema["const"].as_str() {
        return format!("`\"{value}\"`");
    }
    let one = |kind: &str| match kind {
        "array" if schema["prefixItems"].is_array() => {
            let parts = schema["prefixItems"].as_array().into_iter().flatten().map(self::kind);
            format!("[{}]", parts.collect::<Vec<_>>().join(", "))
        }
        "array" => format!("list of {}", self::kind(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("map of {}", self::kind(&schema["additionalProperties"]))
        }
        kind => kind.to_owned(),
    };
    match &schema["type"] {
        Value::String(kind) => one(kind),
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).map(one).collect::<Vec<_>>().join(" or ")
        }
        _ => "any value".to_owned(),
    }
}
