//! Pipelines of other tools: `onsager init --from`, and the shapes in `docs/from-other-tools.md`.

mod common;

use common::{Project, Ran, last_line};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Writes every output of its stage, from the contents of the inputs alone, and prints the same.
const STAND_IN: &str = r#"
import hashlib, json, os, sys

def content(path):
    if os.path.isdir(path):
        return b"".join(name.encode() + content(os.path.join(path, name)) for name in sorted(os.listdir(path)))
    with open(path, "rb") as file:
        return file.read()

inputs = json.loads(os.environ["ONSAGER_INPUTS"])
digest = hashlib.sha256(os.path.basename(sys.argv[0]).encode())
for parts in inputs.values():
    for part in parts:
        digest.update(content(part["path"]))
text = digest.hexdigest()
for path in json.loads(os.environ["ONSAGER_OUTPUTS"]).values():
    names = [path]
    if "." not in os.path.basename(path):
        os.makedirs(path, exist_ok=True)
        names = [os.path.join(path, name) for name in ("part-a.txt", "part-b.txt")]
    for name in names:
        if not os.path.exists(name):
            with open(name, "w") as file:
                file.write(name.rsplit("/", 1)[-1] + text)
print(text)
"#;

/// The number of tasks of each pipeline of the page, and the files that it needs besides those that it names whole.
const PIPELINES: [(&str, usize, &[&str]); 10] = [
    ("text-classification", 4, &[]),
    ("pools", 4, &[]),
    ("street-view", 5, &[]),
    ("countries", 3, &["data/us.csv", "data/gb.csv"]),
    ("benchmark", 13, &["data/validation.csv", "data/test.csv"]),
    ("calling", 8, &["data/samples/A.fastq", "data/samples/B.fastq", "data/samples/C.fastq"]),
    ("variance", 4, &[]),
    ("expression", 8, &["reads/A-1.fastq", "reads/A-2.fastq", "reads/B-1.fastq"]),
    ("clusters", 8, &["samples/a.txt", "samples/b.txt"]),
    ("zika", 8, &[]),
];

#[test]
fn the_shapes_of_the_page_run_and_are_cached_then() {
    let page = fs::read_to_string(common::repository().join("docs/from-other-tools.md")).expect("the page");
    let blocks: Vec<&str> =
        page.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    assert_eq!(blocks.len(), PIPELINES.len());
    for (block, (name, tasks, files)) in blocks.iter().zip(PIPELINES) {
        assert!(block.starts_with(&format!("name: {name}\n")), "{name}: {block}");
        let project = Project::new(block);
        let named = block.split("{file: ").skip(1).filter_map(|rest| rest.split('}').next());
        for path in named.filter(|path| !path.contains("${")).chain(files.iter().copied()) {
            match PathBuf::from(path).extension() {
                Some(_) => project.write(path, path),
                None => {
                    for part in 1..=2 {
                        project.write(&format!("{path}/random_numbers_{part}.txt"), &format!("{part}\n"));
                    }
                }
            }
        }
        let ran = with_stand_ins(&project, &["run", "pipeline.yaml"]);
        let summary = format!("{tasks} tasks: {tasks} executed, 0 cached, 0 failed");
        assert_eq!((ran.status, last_line(&ran.stdout)), (0, summary.as_str()), "{name}: {}", ran.stderr);
        let again = with_stand_ins(&project, &["run", "pipeline.yaml"]);
        let summary = format!("{tasks} tasks: 0 executed, {tasks} cached, 0 failed");
        assert_eq!((again.status, last_line(&again.stdout)), (0, summary.as_str()), "{name}");
    }
}

/// The program, which finds stand-ins for the programs of the page.
fn with_stand_ins(project: &Project, arguments: &[&str]) -> Ran {
    let path = std::env::var("PATH").expect("PATH");
    let python =
        std::env::split_paths(&path).map(|folder| folder.join("python3")).find(|python| python.is_file());
    let script = format!("#!{}\n{STAND_IN}", python.expect("python3").display());
    let folder = project.path("bin");
    if !folder.is_dir() {
        for program in ["python3", "bwa", "samtools", "bcftools", "STAR", "Rscript", "augur"] {
            project.write(&format!("bin/{program}"), &script);
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(folder.join(program), mode).expect("an executable file");
        }
    }
    let path = format!("{}:{path}", folder.display());
    common::ran(project.command(arguments).env("PATH", path).output().expect("the program starts"))
}

