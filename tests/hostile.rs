//! Archives and stores that a stranger made: nothing outside the store is written, read or shown, and nothing panics.

mod common;

use common::Project;
use common::archive::{Archive, sha256};
use common::chain::{CHAIN, chain, digest, object};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// The chain, run and exported, and the digest of its folder `c`.
fn exported() -> (Archive, String) {
    let project = chain();
    let folder = digest(&project, "c", "folder");
    assert_eq!(project.onsager(&["store", "export", "chain", "-o", "run.onsager"]).status, 0);
    (Archive::read(&project.path("run.onsager")), folder)
}

/// A project into which the archive is imported, inside a folder of its own, and what the import printed.
fn imported(archive: &Archive) -> (Project, common::Ran) {
    let project = Project::new(CHAIN);
    project.write("source.txt", "one two\n");
    archive.write(&project.path("run.onsager"));
    let ran = project.onsager(&["store", "import", "run.onsager", "--accept-unsigned"]);
    (project, ran)
}

/// An archive is refused with these words, and nothing of it is in the store.
fn refused(archive: &Archive, words: &str) {
    let (project, ran) = imported(archive);
    assert_eq!(ran.status, 2, "{words}: {} {}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    assert!(ran.stderr.is_ascii() && !ran.stderr.contains('\u{1b}'), "{:?}", ran.stderr);
    for folder in ["objects", "actions"] {
        let found = fs::read_dir(project.path(&format!("artifacts/.onsager/{folder}"))).expect("a folder");
        assert_eq!(found.count(), 0, "{words}: something is visible");
    }
    assert_eq!(project.executed(&[]), ["a", "b", "c"]);
}

/// The list of a folder with these paths, all of one file with the bytes `one 1\n`.
fn list(paths: &[&str]) -> Vec<u8> {
    let file = sha256(b"one 1\n");
    let entries: Vec<String> = paths
        .iter()
        .map(|path| {
            let path = serde_json::to_string(path).expect("JSON");
            format!("{{\"path\":{path},\"digest\":\"{file}\",\"size\":6,\"executable\":false}}")
        })
        .collect();
    format!("onsager folder\n[{}]", entries.join(",")).into_bytes()
}

#[test]
fn a_folder_that_lists_paths_elsewhere_is_not_imported() {
    let (archive, folder) = exported();
    let outside = tempfile::tempdir().expect("a folder");
    let absolute = outside.path().join(".bashrc");
    for paths in [
        &[absolute.to_str().expect("text")][..],
        &["../../../../../evil"],
        &["a/../../../evil"],
        &["."],
        &["one/"],
        &["one", "one"],
        &["one", "one/two"],
        &["two", "one"],
        &["one\u{1b}]0;owned\u{7}"],
        &["\u{9b}2J"],
    ] {
        let mut archive = archive.clone();
        archive.replace_object(&folder, &list(paths));
        archive.replace(
            "actions/",
            "\"shape\":\"folder\",\"size\":10",
            &format!("\"shape\":\"folder\",\"size\":{}", 6 * paths.len()),
        );
        refused(&archive, "stands for a folder");
    }
    assert!(!absolute.exists());
    // As onsager writes it, the same is accepted: it is the paths that were refused.
    let mut sound = archive.clone();
    sound.replace_object(&folder, &list(&["one", "two"]));
    sound.replace("actions/", "\"shape\":\"folder\",\"size\":10", "\"shape\":\"folder\",\"size\":12");
    let (project, ran) = imported(&sound);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(project.executed(&[]).is_empty());
    assert_eq!(project.read("artifacts/chain/c/c/two"), "one 1\n");
}

#[test]
fn a_folder_that_lists_paths_elsewhere_is_not_unpacked_from_the_store() {
    for evil in ["../../../evil", "/ABSOLUTE/evil"] {
        let project = chain();
        let evil = evil.replace("/ABSOLUTE", project.path("").to_str().expect("text").trim_end_matches('/'));
        let folder = digest(&project, "c", "folder");
        let bytes = list(&[&evil]);
        let new = sha256(&bytes);
        // As an import of an earlier version left it.
        let place = object(&project, &new);
        fs::create_dir_all(place.parent().expect("a folder")).expect("made");
        fs::write(&place, bytes).expect("written");
        for record in records(&project) {
            let text = fs::read_to_string(&record).expect("a record");
            let text = text.replace(&folder, &new).replace("\"folder\",\"size\":10", "\"folder\",\"size\":6");
            fs::write(&record, text).expect("written");
        }
        fs::remove_dir_all(project.path("artifacts/chain")).expect("removed");
        fs::remove_dir_all(project.path("artifacts/.onsager/views")).expect("removed");
        assert_eq!(project.onsager(&["status", "pipeline.yaml"]).status, 0);
        assert_eq!(project.executed(&[]), ["c"]);
        assert!(!project.path("evil").exists());
        assert!(!project.path("artifacts/evil").exists());
        assert_eq!(project.read("artifacts/chain/c/c/two"), "two\n");
    }
}

fn records(project: &Project) -> Vec<std::path::PathBuf> {
    let below = |folder: &Path| -> Vec<std::path::PathBuf> {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    below(&project.path("artifacts/.onsager/actions")).iter().flat_map(|folder| below(folder)).collect()
}

#[test]
fn records_that_their_objects_contradict_are_refused_and_dropped() {
    let (archive, _) = exported();
    let lies = [
        ("\"shape\":\"file\",\"size\":4", "\"shape\":\"file\",\"size\":5", "has 4 bytes, not 5"),
        (
            "\"shape\":\"file\",\"size\":4",
            "\"shape\":\"folder\",\"size\":4",
            "it is not the list of a folder",
        ),
        ("\"shape\":\"folder\",\"size\":10", "\"shape\":\"folder\",\"size\":11", "have other sizes"),
        ("\"task\":\"a\"", "\"task\":\"a\\u001b[2J\"", "has control characters"),
        ("\"outputs\":[[\"text\",", "\"outputs\":[[\"text\",{\"digest\":\"00\"}],[\"text\",", "is no record"),
    ];
    for (old, new, words) in lies {
        let mut archive = archive.clone();
        archive.replace("actions/", old, new);
        refused(&archive, words);
    }
    // The same records in a store that has them already.
    for (old, new, words) in &lies[..3] {
        let project = chain();
        for record in records(&project) {
            let text = fs::read_to_string(&record).expect("a record");
            fs::write(&record, text.replace(old, new)).expect("written");
        }
        let ran = project.onsager(&["store", "verify"]);
        assert_eq!(ran.status, 1, "{}", ran.stdout);
        assert!(ran.stdout.contains("is contradicted: ") && ran.stdout.contains(words), "{}", ran.stdout);
        assert_eq!(project.executed(&[]).len(), 1);
        assert_eq!(project.onsager(&["store", "verify"]).status, 0);
    }
}

#[test]
fn a_record_without_the_declared_outputs_counts_as_none() {
    let (archive, _) = exported();
    let outputs = |archive: &Archive| {
        let record = archive
            .members
            .iter()
            .find(|(_, bytes)| String::from_utf8_lossy(bytes).contains("\"task\":\"a\",\"run\""));
        let text = String::from_utf8_lossy(&record.expect("a record").1).into_owned();
        let start = text.find("\"outputs\":").expect("outputs");
        text[start..text.find(",\"preimage\"").expect("preimage")].to_owned()
    };
    let whole = outputs(&archive);
    for replaced in ["\"outputs\":[]".to_owned(), whole.replace("\"text\"", "\"other\"")] {
        let mut archive = archive.clone();
        archive.replace("actions/", &whole, &replaced);
        let (project, ran) = imported(&archive);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        for command in ["plan", "status"] {
            let ran = project.onsager(&[command, "pipeline.yaml"]);
            assert_eq!(ran.status, 0, "{command}: {}", ran.stderr);
        }
        assert_eq!(project.executed(&[]), ["a"]);
        assert_eq!(project.read("artifacts/chain/a/a.txt"), "one\n");
    }
}

#[test]
fn members_with_other_names_or_of_other_kinds_are_refused() {
    let (archive, _) = exported();
    for name in [
        "../evil",
        "/tmp/evil",
        "objects/../../evil",
        "runs/other.jsonl",
        "objects/aa/../../../evil",
        "x\u{7}",
    ] {
        let mut archive = archive.clone();
        archive.members.insert(0, (name.to_owned(), b"evil".to_vec()));
        refused(&archive, "is not in the header");
    }
    let mut twice = archive.clone();
    twice.members.insert(0, twice.members[0].clone());
    refused(&twice, "comes twice");
    for (field, name) in
        [("run", "../evil"), ("pipeline", "../evil"), ("pipeline", "a/b"), ("run", "x\u{1b}[2J")]
    {
        let mut archive = archive.clone();
        archive.header[field] = name.into();
        refused(&archive, "is no plain name");
    }
    let mut record = archive.clone();
    record.replace("runs/", "\"pipeline\":\"chain\"", "\"pipeline\":\"../../chain\"");
    refused(&record, "it is not that of the run");
}

#[test]
fn a_manifest_with_other_lines_is_refused() {
    let (archive, _) = exported();
    for (old, new) in [(" a\n", " a\u{1b}[2J\n"), (" a\n", "a\n"), (" b\n", " \n")] {
        let mut archive = archive.clone();
        let at =
            archive.members.iter().position(|(name, _)| name.starts_with("manifests/")).expect("a manifest");
        let before = sha256(&archive.members[at].1);
        archive.replace("manifests/", old, new);
        let after = sha256(&archive.members[at].1);
        archive.members[at].0 = format!("manifests/{}/{}", &after[..2], &after[2..]);
        archive.replace("runs/", &before, &after);
        refused(&archive, "its lines are not keys and tasks");
    }
}

#[test]
fn a_member_larger_than_it_says_is_not_unpacked() {
    let (archive, _) = exported();
    let mut header = archive.header.clone();
    let mut bomb = archive.clone();
    bomb.members[0].1 = vec![b'x'; 1 << 20];
    let members = archive
        .members
        .iter()
        .map(|(name, bytes)| serde_json::json!({"name": name, "size": bytes.len(), "digest": sha256(bytes)}));
    header["members"] = members.collect();
    let project = Project::new(CHAIN);
    bomb.write_with(&header, &project.path("run.onsager"));
    let ran = project.onsager(&["store", "import", "run.onsager", "--accept-unsigned"]);
    assert!(ran.stderr.contains("does not have the digest"), "{}", ran.stderr);
}

#[test]
fn an_imported_record_opens_no_other_file() {
    let (archive, _) = exported();
    let outside = tempfile::tempdir().expect("a folder");
    let secret = outside.path().join("secret");
    fs::write(&secret, "the secret\n").expect("written");
    let mut archive = archive;
    let text = String::from_utf8_lossy(&archive.members.last().expect("the record").1).into_owned();
    let lines = text.lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        for field in ["file", "log"] {
            if !line[field].is_null() {
                line[field] = secret.to_str().expect("text").into();
            }
        }
        line.to_string() + "\n"
    });
    archive.members.last_mut().expect("the record").1 = lines.collect::<String>().into_bytes();
    let (project, ran) = imported(&archive);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let log = project.onsager(&["log", "pipeline.yaml", "a"]);
    assert_eq!((log.status, log.stdout.as_str()), (2, ""), "{}", log.stderr);
    assert_eq!(project.onsager(&["store", "export", "chain", "-o", "again.onsager"]).status, 0);
    let again = Archive::read(&project.path("again.onsager"));
    assert!(again.members.iter().all(|(_, bytes)| !String::from_utf8_lossy(bytes).contains("the secret")));
    // The pipeline's file as it was when it ran is in both.
    let pipeline = |archive: &Archive| archive.members[0].clone();
    assert_eq!(pipeline(&again), ("pipeline.yaml".to_owned(), CHAIN.into()));
    assert_eq!(pipeline(&again), pipeline(&archive));
}

