//! `onsager report`: the page of a run.

mod common;

use common::browser::{assert_sound, look};
use common::{Project, json_of, last_line};
use std::fs;

const PIPELINE: &str = r#"
name: p
params: {colour: red}
stages:
  rows:
    kind: command
    run: printf 'a,b\n1,2\n3,4\n' > ${outputs.rows}
    outputs: {rows: rows.csv}
  drawing:
    kind: command
    matrix: {size: [10, 20]}
    inputs: {rows: rows.rows}
    run: |
      printf '<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="9"><path d="M0 0h9v9z" fill="${params.colour}"/></svg>' ${matrix.size} > ${outputs.picture}
    outputs: {picture: picture.svg}
  fails: {kind: command, run: "echo what happened; exit 3", outputs: {o: o.txt}}
"#;

fn page(project: &Project, arguments: &[&str]) -> String {
    let ran = project.onsager(&[&["report"], arguments].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    project.read("run.html")
}

/// The text between two others, the first time.
fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let from = text.find(start).unwrap_or_else(|| panic!("no {start}")) + start.len();
    &text[from..from + text[from..].find(end).unwrap_or_else(|| panic!("no {end}"))]
}

#[test]
fn a_page_tells_of_the_run_and_how_each_figure_was_made() {
    let project = Project::new(PIPELINE);
    assert_eq!(project.run(&["--keep-going"]).status, 1);
    let first = page(&project, &[]);
    for text in [
        "<span class=\"state state-failed\">failed</span>",
        "the command failed (exit status: 3)",
        "what happened",
        "drawing[size=10]",
        "never executed before",
        "onsager run pipeline.yaml &#39;drawing[size=10]&#39;",
        "Timeline of attempts",
        "Graph of stages",
    ] {
        let plain = text.replace("&#39;", "'");
        assert!(first.contains(text) || first.contains(&plain), "no {text}");
    }
    assert_eq!(project.run(&["--keep-going", "--set", "colour=blue"]).status, 1);
    let second = page(&project, &[]);
    // Why it ran, what was cached and by whom it was made, and what differs from the run before.
    assert!(second.contains("<div>params.run: printf"), "no reason");
    assert!(second.contains("1 task from run <code>"), "no cached task");
    assert!(second.contains("Differences from other runs"));
    assert!(second.contains("--set colour=blue"));
    // A run that did nothing is one, too.
    project.write("pipeline.yaml", &PIPELINE[..PIPELINE.find("  fails:").expect("a stage")]);
    assert_eq!(project.run(&[]).status, 0);
    assert_eq!(project.run(&[]).status, 0);
    assert!(page(&project, &["last"]).contains("Nothing was executed: every result was there."));
}

#[test]
fn the_printed_command_makes_the_same_bytes() {
    let project = Project::new(PIPELINE);
    assert_eq!(project.run(&["--keep-going", "--set", "colour=green"]).status, 1);
    let page = page(&project, &[]);
    let command = between(&page, "<code>onsager run ", "</code>").replace("&#39;", "'");
    let task = between(&command, "pipeline.yaml ", " --set").trim_matches('\'').to_owned();
    let digest = json_of(&project, &["explain", "pipeline.yaml", &task, "--set", "colour=green", "--json"]);
    let digest = digest[0]["outputs"][0][1]["digest"].as_str().expect("a digest").to_owned();
    assert!(page.contains(&digest));
    // Elsewhere, with nothing there.
    let clone = Project::new(PIPELINE);
    let words: Vec<&str> = command.split(' ').map(|word| word.trim_matches('\'')).collect();
    let ran = clone.onsager(&[&["run"], words.as_slice()].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let again = json_of(&clone, &["explain", "pipeline.yaml", &task, "--set", "colour=green", "--json"]);
    assert_eq!(again[0]["outputs"][0][1]["digest"], digest.as_str());
}

#[test]
fn old_records_have_a_page() {
    let project = Project::new(PIPELINE);
    assert_eq!(project.run(&["--keep-going"]).status, 1);
    // What the first versions wrote: no facts, no waits, no usage, and a last line that a kill tore.
    for entry in fs::read_dir(project.path("artifacts/.onsager/runs")).expect("runs").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        let mut text = String::new();
        for line in fs::read_to_string(&path).expect("a record").lines() {
            let mut line: serde_json::Value = serde_json::from_str(line).expect("a line");
            if ["run-commit", "task-metric", "run-tasks"].iter().any(|event| line["event"] == *event) {
                continue;
            }
            let fields = line.as_object_mut().expect("an object");
            for new in ["facts", "waited", "usage", "attempt", "host", "worker", "source", "points"] {
                if fields["event"] != "run-started" || new != "host" {
                    fields.remove(new);
                }
            }
            text += &format!("{line}\n");
        }
        fs::write(&path, text + "{\"at\": \"2026").expect("a record");
    }
    let page = page(&project, &[]);
    assert!(page.contains("drawing[size=20]") && page.contains("the command failed (exit status: 3)"));
}

