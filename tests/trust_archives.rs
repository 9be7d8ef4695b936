//! Archives that strangers have made or changed: refused, although every digest in them is right, and nothing of them is in the store.

mod common;

use common::Project;
use common::archive::{Archive, sha256};
use common::chain::CHAIN;
use common::trust::{
    FORGED, UNSIGNED, import, new_key, nothing_came, other, record, refused, signed, trusting, untrusted,
    well, with_record,
};
use serde_json::Value;
use std::fs;
use std::path::Path;

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
    try_it(
        with_record(&good, "b", |b| b["proof"]["signer"] = stranger.clone().into()),
        &untrusted(&stranger),
    );
    try_it(
        with_record(&good, "b", |b| _ = b.as_object_mut().expect("a record").shift_remove("proof")),
        UNSIGNED,
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
    refused(&target, &archive, "a", UNSIGNED);
    well(import(&target, &archive, &["--accept-unsigned"]));
    let told = target.onsager(&["store", "verify"]);
    let note =
        "note: the keys of 1 record cannot be computed again: they are redacted, or of an old onsager\n";
    assert_eq!(told.stdout, format!("{note}2 objects, 10 B: all intact\n"));
}
