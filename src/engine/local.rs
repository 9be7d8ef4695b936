//! The local executor: a pool of worker processes on this machine, reused between tasks.

use super::protocol::{Assignment, FromWorker, Outcome, Report, ToWorker};
use super::resolve::EngineError;
use rustix::process::{Pid, Signal};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

/// Runs tasks somewhere and tells how they go.
pub trait Executor {
    /// Starts a task; its end comes as a report.
    fn start(&mut self, assignment: Assignment) -> Result<(), EngineError>;
    /// The next report, waiting at most this long.
    fn next(&mut self, wait: Duration) -> Option<Report>;
    /// Asks every running task to save a checkpoint and stop.
    fn cancel(&mut self);
    /// Ends a running task by force.
    fn kill(&mut self, number: usize);
}

/// How workers are started: the program, its arguments, and where its standard error goes.
#[derive(Debug, Clone)]
pub struct WorkerCommand {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub stderr: PathBuf,
}

/// Worker processes on this machine.
pub struct LocalExecutor {
    command: WorkerCommand,
    workers: Vec<Worker>,
    sender: Sender<(u64, Option<FromWorker>)>,
    receiver: Receiver<(u64, Option<FromWorker>)>,
    started: u64,
}

struct Worker {
    id: u64,
    child: Child,
    stdin: ChildStdin,
    /// The number of the task at hand.
    busy: Option<usize>,
    /// The process group of the command that its task runs; 0 while there is none.
    group: Arc<AtomicI32>,
    /// It is being killed, and gets no other task.
    doomed: bool,
}

impl LocalExecutor {
    pub fn new(command: WorkerCommand) -> LocalExecutor {
        let (sender, receiver) = mpsc::channel();
        LocalExecutor { command, workers: Vec::new(), sender, receiver, started: 0 }
    }

    fn spawn(&mut self) -> io::Result<usize> {
        let stderr = File::options().create(true).append(true).open(&self.command.stderr)?;
        let mut child = Command::new(&self.command.program)
            .arg0("onsager")
            .args(&self.command.arguments)
            // candle's own pool would compete with the threads granted to the task.
            .env("CANDLE_NUM_THREADS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("a worker has no pipes"));
        };
        self.started += 1;
        let id = self.started;
        let sender = self.sender.clone();
        let group = Arc::new(AtomicI32::new(0));
        let told = group.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n') {
                // A worker that cannot be understood is given up.
                let Some(message) = line.ok().and_then(|line| serde_json::from_slice(&line).ok()) else {
                    break;
                };
                // Nobody waits for it: so it wakes nobody.
                if let FromWorker::Group { id } = message {
                    told.store(id, Ordering::Relaxed);
                    continue;
                }
                if sender.send((id, Some(message))).is_err() {
                    return;
                }
            }
            // The receiver is gone only when the run is over.
            let _ = sender.send((id, None));
        });
        self.workers.push(Worker { id, child, stdin, busy: None, group, doomed: false });
        Ok(self.workers.len() - 1)
    }

    /// What a worker's death means for the task that it had.
    fn buried(&mut self, index: usize) -> Option<Report> {
        let mut worker = self.workers.remove(index);
        // It may live on with a closed pipe.
        worker.end();
        let status = worker.child.wait();
        let number = worker.busy?;
        let (message, help) = match status.as_ref().map(|status| (status.signal(), status.code())) {
            Ok((Some(9), _)) => (
                "the worker was killed (signal 9)".to_owned(),
                Some("was the machine out of memory? give the stage `resources: {memory: …}`".to_owned()),
            ),
            Ok((Some(signal), _)) => (format!("the worker crashed (signal {signal})"), None),
            Ok((None, code)) => (format!("the worker ended with status {}", code.unwrap_or(-1)), None),
            Err(error) => (format!("the worker is lost: {error}"), None),
        };
        Some(Report { number, message: FromWorker::Ended(Outcome::Failed { message, help }) })
    }
}

impl Executor for LocalExecutor {
    fn start(&mut self, assignment: Assignment) -> Result<(), EngineError> {
        let number = assignment.number;
        let mut line = serde_json::to_vec(&ToWorker::Run(Box::new(assignment)))
            .map_err(|error| EngineError::Worker(error.into()))?;
        line.push(b'\n');
        loop {
            let idle = self.workers.iter().position(|worker| worker.busy.is_none() && !worker.doomed);
            let fresh = idle.is_none();
            let index = match idle {
                Some(index) => index,
                None => self.spawn().map_err(EngineError::Worker)?,
            };
            let worker = &mut self.workers[index];
            match worker.stdin.write_all(&line) {
                Ok(()) => {
                    worker.busy = Some(number);
                    return Ok(());
                }
                Err(error) if fresh => return Err(EngineError::Worker(error)),
                // It died while idle: no loss; take another.
                Err(_) => drop(self.buried(index)),
            }
        }
    }

    fn next(&mut self, wait: Duration) -> Option<Report> {
        let (id, message) = self.receiver.recv_timeout(wait).ok()?;
        let index = self.workers.iter().position(|worker| worker.id == id)?;
        let Some(message) = message else { return self.buried(index) };
        let worker = &mut self.workers[index];
        let number = worker.busy?;
        if let FromWorker::Ended(_) = message {
            worker.busy = None;
            worker.group.store(0, Ordering::Relaxed);
        }
        Some(Report { number, message })
    }

    fn cancel(&mut self) {
        if let Ok(mut line) = serde_json::to_vec(&ToWorker::Cancel) {
            line.push(b'\n');
            for worker in self.workers.iter_mut().filter(|worker| worker.busy.is_some()) {
                // A worker that cannot be told is dead, and says so by its closed pipe.
                let _ = worker.stdin.write_all(&line);
            }
        }
    }

    fn kill(&mut self, number: usize) {
        for worker in self.workers.iter_mut().filter(|worker| worker.busy == Some(number)) {
            worker.end();
        }
    }
}

impl Worker {
    /// Kills the worker and the command that it runs.
    fn end(&mut self) {
        self.doomed = true;
        // Each fails only when there is nothing left to kill.
        let _ = self.child.kill();
        if let Some(group) = Pid::from_raw(self.group.swap(0, Ordering::Relaxed)) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for LocalExecutor {
    fn drop(&mut self) {
        for mut worker in self.workers.drain(..) {
            if worker.busy.is_some() {
                worker.end();
            }
            // An idle worker ends when its pipe is closed.
            drop(worker.stdin);
            let _ = worker.child.wait();
        }
    }
}

/// The memory of this machine in bytes; without limit where it cannot be told.
pub fn machine_memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map_or(u64::MAX, |kib| kib * 1024)
}
