//! The worker process: reads assignments, computes them one after the other, and reports how it goes.

use crate::command::processes;
use crate::command::usage::Meter;
use crate::kind::context::{Context, GRACE, Reporter};
use crate::kind::registry::Registry;
use crate::kind::stage::StageError;
use crate::store::Store;
use crate::store::curves;
use crate::store::files::{self, StoreError};
use crate::store::objects::{Content, Held, Outputs, Shape};
use crate::worker::error::AttemptError;
use crate::worker::fetch::fetch;
use crate::worker::protocol::{Assignment, FromWorker, Outcome, ToWorker};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::any::Any;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The log of the task at hand, as a destination of `tracing`.
#[derive(Clone, Default)]
pub struct TaskLog(Arc<Mutex<Option<File>>>);

impl TaskLog {
    fn set(&self, file: Option<File>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = file;
    }
}

impl Write for TaskLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(file) => file.write(bytes),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Serves assignments until the coordinator closes the pipe; then ends at once, whatever is running: a worker never
/// outlives its coordinator.
pub fn serve(registry: &Registry, store: &Store, log: &TaskLog) -> io::Result<()> {
    // Ctrl-C, a kill of the group and the loss of the terminal reach every process of a run; only the coordinator decides what
    // they mean. It is not enough to ignore them: a command would inherit that.
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if signal != SIGHUP || !processes::ignores_hangup() {
            signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
        }
    }
    // Whatever leaves the group of a command stays below its worker, so that it is found.
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;

    let cancelled = Arc::new(AtomicBool::new(false));
    let (sender, assignments) = mpsc::channel();
    let channel = Arc::new(Channel::default());
    let (cancel, watched) = (cancelled.clone(), channel.clone());
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            match line.map(|line| serde_json::from_str(&line)) {
                Ok(Ok(ToWorker::Run(assignment))) => {
                    cancel.store(false, Ordering::Relaxed);
                    watched.reset();
                    if sender.send(assignment).is_err() {
                        break;
                    }
                }
                Ok(Ok(ToWorker::Cancel)) => {
                    cancel.store(true, Ordering::Relaxed);
                    Channel::stop_program(&watched);
                }
                Ok(Err(_)) | Err(_) => break,
            }
        }
        watched.end_program();
        std::process::exit(0);
    });
    panic::set_hook(Box::new(|info| tracing::error!("{info}")));
    let mut pool = Pool::default();
    for assignment in assignments {
        let task_log = File::options().create(true).append(true).open(&assignment.log);
        let outcome = match task_log {
            Err(error) => failure(StoreError::io("write the log", &assignment.log)(error).into()),
            Ok(file) => {
                log.set(Some(file));
                let outcome = attempt(registry, store, &assignment, &cancelled, &channel, &mut pool);
                log.set(None);
                outcome
            }
        };
        channel.send(&FromWorker::Ended(outcome));
    }
    Ok(())
}

/// Computes one task.
fn attempt(
    registry: &Registry,
    store: &Store,
    assignment: &Assignment,
    cancelled: &Arc<AtomicBool>,
    channel: &Arc<Channel>,
    pool: &mut Pool,
) -> Outcome {
    let (started, meter) = (Instant::now(), Meter::start());
    channel.forget_metrics();
    tracing::info!(task = assignment.task, kind = assignment.kind, threads = assignment.threads, "started");
    let computed = match place_inputs(store, assignment) {
        Ok(()) => compute(registry, store, assignment, cancelled, channel, pool),
        Err(StoreError::DamagedObject { digest } | StoreError::MissingObject { digest }) => {
            tracing::warn!(object = digest, "an input is damaged or has gone");
            match digest.parse() {
                Ok(object) => return Outcome::InputLost { object },
                Err(_) => Err(StoreError::MissingObject { digest }.into()),
            }
        }
        Err(error) => Err(error.into()),
    };
    let usage = meter.read();
    if let (Err(_), Some(usage)) = (&computed, usage) {
        channel.send(&FromWorker::Took(usage));
    }
    match computed {
        Ok(outputs) => {
            let seconds = started.elapsed().as_secs_f64();
            tracing::info!(seconds, "finished");
            Outcome::Done { outputs, seconds, usage }
        }
        Err(StageError::Cancelled) => {
            tracing::info!("interrupted");
            Outcome::Interrupted
        }
        Err(error) => {
            tracing::error!("{error}");
            failure(error)
        }
    }
}

fn failure(error: StageError) -> Outcome {
    let message = error.to_string();
    match error {
        StageError::Cancelled => Outcome::Interrupted,
        StageError::Failed { help, .. } => Outcome::Failed { message, help },
    }
}

