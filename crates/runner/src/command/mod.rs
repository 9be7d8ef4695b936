//! `command`: any program as a stage.

pub mod environment;
pub mod error;
pub mod find;
pub mod listing;
pub mod metrics;
pub mod packages;
pub mod processes;
pub mod sandbox;
pub mod shell;
pub mod spawn;
pub mod tools;
pub mod usage;

use crate::command::environment::{Call, Environment, LOCK, conda, container, uv};
use crate::command::error::CommandError;
use crate::command::sandbox::Sandbox;
use crate::command::shell::fill::{Found, fill};
use crate::command::shell::{Language, Shell};
use crate::command::spawn::Program;
use crate::command::usage::reap;
use crate::kind::context::{Context, GRACE};
use crate::kind::fields::{Field, Fields, Need};
use crate::kind::stage::{Checks, Inputs, Issue, Output, Stage, StageError};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, kill_process_group,
    test_kill_process_group, waitid, waitpgid,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// Runs a command in the project's root folder. Its words `${inputs.NAME}` and `${outputs.NAME}` stand for paths; what
/// it prints goes to the task's log; a status other than 0, or an output that was not written, is a failure.
pub struct CommandStage;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The command. Written as the stage's own field `run`.
    pub run: String,
    /// What the command is given to; `sh -e` where it is left out. Written as the stage's own field `shell`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Shell>,
    /// The outputs: a name for each, and the file (or folder, with a slash at the end) that the command writes. Written as the
    /// stage's own field `outputs`.
    pub outputs: BTreeMap<String, Declared>,
    /// Environment variables, besides those of the caller. Written as the stage's own field `env`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What the command runs in. Written as the stage's own field `environment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// What the command keeps between attempts while its key is unchanged: a file (or folder, with a slash at the end). Written as
    /// the stage's own field `checkpoint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// An output as the stage declares it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Declared {
    /// The file, or the folder with a slash at the end.
    File(String),
    /// The same, and whether the command may leave it unwritten.
    With(DeclaredWith),
}

/// An output with more to say of it than its file.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredWith {
    /// The file, or the folder with a slash at the end.
    pub file: String,
    /// Whether the command may leave it unwritten.
    #[serde(default)]
    pub optional: bool,
}

impl Declared {
    fn parts(&self) -> (&str, bool) {
        match self {
            Declared::File(file) => (file, false),
            Declared::With(DeclaredWith { file, optional }) => (file, *optional),
        }
    }
}

/// A longer script is put into a file: an argument of a program has at most 128 KiB on Linux.
const LONGEST: usize = 64 << 10;
/// The part of the checkpoint's folder that is the command's own.
const KEPT: &str = "kept";

impl Stage for CommandStage {
    type Params = Params;
    const KIND: &'static str = "command";
    const SUMMARY: &'static str = "Runs any program; `run`, `outputs` and `env` are fields of the stage.";
    const PARALLEL: bool = false;
    const FIELDS: Fields = Fields::of(&[
        (Field::Run, Need::Required),
        (Field::Shell, Need::Optional),
        (Field::Outputs, Need::Required),
        (Field::Env, Need::Optional),
        (Field::Environment, Need::Optional),
        (Field::Tools, Need::Optional),
        (Field::Checkpoint, Need::Optional),
        (Field::Sandbox, Need::Optional),
    ]);

    fn inputs() -> Inputs {
        Inputs::any()
    }

    fn outputs(params: &Params) -> Vec<Output> {
        let output = |(name, declared): (&String, &Declared)| {
            let (file, optional) = declared.parts();
            Output {
                name: name.clone(),
                file: file.trim_end_matches('/').to_owned(),
                folder: file.ends_with('/'),
                optional,
                about: "written by the command".to_owned(),
            }
        };
        params.outputs.iter().map(output).collect()
    }

    fn check(params: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        checks.ensure(!params.run.trim().is_empty(), "run", || "is empty: give the command to run".into());
        checks.0.extend(params.environment.as_ref().and_then(Environment::check));
        checks.0
    }

