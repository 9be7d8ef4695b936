//! `stage.folder/file` as an input: a file or folder inside the folder that another stage writes.

mod common;

use common::{Project, last_line};

const SPLIT: &str = "\
name: split
stages:
  split:
    kind: command
    inputs: {words: {file: words.txt}}
    run: |
      mkdir -p ${outputs.parts}/deep
      while read name word; do echo $word > ${outputs.parts}/$name; done < ${inputs.words}
    outputs: {parts: parts/}
  one:
    kind: command
    inputs: {part: split.parts/one}
    run: tr a-z A-Z < ${inputs.part} > ${outputs.text}
    outputs: {text: one.txt}
  deep:
    kind: command
    inputs: {folder: split.parts/deep/}
    run: cd ${inputs.folder}; head * > ${outputs.text}
    outputs: {text: deep.txt}
";

fn split() -> Project {
    let project = Project::new(SPLIT);
    project.write("words.txt", "one mot\ntwo parole\ndeep/three wort\ndeep/four slovo\n");
    assert_eq!(project.executed(&[]), ["split", "one", "deep"]);
    project
}

#[test]
fn a_stage_reads_a_file_or_a_folder_of_a_folder() {
    let project = split();
    assert_eq!(project.read("artifacts/split/one/one.txt"), "MOT\n");
    assert_eq!(project.read("artifacts/split/deep/deep.txt"), "==> four <==\nslovo\n\n==> three <==\nwort\n");
}

#[test]
fn a_change_of_another_file_runs_nothing_more() {
    let project = split();
    project.write("words.txt", "one mot\ntwo changed\ndeep/three wort\ndeep/four slovo\n");
    assert_eq!(project.executed(&[]), ["split"]);
    project.write("words.txt", "one mot\ntwo changed\ndeep/three new\ndeep/four slovo\n");
    assert_eq!(project.executed(&[]), ["split", "deep"]);
    project.write("words.txt", "one word\ntwo changed\ndeep/three new\ndeep/four slovo\n");
    assert_eq!(project.executed(&[]), ["split", "one"]);
}

#[test]
fn plan_and_explain_show_the_file() {
    let project = split();
    let explained = project.onsager(&["explain", "pipeline.yaml", "one"]).stdout;
    assert!(explained.contains("    inputs.part[0].name = split.parts/one\n"), "{explained}");
    assert!(explained.contains("    inputs.part[0].file = one\n"), "{explained}");
    project.write("words.txt", "one word\ntwo parole\ndeep/three wort\ndeep/four slovo\n");
    let plan = project.onsager(&["plan", "pipeline.yaml", "one"]).stdout;
    assert!(plan.contains("one: execute, unless split gives the same bytes as before\n"), "{plan}");
}

#[test]
fn a_file_that_is_not_there_fails_its_reader_alone() {
    let project = split();
    project.write("words.txt", "won mot\ndeep/three wort\ndeep/four slovo\n");
    let ran = project.run(&["--keep-going"]);
    assert_eq!(ran.status, 1);
    let message = "there is no `one` in `split.parts`; there are `deep/four`, `deep/three` and `won`";
    assert!(ran.stderr.contains(&format!("error: one failed: {message}")), "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "3 tasks: 1 executed, 1 cached, 1 failed");
    let plan = project.onsager(&["plan", "pipeline.yaml"]).stdout;
    assert!(plan.contains(&format!("one: would fail: {message}\n")), "{plan}");
    let explained = project.onsager(&["explain", "pipeline.yaml", "one"]).stdout;
    assert!(explained.starts_with(&format!("one: would fail: {message}\n")), "{explained}");
}

#[test]
fn what_the_store_lost_is_made_again() {
    let project = split();
    let folder = project.onsager(&["explain", "pipeline.yaml", "split"]).stdout;
    let digest = folder.split("parts = ").last().and_then(|rest| rest.get(..64)).expect("a digest");
    std::fs::remove_file(common::chain::object(&project, digest)).expect("removed");
    std::fs::remove_dir_all(project.path("artifacts/split")).expect("removed");
    assert_eq!(project.executed(&["one"]), ["split"]);
    assert_eq!(project.read("artifacts/split/one/one.txt"), "MOT\n");
}

#[test]
fn wrong_uses_are_told_with_their_place() {
    let told = |input: &str, place: &str, message: &str| {
        let project = Project::new(&SPLIT.replace("part: split.parts/one", &format!("part: {input}")));
        project.write("words.txt", "");
        let ran = project.onsager(&["plan", "pipeline.yaml"]);
        assert_eq!(ran.status, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("--> pipeline.yaml:{place}\n")), "{}", ran.stderr);
    };
    told("deep.text/one", "12:20", "error: `deep.text` is a file, so there is no `one` in it");
    told("deep.text/one", "12:20", "declare it as a folder, with a slash at the end: `text: deep.txt/`");
    told("split.parts/../x", "12:20", "`../x` is no path inside a folder");
    told("split.parts/", "12:20", "`` is no path inside a folder");
    told("splt.parts/one", "12:20", "did you mean `split`?");
    told("split.part/one", "12:20", "stage `split` has no output `part`");
}
