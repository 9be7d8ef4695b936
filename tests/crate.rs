//! `onsager export crate`: a run as an RO-Crate, which others can open, check and import.

mod common;

use common::servers::python_of;
#[cfg(feature = "science")]
use common::shipped;
use common::{Project, Ran, last_line, repository};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Three commands, with all that a pipeline says of itself, a script of the project, and a data set for others.
const PIPELINE: &str = "\
name: walks
title: Random walks on a line
description: Walks of a few steps, and how far they went.
license: CC-BY-4.0 OR MIT
authors:
  - {name: Ada Lovelace, orcid: 0000-0002-1825-0097, affiliation: Analytical Society}
  - {name: 'van der Waals, Johannes Diderik', email: jd@example.org}
  - {name: 'Walkers of the line,'}
params: {steps: 4, label: far}
stages:
  walk:
    kind: command
    description: The walks.
    matrix: {seed: [1, 2]}
    inputs: {script: {file: scripts/walk.sh}, start: {file: start.txt}}
    run: sh ${inputs.script} ${matrix.seed} ${params.steps} > ${outputs.table}
    outputs: {table: walk.csv}
    publish: {table: The position after each step.}
  join:
    kind: command
    inputs: {walks: walk.table}
    run: cat ${inputs.walks} > ${outputs.all}; mkdir ${outputs.parts}; cat ${inputs.walks} > ${outputs.parts}/walks.csv
    outputs: {all: 'all walks.txt', parts: parts/}
";

fn walks() -> Project {
    let project = Project::new(PIPELINE);
    fill(&project);
    assert_eq!(last_line(&project.run(&[]).stdout), "3 tasks: 3 executed, 0 cached, 0 failed");
    project
}

fn fill(project: &Project) {
    project
        .write("scripts/walk.sh", "echo step,position; for i in $(seq $2); do echo $i,$((i * $1)).5; done\n");
    project.write("start.txt", "0\n");
}

fn export(project: &Project, arguments: &[&str]) -> Ran {
    let ran = project.onsager(&[&["export", "crate", "-o", "run.zip"], arguments].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    ran
}

/// Runs Python, which reads zips by itself, on a folder.
fn python(folder: &Path, script: &str) -> String {
    let ran = Command::new("python3").args(["-c", script]).current_dir(folder).output().expect("python3");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("text")
}

/// The files of the crate, unpacked below `folder` by a program that is not ours.
fn unpack(project: &Project, folder: &str) -> Vec<String> {
    let script = format!(
        "import zipfile\nz = zipfile.ZipFile('run.zip')\nassert z.testzip() is None\nz.extractall('{folder}')\n\
         print('\\n'.join(z.namelist()))"
    );
    python(&project.path(""), &script).lines().map(str::to_owned).collect()
}

fn metadata(project: &Project, folder: &str) -> Vec<Value> {
    let text = project.read(&format!("{folder}/ro-crate-metadata.json"));
    let document: Value = serde_json::from_str(&text).expect("JSON");
    document["@graph"].as_array().expect("a graph").clone()
}

fn entity<'g>(graph: &'g [Value], id: &str) -> &'g Value {
    graph.iter().find(|entity| entity["@id"] == id).unwrap_or_else(|| panic!("no {id}"))
}

