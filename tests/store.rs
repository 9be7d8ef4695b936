//! The store's tools: verify, gc, du, export and import.

mod common;

use common::{Project, Ran};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

const CHAIN: &str = "\
name: chain
params: {mark: '1'}
stages:
  a:
    kind: command
    inputs: {source: {file: source.txt}}
    run: cut -d' ' -f1 ${inputs.source} > ${outputs.text}
    outputs: {text: a.txt}
  b:
    kind: command
    inputs: {text: a.text}
    run: echo \"$(cat ${inputs.text}) ${params.mark}\" > ${outputs.text}
    outputs: {text: b.txt}
  c:
    kind: command
    inputs: {text: b.text}
    run: mkdir ${outputs.folder}; cp ${inputs.text} ${outputs.folder}/one; echo two > ${outputs.folder}/two
    outputs: {folder: c}
";

fn chain() -> Project {
    let project = Project::new(CHAIN);
    project.write("source.txt", "one two\n");
    assert_eq!(project.executed(&[]), ["a", "b", "c"]);
    project
}

/// The digest of an output in the latest `run --json`.
fn digest(project: &Project, task: &str, output: &str) -> String {
    let (document, _) = project.run_json(&[]);
    document["outputs"][task][output]["digest"].as_str().expect("a digest").to_owned()
}

fn object(project: &Project, digest: &str) -> PathBuf {
    project.path(&format!("artifacts/.onsager/objects/{}/{}", &digest[..2], &digest[2..]))
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", ran.stdout, ran.stderr))
}

/// Replaces an object's bytes, as a failing disk would.
fn damage(project: &Project, digest: &str, bytes: &[u8]) {
    let path = object(project, digest);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("writable");
    File::options()
        .write(true)
        .truncate(true)
        .open(&path)
        .and_then(|mut file| file.write_all(bytes))
        .expect("damaged");
}

fn run_of(project: &Project) -> String {
    let events = project.events();
    events.iter().find_map(|event| event["run"].as_str()).expect("a run").to_owned()
}

#[test]
fn an_intact_store_is_said_to_be_intact() {
    let project = chain();
    let ran = project.onsager(&["store", "verify"]);
    // a.txt (4 bytes), b.txt and the copy in the folder (6), `two` (4), and the folder's list.
    assert_eq!(ran.stdout, "4 objects, 268 B: all intact\n", "{}", ran.stderr);
    assert_eq!(ran.status, 0);
    let report = json(&project.onsager(&["store", "verify", "--json"]));
    assert_eq!(
        (&report["objects"], &report["records"], &report["copies"]),
        (&4.into(), &3.into(), &3.into())
    );
}

#[test]
fn a_flipped_byte_is_found_named_and_recomputed() {
    let project = chain();
    let b = digest(&project, "b", "text");
    damage(&project, &b, b"oNe 1\n");
    let told = project.onsager(&["store", "verify", "--dry-run"]);
    assert_eq!(told.status, 1);
    let run = run_of(&project);
    // printf 'oNe 1\n' | sha256sum
    let expected = format!(
        "object {b} is damaged: its 6 bytes have the digest DIGEST; made by `b` in run {run}, `c` in run {run}\n\
         to be made again: `b`, `c`\n\
         4 objects, 268 B: 1 damaged\n"
    );
    let found = onsager::store::digest::Digest::of(b"oNe 1\n").short();
    assert_eq!(told.stdout, expected.replace("DIGEST", &found));
    // Only told so far.
    assert_eq!(project.onsager(&["store", "verify", "--dry-run"]).stdout, told.stdout);

    let ran = project.onsager(&["store", "verify"]);
    assert_eq!(ran.status, 1);
    assert!(!object(&project, &b).exists());
    assert_eq!(project.executed(&[]), ["b", "c"]);
    assert_eq!(fs::read(object(&project, &b)).expect("the object"), b"one 1\n");
    assert_eq!(project.onsager(&["store", "verify"]).status, 0);
}

#[test]
fn truncated_and_missing_objects_are_recomputed() {
    let project = chain();
    let (a, c) = (digest(&project, "a", "text"), digest(&project, "c", "folder"));
    damage(&project, &a, b"on");
    fs::remove_file(object(&project, &c)).expect("removed");
    let report = json(&project.onsager(&["store", "verify", "--json"]));
    let damage = report["damage"].as_array().expect("a list");
    assert_eq!((&damage[0]["damaged"], &damage[0]["digest"]), (&"object".into(), &Value::from(a)));
    assert_eq!((&damage[1]["damaged"], &damage[1]["digest"]), (&"missing".into(), &Value::from(c)));
    assert_eq!(damage[1]["made_by"][0]["task"], "c");
    assert_eq!(project.executed(&[]), ["a", "c"]);
    assert_eq!(project.read("artifacts/chain/c/c/one"), "one 1\n");
    assert_eq!(project.onsager(&["store", "verify"]).status, 0);
}

