//! What a record tells of its run: who, what code, where; and of each attempt what it waited for and what it took.

mod common;

use common::{Project, json_of};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

const PIPELINE: &str = "\
name: facts
params: {word: one}
stages:
  write:
    kind: command
    run: |
      echo ${params.word} > ${outputs.text}
      head -c 3000000 /dev/zero > ${outputs.text}.more; rm ${outputs.text}.more
      if [ ! -e tried ]; then touch tried; exit 3; fi
    outputs: {text: out.txt}
    resources: {retries: {times: 1, wait: 0.2s}}
  read:
    kind: command
    inputs: {text: write}
    run: cp ${inputs.text} ${outputs.text}
    outputs: {text: out.txt}
";

/// Runs git in the project; false where there is none.
fn git(project: &Project, words: &[&str]) -> bool {
    let mut command = Command::new("git");
    command.args([
        "-c",
        "user.name=Lars",
        "-c",
        "user.email=lars@example.org",
        "-c",
        "init.defaultBranch=main",
    ]);
    command.args(words).current_dir(project.path("")).env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.output().is_ok_and(|done| done.status.success())
}

fn facts(project: &Project) -> Value {
    json_of(project, &["status", "pipeline.yaml", "--json"])["facts"].clone()
}

#[test]
fn a_record_knows_the_commit_and_what_differs_from_it() {
    let project = Project::new(PIPELINE);
    project.write(".gitignore", "artifacts/\ntried\n");
    if !git(&project, &["init", "-q"]) {
        println!("skipped: no git");
        return;
    }
    // Before the first commit there is none.
    assert_eq!(project.run(&[]).status, 0);
    assert_eq!(facts(&project)["commit"], Value::Null);
    assert!(git(&project, &["add", "."]) && git(&project, &["commit", "-q", "-m", "first"]));
    let run = |word: &str| {
        assert_eq!(project.run(&["--set", word]).status, 0);
        facts(&project)
    };
    let clean = run("word=two");
    assert_eq!(clean["commit"].as_str().map(str::len), Some(40));
    assert_eq!(
        (&clean["branch"], &clean["dirty"], &clean["difference"]),
        (&json!("main"), &json!(false), &Value::Null)
    );
    // Files that git does not know are no difference.
    project.write("notes.txt", "new");
    assert_eq!(run("word=three")["dirty"], json!(false));
    project.write(".gitignore", "artifacts/\ntried\nother\n");
    let dirty = run("word=four");
    assert_eq!((&dirty["commit"], &dirty["dirty"]), (&clean["commit"], &json!(true)));
    assert_eq!(dirty["difference"].as_str().map(str::len), Some(64));
    assert_eq!(run("word=five")["difference"], dirty["difference"]);
    project.write(".gitignore", "artifacts/\ntried\nanother\n");
    assert_ne!(run("word=six")["difference"], dirty["difference"]);
    assert!(git(&project, &["checkout", "-q", "--detach"]));
    let detached = run("word=seven");
    assert_eq!((&detached["commit"], &detached["branch"]), (&clean["commit"], &Value::Null));
}

