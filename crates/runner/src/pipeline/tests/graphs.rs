//! What a good file becomes.

use super::{load, load_with, registry};
use crate::pipeline::experiments::overrides::Override;
use crate::pipeline::graph::{Graph, SelectError, Source};
use crate::pipeline::load;
use crate::store::chosen::Chosen;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A matrix, its join, and a command.
const PIPELINE: &str = r#"
name: path-action
params: {seed: 7, particles: 2e7, systems: [free, harmonic], net: {width: 3}}
stages:
  law:
    kind: fit
    description: The law.
    inputs: {tubes: motion}
  motion:
    kind: motion
    matrix: {system: "${params.systems}", diffusion: [0.5, 1.0]}
    params: {system: "${matrix.system}", diffusion: "${matrix.diffusion}", particles: "${params.particles}", seed: "${params.seed}"}
    resources: {threads: 2, memory: 1GiB, time: 1h30m}
  plot:
    kind: command
    inputs: {table: law.fit, script: {file: Cargo.toml}}
    run: python3 ${inputs.script} --in ${inputs.table} --width ${params.net.width} $${HOME} $PATH > ${outputs.plot}
    outputs: {plot: "plot-${params.seed}.png"}
    env: {OMP_NUM_THREADS: 2, QUIET: true}
"#;

fn ids(graph: &Graph) -> Vec<&str> {
    graph.tasks.iter().map(|task| task.id.as_str()).collect()
}

/// The ids and outputs that an input is given.
fn given(graph: &Graph, task: &str, input: &str) -> Vec<String> {
    let task = &graph.tasks[graph.find(task).unwrap()];
    let (_, sources) = task.inputs.iter().find(|(name, _)| name == input).unwrap();
    let name = |source: &Source| match source {
        Source::Artifact { task, output, .. } => {
            format!("{}.{}", graph.tasks[*task].id, graph.tasks[*task].outputs[*output].name)
        }
        Source::Open { name, .. } => format!("one for each of {name}"),
        Source::File { name, .. } => format!("file {name}"),
        Source::Remote { url, .. } => format!("url {url}"),
        Source::Tool { command } => format!("tool {command}"),
    };
    sources.iter().map(name).collect()
}

#[test]
fn tasks_come_after_what_they_need_and_otherwise_as_declared() {
    let graph = load(PIPELINE);
    assert_eq!(
        ids(&graph),
        [
            "motion[system=free,diffusion=0.5]",
            "motion[system=free,diffusion=1.0]",
            "motion[system=harmonic,diffusion=0.5]",
            "motion[system=harmonic,diffusion=1.0]",
            "law",
            "plot",
        ]
    );
    assert_eq!(graph.name, "path-action");
    assert_eq!(graph.points[0].params["particles"], json!(20_000_000));
    let stages: Vec<_> =
        graph.stages.iter().map(|s| (s.name.as_str(), s.axes.len(), s.tasks.clone())).collect();
    assert_eq!(stages, [("law", 0, vec![4]), ("motion", 2, vec![0, 1, 2, 3]), ("plot", 0, vec![5])]);
    assert_eq!(graph.stages[0].description.as_deref(), Some("The law."));
}

#[test]
fn parameters_are_canonical_and_keep_their_types() {
    let graph = load(PIPELINE);
    let expected =
        json!({"system": "free", "diffusion": 0.5, "particles": 20_000_000, "layers": [], "seed": 7});
    assert_eq!(graph.tasks[0].params.value().to_string(), expected.to_string());
    assert_eq!(
        graph.tasks[0].labels,
        [("system".to_owned(), json!("free")), ("diffusion".to_owned(), json!(0.5))]
    );
    assert_eq!(graph.tasks[0].resources.threads, 2);
    assert_eq!(graph.tasks[0].resources.memory, Some(1 << 30));
    assert_eq!(graph.tasks[0].resources.time, Some(Duration::from_secs(5400)));
    assert_eq!(graph.tasks[5].resources.threads, 1);
}

