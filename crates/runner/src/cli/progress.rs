//! What a user sees while a run goes on: bars on a terminal, plain lines elsewhere; all on standard error.

use crate::cli::colour;
use crate::cli::common::{count, duration, plural, print_error};
use crate::cli::transfer::Transfer;
use crate::run::estimate::{Durations, Outlook};
use crate::run::events::{Event, Observer};
use crate::store::Store;
use crate::store::remote::elsewhere::{Difference, Machine, Notice, Traffic};
use crate::store::tail;
use crate::words::some;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use onsager_tables::names::list;
use std::collections::HashMap;
use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// How often a running task says how far it is, where there are no bars.
const PLAIN_INTERVAL: Duration = Duration::from_secs(15);
/// How many lines of a failed task's log are shown.
const TAIL: usize = 20;
/// And no more bytes than these.
const TAIL_BYTES: u64 = 4 << 10;

/// Shows the events of a run.
pub struct Progress {
    bars: Option<MultiProgress>,
    overall: Option<ProgressBar>,
    tasks: HashMap<String, Shown>,
    total: usize,
    /// How many tasks have come to an end.
    done: usize,
    store: Store,
    /// What is left of the run; only where there are bars to show it.
    outlook: Option<Forecast>,
    /// To and from a remote store.
    transfer: Option<Transfer>,
}

/// The remaining time of the whole run.
struct Forecast {
    began: Instant,
    outlook: Outlook,
    /// How long tasks took before: read while the run goes on, and not waited for.
    past: Receiver<Durations>,
    shown: Instant,
}

impl Forecast {
    fn of(store: &Store, pipeline: &str) -> Forecast {
        let (sender, past) = mpsc::channel();
        let (store, pipeline, began) = (store.clone(), pipeline.to_owned(), Instant::now());
        std::thread::spawn(move || match Durations::of(&store, &pipeline) {
            // The run may be over by then.
            Ok(durations) => _ = sender.send(durations),
            Err(error) => tracing::debug!("how long tasks took before is not known: {error}"),
        });
        Forecast { began, outlook: Outlook::default(), past, shown: began }
    }

    fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// What to say, once a second.
    fn tick(&mut self) -> Option<String> {
        if let Ok(past) = self.past.try_recv() {
            self.outlook.durations.take_before(past);
        }
        if self.shown.elapsed() < Duration::from_secs(1) {
            return None;
        }
        self.shown = Instant::now();
        let left = self.outlook.left(self.now()).filter(|left| *left >= 1.0);
        Some(left.map_or_else(String::new, |left| format!("about {} left", duration(left.round()))))
    }
}

/// What is shown of a running task.
struct Shown {
    bar: Option<ProgressBar>,
    started: Instant,
    /// Where this attempt began: the rate counts only what it did itself.
    first: Option<(u64, Instant)>,
    spoken: Instant,
}

impl Progress {
    pub fn new(store: &Store) -> Progress {
        Progress {
            bars: None,
            overall: None,
            tasks: HashMap::new(),
            total: 0,
            done: 0,
            store: store.clone(),
            outlook: None,
            transfer: None,
        }
    }

    /// A run of so many tasks begins.
    fn begin(&mut self, pipeline: &str, total: usize) {
        self.close();
        (self.total, self.done) = (total, 0);
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        // A terminal that cannot draw (`TERM=dumb`) would show nothing at all.
        if std::io::stderr().is_terminal() && !multi.is_hidden() {
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len} tasks  {elapsed}  {msg}");
            let bar = multi.add(ProgressBar::new(total as u64));
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.overall = Some(bar);
            self.bars = Some(multi);
            self.outlook = Some(Forecast::of(&self.store, pipeline));
        }
    }

    /// Takes the bars away.
    pub fn close(&mut self) {
        self.transfer = None;
        for (_, shown) in self.tasks.drain() {
            if let Some(bar) = shown.bar {
                bar.finish_and_clear();
            }
        }
        if let Some(bar) = self.overall.take() {
            bar.finish_and_clear();
        }
        (self.bars, self.outlook) = (None, None);
    }

    fn say(&self, line: &str) {
        match &self.bars {
            // It fails only where standard error is closed.
            Some(bars) => _ = bars.println(colour::paint(line)),
            None => print_error(line),
        }
    }

    /// What is to be known of a remote store.
    fn notice(&self, remote: &str, notice: &Notice) {
        self.say(&notice_text(remote, notice));
    }

    fn start(&mut self, task: &str) {
        let now = Instant::now();
        let bar = self.bars.as_ref().map(|bars| {
            let style = ProgressStyle::with_template("{spinner} {msg}");
            let bar = bars.add(ProgressBar::new_spinner());
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_message(task.to_owned());
            bar
        });
        self.tasks.insert(task.to_owned(), Shown { bar, started: now, first: None, spoken: now });
    }

    fn end(&mut self, task: &str) {
        self.done += 1;
        if let Some(Shown { bar: Some(bar), .. }) = self.tasks.remove(task) {
            bar.finish_and_clear();
        }
        if let Some(bar) = &self.overall {
            bar.set_position(self.done as u64);
        }
    }

    /// A task had come to its end, and comes to it again.
    fn comes_again(&mut self) {
        self.done = self.done.saturating_sub(1);
        if let Some(overall) = &self.overall {
            overall.set_position(self.done as u64);
        }
    }

    fn counter(&self) -> String {
        let width = self.total.to_string().len();
        format!("[{:width$}/{}]", self.done, self.total)
    }

    fn advance(&mut self, task: &str, done: u64, total: u64, unit: &str) {
        let Some(shown) = self.tasks.get_mut(task) else { return };
        let now = Instant::now();
        let (from, since) = *shown.first.get_or_insert((done, now));
        let elapsed = now.duration_since(since).as_secs_f64();
        let mut text = format!("{task}: {} of {} {unit}", count(done), count(total));
        if elapsed > 0.5 && done > from {
            let rate = (done - from) as f64 / elapsed;
            let left = total.saturating_sub(done) as f64 / rate;
            text += &format!(", {}/s, {} left", count(rate as u64), duration(left));
        }
        match &shown.bar {
            Some(bar) => {
                if bar.length().is_none() {
                    let style = ProgressStyle::with_template("{bar:16} {msg}");
                    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                }
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(text);
            }
            None if shown.spoken.elapsed() >= PLAIN_INTERVAL => {
                shown.spoken = now;
                self.say(&format!("{} {text}", self.counter()));
            }
            None => {}
        }
    }
}

