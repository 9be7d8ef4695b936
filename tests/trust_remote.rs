//! Whose results count that come from a remote store: whatever nobody trusted has signed is a miss, which is told once, and nothing of it
//! is in the store.

mod common;

use common::archive::sha256;
use common::chain::{chain, run_of};
use common::servers::{Place, files};
use common::trust::{FORGED, UNSIGNED, export, import, new_key, other, trusting, untrusted, well};
use common::{Project, Ran, names, ran};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// A folder with the chain's results, the project that pushed them, and its key.
fn pushed() -> (Place, Project, String) {
    let (place, project) = (Place::folder(), chain());
    let key = new_key(&project);
    well(add(&project, &place, &[]));
    well(project.onsager(&["push", "pipeline.yaml"]));
    (place, project, key)
}

fn add(project: &Project, place: &Place, more: &[&str]) -> Ran {
    project.onsager(&[&["remote", "add", "lab", &place.url, "--default"], more].concat())
}

/// A project that trusts this key and uses the place.
fn reader(place: &Place, key: &str, more: &[&str]) -> Project {
    let project = trusting(key, more);
    well(add(&project, place, &[]));
    project
}

/// The file of the record of a task.
fn record_of(place: &Place, task: &str) -> PathBuf {
    let records = place.path().join("records");
    let all = files(&records).into_iter().map(|name| records.join(name));
    let is = |path: &PathBuf| {
        let text = fs::read_to_string(path).expect("a record");
        serde_json::from_str::<Value>(&text).expect("JSON")["action"]["task"] == task
    };
    all.into_iter().find(is).expect("a record")
}

/// The record of a task.
fn read(place: &Place, task: &str) -> Value {
    let text = fs::read_to_string(record_of(place, task)).expect("a record");
    serde_json::from_str::<Value>(&text).expect("JSON")["action"].clone()
}

/// Changes the record of a task, as whoever can write there may: its sum is right.
fn change(place: &Place, task: &str, change: impl FnOnce(&mut Value)) {
    let (path, mut record) = (record_of(place, task), read(place, task));
    change(&mut record);
    let record = serde_json::to_string(&record).expect("JSON");
    let sum = sha256(record.as_bytes());
    fs::write(path, format!("{{\"action\":{record},\"sum\":\"{sum}\"}}")).expect("written");
}

/// Writes an object with the name of its bytes; gives its digest.
fn put(place: &Place, bytes: &[u8]) -> String {
    let digest = sha256(bytes);
    let path = place.path().join(format!("cas/{}/{digest}", &digest[..2]));
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, bytes).expect("written");
    digest
}

/// The first result does not count for this reason, which is told once; without it the keys of the others are not known, so nothing comes.
fn missed(project: &Project, reason: &str) {
    told_once(project, &format!("note: records of `lab` are not used, that of a the first: {reason}"));
}

/// The same for a line.
fn told_once(project: &Project, told: &str) {
    let pulled = project.onsager(&["pull", "pipeline.yaml", "--all"]);
    let notes: Vec<&str> = pulled.stderr.lines().filter(|line| line.starts_with("note: records")).collect();
    assert_eq!(notes, [told], "{}", pulled.stderr);
    nothing_there(project);
    let planned = project.onsager(&["plan", "pipeline.yaml"]);
    assert_eq!(planned.stderr.lines().filter(|line| *line == told).count(), 1, "{}", planned.stderr);
    nothing_there(project);
    let run = project.onsager(&["run", "pipeline.yaml", "--json"]);
    assert_eq!(run.stderr.lines().filter(|line| *line == told).count(), 1, "{}", run.stderr);
    let document: Value = serde_json::from_str(&run.stdout).expect("a document");
    assert!(names(&document["tasks"]["executed"]).contains(&"a".to_owned()), "{document:#}");
    assert_eq!(project.read("artifacts/chain/c/c/one"), "one 1\n");
}

/// No object and no record is in the store.
fn nothing_there(project: &Project) {
    for folder in ["objects", "actions", "incoming"] {
        let path = project.path(&format!("artifacts/.onsager/{folder}"));
        let found: Vec<PathBuf> = if path.is_dir() { files(&path) } else { Vec::new() };
        assert!(found.is_empty(), "{folder}: {found:?}");
    }
}

