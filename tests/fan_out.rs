//! Stages that fan out over the files of a folder, or the rows of a table, that another stage makes.

mod common;

use common::{Project, last_line, names};
use std::fs;
use std::time::{Duration, Instant};

const FAN: &str = "\
name: fan
stages:
  split:
    kind: command
    inputs: {words: {file: words.txt}}
    run: |
      mkdir -p ${outputs.parts}
      while read name word; do mkdir -p \"${outputs.parts}/$(dirname $name)\"; echo $word > \"${outputs.parts}/$name\"; done < ${inputs.words}
    outputs: {parts: parts/}
  upper:
    kind: command
    matrix: {part: {from: split.parts}}
    inputs: {part: 'split.parts/${matrix.part}'}
    run: tr a-z A-Z < ${inputs.part} > ${outputs.text}
    outputs: {text: upper.txt}
  twice:
    kind: command
    matrix: {part: {from: split.parts}}
    inputs: {text: 'upper[matching]'}
    run: cat ${inputs.text} ${inputs.text} > ${outputs.text}
    outputs: {text: twice.txt}
  join:
    kind: command
    inputs: {texts: upper}
    run: cat ${inputs.texts} > ${outputs.text}
    outputs: {text: all.txt}
";

fn fan(words: &str) -> Project {
    let project = Project::new(FAN);
    project.write("words.txt", words);
    project
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[test]
fn one_instance_for_each_file() {
    let project = fan("one mot\ntwo parole\ndeep/three wort\n");
    let plan = project.onsager(&["plan", "pipeline.yaml"]).stdout;
    assert!(plan.contains("upper[part=*]: one for each of split.parts, once that is made\n"), "{plan}");
    assert!(
        plan.contains("4 tasks: 1 to execute, 1 if what they need changes, 0 cached, 2 to fan out\n"),
        "{plan}"
    );
    let (document, status) = project.run_json(&[]);
    assert_eq!(status, 0, "{document:#}");
    let executed = names(&document["tasks"]["executed"]);
    let expected = [
        "split",
        "upper[part=deep%2Fthree]",
        "upper[part=one]",
        "upper[part=two]",
        "join",
        "twice[part=deep%2Fthree]",
        "twice[part=one]",
        "twice[part=two]",
    ];
    assert_eq!(sorted(executed), sorted(expected.map(str::to_owned).to_vec()));
    assert_eq!(project.read("artifacts/fan/join/all.txt"), "WORT\nMOT\nPAROLE\n");
    assert_eq!(project.read("artifacts/fan/twice/part=deep%2Fthree/twice.txt"), "WORT\nWORT\n");
    let again = project.run(&[]);
    assert_eq!(last_line(&again.stdout), "8 tasks: 0 executed, 8 cached, 0 failed");
    let plan = project.onsager(&["plan", "pipeline.yaml"]).stdout;
    assert_eq!(plan, "8 tasks: 0 to execute, 0 if what they need changes, 8 cached\n");
    let status = project.onsager(&["status", "pipeline.yaml"]).stdout;
    assert!(status.contains("done     twice[part=one]"), "{status}");
}

#[test]
fn a_changed_a_new_and_a_removed_file_touch_their_instance_and_what_depends_on_it() {
    let project = fan("one mot\ntwo parole\n");
    assert_eq!(project.executed(&[]).len(), 6);
    project.write("words.txt", "one mot\ntwo changed\n");
    let plan = project.onsager(&["plan", "pipeline.yaml"]).stdout;
    assert!(plan.contains("upper[part=*]: one for each of split.parts"), "{plan}");
    let expected = ["split", "upper[part=two]", "twice[part=two]", "join"].map(str::to_owned);
    assert_eq!(sorted(project.executed(&[])), sorted(expected.to_vec()));
    project.write("words.txt", "one mot\ntwo changed\nthree new\n");
    let expected = ["split", "upper[part=three]", "twice[part=three]", "join"].map(str::to_owned);
    assert_eq!(sorted(project.executed(&[])), sorted(expected.to_vec()));
    project.write("words.txt", "two changed\nthree new\n");
    assert_eq!(project.executed(&[]), ["split", "join"]);
    assert_eq!(project.read("artifacts/fan/join/all.txt"), "NEW\nCHANGED\n");
    for gone in ["upper/part=one", "twice/part=one"] {
        assert!(!project.path(&format!("artifacts/fan/{gone}")).exists(), "{gone}");
    }
    let (document, _) = project.run_json(&[]);
    assert_eq!(names(&document["tasks"]["cached"]).len(), 6);
    let diff = project.onsager(&["diff"]);
    assert_eq!(diff.status, 0, "{}", diff.stderr);
}

#[test]
fn a_thousand_files_and_a_kill_in_the_middle() {
    let words: String = (0..1000).map(|at| format!("part-{at:04} word{at}\n")).collect();
    let pipeline = FAN.replace("  twice:\n", "  # twice:\n").replace("[matching]", "[part=part-0007]");
    let pipeline = pipeline.split("  # twice:").next().expect("a beginning").to_owned()
        + "  join:\n    kind: command\n    inputs: {texts: upper}\n    run: cat ${inputs.texts} > ${outputs.text}\n    outputs: {text: all.txt}\n";
    let (_, copy) = pipeline.split_once("      while ").expect("a loop");
    let copy = copy.lines().next().expect("a line");
    // Quicker than one program for each line.
    let awk = "awk '{print $2 > (dir \"/\" $1)}' dir=${outputs.parts} ${inputs.words}";
    let project = Project::new(&pipeline.replace(&format!("while {copy}"), awk));
    project.write("words.txt", &words);
    let mut child = project.spawn(&[]);
    let done = || fs::read_dir(project.path("artifacts/fan/upper")).map_or(0, |entries| entries.count());
    let deadline = Instant::now() + Duration::from_secs(120);
    while done() < 100 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let group = rustix::process::Pid::from_raw(child.id() as i32).expect("a process");
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).expect("killed");
    child.wait().expect("it ends");
    let before = done();
    assert!(before >= 100, "{before}");
    let (document, status) = project.run_json(&[]);
    assert_eq!(status, 0);
    let executed = names(&document["tasks"]["executed"]);
    // The split and what was done before the kill stay; at most the last few records were not shown yet.
    assert!(!executed.contains(&"split".to_owned()));
    assert!(executed.len() <= 1001 - before + 8, "{} of {before}", executed.len());
    let (document, _) = project.run_json(&[]);
    assert_eq!(names(&document["tasks"]["cached"]).len(), 1002);

    project.write("words.txt", &words.replace("word500\n", "changed\n"));
    assert_eq!(project.executed(&[]), ["split", "upper[part=part-0500]", "join"]);
    project.write("words.txt", &(words.replace("word500\n", "changed\n") + "part-1000 new\n"));
    assert_eq!(project.executed(&[]), ["split", "upper[part=part-1000]", "join"]);
    project.write("words.txt", &words.replace("word500\n", "changed\n"));
    // The result without the new part is known.
    assert_eq!(project.executed(&[]), [""; 0]);
    assert!(!project.path("artifacts/fan/upper/part=part-1000").exists());
    let unchanged = project.run(&[]);
    assert_eq!(last_line(&unchanged.stdout), "1002 tasks: 0 executed, 1002 cached, 0 failed");
}

