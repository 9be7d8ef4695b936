//! Walks through every transition of a task, with an executor that runs no processes.

use crate::builtin;
use crate::pipeline::builder::{Pipeline, StageEntry};
use crate::pipeline::graph::Graph;
use crate::plan::resolve::Resolver;
use crate::run::drive::{self, Outside};
use crate::run::events::{Event, Observer};
use crate::run::growth::FromGraph;
use crate::run::options::{Options, Summary};
use crate::run::requests::{self, Asked};
use crate::run::state::{Phase, TRANSITIONS};
use crate::store::Store;
use crate::store::actions::{Action, KeyCheck};
use crate::store::digest::Digest;
use crate::store::locks::Lock;
use crate::store::material::Material;
use crate::store::objects::{Content, Outputs};
use crate::worker::executor::Executor;
use crate::worker::protocol::{Assignment, FromWorker, Outcome, Report};
use proptest::prelude::*;
use serde_json::json;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tempfile::TempDir;

thread_local! {
    /// The transitions of the runs of this test: task, from, to.
    pub static WALKED: RefCell<Vec<(usize, Phase, Phase)>> = const { RefCell::new(Vec::new()) };
}

/// How an attempt at a task goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Way {
    /// It writes its outputs.
    Done,
    Fails,
    /// It goes on until it is cancelled, and saves a checkpoint then.
    UntilCancelled,
    /// The object of its first input is damaged.
    LosesInput,
}

/// What a test does while the scheduler waits; it is told how often that happened.
pub(super) type Meanwhile<'t> = Box<dyn FnMut(usize, &mut Project) + 't>;

/// A project with a store; tasks run as its script says.
pub(super) struct Project {
    pub(super) folder: TempDir,
    pub(super) store: Store,
    pub(super) options: Options,
    pub(super) graph: Graph,
    /// The ways of the next attempts at a task; without any it is done.
    ways: HashMap<String, VecDeque<Way>>,
}

/// Runs tasks in this process.
struct Fake<'p, 't> {
    project: &'p mut Project,
    reports: VecDeque<Report>,
    hanging: Vec<usize>,
    waits: usize,
    meanwhile: Meanwhile<'t>,
}

impl Executor for Fake<'_, '_> {
    fn start(&mut self, assignment: Assignment) -> io::Result<()> {
        let ways = self.project.ways.get_mut(&assignment.task);
        let outcome = match ways.and_then(VecDeque::pop_front).unwrap_or(Way::Done) {
            Way::Done => Outcome::Done { outputs: self.project.make(&assignment), seconds: 0.5, usage: None },
            Way::Fails => Outcome::Failed { message: "it fails".into(), help: None },
            Way::LosesInput => {
                Outcome::InputLost { object: assignment.inputs[0].1[0].content.unwrap().digest }
            }
            Way::UntilCancelled => {
                self.hanging.push(assignment.number);
                return Ok(());
            }
        };
        self.reports.push_back(Report { number: assignment.number, message: FromWorker::Ended(outcome) });
        Ok(())
    }

    fn next(&mut self, _: Duration) -> Option<Report> {
        self.waits += 1;
        (self.meanwhile)(self.waits, self.project);
        let report = self.reports.pop_front();
        if report.is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        report
    }

    fn cancel(&mut self) {
        let ended = |number| Report { number, message: FromWorker::Ended(Outcome::Interrupted) };
        self.reports.extend(self.hanging.drain(..).map(ended));
    }

    fn stop(&mut self, number: usize) {
        if self.hanging.contains(&number) {
            self.hanging.retain(|hanging| *hanging != number);
            self.reports.push_back(Report { number, message: FromWorker::Ended(Outcome::Interrupted) });
        }
    }

    fn kill(&mut self, number: usize) {
        let outcome = Outcome::Failed { message: "killed".into(), help: None };
        self.hanging.retain(|hanging| *hanging != number);
        self.reports.push_back(Report { number, message: FromWorker::Ended(outcome) });
    }
}

struct Silent;

