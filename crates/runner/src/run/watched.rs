//! A run that is looked at from outside, while it goes on or when it is over: what its record says, how fast its tasks are, and how long
//! it will still take.

use crate::run::account::{Account, Standing, TaskAccount};
use crate::run::estimate::{Durations, Outlook};
use crate::run::events::Stamped;
use crate::store::Store;
use crate::store::files::StoreError;
use crate::store::log::Tail;
use jiff::Timestamp;

/// The states that tasks are listed by, each with a word for it, and what needs a look first.
pub const STATES: [(&str, &[Standing]); 6] = [
    ("running", &[Standing::Running, Standing::Retrying]),
    ("failed", &[Standing::Failed, Standing::Interrupted, Standing::Left]),
    ("waiting", &[Standing::Waiting, Standing::Queued]),
    ("executed", &[Standing::Executed]),
    ("cached", &[Standing::Cached]),
    ("skipped", &[Standing::Skipped, Standing::NotRun]),
];

/// A run, as far as its record has been read.
#[derive(Debug)]
pub struct Watched {
    pub account: Account,
    store: Store,
    run: String,
    tail: Tail,
    outlook: Outlook,
    /// Whether it went on when it was looked at last.
    going: bool,
}

/// A task of it, as it is shown in a row.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    pub name: &'a str,
    pub task: &'a TaskAccount,
    /// How much it does a second.
    pub rate: Option<f64>,
    /// How long it has run, or ran.
    pub seconds: Option<f64>,
    /// How long it will still run.
    pub left: Option<f64>,
}

impl Watched {
    /// Reads the whole record, and how long the tasks took in earlier runs.
    pub fn open(store: &Store, run: &str) -> Result<Watched, StoreError> {
        let mut watched = Watched {
            account: Account::default(),
            store: store.clone(),
            run: run.to_owned(),
            tail: Tail::from(&store.record(run), 0),
            outlook: Outlook::default(),
            going: true,
        };
        watched.poll()?;
        if watched.is_going() {
            watched.outlook.durations.take_before(Durations::of(store, &watched.account.pipeline)?);
        }
        Ok(watched)
    }

    /// Reads what has come since.
    pub fn poll(&mut self) -> Result<(), StoreError> {
        // Before the record is read: what a run wrote before it ended is then read too.
        self.going = self.store.is_going(&self.run);
        let open = self.account.ended.is_none();
        loop {
            let lines = self.tail.more::<Stamped>()?;
            if lines.is_empty() {
                break;
            }
            for (_, line) in lines {
                self.outlook.event(&line.event, seconds_of(line.at.parse().unwrap_or_default()));
                self.account.add(line);
            }
        }
        // The file's name, not what it says of itself: it may come from elsewhere.
        self.run.clone_into(&mut self.account.run);
        if open { self.account.add_cached(&self.store) } else { Ok(()) }
    }

    /// Where the next line of the record begins.
    pub fn place(&self) -> u64 {
        self.tail.at()
    }

    /// Whether the run goes on. One that was killed neither does, nor has it an end.
    pub fn is_going(&self) -> bool {
        self.account.ended.is_none() && self.going
    }

    /// As it is called in tables: `running`, `done`, `failed`, `interrupted`, `killed`.
    pub fn state(&self) -> &'static str {
        match &self.account.ended {
            Some(ended) if ended.failed > 0 => "failed",
            Some(ended) if ended.interrupted => "interrupted",
            Some(_) => "done",
            None if self.going => "running",
            None => "killed",
        }
    }

    /// For how long it has run, or ran.
    pub fn seconds(&self) -> f64 {
        let account = &self.account;
        let until = if self.is_going() { Some(Timestamp::now()) } else { account.last };
        let wall = account.started.zip(until).map(|(from, until)| seconds_of(until) - seconds_of(from));
        account.ended.map_or(wall.unwrap_or(0.0).max(0.0), |ended| ended.seconds)
    }

    /// About how many seconds it will still take; none where that is not known, or nothing is left.
    pub fn left(&self) -> Option<f64> {
        if !self.is_going() {
            return None;
        }
        self.outlook.left(seconds_of(Timestamp::now()))
    }

    /// How many tasks have come to an end, and how many there are.
    pub fn progress(&self) -> (usize, usize) {
        let ended = self.account.tasks.values().filter(|task| has_ended(task.standing)).count();
        // An ended run whose manifest is gone has counted them.
        let counted = self
            .account
            .ended
            .map_or(0, |ended| ended.cached + ended.executed + ended.failed + ended.skipped);
        let total = self.account.total.max(self.account.tasks.len());
        (ended.max(counted).min(total), total)
    }

    /// How many tasks stand so.
    pub fn count(&self, standing: Standing) -> usize {
        self.account.tasks.values().filter(|task| task.standing == standing).count()
    }

    /// Every task that is known, in the order of the graph where that is known.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let account = &self.account;
        let ordered = account.order.iter().filter_map(|name| account.tasks.get_key_value(name));
        let mut rows: Vec<Row> = ordered.map(|(name, task)| self.row(name, task)).collect();
        if rows.len() < account.tasks.len() {
            let known: std::collections::HashSet<&String> = account.order.iter().collect();
            let rest = account.tasks.iter().filter(|(name, _)| !known.contains(name));
            rows.extend(rest.map(|(name, task)| self.row(name, task)));
        }
        rows
    }

    /// One task.
    pub fn task(&self, name: &str) -> Option<Row<'_>> {
        let (name, task) = self.account.tasks.get_key_value(name)?;
        Some(self.row(name, task))
    }

    fn row<'a>(&self, name: &'a str, task: &'a TaskAccount) -> Row<'a> {
        let now = seconds_of(Timestamp::now());
        let running = task.standing == Standing::Running && self.is_going();
        let seconds = match task.attempts.last() {
            _ if task.seconds.is_some() => task.seconds,
            Some(attempt) if running => Some((now - seconds_of(attempt.started)).max(0.0)),
            Some(attempt) => attempt.ended.map(|ended| seconds_of(ended) - seconds_of(attempt.started)),
            None => None,
        };
        let rate = self.outlook.rate(name).filter(|_| running);
        let left = if running { self.outlook.left_of(name, now) } else { None };
        Row { name, task, rate, seconds, left }
    }
}

impl Row<'_> {
    /// Where it is among [`STATES`].
    pub fn rank(&self) -> usize {
        STATES
            .iter()
            .position(|(_, standings)| standings.contains(&self.task.standing))
            .unwrap_or(STATES.len())
    }

    /// Why it failed, was skipped or is not run; of one that goes on nothing.
    pub fn message(&self) -> Option<&str> {
        let attempt = self.task.attempts.last().and_then(|attempt| attempt.message.as_deref());
        self.task.because.as_deref().or(attempt)
    }
}

/// Whether a task comes to nothing else in this run, unless somebody asks.
pub fn has_ended(standing: Standing) -> bool {
    !matches!(standing, Standing::Waiting | Standing::Queued | Standing::Running | Standing::Retrying)
}

/// Seconds since 1970.
pub fn seconds_of(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1e3
}
