//! Walks through every transition of a task.

use crate::pipeline::builder::Pipeline;
use crate::run::requests::{self, Asked};
use crate::run::state::{Phase, TRANSITIONS};
use crate::run::tests::{Project, WALKED, Way, stage};
use crate::store::locks::Lock;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::Ordering;

use Phase::{
    Cached, Elsewhere, Executed, Failed, Interrupted, NotRun, Ready, Retrying, Running, Skipped, Waiting,
};

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

/// The same without the moments in which a program that another test is starting still holds the lock that this one gave back.
fn own_way_of(number: usize) -> Vec<Phase> {
    let mut way = way_of(number);
    way.retain(|phase| *phase != Elsewhere);
    way.dedup();
    way
}

fn forget_way() {
    WALKED.with_borrow_mut(Vec::clear);
}

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
    assert_eq!(own_way_of(1), [Waiting, Ready, Running, Ready, Running, Executed]);
    // There is an end to it.
    let mut project = chain();
    project.way("b", &[Way::LosesInput, Way::LosesInput]);
    forget_way();
    project.run();
    assert_eq!(own_way_of(1), [Waiting, Ready, Running, Ready, Running, Failed]);
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