impl Observer for Silent {
    fn event(&mut self, _: &Event) {}
}

impl Project {
    pub(super) fn new(pipeline: Pipeline) -> Project {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("input"), "one").unwrap();
        let graph = pipeline.graph(folder.path(), &builtin()).unwrap();
        let store = Store::open(&folder.path().join("artifacts")).unwrap();
        let options = Options { jobs: 1, ..Options::all(&graph) };
        Project { folder, store, options, graph, ways: HashMap::new() }
    }

    pub(super) fn way(&mut self, task: &str, ways: &[Way]) {
        self.ways.insert(task.to_owned(), ways.iter().copied().collect());
    }

    pub(super) fn forget_ways(&mut self) {
        self.ways.clear();
        self.options = Options { jobs: 1, ..Options::all(&self.graph) };
    }

    /// Writes the outputs of a task: its name and the digests of its inputs.
    fn make(&self, assignment: &Assignment) -> Outputs {
        let out = assignment.work.join("out");
        fs::create_dir_all(&out).unwrap();
        let text = format!("{} {:?}", assignment.task, assignment.inputs);
        let text = text.replace(assignment.work.to_str().unwrap(), "");
        let outputs = assignment.outputs.iter().map(|output| {
            // What is fanned out over has two rows.
            let text = if output.name == "rows" { "id\none\ntwo\n" } else { &text };
            fs::write(out.join(&output.file), text).unwrap();
            (output.name.clone(), self.store.objects().take(&out.join(&output.file), &out).unwrap())
        });
        outputs.collect()
    }

    pub(super) fn run(&mut self) -> Summary {
        self.run_meanwhile(|_, _| {})
    }

    pub(super) fn run_meanwhile<'t>(&mut self, meanwhile: impl FnMut(usize, &mut Project) + 't) -> Summary {
        let (graph, store, registry) = (self.graph.clone(), self.store.clone(), builtin());
        let all = Options::all(&graph);
        let options = Options {
            interrupts: self.options.interrupts.clone(),
            ..std::mem::replace(&mut self.options, all)
        };
        let name = format!("run-{}", fs::read_dir(store.runs()).unwrap().count());
        let resolver = Resolver::new(&graph, &registry, &store, options.kernel).unwrap();
        let mut growing = FromGraph { graph: &graph, registry: &registry };
        let mut fake = Fake {
            project: self,
            reports: VecDeque::new(),
            hanging: Vec::new(),
            waits: 0,
            meanwhile: Box::new(meanwhile),
        };
        let outside =
            Outside { executor: &mut fake, observer: &mut Silent, grow: &mut growing, elsewhere: None };
        let ended = drive::run(resolver, &store, &options, &name, outside).unwrap();
        ended.summary
    }

    /// The key of a task none of whose inputs is made by another one.
    pub(super) fn key(&self, number: usize) -> Digest {
        let registry = builtin();
        let mut resolver = Resolver::new(&self.graph, &registry, &self.store, self.options.kernel).unwrap();
        resolver.key(number, &|_| None).unwrap().unwrap()
    }

    /// What another run does that has the lock of a task: it keeps a result.
    fn keep_result(&self, number: usize) {
        let task = &self.graph.tasks[number];
        let file = self.folder.path().join("made-elsewhere");
        fs::write(&file, "made elsewhere").unwrap();
        let content = self.store.objects().take(&file, self.folder.path()).unwrap();
        let outputs = task.outputs.iter().map(|output| (output.name.clone(), content)).collect();
        let (key, id) = (self.key(number), task.id.clone());
        let action = Action::new(key, id, "another".into(), 1.0, outputs);
        self.store.actions().put(&action).unwrap();
    }

    /// Removes the bytes of a result, from the store and from the view.
    fn lose(&self, number: usize, summary_outputs: &[Content]) {
        for content in summary_outputs {
            fs::remove_file(self.store.objects().path(&content.digest)).unwrap();
        }
        let folder = self.store.artifacts().join(&self.graph.name).join(&self.graph.tasks[number].folder);
        fs::remove_dir_all(folder).unwrap();
    }

    /// Puts a file where the folder of the outputs should be.
    fn block_view(&self) {
        let folder = self.store.artifacts().join(&self.graph.name);
        let _ = fs::remove_dir_all(&folder);
        fs::write(folder, "in the way").unwrap();
    }
}