#[test]
fn damaged_records_and_copies_are_found() {
    let project = chain();
    let key = json(&project.onsager(&["explain", "pipeline.yaml", "b", "--json"]))[0]["key"].clone();
    let key = key.as_str().expect("a key").to_owned();
    let record = format!("artifacts/.onsager/actions/{}/{}.json", &key[..2], &key[2..]);
    project.write(&record, &project.read(&record).replace("\"task\"", "\"tusk\""));
    project.write("artifacts/chain/a/a.txt", "edited by hand\n");
    let ran = project.onsager(&["store", "verify"]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.stdout.contains("/a/a.txt` was edited or removed; the next run restores it\n"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.starts_with("action record `"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("4 objects, 268 B: 1 damaged\n"), "{}", ran.stdout);
    assert_eq!(project.executed(&[]), ["b"]);
    assert_eq!(project.read("artifacts/chain/a/a.txt"), "one\n");
    // An edit of the copy alone is no damage.
    project.write("artifacts/chain/a/a.txt", "edited by hand\n");
    assert_eq!(project.onsager(&["store", "verify"]).status, 0);
}

#[test]
fn a_damaged_manifest_is_no_obstacle_and_is_written_anew() {
    let project = chain();
    sleep(Duration::from_millis(200));
    // The second of these notes that nothing changed.
    assert_eq!(project.run(&[]).status, 0);
    assert_eq!(project.run(&[]).status, 0);
    let manifests = project.path("artifacts/.onsager/manifests");
    let group =
        fs::read_dir(manifests).expect("a folder").next().expect("a folder").expect("a folder").path();
    let manifest = fs::read_dir(group).expect("a folder").next().expect("a file").expect("a file").path();
    let whole = fs::read(&manifest).expect("a file");
    fs::write(&manifest, "nonsense\n").expect("damaged");
    for command in ["gc", "du"] {
        let ran = project.onsager(&["store", command]);
        assert_eq!(ran.status, 0, "{command}: {}", ran.stderr);
    }
    let ran = project.onsager(&["store", "export", "chain", "-o", "run.onsager"]);
    assert!(
        ran.stderr.ends_with("(its content does not have its name): remove it and run again\n"),
        "{}",
        ran.stderr
    );
    assert!(!project.path("run.onsager").exists());
    assert_eq!(project.onsager(&["store", "verify"]).status, 1);
    assert!(!manifest.exists());
    let ran = project.run(&[]);
    assert_eq!(common::last_line(&ran.stdout), "3 tasks: 0 executed, 3 cached, 0 failed");
    assert_eq!(fs::read(&manifest).expect("a file"), whole);
    assert_eq!(project.onsager(&["store", "verify"]).status, 0);
}

#[test]
fn a_task_that_is_executed_again_is_compared() {
    let project = Project::new(
        "\
name: again
stages:
  fixed:
    kind: command
    run: printf 'one\\ntwo\\n' > ${outputs.text}
    outputs: {text: fixed.txt}
  counted:
    kind: command
    inputs: {text: fixed.text}
    run: |
      echo x >> calls.txt
      (cat ${inputs.text}; wc -l < calls.txt) > ${outputs.text}
      mkdir ${outputs.folder}; printf '\\0%s' $(wc -l < calls.txt) > ${outputs.folder}/bytes
    outputs: {text: counted.txt, folder: counted}
",
    );
    let rerun = |task: &str| project.onsager(&["store", "verify", "pipeline.yaml", "--rerun", task]);
    assert_eq!(
        rerun("fixed").stdout,
        "fixed: the store has no result to compare with; run the pipeline first\n"
    );
    assert_eq!(project.executed(&[]), ["fixed", "counted"]);
    let same = rerun("fixed");
    assert!(same.stdout.starts_with("fixed: same bytes ("), "{} {}", same.stdout, same.stderr);
    assert_eq!(same.status, 0);
    let differs = rerun("counted");
    assert_eq!(
        differs.stdout,
        "counted: output `folder` differs: `bytes`: byte 1 is the first that differs; it had 2 bytes and has 2\n\
         counted: output `text` differs: line 3 was `1` and is `2`\n"
    );
    assert_eq!(differs.status, 1);
    // Nothing was replaced.
    assert!(project.executed(&[]).is_empty());
    assert_eq!(project.read("artifacts/again/counted/counted.txt"), "one\ntwo\n1\n");
    assert_eq!(project.onsager(&["store", "verify"]).status, 0);
}

#[test]
fn gc_drops_what_nothing_refers_to_and_keeps_the_records() {
    let project = chain();
    assert_eq!(project.executed(&["--set", "mark=2"]), ["b", "c"]);
    sleep(Duration::from_millis(50));
    assert_eq!(
        project.onsager(&["store", "gc"]).stdout,
        "dropped 0 objects, 0 B; 6 objects left, 528 B\n",
        "both runs are among the last ten"
    );
    let told = project.onsager(&["store", "gc", "--keep-runs", "1", "--dry-run"]);
    assert!(told.stdout.ends_with("would drop 2 objects, 260 B; 4 objects left, 268 B\n"), "{}", told.stdout);
    let ran = project.onsager(&["store", "gc", "--keep-runs", "1"]);
    assert_eq!(ran.stdout, "dropped 2 objects, 260 B; 4 objects left, 268 B\n");
    assert!(project.executed(&["--set", "mark=2"]).is_empty());
    let report = json(&project.onsager(&["store", "verify", "--json"]));
    assert_eq!((&report["collected"], &report["damage"]), (&2.into(), &Value::Array(Vec::new())));
    assert_eq!(report["records"], 5);
}

#[test]
fn gc_by_age_and_by_size() {
    let project = chain();
    assert_eq!(
        project.onsager(&["store", "gc", "--older-than", "1h"]).stdout,
        "dropped 0 objects, 0 B; 4 objects left, 268 B\n"
    );
    sleep(Duration::from_millis(50));
    let told = project.onsager(&["store", "gc", "--max-size", "1KiB"]);
    assert_eq!(told.stdout, "dropped 0 objects, 0 B; 4 objects left, 268 B\n");
    let ran = project.onsager(&["store", "gc", "--max-size", "100B", "--json"]);
    assert!(json(&ran)["collected"]["bytes_left"].as_u64().expect("bytes") <= 100, "{}", ran.stdout);
    sleep(Duration::from_millis(2100));
    let ran = project.onsager(&["store", "gc", "--older-than", "1s", "--json"]);
    assert_eq!(json(&ran)["collected"]["objects_left"], 0);
    assert_eq!(project.onsager(&["store", "verify"]).stdout, "0 objects, 0 B: all intact\n");
    assert_eq!(project.onsager(&["store", "gc", "--older-than", "soon"]).status, 2);
}

#[test]
fn after_gc_a_run_executes_nothing() {
    let project = chain();
    sleep(Duration::from_millis(50));
    let ran = project.onsager(&["store", "gc", "--max-size", "1B"]);
    assert!(ran.stdout.ends_with("; 0 objects left, 0 B\n"), "{}", ran.stdout);
    assert!(project.executed(&[]).is_empty());
}

#[test]
fn after_gc_only_what_is_needed_is_made_again() {
    let project = chain();
    sleep(Duration::from_millis(50));
    project.onsager(&["store", "gc", "--max-size", "1B"]);
    // c must execute; the bytes of b that it reads are still in the view.
    project.write("pipeline.yaml", &CHAIN.replace("echo two", "echo three"));
    assert_eq!(project.executed(&[]), ["c"]);

    let project = chain();
    sleep(Duration::from_millis(50));
    project.onsager(&["store", "gc", "--max-size", "1B"]);
    // Now they are nowhere: b is made again for c, and a for b.
    for copy in ["a/a.txt", "b/b.txt"] {
        fs::remove_file(project.path("artifacts/chain").join(copy)).expect("removed");
    }
    project.write("pipeline.yaml", &CHAIN.replace("echo two", "echo three"));
    assert_eq!(project.executed(&[]), ["a", "b", "c"]);

    let project = chain();
    sleep(Duration::from_millis(50));
    project.onsager(&["store", "gc", "--max-size", "1B"]);
    // b's bytes come out as they were, so c is not executed.
    project.write("pipeline.yaml", &CHAIN.replace("run: echo \"", "run: printf '%s\\n' \""));
    assert_eq!(project.executed(&[]), ["b"]);
}

#[test]
fn gc_beside_a_run_keeps_what_it_needs() {
    let project = Project::new(
        "\
name: slow
stages:
  first:
    kind: command
    run: echo first > ${outputs.text}
    outputs: {text: first.txt}
  wait:
    kind: command
    inputs: {text: first.text}
    run: |
      touch started
      while [ ! -e go ]; do sleep 0.02; done
      cat ${inputs.text} > ${outputs.text}
    outputs: {text: wait.txt}
  last:
    kind: command
    inputs: {first: first.text, wait: wait.text}
    run: cat ${inputs.first} ${inputs.wait} > ${outputs.text}
    outputs: {text: last.txt}
",
    );
    assert_eq!(project.run(&["first"]).status, 0);
    let child = project.spawn(&[]);
    while !project.path("started").exists() {
        sleep(Duration::from_millis(10));
    }
    let ran = project.onsager(&["store", "gc", "--max-size", "1B"]);
    assert_eq!(ran.stdout, "dropped 0 objects, 0 B; 1 object left, 6 B\nkept what 1 running run may need\n");
    assert_eq!(project.onsager(&["store", "verify"]).status, 0);
    project.write("go", "");
    let ran = common::ran(child.wait_with_output().expect("it ends"));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(project.read("artifacts/slow/last/last.txt"), "first\nfirst\n");
}

#[test]
fn gc_removes_what_a_killed_run_left() {
    let project = chain();
    project.write("artifacts/.onsager/work/dead/1/out/half.txt", "half\n");
    project.write("artifacts/.onsager/locks/run-dead", "");
    let told = project.onsager(&["store", "gc", "--dry-run"]);
    assert!(told.stdout.contains("5 B  leftover     "), "{}", told.stdout);
    let ran = project.onsager(&["store", "gc"]);
    assert_eq!(ran.stdout, "dropped 0 objects, 0 B, and 1 other thing, 5 B; 4 objects left, 268 B\n");
    assert!(!project.path("artifacts/.onsager/work/dead").exists());
    assert!(!project.path("artifacts/.onsager/locks/run-dead").exists());
}

#[test]
fn du_adds_up() {
    let project = chain();
    assert_eq!(project.executed(&["--set", "mark=2"]), ["b", "c"]);
    let usage = json(&project.onsager(&["store", "du", "--json"]));
    let row = |stage: &str| {
        let rows = usage["rows"].as_array().expect("rows");
        rows.iter().find(|row| row["stage"] == stage).expect("a row").clone()
    };
    assert_eq!(
        (&row("a")["bytes"], &row("a")["shared"], &row("a")["copies"]),
        (&4.into(), &0.into(), &4.into())
    );
    // Two results of six bytes each, which the folders of c hold as well.
    assert_eq!(
        (&row("b")["bytes"], &row("b")["shared"], &row("b")["copies"]),
        (&12.into(), &12.into(), &6.into())
    );
    assert_eq!((&usage["objects"], &usage["object_bytes"]), (&6.into(), &528.into()));
    assert_eq!(usage["copies"], 4 + 6 + 10);
    let table = project.onsager(&["store", "du", "--by", "pipeline"]).stdout;
    assert!(table.contains("chain             528 B        0 B       20 B\n"), "{table}");
    assert!(table.ends_with("6 objects; `onsager store gc` would free 0 B\n"), "{table}");
}

#[test]
fn an_exported_run_is_cached_where_it_is_imported() {
    let project = chain();
    let exported = project.onsager(&["store", "export", "pipeline.yaml", "-o", "run.onsager"]);
    let run = run_of(&project);
    assert_eq!(
        exported.stdout,
        format!("exported run {run} of `chain` to `run.onsager`: 3 tasks, 4 objects, 268 B\n"),
        "{}",
        exported.stderr
    );
    project.onsager(&["store", "export", &run, "-o", "again.onsager"]);
    let bytes = fs::read(project.path("run.onsager")).expect("an archive");
    assert_eq!(bytes, fs::read(project.path("again.onsager")).expect("an archive"));
    for zipped in ["1.gz", "2.gz"] {
        assert_eq!(project.onsager(&["store", "export", "chain", "--gzip", "-o", zipped]).status, 0);
    }
    let zipped = fs::read(project.path("1.gz")).expect("an archive");
    assert_eq!(zipped, fs::read(project.path("2.gz")).expect("an archive"));
    assert!(zipped.len() < bytes.len());

    for archive in [bytes, zipped] {
        let other = Project::new(CHAIN);
        other.write("source.txt", "one two\n");
        fs::write(other.path("run.onsager"), archive).expect("a file");
        let imported = other.onsager(&["store", "import", "run.onsager"]);
        assert_eq!(
            imported.stdout,
            format!("imported run {run} of `chain`: 3 tasks, 4 objects, 268 B; 7 new\n"),
            "{}",
            imported.stderr
        );
        let again = other.onsager(&["store", "import", "run.onsager"]);
        assert!(again.stdout.ends_with("; 0 new\n"), "{} {}", again.stdout, again.stderr);
        assert_eq!(other.onsager(&["store", "verify"]).status, 0);
        let ran = other.run(&[]);
        assert_eq!(common::last_line(&ran.stdout), "3 tasks: 0 executed, 3 cached, 0 failed");
        assert_eq!(other.read("artifacts/chain/c/c/one"), "one 1\n");
    }
}

#[test]
fn some_tasks_are_exported_with_what_they_need() {
    let project = chain();
    let exported = project.onsager(&["store", "export", "chain", "--task", "b", "-o", "b.onsager", "--json"]);
    assert_eq!((&json(&exported)["tasks"], &json(&exported)["objects"]), (&2.into(), &2.into()));
    let other = Project::new(CHAIN);
    other.write("source.txt", "one two\n");
    let archive = project.path("b.onsager");
    assert_eq!(other.onsager(&["store", "import", archive.to_str().expect("a path")]).status, 0);
    assert_eq!(other.executed(&[]), ["c"]);
    let wrong = project.onsager(&["store", "export", "chain", "--task", "d", "-o", "d.onsager"]);
    assert_eq!(wrong.stderr, format!("error: run `{}` has no result of `d`\n", run_of(&project)));
    assert_eq!(wrong.status, 2);
}

#[test]
fn a_damaged_archive_is_refused() {
    let project = chain();
    let a = digest(&project, "a", "text");
    project.onsager(&["store", "export", "chain", "-o", "run.onsager"]);
    let whole = fs::read(project.path("run.onsager")).expect("an archive");
    // The bytes of a's object: a member's data begins 512 bytes after its name.
    let name = format!("objects/{}/{}", &a[..2], &a[2..]);
    let at = whole
        .windows(name.len() + 1)
        .rposition(|window| window[..name.len()] == *name.as_bytes() && window[name.len()] == 0)
        .expect("the member");
    let mut flipped = whole.clone();
    flipped[at + 512] ^= 1;

    let other = Project::new(CHAIN);
    other.write("source.txt", "one two\n");
    let import = |bytes: &[u8]| {
        fs::write(other.path("run.onsager"), bytes).expect("a file");
        let ran = other.onsager(&["store", "import", "run.onsager"]);
        assert_eq!(ran.status, 2, "{}", ran.stdout);
        let objects = fs::read_dir(other.path("artifacts/.onsager/objects")).expect("objects");
        assert_eq!(objects.count(), 0, "something is visible");
        ran.stderr
    };
    assert_eq!(
        import(&flipped),
        format!(
            "error: `run.onsager` is damaged: member `{name}` does not have the digest that the header names; \
             nothing was imported\n"
        )
    );
    assert_eq!(
        import(&whole[..at + 513]),
        format!("error: `run.onsager` is damaged: member `{name}` is not whole; nothing was imported\n")
    );
    // Cut between two members.
    assert_eq!(
        import(&whole[..at]),
        format!("error: `run.onsager` is damaged: member `{name}` is missing; nothing was imported\n")
    );
    assert!(import(b"no archive at all").starts_with("error: `run.onsager` is not an archive of onsager: "));
    assert_eq!(other.executed(&[]), ["a", "b", "c"]);
}

#[test]
fn the_tools_have_help_and_want_a_store() {
    let project = Project::new(CHAIN);
    for command in ["verify", "gc", "du", "export", "import"] {
        let help = project.onsager(&["store", command, "--help"]);
        assert!(help.stdout.contains("Example"), "{command}: {}", help.stdout);
    }
    let none = project.onsager(&["store", "du"]);
    assert_eq!(
        none.stderr,
        "error: there is no store in this folder or above it: go to a project that was run, or give `--artifacts DIR`\n"
    );
    assert_eq!(none.status, 2);
    let unknown = chain().onsager(&["store", "export", "nothing", "-o", "nothing.onsager"]);
    assert_eq!(
        unknown.stderr,
        "error: there is no run or pipeline `nothing` in the store: `onsager store du` lists the pipelines\n"
    );
}
