//! Archives of others: what an import can check, and what an export need not tell.

mod common;

use common::Project;
use common::archive::{Archive, object_name, sha256};
use common::chain::{CHAIN, chain, run_of};

fn other() -> Project {
    let project = Project::new(CHAIN);
    project.write("source.txt", "one two\n");
    project
}

#[test]
fn a_sample_is_executed_again_before_anything_is_imported() {
    let project = chain();
    assert_eq!(project.onsager(&["store", "export", "chain", "-o", "run.onsager"]).status, 0);
    let honest = Archive::read(&project.path("run.onsager"));

    let target = other();
    honest.write(&target.path("run.onsager"));
    let ran = target.onsager(&[
        "store",
        "import",
        "run.onsager",
        "--accept-unsigned",
        "--check",
        "pipeline.yaml",
        "--sample",
        "9",
    ]);
    assert_eq!(ran.status, 0, "{} {}", ran.stdout, ran.stderr);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    for (line, task) in lines.iter().zip(["a", "b", "c"]) {
        assert!(line.starts_with(&format!("{task}: same bytes (")), "{}", ran.stdout);
    }
    assert_eq!(
        lines[3],
        format!("imported run {} of `chain`: 3 tasks, 4 objects, 268 B; 7 new", run_of(&project))
    );
    assert!(target.executed(&[]).is_empty());
    let one = other();
    honest.write(&one.path("run.onsager"));
    let ran = one.onsager(&[
        "store",
        "import",
        "run.onsager",
        "--accept-unsigned",
        "--check",
        "pipeline.yaml",
        "--sample",
        "1",
    ]);
    assert_eq!(ran.stdout.matches("same bytes").count(), 1, "{}", ran.stdout);

    // Sound by all digests, and not what the pipeline makes.
    let mut lie = honest.clone();
    lie.members.insert(0, (object_name(&sha256(b"two 2\n")), b"two 2\n".to_vec()));
    let text = String::from_utf8(lie.record_of("b").clone()).expect("text");
    *lie.record_of("b") = text.replace(&sha256(b"one 1\n"), &sha256(b"two 2\n")).into_bytes();
    let target = other();
    lie.write(&target.path("run.onsager"));
    let ran =
        target.onsager(&["store", "import", "run.onsager", "--accept-unsigned", "--check", "pipeline.yaml"]);
    assert_eq!(ran.status, 1, "{} {}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("b: output `text` differs: line 1 was `two 2` and is `one 1`\n"),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.starts_with("picked 2 of 2 results; `--seed "), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("` picks the same\nnothing was imported\n"), "{}", ran.stderr);
    assert_eq!(target.executed(&[]), ["a", "b", "c"]);
}

#[test]
fn an_archive_of_another_pipeline_is_not_imported_with_a_check() {
    let project = chain();
    assert_eq!(project.onsager(&["store", "export", "chain", "-o", "run.onsager"]).status, 0);
    let target = other();
    target.write("source.txt", "three\n");
    target.write("pipeline.yaml", &CHAIN.replace("cut", "  cut"));
    let archive = project.path("run.onsager");
    let archive = archive.to_str().expect("text");
    let ran = target.onsager(&["store", "import", archive, "--accept-unsigned", "--check", "pipeline.yaml"]);
    assert_eq!(ran.status, 2, "{}", ran.stdout);
    assert!(ran.stderr.contains("is one that `pipeline.yaml` has now"), "{}", ran.stderr);
    assert_eq!(target.onsager(&["store", "import", archive, "--accept-unsigned"]).status, 0);
    let help = target.onsager(&["store", "import", "--help"]);
    assert!(
        help.stdout.contains("import only from people whom you would let run programs as you"),
        "{}",
        help.stdout
    );
}

#[test]
fn a_redacted_export_does_not_tell_of_the_machine() {
    let project = Project::new(
        "\
name: private
stages:
  good:
    kind: command
    env: {TOOL: /opt/private/tool}
    run: echo good > ${outputs.o}
    outputs: {o: o.txt}
  bad:
    kind: command
    inputs: {o: good}
    run: echo /home/private/secret; exit 3
    outputs: {o: o.txt}
",
    );
    assert_eq!(project.run(&["-k"]).status, 1);
    let run = run_of(&project);
    for (name, more) in [("plain.onsager", &[][..]), ("redacted.onsager", &["--redact"])] {
        let arguments = [&["store", "export", &run, "-o", name], more].concat();
        let ran = project.onsager(&arguments);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name");
    let folder = project.path("");
    let tells = |name: &str, word: &str| {
        let archive = Archive::read(&project.path(name));
        archive.members.iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains(word))
    };
    let host = format!("\"host\":\"{}\"", host.trim());
    for word in
        [host.as_str(), folder.to_str().expect("text").trim_end_matches('/'), "/opt/private", "exit status"]
    {
        assert!(tells("plain.onsager", word), "{word}");
        assert!(!tells("redacted.onsager", word), "{word}");
    }
    // It is imported like any other.
    let target = Project::new(&project.read("pipeline.yaml"));
    let archive = project.path("redacted.onsager");
    assert_eq!(
        target.onsager(&["store", "import", archive.to_str().expect("text"), "--accept-unsigned"]).status,
        0
    );
    assert_eq!(target.onsager(&["store", "verify"]).status, 0);
    let (document, _) = target.run_json(&["good"]);
    assert_eq!(common::names(&document["tasks"]["cached"]), ["good"]);
    assert_eq!(target.onsager(&["diff", "last~1", "last"]).status, 0);
}
