//! `onsager plan --format`.

mod common;

use common::Project;

const PIPELINE: &str = "\
name: drawn
stages:
  say:
    kind: command
    matrix: {n: [1, 2], word: ['a\"b', c]}
    run: echo ${matrix.n} '${matrix.word}' > ${outputs.text}
    outputs: {text: say.txt}
  upper:
    kind: command
    matrix: {n: [1, 2]}
    inputs: {texts: 'say[matching]'}
    run: cat ${inputs.texts} | tr a-z A-Z > ${outputs.text}
    outputs: {text: upper.txt}
  one:
    kind: command
    inputs: {text: 'upper[n=1]'}
    run: cp ${inputs.text} ${outputs.text}
    outputs: {text: one.txt}
  join:
    kind: command
    inputs: {texts: upper, one: one}
    run: cat ${inputs.texts} ${inputs.one} > ${outputs.text}
    outputs: {text: joined.txt}
";

fn drawn(arguments: &[&str]) -> String {
    let project = Project::new(PIPELINE);
    assert_eq!(project.run(&["upper[n=1]"]).status, 0);
    let ran = project.onsager(&[&["plan", "pipeline.yaml", "--format"], arguments].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    ran.stdout
}

#[test]
fn dot_draws_a_matrix_as_one_node() {
    assert_eq!(
        drawn(&["dot"]),
        r##"digraph "drawn" {
  node [shape=box, style="rounded,filled", fontname="sans-serif"];
  edge [fontname="sans-serif", fontsize=10];
  n0 [label="say ×4 (n, word)\ncommand\n2 cached, 2 to execute", class="execute", fillcolor="#fbddb5"];
  n1 [label="upper ×2 (n)\ncommand\n1 cached, 1 depends", class="depends", fillcolor="#e1e6f0"];
  n2 [label="one\ncommand\nto execute", class="execute", fillcolor="#fbddb5"];
  n3 [label="join\ncommand\ndepends", class="depends", fillcolor="#e1e6f0"];
  n0 -> n1 [label="matching"];
  n1 -> n2 [label="1 of 2"];
  n1 -> n3;
  n2 -> n3;
}
"##
    );
}

#[test]
fn mermaid_draws_a_matrix_as_one_node() {
    assert_eq!(
        drawn(&["mermaid"]),
        "\
flowchart TD
  n0[\"say ×4 (n, word)<br/>command<br/>2 cached, 2 to execute\"]:::execute
  n1[\"upper ×2 (n)<br/>command<br/>1 cached, 1 depends\"]:::depends
  n2[\"one<br/>command<br/>to execute\"]:::execute
  n3[\"join<br/>command<br/>depends\"]:::depends
  n0 -->|\"matching\"| n1
  n1 -->|\"1 of 2\"| n2
  n1 --> n3
  n2 --> n3
  classDef cached fill:#d9eedc,stroke:#555,color:#222
  classDef execute fill:#fbddb5,stroke:#555,color:#222
  classDef depends fill:#e1e6f0,stroke:#555,color:#222
"
    );
}

#[test]
fn ungrouped_draws_every_task_and_escapes_names() {
    let dot = drawn(&["dot", "--ungrouped"]);
    assert_eq!(dot.lines().filter(|line| line.contains("[label=")).count(), 8, "{dot}");
    assert!(dot.contains(r#"[label="say[n=1,word=a\"b]\ncommand\ncached""#), "{dot}");
    let mermaid = drawn(&["mermaid", "--ungrouped"]);
    assert!(mermaid.contains("[\"say[n=1,word=a#34;b]<br/>command<br/>cached\"]"), "{mermaid}");
}

#[test]
fn svg_is_well_formed_and_shows_every_node() {
    let project = Project::new(PIPELINE);
    let ran = project.onsager(&["plan", "pipeline.yaml", "--format", "svg", "--ungrouped", "-o", "plan.svg"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    let script = "import sys, xml.etree.ElementTree as tree\n\
                  for text in tree.parse(sys.argv[1]).iter('{http://www.w3.org/2000/svg}text'):\n    \
                  print(text.text.strip())\n";
    let output = std::process::Command::new("python3")
        .args(["-c", script, project.path("plan.svg").to_str().expect("a path")])
        .output()
        .expect("python3 starts");
    let texts = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for title in ["say[n=1,word=a\"b]", "say[n=2,word=c]", "upper[n=1]", "upper[n=2]", "one", "join"] {
        assert_eq!(texts.lines().filter(|line| *line == title).count(), 1, "{title}: {texts}");
    }
    assert!(texts.starts_with("drawn: 4 to execute, 4 depends\n"), "{texts}");
}
