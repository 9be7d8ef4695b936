//! Whose results count: keys, signed archives, and what is refused although every digest in it is right.

mod common;

use common::archive::{Archive, sha256};
use common::chain::{CHAIN, chain};
use common::{Project, Ran};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// A project with the chain's pipeline and input, and nothing run.
fn other() -> Project {
    let project = Project::new(CHAIN);
    project.write("source.txt", "one two\n");
    project
}

fn well(ran: Ran) -> String {
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    ran.stdout
}

/// Makes the project's own key; gives its public part.
fn new_key(project: &Project) -> String {
    well(project.onsager(&["key", "new"])).trim_end().to_owned()
}

/// Writes the chain's results to an archive in the project.
fn export(project: &Project, name: &str, env: &[(&str, &str)]) -> PathBuf {
    let mut command = project.command(&["store", "export", "chain", "-o", name]);
    command.envs(env.iter().copied());
    well(common::ran(command.output().expect("the program starts")));
    project.path(name)
}

fn import(project: &Project, archive: &Path, more: &[&str]) -> Ran {
    let archive = archive.to_str().expect("text");
    project.onsager(&[&["store", "import", archive], more].concat())
}

/// Imports what must be refused with this reason, and sees to it that the store has nothing of it.
fn refused(project: &Project, archive: &Path, task: &str, reason: &str) {
    let ran = import(project, archive, &[]);
    let shown = archive.display();
    let expected = format!(
        "error: `{shown}` has a result of `{task}` that does not count here: {reason}; nothing was imported\n"
    );
    assert_eq!((ran.status, ran.stderr.as_str()), (2, expected.as_str()), "{}", ran.stdout);
    nothing_came(project);
}

/// Nothing is in the store but folders and locks.
fn nothing_came(project: &Project) {
    for folder in ["objects", "actions", "runs", "manifests", "views", "work"] {
        let path = project.path(&format!("artifacts/.onsager/{folder}"));
        let files = WalkDir::new(&path).into_iter().flatten().filter(|entry| !entry.file_type().is_dir());
        let found: Vec<PathBuf> = files.map(walkdir::DirEntry::into_path).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

/// A project that has run the chain with a key of its own, its archive, and the public key.
fn signed() -> (Project, PathBuf, String) {
    let project = chain();
    let key = new_key(&project);
    let archive = export(&project, "run.onsager", &[]);
    (project, archive, key)
}

fn trusting(key: &str, more: &[&str]) -> Project {
    let project = other();
    well(project.onsager(&[&["key", "trust", key, "--name", "anna"], more].concat()));
    project
}

#[test]
fn a_key_is_made_once_and_its_secret_stays_where_it_is() {
    let project = Project::new("");
    let made = project.onsager(&["key", "new"]);
    let key = made.stdout.trim_end();
    assert!(key.starts_with("onsager-ed25519:") && key.len() == 60, "{key}");
    let file = project.path(".config/onsager/keys/default");
    let expected = format!(
        "the secret part is in `{}`: whoever has it can sign as you\nothers trust it by `onsager key trust {key} --name NAME`\n",
        file.display()
    );
    assert_eq!((made.status, made.stderr), (0, expected));
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().expect("a folder"))), (0o600, 0o700));
    assert_eq!(well(project.onsager(&["key", "show"])), format!("{key}\n"));

    let again = project.onsager(&["key", "new"]);
    let there = format!(
        "error: there is a key `default` already, in `{}`: give another name by `--name`, or move it away\n",
        file.display()
    );
    assert_eq!((again.status, again.stderr.as_str()), (2, there.as_str()));
    let ci = well(project.onsager(&["key", "new", "--name", "ci"]));
    assert_ne!(ci.trim_end(), key);
    assert_eq!(well(project.onsager(&["key", "show", "--name", "ci"])), ci);
    assert_eq!(project.onsager(&["key", "new", "--name", "../x"]).status, 2);

    // A key that others may read is no secret.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("changed");
    let open = project.onsager(&["key", "show"]);
    assert_eq!(open.status, 2);
    assert!(open.stderr.contains("others may read the secret key"), "{}", open.stderr);
}

