//! What follows a page: server-sent events. Each has an id that says how far it is, so that a browser that lost the connection goes on
//! where it was (`Last-Event-ID`).

use crate::run::watched::{STATES, Watched};
use crate::serve::ask::{Ask, Fault, named_run};
use crate::serve::looking::Looking;
use crate::serve::rows::Told;
use crate::serve::run::overall;
use crate::store::Store;
use crate::store::curves::{Change, Curves, Follow};
use crate::store::files::StoreError;
use crate::store::log::Tail;
use crate::store::tail;
use axum::extract::{Request, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often records, logs and curves are looked at.
const PERIOD: Duration = Duration::from_millis(200);
/// How often the times of what runs are told.
const TICK: Duration = Duration::from_secs(1);
/// So much of a log is told at once; what a log has got beyond it is left out.
const LOG_BYTES: u64 = 64 << 10;
/// So many points of a curve are told at first.
const POINTS: usize = 4_000;

/// Something to tell.
struct Message {
    id: String,
    data: String,
}

impl Message {
    fn of(id: impl ToString, data: &impl Serialize) -> Message {
        // Everything that is told has text as keys: it has a JSON form.
        Message { id: id.to_string(), data: serde_json::to_string(data).unwrap_or_default() }
    }
}

/// What is followed.
trait Source: Send + Sized + 'static {
    /// What is new since the last look.
    fn look(&mut self) -> Result<Vec<Message>, Fault>;
}

/// Where the browser has got to, or else the page.
fn place(request: &Request, ask: &Ask) -> u64 {
    let last = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    last.or(ask.get("from")).and_then(|place| place.parse().ok()).unwrap_or(0)
}

/// Opens a source beside those that wait, and follows it for as long as somebody listens.
async fn follow<S: Source>(open: impl FnOnce() -> Result<S, Fault> + Send + 'static) -> Response {
    let source = match tokio::task::spawn_blocking(open).await {
        Ok(Ok(source)) => source,
        Ok(Err(fault)) => return fault.into_response(),
        Err(error) => return Fault::failed(error).into_response(),
    };
    let told = stream::unfold((source, VecDeque::<Message>::new()), |(mut source, mut ready)| async move {
        loop {
            if let Some(Message { id, data }) = ready.pop_front() {
                return Some((Ok::<_, Infallible>(Event::default().id(id).data(data)), (source, ready)));
            }
            let looked = tokio::task::spawn_blocking(move || {
                let found = source.look();
                (source, found)
            });
            let found;
            (source, found) = looked.await.ok()?;
            match found {
                Ok(messages) => ready.extend(messages),
                // The browser asks again, and is told then.
                Err(fault) => {
                    tracing::warn!("{}", fault.message);
                    return None;
                }
            }
            if ready.is_empty() {
                tokio::time::sleep(PERIOD).await;
            }
        }
    });
    Sse::new(told).keep_alive(KeepAlive::default()).into_response()
}

/// Follows a run.
pub async fn run(State(looking): State<Arc<Looking>>, request: Request) -> Response {
    let ask = Ask::of(request.uri());
    let from = place(&request, &ask);
    follow(move || {
        let run = ask.run(&looking.store)?;
        let names = Tail::from(&looking.store.record(&run), from);
        Ok(RunSource { looking, run, names, told: None, going: true })
    })
    .await
}

/// A line of a record, less all but the task that it is about.
#[derive(Deserialize)]
struct Named {
    task: Option<String>,
}

struct RunSource {
    looking: Arc<Looking>,
    run: String,
    /// The tasks that the record names behind what was told.
    names: Tail,
    told: Option<Instant>,
    /// Whether the run went on then.
    going: bool,
}

#[derive(Serialize)]
struct RunTold<'a> {
    tasks: Vec<Told>,
    counts: BTreeMap<&'a str, usize>,
    done: usize,
    total: usize,
    overall: String,
    state: &'a str,
    going: bool,
}

impl Source for RunSource {
    fn look(&mut self) -> Result<Vec<Message>, Fault> {
        let mut names = BTreeSet::new();
        let before = self.names.at();
        loop {
            let lines = self.names.more::<Named>()?;
            if lines.is_empty() {
                break;
            }
            names.extend(lines.into_iter().filter_map(|(_, line)| line.task));
        }
        let tick = self.told.is_none_or(|at| self.going && at.elapsed() >= TICK);
        if self.names.at() == before && !tick {
            return Ok(Vec::new());
        }
        // After the names: so what is told of a task is no older than the line that names it.
        let (going, data) = self.looking.watch(&self.run, |watched| {
            let told = RunTold::of(watched, names);
            Ok::<_, Fault>((told.going, Message::of(self.names.at(), &told)))
        })?;
        (self.told, self.going) = (Some(Instant::now()), going);
        Ok(vec![data])
    }
}