#[test]
fn instances_keep_what_they_have_in_common_once() {
    let graph = load(PIPELINE);
    let once = |graph: &Graph| {
        let pairs = graph.tasks[..4].windows(2);
        pairs.into_iter().all(|two| {
            Arc::ptr_eq(&two[0].outputs, &two[1].outputs) && Arc::ptr_eq(&two[0].resources, &two[1].resources)
        })
    };
    assert!(once(&graph));
    let bytes = rmp_serde::to_vec(&graph).unwrap();
    let read: Graph = rmp_serde::from_slice(&bytes).unwrap();
    assert!(once(&read));
    assert_eq!(format!("{read:?}"), format!("{graph:?}"));
}

#[test]
fn a_command_keeps_its_files_for_itself() {
    let graph = load(PIPELINE);
    let expected = json!({
        "run": "python3 ${inputs.script} --in ${inputs.table} --width 3 $${HOME} $PATH > ${outputs.plot}",
        "outputs": {"plot": "plot-7.png"},
        "env": {"OMP_NUM_THREADS": "2", "QUIET": "true"},
    });
    assert_eq!(graph.tasks[5].params.value().to_string(), expected.to_string());
    assert_eq!(graph.tasks[5].outputs[0].file, "plot-7.png");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(
        graph.tasks[5].inputs[1],
        (
            "script".to_owned(),
            vec![Source::File {
                chosen: Chosen::whole(root.join("Cargo.toml")),
                name: "Cargo.toml".to_owned()
            }]
        )
    );
}

#[test]
fn a_bare_stage_means_its_only_output_or_the_one_named_like_the_input() {
    let graph = load(PIPELINE);
    assert_eq!(given(&graph, "law", "tubes").len(), 4);
    assert_eq!(given(&graph, "law", "tubes")[0], "motion[system=free,diffusion=0.5].tubes");
    assert_eq!(given(&graph, "plot", "table"), ["law.fit"]);
}

#[test]
fn references_choose_instances() {
    let graph = load(
        r#"
name: x
stages:
  m:
    kind: motion
    matrix: {system: [free, harmonic], seed: [1, 2]}
    params: {system: "${matrix.system}", seed: "${matrix.seed}"}
  some: {kind: fit, inputs: {tubes: "m[seed=2]"}}
  one: {kind: fit, inputs: {tubes: ["m[system=free].tubes", "m[ seed = 1.0, system=harmonic ].paths"]}}
  each: {kind: fit, matrix: {seed: [2, 1], other: [a]}, inputs: {tubes: "m[matching]"}}
  pinned: {kind: fit, matrix: {seed: [2, 1]}, inputs: {tubes: "m[system=free,matching].paths"}}
  named: {kind: fit, matrix: {s: [free]}, inputs: {tubes: "m[system=${matrix.s},seed=1]", model: "${matrix.s}-fit.fit"}}
  free-fit: {kind: fit, inputs: {tubes: m.paths}}
"#,
    );
    assert_eq!(
        given(&graph, "some", "tubes"),
        ["m[system=free,seed=2].tubes", "m[system=harmonic,seed=2].tubes"]
    );
    assert_eq!(
        given(&graph, "one", "tubes"),
        ["m[system=free,seed=1].tubes", "m[system=free,seed=2].tubes", "m[system=harmonic,seed=1].paths"]
    );
    assert_eq!(
        given(&graph, "each[seed=2,other=a]", "tubes"),
        ["m[system=free,seed=2].tubes", "m[system=harmonic,seed=2].tubes"]
    );
    assert_eq!(given(&graph, "pinned[seed=1]", "tubes"), ["m[system=free,seed=1].paths"]);
    assert_eq!(given(&graph, "named[s=free]", "tubes"), ["m[system=free,seed=1].tubes"]);
    assert_eq!(given(&graph, "named[s=free]", "model"), ["free-fit.fit"]);
    assert!(graph.find("free-fit") < graph.find("named[s=free]"));
}