pub(super) fn stage(name: &str) -> StageEntry {
    StageEntry::command(name, &format!("echo {name} > ${{outputs.text}}")).output("text", "text.txt")
}

/// `a`, and `b` that reads what it makes.
fn chain() -> Project {
    Project::new(Pipeline::new("chain").stage(stage("a")).stage(stage("b").input("text", "a")))
}

/// One task, `a`.
fn single() -> Project {
    Project::new(Pipeline::new("single").stage(stage("a")))
}

/// One task, which is tried twice.
fn stubborn(wait: &str) -> Project {
    let retries = json!({"retries": {"times": 1, "wait": wait}});
    Project::new(Pipeline::new("stubborn").stage(stage("a").field("resources", retries)))
}

/// The states that a task went through in the runs so far.
fn way_of(number: usize) -> Vec<Phase> {
    WALKED.with_borrow(|walked| {
        let own = walked.iter().filter(|(task, ..)| *task == number);
        let mut way: Vec<Phase> = own.flat_map(|(_, from, to)| [*from, *to]).collect();
        way.dedup();
        way
    })
}

fn forget_way() {
    WALKED.with_borrow_mut(Vec::clear);
}

use Phase::{
    Cached, Elsewhere, Executed, Failed, Interrupted, NotRun, Ready, Retrying, Running, Skipped, Waiting,
};

#[test]
fn executes_what_has_no_result() {
    chain().run();
    assert_eq!(way_of(0), [Waiting, Ready, Running, Executed]);
    assert_eq!(way_of(1), [Waiting, Ready, Running, Executed]);
}

#[test]
fn takes_results_that_are_there() {
    let mut project = chain();
    project.run();
    forget_way();
    let summary = project.run();
    assert_eq!(way_of(0), [Waiting, Cached]);
    assert_eq!(way_of(1), [Waiting, Cached]);
    assert_eq!(summary.count(|state| state.phase() == Cached), 2);
}

#[test]
fn fails_without_its_input() {
    let mut project = Project::new(Pipeline::new("single").stage(stage("a").file("text", "input")));
    fs::remove_file(project.folder.path().join("input")).unwrap();
    project.run();
    assert_eq!(way_of(0), [Waiting, Failed]);
}

#[test]
fn skips_what_is_not_to_run() {
    let never = stage("b").field("when", json!("false"));
    let pipeline = Pipeline::new("three").stage(stage("a")).stage(never).stage(stage("c").input("text", "b"));
    let mut project = Project::new(pipeline);
    let summary = project.run();
    assert_eq!(way_of(0), [Waiting, Ready, Running, Executed]);
    assert_eq!(way_of(1), [Waiting, Skipped]);
    assert_eq!(way_of(2), [Waiting, Skipped]);
    assert_eq!(summary.count(|state| state.phase() == Skipped), 2);
}

#[test]
fn skips_what_needs_a_failed_task() {
    let mut project = chain();
    project.way("a", &[Way::Fails]);
    project.run();
    assert_eq!(way_of(0), [Waiting, Ready, Running, Failed]);
    assert_eq!(way_of(1), [Waiting, NotRun]);
}

#[test]
fn skips_what_is_ready_when_the_run_stops() {
    let mut project = Project::new(Pipeline::new("two").stage(stage("a")).stage(stage("b")));
    project.options.jobs = 1;
    project.way("a", &[Way::Fails]);
    project.run();
    assert_eq!(way_of(1), [Waiting, Ready, NotRun]);
}

