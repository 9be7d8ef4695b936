//! A run ends, whatever happens in it: random graphs whose tasks share keys, with failures of every kind.

use crate::pipeline::builder::Pipeline;
use crate::run::options::Summary;
use crate::run::state::Phase;
use crate::run::tests::{Project, Way, stage};
use proptest::prelude::*;
use serde_json::json;
use std::collections::HashSet;
use std::fs;
use std::sync::atomic::Ordering;

/// More waits than any of these runs needs: each task ends after at most three attempts.
const WAITS: usize = 3_000;

/// A stage of a random pipeline.
#[derive(Debug, Clone)]
struct Shape {
    /// Which of the stages before it reads, as bits; and whether it reads the instance that matches, where it reads one.
    ups: u16,
    matching: bool,
    /// The values of its axis, which its key does not hold: its instances share one. Without it, it has no matrix.
    axis: usize,
    /// It has the same command as every other stage that is like this.
    common: bool,
    /// It fans out over what the first stage makes.
    fans: bool,
    retries: usize,
}

/// What goes wrong in a run.
#[derive(Debug, Clone)]
struct Trouble {
    keep_going: bool,
    jobs: usize,
    /// How attempts at tasks go, by the number of the task.
    ways: Vec<(usize, Vec<Way>)>,
    /// Tasks whose outputs cannot be shown: a file is where their folder should be.
    blocked: Vec<usize>,
    /// Tasks whose bytes are gone, from the store and from the view.
    lost: Vec<usize>,
    forced: Vec<usize>,
    /// At which wait Ctrl-C is pressed, and again.
    interrupts: Vec<usize>,
    /// A task that another run has until this wait.
    elsewhere: Option<(usize, usize)>,
}

fn shape() -> impl Strategy<Value = Shape> {
    (any::<u16>(), any::<bool>(), 0..4usize, any::<bool>(), prop::bool::weighted(0.2), 0..2usize).prop_map(
        |(ups, matching, axis, common, fans, retries)| Shape { ups, matching, axis, common, fans, retries },
    )
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let way = prop_oneof![Just(Way::Done), Just(Way::Fails), Just(Way::LosesInput)];
    let some = || prop::collection::vec(0..24usize, 0..4);
    let ways = prop::collection::vec((0..24usize, prop::collection::vec(way, 1..4)), 0..6);
    let interrupts = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(1..12usize, 1..3)];
    let elsewhere = prop::option::of((0..24usize, 1..6usize));
    (any::<bool>(), 1..4usize, ways, some(), some(), some(), interrupts, elsewhere).prop_map(
        |(keep_going, jobs, ways, blocked, lost, forced, interrupts, elsewhere)| Trouble {
            keep_going,
            jobs,
            ways,
            blocked,
            lost,
            forced,
            interrupts,
            elsewhere,
        },
    )
}

fn project(shapes: &[Shape]) -> Project {
    let first = stage("s0").field("outputs", json!({"text": "text.txt", "rows": "rows.csv"}));
    let mut pipeline = Pipeline::new("random").stage(first);
    for (at, shape) in shapes.iter().enumerate() {
        let (at, name) = (at + 1, format!("s{}", at + 1));
        let mut entry = stage(&name);
        if shape.common {
            entry = entry.field("run", json!("echo common > ${outputs.text}"));
        }
        for up in (0..at).filter(|up| shape.ups >> up & 1 == 1) {
            let matching = if shape.matching { "[matching]" } else { "" };
            // Under one name all that they read is one input: so stages with the same command may share a key.
            entry = match shape.common {
                true => entry.input("i", &format!("s{up}.text")),
                false => {
                    entry.input(&format!("i{up}"), &format!("s{up}{}.text", shared(shapes, at, up, matching)))
                }
            };
        }
        if shape.axis > 0 {
            entry = entry.axis("x", 0..shape.axis);
        }
        if shape.fans {
            entry = entry.field("matrix", json!({"part": {"from": "s0.rows"}}));
        }
        if shape.retries > 0 {
            entry = entry.field("resources", json!({"retries": {"times": shape.retries, "wait": "0.001s"}}));
        }
        pipeline = pipeline.stage(entry);
    }
    Project::new(pipeline)
}

