//! `onsager store du`, and the help of all tools of the store.

mod common;

use common::Project;
use common::chain::{CHAIN, chain, json};

#[test]
fn du_adds_up() {
    let project = chain();
    assert_eq!(project.executed(&["--set", "mark=2"]), ["b", "c"]);
    let usage = json(&project.onsager(&["store", "du", "--json"]));
    let row = |stage: &str| {
        let rows = usage["rows"].as_array().expect("rows");
        rows.iter().find(|row| row["stage"] == stage).expect("a row").clone()
    };
    assert_eq!(
        (&row("a")["bytes"], &row("a")["shared"], &row("a")["copies"]),
        (&4.into(), &0.into(), &4.into())
    );
    // Two results of six bytes each, which the folders of c hold as well.
    assert_eq!(
        (&row("b")["bytes"], &row("b")["shared"], &row("b")["copies"]),
        (&12.into(), &12.into(), &6.into())
    );
    assert_eq!((&usage["objects"], &usage["object_bytes"]), (&6.into(), &528.into()));
    assert_eq!(usage["copies"], 4 + 6 + 10);
    let table = project.onsager(&["store", "du", "--by", "pipeline"]).stdout;
    assert!(table.contains("chain             528 B        0 B       20 B\n"), "{table}");
    assert!(table.ends_with("6 objects; `onsager store gc` would free 0 B\n"), "{table}");
}

#[test]
fn the_tools_have_help_and_want_a_store() {
    let project = Project::new(CHAIN);
    for command in ["verify", "gc", "du", "export", "import"] {
        let help = project.onsager(&["store", command, "--help"]);
        assert!(help.stdout.contains("Example"), "{command}: {}", help.stdout);
    }
    let none = project.onsager(&["store", "du"]);
    assert_eq!(
        none.stderr,
        "error: there is no store in this folder or above it: go to a project that was run, or give `--artifacts DIR`\n"
    );
    assert_eq!(none.status, 2);
    let unknown = chain().onsager(&["store", "export", "nothing", "-o", "nothing.onsager"]);
    assert_eq!(
        unknown.stderr,
        "error: there is no run or pipeline `nothing` in the store: `onsager store du` lists the pipelines\n"
    );
}