impl Observer for Progress {
    fn event(&mut self, event: &Event) {
        if let Some(forecast) = &mut self.outlook {
            forecast.outlook.event(event, forecast.now());
        }
        match event {
            Event::RunStarted { pipeline, tasks, .. } => self.begin(pipeline, *tasks),
            Event::RunGrew { tasks, .. } => {
                self.total = *tasks;
                if let Some(overall) = &self.overall {
                    overall.set_length(*tasks as u64);
                }
            }
            Event::TaskCheckpoint { .. }
            | Event::TaskMetric { .. }
            | Event::RunCommit(_)
            | Event::ClaimsJudged { .. }
            | Event::RunFinished { .. }
            | Event::ResultFound { .. }
            | Event::RunTasks { .. } => {}
            Event::RemoteNotice { remote, notice } => self.notice(remote, notice),
            Event::RemoteTraffic { remote, received, to_receive, sent, to_send, requests } => {
                let transfer = self.transfer.get_or_insert_with(|| Transfer::new(remote, self.bars.as_ref()));
                let (received, to_receive, sent, to_send) = (*received, *to_receive, *sent, *to_send);
                let requests = *requests;
                if let Some(line) = transfer.show(Traffic { received, to_receive, sent, to_send, requests }) {
                    self.say(&line);
                }
            }
            Event::TaskCached { task, .. } => self.end(task),
            Event::LinkDangling { path, target } => {
                self.say(&format!(
                    "note: `{}` is a link that leads nowhere: its content is its text, `{}`",
                    path.display(),
                    target.display()
                ));
            }
            Event::TaskAgain { .. } => self.comes_again(),
            Event::ResultLost { task, .. } => {
                self.comes_again();
                self.say(&format!("the bytes of {task} are gone and are needed: it is executed again"));
            }
            Event::ObjectDamaged { task, output, object } => {
                self.say(&format!(
                    "the store's copy of output `{output}` of {task} is damaged (object {}): it is dropped",
                    object.short()
                ));
            }
            Event::OutputRestored { path, edited, .. } => {
                let why = if *edited { "it had been edited" } else { "it had been removed" };
                let path = self.store.artifacts().join(path);
                self.say(&format!("restored `{}` from the store: {why}", path.display()));
            }
            Event::OutputReplaced { path, .. } => {
                let path = self.store.artifacts().join(path);
                self.say(&format!("replaced `{}` by the new result: it had been edited", path.display()));
            }
            Event::ViewCleared { tasks, outputs, edited } => {
                let outputs = plural(*outputs, "output");
                self.say(&format!("removed {outputs} of what the pipeline no longer has: {}", some(tasks)));
                for path in edited {
                    let path = self.store.artifacts().join(path);
                    self.say(&format!("note: `{}` stays, for it was edited", path.display()));
                }
            }
            Event::SearchGoesOn { points, of } => {
                self.close();
                print_error(&format!("search: {points} of {of} points; running the new ones"));
            }
            Event::ViewWaiting { pipeline } => {
                self.say(&format!(
                    "waiting: another run of `{pipeline}` has other parameters and shows its results now; to run both at once, \
                     give one of them its own folder with `--artifacts`, or make them points of an experiment"
                ));
            }
            Event::TaskWaiting { task, .. } => {
                self.say(&format!("{} {task}: waiting, another run is computing it", self.counter()));
            }
            Event::TaskStarted { task, threads, job, .. } => {
                self.start(task);
                let on = match job {
                    Some(job) if job.node.is_empty() => format!(" by {} job", job.job),
                    Some(job) => format!(" of node `{}`, job {}", job.node, job.job),
                    None => String::new(),
                };
                self.say(&format!(
                    "{} {task}: started on {}{on}",
                    self.counter(),
                    plural(*threads, "thread")
                ));
            }
            Event::TaskLeft { task } => {
                self.end(task);
                self.say(&format!("{} {task}: left to its job", self.counter()));
            }
            Event::Note { text } => self.say(&format!("note: {text}")),
            Event::TaskResumed { task, step } => {
                self.say(&format!(
                    "{} {task}: goes on from the checkpoint after step {step}",
                    self.counter()
                ));
            }
            Event::TaskProgress { task, done, total, unit } => self.advance(task, *done, *total, unit),
            Event::TaskFinished { task, seconds, .. } => {
                self.end(task);
                self.say(&format!("{} {task}: done in {}", self.counter(), duration(*seconds)));
            }
            Event::TaskDiffers { task, output } => {
                self.say(&format!(
                    "warning: {task}: output `{output}` has other bytes than before: the stage is not reproducible"
                ));
            }
            Event::TaskQueued { task, pools } => {
                let pools = list(pools);
                self.say(&format!("{} {task}: waiting for {pools}, which another run has", self.counter()));
            }
            Event::TaskRetrying { task, message, help, log, retry, of, wait, usage: _ } => {
                if let Some(Shown { bar: Some(bar), .. }) = self.tasks.remove(task) {
                    bar.finish_and_clear();
                }
                let next = format!("retry {retry} of {of} in {}", duration(*wait));
                self.say(&format!("warning: {task} failed: {message}; {next}"));
                if let Some(help) = help {
                    self.say(&format!("  help: {help}"));
                }
                if let Some(log) = log {
                    self.say(&format!("  log: {}", log.display()));
                }
            }
            Event::TaskFailed { task, message, help, log, usage: _ } => {
                self.end(task);
                self.say(&format!("error: {task} failed: {message}"));
                if let Some(help) = help {
                    self.say(&format!("  help: {help}"));
                }
                if let Some(log) = log {
                    for line in log_tail(log) {
                        self.say(&format!("  | {line}"));
                    }
                    self.say(&format!("  log: {}", log.display()));
                }
            }
            Event::TaskInterrupted { task, usage: _ } => {
                let after = self.tasks.get(task).map_or(0.0, |shown| shown.started.elapsed().as_secs_f64());
                self.end(task);
                self.say(&format!("{} {task}: interrupted after {}", self.counter(), duration(after)));
            }
            Event::TaskSkipped { task, because } => {
                self.end(task);
                self.say(&format!("{} {task}: skipped, {because}", self.counter()));
            }
            Event::TaskNotRun { task, because } => {
                if let Some(because) = because {
                    self.say(&format!("{} {task}: not run, for it needs {because}", self.counter()));
                }
            }
            Event::Interrupting { running } => {
                let tasks = plural(*running, "running task");
                self.say(&format!("interrupted: {tasks} to save a checkpoint; press Ctrl-C again to kill"));
            }
        }
    }

