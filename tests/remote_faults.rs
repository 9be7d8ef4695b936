//! What goes wrong on a line and in a process, and what comes of it: the right result, or a clear error; never a wrong byte in a store,
//! and never a record without its objects.

mod common;

use common::chain::CHAIN;
use common::servers::{self, Place, Served, files, onsager, proxy, shared_moto};
use common::{Project, names, ran, until};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// A project that uses the place.
fn project(pipeline: &str, place: &Place) -> Project {
    let project = Project::new(pipeline);
    project.write("source.txt", "one two\n");
    place.add_to(&project);
    project
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every object of a store has the bytes of its name.
fn assert_sound(project: &Project) {
    let objects = project.path("artifacts/.onsager/objects");
    for file in files(&objects) {
        let name = file.to_string_lossy().replace('/', "");
        if !name.ends_with(".tmp") {
            assert_eq!(hex(&fs::read(objects.join(&file)).expect("an object")), name);
        }
    }
}

/// Every record in a folder has its objects, each with the bytes of its name.
fn assert_whole(remote: &Path) {
    let mut named = BTreeSet::new();
    for file in files(&remote.join("records")) {
        let bytes = fs::read(remote.join("records").join(file)).expect("a record");
        let record: Value = serde_json::from_slice(&bytes).expect("a whole record");
        for output in record["action"]["outputs"].as_array().expect("outputs") {
            named.insert(output[1]["digest"].as_str().expect("a digest").to_owned());
        }
    }
    for digest in named {
        let object = remote.join(format!("cas/{}/{digest}", &digest[..2]));
        let bytes = fs::read(&object).unwrap_or_else(|error| panic!("{}: {error}", object.display()));
        assert_eq!(hex(&bytes), digest);
        if let Some(list) = bytes.strip_prefix(b"onsager folder\n") {
            let list: Value = serde_json::from_slice(list).expect("a list");
            for file in list.as_array().expect("a list").iter().filter_map(|file| file["digest"].as_str()) {
                let bytes = fs::read(remote.join(format!("cas/{}/{file}", &file[..2])))
                    .expect("an object of a folder");
                assert_eq!(hex(&bytes), file);
            }
        }
    }
}

/// The same of a place, on a server as `remote verify` reads everything there.
fn assert_whole_there(place: &Place, project: &Project) {
    match place.port {
        None if place.path().exists() => assert_whole(&place.path()),
        None => {}
        Some(_) => {
            let verified = onsager(project, &["remote", "verify", "--dry-run"]);
            let empty = verified.stderr.contains("nothing was pushed");
            assert!(verified.status == 0 || empty, "{} {}", verified.stdout, verified.stderr);
        }
    }
}

/// A bucket behind a proxy, and a project that has pushed the chain there while nothing went wrong.
fn behind_proxy() -> Option<(Served, Place, Project)> {
    let moto = shared_moto()?;
    let proxy = proxy(moto);
    let place = Place::bucket(moto, proxy.port);
    let one = project(CHAIN, &place);
    let made = onsager(&one, &["run", "pipeline.yaml", "--push"]);
    assert_eq!(made.status, 0, "{}", made.stderr);
    Some((proxy, place, one))
}

#[test]
fn a_line_that_fails_for_a_while_is_tried_again() {
    let Some((proxy, place, one)) = behind_proxy() else { return };
    for fault in [
        json!({"kind": "drop", "times": 2}),
        json!({"kind": "status", "status": 500, "times": 2}),
        json!({"kind": "status", "status": 429, "times": 2}),
        json!({"kind": "status", "status": 503, "times": 2}),
        json!({"kind": "slow", "seconds": 0.5, "times": 2}),
        json!({"kind": "truncate", "times": 1, "method": "GET"}),
        json!({"kind": "longer", "times": 1, "method": "GET"}),
        json!({"kind": "shorter", "times": 1, "method": "GET", "path": "cas/"}),
        json!({"kind": "flip", "times": 1, "method": "GET", "path": "cas/"}),
        json!({"kind": "flip", "times": 1, "method": "GET", "path": "records/"}),
    ] {
        let other = project(CHAIN, &place);
        proxy.faults(json!([fault]));
        let ran = onsager(&other, &["run", "pipeline.yaml", "--json"]);
        let document: Value = serde_json::from_str(&ran.stdout).expect("a document");
        assert_eq!(names(&document["tasks"]["executed"]), Vec::<String>::new(), "{fault}: {}", ran.stderr);
        assert_eq!(other.read("artifacts/chain/c/c/one"), one.read("artifacts/chain/c/c/one"), "{fault}");
        assert_sound(&other);
    }
    for fault in [
        json!({"kind": "drop", "times": 3, "method": "PUT"}),
        json!({"kind": "status", "status": 500, "times": 3, "method": "PUT"}),
        json!({"kind": "status", "status": 429, "times": 3, "method": "PUT"}),
    ] {
        proxy.faults(json!([fault]));
        let mark = fault.to_string().len().to_string();
        let pushed =
            onsager(&one, &["run", "pipeline.yaml", "--push", "--set", &format!("mark={mark}{fault}")]);
        assert_eq!(pushed.status, 0, "{fault}: {}", pushed.stderr);
        let other = project(CHAIN, &place);
        proxy.faults(json!([]));
        let ran =
            onsager(&other, &["run", "pipeline.yaml", "--json", "--set", &format!("mark={mark}{fault}")]);
        let document: Value = serde_json::from_str(&ran.stdout).expect("a document");
        assert_eq!(names(&document["tasks"]["executed"]), Vec::<String>::new(), "{fault}: {}", ran.stderr);
    }
}

#[test]
fn what_is_always_wrong_is_computed_here() {
    let Some((proxy, place, one)) = behind_proxy() else { return };
    for (fault, executed) in [
        (json!({"kind": "flip", "method": "GET", "path": "cas/"}), &["a", "b", "c"][..]),
        (json!({"kind": "flip", "method": "GET", "path": "records/"}), &["a", "b", "c"]),
        (json!({"kind": "status", "status": 403, "path": "cas/"}), &["a", "b", "c"]),
        (json!({"kind": "shorter", "method": "GET", "path": "cas/"}), &["a", "b", "c"]),
    ] {
        let other = project(CHAIN, &place);
        proxy.faults(json!([fault]));
        let ran = onsager(&other, &["run", "pipeline.yaml", "--json"]);
        assert_eq!(ran.status, 0, "{fault}: {}", ran.stderr);
        let document: Value = serde_json::from_str(&ran.stdout).expect("a document");
        // Those whose bytes nobody needs stay known.
        let made = names(&document["tasks"]["executed"]);
        assert!(made.contains(&"c".to_owned()), "{fault}: {made:?} of {executed:?}");
        assert!(ran.stderr.contains("note: "), "{fault}: {}", ran.stderr);
        assert_eq!(other.read("artifacts/chain/c/c/one"), one.read("artifacts/chain/c/c/one"), "{fault}");
        assert_sound(&other);
    }
}

#[test]
fn a_bit_that_was_flipped_on_the_way_there_is_found_and_mended() {
    let Some(moto) = shared_moto() else { return };
    let proxy = proxy(moto);
    let place = Place::bucket(moto, proxy.port);
    let one = project(CHAIN, &place);
    // A server that does not look at what it gets keeps a wrong byte.
    proxy.faults(json!([{"kind": "flip-sent", "method": "PUT", "path": "cas/", "times": 1}]));
    onsager(&one, &["run", "pipeline.yaml", "--push"]);
    proxy.faults(json!([]));
    let verified = onsager(&one, &["remote", "verify"]);
    let found = verified.stdout.contains("its bytes are not those of its name; removed");
    assert_eq!((verified.status, found), (1, true), "{} {}", verified.stdout, verified.stderr);
    assert_eq!(onsager(&one, &["push", "pipeline.yaml"]).status, 0);
    let again = onsager(&one, &["remote", "verify"]);
    assert_eq!(again.status, 0, "{}", again.stdout);
    let other = project(CHAIN, &place);
    let ran = onsager(&other, &["run", "pipeline.yaml", "--json"]);
    let document: Value = serde_json::from_str(&ran.stdout).expect("a document");
    assert_eq!(names(&document["tasks"]["executed"]), Vec::<String>::new(), "{}", ran.stderr);
}

#[test]
fn without_conditional_writes_records_get_the_names_of_their_content() {
    let Some(moto) = shared_moto() else { return };
    let proxy = proxy(moto);
    proxy.faults(json!([{"kind": "strip"}]));
    let place = Place::bucket(moto, proxy.port);
    let pipeline = "name: p\nstages:\n  s: {kind: command, run: 'cat /proc/sys/kernel/random/uuid > ${outputs.o}', outputs: {o: o}}\n";
    let (one, other) = (project(pipeline, &place), project(pipeline, &place));
    let checked = onsager(&one, &["remote", "check"]);
    assert!(checked.stdout.contains("no: records get the names of their content"), "{}", checked.stdout);
    assert!(checked.stdout.contains("by-content"), "{}", checked.stdout);
    for (project, status) in [(&one, 0), (&other, 0)] {
        assert_eq!(onsager(project, &["run", "pipeline.yaml", "--no-remote"]).status, 0);
        let pushed = onsager(project, &["push", "pipeline.yaml"]);
        assert_eq!(pushed.status, status, "{}", pushed.stderr);
    }
    // Nobody wrote over another's record: whoever reads sees both, and all take the same.
    let readers = [project(pipeline, &place), project(pipeline, &place)];
    for reader in &readers {
        let ran = onsager(reader, &["run", "pipeline.yaml"]);
        assert!(ran.stderr.contains("warning: s is not reproducible: `o` of key "), "{}", ran.stderr);
    }
    let read = |project: &Project| project.read("artifacts/p/s/o");
    assert_eq!(read(&readers[0]), read(&readers[1]));
    assert!([&one, &other].map(read).contains(&read(&readers[0])));
}

#[test]
fn a_large_file_goes_on_from_its_parts() {
    let Some(moto) = shared_moto() else { return };
    let proxy = proxy(moto);
    let place = Place::bucket(moto, proxy.port);
    let pipeline = "name: p\nstages:\n  s: {kind: command, run: 'yes onsager | head -c 320000000 > ${outputs.o}', outputs: {o: o}}\n";
    let one = project(pipeline, &place);
    assert_eq!(onsager(&one, &["run", "pipeline.yaml", "--no-remote"]).status, 0);
    // It goes in 20 parts, of which some are on their way at a time. The first that fails for good ends the push; the others are there.
    proxy.faults(json!([{"kind": "status", "status": 400, "path": "partNumber=20"}]));
    let pushed = onsager(&one, &["push", "pipeline.yaml"]);
    assert_eq!(pushed.status, 1, "{} {}", pushed.stdout, pushed.stderr);
    assert!(pushed.stdout.contains("s: not pushed: cannot send"), "{}", pushed.stdout);
    proxy.faults(json!([]));
    proxy.requests();
    let pushed = onsager(&one, &["push", "pipeline.yaml"]);
    assert_eq!(pushed.status, 0, "{} {}", pushed.stdout, pushed.stderr);
    let requests = proxy.requests();
    assert!(requests < 20, "what is there is not sent again, but there were {requests} requests");
    // Half of it comes, then the line fails for good; the next pull begins there.
    let other = project(pipeline, &place);
    proxy.faults(json!([{"kind": "status", "status": 400, "method": "GET", "path": "cas/"}]));
    assert_eq!(onsager(&other, &["pull", "pipeline.yaml"]).status, 0);
    proxy.faults(json!([]));
    let pulled = onsager(&other, &["pull", "pipeline.yaml"]);
    assert_eq!(pulled.status, 0, "{}", pulled.stderr);
    assert_eq!(fs::read(other.path("artifacts/p/s/o")).expect("the file").len(), 320_000_000);
    assert_sound(&other);
}

/// How often a push and a pull are killed: more by hand.
fn kills() -> u64 {
    std::env::var("ONSAGER_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(20)
}

/// Forty results, one of them a folder, and one that goes in parts where there is a server.
const MANY: &str = "\
name: many
stages:
  small: {kind: command, matrix: {n: {range: [0, 40]}}, run: 'seq ${matrix.n} 3000 > ${outputs.o}', outputs: {o: o}}
  folder: {kind: command, run: 'mkdir ${outputs.d}; for n in 1 2 3 4 5 6 7 8; do seq $n 2000 > ${outputs.d}/$n; done', outputs: {d: d/}}
  large: {kind: command, run: 'seq 1 5000000 > ${outputs.o}', outputs: {o: o}}
";

#[test]
fn a_kill_at_any_moment_leaves_no_record_without_its_objects_and_no_wrong_byte() {
    killed_at(&Place::folder());
    if let Some(given) = Place::given() {
        killed_at(&given);
    }
}

fn killed_at(place: &Place) {
    let pipeline = MANY.replace(
        "{range: [0, 40]}",
        &format!("[{}]", (0..40).map(|n| n.to_string()).collect::<Vec<_>>().join(", ")),
    );
    let one = project(&pipeline, place);
    let made = onsager(&one, &["run", "pipeline.yaml", "--no-remote"]);
    assert_eq!(made.status, 0, "{}", made.stderr);
    // A server takes longer than a folder.
    let slowly = if place.port.is_some() { 10 } else { 1 };
    let mut random = 42_u64;
    let mut moment = |most: u64| {
        // A generator of its own: the moments need only be spread.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_micros((random >> 33) % (most * slowly))
    };
    let mut kill = |project: &Project, arguments: &[&str], most: u64| {
        let mut command = servers::command(project, arguments);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        std::thread::sleep(moment(most));
        // It may have ended.
        let _ = child.kill();
        child.wait().expect("it has ended");
    };
    for _ in 0..kills() {
        kill(&one, &["push", "pipeline.yaml"], 150_000);
        assert_whole_there(place, &one);
    }
    let pushed = onsager(&one, &["push", "pipeline.yaml"]);
    assert_eq!(pushed.status, 0, "{}", pushed.stderr);
    assert_whole_there(place, &one);
    let other = project(&pipeline, place);
    for _ in 0..kills() {
        kill(&other, &["pull", "pipeline.yaml"], 300_000);
        assert_sound(&other);
    }
    let pulled = onsager(&other, &["pull", "pipeline.yaml", "--json"]);
    let document: Value = serde_json::from_str(&pulled.stdout).expect("a document");
    assert_eq!((pulled.status, &document["known"]), (0, &json!(42)), "{}", pulled.stderr);
    assert_sound(&other);
    for file in ["large/o", "folder/d/3", "small/n=7/o"] {
        let file = format!("artifacts/many/{file}");
        assert!(
            fs::read(one.path(&file)).expect("a file") == fs::read(other.path(&file)).expect("a file"),
            "{file}"
        );
    }
    // The marks of the killed pushes keep the removal away until they are an hour old.
    let collected = onsager(&one, &["remote", "gc", "--grace", "0s"]);
    let refused = collected.stderr.contains("writes to remote `lab` just now");
    assert_eq!(collected.status, i32::from(refused), "{} {}", collected.stdout, collected.stderr);
    if place.port.is_none() {
        assert_eq!(refused, !files(&place.path().join("pushes")).is_empty());
    }
}

#[test]
fn what_no_record_names_is_removed_and_nothing_else() {
    let place = Place::folder();
    let one = project(CHAIN, &place);
    onsager(&one, &["run", "pipeline.yaml", "--push"]);
    onsager(&one, &["run", "pipeline.yaml", "--push", "--set", "mark=2"]);
    assert_eq!(files(&place.path().join("records")).len(), 5);
    // Without the records of the first run, its objects are of no use.
    let records = place.path().join("records/main");
    for file in files(&records) {
        let record: Value =
            serde_json::from_slice(&fs::read(records.join(&file)).expect("a record")).expect("a document");
        let text = record["action"].to_string();
        if text.contains("\"task\":\"b\"") && !text.contains(&hex(b"one 2\n")) {
            fs::remove_file(records.join(&file)).expect("a record");
        }
    }
    let young = onsager(&one, &["remote", "gc"]);
    assert!(young.stdout.starts_with("removed 0 objects, 0 B, "), "{} {}", young.stdout, young.stderr);
    let before = files(&place.path().join("cas")).len();
    let dry = onsager(&one, &["remote", "gc", "--grace", "0s", "--dry-run"]);
    assert_eq!(files(&place.path().join("cas")).len(), before);
    let done = onsager(&one, &["remote", "gc", "--grace", "0s"]);
    assert_eq!(dry.stdout.replace("would remove", "removed"), done.stdout, "{}", done.stderr);
    // Nothing that is left is without its objects; and what was noted of the time before does not count any more.
    assert_whole(&place.path());
    let pushed = onsager(&one, &["push", "pipeline.yaml"]);
    assert_eq!(pushed.status, 0, "{}", pushed.stderr);
    let other = project(CHAIN, &place);
    let ran = onsager(&other, &["run", "pipeline.yaml", "--json"]);
    let document: Value = serde_json::from_str(&ran.stdout).expect("a document");
    assert_eq!(names(&document["tasks"]["executed"]), Vec::<String>::new(), "{}", ran.stderr);
    let all = onsager(&one, &["remote", "gc", "--grace", "0s", "--older-than", "0s"]);
    assert!(all.stdout.ends_with("; 0 files left\n"), "{} {}", all.stdout, all.stderr);
    assert_eq!(files(&place.path().join("cas")).len(), 0);
}

#[test]
fn upkeep_that_is_interrupted_tells_what_it_did_and_takes_its_mark_away() {
    let Some((proxy, _, one)) = behind_proxy() else { return };
    for (command, path, done, told) in [
        (
            &["remote", "gc", "--grace", "0s"][..],
            "records/main/",
            "removed 0 objects, 0 B, 0 records and 0 files of runs\n",
            "interrupted; give the same command to go on\n",
        ),
        (
            &["remote", "verify"][..],
            "cas/",
            "read 0 objects, 0 B, and 0 records: 0 wrong\n",
            "interrupted, and nothing was removed; the same command begins anew\n",
        ),
    ] {
        proxy.faults(json!([{"kind": "slow", "seconds": 600, "method": "GET", "path": path}]));
        proxy.requests();
        let mut command = servers::command(&one, command);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        // It has looked at what the store is, and left its mark.
        let mut requests = 0;
        until("its requests", || {
            requests += proxy.requests();
            requests >= 2
        });
        let process = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(process, rustix::process::Signal::INT).expect("a signal");
        let ended = ran(child.wait_with_output().expect("its end"));
        assert_eq!((ended.status, ended.stdout.as_str(), ended.stderr.as_str()), (130, done, told));
        // Nobody has to wait for it.
        proxy.faults(json!([]));
        let verified = onsager(&one, &["remote", "verify"]);
        assert_eq!(verified.status, 0, "{} {}", verified.stdout, verified.stderr);
    }
    assert_eq!(onsager(&one, &["push", "pipeline.yaml", "--anew"]).status, 0);
}
