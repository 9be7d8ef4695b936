//! What a stage is given besides artifacts: patterns of files, folders without what is ignored, files from elsewhere.

mod common;

use common::Project;
use std::fs;
use std::net::TcpListener;
use std::sync::atomic::Ordering;

const GLOB: &str = "\
name: patterns
stages:
  join:
    kind: command
    inputs: {tables: {glob: 'data/**/*.csv', exclude: [old, data/new/skip.csv]}}
    run: cat ${inputs.tables} > ${outputs.o}; printf '%s' \"$ONSAGER_INPUTS\" | grep -o '\"name\":\"[^\"]*\"' >> ${outputs.o}
    outputs: {o: o.txt}
    shell: bash
";

#[test]
fn a_pattern_gives_the_files_that_it_finds() {
    let project = Project::new(GLOB);
    for (file, text) in [
        ("a b.csv", "1\n"),
        ("new/b.csv", "2\n"),
        ("new/skip.csv", "3\n"),
        ("old/c.csv", "4\n"),
        ("d.txt", "5\n"),
    ] {
        project.write(&format!("data/{file}"), text);
    }
    assert_eq!(project.executed(&[]), ["join"]);
    let names = "\"name\":\"data/a b.csv\"\n\"name\":\"data/new/b.csv\"\n";
    assert_eq!(project.read("artifacts/patterns/join/o.txt"), format!("1\n2\n{names}"));
    assert!(project.executed(&[]).is_empty());
    // What it does not find changes nothing; what it finds does, and is named.
    project.write("data/d.txt", "6\n");
    project.write("data/old/e.csv", "6\n");
    assert!(project.run(&[]).stdout.contains("0 executed, 1 cached"));
    project.write("data/new/f.csv", "7\n");
    project.write("data/a b.csv", "8\n");
    let plan = project.onsager(&["plan", "pipeline.yaml"]).stdout;
    assert!(plan.contains("inputs.tables[0]/a b.csv: "), "{plan}");
    assert!(plan.contains("inputs.tables[0]/new/f.csv: (none) → "), "{plan}");
    assert!(!plan.contains("new/b.csv"), "{plan}");
    let explained = project.onsager(&["explain", "pipeline.yaml", "join"]).stdout;
    assert!(explained.contains("inputs.tables[0]/new/f.csv: (none) → "), "{explained}");
    assert_eq!(project.executed(&[]), ["join"]);
    assert!(project.read("artifacts/patterns/join/o.txt").starts_with("8\n2\n7\n"));
    let diff = project.onsager(&["diff"]).stdout;
    assert!(diff.contains("inputs.tables[0]/a b.csv: "), "{diff}");
    fs::remove_file(project.path("data/new/f.csv")).unwrap();
    assert_eq!(project.executed(&[]), ["join"]);
    fs::remove_dir_all(project.path("data")).unwrap();
    project.write("data/x.txt", "");
    let none = project.run(&[]);
    assert_eq!(none.status, 2);
    assert!(none.stderr.contains("no file matches `data/**/*.csv`"), "{}", none.stderr);
    assert!(none.stderr.contains("pipeline.yaml:5:29"), "{}", none.stderr);
}

#[test]
fn a_pattern_over_the_project_does_not_find_what_it_makes() {
    let project = Project::new(
        "\
name: whole
stages:
  s:
    kind: command
    inputs: {all: {glob: '**/*.csv'}, root: {file: ., exclude: [artifacts, '*.yaml']}}
    run: cat ${inputs.all} ${inputs.root}/a.csv > ${outputs.o}
    outputs: {o: o.csv}
",
    );
    project.write("a.csv", "1\n");
    assert_eq!(project.executed(&[]), ["s"]);
    assert!(project.executed(&[]).is_empty());
    assert_eq!(project.read("artifacts/whole/s/o.csv"), "1\n1\n");
}

#[test]
fn a_folder_is_taken_without_what_programs_leave_in_it() {
    let project = Project::new(
        "\
name: folder
stages:
  s:
    kind: command
    inputs: {code: {file: code, exclude: ['*.log', 'data/*', '!data/keep', '!.git']}}
    run: cat ${inputs.code}/main.py > ${outputs.o}; mkdir -p code/__pycache__; date > code/__pycache__/main.pyc
    outputs: {o: o.txt}
",
    );
    project.write("code/main.py", "print()\n");
    project.write("code/data/keep", "1\n");
    // It writes into its own input, where that is ignored: no change, also for the next run.
    assert_eq!(project.executed(&[]), ["s"]);
    assert!(project.executed(&[]).is_empty());
    for ignored in [
        "main.py~",
        ".main.py.swp",
        ".#main.py",
        "lib/__pycache__/x",
        "a.log",
        "deep/b.log",
        "data/x",
        ".DS_Store",
    ] {
        project.write(&format!("code/{ignored}"), "x");
    }
    // A new folder is content; what is in it is not.
    project.executed(&[]);
    for ignored in ["main.py~", "lib/__pycache__/y", "deep/c.log", "data/y"] {
        project.write(&format!("code/{ignored}"), "y");
    }
    assert!(project.run(&[]).stdout.contains("0 executed, 1 cached"));
    for (taken, text) in [("data/keep", "2\n"), (".git/HEAD", "x"), ("main.py", "x\n"), ("new.py", "")] {
        project.write(&format!("code/{taken}"), text);
        let plan = project.onsager(&["plan", "pipeline.yaml"]).stdout;
        assert!(plan.contains(&format!("inputs.code[0]/{taken}: ")), "{plan}");
        assert_eq!(project.executed(&[]), ["s"], "{taken}");
    }
}

