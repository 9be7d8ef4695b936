//! Outputs that a command may leave unwritten, and what becomes of the stages that read them.

mod common;

use common::{Project, last_line, names};

const FIND: &str = "\
name: find
stages:
  find:
    kind: command
    inputs: {words: {file: words.txt}}
    run: |
      wc -w < ${inputs.words} > ${outputs.count}
      if grep -q error ${inputs.words}; then grep error ${inputs.words} > ${outputs.errors}; fi
    outputs: {count: count.txt, errors: {file: errors.txt, optional: true}}
  mail:
    kind: command
    inputs: {errors: find.errors}
    run: cp ${inputs.errors} ${outputs.mail}
    outputs: {mail: mail.txt}
  send:
    kind: command
    inputs: {mail: mail}
    run: cp ${inputs.mail} ${outputs.sent}
    outputs: {sent: sent.txt}
  all:
    kind: command
    inputs: {parts: [find.errors, find.count]}
    run: cat ${inputs.parts} > ${outputs.all}
    outputs: {all: all.txt}
";

#[test]
fn what_reads_an_output_that_is_not_written_is_skipped() {
    let project = Project::new(FIND);
    project.write("words.txt", "all is well\n");
    let (document, status) = project.run_json(&[]);
    assert_eq!(status, 0, "{document:#}");
    assert_eq!(names(&document["tasks"]["executed"]), ["find", "all"]);
    let skipped = serde_json::json!([
        {"task": "mail", "because": "for `find.errors` is not there, its input `errors`"},
        {"task": "send", "because": "for `mail.mail` is not there, its input `mail`"},
    ]);
    assert_eq!(document["tasks"]["skipped"], skipped);
    assert!(document["outputs"]["find"].get("errors").is_none());
    assert_eq!(project.read("artifacts/find/all/all.txt"), "3\n");
    let again = project.run(&[]);
    assert_eq!(last_line(&again.stdout), "4 tasks: 0 executed, 2 cached, 0 failed, 2 skipped");
    let plan = project.onsager(&["plan", "pipeline.yaml"]).stdout;
    assert!(plan.contains("mail: skipped, for `find.errors` is not there, its input `errors`\n"), "{plan}");
    assert!(plan.ends_with("0 to execute, 0 if what they need changes, 2 cached, 2 skipped\n"), "{plan}");
    let status = project.onsager(&["status", "pipeline.yaml"]).stdout;
    assert!(status.contains("skipped  mail"), "{status}");
    let explained = project.onsager(&["explain", "pipeline.yaml", "find"]).stdout;
    assert!(explained.contains("    errors: not written\n"), "{explained}");
}

#[test]
fn it_comes_and_goes_and_takes_what_stood_on_it_along() {
    let project = Project::new(FIND);
    project.write("words.txt", "all is well\n");
    assert_eq!(project.executed(&[]), ["find", "all"]);
    project.write("words.txt", "an error\n");
    assert_eq!(project.executed(&[]), ["find", "mail", "send", "all"]);
    assert_eq!(project.read("artifacts/find/all/all.txt"), "an error\n2\n");
    assert_eq!(project.read("artifacts/find/send/sent.txt"), "an error\n");
    project.write("words.txt", "all is well\n");
    assert_eq!(project.executed(&[]), [""; 0]);
    for gone in ["find/errors.txt", "mail/mail.txt", "send/sent.txt"] {
        assert!(!project.path(&format!("artifacts/find/{gone}")).exists(), "{gone}");
    }
    assert_eq!(project.read("artifacts/find/all/all.txt"), "3\n");
    let verified = project.onsager(&["store", "verify"]);
    assert_eq!(verified.status, 0, "{}", verified.stdout);
    let rerun = project.onsager(&["store", "verify", "pipeline.yaml", "--rerun", "find"]);
    assert_eq!(rerun.status, 0, "{}{}", rerun.stdout, rerun.stderr);
    let collected = project.onsager(&["store", "gc", "--keep-runs", "1"]);
    assert_eq!(collected.status, 0, "{}", collected.stderr);
    assert_eq!(project.executed(&[]), [""; 0]);
}

#[test]
fn an_output_that_is_not_optional_must_be_written() {
    let project = Project::new(&FIND.replace("optional: true", "optional: false"));
    project.write("words.txt", "all is well\n");
    let ran = project.run(&[]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("errors"), "{}", ran.stderr);
}

#[test]
fn the_short_form_and_the_long_one_are_the_same() {
    let project = Project::new(FIND);
    project.write("words.txt", "an error\n");
    assert_eq!(project.executed(&[]).len(), 4);
    project.write("pipeline.yaml", &FIND.replace("count: count.txt", "count: {file: count.txt}"));
    assert_eq!(project.executed(&[]), [""; 0]);
}

#[test]
fn wrong_uses_are_told_with_their_place() {
    let told = |output: &str, place: &str, message: &str| {
        let project = Project::new(&FIND.replace("{file: errors.txt, optional: true}", output));
        project.write("words.txt", "");
        let ran = project.onsager(&["plan", "pipeline.yaml"]);
        assert_eq!(ran.status, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("--> pipeline.yaml:{place}\n")), "{}", ran.stderr);
    };
    told("{optional: true}", "9:33", "output `errors` has no `file`");
    told("{file: e.txt, optional: maybe}", "9:65", "`optional` must be `true` or `false`");
    told("{file: e.txt, option: true}", "9:55", "unknown field `option`");
    told("{file: [e.txt]}", "9:48", "`file` must be text, but is a list");
    told("[e.txt]", "9:41", "`outputs.errors` must be text, but is a list");
    told("{file: ../e.txt, optional: true}", "9:41", "output `errors` cannot be written to `../e.txt`");
}