#[test]
fn the_first_use_is_safe_and_says_what_to_do() {
    let (place, project) = (Place::folder(), chain());
    well(add(&project, &place, &[]));
    let no_key = "error: results that go to remote `lab` are signed, and there is no key: `onsager key new` makes one, \
                  once for all projects\n";
    for arguments in [&["push", "pipeline.yaml"][..], &["run", "pipeline.yaml", "--push"]] {
        let ran = project.onsager(arguments);
        assert_eq!((ran.status, ran.stderr.as_str()), (2, no_key), "{arguments:?}");
    }
    assert!(!place.path().exists());
    let key = new_key(&project);
    assert_eq!(
        well(project.onsager(&["push", "pipeline.yaml"])),
        "pushed 3 results to `lab`, 268 B; 0 there already\n"
    );
    // What one has signed oneself counts without a word.
    fs::remove_dir_all(project.path("artifacts")).expect("the store");
    assert!(project.executed(&[]).is_empty());
    // A colleague is told whose key to trust, and then it counts.
    let colleague = other();
    well(add(&colleague, &place, &[]));
    let told = colleague.onsager(&["pull", "pipeline.yaml"]);
    assert!(told.stderr.contains(&untrusted(&key)), "{}", told.stderr);
    assert_eq!(told.stdout, "pulled 0 results from `lab`, 0 B; 0 known here, 3 nowhere\n");
    well(colleague.onsager(&["key", "trust", &key, "--name", "anna"]));
    assert!(colleague.executed(&[]).is_empty());
}

#[test]
fn what_nobody_trusted_has_signed_is_a_miss() {
    let (place, project, key) = pushed();
    // Nobody is trusted, somebody else is, and only what was signed until some day.
    let nobody = other();
    well(add(&nobody, &place, &[]));
    missed(&nobody, &untrusted(&key));
    missed(&reader(&place, &new_key(&Project::new("")), &[]), &untrusted(&key));
    let expired = "`anna` signed it after 2020-02-29, until when the project trusts this key";
    missed(&reader(&place, &key, &["--until", "2020-02-29"]), expired);
    let writer = "`anna` signed it for the scope `main`, for which this key does not count";
    missed(&reader(&place, &key, &["--scope", "pr-*"]), writer);
    // Of another scope, put where those of `main` lie.
    let mut request = project.command(&["push", "pipeline.yaml"]);
    let request = ran(request.env("ONSAGER_SCOPE", "pr-17").output().expect("started"));
    assert_eq!(well(request), "pushed 3 results to `lab`, 0 B; 0 there already\n");
    let records = place.path().join("records");
    for name in files(&records.join("pr-17")) {
        fs::rename(records.join("pr-17").join(&name), records.join("main").join(&name)).expect("moved");
    }
    let both = reader(&place, &key, &["--scope", "main", "--scope", "pr-*"]);
    missed(&both, "it is of the scope `pr-17`, which this project does not read");
}

#[test]
fn what_is_forged_or_altered_is_a_miss() {
    let (place, _project, key) = pushed();
    let good = fs::read(record_of(&place, "a")).expect("a record");
    let path = record_of(&place, "a");
    let b = read(&place, "b");
    let stranger = new_key(&Project::new(""));
    let altered = |alter: &dyn Fn(&mut Value)| {
        fs::write(&path, &good).expect("written");
        change(&place, "a", alter);
        reader(&place, &key, &[])
    };
    let try_it = |alter: &dyn Fn(&mut Value), reason: &str| missed(&altered(alter), reason);
    // Of what cannot be read not even the task is told.
    let no_record = |alter: &dyn Fn(&mut Value), reason: &str| {
        told_once(&altered(alter), &format!("note: records of `lab` are not used: {reason}"));
    };
    try_it(&|a| _ = a.as_object_mut().expect("a record").shift_remove("proof"), UNSIGNED);
    // Another object, which is there with the bytes of its name.
    try_it(&|a| a["outputs"][0][1] = b["outputs"][0][1].clone(), FORGED);
    try_it(&|a| a["proof"]["signature"] = b["proof"]["signature"].clone(), FORGED);
    try_it(&|a| a["proof"]["scope"] = "pr-17".into(), FORGED);
    try_it(&|a| a["proof"]["time"] = 1.into(), FORGED);
    try_it(&|a| a["proof"]["signer"] = stranger.clone().into(), &untrusted(&stranger));
    try_it(&|a| a["host"] = "elsewhere".into(), FORGED);
    // Names and sizes of an attack.
    try_it(&|a| a["outputs"][0][0] = "../../../outside".into(), FORGED);
    try_it(&|a| a["run"] = "../../outside".into(), FORGED);
    try_it(&|a| a["outputs"][0][1]["size"] = (1u64 << 40).into(), FORGED);
    no_record(
        &|a| a["outputs"][0][1]["size"] = (1u64 << 60).into(),
        "output `text` is too large: 1152921504606846976 bytes",
    );
    let ahead = "it is signed as version 9, and this program knows version 1: use a newer onsager";
    no_record(&|a| a["proof"]["version"] = 9.into(), ahead);
    // What an old program cannot judge, it neither removes nor cleans up around.
    let old = reader(&place, &key, &[]);
    let verified = old.onsager(&["remote", "verify"]);
    assert_eq!(verified.status, 0, "{}", verified.stdout);
    assert!(verified.stdout.ends_with("0 wrong; 1 record not trusted here\n"), "{}", verified.stdout);
    let cleaned = old.onsager(&["remote", "gc", "--grace", "0s"]);
    assert_eq!(cleaned.status, 1);
    assert!(cleaned.stderr.contains("was written by a newer onsager"), "{}", cleaned.stderr);
}

