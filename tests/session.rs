//! Sessions for programs of one's own: they run a pipeline's file, see when nothing has changed, and watch it.
//!
//! Its workers are this program itself, so it has no test harness.

mod common;

use common::Project;
use onsager::kind::registry::Registry;
use onsager::pipeline::yaml::diagnostics::Diagnostics;
use onsager::run::error::SessionError;
use onsager::run::events::{Event, Observer};
use onsager::run::outcome::{Finished, Outcome, Watcher};
use onsager::run::session::Session;
use onsager::run::settings::{Request, Settings};
use onsager::run::state::{Phase, TaskState};
use onsager::run::workers;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const PIPELINE: &str = "\
name: words
params: {word: hello}
stages:
  say:
    kind: command
    run: echo ${params.word} > ${outputs.text}
    outputs: {text: said.txt}
  join:
    kind: command
    inputs: {text: say, more: {file: more.txt}}
    run: cat ${inputs.text} ${inputs.more} > ${outputs.text}
    outputs: {text: joined.txt}
";

fn main() -> ExitCode {
    let registry = onsager::builtin();
    if let Some(code) = workers::worker(&registry) {
        return code;
    }
    runs_and_sees_that_nothing_has_changed(&registry);
    tells_what_is_wrong(&registry);
    watches(&registry);
    println!("session: 3 checks passed");
    ExitCode::SUCCESS
}

fn project() -> Project {
    let project = Project::new(PIPELINE);
    project.write("more.txt", "more\n");
    project
}

/// The names of the tasks that a run executed.
fn executed(finished: &Finished) -> Vec<&str> {
    let tasks = finished.graph.tasks.iter().zip(&finished.summary.states);
    let executed = |state: &Option<TaskState>| state.as_ref().map(TaskState::phase) == Some(Phase::Executed);
    tasks.filter(|(_, state)| executed(state)).map(|(task, _)| task.id.as_str()).collect()
}

/// Hears events, and does nothing with them.
struct Silent;

impl Observer for Silent {
    fn event(&mut self, _: &Event) {}
}

fn runs_and_sees_that_nothing_has_changed(registry: &Registry) {
    let project = project();
    let file = project.path("pipeline.yaml");
    let session = Session::open(&file, registry, Settings::default()).expect("a session");
    let finished = |request: &Request| match session.run(request, &mut Silent).expect("a run") {
        Outcome::Finished(finished) => finished,
        Outcome::Unchanged { .. } => panic!("something has changed"),
    };
    let only = Request { tasks: vec!["say".into()], ..Request::default() };
    assert_eq!(executed(&finished(&only)), ["say"]);
    assert_eq!(executed(&finished(&Request::default())), ["join"]);
    // Files that were just written may be written again within the same tick of the clock, so the first look may be the whole one.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let _ = session.run(&Request::default(), &mut Silent).expect("a run");
    match session.run(&Request::default(), &mut Silent).expect("a run") {
        Outcome::Unchanged { name, tasks, .. } => assert_eq!((name.as_str(), tasks), ("words", 2)),
        Outcome::Finished(_) => panic!("nothing has changed"),
    }
    let all = Request { look_at_all: true, ..Request::default() };
    assert_eq!(finished(&all).summary.count(|state| state.phase() == Phase::Cached), 2);
    // A setting is another pipeline, with results of its own.
    let sets = vec!["word=bye".parse().expect("a setting")];
    let other = Session::open(&file, registry, Settings { sets, ..Settings::default() }).expect("a session");
    let Outcome::Finished(run) = other.run(&Request::default(), &mut Silent).expect("a run") else {
        panic!("the word has changed");
    };
    assert_eq!(executed(&run), ["say", "join"]);
    assert_eq!(project.read("artifacts/words/join/joined.txt"), "bye\nmore\n");
}

fn tells_what_is_wrong(registry: &Registry) {
    let project = project();
    let session = |name: &str| Session::open(&project.path(name), registry, Settings::default());
    let wrong = |name: &str, request: &Request| {
        session(name).expect("a session").run(request, &mut Silent).err().expect("an error")
    };
    let missing = wrong("none.yaml", &Request::default());
    assert!(matches!(missing, SessionError::Pipeline(Diagnostics { .. })), "{missing}");
    let request = Request { tasks: vec!["sya".into()], ..Request::default() };
    let unknown = wrong("pipeline.yaml", &request).to_string();
    assert_eq!(unknown, "the pipeline has no stage `sya`; did you mean `say`?");
    let request = Request { tasks: vec!["say".into()], force: vec!["join".into()], ..Request::default() };
    let left_out = wrong("pipeline.yaml", &request).to_string();
    assert_eq!(left_out, "`--force join` names a task that is not to be run");
}

/// Edits a file whenever the session waits, and ends it after three runs.
struct Editor<'p> {
    project: &'p Project,
    runs: Vec<Vec<String>>,
    errors: usize,
    changed: Vec<String>,
    waits: usize,
    interrupts: Arc<AtomicUsize>,
}

impl Observer for Editor<'_> {
    fn event(&mut self, _: &Event) {}
}

impl Watcher for Editor<'_> {
    fn ended(&mut self, outcome: Result<&Finished, &SessionError>) {
        match outcome {
            Ok(finished) => self.runs.push(executed(finished).into_iter().map(str::to_owned).collect()),
            Err(_) => self.errors += 1,
        }
    }

    fn waiting(&mut self) {
        self.waits += 1;
        match self.waits {
            1 => self.project.write("more.txt", "some more\n"),
            2 => self.project.write("pipeline.yaml", "name: broken"),
            3 => self.project.write("pipeline.yaml", &PIPELINE.replace("word: hello", "word: hi")),
            _ => self.interrupts.store(1, Ordering::Relaxed),
        }
    }

    fn changed(&mut self, path: &Path) {
        self.changed.push(path.file_name().expect("a name").to_string_lossy().into_owned());
    }
}

fn watches(registry: &Registry) {
    let project = project();
    let session =
        Session::open(&project.path("pipeline.yaml"), registry, Settings::default()).expect("a session");
    let request = Request::default();
    let interrupts = request.interrupts.clone();
    let mut editor =
        Editor { project: &project, runs: vec![], errors: 0, changed: vec![], waits: 0, interrupts };
    session.watch(&request, &mut editor);
    assert_eq!(editor.runs, [vec!["say", "join"], vec!["join"], vec!["say", "join"]]);
    assert_eq!(editor.errors, 1);
    assert_eq!(editor.changed, ["more.txt", "pipeline.yaml"]);
    assert_eq!(project.read("artifacts/words/join/joined.txt"), "hi\nsome more\n");
}