#[test]
fn a_dvc_project_is_converted_and_runs() {
    let project = Project::new("");
    project.write("mine/params.yaml", "datasets:\n  us: {letter: u}\n  eu: {letter: e}\nshout: {times: 2}\n");
    project.write("mine/raw/us.txt", "x1\n");
    project.write("mine/raw/eu.txt", "x2\n");
    project.write(
        "mine/dvc.yaml",
        r#"stages:
  clean:
    foreach: ${datasets}
    do:
      cmd: sed s/x/${item.letter}/ raw/${key}.txt > clean/${key}.txt
      deps: ["raw/${key}.txt"]
      outs: ["clean/${key}.txt"]
  fit:
    matrix: {model: [linear, cubic], data: [us, eu]}
    cmd: sed "s/^/${item.model} /" ./clean/${item.data}.txt > fits/${item.model}/${item.data}.txt
    deps: ["clean/${item.data}.txt"]
    outs: ["fits/${item.model}/${item.data}.txt"]
  both:
    desc: 'One after the other: us, eu'
    cmd:
      - cat clean/us.txt clean/eu.txt > both.txt
      - for i in $(seq ${shout.times}); do echo \${i}! >> both.txt; done
    deps: [clean/us.txt, clean/eu.txt]
    outs:
      - both.txt: {cache: false}
  report:
    cmd: mkdir -p reports/all; cat both.txt > reports/all/report.txt; echo 1 > reports/count.json
    deps: [both.txt]
    outs: [reports/all/]
    metrics: [reports/count.json]
"#,
    );
    let made = project.onsager(&["init", "--from", "mine/dvc.yaml"]);
    assert_eq!((made.status, made.stderr.as_str()), (0, ""));
    assert_eq!(
        made.stdout,
        "wrote mine/.gitignore\nwrote mine/schema/pipeline.schema.json\nwrote mine/schema/experiment.schema.json\nwrote mine/pipelines/mine.yaml\nnow: onsager plan mine/pipelines/mine.yaml\n"
    );
    assert_eq!(
        project.read("mine/pipelines/mine.yaml"),
        r#"# yaml-language-server: $schema=../schema/pipeline.schema.json
name: mine

params:
  shout:
    times: 2

stages:
  clean:
    kind: command
    matrix: {item: [{name: us, letter: u}, {name: eu, letter: e}]}
    inputs:
      raw: {file: "raw/${matrix.item}.txt"}
    run: |
      sed s/x/${matrix.item.letter}/ raw/${matrix.item}.txt > ${outputs.clean}
    outputs: {clean: clean.txt}

  fit:
    kind: command
    matrix: {model: [linear, cubic], data: [us, eu]}
    inputs:
      clean: "clean[item=${matrix.data}].clean"
    run: |
      sed "s/^/${matrix.model} /" ${inputs.clean} > ${outputs.fits}
    outputs: {fits: fits.txt}

  both:
    kind: command
    description: "One after the other: us, eu"
    inputs:
      us: "clean[item=us].clean"
      eu: "clean[item=eu].clean"
    run: |
      cat ${inputs.us} ${inputs.eu} > ${outputs.both}
      for i in $(seq ${params.shout.times}); do echo $${i}! >> ${outputs.both}; done
    outputs: {both: both.txt}

  report:
    kind: command
    inputs:
      both: both.both
    run: |
      mkdir -p ${outputs.all}; cat ${inputs.both} > ${outputs.all}/report.txt; echo 1 > ${outputs.count}
    outputs: {all: all/, count: count.json}
"#
    );
    let ran = project.onsager(&["run", "mine/pipelines/mine.yaml"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(project.read("mine/artifacts/mine/report/all/report.txt"), "u1\ne2\n1!\n2!\n");
    assert_eq!(project.read("mine/artifacts/mine/fit/model=cubic,data=eu/fits.txt"), "cubic e2\n");
    let again = project.onsager(&["init", "--from", "mine/dvc.yaml"]);
    assert_eq!(again.status, 2);
    assert!(again.stderr.contains("is there already, so nothing was written"), "{}", again.stderr);
}

#[test]
fn what_cannot_be_converted_is_told_with_its_place() {
    let project = Project::new("");
    project.write("params.yaml", "seed: 1\n");
    project.write(
        "dvc.yaml",
        r#"stages:
  train:
    cmd: python3 train.py
    deps: [train.py]
    params: [seed]
    outs: [models/model.pkl]
    frozen: true
  test:
    cmd: python3 test.py
    deps: [test.py, models/model.pkl]
    wdir: code
    always_changed: true
  fold:
    foreach: [1, 2]
    do:
      cmd: echo ${item} > folds/${item}.txt
      outs: ["folds/${item}.txt"]
  join:
    cmd: cat folds/*.txt models/model.pkl
    deps: [folds]
plots: [curve.csv]
"#,
    );
    let made = project.onsager(&["init", "--from", "dvc.yaml"]);
    assert_eq!(made.status, 0, "{}", made.stderr);
    let left: Vec<&str> = made.stdout.lines().filter_map(|line| line.strip_prefix("  dvc.yaml:")).collect();
    let told = [
        "5:14: the whole of `params.yaml` is an input of stage `train`",
        "6:12: stage `train` writes `models/model.pkl` without naming it in its command, so it is moved afterwards",
        "7:5: `frozen` was left out",
        "8:3: stage `test` runs in `code`",
        "12:5: `always_changed` was left out",
        "18:3: stage `join` names `models/model.pkl` and does not list it in `deps`; it is the input `model` now",
        "20:12: stage `join` reads the folder `folds`, which the instances of `fold` fill",
        "21:1: `plots` was left out",
    ];
    assert_eq!(left.len(), told.len(), "{left:#?}");
    for (left, told) in left.iter().zip(told) {
        assert!(left.starts_with(told), "{left}\n{told}");
    }
}

#[test]
fn what_is_added_to_a_command_stands_in_its_folder() {
    let project = Project::new("");
    let stage = "    wdir: code\n    cmd: python3 fit.py\n    outs: [models/model.pkl]\n";
    project.write("mine/dvc.yaml", &format!("stages:\n  fit:\n{stage}"));
    let made = project.onsager(&["init", "--from", "mine/dvc.yaml"]);
    assert_eq!(made.status, 0, "{}", made.stderr);
    let pipeline = project.read("mine/pipelines/mine.yaml");
    let lines = "      cd code\n      mkdir -p models\n      python3 fit.py\n      mv models/model.pkl ${outputs.model}\n";
    assert!(pipeline.contains(lines), "{pipeline}");
}

#[test]
fn a_wrong_dvc_file_is_an_error_and_nothing_is_written() {
    let project = Project::new("");
    project.write(
        "dvc.yaml",
        "stages:\n  bad: {deps: [x]}\n  each:\n    foreach: ${nothing}\n    do: {cmd: echo}\n",
    );
    let made = project.onsager(&["init", "--from", "dvc.yaml"]);
    assert_eq!(made.status, 2);
    assert!(made.stderr.contains("error: stage `bad` has no `cmd`\n --> dvc.yaml:2:3\n"), "{}", made.stderr);
    assert!(
        made.stderr.contains("error: there is no value `nothing`\n --> dvc.yaml:4:14\n"),
        "{}",
        made.stderr
    );
    assert!(!project.path("pipelines").exists() && !project.path("schema").exists());
    let made = project.onsager(&["init", "--from", "nothing/dvc.yaml"]);
    assert_eq!(made.status, 2);
    assert!(made.stderr.starts_with("error: cannot read `nothing/dvc.yaml`"), "{}", made.stderr);
}