#[test]
fn wrong_inputs_are_told_with_line_and_column() {
    let digest = "0".repeat(64);
    for (input, message, at) in [
        ("{glob: 'no/*.x'}", "no file matches `no/*.x`", "'no/*.x'"),
        ("{glob: 3}", "`glob` must be text", "3}"),
        ("{file: pipeline.yaml, glob: x}", "input `a` has two sources", "glob"),
        ("{exclude: x}", "input `a` is empty", "{exclude"),
        (
            "{file: pipeline.yaml, exclude: x}",
            "is a file, from which nothing can be excluded",
            "pipeline.yaml",
        ),
        ("{file: ., exclude: 3}", "`exclude` must be patterns", "3}"),
        ("{file: ., sha256: x}", "`sha256` is for `url`", "sha256"),
        ("{url: 'https://x/y'}", "comes from elsewhere and has no digest", "'https"),
        (&format!("{{url: 'ftp://x/y', sha256: '{digest}'}}"), "`ftp://x/y` is no address", "'ftp"),
        ("{url: 'http://x/y', sha256: abc}", "`abc` is no SHA-256", "abc"),
        (
            &format!("{{url: 'http://x/y', sha256: '{digest}', exclude: x}}"),
            "`exclude` is for folders",
            "exclude",
        ),
        ("{glob: 'artifacts/x/*'}", "is what this pipeline's own stages write", "'artifacts"),
        ("{fiel: x}", "unknown field `fiel`", "fiel"),
    ] {
        let text = format!(
            "name: x\nstages:\n  s:\n    kind: command\n    inputs: {{a: {input}}}\n    run: x\n    outputs: {{o: o}}\n"
        );
        let told = Project::new(&text).onsager(&["plan", "pipeline.yaml"]).stderr;
        let column = text.lines().nth(4).and_then(|line| line.find(at)).expect("it is there") + 1;
        assert!(told.contains(message), "{input}: {told}");
        assert!(told.contains(&format!("pipeline.yaml:5:{column}\n")), "{input}: {column} {told}");
        assert!(told.contains("= help: "), "{input}: {told}");
    }
}

#[test]
fn a_file_from_elsewhere_is_fetched_once() {
    let (port, asked) = common::web::answering("hello\n");
    // Of `hello` and the end of the line.
    let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    let text = format!(
        "\
name: remote
params: {{n: 1}}
stages:
  s:
    kind: command
    matrix: {{i: [1, 2, 3]}}
    inputs: {{data: {{url: 'http://127.0.0.1:{port}/sub/the data.txt?x=1', sha256: {sha256}}}}}
    run: echo ${{params.n}} ${{matrix.i}} $(basename ${{inputs.data}}) > ${{outputs.o}}; cat ${{inputs.data}} >> ${{outputs.o}}
    outputs: {{o: o.txt}}
"
    )
    .replace("the data", "the-data");
    let project = Project::new(&text);
    assert_eq!(project.executed(&["--jobs", "3"]).len(), 3);
    assert_eq!(project.read("artifacts/remote/s/i=2/o.txt"), "1 2 the-data.txt\nhello\n");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(project.executed(&["--set", "n=2"]).len(), 3);
    assert!(project.executed(&["--set", "n=2"]).is_empty());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // Another address of the same file is the same input.
    project.write("pipeline.yaml", &text.replace("/sub/", "/"));
    assert!(project.executed(&["--set", "n=2"]).is_empty());
    // A copy that was tampered with is fetched again.
    let copy = project.path(&format!("artifacts/.onsager/remote/{sha256}/the-data.txt"));
    fs::remove_file(&copy).unwrap();
    fs::write(&copy, "other").unwrap();
    assert_eq!(project.executed(&["--set", "n=3"]).len(), 3);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // Another content than the pipeline says is an error, and so is a server that is not there.
    project.write("pipeline.yaml", &text.replace(sha256, &"0".repeat(64)));
    let wrong = project.run(&[]);
    assert_eq!(wrong.status, 1);
    assert!(wrong.stderr.contains(&format!("has the SHA-256 {sha256}, not 0000")), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("correct `sha256`"), "{}", wrong.stderr);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    project.write(
        "pipeline.yaml",
        &text.replace(&port.to_string(), &closed.to_string()).replace(sha256, &"a".repeat(64)),
    );
    let gone = project.run(&[]);
    assert_eq!(gone.status, 1);
    assert!(gone.stderr.contains("cannot fetch `http://127.0.0.1:"), "{}", gone.stderr);
}
