//! Floats reach a stage bit for bit, from wherever a parameter can come: the pipeline's file, a parameters file, `--set`, a random sweep.
//!
//! The program of this test is the whole command line with one more kind, `bits`, which writes the bits of the numbers that it was
//! given. So it has no test harness: it runs itself as `onsager`, and its workers are itself again.

mod common;

use common::Project;
use onsager::kind::context::Context;
use onsager::kind::stage::{Inputs, Output, Stage, StageError};
use onsager::pipeline::experiments::sweep::distribution::Distribution;
use onsager::pipeline::yaml::node::Yaml;
use onsager::random::Streams;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::process::{Command, ExitCode};

/// Set for the processes that are to be the command line.
const COMMAND_LINE: &str = "ONSAGER_TEST_COMMAND_LINE";

/// The parameters of the kind `bits`: numbers in a list, and others by name.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BitsParams {
    #[serde(default)]
    values: Vec<f64>,
    #[serde(default)]
    named: BTreeMap<String, f64>,
}

/// Writes the bits of its numbers, one number a line.
struct Bits;

impl Stage for Bits {
    type Params = BitsParams;

    const KIND: &'static str = "bits";
    const SUMMARY: &'static str = "Writes the bits of numbers.";

    fn inputs() -> Inputs {
        Inputs::none()
    }

    fn outputs(_: &BitsParams) -> Vec<Output> {
        vec![Output::file("bits", "bits.txt", "the bits of each number, in hexadecimal")]
    }

    fn run(params: &BitsParams, ctx: &Context) -> Result<(), StageError> {
        let all = params.values.iter().chain(params.named.values());
        fs::write(ctx.output("bits")?, hexadecimal(all.copied()))?;
        Ok(())
    }
}

fn hexadecimal(values: impl Iterator<Item = f64>) -> String {
    values.fold(String::new(), |mut text, value| {
        writeln!(text, "{:016x}", value.to_bits()).expect("a string takes everything");
        text
    })
}

fn main() -> ExitCode {
    let mut registry = onsager::builtin();
    registry.add::<Bits>("bits 1");
    let worker = std::env::args().nth(1).is_some_and(|first| first == onsager::run::workers::WORKER);
    if worker || std::env::var_os(COMMAND_LINE).is_some() {
        return onsager::cli::main(registry);
    }
    from_the_pipeline_and_again_from_the_kept_graph();
    from_a_parameters_file();
    from_the_command_line();
    from_a_random_sweep();
    in_the_text_of_a_command();
    println!("floats: 5 checks passed");
    ExitCode::SUCCESS
}

/// Numbers of every kind: extremes, subnormals, and otherwise any bits that are a finite number.
fn numbers(seed: u64, count: usize) -> Vec<f64> {
    let extremes = [
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        -f64::MIN_POSITIVE,
        f64::MIN_POSITIVE.next_down(),
        f64::from_bits(1),
        -f64::from_bits(1),
        f64::EPSILON,
        1.0f64.next_down(),
        1.0f64.next_up(),
        0.0,
        -0.0,
        0.1,
        // Once more, so that it is written `-0e0` too.
        -0.0,
        0.1 + 0.2,
        1e21,
        1e22,
        1e23,
        9_007_199_254_740_992.0,
        9_007_199_254_740_994.0,
        18_446_744_073_709_551_616.0,
        2.225_073_858_507_201e-308,
    ];
    let mut stream = Streams::new(seed, "floats").stream(0);
    let subnormals: Vec<f64> = (0..count / 10).map(|_| f64::from_bits(stream.below(1 << 52))).collect();
    let mut any = || std::iter::repeat_with(|| f64::from_bits(stream.bits())).find(|value| value.is_finite());
    let mut all = [extremes.to_vec(), subnormals].concat();
    while all.len() < count {
        all.extend(any());
    }
    all
}

/// A number as people and programs write them: shortest, with an exponent, or with all of its digits.
fn written(at: usize, value: f64) -> String {
    match at % 4 {
        0 => format!("{value:?}"),
        1 => format!("{value:e}"),
        2 => format!("{value:.17e}"),
        _ => Value::from(value).to_string(),
    }
}

fn list(values: &[f64]) -> String {
    let texts: Vec<String> = values.iter().enumerate().map(|(at, value)| written(at, *value)).collect();
    format!("[{}]", texts.join(", "))
}

/// The command line of this program, in a project; its standard output.
fn onsager(project: &Project, arguments: &[&str]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(arguments).current_dir(project.path("")).env(COMMAND_LINE, "1");
    let ran = common::ran(command.output().expect("the program starts"));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    ran.stdout
}

/// Checks what a stage called `stage` got.
fn assert_got(project: &Project, pipeline: &str, stage: &str, values: &[f64]) {
    let got = project.read(&format!("artifacts/{pipeline}/{stage}/bits.txt"));
    let expected = hexadecimal(values.iter().copied());
    let first = got.lines().zip(expected.lines()).zip(values).find(|((got, wanted), _)| got != wanted);
    assert_eq!(first, None, "{pipeline}, {stage}");
    assert_eq!(got.len(), expected.len(), "{pipeline}, {stage}");
}