#[test]
fn waits_for_another_run_and_takes_its_result() {
    let mut project = single();
    let mut lock: Option<Lock> = project.store.try_lock(&project.key(0)).unwrap();
    project.run_meanwhile(|waits, project| {
        if waits == 3 {
            project.keep_result(0);
            lock = None;
        }
    });
    assert_eq!(way_of(0), [Waiting, Ready, Elsewhere, Ready, Cached]);
}

#[test]
fn executes_what_another_run_gave_up() {
    let mut project = single();
    let mut lock: Option<Lock> = project.store.try_lock(&project.key(0)).unwrap();
    project.run_meanwhile(|waits, _| {
        if waits == 3 {
            lock = None;
        }
    });
    assert_eq!(way_of(0), [Waiting, Ready, Elsewhere, Ready, Running, Executed]);
}

#[test]
fn skips_what_another_run_has_when_it_is_interrupted() {
    let mut project = single();
    let _lock = project.store.try_lock(&project.key(0)).unwrap();
    let interrupts = project.options.interrupts.clone();
    project.run_meanwhile(|waits, _| interrupts.store(usize::from(waits >= 3), Ordering::Relaxed));
    assert_eq!(way_of(0), [Waiting, Ready, Elsewhere, NotRun]);
}

#[test]
fn fails_where_a_result_cannot_be_shown() {
    let mut project = single();
    let mut lock: Option<Lock> = project.store.try_lock(&project.key(0)).unwrap();
    project.run_meanwhile(|waits, project| {
        if waits == 3 {
            project.keep_result(0);
            project.block_view();
            lock = None;
        }
    });
    assert_eq!(way_of(0), [Waiting, Ready, Elsewhere, Ready, Failed]);
}

#[test]
fn makes_again_what_was_cached_and_lost() {
    let mut project = chain();
    let first = project.run();
    project.lose(0, first.outputs[0].as_ref().unwrap());
    project.options.forced.insert(1);
    forget_way();
    project.run();
    assert_eq!(way_of(0), [Waiting, Cached, Ready, Running, Executed]);
    assert_eq!(way_of(1), [Waiting, Ready, Waiting, Ready, Running, Executed]);
}

#[test]
fn makes_again_what_was_executed_and_lost() {
    // `c` waits for `b` while the bytes of `a`, which it needs as well, get lost.
    let c = stage("c").input("first", "a").input("second", "b");
    let pipeline = Pipeline::new("lost").stage(stage("a")).stage(stage("b")).stage(c);
    let mut project = Project::new(pipeline);
    project.options.jobs = 1;
    let mut lost = false;
    project.run_meanwhile(|_, project| {
        let shown = project.store.view("lost").unwrap();
        let made = shown.shown("a").map(|shown| shown.outputs[0].content);
        if let Some(content) = made.filter(|_| !lost) {
            project.lose(0, &[content]);
            lost = true;
        }
    });
    assert!(lost);
    assert_eq!(way_of(0), [Waiting, Ready, Running, Executed, Ready, Running, Executed]);
    assert_eq!(way_of(2), [Waiting, Ready, Waiting, Ready, Running, Executed]);
}

#[test]
fn begins_again_when_an_input_was_damaged() {
    let mut project = chain();
    project.way("b", &[Way::LosesInput]);
    project.run();
    assert_eq!(way_of(1), [Waiting, Ready, Running, Ready, Running, Executed]);
    // There is an end to it.
    let mut project = chain();
    project.way("b", &[Way::LosesInput, Way::LosesInput]);
    forget_way();
    project.run();
    assert_eq!(way_of(1), [Waiting, Ready, Running, Ready, Running, Failed]);
}

#[test]
fn interrupts_what_is_running() {
    let mut project = single();
    project.way("a", &[Way::UntilCancelled]);
    let interrupts = project.options.interrupts.clone();
    let summary =
        project.run_meanwhile(|waits, _| interrupts.store(usize::from(waits >= 2), Ordering::Relaxed));
    assert_eq!(way_of(0), [Waiting, Ready, Running, Interrupted]);
    assert!(summary.interrupted);
}