    fn run(params: &Params, ctx: &Context) -> Result<(), StageError> {
        let checkpoint = params.checkpoint.as_deref().map(|name| checkpoint(name, ctx)).transpose()?;
        let shell = params.shell.clone().unwrap_or_default();
        let script = fill_in(&params.run, &shell, ctx, checkpoint.as_deref())?;
        // conda hands on no argument with more than one line.
        let in_file = matches!(params.environment, Some(Environment::Conda(_)));
        let arguments = arguments(&shell, script, in_file, ctx)?;
        let set = params.env.iter().map(|(name, value)| (name.into(), value.into()));
        let mut env: Vec<(OsString, OsString)> = set.collect();
        env.push(("ONSAGER_THREADS".into(), ctx.threads().to_string().into()));
        env.extend(checkpoint.as_ref().map(|path| ("ONSAGER_CHECKPOINT".into(), path.into())));
        env.push((metrics::VARIABLE.into(), metrics::file(ctx).into()));
        env.extend(listing::variables(ctx)?);
        let call = Call { arguments, env, reads: Vec::new(), cleanup: None };
        let call = enter(params.environment.as_ref(), call, ctx)?;
        let path = find::program(&call.arguments[0], &call.env, ctx.root())?;
        let output = File::options().append(true).open(ctx.log())?;
        let folder = ctx.root().to_owned();
        let command = Program { path, arguments: call.arguments, env: call.env, folder, output };
        if ctx.rehearses(&command.path, &command.arguments, &command.env) {
            return Ok(());
        }
        // A container confines by itself.
        let contained = matches!(params.environment, Some(Environment::Container(_)));
        let status = metrics::taken(ctx, || match ctx.sandbox() {
            Some(work) if !contained => confined(command, work, checkpoint.as_deref(), &call.reads, ctx),
            _ => Ok(wait(command.spawn()?, ctx)?),
        })?;
        if let Some(words) = call.cleanup.filter(|_| !status.success()) {
            clean_up(words, ctx);
        }
        if ctx.cancelled() { Err(StageError::Cancelled) } else { exit_result(status, ctx) }
    }
}

/// The same call inside its environment.
fn enter(environment: Option<&Environment>, mut call: Call, ctx: &Context) -> Result<Call, StageError> {
    let run = |program: Program, ctx: &Context| Ok(wait(program.spawn()?, ctx)?.success());
    match environment {
        None => Ok(call),
        Some(Environment::Uv(_)) => {
            let files = ctx.items("environment.uv").iter().map(|item| &item.path);
            let lock = files
                .into_iter()
                .find(|path| path.ends_with(LOCK))
                .ok_or_else(|| CommandError::Lost.advised())?;
            uv::enter(lock, call, ctx, &run)
        }
        Some(Environment::Conda(_)) => conda::enter(&ctx.input("environment.conda")?.path, call, ctx, &run),
        Some(Environment::Container(image)) => {
            let kept = ctx.checkpoint_folder().join(KEPT);
            let kept = kept.exists().then_some(kept.as_path());
            call.env.push(("TMPDIR".into(), "/tmp".into()));
            container::enter(image, kept, call, ctx)
        }
    }
}

/// Runs what a call that has not ended well leaves to be done; it is tried, no more.
fn clean_up(words: Vec<OsString>, ctx: &Context) {
    let Ok(output) = File::options().append(true).open(ctx.log()) else { return };
    let program = Program {
        path: words[0].clone().into(),
        arguments: words,
        env: Vec::new(),
        folder: ctx.root().to_owned(),
        output,
    };
    if let Err(error) = program.spawn().and_then(|group| wait(group, ctx)) {
        tracing::warn!("the container may still be there: {error}");
    }
}

/// The place of the command's checkpoint, ready to be written to.
fn checkpoint(name: &str, ctx: &Context) -> Result<PathBuf, StageError> {
    let path = ctx.checkpoint_folder().join(KEPT).join(name.trim_end_matches('/'));
    let folder = if name.ends_with('/') { Some(path.as_path()) } else { path.parent() };
    let there = if name.ends_with('/') {
        std::fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some())
    } else {
        path.exists()
    };
    if there {
        tracing::info!("an earlier attempt left its checkpoint");
    }
    folder.map_or(Ok(()), std::fs::create_dir_all)?;
    Ok(path)
}

/// Runs the command so that it sees nothing but what is declared. The rules hold for a thread and all that it starts, and the
/// command dies with the thread that started it: so one thread does both, and stays until the command has ended.
fn confined(
    mut command: Program,
    work: &Path,
    checkpoint: Option<&Path>,
    reads: &[PathBuf],
    ctx: &Context,
) -> Result<ExitStatus, StageError> {
    let temporary = work.join("tmp");
    std::fs::create_dir_all(&temporary)?;
    command.env.push(("TMPDIR".into(), temporary.into()));
    let mut sandbox = Sandbox::default();
    sandbox.write(work);
    if checkpoint.is_some() {
        sandbox.write(ctx.checkpoint_folder().join(KEPT));
    }
    reads.iter().for_each(|place| sandbox.read(place));
    for item in ctx.inputs().values().flatten() {
        sandbox.read(std::fs::canonicalize(&item.path)?);
    }
    sandbox::programs(&[ctx.root(), work]).into_iter().for_each(|place| sandbox.read(place));
    if ctx.log().with_extension("sh").exists() {
        sandbox.read(ctx.log().with_extension("sh"));
    }
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            sandbox.enter().map_err(CommandError::advised)?;
            Ok(wait(command.spawn()?, ctx)?)
        });
        run.join().unwrap_or_else(|_| Err(CommandError::Lost.advised()))
    })
}