#[test]
fn a_record_in_the_place_of_another_is_a_miss() {
    let (place, _project, key) = pushed();
    let (a, b) = (record_of(&place, "a"), record_of(&place, "b"));
    let good = fs::read(&a).expect("a record");
    fs::copy(&b, &a).expect("copied");
    let of_b = b.file_stem().and_then(|name| name.to_str()).expect("a key")[..12].to_owned();
    let reason =
        format!("note: records of `lab` are not used: it is no record: it is that of the key {of_b}");
    for arguments in [&["pull", "pipeline.yaml"][..], &["plan", "pipeline.yaml"]] {
        let target = reader(&place, &key, &[]);
        let told = target.onsager(arguments);
        assert!(told.stderr.lines().any(|line| line == reason), "{}", told.stderr);
        nothing_there(&target);
    }
    // Its own values, which are those of another key.
    fs::write(&a, good).expect("written");
    change(&place, "a", |a| {
        let text = a["preimage"].to_string().replace("cut -d", "cut  -d");
        a["preimage"] = serde_json::from_str(&text).expect("JSON");
    });
    missed(&reader(&place, &key, &[]), "its key is not that of the values in it");
}

#[test]
fn where_unsigned_results_are_taken_no_name_and_no_size_leads_elsewhere() {
    let (place, project) = (Place::folder(), chain());
    well(add(&project, &place, &["--accept-unsigned"]));
    well(project.onsager(&["push", "pipeline.yaml"]));
    let taking = || {
        let target = other();
        well(add(&target, &place, &["--accept-unsigned"]));
        target
    };
    assert!(taking().executed(&[]).is_empty());
    let outside = |target: &Project| target.path("..").join("onsager-outside");
    let path = record_of(&place, "c");
    let good = fs::read(&path).expect("a record");
    // Folders whose files lie elsewhere, or are links to there; and a size that no disk has.
    let one = sha256(b"one 1\n");
    let entry =
        |name: &str| json!([{"path": name, "digest": one, "size": 6, "executable": false}]).to_string();
    let lists = [
        entry("../../../../onsager-outside"),
        entry("/tmp/onsager-outside"),
        json!([{"path": "one", "link": "/etc/passwd"}, {"path": "one/two", "digest": one, "size": 6, "executable": false}]).to_string(),
    ];
    for list in lists {
        let list = format!("onsager folder\n{list}");
        let digest = put(&place, list.as_bytes());
        fs::write(&path, &good).expect("written");
        change(&place, "c", |c| c["outputs"][0][1]["digest"] = digest.into());
        let target = taking();
        assert_eq!(target.executed(&[]), ["c"], "{list}");
        assert_eq!(target.read("artifacts/chain/c/c/one"), "one 1\n");
        assert!(!outside(&target).exists() && !PathBuf::from("/tmp/onsager-outside").exists());
        let verified = target.onsager(&["store", "verify"]);
        assert_eq!(verified.status, 0, "{}", verified.stdout);
    }
    fs::write(&path, &good).expect("written");
    let b = record_of(&place, "b");
    let good = fs::read(&b).expect("a record");
    change(&place, "b", |b| b["outputs"][0][1]["size"] = (1u64 << 49).into());
    let target = taking();
    let told = target.onsager(&["run", "pipeline.yaml", "--set", "mark=1", "c", "--force", "c"]);
    assert_eq!(told.status, 0, "{}", told.stderr);
    assert!(told.stderr.contains("562949953421312 bytes do not fit on the disk"), "{}", told.stderr);
    assert_eq!(target.read("artifacts/chain/c/c/one"), "one 1\n");
    // More than was declared is not read.
    fs::write(&b, good).expect("written");
    change(&place, "b", |b| b["outputs"][0][1]["size"] = 1.into());
    let target = taking();
    let told = target.onsager(&["run", "pipeline.yaml", "c", "--force", "c"]);
    assert_eq!(told.status, 0, "{}", told.stderr);
    assert!(told.stderr.contains("it has more than 1 bytes"), "{}", told.stderr);
    // A pipe in the place of an object keeps nobody waiting.
    let digest = read(&place, "a")["outputs"][0][1]["digest"].as_str().expect("a digest").to_owned();
    let object = place.path().join(format!("cas/{}/{digest}", &digest[..2]));
    fs::remove_file(&object).expect("removed");
    let made = std::process::Command::new("mkfifo").arg(&object).status();
    assert!(made.expect("mkfifo").success());
    let target = taking();
    assert_eq!(target.executed(&["--force", "b"]), ["a", "b"]);
}