fn from_the_pipeline_and_again_from_the_kept_graph() {
    let parts: Vec<Vec<f64>> = (0..4).map(|part| numbers(part, 10_000)).collect();
    let mut pipeline = "name: file\nstages:\n".to_owned();
    for (at, part) in parts.iter().enumerate() {
        writeln!(pipeline, "  s{at}: {{kind: bits, params: {{values: {}}}}}", list(part)).expect("text");
    }
    let project = Project::new(&pipeline);
    for again in [&["run", "pipeline.yaml", "--json"][..], &["run", "pipeline.yaml", "--force", "s0"]] {
        onsager(&project, again);
        for (at, part) in parts.iter().enumerate() {
            assert_got(&project, "file", &format!("s{at}"), part);
        }
    }
    // What enters the key is told in full.
    let told = onsager(&project, &["explain", "pipeline.yaml", "s1", "--json"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    for (at, value) in parts[1].iter().enumerate() {
        let text = told[0]["material"][format!("params.values[{at}]")].as_str().expect("a text");
        assert_eq!(text.parse::<f64>().expect("a number").to_bits(), value.to_bits(), "{text}");
    }
}

fn from_a_parameters_file() {
    let values = numbers(10, 30_000);
    let pipeline =
        "name: params\nparams: {x: []}\nstages:\n  s: {kind: bits, params: {values: \"${params.x}\"}}\n";
    let project = Project::new(pipeline);
    project.write("x.yaml", &format!("x: {}\n", list(&values)));
    onsager(&project, &["run", "pipeline.yaml", "--params", "x.yaml"]);
    assert_got(&project, "params", "s", &values);
    // The run's record has the parameters, too.
    let events = project.events();
    let started = events.iter().find(|event| event["event"] == "run-started").expect("a start");
    let recorded = started["points"][0]["params"]["x"].as_array().expect("a list");
    assert_eq!(recorded.len(), values.len());
    for (recorded, value) in recorded.iter().zip(&values) {
        assert_eq!(recorded.as_f64().expect("a number").to_bits(), value.to_bits());
    }
}

fn from_the_command_line() {
    let parts: Vec<Vec<f64>> = (0..8).map(|part| numbers(20 + part, 2500)).collect();
    let mut pipeline =
        "name: set\nparams: {x0: [], x1: [], x2: [], x3: [], x4: [], x5: [], x6: [], x7: []}\nstages:\n"
            .to_owned();
    let mut arguments = vec!["run".to_owned(), "pipeline.yaml".to_owned()];
    for (at, part) in parts.iter().enumerate() {
        writeln!(pipeline, "  s{at}: {{kind: bits, params: {{values: \"${{params.x{at}}}\"}}}}")
            .expect("text");
        arguments.extend(["--set".to_owned(), format!("x{at}={}", list(part))]);
    }
    let project = Project::new(&pipeline);
    onsager(&project, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    for (at, part) in parts.iter().enumerate() {
        assert_got(&project, "set", &format!("s{at}"), part);
    }
}

fn from_a_random_sweep() {
    const POINTS: u64 = 20;
    let names: Vec<String> = (0..500).map(|at| format!("x{at:03}")).collect();
    let mut pipeline = "name: drawn\nparams:\n".to_owned();
    let mut experiment = format!(
        "name: sweep\npipeline: pipeline.yaml\nsweep:\n  random:\n    points: {POINTS}\n    seed: 7\n    params:\n"
    );
    let mut named = String::new();
    let distribution = |at: usize| match at % 2 {
        0 => Distribution::Uniform(-1e9, 3.0),
        _ => Distribution::LogUniform(f64::from_bits(1), 1e300),
    };
    for (at, name) in names.iter().enumerate() {
        writeln!(pipeline, "  {name}: 0").expect("text");
        write!(named, "{name}: \"${{params.{name}}}\", ").expect("text");
        let text = match distribution(at) {
            Distribution::Uniform(low, high) => format!("{{uniform: [{low:?}, {high:?}]}}"),
            Distribution::LogUniform(low, high) => format!("{{log-uniform: [{low:?}, {high:?}]}}"),
            other => panic!("{other:?}"),
        };
        writeln!(experiment, "      {name}: {text}").expect("text");
    }
    writeln!(pipeline, "stages:\n  s: {{kind: bits, params: {{named: {{{named}}}}}}}").expect("text");
    let project = Project::new(&pipeline);
    project.write("sweep.yaml", &experiment);
    onsager(&project, &["run", "sweep.yaml"]);
    for draw in 0..POINTS {
        let value = |(at, name): (usize, &String)| match distribution(at).draw(7, name, draw) {
            Yaml::Number(number) => number.as_f64().expect("a number"),
            other => panic!("{other:?}"),
        };
        let values: Vec<f64> = names.iter().enumerate().map(value).collect();
        assert_got(&project, "sweep", &format!("draw={}/s", draw + 1), &values);
    }
}

/// The program itself, and numbers that become text.
fn in_the_text_of_a_command() {
    let values = numbers(40, 4000);
    let mut params = String::new();
    let mut run = "printf '%s\\n'".to_owned();
    for (at, value) in values.iter().enumerate() {
        writeln!(params, "  x{at}: {}", written(at, *value)).expect("text");
        write!(run, " ${{params.x{at}}}").expect("text");
    }
    let pipeline = format!(
        "name: text\nparams:\n{params}stages:\n  s:\n    kind: command\n    run: {run} > ${{outputs.text}}\n    \
         outputs: {{text: text.txt}}\n"
    );
    let project = Project::new(&pipeline);
    let ran = project.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let text = project.read("artifacts/text/s/text.txt");
    let got: Vec<f64> = text.lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!(hexadecimal(got.into_iter()), hexadecimal(values.into_iter()));
}
