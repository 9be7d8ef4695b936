//! What is content: the executable bit, empty folders, names as bytes, links that lead nowhere; and what is not.

mod common;

use common::chain::{digest, json, object};
use common::{Project, last_line};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

const PROGRAM: &str = "\
name: program
stages:
  plain:
    kind: command
    run: printf '#!/bin/sh\\necho started\\n' > ${outputs.text}
    outputs: {text: plain.sh}
  made:
    kind: command
    inputs: {text: plain.text}
    run: cp ${inputs.text} ${outputs.program}; chmod MODE ${outputs.program}
    outputs: {program: program.sh}
  used:
    kind: command
    inputs: {program: made.program}
    run: ${inputs.program} > ${outputs.text}
    outputs: {text: used.txt}
";

fn mode(project: &Project, name: &str) -> u32 {
    fs::metadata(project.path(name)).expect("stat data").permissions().mode() & 0o111
}

#[test]
fn a_program_and_a_text_with_the_same_bytes_are_two_contents() {
    let project = Project::new(&PROGRAM.replace("MODE", "755"));
    assert_eq!(project.executed(&[]), ["plain", "made", "used"]);
    assert_eq!(project.read("artifacts/program/used/used.txt"), "started\n");
    assert_ne!(mode(&project, "artifacts/program/made/program.sh"), 0);
    assert_eq!(mode(&project, "artifacts/program/plain/plain.sh"), 0);
    // One object holds both, and is no program itself.
    let bytes = digest(&project, "plain", "text");
    assert_eq!(digest(&project, "made", "program"), bytes);
    let data = fs::metadata(object(&project, &bytes)).expect("the object");
    assert_eq!(data.permissions().mode() & 0o777, 0o444);
    // The bit alone is another content, for whoever reads it and for the view.
    let other = Project::new(&PROGRAM.replace("MODE", "644"));
    let ran = other.run(&[]);
    assert!(ran.stderr.contains("used failed"), "{}", ran.stderr);
    let explained = json(&project.onsager(&["explain", "pipeline.yaml", "used", "--json"])).to_string();
    assert!(explained.contains(&format!("{bytes} (executable)")), "{explained}");
    fs::set_permissions(project.path("artifacts/program/made/program.sh"), fs::Permissions::from_mode(0o644))
        .expect("changed");
    let ran = project.run(&[]);
    assert!(ran.stderr.contains("program.sh` from the store: it had been edited"), "{}", ran.stderr);
    assert_ne!(mode(&project, "artifacts/program/made/program.sh"), 0);
    let report = project.onsager(&["store", "verify"]);
    assert_eq!(report.status, 0, "{}", report.stdout);
    let rerun = project.onsager(&["store", "verify", "pipeline.yaml", "--rerun", "made"]);
    assert!(rerun.stdout.starts_with("made: same bytes"), "{}", rerun.stdout);
}

#[test]
fn the_executable_bit_of_an_input_file_is_part_of_it() {
    let project = Project::new(
        "\
name: script
stages:
  a:
    kind: command
    inputs: {script: {file: script.sh}}
    run: (test -x ${inputs.script} && echo yes || echo no) > ${outputs.text}
    outputs: {text: a.txt}
",
    );
    project.write("script.sh", "#!/bin/sh\n");
    for (mode, text) in [(0o644, "no\n"), (0o755, "yes\n")] {
        fs::set_permissions(project.path("script.sh"), fs::Permissions::from_mode(mode)).expect("changed");
        assert_eq!(project.executed(&[]), ["a"]);
        assert_eq!(project.read("artifacts/script/a/a.txt"), text);
    }
    fs::set_permissions(project.path("script.sh"), fs::Permissions::from_mode(0o600)).expect("changed");
    assert!(project.executed(&[]).is_empty(), "who may read it is no content");
}

#[test]
fn empty_folders_are_content() {
    let pipeline = |more: &str| {
        format!(
            "\
name: empty
stages:
  a:
    kind: command
    run: mkdir -p ${{outputs.d}}/logs/deep ${{outputs.d}}/data; echo 1 > ${{outputs.d}}/data/a{more}
    outputs: {{d: d/}}
  b:
    kind: command
    inputs: {{d: a.d}}
    run: (cd ${{inputs.d}}; find . | sort) > ${{outputs.text}}
    outputs: {{text: b.txt}}
"
        )
    };
    let project = Project::new(&pipeline(""));
    assert_eq!(project.executed(&[]), ["a", "b"]);
    assert_eq!(project.read("artifacts/empty/b/b.txt"), ".\n./data\n./data/a\n./logs\n./logs/deep\n");
    assert!(project.path("artifacts/empty/a/d/logs/deep").is_dir());
    project.write("pipeline.yaml", &pipeline("; rmdir ${outputs.d}/logs/deep"));
    assert_eq!(project.executed(&[]), ["a", "b"]);
    assert_eq!(project.read("artifacts/empty/b/b.txt"), ".\n./data\n./data/a\n./logs\n");
    project.write("pipeline.yaml", &pipeline("; rm -r ${outputs.d}/*"));
    assert_eq!(project.executed(&[]), ["a", "b"]);
    assert_eq!(project.read("artifacts/empty/b/b.txt"), ".\n");
    assert_eq!(project.onsager(&["store", "verify"]).status, 0);
}