fn compute(
    registry: &Registry,
    store: &Store,
    assignment: &Assignment,
    cancelled: &Arc<AtomicBool>,
    channel: &Arc<Channel>,
    pool: &mut Pool,
) -> Result<Outputs, StageError> {
    let kind = registry
        .get(&assignment.kind)
        .ok_or_else(|| AttemptError::NoKind { kind: assignment.kind.clone() })?;
    if kind.fingerprint() != assignment.fingerprint {
        return Err(AttemptError::OtherCode.advised());
    }
    for given in assignment.inputs.iter().flat_map(|(_, given)| given) {
        if let Some(remote) = &given.remote {
            fetch(store, remote, &given.item.path, cancelled, channel.as_ref())?;
        }
    }
    let out = assignment.work.join("out");
    let context = context(store, assignment, cancelled.clone(), channel.clone())?;
    let given = assignment.inputs.iter().flat_map(|(_, given)| given).filter_map(|given| given.content);
    let objects: Vec<Content> = given.filter(|content| content.shape == Shape::File).collect();
    let run = || kind.run(&assignment.params, &context);
    let pool = if kind.parallel() { Some(pool.of(assignment.threads)?) } else { None };
    let run = AssertUnwindSafe(|| pool.map_or_else(run, |pool| pool.install(run)));
    panic::catch_unwind(run).unwrap_or_else(|payload| {
        Err(AttemptError::Panicked { message: panic_message(payload.as_ref()) }.advised())
    })?;
    context.sync_metrics()?;
    intact(store, &objects)?;
    for output in &assignment.outputs {
        let (name, file) = (output.name.clone(), output.file.clone());
        match std::fs::metadata(out.join(&output.file)) {
            Err(_) if output.optional && std::fs::symlink_metadata(out.join(&output.file)).is_err() => {}
            Err(_) => return Err(AttemptError::NotWritten { name, file }.advised()),
            Ok(data) if data.is_dir() && !output.folder => {
                return Err(AttemptError::NoFile { name, file }.advised());
            }
            Ok(data) if !data.is_dir() && output.folder => {
                return Err(AttemptError::NoFolder { name, file }.advised());
            }
            Ok(_) => {}
        }
    }
    files::open_up(&out)?;
    let _gate = store.enter_gate()?;
    let mut outputs = Vec::new();
    for output in &assignment.outputs {
        let path = out.join(&output.file);
        if output.optional && std::fs::symlink_metadata(&path).is_err() {
            tracing::info!(output = output.name, "not written");
            outputs.push((output.name.clone(), Content::ABSENT));
            continue;
        }
        outputs.push((output.name.clone(), store.objects().take(&path, &out)?));
    }
    Ok(outputs)
}

/// What a stage sees of the world, with folders for its outputs.
pub fn context(
    store: &Store,
    assignment: &Assignment,
    cancelled: Arc<AtomicBool>,
    reporter: Arc<dyn Reporter>,
) -> Result<Context, StoreError> {
    let out = assignment.work.join("out");
    files::create_folder(&out)?;
    let mut context = Context {
        inputs: Default::default(),
        outputs: Default::default(),
        checkpoints: assignment.checkpoints.clone(),
        work: assignment.work.clone(),
        environments: store.environments(),
        locks: store.locks().clone(),
        root: assignment.root.clone(),
        log: assignment.log.clone(),
        threads: assignment.threads,
        sandbox: assignment.sandbox.then(|| assignment.work.clone()),
        cancelled,
        reporter,
        curves: Mutex::new(curves::Writer::new(&assignment.checkpoints)),
    };
    for (name, given) in &assignment.inputs {
        context.inputs.insert(name.clone(), given.iter().map(|given| given.item.clone()).collect());
    }
    for output in &assignment.outputs {
        let path = out.join(&output.file);
        if let Some(parent) = path.parent().filter(|parent| *parent != out) {
            files::create_folder(parent)?;
        }
        context.outputs.insert(output.name.clone(), path);
    }
    Ok(context)
}

/// The thread pool of the latest task that needed one, kept for the next that is granted as many threads.
#[derive(Default)]
struct Pool(Option<rayon::ThreadPool>);

impl Pool {
    fn of(&mut self, threads: usize) -> Result<&rayon::ThreadPool, rayon::ThreadPoolBuildError> {
        let pool = match self.0.take() {
            Some(pool) if pool.current_num_threads() == threads => pool,
            _ => rayon::ThreadPoolBuilder::new().num_threads(threads).build()?,
        };
        Ok(self.0.insert(pool))
    }
}

/// Refuses a stage that wrote into its inputs: they are objects, which others read too.
fn intact(store: &Store, inputs: &[Content]) -> Result<(), StageError> {
    for content in inputs {
        if store.objects().repair(content)? == Held::Damaged {
            return Err(AttemptError::InputChanged.advised());
        }
    }
    Ok(())
}

/// Puts every input that is not an external file where the stage will read it.
pub fn place_inputs(store: &Store, assignment: &Assignment) -> Result<(), StoreError> {
    files::create_folder(&assignment.work)?;
    for given in assignment.inputs.iter().flat_map(|(_, given)| given) {
        if let Some(content) = &given.content {
            place_input(store, content, &assignment.work, &given.item.path, assignment.sandbox)?;
        }
    }
    Ok(())
}