#[test]
fn a_crate_tells_what_is_in_it_and_how_it_came_about() {
    let project = walks();
    let ran = export(&project, &[]);
    assert!(
        ran.stdout.starts_with("exported run ") && ran.stdout.contains(": 3 tasks, 4 objects, "),
        "{}",
        ran.stdout
    );
    assert_eq!(ran.stderr, "");
    let names = unpack(&project, "crate");
    let shown: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| !name.starts_with("onsager/")).collect();
    assert_eq!(
        shown,
        [
            "pipeline.yaml",
            "scripts/walk.sh",
            "start.txt",
            "results/join/parts/",
            "results/walk/seed=1/walk.csv",
            "results/walk/seed=2/walk.csv",
            "results/join/all walks.txt",
            "results/join/parts/walks.csv",
            "croissant.json",
            "CITATION.cff",
            ".zenodo.json",
            "ro-crate-metadata.json",
            "ro-crate-preview.html",
        ]
    );
    assert_eq!(project.read("crate/pipeline.yaml"), PIPELINE);
    assert_eq!(
        project.read("crate/results/walk/seed=2/walk.csv"),
        "step,position\n1,2.5\n2,4.5\n3,6.5\n4,8.5\n"
    );
    let graph = metadata(&project, "crate");
    let root = entity(&graph, "./");
    assert_eq!(root["name"], "Random walks on a line");
    assert_eq!(root["mainEntity"]["@id"], "pipeline.yaml");
    assert_eq!(root["license"][0]["@id"], "https://spdx.org/licenses/CC-BY-4.0");
    let ada = entity(&graph, "https://orcid.org/0000-0002-1825-0097");
    assert_eq!((&ada["givenName"], &ada["familyName"]), (&"Ada".into(), &"Lovelace".into()));
    let walkers = entity(&graph, "#organization/Walkers%20of%20the%20line");
    assert_eq!(
        (&walkers["@type"], &walkers["name"]),
        (&"Organization".into(), &"Walkers of the line".into())
    );
    assert!(project.read("crate/CITATION.cff").contains("  - name: \"Walkers of the line\"\n"));
    assert_eq!(entity(&graph, "#value/steps")["value"], 4);
    let walk = entity(&graph, "#task/walk%5Bseed=2%5D");
    assert_eq!(walk["result"][0]["@id"], "results/walk/seed=2/walk.csv");
    let read: Vec<&str> =
        walk["object"].as_array().expect("objects").iter().filter_map(|o| o["@id"].as_str()).collect();
    assert!(read.contains(&"scripts/walk.sh") && read.contains(&"start.txt"), "{read:?}");
    assert!(walk["startTime"].is_string() && walk["endTime"].is_string());
    assert_eq!(entity(&graph, "pipeline.yaml#walk")["description"], "The walks.");
    let page = project.read("crate/ro-crate-preview.html");
    assert!(
        page.contains("Random walks on a line") && page.contains("href=\"results/join/all%20walks.txt\"")
    );
    let deposit: Value = serde_json::from_str(&project.read("crate/.zenodo.json")).expect("JSON");
    assert_eq!(deposit["creators"][1]["name"], "van der Waals, Johannes Diderik");
}

#[test]
fn one_run_gives_the_same_bytes() {
    let project = walks();
    export(&project, &[]);
    let first = fs::read(project.path("run.zip")).expect("a crate");
    // A file in the place of the first one, and another current time.
    export(&project, &["last"]);
    assert!(first == fs::read(project.path("run.zip")).expect("a crate"));
}

#[test]
fn a_crate_is_imported_and_nothing_is_executed() {
    let project = walks();
    export(&project, &[]);
    let other = Project::new("");
    fs::copy(project.path("run.zip"), other.path("run.zip")).expect("a copy");
    unpack(&other, ".");
    let refused = other.onsager(&["store", "import", "run.zip"]);
    assert!(
        // Of which one depends on the keys.
        refused.stderr.contains("` that does not count here: it is not signed"),
        "{}",
        refused.stderr
    );
    let imported = other.onsager(&["store", "import", "run.zip", "--accept-unsigned"]);
    assert!(
        imported.stdout.ends_with("3 tasks, 4 objects, 294 B; 7 new\n"),
        "{}{}",
        imported.stdout,
        imported.stderr
    );
    assert_eq!(other.onsager(&["store", "verify"]).status, 0);
    assert_eq!(last_line(&other.run(&[]).stdout), "3 tasks: 0 executed, 3 cached, 0 failed");
    // What was imported can be handed on.
    let run = project.events_of("run-started")[0]["run"].as_str().expect("a run").to_owned();
    export(&other, &[&run]);
}

#[test]
fn a_redacted_crate_tells_nothing_of_the_machine() {
    let text = PIPELINE.replace("run: sh", "run: echo anna on hal-9000 > /dev/null; sh");
    let project = Project::new(&text);
    fill(&project);
    let mut run = project.command(&["run", "pipeline.yaml"]);
    run.env("USER", "anna");
    assert!(run.output().expect("a run").status.success());
    let host = project.events_of("run-started")[0]["host"].as_str().expect("a host").to_owned();
    let plain = export(&project, &[]);
    assert_eq!(plain.status, 0);
    unpack(&project, "plain");
    let found = |folder: &str, word: &str| {
        let script = format!(
            "import os\nfor at, _, names in os.walk('{folder}'):\n    for name in names:\n        \
             if {word:?}.encode() in open(os.path.join(at, name), 'rb').read(): print(os.path.join(at, name))"
        );
        python(&project.path(""), &script)
    };
    let here = fs::canonicalize(project.path("")).expect("a path");
    let words = [host.as_str(), "anna", here.to_str().expect("text"), "/dev/null"];
    for word in words {
        assert_ne!(found("plain", word), "", "`{word}` is nowhere");
    }
    export(&project, &["--redact"]);
    unpack(&project, "redacted");
    for word in words {
        assert_eq!(found("redacted", word), "", "`{word}`");
    }
    assert_eq!(found("redacted", "PATH"), "");
    let once = fs::read(project.path("run.zip")).expect("a crate");
    export(&project, &["--redact"]);
    assert!(once == fs::read(project.path("run.zip")).expect("a crate"));
    // Its keys are those of what was run.
    let other = Project::new(&text);
    fill(&other);
    fs::copy(project.path("run.zip"), other.path("run.zip")).expect("a copy");
    assert_eq!(other.onsager(&["store", "import", "run.zip", "--accept-unsigned"]).status, 0);
    assert_eq!(last_line(&other.run(&[]).stdout), "3 tasks: 0 executed, 3 cached, 0 failed");
}

