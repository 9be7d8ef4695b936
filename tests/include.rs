//! `include`: stages of another file, with parameters.

mod common;

use common::Project;

const BOTH: &str = "\
name: both
params: {many: 4, word: \"it's $HOME\"}
include:
  - {file: shared/fit.yaml, prefix: small-, params: {points: 2, note: \"${params.word}\"}}
  - {file: shared/fit.yaml, prefix: large-, params: {points: \"${params.many}\", note: plain, parts: [a, b]}}
stages:
  join:
    kind: command
    inputs: {fits: [small-fit.fit, large-fit.fit]}
    run: cat ${inputs.fits} > ${outputs.both}
    outputs: {both: both.txt}
";

const FIT: &str = "\
params: {points: null, note: none, parts: [x]}
stages:
  data:
    kind: command
    run: seq ${params.points} > ${outputs.numbers}
    outputs: {numbers: numbers.txt}
  part:
    kind: command
    matrix: {part: '${params.parts}'}
    inputs: {numbers: data.numbers}
    run: wc -l < ${inputs.numbers} > ${outputs.lines}; echo ${matrix.part} ${params.note} >> ${outputs.lines}
    outputs: {lines: lines.txt}
  fit:
    kind: command
    when: '${params.points} > 0'
    inputs: {lines: [part, data.numbers]}
    run: cat ${inputs.lines} > ${outputs.fit}
    outputs: {fit: fit.txt}
";

fn both() -> Project {
    let project = Project::new(BOTH);
    project.write("shared/fit.yaml", FIT);
    project
}

#[test]
fn two_uses_of_a_file_are_two_sets_of_stages() {
    let project = both();
    let executed = project.executed(&[]);
    let expected = [
        "small-data",
        "small-part[part=x]",
        "small-fit",
        "large-data",
        "large-part[part=a]",
        "large-part[part=b]",
        "large-fit",
        "join",
    ];
    assert_eq!(executed.len(), expected.len(), "{executed:?}");
    assert!(expected.iter().all(|task| executed.contains(&(*task).to_owned())), "{executed:?}");
    let text = project.read("artifacts/both/join/both.txt");
    assert_eq!(text, "2\nx it's $HOME\n1\n2\n4\na plain\n4\nb plain\n1\n2\n3\n4\n");
    assert_eq!(project.executed(&["--set", "many=3"]).len(), 5);
    assert_eq!(project.executed(&[]), [""; 0]);
}

#[test]
fn stages_that_move_to_another_file_stay_cached() {
    let alone = "name: alone\nstages:\n  data:\n    kind: command\n    run: seq 3 > ${outputs.numbers}\n    outputs: {numbers: numbers.txt}\n  \
                 sum:\n    kind: command\n    inputs: {numbers: data.numbers}\n    run: cat ${inputs.numbers} > ${outputs.sum}\n    outputs: {sum: sum.txt}\n";
    let project = Project::new(alone);
    assert_eq!(project.executed(&[]), ["data", "sum"]);
    let (_, stages) = alone.split_once("stages:\n").expect("stages");
    project.write("shared/all.yaml", &format!("stages:\n{stages}"));
    project.write("pipeline.yaml", "name: alone\ninclude: {file: shared/all.yaml}\n");
    assert_eq!(project.executed(&[]), [""; 0]);
}

#[test]
fn a_change_of_the_file_counts_and_stages_can_be_set() {
    let project = both();
    assert_eq!(project.executed(&[]).len(), 8);
    project.write("shared/fit.yaml", &FIT.replace("seq ${params.points}", "seq 2 ${params.points}"));
    assert_eq!(project.executed(&["small-data"]), ["small-data"]);
    let plan = project.onsager(&[
        "plan",
        "pipeline.yaml",
        "--set",
        "stages.large-data.run=seq 7 > ${outputs.numbers}",
        "large-data",
    ]);
    assert!(plan.stdout.contains("seq 7"), "{}{}", plan.stdout, plan.stderr);
}

#[test]
fn files_include_files_and_experiments_run_them() {
    let project = both();
    project.write("shared/twice.yaml", "params: {n: 1}\ninclude:\n  - {file: shared/fit.yaml, prefix: inner-, params: {points: '${params.n}'}}\nstages:\n  \
                   last:\n    kind: command\n    inputs: {fit: inner-fit}\n    run: cp ${inputs.fit} ${outputs.o}\n    outputs: {o: o.txt}\n");
    project.write("pipelines/outer.yaml", "name: outer\nparams: {k: 5}\ninclude: [{file: shared/twice.yaml, prefix: a-, params: {n: '${params.k}'}}]\n");
    let ran = project.onsager(&["run", "pipelines/outer.yaml", "--json"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(project.read("artifacts/outer/a-last/o.txt"), "5\nx none\n1\n2\n3\n4\n5\n");
    project
        .write("experiments/k.yaml", "name: k\npipeline: pipelines/outer.yaml\nsweep: {grid: {k: [1, 2]}}\n");
    let ran = project.onsager(&["run", "experiments/k.yaml"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(project.read("artifacts/k/k=2/a-last/o.txt"), "2\nx none\n1\n2\n");
}

#[test]
fn wrong_uses_are_told_with_their_file_and_place() {
    let told = |pipeline: &str, template: &str, place: &str, message: &str| {
        let project = Project::new(pipeline);
        project.write("shared/fit.yaml", template);
        project.write("shared/again.yaml", "include: {file: shared/again.yaml}\nstages: {}\n");
        let ran = project.onsager(&["plan", "pipeline.yaml"]);
        assert_eq!(ran.status, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("--> {place}\n")), "{}", ran.stderr);
    };
    told(
        BOTH,
        &FIT.replace("seq ${params.points}", "seq ${params.point}"),
        "shared/fit.yaml:5:14",
        "did you mean `points`?",
    );
    told(
        BOTH,
        &FIT.replace("data.numbers}\n    run: wc", "date.numbers}\n    run: wc"),
        "shared/fit.yaml:10:23",
        "there is no stage `date`",
    );
    told(
        BOTH,
        &FIT.replace("outputs: {fit: fit.txt}", "output: {fit: fit.txt}"),
        "shared/fit.yaml:18:5",
        "unknown field `output`",
    );
    told(BOTH, &format!("{FIT}pools: {{gpu: 1}}\n"), "shared/fit.yaml:19:1", "unknown field `pools`");
    told(&BOTH.replace("points: 2, ", ""), FIT, "pipeline.yaml:4:12", "needs the parameter `points`");
    told(&BOTH.replace("points: 2", "pints: 2"), FIT, "pipeline.yaml:4:54", "did you mean `points`?");
    told(
        &BOTH.replace("file: shared/fit.yaml, prefix: small-", "file: shared/fitt.yaml, prefix: small-"),
        FIT,
        "pipeline.yaml:4:12",
        "cannot read `shared/fitt.yaml`",
    );
    told(
        &BOTH.replace("prefix: large-", "prefix: small-"),
        FIT,
        "shared/fit.yaml:3:3",
        "there is a stage `small-data` already",
    );
    told(
        &BOTH.replace("prefix: small-", "prefix: Small"),
        FIT,
        "pipeline.yaml:4:37",
        "`Small` cannot be a prefix of stages",
    );
    told(
        &BOTH.replace("prefix: small-", "prefx: small-"),
        FIT,
        "pipeline.yaml:4:29",
        "unknown field `prefx`",
    );
    told("name: x\ninclude: {file: shared/again.yaml}\n", FIT, "shared/again.yaml:1:17", "includes itself");
    told("name: x\ninclude: 3\n", FIT, "pipeline.yaml:2:10", "`include` must be a list of files");
}