const ROWS: &str = "\
name: rows
params: {file: design.csv}
stages:
  design:
    kind: command
    inputs: {design: {file: '${params.file}'}}
    run: cp ${inputs.design} ${outputs.table}
    outputs: {table: table.csv}
  fit:
    kind: command
    matrix: {case: {from: design.table}, seed: [1, 2]}
    run: echo ${matrix.case.alpha} ${matrix.case.beta} ${matrix.seed} > ${outputs.text}
    outputs: {text: fit.txt}
  best:
    kind: command
    matrix: {seed: [1, 2]}
    inputs: {fits: 'fit[matching]', first: 'fit[case=a,matching]'}
    run: cat ${inputs.fits} ${inputs.first} > ${outputs.text}
    outputs: {text: best.txt}
";

#[test]
fn one_instance_for_each_row_beside_static_axes() {
    let project = Project::new(ROWS);
    project.write("design.csv", "id,alpha,beta\na,0.1,x\nb,0.2,y z\n");
    assert_eq!(project.executed(&[]).len(), 1 + 4 + 2);
    assert_eq!(project.read("artifacts/rows/best/seed=2/best.txt"), "0.1 x 2\n0.2 y z 2\n0.1 x 2\n");
    project.write("design.csv", "id,alpha,beta\na,0.1,x\nb,0.3,y z\n");
    let executed = sorted(project.executed(&[]));
    let expected = ["best[seed=1]", "best[seed=2]", "design", "fit[case=b,seed=1]", "fit[case=b,seed=2]"];
    assert_eq!(executed, expected);
    // The same rows as JSON and as JSON Lines.
    project.write(
        "design.json",
        r#"[{"id": "a", "alpha": 0.1, "beta": "x"}, {"id": "b", "alpha": 0.3, "beta": "y z"}]"#,
    );
    assert_eq!(project.executed(&["--set", "file=design.json"]), ["design"]);
    project.write("design.jsonl", "{\"id\": \"a\", \"alpha\": 0.1, \"beta\": \"x\"}\n{\"id\": \"b\", \"alpha\": 0.3, \"beta\": \"y z\"}\n");
    assert_eq!(project.executed(&["--set", "file=design.jsonl"]), ["design"]);
}