#[test]
fn without_objects_the_digests_stay() {
    let project = walks();
    let ran = export(&project, &["--without-objects", "--json"]);
    let document: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((&document["tasks"], &document["objects"]), (&3.into(), &0.into()));
    let names = unpack(&project, "crate");
    assert!(!names.iter().any(|name| name.starts_with("results/") || name.contains("objects/")), "{names:?}");
    let graph = metadata(&project, "crate");
    let table = graph.iter().find(|entity| entity["name"] == "walk.table" && entity["sha256"].is_string());
    let table = table.expect("the table");
    assert_eq!(table["contentSize"], "38");
    let other = Project::new(PIPELINE);
    fs::copy(project.path("run.zip"), other.path("run.zip")).expect("a copy");
    let refused = other.onsager(&["store", "import", "run.zip", "--accept-unsigned"]);
    assert_eq!(
        refused.stderr,
        "error: `run.zip` has no objects, so there is nothing to import: export the run again without `--without-objects`\n"
    );
    assert_eq!(refused.status, 2);
}

#[test]
fn a_zip_that_is_damaged_or_made_to_harm_is_refused() {
    let project = walks();
    export(&project, &[]);
    let other = Project::new(PIPELINE);
    fs::copy(project.path("run.zip"), other.path("whole.zip")).expect("a copy");
    let refused = |script: &str| {
        let script = format!(
            "import zipfile, stat\nwhole = zipfile.ZipFile('whole.zip')\n\
             out = zipfile.ZipFile('run.zip', 'w', zipfile.ZIP_DEFLATED)\n\
             members = [(info.filename, whole.read(info)) for info in whole.infolist()]\n{script}\n\
             for name, data in members: out.writestr(name, data)\nout.close()"
        );
        python(&other.path(""), &script);
        let ran = other.onsager(&["store", "import", "run.zip", "--accept-unsigned"]);
        assert_eq!(ran.status, 2, "{}", ran.stdout);
        assert!(!other.path("run.txt").exists());
        let objects = fs::read_dir(other.path("artifacts/.onsager/objects")).expect("objects");
        assert_eq!(objects.count(), 0, "something is visible");
        ran.stderr
            .trim_start_matches("error: `run.zip` is damaged: ")
            .trim_end_matches("; nothing was imported\n")
            .to_owned()
    };
    let table = "results/walk/seed=1/walk.csv";
    let change = |value: &str| {
        format!("members = [(name, {value} if name == '{table}' else data) for name, data in members]")
    };
    assert_eq!(
        refused(&change("data[:-1] + b'x'")),
        format!("member `{}` does not have the digest that the header names", object(&project))
    );
    assert_eq!(refused(&change("data[:-1]")), format!("member `{}` is not whole", object(&project)));
    assert_eq!(
        refused(&format!("members = [m for m in members if m[0] != '{table}']")),
        format!("member `{table}` is missing")
    );
    assert_eq!(refused("members.append(('../run.txt', b'x'))"), "member `../run.txt` is not in the header");
    assert_eq!(
        refused("members.append(('/tmp/run.txt', b'x'))"),
        "member `/tmp/run.txt` is not in the header"
    );
    let link = "info = zipfile.ZipInfo('results/link'); info.create_system = 3\n\
        info.external_attr = (stat.S_IFLNK | 0o777) << 16; out.writestr(info, '/etc/passwd')";
    assert_eq!(refused(link), "member `results/link` is a link");
    let bomb = "import json\nheader = json.loads(dict(members)['onsager/onsager.json'])\n\
        name = next(name for name, at in header['places'].items() if at == 'results/walk/seed=1/walk.csv')\n\
        next(m for m in header['members'] if m['name'] == name)['size'] = 1 << 26\n\
        members = [(n, json.dumps(header) if n == 'onsager/onsager.json' else b'0' * (1 << 26) if n == 'results/walk/seed=1/walk.csv' else d) for n, d in members]";
    assert_eq!(
        refused(bomb),
        format!("member `{table}` is compressed so far that it looks made to fill the disk")
    );
    let whole = fs::read(other.path("whole.zip")).expect("a crate");
    fs::write(other.path("run.zip"), &whole[..whole.len() / 2]).expect("a file");
    let cut = other.onsager(&["store", "import", "run.zip", "--accept-unsigned"]);
    assert!(
        cut.stderr.starts_with("error: `run.zip` is damaged: the zip cannot be read: "),
        "{}",
        cut.stderr
    );
    // Packed again by another program it is the same archive.
    python(
        &other.path(""),
        "import zipfile\nwhole = zipfile.ZipFile('whole.zip')\nout = zipfile.ZipFile('run.zip', 'w', zipfile.ZIP_DEFLATED)\n\
         for info in reversed(whole.infolist()): out.writestr(info.filename, whole.read(info))\nout.close()",
    );
    assert_eq!(other.onsager(&["store", "import", "run.zip", "--accept-unsigned"]).status, 0);
}