#[test]
fn nothing_is_written_through_a_link_in_the_view() {
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("kept"), "kept").expect("written");
    for place in ["artifacts/chain", "artifacts/chain/c"] {
        let project = chain();
        fs::remove_dir_all(project.path(place)).expect("removed");
        symlink(outside.path(), project.path(place)).expect("a link");
        let ran = project.run(&["--keep-going"]);
        assert_eq!(ran.status, 1, "{}", ran.stderr);
        let told = format!("{place}` is a link, and nothing is written through links: remove it");
        assert!(ran.stderr.contains(&told), "{}", ran.stderr);
        assert_eq!(fs::read_dir(outside.path()).expect("a folder").count(), 1);
        fs::remove_file(project.path(place)).expect("removed");
        assert_eq!(project.run(&[]).status, 0);
        assert_eq!(project.read("artifacts/chain/c/c/two"), "two\n");
    }
    // The whole folder may be elsewhere.
    let project = chain();
    let elsewhere = outside.path().join("artifacts");
    fs::rename(project.path("artifacts"), &elsewhere).expect("moved");
    symlink(&elsewhere, project.path("artifacts")).expect("a link");
    fs::remove_dir_all(elsewhere.join("chain")).expect("removed");
    assert_eq!(project.run(&[]).status, 0);
    assert_eq!(project.read("artifacts/chain/c/c/two"), "two\n");
}

#[test]
fn objects_are_never_programs() {
    let project = chain();
    let folder = project.path("artifacts/.onsager/objects");
    for entry in
        walkdir::WalkDir::new(folder).into_iter().flatten().filter(|entry| entry.file_type().is_file())
    {
        assert_eq!(entry.metadata().expect("stat data").permissions().mode() & 0o777, 0o444);
    }
}