#[test]
fn a_matrix_zips_includes_and_excludes() {
    let graph = load(
        r#"
name: x
stages:
  m:
    kind: motion
    matrix:
      system: [free, morse]
      zip: {seed: [1, 2], model: [{name: a, d: 0.5}, {name: b, d: 2}]}
      exclude: [{system: free, model: [a]}]
      include: [{system: [free, harmonic], seed: 3, model: b}]
    params: {system: "${matrix.system}", seed: "${matrix.seed}", diffusion: "${matrix.model.d}"}
"#,
    );
    assert_eq!(
        ids(&graph),
        [
            "m[system=free,seed=2,model=b]",
            "m[system=morse,seed=1,model=a]",
            "m[system=morse,seed=2,model=b]",
            "m[system=free,seed=3,model=b]",
            "m[system=harmonic,seed=3,model=b]",
        ]
    );
    let diffusions: Vec<_> =
        graph.tasks.iter().map(|task| task.params.value()["diffusion"].to_string()).collect();
    assert_eq!(diffusions, ["2.0", "0.5", "2.0", "2.0", "2.0"]);
}

#[test]
fn include_alone_lists_points() {
    let graph = load(
        "name: x\nstages: {m: {kind: motion, params: {system: '${matrix.s}'}, matrix: {include: [{s: free, n: 1}, {n: 2, s: morse}]}}}\n",
    );
    assert_eq!(ids(&graph), ["m[s=free,n=1]", "m[s=morse,n=2]"]);
}

#[test]
fn values_from_the_command_line_come_first() {
    let sets = [
        "particles=1000",
        "params.net.width=5",
        "systems=[morse]",
        "stages.motion.params.seed=9",
        "stages.law.resources.threads=4",
    ];
    let graph = load_with(PIPELINE, &sets).unwrap();
    assert_eq!(ids(&graph).len(), 4);
    assert_eq!(graph.tasks[0].params.value()["particles"], json!(1000));
    assert_eq!(graph.tasks[0].params.value()["seed"], json!(9));
    assert_eq!(graph.tasks[2].resources.threads, 4);
    assert!(graph.tasks[3].params.value()["run"].as_str().unwrap().contains("--width 5 "));
    assert_eq!("a=b=c".parse(), Ok(Override { key: "a".into(), value: "b=c".into() }));
    assert!("nothing".parse::<Override>().is_err());
}

#[test]
fn words_select_tasks() {
    let graph = load(PIPELINE);
    assert_eq!(graph.select("motion"), Ok(vec![0, 1, 2, 3]));
    assert_eq!(graph.select("motion[diffusion=1]"), Ok(vec![1, 3]));
    assert_eq!(graph.select("motion[system=free,diffusion=0.5]"), Ok(vec![0]));
    assert_eq!(graph.select_all(&["plot", "law", "plot"]), Ok(vec![4, 5]));
    assert_eq!(graph.select_all::<&str>(&[]).unwrap().len(), 6);
    let message = |word: &str| graph.select(word).unwrap_err().to_string();
    assert_eq!(message("motoin"), "the pipeline has no stage `motoin`; did you mean `motion`?");
    assert_eq!(message("x"), "the pipeline has no stage `x`; there are `law`, `motion` and `plot`");
    assert_eq!(message("motion[sytem=free]"), "stage `motion` has no axis `sytem`; did you mean `system`?");
    assert_eq!(message("law[a=1]"), "stage `law` has no axis `a`");
    assert_eq!(message("law.fit"), "`law.fit` is an output, not a task; write `law`");
    assert!(matches!(graph.select("motion[system=x]"), Err(SelectError::NoInstance { .. })));
    assert!(matches!(graph.select("motion[sys"), Err(SelectError::Unreadable { .. })));
}

#[test]
fn the_graph_knows_its_edges() {
    let graph = load(PIPELINE);
    assert_eq!(graph.dependencies(4), [0, 1, 2, 3]);
    assert_eq!(graph.dependents().of(4), [5]);
    assert_eq!(graph.ancestors(&[4]), [0, 1, 2, 3, 4]);
    assert_eq!(graph.ancestors(&[1]), [1]);
}