/// Puts an input where the stage will read it: a file as another name of its object, a folder and a program as a copy.
fn place_input(
    store: &Store,
    content: &Content,
    work: &Path,
    path: &Path,
    sandbox: bool,
) -> Result<(), StoreError> {
    if content.shape != Shape::File {
        return store.objects().place(content, work, path.strip_prefix(work).unwrap_or(path));
    }
    if let Some(parent) = path.parent() {
        files::create_folder(parent)?;
    }
    let object = store.objects().checked_file(&content.digest)?;
    // A symbolic link where a file cannot have two names: between owners, on some file systems; and in a sandbox, which may write
    // to all that has a name in its folder.
    let name =
        if sandbox { Err(io::ErrorKind::Unsupported.into()) } else { std::fs::hard_link(&object, path) };
    name.or_else(|_| std::os::unix::fs::symlink(&object, path))
        .map_err(StoreError::io("link the input", path))
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".into())
}

/// The pipe to the coordinator.
#[derive(Default)]
struct Channel {
    last_progress: Mutex<Option<Instant>>,
    /// When a number of each name was told last.
    last_metric: Mutex<HashMap<String, Instant>>,
    program: Mutex<Program>,
}

/// The program that the task at hand runs.
#[derive(Default)]
struct Program {
    /// Its process group.
    group: Option<Pid>,
    /// How many there were: a late kill must not meet the next one.
    number: u64,
    /// It is to stop as soon as it is known.
    stop: bool,
}

impl Channel {
    /// The next task starts with a clean slate.
    fn reset(&self) {
        self.program().stop = false;
    }

    /// The next attempt tells all its metrics.
    fn forget_metrics(&self) {
        self.last_metric.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn program(&self) -> MutexGuard<'_, Program> {
        self.program.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the program to stop, and kills it when it does not.
    fn stop_program(channel: &Arc<Channel>) {
        let mut program = channel.program();
        program.stop = true;
        let (Some(group), number) = (program.group, program.number) else { return };
        // Each call fails only when the group is gone, which is what is wanted.
        let _ = kill_process_group(group, Signal::TERM);
        drop(program);
        let channel = channel.clone();
        std::thread::spawn(move || {
            std::thread::sleep(GRACE);
            let program = channel.program();
            if program.group.is_some() && program.number == number {
                let _ = kill_process_group(group, Signal::KILL);
            }
        });
    }

    /// Ends the program with all that it has started: nobody is left who could use what it makes.
    fn end_program(&self) {
        let Some(group) = self.program().group else { return };
        let group = group.as_raw_nonzero().get();
        let family = processes::family(&processes::all(), std::process::id() as i32, Some(group));
        for id in family.into_iter().skip(1).filter_map(Pid::from_raw) {
            // It fails only when the process is gone.
            let _ = kill_process(id, Signal::KILL);
        }
    }

    fn send(&self, message: &FromWorker) {
        let Ok(mut line) = serde_json::to_vec(message) else { return };
        line.push(b'\n');
        let mut out = io::stdout().lock();
        if out.write_all(&line).and_then(|()| out.flush()).is_err() {
            // The coordinator is gone: nothing that this process could still do is of use.
            std::process::exit(0);
        }
    }
}

/// How often the coordinator is told how far a task is, and each of its metrics.
const INTERVAL: Duration = Duration::from_millis(100);

impl Reporter for Channel {
    fn progress(&self, done: u64, total: u64, unit: &str) {
        let mut last = self.last_progress.lock().unwrap_or_else(PoisonError::into_inner);
        if done < total && last.is_some_and(|at| at.elapsed() < INTERVAL) {
            return;
        }
        *last = Some(Instant::now());
        drop(last);
        self.send(&FromWorker::Progress { done, total, unit: unit.to_owned() });
    }

    fn checkpoint(&self, step: u64) {
        tracing::info!(step, "checkpoint");
        self.send(&FromWorker::Checkpoint { step });
    }

    fn metric(&self, step: u64, name: &str, value: f64) {
        let mut last = self.last_metric.lock().unwrap_or_else(PoisonError::into_inner);
        match last.get_mut(name) {
            Some(at) if at.elapsed() < INTERVAL => return,
            Some(at) => *at = Instant::now(),
            None => _ = last.insert(name.to_owned(), Instant::now()),
        }
        drop(last);
        self.send(&FromWorker::Metric { step, name: name.to_owned(), value });
    }

    fn program_started(&self, group: i32) {
        let mut program = self.program();
        program.group = Pid::from_raw(group);
        program.number += 1;
        // Ctrl-C was quicker than the start: there is nothing to save yet.
        if let (true, Some(group)) = (program.stop, program.group) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        drop(program);
        self.send(&FromWorker::Group { id: group });
    }

    fn program_ended(&self) {
        self.program().group = None;
    }

    fn resumed(&self, step: u64) {
        tracing::info!(step, "resumed from a checkpoint");
        self.send(&FromWorker::Resumed { step });
    }
}
