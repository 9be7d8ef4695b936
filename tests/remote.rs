//! Results go to a remote store and come from there: two projects on two stores, with a folder and with a server of S3's protocol between.

mod common;

use common::chain::CHAIN;
use common::servers::{self, Place, files, onsager, shared_moto};
use common::{Project, Ran, last_line, names};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

/// A project that has run the chain, and one that has not; both use the place.
fn two(place: &Place) -> (Project, Project) {
    let (one, other) = (Project::new(CHAIN), Project::new(CHAIN));
    for project in [&one, &other] {
        project.write("source.txt", "one two\n");
        place.add_to(project);
    }
    (one, other)
}

fn document(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", ran.stdout, ran.stderr))
}

fn run(project: &Project, arguments: &[&str]) -> Value {
    let ran = onsager(project, &[&["run", "pipeline.yaml", "--json"], arguments].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    document(&ran)
}

/// Every place that tests can have: a folder, and a bucket where there is a server.
fn places() -> Vec<Place> {
    let mut places = vec![Place::folder()];
    places.extend(shared_moto().map(|moto| Place::bucket(moto, moto.port)));
    places.extend(Place::given());
    places
}

#[test]
fn what_one_has_computed_another_need_not() {
    for place in places() {
        let (one, other) = two(&place);
        let made = run(&one, &["--push"]);
        assert_eq!(names(&made["tasks"]["executed"]), ["a", "b", "c"]);
        let plan = document(&onsager(&other, &["plan", "pipeline.yaml", "--json"]));
        assert_eq!((&plan["fetch"], &plan["execute"]), (&json!(3), &json!(0)), "{plan:#}");
        assert_eq!(plan["tasks"][0]["remote"], "lab");
        let taken = run(&other, &[]);
        assert_eq!(names(&taken["tasks"]["executed"]), Vec::<String>::new());
        assert_eq!(names(&taken["tasks"]["fetched"]), ["a", "b", "c"]);
        for task in ["a", "b", "c"] {
            let digests = |document: &Value| -> Vec<Value> {
                let outputs = document["outputs"][task].as_object().expect("outputs");
                outputs.values().map(|output| output["digest"].clone()).collect()
            };
            assert_eq!(digests(&made), digests(&taken), "{task}");
        }
        // Only the bytes that somebody needs have come: those of the last task.
        assert_eq!(other.read("artifacts/chain/c/c/one"), "one 1\n");
        assert!(!other.path("artifacts/chain/a/a.txt").exists());
        let again = onsager(&other, &["run", "pipeline.yaml"]);
        assert_eq!(last_line(&again.stdout), "3 tasks: 0 executed, 3 cached, 0 failed");
        // What is changed is executed with what it needs, which is fetched.
        assert_eq!(names(&run(&other, &["--set", "mark=2"])["tasks"]["executed"]), ["b", "c"]);
        assert_eq!(other.read("artifacts/chain/c/c/one"), "one 2\n");
    }
}

#[test]
fn push_and_pull_move_what_is_named() {
    for place in places() {
        let (one, other) = two(&place);
        onsager(&one, &["run", "pipeline.yaml", "--no-remote"]);
        let pushed = onsager(&one, &["push", "pipeline.yaml", "b"]);
        assert_eq!(pushed.stdout, "pushed 2 results to `lab`, 10 B; 0 there already\n", "{}", pushed.stderr);
        let again = document(&onsager(&one, &["push", "pipeline.yaml", "--json"]));
        assert_eq!((&again["new"], &again["there"], &again["without"]), (&json!(1), &json!(2), &json!(0)));
        let third = document(&onsager(&one, &["push", "pipeline.yaml", "--json"]));
        assert_eq!((&third["there"], &third["bytes"]), (&json!(3), &json!(0)));
        let pulled = onsager(&other, &["pull", "pipeline.yaml", "--all"]);
        assert_eq!(pulled.status, 0, "{}", pulled.stderr);
        assert_eq!(pulled.stdout, "pulled 3 results from `lab`, 268 B; 3 known here\n");
        for file in ["a/a.txt", "b/b.txt", "c/c/one", "c/c/two"] {
            let file = format!("artifacts/chain/{file}");
            assert_eq!(one.read(&file), other.read(&file));
        }
        assert_eq!(onsager(&other, &["store", "verify"]).status, 0);
        // What is nowhere is told, and nothing is executed.
        let none = document(&onsager(&other, &["pull", "pipeline.yaml", "--set", "mark=3", "--json"]));
        assert_eq!(names(&none["missing"]), ["b", "c"], "{none:#}");
        assert_eq!(other.read("artifacts/chain/b/b.txt"), "one 1\n");
    }
}

#[test]
fn a_run_is_pushed_by_its_name() {
    let place = Place::folder();
    let (one, other) = two(&place);
    let made = run(&one, &["--no-remote"]);
    let name = made["run"].as_str().expect("a name");
    let pushed = onsager(&one, &["push", name]);
    assert_eq!(pushed.stdout, "pushed 3 results to `lab`, 268 B; 0 there already\n", "{}", pushed.stderr);
    let record = fs::read_to_string(place.path().join(format!("runs/{name}.jsonl"))).expect("its record");
    assert!(record.contains("run-started") && !record.contains(one.path("").to_str().expect("a path")));
    // All of it comes by its name, too, with its record, which is handed on as it came.
    let pulled = onsager(&other, &["pull", name]);
    assert_eq!(pulled.stdout, "pulled 3 results from `lab`, 268 B; 3 known here\n", "{}", pulled.stderr);
    assert_eq!(
        fs::read_to_string(other.path(&format!("artifacts/.onsager/runs/{name}.jsonl"))).ok(),
        Some(record)
    );
    let again = onsager(&other, &["pull", name]);
    assert_eq!(again.stdout, "pulled 0 results from `lab`, 0 B; 3 known here\n", "{}", again.stderr);
    let latest = onsager(&other, &["pull", "last"]);
    assert_eq!(latest.stdout, again.stdout, "{}", latest.stderr);
    assert_eq!(names(&run(&other, &[])["tasks"]["executed"]), Vec::<String>::new());
    let proof = place.path().join(format!("runs/{name}.proof.json"));
    let signed = fs::read(&proof).expect("who vouches for it");
    assert_eq!(onsager(&other, &["push", name]).stdout, "pushed 0 results to `lab`, 0 B; 3 there already\n");
    assert_eq!(fs::read(&proof).ok(), Some(signed));
    for word in ["last", &name[..name.len() - 2]] {
        let again = onsager(&one, &["push", word]);
        assert_eq!(again.stdout, "pushed 0 results to `lab`, 0 B; 3 there already\n", "{}", again.stderr);
    }
    for (command, message) in [
        ("push", "error: there is no pipeline file and no run `nothing`\n"),
        (
            "pull",
            "error: remote `lab` has no run `nothing`: `onsager push nothing` sends it, from the project that made it\n",
        ),
    ] {
        let wrong = onsager(&one, &[command, "nothing"]);
        assert_eq!((wrong.status, wrong.stderr.as_str()), (2, message));
    }
}

#[test]
fn a_plan_looks_into_what_is_there() {
    let pipeline = "\
name: fan
stages:
  split:
    kind: command
    run: mkdir ${outputs.parts}; seq 1 2 > ${outputs.parts}/x; seq 1 3 > ${outputs.parts}/y; echo '{\"more\":true}' > ${outputs.facts}
    outputs: {parts: parts/, facts: facts.json}
  each:
    kind: command
    matrix: {part: {from: split.parts}}
    inputs: {part: 'split.parts/${matrix.part}'}
    run: wc -l < ${inputs.part} > ${outputs.o}
    outputs: {o: o}
  first: {kind: command, inputs: {x: split.parts/x}, run: 'cat ${inputs.x} > ${outputs.o}', outputs: {o: o}}
  more: {kind: command, when: '${split.facts:more} == true', run: 'echo > ${outputs.o}', outputs: {o: o}}
";
    let place = Place::folder();
    let (one, other) = (Project::new(pipeline), Project::new(pipeline));
    [&one, &other].into_iter().for_each(|project| place.add_to(project));
    let made = run(&one, &["--push"]);
    let planned = document(&onsager(&other, &["plan", "pipeline.yaml", "--json"]));
    let counts =
        ["fetch", "execute", "depends", "each"].map(|name| planned[name].as_u64().expect("a number"));
    assert_eq!(counts, [5, 0, 0, 0], "{planned:#}");
    // Only the list and the small file have come, which it had to look into.
    assert_eq!(files(&other.path("artifacts/.onsager/objects")).len(), 2);
    let taken = run(&other, &[]);
    assert_eq!(names(&taken["tasks"]["executed"]), Vec::<String>::new());
    let digest = |document: &Value| document["outputs"]["each[part=y]"]["o"]["digest"].clone();
    assert!(digest(&made).is_string() && digest(&made) == digest(&taken));
}

#[test]
fn exactly_what_is_missing_is_computed_again() {
    let place = Place::folder();
    let (one, _) = two(&place);
    run(&one, &["--push"]);
    let objects: Vec<_> = files(&place.path().join("cas"));
    assert_eq!(objects.len(), 4);
    let records = place.path().join("records/main");
    let record = |task: &str| -> Value {
        let all = files(&records).into_iter().map(|name| fs::read(records.join(name)).expect("a record"));
        let mut all = all.map(|bytes| serde_json::from_slice::<Value>(&bytes).expect("a document"));
        all.find(|record| record["action"]["task"] == task).expect("a record")["action"].clone()
    };
    let object = |digest: &str| place.path().join(format!("cas/{}/{digest}", &digest[..2]));
    // Without the bytes of the last result only that is executed, from the bytes of the one before.
    let digest = record("c")["outputs"][0][1]["digest"].as_str().expect("a digest").to_owned();
    fs::remove_file(object(&digest)).expect("an object");
    let (_, second) = two(&place);
    assert_eq!(names(&run(&second, &[])["tasks"]["executed"]), ["c"]);
    // Without those, too, also that.
    let digest = record("b")["outputs"][0][1]["digest"].as_str().expect("a digest").to_owned();
    fs::remove_file(object(&digest)).expect("an object");
    let (_, third) = two(&place);
    let made = run(&third, &["--push"]);
    assert_eq!(
        names(&made["tasks"]["executed"]).into_iter().collect::<BTreeSet<_>>(),
        ["b", "c"].map(str::to_owned).into()
    );
    // That run has mended the remote store.
    let (_, fourth) = two(&place);
    assert_eq!(names(&run(&fourth, &[])["tasks"]["executed"]), Vec::<String>::new());
    assert_eq!(onsager(&fourth, &["remote", "verify"]).status, 0);
}

#[test]
fn offline_is_no_error() {
    let (one, _) = two(&Place::folder());
    one.write(
        "onsager.toml",
        "[remote.lab]\nurl = \"s3://bucket/x\"\nendpoint = \"http://127.0.0.1:9\"\ndefault = true\n",
    );
    let ran = onsager(&one, &["run", "pipeline.yaml", "--push"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "3 tasks: 3 executed, 0 cached, 0 failed");
    let told: Vec<&str> = ran.stderr.lines().filter(|line| line.contains("lab")).collect();
    let expected = "note: cannot reach remote `lab`: no answer (Connection refused (os error 111)); going on without `lab`";
    assert_eq!(told, [expected], "{}", ran.stderr);
    let planned = onsager(&one, &["plan", "pipeline.yaml"]);
    assert_eq!(planned.status, 0);
    assert!(planned.stderr.contains("planning without `lab`"), "{}", planned.stderr);
    let pushed = onsager(&one, &["push", "pipeline.yaml"]);
    assert_eq!((pushed.status, pushed.stderr.lines().count()), (1, 1), "{}", pushed.stderr);
    assert_eq!(onsager(&one, &["pull", "pipeline.yaml", "--set", "mark=2"]).status, 1);
}

#[test]
fn different_bytes_are_reported_and_the_first_stay() {
    for place in places() {
        let pipeline = "name: p\nstages:\n  s: {kind: command, run: 'cat /proc/sys/kernel/random/uuid > ${outputs.o}', outputs: {o: o}}\n";
        let (one, other) = (Project::new(pipeline), Project::new(pipeline));
        [&one, &other].into_iter().for_each(|project| place.add_to(project));
        run(&one, &["--push"]);
        run(&other, &["--no-remote"]);
        let pushed = onsager(&other, &["push", "pipeline.yaml"]);
        assert_eq!(pushed.status, 1, "{}", pushed.stderr);
        assert!(pushed.stdout.starts_with("s is not reproducible: `o` of key "), "{}", pushed.stdout);
        assert!(pushed.stdout.contains("; the first is kept\n"), "{}", pushed.stdout);
        assert!(pushed.stdout.contains("0 there already, 1 with other bytes there"), "{}", pushed.stdout);
        let ran = onsager(&other, &["run", "pipeline.yaml", "--force", "s", "--push"]);
        assert!(ran.stderr.contains("warning: s is not reproducible"), "{}", ran.stderr);
        let third = Project::new(pipeline);
        place.add_to(&third);
        run(&third, &[]);
        assert_eq!(third.read("artifacts/p/s/o"), one.read("artifacts/p/s/o"));
    }
}

#[test]
fn of_many_writers_one_is_first_and_all_are_told_the_truth() {
    for place in places() {
        let (one, _) = two(&place);
        run(&one, &["--no-remote"]);
        // Each with a store of its own, so that nobody knows what the others did.
        let writers: Vec<Project> = (0..20).map(|_| two(&place).1).collect();
        for writer in &writers {
            let copied = std::process::Command::new("cp")
                .arg("-a")
                .arg(one.path("artifacts"))
                .arg(writer.path("artifacts"))
                .status();
            assert!(copied.expect("cp").success());
        }
        let pushing: Vec<_> = writers
            .iter()
            .map(|writer| {
                let mut command = servers::command(writer, &["push", "pipeline.yaml", "--json"]);
                command
                    .stdout(std::process::Stdio::piped())
                    .stderr(std::process::Stdio::piped())
                    .spawn()
                    .expect("a push")
            })
            .collect();
        let told: Vec<Value> = pushing
            .into_iter()
            .map(|push| {
                let ran = common::ran(push.wait_with_output().expect("an end"));
                assert_eq!(ran.status, 0, "{}", ran.stderr);
                document(&ran)
            })
            .collect();
        let new: u64 = told.iter().map(|told| told["new"].as_u64().expect("a number")).sum();
        assert_eq!(new, 3);
        assert!(
            told.iter()
                .all(|told| told["new"].as_u64().unwrap_or(0) + told["there"].as_u64().unwrap_or(0) == 3)
        );
        let (_, reader) = two(&place);
        assert_eq!(names(&run(&reader, &[])["tasks"]["executed"]), Vec::<String>::new());
    }
}

#[test]
fn a_static_server_is_enough_for_reading() {
    let place = Place::folder();
    let (one, other) = two(&place);
    run(&one, &["--push"]);
    // Of ranges this server knows nothing: a large file comes as one stream.
    let large =
        "name: l\nstages:\n  s: {kind: command, run: 'seq 1 5000000 > ${outputs.o}', outputs: {o: o}}\n";
    one.write("large.yaml", large);
    other.write("large.yaml", large);
    assert_eq!(onsager(&one, &["run", "large.yaml", "--push"]).status, 0);
    let mut server = std::process::Command::new("python3")
        .args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0", "--directory"])
        .arg(place.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("python3");
    let mut line = String::new();
    let out = server.stdout.take().expect("its output");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("its port");
    let port: u16 = line.split(' ').nth(5).and_then(|port| port.parse().ok()).expect("a port");
    other.write("onsager.toml", &format!("[remote.web]\nurl = \"http://127.0.0.1:{port}\"\n"));
    let taken = run(&other, &["--remote", "web"]);
    assert_eq!(names(&taken["tasks"]["fetched"]), ["a", "b", "c"]);
    // A record that does not count is told there, too: by whoever has no key of theirs.
    let nobody = two(&place).1;
    nobody.write("onsager.toml", &other.read("onsager.toml"));
    let told = nobody.onsager(&["pull", "pipeline.yaml", "--remote", "web"]);
    assert!(
        told.stderr.contains("that of a the first: it is signed by a key that the project does not trust"),
        "{}",
        told.stderr
    );
    let pushed = onsager(&other, &["push", "pipeline.yaml", "--remote", "web"]);
    assert_eq!(pushed.status, 2);
    assert!(pushed.stderr.contains("can only be read"), "{}", pushed.stderr);
    let pulled = document(&onsager(&other, &["pull", "large.yaml", "--remote", "web", "--json"]));
    assert_eq!(names(&pulled["found"]), ["s"], "{pulled:#}");
    let bytes = |project: &Project| fs::read(project.path("artifacts/l/s/o")).expect("the file");
    assert!(bytes(&one) == bytes(&other));
    server.kill().expect("it ends");
    server.wait().expect("it has ended");
}

#[test]
fn remotes_are_added_listed_and_removed() {
    let project = Project::new(CHAIN);
    let added =
        onsager(&project, &["remote", "add", "lab", "s3://bucket/x", "--region", "eu-1", "--default"]);
    assert_eq!(added.status, 0, "{}", added.stderr);
    assert_eq!(
        project.read("onsager.toml"),
        "[remote.lab]\nurl = \"s3://bucket/x\"\nregion = \"eu-1\"\ndefault = true\n"
    );
    onsager(&project, &["remote", "add", "web", "https://example.org/x"]);
    let listed = onsager(&project, &["remote", "list"]);
    assert_eq!(listed.stdout, "lab  s3://bucket/x, default\nweb  https://example.org/x, for reading only\n");
    for (arguments, message) in [
        (&["remote", "add", "lab", "s3://b"][..], "there is a remote store `lab` already"),
        (&["remote", "add", "a b", "s3://b"], "a name must be of letters"),
        (&["remote", "add", "x", "ftp://b"], "`url` must begin with"),
        (&["remote", "add", "x", "s3://b", "--default"], "`lab` is the default, too"),
        (&["remote", "remove", "x"], "there is no remote store `x`"),
        (&["push", "pipeline.yaml", "--remote", "x"], "there are lab, web"),
    ] {
        let ran = onsager(&project, arguments);
        assert_eq!(ran.status, 2, "{arguments:?}");
        assert!(ran.stderr.contains(message), "{arguments:?}: {}", ran.stderr);
    }
    assert_eq!(onsager(&project, &["remote", "remove", "lab"]).status, 0);
    assert_eq!(project.read("onsager.toml"), "[remote.web]\nurl = \"https://example.org/x\"\n");
    let none = onsager(&project, &["push", "pipeline.yaml"]);
    assert!(none.stderr.starts_with("error: no remote store is named"), "{}", none.stderr);
}
