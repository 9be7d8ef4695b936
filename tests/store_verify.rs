//! `onsager store verify`: damage is found, named and made good.

mod common;

use common::chain::{chain, damage, digest, json, object, run_of};
use serde_json::Value;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

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
    // b was executed from the damaged object, as far as anybody can tell, and c from b.
    assert_eq!(project.executed(&[]), ["a", "b", "c"]);
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
    // Beside the text of the pipeline's file.
    let manifests = walkdir::WalkDir::new(project.path("artifacts/.onsager/manifests")).into_iter().flatten();
    let mut manifests = manifests.filter(|entry| {
        fs::read_to_string(entry.path()).is_ok_and(|text| text.lines().all(|line| line.len() == 66))
    });
    let manifest = manifests.next().expect("a manifest").into_path();
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