#[test]
fn retries_what_failed() {
    let mut project = stubborn("1s");
    project.way("a", &[Way::Fails]);
    project.run();
    assert_eq!(way_of(0), [Waiting, Ready, Running, Retrying, Ready, Running, Executed]);
}

#[test]
fn interrupts_the_wait_for_a_retry() {
    let mut project = stubborn("1h");
    project.way("a", &[Way::Fails]);
    let interrupts = project.options.interrupts.clone();
    project.run_meanwhile(|waits, _| interrupts.store(usize::from(waits >= 3), Ordering::Relaxed));
    assert_eq!(way_of(0), [Waiting, Ready, Running, Retrying, Interrupted]);
}

#[test]
fn gives_up_a_retry_when_another_task_ends_the_run() {
    let retries = json!({"retries": {"times": 1, "wait": "1h"}});
    let pipeline = Pipeline::new("two").stage(stage("a").field("resources", retries)).stage(stage("b"));
    let mut project = Project::new(pipeline);
    project.options.jobs = 1;
    project.way("a", &[Way::Fails]);
    project.way("b", &[Way::Fails]);
    project.run();
    assert_eq!(way_of(0), [Waiting, Ready, Running, Retrying, Failed]);
}

/// Asks something of the run that goes on, once.
fn ask_once(asked: Asked) -> impl FnMut(usize, &mut Project) {
    let mut asked = Some(asked);
    move |_, project: &mut Project| {
        let run = fs::read_dir(project.store.work()).unwrap().flatten().next();
        if let Some(run) = run.filter(|_| asked.is_some()) {
            let name = run.file_name().into_string().unwrap();
            requests::ask(&project.store, &name, &asked.take().unwrap()).unwrap();
        }
    }
}

#[test]
fn cancels_one_task_on_request() {
    let mut project = chain();
    project.way("a", &[Way::UntilCancelled]);
    let summary = project.run_meanwhile(ask_once(Asked::Cancel { task: "a".into() }));
    assert_eq!(way_of(0), [Waiting, Ready, Running, Interrupted]);
    assert_eq!(way_of(1), [Waiting, NotRun]);
    assert!(summary.interrupted);
}

#[test]
fn begins_again_on_request() {
    let mut project = single();
    project.way("a", &[Way::UntilCancelled]);
    project.run_meanwhile(ask_once(Asked::Retry { task: "a".into() }));
    assert_eq!(way_of(0), [Waiting, Ready, Running, Ready, Running, Executed]);
}

/// Two tasks, of which the second goes on until it is cancelled.
fn two(first: Way) -> Project {
    let mut project = Project::new(Pipeline::new("two").stage(stage("a")).stage(stage("b")));
    project.options.jobs = 2;
    project.options.keep_going = true;
    project.way("a", &[first]);
    project.way("b", &[Way::UntilCancelled]);
    project
}

#[test]
fn tries_again_what_failed_on_request() {
    let mut project = two(Way::Fails);
    let mut again = ask_once(Asked::Retry { task: "a".into() });
    let mut end = ask_once(Asked::Cancel { task: "b".into() });
    let summary = project.run_meanwhile(move |waits, project| {
        // The second request is heard after the first.
        if waits > 2 {
            again(waits, project);
            end(waits, project);
        }
    });
    assert_eq!(way_of(0), [Waiting, Ready, Running, Failed, Waiting, Ready, Running, Executed]);
    assert_eq!(summary.count(|state| state.phase() == Failed), 0);
}