#[test]
fn trust_is_written_into_the_projects_file_and_listed() {
    let project = Project::new("");
    let key = new_key(&project);
    let before = "# of our group\n[trust] # who\nread = [\"main\"]\n";
    project.write("onsager.toml", before);
    let path = project.path("onsager.toml");
    let said = well(project.onsager(&["key", "trust", &key, "--name", "anna", "--until", "2027-12-31"]));
    assert_eq!(said, format!("`anna` is trusted by `{}`\n", path.display()));
    let text = format!("{before}\n[trust.keys.anna]\nkey = \"{key}\"\nuntil = \"2027-12-31\"\n");
    assert_eq!(project.read("onsager.toml"), text);
    let twice = project.onsager(&["key", "trust", &key, "--name", "bo"]);
    assert_eq!(twice.stderr, "error: `anna` and `bo` are one key: trust it by one name\n");
    for (arguments, reason) in [
        (["onsager-ed25519:AAAA", "--name", "bo"], "it is no key"),
        ([key.as_str(), "--name", "b o"], "`b o` is no name of a key"),
    ] {
        let ran = project.onsager(&[&["key", "trust"][..], &arguments].concat());
        assert_eq!(ran.status, 2);
        assert!(ran.stderr.starts_with(&format!("error: {reason}")), "{}", ran.stderr);
    }
    assert_eq!(project.read("onsager.toml"), text);
    let list = format!(
        "signs for `main`: {key}, which the project trusts as `anna`\nown key `default`: {key}\n\
         trusted `anna`: {key}, for main, until 2027-12-31\ntakes results of main\n"
    );
    assert_eq!(well(project.onsager(&["key", "list"])), list);
    let document: Value =
        serde_json::from_str(&well(project.onsager(&["key", "list", "--json"]))).expect("JSON");
    assert_eq!((&document["signing"], &document["trusted"][0]["name"]), (&key.into(), &"anna".into()));
}

#[test]
fn results_of_a_trusted_key_are_taken_and_their_origin_is_kept() {
    let (project, archive, key) = signed();
    // The same run, the same bytes.
    assert_eq!(fs::read(export(&project, "again.onsager", &[])).ok(), fs::read(&archive).ok());
    let target = trusting(&key, &[]);
    well(import(&target, &archive, &[]));
    assert!(target.executed(&[]).is_empty());
    assert_eq!(target.onsager(&["store", "verify"]).stdout, "4 objects, 268 B: all intact\n");
    for entry in WalkDir::new(target.path("artifacts/.onsager/actions")) {
        let path = entry.expect("an entry").into_path();
        if path.is_file() {
            let record: Value = serde_json::from_slice(&fs::read(path).expect("read")).expect("JSON");
            assert_eq!(record["origin"], serde_json::json!({"from": "run.onsager", "signer": "anna"}));
            assert_eq!(record["proof"]["signer"], key.as_str());
        }
    }
    // Who hands it on does not sign what others made.
    new_key(&target);
    let on = Archive::read(&export(&target, "on.onsager", &[]));
    let records = on.members.iter().filter(|(name, _)| name.starts_with("actions/"));
    for (_, bytes) in records {
        let record: Value = serde_json::from_slice(bytes).expect("JSON");
        assert_eq!((&record["proof"]["signer"], &record["origin"]), (&key.as_str().into(), &Value::Null));
    }
}

#[test]
fn what_nobody_trusted_has_signed_is_refused() {
    let (project, archive, key) = signed();
    let stranger = Project::new("");
    let target = trusting(&new_key(&stranger), &[]);
    let untrusted =
        format!("it is signed by `{key}`, whom the project does not trust: `onsager key trust` names a key");
    refused(&target, &archive, "b", &untrusted);

    let unsigned = chain();
    let plain = export(&unsigned, "plain.onsager", &[]);
    let target = trusting(&key, &[]);
    refused(&target, &plain, "b", "it is not signed");
    // Unless it is asked for; then its origin is known all the same.
    well(import(&target, &plain, &["--accept-unsigned"]));
    assert!(target.executed(&[]).is_empty());
    // Without `[trust]` everything is taken.
    well(import(&other(), &plain, &[]));
    // A secret of CI signs like any other.
    let secret = project.read(".config/onsager/keys/default");
    let ci = chain();
    let by_variable = export(&ci, "ci.onsager", &[("ONSAGER_KEY", secret.trim_end())]);
    well(import(&trusting(&key, &[]), &by_variable, &[]));
    let file = project.path(".config/onsager/keys/default");
    let by_file = export(&ci, "file.onsager", &[("ONSAGER_KEY_FILE", file.to_str().expect("text"))]);
    assert_eq!(fs::read(by_file).ok(), fs::read(by_variable).ok());
}

