//! `onsager log`.

use crate::cli::common::{self, CliError, Common};
use crate::cli::documents::{LogTask, LogText};
use crate::cli::exit;
use crate::cli::facts::AttemptFacts;
use crate::kind::registry::Registry;
use crate::run::account::Account;
use crate::run::events::{self, Event};
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::tail;
use clap::Args;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

/// How often a log that is followed is looked at.
const PERIOD: Duration = Duration::from_millis(200);

/// Show the log of a task's latest execution
///
/// On a terminal, control characters are shown and not obeyed; a file or a pipe gets the bytes as they are.
///
/// Examples:
///   onsager log experiments/quickstart.yaml law
///   onsager log pipelines/path-action.yaml train --tail 20 --follow
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Log {
    #[command(flatten)]
    common: Common,
    /// The task
    #[arg(value_name = "TASK")]
    task: String,
    /// Show the last N lines only
    #[arg(long, short = 'n', value_name = "N")]
    tail: Option<u64>,
    /// While the task runs, show what it adds to its log; end with it
    #[arg(long, short, conflicts_with = "json")]
    follow: bool,
}

/// The latest execution of a task.
struct Execution {
    task: String,
    run: String,
    key: Digest,
    log: PathBuf,
}

impl Log {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let opened = self.common.session(registry)?;
        let (graph, store) = (opened.graph()?, opened.store());
        let tasks = graph.select(&self.task)?;
        let mut executions = Vec::new();
        for number in &tasks {
            executions.extend(latest(store, &graph.name, &graph.tasks[*number].id)?);
        }
        if executions.is_empty() {
            return Err(CliError::Request(format!(
                "`{}` has not been executed yet: there is no log",
                self.task
            )));
        }
        if self.follow && tasks.len() > 1 {
            return Err(CliError::Request(format!(
                "`{}` is {} tasks, and one log can be followed: name one of them, like `{}`",
                self.task,
                tasks.len(),
                graph.tasks[tasks[0]].id
            )));
        }
        if self.common.asked.json {
            let document = |execution: Execution| -> Result<LogTask, StoreError> {
                let account = Account::read(store, &execution.run)?;
                Ok(LogTask {
                    attempts: AttemptFacts::of(&account, &execution.task),
                    task: execution.task,
                    run: execution.run,
                    log: LogText { path: execution.log.clone(), tail: self.tail },
                    path: execution.log,
                })
            };
            let documents: Vec<LogTask> = executions.into_iter().map(document).collect::<Result<_, _>>()?;
            common::print_with(|out| {
                serde_json::to_writer_pretty(&mut *out, &documents)?;
                out.write_all(b"\n")
            });
            return Ok(exit::DONE);
        }
        for execution in &executions {
            if tasks.len() > 1 {
                common::print(&format!("==> {} <==\n", execution.task));
            }
            self.show(execution, store)?;
        }
        Ok(exit::DONE)
    }

    /// Shows a log, and what is added to it while it is followed.
    fn show(&self, execution: &Execution, store: &Store) -> Result<(), CliError> {
        let cannot = |error| StoreError::io("read", &execution.log)(error);
        let mut file = File::open(&execution.log).map_err(cannot)?;
        let start = self.tail.map_or(Ok(0), |lines| tail::start_of_tail(&mut file, lines));
        file.seek(SeekFrom::Start(start.map_err(cannot)?)).map_err(cannot)?;
        let mut reader = BufReader::new(file);
        loop {
            // Before the log is read: what the task wrote before it ended is then read too.
            let running = self.follow && store.is_locked(&execution.key);
            common::print_with(|out| copy(&mut reader, out, io::stdout().is_terminal()));
            if !running || common::printed().is_err() {
                return Ok(());
            }
            std::thread::sleep(PERIOD);
        }
    }
}

/// Copies what there is, for a terminal line by line.
fn copy(reader: &mut BufReader<File>, out: &mut dyn Write, terminal: bool) -> io::Result<()> {
    if !terminal {
        return io::copy(reader, out).map(|_| ());
    }
    let mut line = Vec::new();
    while reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? > 0 {
        let end = if line.ends_with(b"\n") { "\n" } else { "" };
        let text = String::from_utf8_lossy(&line);
        let text = tail::shown(text.strip_suffix('\n').unwrap_or(&text));
        out.write_all(format!("{text}{end}").as_bytes())?;
        line.clear();
    }
    Ok(())
}

/// A longer line is taken for several.
const LONGEST_LINE: u64 = 1 << 20;

/// The run that executed the task last, and its log.
fn latest(store: &Store, pipeline: &str, task: &str) -> Result<Option<Execution>, CliError> {
    for record in events::records(store, pipeline)?.rev() {
        let record = record?;
        let started = record.events.iter().rev().find_map(|event| match event {
            Event::TaskStarted { task: started, key, .. } if started == task => Some(*key),
            _ => None,
        });
        // Not where the record says: it may come from elsewhere.
        let log = store.task_log(&record.run, task);
        if let Some(key) = started.filter(|_| log.exists()) {
            return Ok(Some(Execution { task: task.to_owned(), run: record.run, key, log }));
        }
    }
    Ok(None)
}