#[test]
fn a_fan_out_over_what_a_fan_out_makes() {
    let pipeline = FAN.replace(
        "  twice:\n",
        "  letters:\n    kind: command\n    matrix: {part: {from: split.parts}}\n    inputs: {text: 'upper[matching]'}\n    \
         run: 'mkdir ${outputs.letters}; for c in $(fold -w1 ${inputs.text}); do echo $c > ${outputs.letters}/$c; done'\n    \
         outputs: {letters: letters/}\n  \
         letter:\n    kind: command\n    matrix: {part: {from: split.parts}, c: {from: 'letters[matching].letters'}}\n    \
         inputs: {c: 'letters[matching].letters/${matrix.c}'}\n    run: cat ${inputs.c} ${inputs.c} > ${outputs.text}\n    \
         outputs: {text: letter.txt}\n  twice:\n",
    );
    let project = Project::new(&pipeline);
    project.write("words.txt", "one ab\ntwo xyz\n");
    let executed = project.executed(&[]);
    assert!(executed.contains(&"letter[part=two,c=Z]".to_owned()), "{executed:?}");
    assert_eq!(executed.len(), 1 + 2 + 2 + 5 + 2 + 1);
    assert_eq!(project.read("artifacts/fan/letter/part=one,c=B/letter.txt"), "B\nB\n");
    project.write("words.txt", "one ab\ntwo xy\n");
    let expected = ["join", "letters[part=two]", "split", "twice[part=two]", "upper[part=two]"];
    assert_eq!(sorted(project.executed(&[])), expected);
    assert_eq!(project.executed(&[]), [""; 0]);
}

