//! `onsager shell`.

use crate::cli::common::{self, CliError, Given};
use crate::kind::fields::Field;
use crate::kind::registry::Registry;
use crate::plan::assignment::Workplace;
use crate::plan::error::EngineError;
use crate::plan::planned::plan;
use crate::run::session::{self, Session};
use crate::store::files::{self, StoreError};
use crate::worker::rehearsal::{self, Call};
use clap::Args;
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Open a shell where a task of a command runs: with its inputs, its environment, and the command to repeat it
///
/// The shell starts in the project's folder, as the command does. Its inputs are put into a folder of its own, where its outputs go too;
/// that folder is removed when the shell ends. Nothing of it reaches the store, and the task has no checkpoint.
///
/// Examples:
///   onsager shell pipelines/path-action.yaml 'fit[seed=1]'
///   onsager shell pipelines/path-action.yaml 'fit[seed=1]' -- sh -c '$ONSAGER_COMMAND'
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Shell {
    /// The YAML file of a pipeline or of an experiment
    pipeline: PathBuf,
    /// The task
    #[arg(value_name = "TASK")]
    task: String,
    /// Keep the folder when the shell ends
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    given: Given,
    /// Run this program there, not a shell
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

impl Shell {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let opened = Session::open(&self.pipeline, registry, self.given.settings(None)?)?;
        let (graph, store) = (opened.graph()?, opened.store());
        let tasks = graph.select(&self.task)?;
        let [number] = tasks[..] else {
            return Err(CliError::Request(format!(
                "`{}` is {} tasks: name one of them, like `{}`",
                self.task,
                tasks.len(),
                graph.tasks[tasks[0]].id
            )));
        };
        let task = &graph.tasks[number];
        let mut resolver = opened.resolver(&graph)?;
        let kind = resolver.kind(task)?;
        if !kind.fields().has(Field::Run) {
            return Err(CliError::Request(format!(
                "`{}` is of kind `{}`, which runs no command; `onsager run {} '{}' --force '{}'` executes it again",
                task.id,
                task.kind,
                self.pipeline.display(),
                task.id,
                task.id
            )));
        }
        let selected = session::select(&graph, std::slice::from_ref(&self.task))?;
        let view = store.view(&graph.name)?;
        let planned = plan(&mut resolver, store, &view, &selected, &HashSet::new())?;
        let outputs = |up: usize| planned[up].as_ref().and_then(|planned| planned.outputs.as_deref());
        let Some(key) = resolver.key(number, &outputs)? else {
            return Err(CliError::NoResult(format!(
                "`{}` cannot start yet: what it reads is not made; `onsager run {} '{}'` makes it",
                task.id,
                self.pipeline.display(),
                task.id
            )));
        };
        opened.make_store()?;
        let (folder, _lock) = store.start_work(&format!("shell-{}", files::random()))?;
        let place = Workplace {
            work: folder.join("task"),
            log: folder.join("log"),
            threads: task.resources.threads,
            travels: false,
        };
        let mut assignment = resolver.assignment(number, &key, &outputs, place)?;
        assignment.checkpoints = folder.join("checkpoints");
        let ended = rehearsal::rehearse(kind, store, &assignment)
            .map_err(|error| CliError::Request(format!("`{}` cannot start: {error}", task.id)))
            .and_then(|call| match call {
                Some(call) => self.open(&task.id, &call, &folder, &graph.root),
                None => {
                    Err(EngineError::UnknownKind { task: task.id.clone(), kind: task.kind.clone() }.into())
                }
            });
        if self.keep {
            common::print_error(&format!("kept {}", folder.display()));
        } else {
            files::remove(&folder)?;
        }
        ended
    }

    /// Tells what is where, and opens the shell; gives its exit code.
    fn open(&self, task: &str, call: &Call, folder: &Path, root: &Path) -> Result<u8, CliError> {
        let command = folder.join("command");
        let written = fs::write(&command, script(call, root))
            .and_then(|()| fs::set_permissions(&command, fs::Permissions::from_mode(0o755)));
        written.map_err(StoreError::io("write", &command))?;
        let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
        let program = if self.program.is_empty() { &[shell][..] } else { &self.program };
        if self.program.is_empty() {
            common::print_error(&format!(
                "{task}\n  folder: {}\n  repeat: $ONSAGER_COMMAND\nleave with `exit`",
                folder.join("task").display()
            ));
        }
        // Ctrl-C is for what runs in the shell.
        let ignored = std::sync::Arc::default();
        signal_hook::flag::register(signal_hook::consts::SIGINT, ignored).map_err(EngineError::Signals)?;
        let status = Command::new(&program[0])
            .args(&program[1..])
            .envs(call.env.iter().map(|(name, value)| (name, value)))
            .env("ONSAGER_COMMAND", &command)
            .env("ONSAGER_FOLDER", folder.join("task"))
            .current_dir(root)
            .status()
            .map_err(|error| {
                CliError::Request(format!("cannot start `{}`: {error}", program[0].to_string_lossy()))
            })?;
        Ok(match (status.code(), status.signal()) {
            (Some(code), _) => code as u8,
            (None, signal) => 128 + signal.unwrap_or_default() as u8,
        })
    }
}

/// A script that makes the call, from anywhere.
fn script(call: &Call, root: &Path) -> Vec<u8> {
    let mut script = b"#!/bin/sh\n# What a run would start.\ncd ".to_vec();
    quote(root.as_os_str().as_bytes(), &mut script);
    script.extend(b" || exit\n");
    for (name, value) in &call.env {
        script.extend(b"export ");
        script.extend(name.as_bytes());
        script.push(b'=');
        quote(value.as_bytes(), &mut script);
        script.push(b'\n');
    }
    script.extend(b"exec");
    let program = call.program.as_os_str().as_bytes();
    for word in [program].into_iter().chain(call.arguments.iter().skip(1).map(|word| word.as_bytes())) {
        script.push(b' ');
        quote(word, &mut script);
    }
    script.push(b'\n');
    script
}

/// Text as one word of the shell.
fn quote(text: &[u8], script: &mut Vec<u8>) {
    script.push(b'\'');
    for byte in text {
        match byte {
            b'\'' => script.extend(b"'\\''"),
            byte => script.push(*byte),
        }
    }
    script.push(b'\'');
}