/// The member that is the table of the first walk.
fn object(project: &Project) -> String {
    let digest = common::chain::digest(project, "walk[seed=1]", "table");
    format!("objects/{}/{}", &digest[..2], &digest[2..])
}

#[test]
fn what_a_pipeline_says_of_itself_is_checked() {
    for (old, new, error) in [
        ("0000-0002-1825-0097", "0000-0002-1825-0098", "`0000-0002-1825-0098` is no ORCID iD"),
        ("CC-BY-4.0 OR MIT", "the MIT licence", "`the MIT licence` is no SPDX identifier"),
        ("name: Ada Lovelace, ", "", "the author has no name"),
        ("publish: {table", "publish: {tabel", "stage `walk` has no output `tabel`"),
    ] {
        let project = Project::new(&PIPELINE.replace(old, new));
        fill(&project);
        let ran = project.run(&[]);
        assert!(ran.stderr.contains(error), "{}", ran.stderr);
        assert_eq!(ran.status, 2);
    }
}

#[test]
fn what_is_said_enters_no_key() {
    let project = walks();
    project.write(
        "pipeline.yaml",
        &PIPELINE.replace("Ada Lovelace", "Ada King").replace("The position", "Where it is"),
    );
    assert_eq!(last_line(&project.run(&[]).stdout), "3 tasks: 0 executed, 3 cached, 0 failed");
    export(&project, &[]);
    unpack(&project, "crate");
    let graph = metadata(&project, "crate");
    assert_eq!(entity(&graph, "https://orcid.org/0000-0002-1825-0097")["name"], "Ada King");
    assert!(entity(&graph, "#task/join")["description"].as_str().expect("text").starts_with("Cached: run "));
}

/// The profiles that a crate names, with the number of checks that roc-validator 0.13 requires for each: those of the profiles that it is on
/// are among them.
const PROFILES: [(&str, u64); 3] =
    [("ro-crate-1.1", 38), ("workflow-run-crate-0.5", 57), ("provenance-run-crate-0.5", 85)];
/// The last one, which has the checks of all.
const WHOLE: [(&str, u64); 1] = [PROFILES[2]];

/// What the required checks of profiles came to, by the crate and the profile.
fn validate(python: &Path, folder: &Path, profiles: &[(&str, u64)], crates: &[&str]) -> Value {
    let script = repository().join("tests/common/crates.py");
    let names: Vec<&str> = profiles.iter().map(|(name, _)| *name).collect();
    let ran = Command::new(python)
        .arg(script)
        .arg(names.join(","))
        .args(crates)
        .current_dir(folder)
        .output()
        .expect("python");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).expect("JSON")
}

/// Every required check has run, and has passed.
fn assert_sound(found: &Value, profiles: &[(&str, u64)], crates: &[&str]) {
    for name in crates {
        for (profile, checks) in profiles {
            let result = &found[name][profile];
            assert_eq!(result["failures"], Value::Array(Vec::new()), "{name}, {profile}");
            assert_eq!(result["passed"], *checks, "{name}, {profile}");
        }
    }
}

fn validator() -> Option<std::path::PathBuf> {
    python_of(
        "crates",
        "rocrate_validator, cffconvert, mlcroissant",
        "roc-validator, cffconvert and mlcroissant",
    )
}