#[test]
fn a_run_that_nobody_trusted_has_signed_is_refused() {
    let (place, project, key) = pushed();
    let name = run_of(&project);
    let (record, proof) = (
        place.path().join(format!("runs/{name}.jsonl")),
        place.path().join(format!("runs/{name}.proof.json")),
    );
    let refused = |project: &Project, reason: &str| {
        let ran = project.onsager(&["pull", &name]);
        let expected = format!("error: the run `{name}` of remote `lab` does not count: {reason}\n");
        assert_eq!((ran.status, ran.stderr.as_str()), (1, expected.as_str()), "{}", ran.stdout);
        nothing_there(project);
        assert!(files(&project.path("artifacts/.onsager/runs")).is_empty());
    };
    let nobody = other();
    well(add(&nobody, &place, &[]));
    refused(&nobody, &untrusted(&key));
    // Another result under the name of a task, and the signature of something else.
    let good = fs::read_to_string(&record).expect("a record");
    let digest = |task: &str| read(&place, task)["key"].as_str().expect("a key").to_owned();
    fs::write(&record, good.replace(&digest("a"), &digest("b"))).expect("written");
    refused(&reader(&place, &key, &[]), FORGED);
    fs::write(&record, &good).expect("written");
    let signed = fs::read_to_string(&proof).expect("a proof");
    let mut other: Value = serde_json::from_str(&signed).expect("JSON");
    other["proof"]["signature"] = read(&place, "a")["proof"]["signature"].clone();
    fs::write(&proof, other.to_string()).expect("written");
    refused(&reader(&place, &key, &[]), FORGED);
    fs::remove_file(&proof).expect("removed");
    refused(&reader(&place, &key, &[]), UNSIGNED);
    fs::write(&proof, signed).expect("written");
    let target = reader(&place, &key, &[]);
    assert_eq!(well(target.onsager(&["pull", &name])), "pulled 3 results from `lab`, 268 B; 3 known here\n");
    for wrong in ["../format", "..", "x/y"] {
        let ran = target.onsager(&["pull", wrong]);
        assert!(ran.status == 2 && ran.stderr.contains("has no run"), "{wrong}: {}", ran.stderr);
    }
}

#[test]
fn what_came_unsigned_is_not_pushed_on() {
    let source = chain();
    let plain = export(&source, "plain.onsager", &[]);
    let key = new_key(&source);
    let signed = export(&source, "signed.onsager", &[]);
    let place = Place::folder();
    for more in [&[][..], &["--accept-unsigned"]] {
        let target = other();
        new_key(&target);
        well(import(&target, &plain, &["--accept-unsigned"]));
        well(add(&target, &place, more));
        let told = well(target.onsager(&["push", "pipeline.yaml"]));
        let expected = "pushed 0 results to `lab`, 0 B; 0 there already, 3 not sent, which came from elsewhere unsigned\n";
        assert_eq!(told, expected);
        assert!(!place.path().join("records").exists() && !place.path().join("cas").exists());
    }
    // What somebody signed goes on with that signature, not with one's own.
    let target = trusting(&key, &[]);
    new_key(&target);
    well(import(&target, &signed, &[]));
    well(add(&target, &place, &[]));
    assert_eq!(
        well(target.onsager(&["push", "pipeline.yaml"])),
        "pushed 3 results to `lab`, 268 B; 0 there already\n"
    );
    assert_eq!(read(&place, "b")["proof"]["signer"], key.as_str());
    assert!(reader(&place, &key, &[]).executed(&[]).is_empty());
}