    fn tick(&mut self) {
        for shown in self.tasks.values() {
            if let Some(bar) = &shown.bar {
                bar.tick();
            }
        }
        if let Some(bar) = &self.overall {
            if let Some(text) = self.outlook.as_mut().and_then(Forecast::tick) {
                bar.set_message(text);
            }
            bar.tick();
        }
    }
}

/// What is to be known of a remote store, as a line.
pub fn notice_text(remote: &str, notice: &Notice) -> String {
    match notice {
        Notice::Offline { message } => format!("note: {message}; going on without `{remote}`"),
        Notice::Refused { task, message } if task.is_empty() => {
            format!("note: records of `{remote}` are not used: {message}")
        }
        Notice::Refused { task, message } => {
            format!("note: records of `{remote}` are not used, that of {task} the first: {message}")
        }
        Notice::Unusable { message } => format!("note: {message}"),
        Notice::Differs { difference } => format!("warning: {}", difference_text(difference)),
        Notice::NotSent { task, message } => {
            format!("warning: {task}: not pushed to `{remote}`: {message}")
        }
    }
}

/// Two machines made different bytes of the same.
pub fn difference_text(Difference { task, key, outputs, kept, other }: &Difference) -> String {
    let of = |machine: &Machine| format!("`{}` (run {})", machine.host, machine.run);
    let outputs: Vec<String> = outputs.iter().map(|output| format!("`{output}`")).collect();
    format!(
        "{task} is not reproducible: {} of key {} has other bytes from {} than from {}; the first is kept",
        outputs.join(", "),
        key.short(),
        of(other),
        of(kept)
    )
}

/// The last lines of a log; none where it cannot be read.
fn log_tail(path: &Path) -> Vec<String> {
    File::open(path).and_then(|mut file| tail::last_lines(&mut file, TAIL, TAIL_BYTES)).unwrap_or_default()
}
