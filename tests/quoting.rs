//! Text in the scripts of `command` stages: paths and values in every kind of quotes, and the shells they are given to.

mod common;

use common::{Project, ran};
use std::fs;
use std::process::Command;

/// Every ASCII sign that a file's name can have, blanks and a letter beyond ASCII.
const AWKWARD: &str = " !\"#$%&'()*+,-.:;<=>?@[\\]^_`{|}~ ü";

const PATHS: &str = r#"
name: paths
stages:
  make:
    kind: command
    run: mkdir -p ${outputs.folder}; echo data > "${outputs.folder}/a b"
    outputs: {folder: 'an output/'}
  read:
    kind: command
    inputs: {made: make, given: {file: 'it''s "given" $1.txt'}}
    run: |
      cat "${inputs.made}/a b" > ${outputs.plain}
      cat ${inputs.made}/* > "${outputs.double}"
      cat ${inputs.given} > '${outputs.single}'
      cat > list <<END
      ${inputs.made}
      END
      cat >> list <<'END'
      ${outputs.here}
      END
      x="$(cat "${inputs.given}")"; y=`cat "${inputs.given}"`
      echo "$x $y" > ${outputs.here}
      while read -r line; do test -e "$line"; done < list
      rm list
    outputs: {plain: plain.txt, double: double.txt, single: 'single file.txt', here: here.txt}
"#;

#[test]
fn a_project_in_any_folder_quotes_paths_as_it_likes() {
    for shell in ["sh", "bash"] {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join(AWKWARD);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("it's \"given\" $1.txt"), "given\n").unwrap();
        let text = PATHS.replace("    run: |", &format!("    shell: {shell}\n    run: |"));
        fs::write(folder.join("pipeline.yaml"), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_onsager"));
        let done = ran(command.args(["run", "pipeline.yaml"]).current_dir(&folder).output().unwrap());
        assert_eq!(done.status, 0, "{}", done.stderr);
        for (file, text) in [
            ("plain.txt", "data\n"),
            ("double.txt", "data\n"),
            ("single file.txt", "given\n"),
            ("here.txt", "given given\n"),
        ] {
            assert_eq!(fs::read_to_string(folder.join("artifacts/paths/read").join(file)).unwrap(), text);
        }
    }
}

const VALUES: &str = r#"
name: values
params: {text: plain, list: [a b, "c'd", $HOME, 2], shell: 'echo shell; echo $HOME | wc -l'}
stages:
  say:
    kind: command
    run: |
      printf '<%s>' ${params.text} "${params.text}" '${params.text}' > ${outputs.text}
      cat >> ${outputs.text} <<END
      ${params.text}
      END
      printf '<%s>' ${params.list} "${params.list}" > ${outputs.list}
      ( ${raw:params.shell} ) > ${outputs.raw}
    outputs: {text: text.txt, list: list.txt, raw: raw.txt}
"#;

#[test]
fn values_are_quoted_lists_are_words_and_raw_text_is_shell() {
    let project = Project::new(VALUES);
    let punctuation: String = (b' '..=b'~').map(char::from).filter(|c| !c.is_ascii_alphanumeric()).collect();
    for text in ["; touch evil", "$(touch evil)", "it's", punctuation.as_str()] {
        let given = format!("text={}", serde_json::Value::from(text));
        project.executed(&["--set", &given]);
        let written = project.read("artifacts/values/say/text.txt");
        assert_eq!(written, format!("<{text}><{text}><{text}>{text}\n"));
        assert!(!project.path("evil").exists());
    }
    assert_eq!(project.read("artifacts/values/say/list.txt"), "<a b><c'd><$HOME><2><a b c'd $HOME 2>");
    assert_eq!(project.read("artifacts/values/say/raw.txt"), "shell\n1\n");
}

/// The message, the place and the advice of the only error in a pipeline.
fn refused(text: &str) -> String {
    let ran = Project::new(text).onsager(&["plan", "pipeline.yaml"]);
    assert_eq!(ran.status, 2, "{}", ran.stdout);
    ran.stderr
}

fn stage(fields: &str) -> String {
    format!(
        "name: x\nparams: {{text: a b, shell: 'a | b', n: 2}}\nstages:\n  s:\n    kind: command\n    outputs: {{o: o.txt}}\n{fields}"
    )
}

#[test]
fn wrong_uses_are_told_with_line_and_column() {
    for (fields, message, place, help) in [
        (
            "    run: ${params.shell}\n",
            "is one word, which would be the name of a program",
            "pipeline.yaml:7:10",
            "${raw:params.shell}",
        ),
        (
            "    run: echo $((${params.text})) > ${outputs.o}\n",
            "`a b` is no whole number",
            "pipeline.yaml:7:18",
            "x=${…}",
        ),
        (
            "    run: echo ${raw:inputs.a} > ${outputs.o}\n",
            "`${inputs.a}` names no input",
            "pipeline.yaml:7:10",
            "inputs",
        ),
        (
            "    run: cp ${raw:outputs.o} x\n",
            "is a path, which is always quoted",
            "pipeline.yaml:7:13",
            "`${outputs.o}`",
        ),
        (
            "    run: echo > ${outputs.o}\n    env: {A: '${raw:params.text}'}\n",
            "cannot be used here",
            "pipeline.yaml:8:15",
            "${params.text}",
        ),
        (
            "    run: echo > ${outputs.o}\n    shell: fish\n",
            "there is no shell `fish`",
            "pipeline.yaml:8:12",
            "[fish, -c]",
        ),
        (
            "    run: echo > ${outputs.o}\n    shell: 3\n",
            "`shell` must be the name of a shell",
            "pipeline.yaml:8:12",
            "[python3, -c]",
        ),
        (
            "    run: echo > ${outputs.o}\n    shell: []\n",
            "`shell` must be the name of a shell",
            "pipeline.yaml:8:12",
            "[python3, -c]",
        ),
        (
            "    run: print('${params.shell}')\n    shell: [python3, -c]\n",
            "may mean something to `python3`",
            "pipeline.yaml:7:17",
            "env: {NAME",
        ),
        (
            "    run: echo > ${outputs.o}\n    env: {'A=B': '1'}\n",
            "`A=B` cannot be the name of an environment variable",
            "pipeline.yaml:8:11",
            "`=`",
        ),
        (
            "    run: echo > ${outputs.o}\n    env: {'': '1'}\n",
            "`` cannot be the name of an environment variable",
            "pipeline.yaml:8:11",
            "`=`",
        ),
        (
            "    run: echo > ${outputs.o}\n    env: {A: \"a\\0b\"}\n",
            "the value of `env.A` has a NUL character",
            "pipeline.yaml:8:14",
            "NUL",
        ),
        (
            "    run: echo ${env.ONSAGER_NO_SUCH} > ${outputs.o}\n",
            "is not set in the environment",
            "pipeline.yaml:7:15",
            "export ONSAGER_NO_SUCH",
        ),
        (
            "    run: echo > ${outputs.o}\n    after: s.o\n",
            "`after` waits for stages, not for an output",
            "pipeline.yaml:8:12",
            "`s`",
        ),
        (
            "    run: echo > ${outputs.o}\n    after: t\n",
            "there is no stage `t`",
            "pipeline.yaml:8:12",
            "`s`",
        ),
        (
            "    run: echo > ${outputs.o}\n    after: [3]\n",
            "`after` must name stages",
            "pipeline.yaml:8:13",
            "after: stage",
        ),
        (
            "    run: echo > ${outputs.o}\n    after: s\n",
            "cycle: `s` is after `s`",
            "pipeline.yaml:8:12",
            "remove one of these",
        ),
    ] {
        let told = refused(&stage(fields));
        for part in [message, place, help] {
            assert!(told.contains(part), "{part}\n{told}");
        }
        assert!(told.ends_with("1 error in pipeline.yaml\n"), "{told}");
    }
}

#[test]
fn bash_stops_where_a_part_of_a_pipe_fails_and_plan_warns_of_sh() {
    let pipe = |shell: &str| {
        format!(
            "name: pipes\nstages:\n  p:\n    kind: command\n{shell}    run: |\n      echo 'a | b' || true\n      false | cat > ${{outputs.o}}\n    outputs: {{o: o.txt}}\n"
        )
    };
    let project = Project::new(&pipe(""));
    let told = project.onsager(&["plan", "pipeline.yaml"]).stderr;
    assert_eq!(
        told,
        "warning: pipeline.yaml:7:13: in `p` a failure before this `|` goes unseen; write `shell: bash`, which stops at it, or put \
         the parts into steps of their own\n"
    );
    // Also from the kept pipeline.
    assert_eq!(project.run(&[]).status, 0);
    assert_eq!(project.onsager(&["plan", "pipeline.yaml"]).stderr, told);
    for shell in ["    shell: bash\n", "    shell: [bash, -o, pipefail, -e, -c]\n"] {
        project.write("pipeline.yaml", &pipe(shell));
        assert_eq!(project.onsager(&["plan", "pipeline.yaml"]).stderr, "");
        let failed = project.run(&[]);
        assert_eq!(failed.status, 1, "{}", failed.stderr);
    }
    let unset = pipe("    shell: bash\n").replace("false | cat", "echo $NO_SUCH_VARIABLE");
    project.write("pipeline.yaml", &unset);
    assert_eq!(project.run(&[]).status, 1);
}

#[test]
fn any_program_can_take_the_script() {
    let project = Project::new(
        "\
name: languages
params: {n: 3, text: it's}
stages:
  py:
    kind: command
    inputs: {table: {file: 'a table.txt'}}
    shell: [python3, -c]
    env: {TEXT: '${params.text}'}
    run: |
      import os
      with open('${inputs.table}') as table, open('${outputs.o}', 'w') as out:
          out.write(table.read().strip() * ${params.n} + os.environ['TEXT'])
    outputs: {o: o.txt}
  missing:
    kind: command
    shell: [no-such-program, -c]
    run: x
    outputs: {o: o.txt}
",
    );
    project.write("a table.txt", "ab\n");
    let ran = project.run(&["--keep-going"]);
    assert_eq!(project.read("artifacts/languages/py/o.txt"), "abababit's");
    assert!(
        ran.stderr.contains("missing failed: there is no program `no-such-program` on PATH"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("add its folder to PATH"), "{}", ran.stderr);
    // A long script comes as a file.
    let long = format!("    run: |\n      import os  # {}\n", "x".repeat(200_000));
    let text = project.read("pipeline.yaml").replace("    run: |\n      import os\n", &long);
    project.write("pipeline.yaml", &text);
    assert_eq!(project.run(&["py"]).status, 0);
}

#[test]
fn a_command_can_tell_its_inputs_apart() {
    let project = Project::new(
        r#"
name: joined
stages:
  part:
    kind: command
    matrix: {system: [free, harmonic], scale: [1, 0.5]}
    run: echo ${matrix.system} > ${outputs.o}
    outputs: {o: o.txt}
  join:
    kind: command
    inputs: {parts: part, script: {file: script.py}}
    run: python3 ${inputs.script}
    outputs: {o: o.txt}
"#,
    );
    project.write(
        "script.py",
        "\
import json, os
inputs, outputs = (json.loads(os.environ[name]) for name in ('ONSAGER_INPUTS', 'ONSAGER_OUTPUTS'))
with open(outputs['o'], 'w') as out:
    for item in inputs['parts']:
        print(item['name'], json.dumps(item['labels']), open(item['path']).read().strip(), file=out)
    print(sorted(inputs), inputs['script'][0]['name'], file=out)
",
    );
    project.executed(&[]);
    assert_eq!(
        project.read("artifacts/joined/join/o.txt"),
        "part.o {\"system\": \"free\", \"scale\": 1} free\n\
         part.o {\"system\": \"free\", \"scale\": 0.5} free\n\
         part.o {\"system\": \"harmonic\", \"scale\": 1} harmonic\n\
         part.o {\"system\": \"harmonic\", \"scale\": 0.5} harmonic\n\
         ['parts', 'script'] script.py\n"
    );
    // More than a variable of the environment can hold.
    let many = project
        .read("pipeline.yaml")
        .replace("scale: [1, 0.5]", &format!("scale: {:?}", (0..400).collect::<Vec<_>>()));
    project.write("pipeline.yaml", &many.replace("run: python3 ${inputs.script}", "run: ONSAGER_INPUTS=$(cat $ONSAGER_INPUTS_FILE | tr -d '\\n' | head -c 120000 | wc -c) && echo $ONSAGER_INPUTS > ${outputs.o}"));
    project.executed(&["--jobs", "2"]);
    let size: usize = project.read("artifacts/joined/join/o.txt").trim().parse().unwrap();
    assert!(size > 64 << 10, "{size}");
}

#[test]
fn a_stage_waits_for_another_without_taking_anything() {
    let project = Project::new(
        "\
name: order
params: {text: one}
stages:
  second:
    kind: command
    after: first
    run: cat shared > ${outputs.o}
    outputs: {o: o.txt}
  first:
    kind: command
    matrix: {i: [1, 2]}
    run: sleep 0.${matrix.i}; echo ${params.text} >> shared; echo > ${outputs.o}
    outputs: {o: o.txt}
",
    );
    assert_eq!(project.executed(&["second", "--jobs", "4"]).len(), 3);
    assert_eq!(project.read("artifacts/order/second/o.txt"), "one\none\n");
    // What only comes before it is no part of its key.
    let again = project.executed(&["--set", "text=two", "--jobs", "1"]);
    assert_eq!(again, ["first[i=1]", "first[i=2]"]);
    assert!(project.executed(&["--set", "text=two"]).is_empty());
    let dot = project.onsager(&["plan", "pipeline.yaml", "--format", "dot"]).stdout;
    assert!(dot.contains("[label=\"after\"]"), "{dot}");
    // Where that fails, it is not run.
    project.write(
        "pipeline.yaml",
        &project
            .read("pipeline.yaml")
            .replace("sleep 0.${matrix.i}", "exit 1")
            .replace("cat shared", "cat  shared"),
    );
    let failed = project.run(&["--keep-going"]);
    assert!(failed.stderr.contains("second: not run, for it needs first[i=1]"), "{}", failed.stderr);
}

#[test]
fn a_variable_of_the_environment_enters_the_key() {
    let project = Project::new(
        "\
name: variables
stages:
  s:
    kind: command
    run: echo ${env.ONSAGER_TEST_SEED} > ${outputs.o}
    outputs: {o: o.txt}
",
    );
    let run = |value: &str| {
        let mut command = project.command(&["run", "pipeline.yaml"]);
        ran(command.env("ONSAGER_TEST_SEED", value).output().unwrap()).stdout
    };
    assert!(run("a b").contains("1 executed"), "{}", run("a b"));
    assert_eq!(project.read("artifacts/variables/s/o.txt"), "a b\n");
    assert!(run("a b").contains("0 executed, 1 cached"));
    assert!(run("c").contains("1 executed"));
    assert_eq!(project.read("artifacts/variables/s/o.txt"), "c\n");
    assert!(run("c").contains("0 executed, 1 cached"));
    assert!(run("a b").contains("0 executed, 1 cached"));
    assert_eq!(project.read("artifacts/variables/s/o.txt"), "a b\n");
}

#[test]
fn long_names_become_short_folders() {
    let axis = |i: usize| format!("a_rather_long_name_of_a_parameter_{i}");
    let params: String = (0..6).map(|i| format!("{}: 1, ", axis(i))).collect();
    let used: String = (0..6).map(|i| format!("${{params.{}}} ", axis(i))).collect();
    let axes: String =
        (0..8).map(|i| format!("{}: [some-quite-long-value-{i}, other-{i}], ", axis(i))).collect();
    let project = Project::new(&format!(
        "name: long\nparams: {{{params}}}\nstages:\n  s:\n    kind: command\n    run: echo {used} > ${{outputs.o}}\n    outputs: {{o: o.txt}}\n  \
         m:\n    kind: command\n    matrix: {{{axes}}}\n    run: echo > ${{outputs.o}}\n    outputs: {{o: o.txt}}\n"
    ));
    let instance: String = (0..8).map(|i| format!("{}=some-quite-long-value-{i},", axis(i))).collect();
    let instance = format!("m[{}]", instance.trim_end_matches(','));
    assert_eq!(project.executed(&[&instance]), std::slice::from_ref(&instance));
    assert_eq!(project.onsager(&["log", "pipeline.yaml", &instance]).status, 0);
    let grid: String =
        (0..6).map(|i| format!("{}: [some-quite-long-value-{i}, other-{i}], ", axis(i))).collect();
    project.write(
        "experiments/grid.yaml",
        &format!("name: grid\npipeline: pipeline.yaml\ntasks: [s]\nsweep: {{grid: {{{grid}}}}}\n"),
    );
    let ran = project.onsager(&["run", "experiments/grid.yaml", "--jobs", "2"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("64 tasks: 64 executed"), "{}", ran.stdout);
    let long = format!(
        "name: x\nstages:\n  s:\n    kind: command\n    run: x\n    outputs: {{o: {}}}\n",
        "x".repeat(300)
    );
    assert!(refused(&long).contains("pipeline.yaml:6:18"), "{}", refused(&long));
}