#[test]
fn scopes_and_days_are_kept() {
    let (project, archive, key) = signed();
    // Keys until a day: what was signed later does not count.
    let expired = trusting(&key, &["--until", "2020-02-29"]);
    refused(
        &expired,
        &archive,
        "b",
        "`anna` signed it after 2020-02-29, until when the project trusts this key",
    );
    // A pull request signs for its own scope, which `main` does not read, and may not sign for `main`.
    let request = export(&project, "pr.onsager", &[("ONSAGER_SCOPE", "pr-17")]);
    let main = trusting(&key, &["--scope", "main", "--scope", "pr-*"]);
    refused(&main, &request, "b", "it is of the scope `pr-17`, which this project does not read");
    let ci = trusting(&key, &["--scope", "pr-*"]);
    refused(&ci, &archive, "b", "`anna` signed it for the scope `main`, for which this key does not count");
    let mut own = ci.command(&["store", "import", request.to_str().expect("text")]);
    well(common::ran(own.env("ONSAGER_SCOPE", "pr-17").output().expect("started")));
    let mut wrong = ci.command(&["store", "verify"]);
    let wrong = common::ran(wrong.env("ONSAGER_SCOPE", "../main").output().expect("started"));
    assert_eq!(wrong.status, 2);
    assert!(wrong.stderr.contains("ONSAGER_SCOPE: `../main` is no name of a scope"), "{}", wrong.stderr);
}

/// The member of this task's record, and the record.
fn record(archive: &Archive, task: &str) -> (String, Value) {
    let mut records = archive.members.iter().filter(|(name, _)| name.starts_with("actions/"));
    let of = |(name, bytes): &(String, Vec<u8>)| {
        let record: Value = serde_json::from_slice(bytes).expect("JSON");
        (record["task"] == task).then(|| (name.clone(), record))
    };
    records.find_map(of).expect("a record")
}

/// The archive with another record in the place of a task's.
fn with_record(archive: &Archive, task: &str, change: impl FnOnce(&mut Value)) -> Archive {
    let (name, mut record) = record(archive, task);
    change(&mut record);
    let mut changed = archive.clone();
    let bytes = changed.members.iter_mut().find(|(member, _)| *member == name).map(|(_, bytes)| bytes);
    *bytes.expect("a member") = serde_json::to_vec(&record).expect("JSON");
    changed
}

const FORGED: &str = "its signature is not one of `anna`: it is forged, or was altered since";

#[test]
fn what_is_forged_or_altered_is_refused() {
    let (project, path, key) = signed();
    let target = trusting(&key, &[]);
    let good = Archive::read(&path);
    let forged = target.path("forged.onsager");
    let try_it = |archive: Archive, reason: &str| {
        archive.write(&forged);
        refused(&target, &forged, "b", reason);
    };
    // Another object: of the archive itself, whose bytes are those of its digest.
    let (_, of_a) = record(&good, "a");
    try_it(with_record(&good, "b", |b| b["outputs"][0][1] = of_a["outputs"][0][1].clone()), FORGED);
    // Other bytes, and a record that names them.
    let mut lie = good.clone();
    lie.replace_object(&sha256(b"one 1\n"), b"two 2\n");
    let list =
        lie.members.iter().find(|(_, bytes)| bytes.starts_with(b"onsager folder")).expect("a list").1.clone();
    let text = String::from_utf8(list.clone()).expect("text");
    lie.replace_object(&sha256(&list), text.replace(&sha256(b"one 1\n"), &sha256(b"two 2\n")).as_bytes());
    try_it(lie, FORGED);
    // Whatever a record says beside that.
    let changes: [(&str, Value); 6] = [
        ("task", "b[x=1]".into()),
        ("run", "2020-01-01T00-00-00-00000000".into()),
        ("host", "elsewhere".into()),
        ("kernel", "portable".into()),
        ("seconds", 12345.0.into()),
        ("outputs", serde_json::json!([])),
    ];
    for (field, value) in changes {
        let changed = with_record(&good, "b", |b| b[field] = value);
        changed.write(&forged);
        let ran = import(&target, &forged, &[]);
        assert!(ran.status == 2 && ran.stderr.contains(FORGED), "{field}: {}", ran.stderr);
        nothing_came(&target);
    }
    for (field, value) in [("scope", Value::from("other")), ("time", 1.into())] {
        try_it(with_record(&good, "b", |b| b["proof"][field] = value), FORGED);
    }
    // The signature of one record is not that of another, and a stranger's key is not anna's.
    let (_, a) = record(&good, "a");
    try_it(with_record(&good, "b", |b| b["proof"]["signature"] = a["proof"]["signature"].clone()), FORGED);
    let stranger = new_key(&Project::new(""));
    let reason = format!(
        "it is signed by `{stranger}`, whom the project does not trust: `onsager key trust` names a key"
    );
    try_it(with_record(&good, "b", |b| b["proof"]["signer"] = stranger.clone().into()), &reason);
    try_it(
        with_record(&good, "b", |b| _ = b.as_object_mut().expect("a record").shift_remove("proof")),
        "it is not signed",
    );
    drop(project);
}