/// Waits for the command, and ends what it leaves behind: that could still change the outputs.
pub(crate) fn wait(group: Pid, ctx: &Context) -> io::Result<ExitStatus> {
    ctx.program_started(group.as_raw_nonzero().get());
    // It is not reaped yet, so that its number cannot stand for another process when the group is killed.
    let ended = rustix::io::retry_on_intr(|| {
        waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
    });
    ctx.program_ended();
    if ended.is_err() || !ctx.cancelled() {
        // It fails only when the group is gone.
        let _ = kill_process_group(group, Signal::KILL);
        let status = reap(group);
        end_strays();
        return status;
    }
    // The group was asked to stop: what the shell had started gets the rest of the time to do so.
    let status = reap(group)?;
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline && test_kill_process_group(group).is_ok() {
        // What has ended and is not waited for still counts as a member of the group.
        if !matches!(waitpgid(group, WaitOptions::NOHANG), Ok(Some(_))) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let _ = kill_process_group(group, Signal::KILL);
    end_strays();
    Ok(status)
}

/// Ends what left the command's group: without a parent it became a child of this worker, which has no others.
fn end_strays() {
    let deadline = Instant::now() + GRACE;
    loop {
        match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) if Instant::now() < deadline => {
                let worker = std::process::id() as i32;
                let strays = processes::all().into_iter().filter(|process| process.parent == worker);
                for stray in strays.filter_map(|process| Pid::from_raw(process.id)) {
                    // It fails only when the process is gone.
                    let _ = kill_process(stray, Signal::KILL);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            // There are none, which is what is wanted; or one cannot be killed, as happens on a file server that is gone.
            _ => return,
        }
    }
}

fn exit_result(status: ExitStatus, ctx: &Context) -> Result<(), StageError> {
    if status.success() {
        return Ok(());
    }
    Err(CommandError::Failed { status, sandboxed: ctx.sandbox().is_some() }.advised())
}

/// The script with the paths of inputs and outputs, quoted as their places ask for.
fn fill_in(
    run: &str,
    shell: &Shell,
    ctx: &Context,
    checkpoint: Option<&Path>,
) -> Result<Vec<u8>, StageError> {
    let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
    let mut missing = None;
    let filled = fill(run, &shell.language(), false, |name| {
        let paths = if let Some(input) = name.strip_prefix("inputs.") {
            ctx.items(input).iter().map(|item| bytes(&item.path)).collect()
        } else if let Some(output) = name.strip_prefix("outputs.") {
            match ctx.output(output) {
                Ok(path) => vec![bytes(path)],
                Err(error) => {
                    missing = Some(error);
                    return None;
                }
            }
        } else if let ("checkpoint", Some(checkpoint)) = (name, checkpoint) {
            vec![bytes(checkpoint)]
        } else {
            missing = Some(CommandError::Unknown { name: name.to_owned() }.advised());
            return None;
        };
        Some(Found::Paths(paths))
    });
    match (filled, missing) {
        (Some(Ok(script)), None) => Ok(script),
        (Some(Err(error)), _) => Err(CommandError::Fill(error).advised()),
        (_, Some(error)) => Err(error),
        (None, None) => Err(CommandError::Lost.advised()),
    }
}

/// The words of the program's call, the script among them; a long one in a file.
fn arguments(
    shell: &Shell,
    script: Vec<u8>,
    in_file: bool,
    ctx: &Context,
) -> Result<Vec<OsString>, StageError> {
    let words = if script.len() > LONGEST || in_file { shell.words_for_file() } else { None };
    if in_file && words.is_none() {
        return Err(CommandError::NoFile { program: shell.words().join(" ") }.advised());
    }
    if let Some(words) = words {
        let file = ctx.log().with_extension("sh");
        std::fs::write(&file, &script)?;
        tracing::info!(script = %file.display(), "running");
        return Ok(words.into_iter().map(OsString::from).chain([file.into()]).collect());
    }
    tracing::info!("running: {}", String::from_utf8_lossy(&script).trim_end());
    let mut arguments: Vec<OsString> = shell.words().into_iter().map(OsString::from).collect();
    // A script that begins with a dash is no option.
    if shell.language() == Language::Shell && arguments.last().is_some_and(|word| word == "-c") {
        arguments.push("--".into());
    }
    arguments.push(OsString::from_vec(script));
    Ok(arguments)
}