#[test]
fn nothing_to_fan_out_over_leaves_out_what_reads_it() {
    let project = fan("");
    let ran = project.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "2 tasks: 1 executed, 0 cached, 0 failed, 1 skipped");
    assert!(
        ran.stderr.contains("join: skipped, for nothing is there of its input `texts`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn one_instance_can_be_asked_for_by_name() {
    let project = fan("one mot\ntwo parole\n");
    assert_eq!(
        sorted(project.executed(&["twice[part=two]"])),
        ["split", "twice[part=two]", "upper[part=two]"]
    );
    let explained = project.onsager(&["explain", "pipeline.yaml", "upper[part=two]"]).stdout;
    assert!(explained.contains("inputs.part[0].name = split.parts/two\n"), "{explained}");
    let rerun = project.onsager(&["store", "verify", "pipeline.yaml", "--rerun", "upper[part=two]"]);
    assert_eq!(rerun.status, 0, "{}{}", rerun.stdout, rerun.stderr);
    let ran = project.run(&["twice[part=three]"]);
    assert_eq!(ran.status, 1, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("`twice[part=three]` matches no instance of stage `twice`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn odd_names_have_safe_folders() {
    let project = Project::new(
        "name: odd\nstages:\n  make:\n    kind: command\n    run: |\n      mkdir ${outputs.d}\n      cd ${outputs.d}\n      \
         for name in 'a b' '[x]' 'c=d,e' '$HOME' '.h' \"it's\" 'ü'; do echo \"$name\" > \"$name\"; done\n    outputs: {d: d/}\n  \
         read:\n    kind: command\n    matrix: {f: {from: make.d}}\n    inputs: {f: 'make.d/${matrix.f}'}\n    \
         run: cat ${inputs.f} > ${outputs.text}\n    outputs: {text: text.txt}\n",
    );
    assert_eq!(project.executed(&[]).len(), 8);
    assert_eq!(project.read("artifacts/odd/read/f=c%3Dd%2Ce/text.txt"), "c=d,e\n");
    assert_eq!(project.read("artifacts/odd/read/f=%2Eh/text.txt"), ".h\n");
    assert_eq!(project.executed(&[]), [""; 0]);
}

#[test]
fn a_source_that_fails_leaves_the_rest_untried() {
    let project = fan("one mot\n");
    project.write("pipeline.yaml", &FAN.replace("      mkdir -p ${outputs.parts}\n", "      exit 3\n"));
    let ran = project.run(&[]);
    assert_eq!(ran.status, 1);
    assert!(last_line(&ran.stdout).starts_with("4 tasks: 0 executed, 0 cached, 1 failed"), "{}", ran.stdout);
}

#[test]
fn rows_that_cannot_be_told_apart_fail_what_fans_out() {
    let project = Project::new(ROWS);
    project.write("design.csv", "id,alpha,beta\na,0.1,x\na,0.2,y\n");
    let ran = project.run(&[]);
    assert_eq!(ran.status, 1);
    let message = "`design.table` cannot be fanned out over: two items are called `a`";
    assert!(ran.stderr.contains(message), "{}", ran.stderr);
    assert!(ran.stderr.contains("--> pipeline.yaml:11:27\n"), "{}", ran.stderr);
    project.write(
        "pipeline.yaml",
        &ROWS
            .replace("{from: design.table}", "{from: design.table, name: alpha}")
            .replace("case=a", "case=0.1"),
    );
    assert_eq!(project.run(&[]).status, 0);
    assert!(project.path("artifacts/rows/fit/case=0.2,seed=1/fit.txt").exists());
}

#[test]
fn a_sweep_fans_out_at_each_of_its_points() {
    let project = fan("one mot\ntwo parole\n");
    project.write(
        "pipelines/fan.yaml",
        &FAN.replace("stages:", "params: {suffix: a}\nstages:")
            .replace("echo $word", "echo $word-${params.suffix}"),
    );
    project.write(
        "experiments/sweep.yaml",
        "name: sweep\npipeline: pipelines/fan.yaml\nsweep: {grid: {suffix: [a, b]}}\n",
    );
    project.write("words.txt", "one mot\ntwo parole\n");
    let ran = project.onsager(&["run", "experiments/sweep.yaml"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "12 tasks: 12 executed, 0 cached, 0 failed");
    assert_eq!(project.read("artifacts/sweep/suffix=b/join/all.txt"), "MOT-B\nPAROLE-B\n");
    let again = project.onsager(&["run", "experiments/sweep.yaml"]);
    assert_eq!(last_line(&again.stdout), "12 tasks: 0 executed, 12 cached, 0 failed");
}

#[test]
fn wrong_uses_are_told_with_their_place() {
    let told = |axis: &str, place: &str, message: &str| {
        let project = fan("");
        project.write("pipeline.yaml", &FAN.replacen("{part: {from: split.parts}}", axis, 1));
        let ran = project.onsager(&["plan", "pipeline.yaml"]);
        assert_eq!(ran.status, 2, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("--> pipeline.yaml:{place}\n")), "{}", ran.stderr);
    };
    told("{part: {from: splt.parts}}", "12:27", "did you mean `split`?");
    told("{part: {from: split.part}}", "12:27", "stage `split` has no output `part`");
    told("{part: {from: split.parts/x}}", "12:27", "an axis is over a whole output, not over `x` in it");
    told("{part: {from: split.parts, nme: x}}", "12:40", "unknown field `nme`");
    told("{part: {name: x}}", "12:20", "must be a list, or say `from` which output");
    told("{part: {from: 'split[n=1].parts'}}", "12:27", "stage `split` has no axis `n`");
    told("{part: {from: join.text}}", "12:13", "cycle: ");
    told("{zip: {part: {from: split.parts}}}", "12:20", "cannot be zipped");
    told(
        "{part: {from: split.parts}, include: [{part: x}]}",
        "12:41",
        "`include` does not go with the axis `part`",
    );
    told("{part: {from: split.parts}, exclude: [{prt: x}]}", "12:52", "the matrix has no axis `prt`");
}