/// `[matching]` where the two stages have the same axis with the same values, else nothing.
fn shared<'m>(shapes: &[Shape], at: usize, up: usize, matching: &'m str) -> &'m str {
    let axis = |at: usize| at.checked_sub(1).map(|at| (shapes[at].fans, shapes[at].axis));
    match (axis(at), axis(up)) {
        (Some((true, _)), Some((true, _))) => matching,
        (Some((false, own)), Some((false, other))) if own == other && own > 0 => matching,
        _ => "",
    }
}

/// One run with all of its trouble. It panics where the run does not end.
fn run(project: &mut Project, trouble: &Trouble) -> Summary {
    let tasks = project.graph.tasks.len();
    let task = |number: usize| number % tasks;
    project.forget_ways();
    project.options.keep_going = trouble.keep_going;
    project.options.jobs = trouble.jobs;
    project.options.forced = trouble.forced.iter().copied().map(task).collect::<HashSet<_>>();
    for (number, ways) in &trouble.ways {
        let of = &project.graph.tasks[task(*number)];
        let reads = of.suppliers().next().is_some();
        let id = of.id.clone();
        let ways: Vec<Way> = ways
            .iter()
            .copied()
            .map(|way| if reads || way != Way::LosesInput { way } else { Way::Fails })
            .collect();
        project.way(&id, &ways);
    }
    let view = project.store.artifacts().join("random");
    for number in &trouble.lost {
        let of = &project.graph.tasks[task(*number)];
        let shown = project.store.view("random").unwrap();
        for output in shown.shown(&of.id).iter().flat_map(|shown| &shown.outputs) {
            let _ = fs::remove_file(project.store.objects().path(&output.content.digest));
        }
        let _ = fs::remove_dir_all(view.join(&of.folder));
    }
    for number in &trouble.blocked {
        let folder = view.join(&project.graph.tasks[task(*number)].folder);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.parent().unwrap()).ok();
        let _ = fs::write(folder, "in the way");
    }
    let free = |number: &usize| project.graph.tasks[*number].suppliers().next().is_none();
    let elsewhere = trouble.elsewhere.map(|(number, until)| (task(number), until)).filter(|(at, _)| free(at));
    let mut lock = elsewhere.and_then(|(at, _)| project.store.try_lock(&project.key(at)).unwrap());
    let interrupts = project.options.interrupts.clone();
    interrupts.store(0, Ordering::Relaxed);
    let summary = project.run_meanwhile(|waits, _| {
        assert!(waits < WAITS, "the run does not end");
        if elsewhere.is_some_and(|(_, until)| waits >= until) {
            lock = None;
        }
        let pressed = trouble.interrupts.iter().filter(|at| waits >= **at).count();
        interrupts.store(pressed, Ordering::Relaxed);
    });
    for number in &trouble.blocked {
        let _ = fs::remove_file(view.join(&project.graph.tasks[task(*number)].folder));
    }
    summary
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever happens in two runs, they end, and every task in a final state; and a run without trouble after them does all.
    #[test]
    fn every_run_ends(shapes in prop::collection::vec(shape(), 1..6), first in trouble(), second in trouble()) {
        let mut project = project(&shapes);
        for trouble in [&first, &second] {
            let summary = run(&mut project, trouble);
            prop_assert!(summary.states.iter().flatten().all(|state| state.phase().is_final()));
        }
        project.forget_ways();
        let summary = project.run_meanwhile(|waits, _| assert!(waits < WAITS, "the run does not end"));
        let done = |phase: Phase| matches!(phase, Phase::Cached | Phase::Executed | Phase::Skipped);
        prop_assert!(summary.states.iter().flatten().all(|state| done(state.phase())), "{:?}", summary.states);
    }
}