/// The message of an archive that is damaged, whoever signed it.
fn damaged(project: &Project, archive: &Archive, reason: &str) {
    let path = project.path("damaged.onsager");
    archive.write(&path);
    for more in [&[][..], &["--accept-unsigned"]] {
        let ran = import(project, &path, more);
        assert!(ran.status == 2 && ran.stderr.contains(reason), "{reason}: {}", ran.stderr);
        assert!(ran.stderr.ends_with("; nothing was imported\n"), "{}", ran.stderr);
        nothing_came(project);
    }
}

#[test]
fn records_that_are_none_are_refused_signed_or_not() {
    let (_project, path, key) = signed();
    let good = Archive::read(&path);
    let target = trusting(&key, &[]);
    let b = |change: &dyn Fn(&mut Value)| with_record(&good, "b", change);
    // A record of another key under the name of this one.
    let (_, a) = record(&good, "a");
    damaged(&target, &b(&|b| *b = a.clone()), "it is that of the key");
    // The key is that of other values.
    let other_values = b(&|b| {
        let text = b["preimage"].to_string().replace("${params.mark}", "x").replace(" 1\\\"", " 2\\\"");
        b["preimage"] = serde_json::from_str(&text).expect("JSON");
        b["preimage"].as_array_mut().expect("a list").pop();
    });
    damaged(&target, &other_values, "its key is not that of the values in it");
    damaged(&target, &b(&|b| b["preimage"][2][1] = serde_json::json!({"value": {"a": 1}})), "has parts");
    damaged(
        &target,
        &b(&|b| b["outputs"][0][1]["size"] = (1u64 << 60).into()),
        "too large: 1152921504606846976 bytes",
    );
    damaged(
        &target,
        &b(&|b| b["origin"] = serde_json::json!({"from": "here"})),
        "it tells where it came from",
    );
    damaged(&target, &b(&|b| b["task"] = "b\u{1b}[2J".into()), "it has control characters");
    damaged(&target, &b(&|b| b["host"] = "two\nlines".into()), "it has names of several lines");
    damaged(&target, &b(&|b| b["proof"]["version"] = 9.into()), "signed as version 9");
    // What is not signed does not ride along.
    damaged(&target, &b(&|b| b["more"] = "unsigned".into()), "not written as it was when it was signed");
}

