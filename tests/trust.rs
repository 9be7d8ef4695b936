//! Whose results count: keys, and signed archives.

mod common;

use common::archive::Archive;
use common::chain::chain;
use common::trust::{UNSIGNED, export, import, new_key, other, refused, signed, trusting, untrusted, well};
use common::{Project, ran};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use walkdir::WalkDir;

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
    refused(&target, &archive, "b", &untrusted(&key));
    // Nor is anybody trusted by a project that names no key.
    refused(&other(), &archive, "b", &untrusted(&key));

    let unsigned = chain();
    let plain = export(&unsigned, "plain.onsager", &[]);
    let target = trusting(&key, &[]);
    refused(&target, &plain, "b", UNSIGNED);
    // Unless it is asked for; then its origin is known all the same.
    well(import(&target, &plain, &["--accept-unsigned"]));
    assert!(target.executed(&[]).is_empty());
    refused(&other(), &plain, "b", UNSIGNED);
    // What one has signed oneself counts without a word.
    let own = other();
    let file = ".config/onsager/keys/default";
    own.write(file, &project.read(file));
    fs::set_permissions(own.path(file), fs::Permissions::from_mode(0o600)).expect("changed");
    well(import(&own, &archive, &[]));
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
    well(ran(own.env("ONSAGER_SCOPE", "pr-17").output().expect("started")));
    let mut wrong = ci.command(&["store", "verify"]);
    let wrong = ran(wrong.env("ONSAGER_SCOPE", "../main").output().expect("started"));
    assert_eq!(wrong.status, 2);
    assert!(wrong.stderr.contains("ONSAGER_SCOPE: `../main` is no name of a scope"), "{}", wrong.stderr);
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
    well(import(&target, &archive, &["--accept-unsigned"]));
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
