//! The local executor: a pool of worker processes on this machine, reused between tasks.

use crate::command::processes;
use crate::worker::error::WorkerDeath;
use crate::worker::executor::Executor;
use crate::worker::memory;
use crate::worker::protocol::{Assignment, FromWorker, Report, ToWorker};
use rustix::process::{Pid, Signal};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

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
    /// When the memory of tasks with a limit was last looked at.
    checked_memory: Instant,
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
    being_killed: bool,
    /// It has had a task.
    used: bool,
    /// The most memory that its task may take.
    limit: Option<u64>,
    /// The memory that it had when it was killed for having more than the limit.
    beyond: Option<u64>,
}

impl LocalExecutor {
    pub fn new(command: WorkerCommand) -> LocalExecutor {
        let (sender, receiver) = mpsc::channel();
        LocalExecutor {
            command,
            workers: Vec::new(),
            sender,
            receiver,
            started: 0,
            checked_memory: Instant::now(),
        }
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
        let group_to_tell = group.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n') {
                // A worker that cannot be understood is given up.
                let Some(message) = line.ok().and_then(|line| serde_json::from_slice(&line).ok()) else {
                    break;
                };
                // Nobody waits for it: so it wakes nobody.
                if let FromWorker::Group { id } = message {
                    group_to_tell.store(id, Ordering::Relaxed);
                    continue;
                }
                if sender.send((id, Some(message))).is_err() {
                    return;
                }
            }
            // The receiver is gone only when the run is over.
            let _ = sender.send((id, None));
        });
        self.workers.push(Worker {
            id,
            child,
            stdin,
            busy: None,
            group,
            being_killed: false,
            used: false,
            limit: None,
            beyond: None,
        });
        Ok(self.workers.len() - 1)
    }

    /// What a worker's death means for the task that it had.
    fn report_death(&mut self, index: usize) -> Option<Report> {
        let mut worker = self.workers.remove(index);
        // It may live on with a closed pipe.
        worker.end();
        let status = worker.child.wait();
        let number = worker.busy?;
        let death = match (worker.limit, worker.beyond, status) {
            (Some(limit), Some(used), _) => WorkerDeath::MemoryLimit { limit, used },
            (_, _, Err(error)) => WorkerDeath::Lost(error),
            (_, _, Ok(status)) => match (status.signal(), status.code()) {
                (Some(9), _) => WorkerDeath::Killed,
                (Some(signal), _) => WorkerDeath::Crashed { signal },
                (None, code) => WorkerDeath::Ended { status: code.unwrap_or(-1) },
            },
        };
        Some(Report { number, message: FromWorker::Ended(death.outcome()) })
    }

    /// A worker for the next task, and whether it was started for it. What earlier tasks left in a worker's memory must not count
    /// against a limit, so such a task gets a new one in the place of an idle one.
    fn idle(&mut self, limited: bool) -> io::Result<(usize, bool)> {
        let idle = self
            .workers
            .iter()
            .position(|worker| worker.busy.is_none() && !worker.being_killed && !(limited && worker.used));
        if let Some(index) = idle {
            return Ok((index, false));
        }
        if let Some(index) =
            self.workers.iter().position(|worker| worker.busy.is_none() && !worker.being_killed)
        {
            self.workers.remove(index).dismiss();
        }
        Ok((self.spawn()?, true))
    }

    /// Kills the workers whose tasks take more memory than they may.
    fn enforce_memory_limits(&mut self) {
        if self.checked_memory.elapsed() < memory::INTERVAL {
            return;
        }
        let all = processes::all();
        for worker in self.workers.iter_mut().filter(|worker| worker.busy.is_some() && !worker.being_killed) {
            let Some(limit) = worker.limit else { continue };
            let (id, group) = (worker.child.id() as i32, worker.group.load(Ordering::Relaxed));
            worker.beyond = memory::beyond(limit, &all, id, Some(group).filter(|group| *group != 0));
            if worker.beyond.is_some() {
                worker.end();
            }
        }
        self.checked_memory = Instant::now();
    }
}

impl Executor for LocalExecutor {
    fn start(&mut self, assignment: Assignment) -> io::Result<Option<u32>> {
        let (number, limit) = (assignment.number, assignment.memory);
        let mut line = serde_json::to_vec(&ToWorker::Run(Box::new(assignment)))?;
        line.push(b'\n');
        loop {
            let (index, fresh) = self.idle(limit.is_some())?;
            let worker = &mut self.workers[index];
            match worker.stdin.write_all(&line) {
                Ok(()) => {
                    (worker.busy, worker.used) = (Some(number), true);
                    (worker.limit, worker.beyond) = (limit, None);
                    return Ok(Some(worker.child.id()));
                }
                Err(error) if fresh => return Err(error),
                // It died while idle: no loss; take another.
                Err(_) => drop(self.report_death(index)),
            }
        }
    }

    fn next(&mut self, wait: Duration) -> Option<Report> {
        let limited = self.workers.iter().any(|worker| worker.busy.is_some() && worker.limit.is_some());
        let wait = if limited { wait.min(memory::INTERVAL / 2) } else { wait };
        let received = self.receiver.recv_timeout(wait);
        if limited {
            self.enforce_memory_limits();
        }
        let (id, message) = received.ok()?;
        let index = self.workers.iter().position(|worker| worker.id == id)?;
        let Some(message) = message else { return self.report_death(index) };
        let worker = &mut self.workers[index];
        let number = worker.busy?;
        if let FromWorker::Ended(_) = message {
            worker.busy = None;
            worker.group.store(0, Ordering::Relaxed);
        }
        Some(Report { number, message })
    }

    fn cancel(&mut self) {
        self.workers.iter_mut().filter(|worker| worker.busy.is_some()).for_each(Worker::cancel);
    }

    fn stop(&mut self, number: usize) {
        self.workers.iter_mut().filter(|worker| worker.busy == Some(number)).for_each(Worker::cancel);
    }

    fn kill(&mut self, number: usize) {
        for worker in self.workers.iter_mut().filter(|worker| worker.busy == Some(number)) {
            worker.end();
        }
    }
}

impl Worker {
    /// Asks its task to save a checkpoint and stop.
    fn cancel(&mut self) {
        if let Ok(mut line) = serde_json::to_vec(&ToWorker::Cancel) {
            line.push(b'\n');
            // A worker that cannot be told is dead, and says so by its closed pipe.
            let _ = self.stdin.write_all(&line);
        }
    }

    /// Lets an idle worker go: it ends when its pipe is closed.
    fn dismiss(mut self) {
        drop(self.stdin);
        // It fails only where the worker is gone already.
        let _ = self.child.wait();
    }

    /// Kills the worker and all that its task has started.
    fn end(&mut self) {
        self.being_killed = true;
        let family = processes::family(&processes::all(), self.child.id() as i32, None);
        // Each fails only when there is nothing left to kill.
        let _ = self.child.kill();
        for id in family.into_iter().skip(1).filter_map(Pid::from_raw) {
            let _ = rustix::process::kill_process(id, Signal::KILL);
        }
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
            worker.dismiss();
        }
    }
}
