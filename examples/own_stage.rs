//! A program with a stage kind and a pipeline of its own: throws dice, counts the throws with awk, and reads the counts back.
//!
//! `cargo run --release --example own_stage`; a second time, everything is cached.

use onsager::kind::context::Context;
use onsager::kind::stage::{Checks, Inputs, Issue, Output, Stage, StageError};
use onsager::pipeline::builder::{Pipeline, StageEntry};
use onsager::random::Streams;
use onsager::run::events::{Event, Observer};
use onsager::run::options::Options;
use onsager::run::state::TaskState;
use onsager::run::{session, workers};
use onsager::store::Store;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

// What the kinds of this package are built from, as `build.rs` has written it down.
onsager::fingerprints!();

/// The parameters of the kind `dice`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DiceParams {
    /// How often the die is thrown.
    throws: u64,
    /// How many faces it has.
    #[serde(default = "six")]
    faces: u64,
    /// Selects the random stream.
    #[serde(default)]
    seed: u64,
}

fn six() -> u64 {
    6
}

/// Throws a die.
struct Dice;

impl Stage for Dice {
    type Params = DiceParams;

    const KIND: &'static str = "dice";
    const SUMMARY: &'static str = "Throws a die, one throw a line.";

    fn inputs() -> Inputs {
        Inputs::none()
    }

    fn outputs(_: &DiceParams) -> Vec<Output> {
        vec![Output::file("throws", "throws.txt", "the number of each throw")]
    }

    fn check(params: &DiceParams) -> Vec<Issue> {
        let mut checks = Checks::default();
        checks.ensure(params.faces > 0, "faces", || "must be positive, but is 0".into());
        checks.0
    }

    fn run(params: &DiceParams, ctx: &Context) -> Result<(), StageError> {
        let mut stream = Streams::new(params.seed, "dice").stream(0);
        let mut text = String::new();
        for throw in 0..params.throws {
            writeln!(text, "{}", 1 + stream.below(params.faces))?;
            if throw % 1000 == 0 {
                ctx.progress(throw, params.throws, "throws");
                if ctx.cancelled() {
                    return Err(StageError::Cancelled);
                }
            }
        }
        fs::write(ctx.output("throws")?, text)?;
        Ok(())
    }
}

/// Tells what a run does, a line for each end of a task.
struct Lines;

impl Observer for Lines {
    fn event(&mut self, event: &Event) {
        match event {
            Event::TaskFinished { task, .. } => println!("executed {task}"),
            Event::TaskFailed { task, message, .. } => println!("failed {task}: {message}"),
            _ => {}
        }
    }
}

fn main() -> ExitCode {
    let mut registry = onsager::builtin();
    // The digest of the kind's code, found by the build script: changed code computes its results anew.
    registry.add::<Dice>(fingerprints::of("dice"));
    // Tasks run in processes of this very program.
    if let Some(code) = workers::worker(&registry) {
        return code;
    }
    match run(&registry) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(registry: &onsager::kind::registry::Registry) -> Result<ExitCode, Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).unwrap_or("artifacts".into()));
    let graph = Pipeline::new("dice")
        .param("throws", 6000)
        .stage(
            StageEntry::new("throw", "dice")
                .axis("seed", [1, 2])
                .param("throws", "${params.throws}")
                .param("seed", "${matrix.seed}"),
        )
        .stage(
            StageEntry::command(
                "count",
                "sort ${inputs.throws} | uniq -c | awk '{print $2, $1}' > ${outputs.counts}",
            )
            .input("throws", "throw.throws")
            .output("counts", "counts.txt"),
        )
        .graph(&std::env::current_dir()?, registry)?;
    let store = Store::open(&folder)?;
    let options = Options { interrupts: workers::interrupts()?, ..Options::all(&graph) };
    let summary = session::run(&graph, registry, &store, &options, &mut Lines)?;

    let cached = summary.count(|state| matches!(state, TaskState::Cached { .. }));
    println!("{cached} of {} tasks cached", graph.tasks.len());
    for number in graph.select("count")? {
        if summary.outputs[number].is_none() {
            return Ok(ExitCode::FAILURE);
        }
        let path = session::output(&graph, &store, &graph.tasks[number], "counts");
        print!("{}", fs::read_to_string(path.ok_or("the stage has no output `counts`")?)?);
    }
    Ok(ExitCode::SUCCESS)
}