#[test]
fn crates_pass_the_validator_and_damaged_ones_fail() {
    let Some(validator) = validator() else { return };
    let project = walks();
    project.write(
        "experiments/sweep.yaml",
        "name: sweep\npipeline: pipeline.yaml\nsweep: {grid: {steps: [2, 3, 4]}}\n",
    );
    export(&project, &[]);
    unpack(&project, "crate");
    fs::rename(project.path("run.zip"), project.path("walks.zip")).expect("a name");
    export(&project, &["--redact"]);
    fs::rename(project.path("run.zip"), project.path("redacted.zip")).expect("a name");
    export(&project, &["--without-objects"]);
    fs::rename(project.path("run.zip"), project.path("bare.zip")).expect("a name");
    let swept = project.onsager(&["run", "experiments/sweep.yaml"]);
    assert_eq!(last_line(&swept.stdout), "9 tasks: 6 executed, 3 cached, 0 failed");
    export(&project, &[]);
    let damage = |name: &str, change: &str| {
        let script = format!(
            "import json, zipfile\nwhole = zipfile.ZipFile('walks.zip')\nout = zipfile.ZipFile('{name}.zip', 'w')\n\
             for info in whole.infolist():\n    data = whole.read(info)\n    \
             if info.filename == 'ro-crate-metadata.json':\n        document = json.loads(data)\n        \
             graph = {{entity['@id']: entity for entity in document['@graph']}}\n        {change}\n        \
             data = json.dumps(document).encode()\n    out.writestr(info.filename, data)\nout.close()"
        );
        python(&project.path(""), &script);
    };
    damage("no-instrument", "del graph['#task/join']['instrument']");
    damage("no-step", "del graph['pipeline.yaml']['step']");
    damage(
        "no-file",
        "graph['./']['hasPart'].append({'@id': 'gone.csv'}); document['@graph'].append({'@id': 'gone.csv', '@type': 'File'})",
    );
    let crates = [
        "walks.zip",
        "redacted.zip",
        "bare.zip",
        "run.zip",
        "no-instrument.zip",
        "no-step.zip",
        "no-file.zip",
    ];
    let found = validate(&validator, &project.path(""), &WHOLE, &crates);
    assert_sound(&found, &WHOLE, &crates[..4]);
    let names = |name: &str| -> Vec<&str> {
        let failures = found[name][WHOLE[0].0]["failures"].as_array().expect("failures").iter();
        failures.map(|failure| failure[0].as_str().expect("a check")).collect()
    };
    let lower = &PROFILES[..2];
    assert_sound(&validate(&validator, &project.path(""), lower, &["run.zip"]), lower, &["run.zip"]);
    assert_eq!(names("no-instrument.zip"), ["process-run-crate-0.5_1.1 Action instrument"]);
    assert_eq!(names("no-step.zip"), ["provenance-run-crate-0.5_4.1 HowToStep inverse step"]);
    assert_eq!(names("no-file.zip"), ["ro-crate-1.1_12.1 Data Entity: REQUIRED resource availability"]);
    let cff = Command::new(validator.with_file_name("cffconvert"))
        .args(["--validate", "-i", "CITATION.cff"])
        .current_dir(project.path("crate"))
        .output()
        .expect("cffconvert");
    let cited = String::from_utf8_lossy(&cff.stdout);
    assert_eq!(cited, "Citation metadata are valid according to schema version 1.2.0.\n");
    let load = "import mlcroissant, sys\ndata = mlcroissant.Dataset(jsonld='croissant.json')\n\
        assert not data.metadata.ctx.issues.errors, data.metadata.ctx.issues.errors\n\
        print([set.uuid for set in data.metadata.record_sets])\n\
        print(list(data.records(data.metadata.record_sets[1].uuid))[1])";
    let ran = Command::new(&validator)
        .args(["-c", load])
        .current_dir(project.path("crate"))
        .output()
        .expect("python");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(said.contains("walk/seed=2/walk.csv#records"), "{said} {}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
#[cfg(feature = "science")]
fn the_quickstart_passes_and_is_taken_back_in() {
    let project = shipped();
    let file = "experiments/quickstart.yaml";
    let ran = project.onsager(&["run", file]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    export(&project, &[]);
    let other = Project::new("");
    fs::remove_file(other.path("pipeline.yaml")).expect("removed");
    fs::copy(project.path("run.zip"), other.path("run.zip")).expect("a copy");
    unpack(&other, ".");
    assert_eq!(other.onsager(&["store", "import", "run.zip", "--accept-unsigned"]).status, 0);
    let again = other.onsager(&["run", file]);
    assert!(last_line(&again.stdout).contains(" 0 executed"), "{}", again.stdout);
    let Some(validator) = validator() else { return };
    let found = validate(&validator, &project.path(""), &PROFILES, &["run.zip"]);
    assert_sound(&found, &PROFILES, &["run.zip"]);
}