#[test]
fn links_and_names_that_lead_elsewhere_are_refused() {
    let (_project, path, key) = signed();
    let target = trusting(&key, &[]);
    let bytes = fs::read(&path).expect("an archive");
    // A member after the header becomes a link to a file outside.
    for (kind, to) in [(b'2', "/etc/passwd"), (b'1', "../../../../outside"), (b'5', ""), (b'3', "")] {
        let mut linked = bytes.clone();
        let header = 512
            + usize::from_str_radix(std::str::from_utf8(&bytes[124..135]).expect("text"), 8)
                .expect("a size")
                .next_multiple_of(512);
        linked[header + 156] = kind;
        linked[header + 157..header + 157 + to.len()].copy_from_slice(to.as_bytes());
        let sum = {
            let block = &mut linked[header..header + 512];
            block[148..156].fill(b' ');
            block.iter().map(|byte| u32::from(*byte)).sum::<u32>()
        };
        linked[header + 148..header + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let path = target.path("linked.onsager");
        fs::write(&path, linked).expect("written");
        let ran = import(&target, &path, &[]);
        assert_eq!(ran.status, 2, "{kind}: {}{}", ran.stdout, ran.stderr);
        nothing_came(&target);
    }
    let good = Archive::read(&path);
    for name in ["../outside", "/tmp/outside", "objects/../../outside", "objects/ab/../../../outside"] {
        let mut archive = good.clone();
        archive.members.push((name.to_owned(), b"evil".to_vec()));
        archive.write(&target.path("named.onsager"));
        let ran = import(&target, &target.path("named.onsager"), &[]);
        assert_eq!(ran.status, 2, "{name}: {}", ran.stdout);
        nothing_came(&target);
    }
    assert!(!target.path("outside").exists() && !Path::new("/tmp/outside").exists());
}

#[test]
fn a_redacted_record_counts_while_its_key_can_be_computed() {
    let two = CHAIN.split("  c:\n").next().expect("two stages");
    let project = other();
    project.write("pipeline.yaml", two);
    assert_eq!(project.executed(&[]), ["a", "b"]);
    let key = new_key(&project);
    let arguments = ["store", "export", "chain", "--redact", "-o", "redacted.onsager"];
    well(project.onsager(&arguments));
    // No path stands in this pipeline, so everything is there but the host.
    let archive = project.path("redacted.onsager");
    well(import(&trusting(&key, &[]), &archive, &[]));
    assert_eq!(record(&Archive::read(&archive), "b").1["host"], "");

    project.write("pipeline.yaml", &two.replace("cut -d", "/usr/bin/cut -d"));
    assert_eq!(project.executed(&[]), ["a"]);
    well(project.onsager(&arguments));
    let target = trusting(&key, &[]);
    refused(&target, &archive, "a", "it is not signed");
    well(import(&target, &archive, &["--accept-unsigned"]));
    let told = target.onsager(&["store", "verify"]);
    let note =
        "note: the keys of 1 record cannot be computed again: they are redacted, or of an old onsager\n";
    assert_eq!(told.stdout, format!("{note}2 objects, 10 B: all intact\n"));
}

#[test]
fn verify_forgets_records_whose_key_is_another_and_those_of_a_key_that_was_lost() {
    let project = chain();
    let path = WalkDir::new(project.path("artifacts/.onsager/actions"))
        .into_iter()
        .flatten()
        .map(walkdir::DirEntry::into_path)
        .find(|path| {
            path.is_file() && fs::read_to_string(path).is_ok_and(|text| text.contains("\"task\":\"b\""))
        })
        .expect("a record");
    let text = fs::read_to_string(&path).expect("text");
    fs::write(&path, text.replace("{\"value\":\"echo", "{\"value\":\"Echo")).expect("written");
    let told = project.onsager(&["store", "verify"]);
    let expected = format!(
        "action record `{}` of `b` is wrong: its key is not that of the values in it\n\
         forgotten, to be made again by the next run: `b`, `c`\n4 objects, 268 B: 1 damaged\n",
        path.display()
    );
    assert_eq!((told.stdout.as_str(), told.status), (expected.as_str(), 1));
    assert_eq!(project.executed(&[]), ["b", "c"]);

    // Somebody's key is lost: it is taken out, and what it signed goes, with what was made of it.
    let (_project, archive, key) = signed();
    let target = trusting(&key, &[]);
    well(import(&target, &archive, &[]));
    assert_eq!(target.executed(&["--force", "c"]), ["c"]);
    let other = new_key(&Project::new(""));
    target.write("onsager.toml", &target.read("onsager.toml").replace(&key, &other));
    let told = target.onsager(&["store", "verify"]);
    assert_eq!(told.status, 1);
    assert_eq!(
        told.stdout.matches(", from elsewhere, does not count any more: it is signed by").count(),
        2,
        "{}",
        told.stdout
    );
    assert!(
        told.stdout.contains("forgotten, to be made again by the next run: `a`, `b`, `c`\n"),
        "{}",
        told.stdout
    );
    assert_eq!(target.executed(&[]), ["a", "b", "c"]);
    assert_eq!(target.onsager(&["store", "verify"]).status, 0);
}

#[test]
fn a_sample_of_what_came_from_elsewhere_is_computed_again() {
    let verify =
        ["store", "verify", "pipeline.yaml", "--rerun", "--foreign", "--sample", "50%", "--seed", "4"];
    let own = chain();
    let told = own.onsager(&verify);
    assert_eq!((told.status, told.stdout.as_str()), (0, ""));
    assert_eq!(told.stderr, "the store has no result that came from elsewhere: nothing is computed again\n");

    let archive = export(&own, "run.onsager", &[]);
    let target = other();
    well(import(&target, &archive, &[]));
    let told = target.onsager(&verify);
    assert_eq!(told.stderr, "picked 2 of 3 results; `--seed 4` picks the same\n");
    assert_eq!((told.status, told.stdout.matches(": same bytes (").count()), (0, 2), "{}", told.stdout);
    assert_eq!(
        target.onsager(&verify).stdout.lines().map(|line| &line[..1]).collect::<Vec<_>>(),
        told.stdout.lines().map(|line| &line[..1]).collect::<Vec<_>>()
    );
    // Without a seed one is told; a task may be named; all are taken without a sample.
    let told = target.onsager(&["store", "verify", "pipeline.yaml", "--rerun", "b", "--sample", "1"]);
    assert!(told.stderr.starts_with("picked 1 of 1 results; `--seed "), "{}", told.stderr);
    assert!(told.stdout.starts_with("b: same bytes ("), "{}", told.stdout);
    let all = target.onsager(&["store", "verify", "pipeline.yaml", "--rerun", "--foreign"]);
    assert_eq!(all.stdout.matches(": same bytes (").count(), 3, "{}", all.stdout);
}

#[test]
fn a_secret_is_in_no_output_record_or_environment() {
    let project = Project::new(
        "\
name: chain
stages:
  a: {kind: command, run: 'env | sort > ${outputs.o}; env', outputs: {o: o.txt}}
  b: {kind: command, tools: {t: 'env | sort | sha256sum; env'}, run: 'echo > ${outputs.o}', outputs: {o: o.txt}}
",
    );
    well(project.onsager(&["key", "new"]));
    let secret = project.read(".config/onsager/keys/default").trim_end().to_owned();
    let bare = secret.rsplit(':').next().expect("a key").to_owned();
    let mut said = String::new();
    let mut run = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.env("ONSAGER_KEY", &secret).env("ONSAGER_LOG", "trace").env("RUST_BACKTRACE", "1");
        let ran = common::ran(command.output().expect("the program starts"));
        said += &(ran.stdout + &ran.stderr);
        ran.status
    };
    assert_eq!(run(&["run", "pipeline.yaml", "--json"]), 0);
    for arguments in [
        &["store", "export", "chain", "-o", "run.onsager"][..],
        &["key", "show"],
        &["key", "list"],
        &["key", "list", "--json"],
        &["key", "new", "--name", "second"],
        &["explain", "pipeline.yaml", "--json"],
        &["log", "pipeline.yaml", "a"],
        &["store", "verify", "--json"],
        &["shell", "pipeline.yaml", "a", "--", "env"],
    ] {
        run(arguments);
    }
    // A wrong place for it: as a public key, in the project's file, and cut short in the variable.
    assert_eq!(run(&["key", "trust", &secret, "--name", "anna"]), 2);
    assert_eq!(run(&["key", "trust", &secret[..40], "--name", "anna"]), 2);
    project.write("onsager.toml", &format!("[trust.keys.anna]\nkey = \"{secret}\"\n"));
    assert_eq!(run(&["key", "list"]), 2);
    assert_eq!(run(&["key", "list", "--json"]), 2);
    project.write("onsager.toml", &format!("[trust.keys.anna]\nkey: {secret}\n"));
    assert_eq!(run(&["key", "list"]), 2);
    fs::remove_file(project.path("onsager.toml")).expect("removed");
    let mut wrong = project.command(&["key", "show"]);
    let wrong = common::ran(wrong.env("ONSAGER_KEY", format!("x{secret}")).output().expect("started"));
    assert_eq!(wrong.status, 2);
    said += &(wrong.stdout + &wrong.stderr);
    // The shell's own job; everything else that onsager prints.
    assert!(!said.contains(&bare), "{said}");
    for entry in WalkDir::new(project.path("")) {
        let path = entry.expect("an entry").into_path();
        if path.is_file() && !path.starts_with(project.path(".config")) {
            let bytes = fs::read(&path).expect("read");
            assert!(!String::from_utf8_lossy(&bytes).contains(&bare), "{}", path.display());
        }
    }
}