#[test]
fn tries_again_what_was_cancelled_on_request() {
    let mut project = two(Way::UntilCancelled);
    let mut asked = [
        ask_once(Asked::Cancel { task: "a".into() }),
        ask_once(Asked::Retry { task: "a".into() }),
        ask_once(Asked::Cancel { task: "b".into() }),
    ];
    project.run_meanwhile(move |waits, project| {
        // Each is heard before the next is asked: a wait takes a millisecond, and the run looks five times a second.
        if let Some(ask) = asked.get_mut(waits / 400) {
            ask(waits, project);
        }
    });
    assert_eq!(way_of(0), [Waiting, Ready, Running, Interrupted, Waiting, Ready, Running, Executed]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// In random graphs, with results from earlier runs or without, the key that is explained is the key that the run used; other
    /// lines stand for another key, and the same lines for the same one.
    #[test]
    fn the_explained_key_is_the_key_that_a_run_used(
        stages in prop::collection::vec((any::<u16>(), 0..3usize, prop::option::of("[ -~]{0,6}"), any::<bool>()), 1..7)
    ) {
        let mut pipeline = Pipeline::new("random");
        for (at, (ups, axis, env, file)) in stages.iter().enumerate() {
            let mut entry = stage(&format!("s{at}"));
            for up in (0..at).filter(|up| ups >> up & 1 == 1) {
                entry = entry.input(&format!("i{up}"), &format!("s{up}"));
            }
            if *axis > 0 {
                entry = entry.axis("x", (0..*axis).map(|x| if x % 2 == 0 { json!(0.1 * x as f64) } else { json!("word") }));
            }
            if let Some(env) = env {
                // A dollar sign would begin a reference.
                entry = entry.field("env", json!({"A.B": env.replace('$', "S"), "N": 1.5e-9}));
            }
            if *file {
                entry = entry.file("file", "input");
            }
            pipeline = pipeline.stage(entry);
        }
        let mut project = Project::new(pipeline);
        for _ in 0..2 {
            let summary = project.run();
            let registry = builtin();
            let mut resolver =
                Resolver::new(&project.graph, &registry, &project.store, project.options.kernel).unwrap();
            let outputs = |number: usize| summary.outputs[number].as_deref();
            let mut by_lines: HashMap<Vec<(String, String)>, Digest> = HashMap::new();
            let mut keys = BTreeSet::new();
            for (number, state) in summary.states.iter().enumerate() {
                let used = state.as_ref().unwrap().result().unwrap();
                let explained = resolver.explain(number, &outputs).unwrap();
                prop_assert_eq!(explained.key, Some(used));
                prop_assert_eq!(resolver.key(number, &outputs).unwrap(), Some(used));
                prop_assert_eq!(*by_lines.entry(explained.material.lines()).or_insert(used), used);
                keys.insert(used);
                // What the record of the result says it was made of is the same.
                let action = project.store.actions().get(&used).unwrap().unwrap();
                prop_assert_eq!(action.check_key(), KeyCheck::Right);
                prop_assert_eq!(&action.preimage, &explained.material);
                let read: Material = serde_json::from_str(&serde_json::to_string(&action.preimage).unwrap()).unwrap();
                prop_assert_eq!(read, explained.material);
            }
            prop_assert_eq!(by_lines.len(), keys.len());
        }
    }
}

/// Together, the tests above walk through everything; this one has all the scripts that are needed once more, in one thread.
#[test]
fn every_transition_is_walked() {
    let mut seen = BTreeSet::new();
    let tests = [
        executes_what_has_no_result,
        takes_results_that_are_there,
        fails_without_its_input,
        skips_what_needs_a_failed_task,
        skips_what_is_ready_when_the_run_stops,
        waits_for_another_run_and_takes_its_result,
        executes_what_another_run_gave_up,
        skips_what_another_run_has_when_it_is_interrupted,
        fails_where_a_result_cannot_be_shown,
        skips_what_is_not_to_run,
        makes_again_what_was_cached_and_lost,
        makes_again_what_was_executed_and_lost,
        begins_again_when_an_input_was_damaged,
        interrupts_what_is_running,
        retries_what_failed,
        interrupts_the_wait_for_a_retry,
        gives_up_a_retry_when_another_task_ends_the_run,
        tries_again_what_failed_on_request,
        tries_again_what_was_cancelled_on_request,
    ];
    for test in tests {
        forget_way();
        test();
        WALKED.with_borrow(|walked| seen.extend(walked.iter().map(|(_, from, to)| (*from, *to))));
    }
    assert_eq!(seen, TRANSITIONS.into_iter().collect::<BTreeSet<_>>());
}
