//! What `top` shows: the run, the chosen task with its log and curves, and what the user was asked.

use crate::cli::common::CliError;
use crate::run::requests::{self, Asked};
use crate::run::watched::{Row, STATES, Watched};
use crate::store::Store;
use crate::store::curves::{Change, Curves, Follow};
use crate::store::digest::Digest;
use crate::store::tail;
use std::fs::File;
use std::time::{Duration, Instant};

/// So much of a log's end is read.
const LOG_BYTES: u64 = 64 << 10;
const LOG_LINES: usize = 500;
/// How often the log is read.
const LOG_PERIOD: Duration = Duration::from_millis(500);

/// Everything that is shown.
pub struct Top {
    pub watched: Watched,
    /// Which tasks are listed, as their place in [`STATES`]; all where there is none.
    pub listed: Option<usize>,
    /// The names of the tasks that are listed, in their order.
    pub names: Vec<String>,
    /// The chosen task.
    pub chosen: Option<String>,
    /// The last lines of its log.
    pub log: Vec<String>,
    pub curves: Curves,
    /// Whether its log is shown alone, and how many lines from its end.
    pub log_alone: bool,
    pub scrolled: usize,
    /// What is asked before it is done.
    pub question: Option<Asked>,
    /// What was done last, or why not.
    pub word: String,
    /// How many tasks fit into the list, as it was drawn last.
    pub fits: usize,
    store: Store,
    followed: Option<(Digest, Follow)>,
    log_read: Option<Instant>,
}

impl Top {
    pub fn open(store: &Store, run: &str) -> Result<Top, CliError> {
        let mut top = Top {
            watched: Watched::open(store, run)?,
            listed: None,
            names: Vec::new(),
            chosen: None,
            log: Vec::new(),
            curves: Curves::default(),
            log_alone: false,
            scrolled: 0,
            question: None,
            word: String::new(),
            fits: 1,
            store: store.clone(),
            followed: None,
            log_read: None,
        };
        top.order();
        Ok(top)
    }

    /// Reads what is new of the run, and of the log and the curves of the chosen task.
    pub fn look(&mut self) -> Result<(), CliError> {
        self.watched.poll()?;
        self.order();
        if self.log_read.is_none_or(|at| at.elapsed() >= LOG_PERIOD) {
            self.read_log();
        }
        self.follow_curves()
    }

    /// What goes on first, then what went wrong, what waits, and what is done; each in the order of the graph.
    fn order(&mut self) {
        let mut rows: Vec<Row> = self.watched.rows();
        rows.retain(|row| self.listed.is_none_or(|listed| row.rank() == listed));
        rows.sort_by_key(Row::rank);
        self.names = rows.into_iter().map(|row| row.name.to_owned()).collect();
        let there = self.chosen.as_ref().is_some_and(|chosen| self.names.contains(chosen));
        if !there {
            self.choose(self.names.first().cloned());
        }
    }

    pub fn choose(&mut self, name: Option<String>) {
        if self.chosen != name {
            (self.chosen, self.log_read, self.scrolled) = (name, None, 0);
            self.log.clear();
            (self.followed, self.curves) = (None, Curves::default());
        }
    }

    /// Where the chosen task is in the list.
    pub fn at(&self) -> usize {
        self.chosen.as_ref().and_then(|chosen| self.names.iter().position(|name| name == chosen)).unwrap_or(0)
    }

    /// Chooses the task so many below, or above.
    pub fn step(&mut self, by: isize) {
        let last = self.names.len().saturating_sub(1);
        let at = self.at().saturating_add_signed(by).min(last);
        self.choose(self.names.get(at).cloned());
    }

    /// Lists the next kind of tasks.
    pub fn list_others(&mut self) {
        self.listed =
            self.listed.map_or(Some(0), |listed| Some(listed + 1).filter(|next| *next < STATES.len()));
        self.order();
    }

    fn read_log(&mut self) {
        self.log_read = Some(Instant::now());
        let Some(task) = &self.chosen else { return };
        // A task that has not begun has none.
        let file = File::open(self.store.task_log(&self.watched.account.run, task));
        self.log =
            file.and_then(|mut file| tail::last_lines(&mut file, LOG_LINES, LOG_BYTES)).unwrap_or_default();
    }

    fn follow_curves(&mut self) -> Result<(), CliError> {
        let row = self.chosen.as_deref().and_then(|name| self.watched.task(name));
        let Some(key) = row.filter(|row| !row.task.metrics.is_empty()).and_then(|row| row.task.key) else {
            return Ok(());
        };
        if self.followed.as_ref().is_none_or(|(followed, _)| *followed != key) {
            self.followed = Some((key, Follow::of(&self.store, key)));
        }
        if let Some((_, follow)) = &mut self.followed {
            match follow.poll()? {
                Change::Nothing => {}
                Change::Anew(curves) => self.curves = curves,
                Change::More(lines) => lines.into_iter().for_each(|line| self.curves.add(line)),
            }
        }
        Ok(())
    }

    /// Asks before something is done to the chosen task.
    pub fn ask(&mut self, ask: fn(String) -> Asked) {
        self.word.clear();
        match &self.chosen {
            Some(_) if !self.watched.is_going() => {
                let file = self.watched.account.file.display();
                self.word = format!("the run is over; `onsager run {file}` goes on with what is left");
            }
            Some(task) => self.question = Some(ask(task.clone())),
            None => {}
        }
    }

    /// Does what was asked.
    pub fn answer(&mut self, yes: bool) {
        let Some(asked) = self.question.take() else { return };
        if !yes {
            return;
        }
        self.word = match requests::ask(&self.store, &self.watched.account.run, &asked) {
            Ok(()) => match asked {
                Asked::Cancel { task } => format!("asked to cancel {task}"),
                Asked::Retry { task } => format!("asked to try {task} again"),
            },
            Err(error) => error.to_string(),
        };
    }
}