#[test]
fn names_of_files_are_bytes() {
    let pipeline = |second: &str| {
        format!(
            "\
name: bytes
stages:
  a:
    kind: command
    run: mkdir ${{outputs.d}}; cd ${{outputs.d}}; echo 1 > \"$(printf 'a\\377')\"; echo 2 > \"$(printf '{second}')\"
    outputs: {{d: d/}}
  b:
    kind: command
    inputs: {{d: a.d}}
    run: cat ${{inputs.d}}/* > ${{outputs.text}}; ls ${{inputs.d}} | od -c | head -1 >> ${{outputs.text}}
    outputs: {{text: b.txt}}
"
        )
    };
    let project = Project::new(&pipeline("a\\376"));
    assert_eq!(project.executed(&[]), ["a", "b"]);
    assert_eq!(project.read("artifacts/bytes/b/b.txt"), "2\n1\n0000000   a 376  \\n   a 377  \\n\n");
    let path = project.path("artifacts/bytes/a/d").join(OsStr::from_bytes(b"a\xff"));
    assert_eq!(fs::read_to_string(path).expect("a file"), "1\n");
    // Another name is another content.
    project.write("pipeline.yaml", &pipeline("a\\375"));
    assert_eq!(project.executed(&[]), ["a", "b"]);
    assert!(project.executed(&[]).is_empty());
    assert_eq!(project.onsager(&["store", "verify"]).status, 0);
    // It goes through an archive.
    assert_eq!(project.onsager(&["store", "export", "bytes", "-o", "run.onsager"]).status, 0);
    let other = Project::new(&pipeline("a\\375"));
    let archive = project.path("run.onsager");
    assert_eq!(
        other.onsager(&["store", "import", archive.to_str().expect("text"), "--accept-unsigned"]).status,
        0
    );
    assert!(other.executed(&[]).is_empty());
    // A control character would spoil what is printed.
    project.write("pipeline.yaml", &pipeline("a\\001"));
    let ran = project.run(&[]);
    assert!(
        ran.stderr.contains("d/a\\u{1}` cannot be kept: it has a control character; rename it"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_project_path_that_is_not_utf8_works() {
    let outer = tempfile::tempdir().expect("a folder");
    let folder = outer.path().join(OsStr::from_bytes(b"pro\xffject"));
    fs::create_dir(&folder).expect("made");
    let pipeline = "\
name: odd
stages:
  a:
    kind: command
    inputs: {text: {file: in.txt}, folder: {file: data}}
    run: cat in.txt data/* > ${outputs.text}
    outputs: {text: a.txt}
  b:
    kind: command
    inputs: {text: a.text}
    run: cat ${inputs.text} ${inputs.text} > ${outputs.text}
    outputs: {text: b.txt}
";
    fs::write(folder.join("pipeline.yaml"), pipeline).expect("written");
    fs::write(folder.join("in.txt"), "x\n").expect("written");
    fs::create_dir(folder.join("data")).expect("made");
    fs::write(folder.join("data").join(OsStr::from_bytes(b"\xfe")), "y\n").expect("written");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onsager"));
        common::ran(command.args(arguments).current_dir(&folder).output().expect("it starts"))
    };
    let ran = run(&["run", "pipeline.yaml"]);
    assert_eq!(last_line(&ran.stdout), "2 tasks: 2 executed, 0 cached, 0 failed", "{}", ran.stderr);
    assert_eq!(fs::read_to_string(folder.join("artifacts/odd/b/b.txt")).expect("a file"), "x\ny\nx\ny\n");
    std::thread::sleep(std::time::Duration::from_millis(100));
    for _ in 0..2 {
        let ran = run(&["run", "pipeline.yaml"]);
        assert_eq!(last_line(&ran.stdout), "2 tasks: 0 executed, 2 cached, 0 failed", "{}", ran.stderr);
    }
    for arguments in [
        &["run", "pipeline.yaml", "--json"][..],
        &["log", "pipeline.yaml", "a", "--json"],
        &["store", "gc", "--json"],
        &["store", "verify", "--json"],
        &["status", "pipeline.yaml", "--json"],
        &["diff", "last~1", "last", "--json"],
    ] {
        let ran = run(arguments);
        assert_eq!(ran.status, 0, "{arguments:?} {}", ran.stderr);
        assert!(
            serde_json::from_str::<serde_json::Value>(&ran.stdout).is_ok(),
            "{arguments:?} {}",
            ran.stdout
        );
    }
    assert_eq!(run(&["store", "verify", "pipeline.yaml", "--rerun", "b"]).status, 0);
    // The graph is kept for the next invocation.
    assert_ne!(fs::read_dir(folder.join("artifacts/.onsager/graphs")).expect("a folder").count(), 0);
}

#[test]
fn a_link_that_leads_nowhere_is_its_text() {
    let project = Project::new(
        "\
name: links
stages:
  a:
    kind: command
    inputs: {data: {file: data}}
    run: ls data > ${outputs.text}
    outputs: {text: a.txt}
  b:
    kind: command
    inputs: {data: {file: data}}
    run: ls -a data > ${outputs.text}
    outputs: {text: b.txt}
",
    );
    project.write("data/file", "x\n");
    symlink("user@host.4711:1", project.path("data/broken")).expect("a link");
    symlink(".", project.path("data/self")).expect("a link");
    for command in ["plan", "status"] {
        let ran = project.onsager(&[command, "pipeline.yaml"]);
        assert_eq!(ran.status, 0, "{command}: {}", ran.stderr);
    }
    let ran = project.run(&[]);
    assert_eq!(last_line(&ran.stdout), "2 tasks: 2 executed, 0 cached, 0 failed", "{}", ran.stderr);
    let told = "data/broken` is a link that leads nowhere: its content is its text, `user@host.4711:1`";
    assert_eq!(ran.stderr.matches(told).count(), 1, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("data/self` is a link that leads nowhere").count(), 1, "{}", ran.stderr);
    assert!(project.executed(&[]).is_empty());
    fs::remove_file(project.path("data/broken")).expect("removed");
    symlink("user@host.4712:1", project.path("data/broken")).expect("a link");
    assert_eq!(project.executed(&[]), ["a", "b"]);
}

#[test]
fn a_link_in_an_output_must_lead_somewhere() {
    let pipeline = |target: &str| {
        format!(
            "\
name: links
stages:
  a:
    kind: command
    run: mkdir ${{outputs.d}}; echo x > ${{outputs.d}}/x; ln -s {target} ${{outputs.d}}/y
    outputs: {{d: d/}}
"
        )
    };
    let project = Project::new(&pipeline("x"));
    assert_eq!(project.executed(&[]), ["a"]);
    assert_eq!(project.read("artifacts/links/a/d/y"), "x\n");
    project.write("pipeline.yaml", &pipeline("z"));
    let ran = project.run(&[]);
    assert!(
        ran.stderr.contains("d/y` is a link to `z`, which leads nowhere: write the file itself"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_folder_is_no_file_and_a_file_no_folder() {
    let pipeline = |run: &str, file: &str| {
        format!("name: shape\nstages:\n  a: {{kind: command, run: '{run}', outputs: {{o: {file}}}}}\n")
    };
    let project = Project::new(&pipeline("mkdir ${outputs.o}; echo 1 > ${outputs.o}/a", "out"));
    let ran = project.run(&[]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.contains(
            "output `o` (`out`) is declared as a file and is a folder\n  help: declare it as `o: out/`\n"
        ),
        "{}",
        ran.stderr
    );
    project.write("pipeline.yaml", &pipeline("echo 1 > ${outputs.o}", "out/"));
    let ran = project.run(&[]);
    assert!(
        ran.stderr.contains(
            "output `o` (`out/`) is declared as a folder and is a file\n  help: declare it as `o: out`\n"
        ),
        "{}",
        ran.stderr
    );
    project.write("pipeline.yaml", &pipeline("mkdir ${outputs.o}; echo 1 > ${outputs.o}/a", "out/"));
    assert_eq!(project.executed(&[]), ["a"]);
}

#[test]
fn what_is_sparse_stays_sparse() {
    let project = Project::new(
        "\
name: sparse
stages:
  a:
    kind: command
    run: mkdir ${outputs.d}; cp --sparse=always big.bin ${outputs.d}/big; cp --sparse=always big.bin ${outputs.big}
    outputs: {big: big.bin, d: d/}
  b:
    kind: command
    inputs: {d: a.d}
    run: du -k ${inputs.d}/big | cut -f1 > ${outputs.text}
    outputs: {text: b.txt}
",
    );
    let mut big = File::create(project.path("big.bin")).expect("a file");
    big.seek(SeekFrom::Start(10 << 20)).expect("moved");
    big.write_all(b"end").expect("written");
    big.set_len(20 << 20).expect("longer");
    assert_eq!(project.executed(&[]), ["a", "b"]);
    for copy in ["a/big.bin", "a/d/big"] {
        let data = fs::metadata(project.path(&format!("artifacts/sparse/{copy}"))).expect("stat data");
        assert_eq!(data.len(), 20 << 20);
        assert!(data.blocks() < 512, "{copy} takes {} blocks", data.blocks());
    }
    assert!(project.read("artifacts/sparse/b/b.txt").trim().parse::<u64>().expect("a number") < 256);
}