impl<'a> RunTold<'a> {
    /// Of these tasks, and of those that run.
    fn of(watched: &'a Watched, mut names: BTreeSet<String>) -> RunTold<'a> {
        let running =
            watched.rows().into_iter().filter(|row| row.left.is_some() || row.task.progress.is_some());
        names.extend(running.filter(|_| watched.is_going()).map(|row| row.name.to_owned()));
        let (done, total) = watched.progress();
        let count = |standings: &[_]| standings.iter().map(|standing| watched.count(*standing)).sum();
        RunTold {
            tasks: names.iter().filter_map(|name| watched.task(name)).map(|row| Told::of(&row)).collect(),
            counts: STATES.iter().map(|(name, standings)| (*name, count(standings))).collect(),
            done,
            total,
            overall: overall(watched),
            state: watched.state(),
            going: watched.is_going(),
        }
    }
}

/// Follows the log of a task.
pub async fn log(State(looking): State<Arc<Looking>>, request: Request) -> Response {
    let ask = Ask::of(request.uri());
    let from = place(&request, &ask);
    follow(move || {
        let run = ask.run(&looking.store)?;
        let path = looking.store.task_log(&run, ask.task()?);
        Ok(LogSource { path, at: from })
    })
    .await
}

struct LogSource {
    path: PathBuf,
    at: u64,
}

impl Source for LogSource {
    fn look(&mut self) -> Result<Vec<Message>, Fault> {
        let cannot = |error| StoreError::io("read", &self.path)(error);
        // It is made when the task begins.
        let Ok(mut file) = File::open(&self.path) else { return Ok(Vec::new()) };
        let end = file.metadata().map_err(cannot)?.len();
        let start = self.at.max(end.saturating_sub(LOG_BYTES)).min(end);
        file.seek(SeekFrom::Start(start)).map_err(cannot)?;
        let mut bytes = Vec::new();
        file.take(LOG_BYTES).read_to_end(&mut bytes).map_err(cannot)?;
        // A line that is not ended yet comes the next time, unless it is too long to wait for.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let whole = if whole == 0 && bytes.len() as u64 == LOG_BYTES { bytes.len() } else { whole };
        if whole == 0 {
            return Ok(Vec::new());
        }
        let skipped = start - self.at.min(start);
        self.at = start + whole as u64;
        let text = String::from_utf8_lossy(&bytes[..whole]);
        let mut lines: Vec<String> = text.lines().map(tail::shown).collect();
        if skipped > 0 {
            lines.insert(0, format!("… ({skipped} bytes left out)"));
        }
        Ok(vec![Message::of(self.at, &lines)])
    }
}

/// Follows curves.
pub async fn curves(State(looking): State<Arc<Looking>>, request: Request) -> Response {
    let ask = Ask::of(request.uri());
    follow(move || {
        let store = &looking.store;
        let mut sources = Vec::new();
        for run in ask.all("run") {
            looking.watch(named_run(store, run)?, |watched| {
                for task in ask.all("task") {
                    let key = watched.account.tasks.get(task).and_then(|task| task.key);
                    sources.push(key.map(|key| Follow::of(store, key)));
                }
                Ok::<_, Fault>(())
            })?;
        }
        let wanted = ask.all("name").map(str::to_owned).collect();
        Ok(CurvesSource { sources, wanted, number: 0 })
    })
    .await
}

struct CurvesSource {
    /// By run and task, in the order of the address; none where the task has no key.
    sources: Vec<Option<Follow>>,
    /// The names of the curves; all where none is named.
    wanted: BTreeSet<String>,
    number: u64,
}

#[derive(Serialize)]
struct CurveTold<'a> {
    /// Which of the sources.
    source: usize,
    name: &'a str,
    /// What was told before is to be forgotten.
    anew: bool,
    steps: Vec<u64>,
    /// Null for what is not finite.
    values: Vec<Option<f64>>,
}

impl Source for CurvesSource {
    fn look(&mut self) -> Result<Vec<Message>, Fault> {
        let mut messages = Vec::new();
        for (source, follow) in self.sources.iter_mut().enumerate() {
            let Some(follow) = follow else { continue };
            let (anew, curves) = match follow.poll()? {
                Change::Nothing => continue,
                Change::Anew(curves) => (true, curves),
                Change::More(lines) => {
                    let mut curves = Curves::default();
                    lines.into_iter().for_each(|line| curves.add(line));
                    (false, curves)
                }
            };
            for (name, points) in &curves.0 {
                if !self.wanted.is_empty() && !self.wanted.contains(name) {
                    continue;
                }
                let kept = thin(points.len());
                let finite = |value: f64| value.is_finite().then_some(value);
                let told = CurveTold {
                    source,
                    name,
                    anew,
                    steps: kept.iter().map(|at| points[*at].step).collect(),
                    values: kept.iter().map(|at| finite(points[*at].value)).collect(),
                };
                self.number += 1;
                messages.push(Message::of(self.number, &told));
            }
        }
        Ok(messages)
    }
}

/// Which of so many points are told: all of few, else every so many-th, and the last.
fn thin(all: usize) -> Vec<usize> {
    let every = all.div_ceil(POINTS).max(1);
    let mut kept: Vec<usize> = (0..all).step_by(every).collect();
    if all > 0 && kept.last() != Some(&(all - 1)) {
        kept.push(all - 1);
    }
    kept
}

/// What the page of a task needs to know of its log: the last lines, and where what follows begins.
pub fn log_tail(store: &Store, run: &str, task: &str, lines: usize) -> Option<(Vec<String>, u64)> {
    let mut file = File::open(store.task_log(run, task)).ok()?;
    let shown = tail::last_lines(&mut file, lines, LOG_BYTES).ok()?;
    Some((shown, file.stream_position().ok()?))
}