#[test]
fn what_strangers_write_stays_text() {
    let project = Project::new(
        r#"
name: "p"
stages:
  s:
    kind: command
    run: |
      printf '</pre></script><script>window.injected=true</script>\033]0;title\007\033[2J\n' >&2
      printf '{"step": 1, "name": "<img src=x onerror=window.injected=true>", "value": 1}\n' >> "$ONSAGER_METRICS"
      exit 4
    outputs: {o: o.txt}
  drawing:
    kind: command
    run: |
      printf '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="window.injected=true"><script>window.injected=true</script><image href="https://example.org/x.png"/></svg>' > ${outputs.svg}
    outputs: {svg: a.svg}
"#,
    );
    assert_eq!(project.run(&["--keep-going"]).status, 1);
    let page = page(&project, &["-o", "run.html"]);
    assert!(!page.contains("<script>window") && !page.contains("<img src=x") && !page.contains('\u{1b}'));
    assert!(page.contains("\\u{1b}]0;title\\u{7}"), "control characters are shown");
    let own = format!("file://{}", project.path("run.html").display());
    // A record from elsewhere may say anything.
    let evil = r#"</script><script>window.injected=true</script>\"><img src=x onerror=window.injected=true>"#;
    let lines = [
        format!(
            r#""event":"run-started","run":"evil","pipeline":"{evil}","file":"{evil}","version":"{evil}","kernel":"{evil}","tasks":2,"jobs":2,"threads":2,"host":"{evil}","points":[{{"name":"{evil}","params":{{"{evil}":"{evil}"}},"metrics":[]}}],"facts":{{"user":"{evil}","system":"{evil}","arguments":["{evil}"],"folder":"{evil}","environment":{{"{evil}":"{evil}"}}}}"#
        ),
        format!(r#""event":"run-commit","commit":"{evil}","branch":"{evil}","dirty":true"#),
        format!(
            r#""event":"task-started","task":"{evil}","key":"{}","threads":1,"log":"l","host":"{evil}""#,
            "ab".repeat(32)
        ),
        format!(r#""event":"task-failed","task":"{evil}","message":"{evil}","help":"{evil}""#),
        format!(r#""event":"task-skipped","task":"x[{evil}]","because":"{evil}""#),
        format!(r#""event":"note","text":"{evil}""#),
    ];
    let record: String =
        lines.iter().map(|line| format!("{{\"at\":\"2026-11-29T10:00:00Z\",{line}}}\n")).collect();
    project.write("artifacts/.onsager/runs/evil.jsonl", &record);
    let ran = project.onsager(&["report", "evil", "-o", "evil.html"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let page = project.read("evil.html");
    assert!(
        !page.contains("<script>window") && !page.contains("<img src=x") && page.contains("&lt;img src=x")
    );
    if let Some(found) = look(&[own, format!("file://{}", project.path("evil.html").display())]) {
        found.iter().for_each(assert_sound);
    }
}

#[test]
fn a_page_is_sound_in_a_browser() {
    let project = Project::new(PIPELINE);
    assert_eq!(project.run(&["--keep-going"]).status, 1);
    assert_eq!(project.run(&["--keep-going", "--set", "colour=blue"]).status, 1);
    page(&project, &[]);
    let url = format!("file://{}", project.path("run.html").display());
    if let Some(found) = look(&[url]) {
        assert_sound(&found[0]);
    }
}

#[test]
fn a_run_of_many_tasks_has_a_page_of_few_bytes() {
    // Of the tasks of a matrix each has its row; of more of them, the stage.
    let project =
        Project::new("name: p\nstages:\n  s: {kind: command, run: 'touch ${outputs.o}', outputs: {o: o}}\n");
    assert_eq!(project.run(&[]).status, 0);
    let line = |at: usize, text: String| {
        format!(
            "{{\"at\":\"2026-11-29T10:{:02}:{:02}.{:03}Z\",{text}}}\n",
            at / 60_000,
            at / 1000 % 60,
            at % 1000
        )
    };
    let record = |tasks: usize| {
        let key = "ab".repeat(32);
        let mut text = line(
            0,
            format!(
                "\"event\":\"run-started\",\"run\":\"many\",\"pipeline\":\"many\",\"file\":\"many.yaml\",\"version\":\"0.1.0\",\"kernel\":\"portable\",\"tasks\":{tasks},\"jobs\":2,\"threads\":2,\"host\":\"vm\""
            ),
        );
        for task in 0..tasks {
            let name = format!("\"task\":\"fit[system=harmonic,seed={task}]\",\"key\":\"{key}\"");
            text += &line(task * 3, format!("\"event\":\"task-started\",{name},\"threads\":1,\"log\":\"l\""));
            text += &line(
                task * 3 + 5,
                format!("\"event\":\"task-finished\",{name},\"seconds\":0.005,\"outputs\":[]"),
            );
        }
        project.write("artifacts/.onsager/runs/many.jsonl", &text);
        page(&project, &["many"])
    };
    let page = record(10_000);
    assert!(page.len() < 5 << 20, "{} bytes", page.len());
    assert!(page.contains("fit[system=harmonic,seed=9999]"));
    let url = format!("file://{}", project.path("run.html").display());
    if let Some(found) = look(&[url]) {
        assert_sound(&found[0]);
    }
    let page = record(20_000);
    assert!(page.len() < 1 << 20, "{} bytes", page.len());
    assert!(page.contains("20000 executed") && !page.contains("seed=19998]</td>"));
}

#[test]
fn a_wrong_request_is_told() {
    let project = Project::new(PIPELINE);
    let ran = project.onsager(&["report"]);
    assert_eq!(
        (ran.status, last_line(&ran.stderr)),
        (2, "error: there is no run yet; `onsager run` makes one")
    );
    assert_eq!(project.run(&["--keep-going"]).status, 1);
    let ran = project.onsager(&["report", "-o", "no/where.html"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.starts_with("error: cannot write `no/where.html`: "), "{}", ran.stderr);
    let ran = project.onsager(&["report", "zzz"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.starts_with("error: there is no run `zzz`"), "{}", ran.stderr);
}
