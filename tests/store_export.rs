//! `onsager store export` and `import`: a run goes to another store, whole or not at all.

mod common;

use common::Project;
use common::chain::{CHAIN, chain, digest, json, run_of};
use std::fs;

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
        let imported = other.onsager(&["store", "import", "run.onsager", "--accept-unsigned"]);
        assert_eq!(
            imported.stdout,
            format!("imported run {run} of `chain`: 3 tasks, 4 objects, 268 B; 7 new\n"),
            "{}",
            imported.stderr
        );
        let again = other.onsager(&["store", "import", "run.onsager", "--accept-unsigned"]);
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
    assert_eq!(
        other.onsager(&["store", "import", archive.to_str().expect("a path"), "--accept-unsigned"]).status,
        0
    );
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
        let ran = other.onsager(&["store", "import", "run.onsager", "--accept-unsigned"]);
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
fn the_table_that_an_instance_is_a_row_of_goes_with_it() {
    let text = "\
name: rows
params: {last: two}
stages:
  table:
    kind: command
    run: printf 'id\\none\\n${params.last}\\n' > ${outputs.rows}
    outputs: {rows: rows.csv}
  each:
    kind: command
    matrix: {row: {from: table.rows}}
    run: echo ${matrix.row.id} > ${outputs.o}
    outputs: {o: o.txt}
";
    let project = Project::new(text);
    assert_eq!(project.executed(&[]), ["table", "each[row=one]", "each[row=two]"]);
    // Also where the instance is an earlier run's, and the table another one.
    assert_eq!(project.executed(&["--set", "last=three"]), ["table", "each[row=three]"]);
    // And after a run in which nothing changed.
    assert!(project.executed(&["--set", "last=three"]).is_empty());
    let out = ["-o", "one.onsager", "--json"];
    let exported =
        project.onsager(&[&["store", "export", "rows", "--task", "each[row=one]"], &out[..]].concat());
    assert_eq!(json(&exported)["tasks"], 2, "{}", exported.stderr);
    let other = Project::new(text);
    let archive = project.path("one.onsager");
    assert_eq!(
        other.onsager(&["store", "import", archive.to_str().expect("a path"), "--accept-unsigned"]).status,
        0
    );
    assert_eq!(other.executed(&["--set", "last=three"]), ["each[row=three]"]);
}
