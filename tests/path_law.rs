//! The kinds of dissipative motion, imaginary time and path information through the program: the same bytes on one thread and
//! on two, and errors that name the field.

mod common;

use common::Project;
use serde_json::Value;

const SMALL: &str = "\
name: small
params: {threads: 1}
stages:
  dissipation:
    kind: langevin
    resources: {threads: '${params.threads}'}
    matrix: {dynamics: [overdamped, underdamped]}
    params: {dynamics: '${matrix.dynamics}', particles: 50000, paths: 10}
  transitions:
    kind: transition-paths
    resources: {threads: '${params.threads}'}
    params: {steps: 16, pairs: 20000}
  propagator:
    kind: propagator
    resources: {threads: '${params.threads}'}
    params: {potential: quartic, times: [0.5, 1.0], populations: 4, walkers: 1000, tubes: 10, bridges: 50000}
  entropy:
    kind: path-entropy
    resources: {threads: '${params.threads}'}
    params: {potential: {harmonic: {stiffness: 0.01}}, paths: 300, diffusions: [0.1, 1.0]}
";

/// The digest of every output of a finished run.
fn digests(project: &Project, threads: &str) -> Value {
    let (document, status) = project.run_json(&["--set", &format!("threads={threads}")]);
    assert_eq!(status, 0, "{document:#}");
    let outputs = document["outputs"].as_object().expect("outputs");
    outputs
        .iter()
        .flat_map(|(task, named)| {
            let named = named.as_object().expect("named outputs").iter();
            named.map(move |(name, output)| (format!("{task}.{name}"), output["digest"].clone()))
        })
        .collect()
}

#[test]
fn threads_do_not_matter() {
    let (one, two) = (Project::new(SMALL), Project::new(SMALL));
    let digests = [digests(&one, "1"), digests(&two, "2")];
    assert_eq!(digests[0], digests[1]);
    assert!(digests[0].as_object().expect("digests").len() > 15);
}

#[test]
fn refusals_name_the_field() {
    let pipeline = "name: p\nstages:\n  k:\n    kind: propagator\n    params: {potential: cubic, dt: 0.3}\n";
    let ran = Project::new(pipeline).run(&[]);
    assert_ne!(ran.status, 0);
    for text in ["bounded below", "times[0]", "whole steps of `dt` = 0.3, but is 0.5"] {
        assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
    }
}