#[test]
fn a_record_knows_who_ran_what_and_where() {
    let project = Project::new(PIPELINE);
    let mut command = project.command(&["run", "pipeline.yaml", "--set", "word=two"]);
    command
        .env("USER", "lars")
        .env("OMP_NUM_THREADS", "3")
        .env("SECRET", "hidden")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    assert!(command.output().expect("the program starts").status.success());
    let facts = facts(&project);
    assert_eq!(facts["user"], "lars");
    assert_eq!(facts["arguments"], json!(["run", "pipeline.yaml", "--set", "word=two"]));
    assert_eq!(facts["environment"]["OMP_NUM_THREADS"], "3");
    assert_eq!(facts["environment"]["SECRET"], Value::Null);
    assert_eq!(facts["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(facts["program"].as_str().map(str::len), Some(64));
    let folder = fs::canonicalize(project.path("")).expect("a folder");
    assert_eq!(facts["folder"].as_str(), folder.to_str());
    for field in ["started", "ended", "system", "host", "kernel"] {
        assert!(facts[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {facts:#}");
    }
    // A run that finds nothing to do has the same, of now.
    let mut again = project.command(&["run", "pipeline.yaml", "--set", "word=two"]);
    assert!(again.env("USER", "irene").output().expect("the program starts").status.success());
    assert_eq!(self::facts(&project)["user"], "irene");
}

#[test]
fn attempts_have_their_waits_and_what_they_took() {
    let project = Project::new(PIPELINE);
    assert_eq!(project.run(&["--jobs", "1"]).status, 0);
    let document = json_of(&project, &["status", "pipeline.yaml", "--json"]);
    let [first, second] = &document["tasks"][0]["attempts"].as_array().expect("attempts")[..] else {
        panic!("two attempts: {document:#}");
    };
    assert_eq!((&first["attempt"], &second["attempt"]), (&json!(1), &json!(2)));
    assert_eq!(first["failure"], "the command failed (exit status: 3)");
    assert_eq!(second["failure"], Value::Null);
    let [read] = &document["tasks"][1]["attempts"].as_array().expect("attempts")[..] else {
        panic!("one attempt: {document:#}");
    };
    for attempt in [first, second, read] {
        let number = |field: &str| attempt[field].as_f64().unwrap_or_else(|| panic!("{field}: {attempt:#}"));
        for field in ["waited_for_inputs", "waited_for_lock", "waited_for_pool", "waited_for_threads", "cpu"]
        {
            assert!(number(field) >= 0.0, "{field}: {attempt:#}");
        }
        assert!(number("memory") > 1e6 && number("worker") > 1.0, "{attempt:#}");
        assert_eq!(attempt["host"], document["facts"]["host"]);
        assert!(attempt["ended"].as_str() > attempt["started"].as_str(), "{attempt:#}");
    }
    // The wait before a retry is no wait for inputs, but that for the first stage is.
    assert!(
        first["written"].as_u64() >= Some(3_000_000) && first["read"].as_u64() >= Some(3_000_000),
        "{first:#}"
    );
    assert!(read["written"].as_u64() < Some(3_000_000), "{read:#}");
    assert!(second["waited_for_inputs"].as_f64() == Some(0.0), "{second:#}");
    assert!(read["waited_for_inputs"].as_f64() > Some(0.2), "{read:#}");
    let log = json_of(&project, &["log", "pipeline.yaml", "write", "--json"]);
    assert_eq!(log[0]["attempts"], document["tasks"][0]["attempts"]);
}

/// A record of the version before has none of it, and is read all the same.
#[test]
fn old_records_are_read() {
    let project = Project::new(PIPELINE);
    project.write("tried", "");
    assert_eq!(project.run(&[]).status, 0);
    let runs = fs::read_dir(project.path("artifacts/.onsager/runs")).expect("runs");
    let record = runs
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|is| is == "jsonl"));
    let record = record.expect("a record");
    let text = fs::read_to_string(&record).expect("a record");
    let old = text.lines().filter_map(|line| {
        let Value::Object(mut event) = serde_json::from_str(line).expect("a line") else { return None };
        for field in ["facts", "attempt", "host", "worker", "waited"] {
            if field != "host" || event["event"] == "task-started" {
                event.remove(field);
            }
        }
        if let Some(usage) = event.get_mut("usage").and_then(Value::as_object_mut) {
            usage.remove("read");
            usage.remove("written");
        }
        (event["event"] != "run-commit").then(|| Value::Object(event).to_string() + "\n")
    });
    fs::write(&record, old.collect::<String>()).expect("a file");
    let document = json_of(&project, &["status", "pipeline.yaml", "--json"]);
    assert_eq!(document["facts"]["user"], Value::Null);
    let attempt = &document["tasks"][0]["attempts"][0];
    assert_eq!(
        (&attempt["attempt"], &attempt["waited_for_lock"], &attempt["read"]),
        (&json!(0), &Value::Null, &json!(0))
    );
    assert!(attempt["cpu"].as_f64().is_some(), "{attempt:#}");
    assert_eq!(attempt["host"], document["facts"]["host"]);
    assert_eq!(project.executed(&[]), [""; 0]);
}