#[test]
fn anchors_and_merges_are_understood() {
    let graph = load(
        "name: x\nparams:\n  base: &base {system: free, seed: 3}\nstages:\n  m: {kind: motion, params: {<<: *base, seed: 4}}\n  n: {kind: motion, params: *base}\n",
    );
    assert_eq!(graph.tasks[0].params.value()["seed"], json!(4));
    assert_eq!(graph.tasks[1].params.value()["seed"], json!(3));
}

#[test]
fn the_root_is_the_parent_of_the_pipelines_folder() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    std::fs::create_dir(root.join("pipelines")).unwrap();
    let text = "name: x\nstages: {m: {kind: fit, inputs: {tubes: {file: data.txt}}}}\n";
    std::fs::write(root.join("data.txt"), "1").unwrap();
    std::fs::write(root.join("pipelines/a.yaml"), text).unwrap();
    std::fs::write(root.join("b.yaml"), text).unwrap();
    for file in ["pipelines/a.yaml", "b.yaml"] {
        let graph = load::load(&root.join(file), &Default::default(), &registry()).unwrap();
        assert_eq!(graph.root, root);
    }
    let error =
        load::load(&root.join("pipelines/c.yaml"), &Default::default(), &registry()).unwrap_err().to_string();
    assert!(error.contains("did you mean `a.yaml`?"), "{error}");
}

/// A chain of layers as large as the largest pipelines; more than linear work would not end.
#[test]
fn twenty_thousand_stages() {
    let mut text = String::from("name: x\nstages:\n");
    for stage in 0..20_000 {
        let inputs = match stage {
            0 => String::new(),
            _ => format!(", inputs: {{a: s{}, b: s{}}}", stage - 1, stage / 2),
        };
        text +=
            &format!("  s{stage}: {{kind: command{inputs}, run: cat > out, outputs: {{out: out.txt}}}}\n");
    }
    let graph = load(&text);
    assert_eq!(graph.tasks.len(), 20_000);
    assert_eq!(graph.ancestors(&[19_999]).len(), 20_000);
}

/// `2e7` counts particles, `2.5e-3` and `1.0` are floats, `007`, `yes` and quoted numbers are text.
#[test]
fn numbers_are_what_they_look_like() {
    let graph = load(
        "name: x\nparams: {a: 2e7, b: 2.5e-3, c: 1.0, d: 007, e: yes, f: '1', g: 1_000, h: -3, i: 1e300}\nstages: {m: {kind: motion, params: {system: free}}}\n",
    );
    let values: Vec<String> = graph.points[0].params.iter().map(|(_, value)| value.to_string()).collect();
    assert_eq!(
        values,
        ["20000000", "0.0025", "1.0", "\"007\"", "\"yes\"", "\"1\"", "\"1_000\"", "-3", "1e+300"]
    );
}

#[test]
fn diagnostics_serialise_for_programs() {
    let errors = load_with("name: x\nstages: {m: {kind: motoin}}\n", &[]).unwrap_err();
    assert_eq!(
        serde_json::to_value(&errors.all).unwrap(),
        json!([{
            "message": "there is no kind `motoin`",
            "file": "pipelines/test.yaml",
            "line": 2,
            "column": 20,
            "help": "did you mean `motion`?",
        }])
    );
}

#[test]
fn memory_and_time_have_units() {
    use crate::pipeline::spec::resources::{memory, time};
    let bytes = ["1GiB", "1.5 KiB", "2GB", "512mb", "10B", "1", "GiB", "-1GiB", "1e3B", "0B", "1..2GB"];
    let expected = [Some(1 << 30), Some(1536), Some(2_000_000_000), Some(512_000_000), Some(10)];
    assert_eq!(bytes.map(memory)[..5], expected);
    assert!(bytes[5..].iter().all(|text| memory(text).is_none()));
    let times = ["90s", "1h30m", "1.5h", "2d", "1 h 1 s", "", "5", "h", "0s", "3w", "-1s"];
    let expected = [90, 5400, 5400, 172_800, 3601].map(|seconds| Some(Duration::from_secs(seconds)));
    assert_eq!(times.map(time)[..5], expected);
    assert!(times[5..].iter().all(|text| time(text).is_none()));
}
