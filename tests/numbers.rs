//! Numbers that are missing, not finite, or written in another form: what tables, figures and pages make of them.

mod common;

use common::Project;

/// A project whose stage `t` is of this kind and reads `data` as its input `x`.
fn project(data: &[u8], kind: &str, params: &str) -> Project {
    let project = Project::new(&format!(
        "name: p\nstages:\n  t:\n    kind: {kind}\n    inputs: {{x: {{file: data}}}}\n    params: {params}\n"
    ));
    std::fs::write(project.path("data"), data).expect("a file");
    project
}

/// The table that `table` makes of a file.
fn table(data: &[u8], params: &str) -> String {
    let project = project(data, "table", params);
    let ran = project.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    project.read("artifacts/p/t/table.csv")
}

/// What a stage says that fails.
fn failure(data: &[u8], kind: &str, params: &str) -> String {
    let ran = project(data, kind, params).run(&[]);
    assert_eq!(ran.status, 1, "{}", ran.stdout);
    ran.stderr
}

#[test]
fn an_average_counts_what_it_is_of_and_what_is_not_a_number_stays_that() {
    let data = b"model,loss,acc\na,1,0.5\na,nan,0.7\nb,2,\nb,4,0.9\nc,inf,0.1\n";
    assert_eq!(
        table(data, "{average: {by: [model], values: [loss, acc]}}")
            .lines()
            .map(shortened)
            .collect::<Vec<_>>(),
        [
            "model,loss,loss_lower,loss_upper,acc,acc_lower,acc_upper,loss_n,n",
            "a,NaN,,,0.6,-0.67,1.87,2,2",
            "b,3,-9.71,15.71,0.9,,,2,1",
            "c,inf,,,0.1,,,1,1"
        ]
    );
}

#[test]
fn booleans_are_true_and_false_in_data_and_yes_and_no_for_a_reader() {
    let data = b"model,converged\na,true\nb,false\n";
    let project = project(data, "table", "{columns: [{column: model}, {column: converged}]}");
    let ran = project.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(project.read("artifacts/p/t/table.csv"), "model,converged\na,true\nb,false\n");
    let page = project.read("artifacts/p/t/table.md");
    assert!(page.contains("| a | yes |\n| b | no |"), "{page}");
}

/// The line with numbers of at most two decimals.
fn shortened(line: &str) -> String {
    let field = |field: &str| match field.split_once('.') {
        Some((whole, part)) if part.len() > 2 => {
            let number: f64 = format!("{whole}.{part}").parse().expect("a number");
            format!("{number:.2}")
        }
        _ => field.to_owned(),
    };
    line.split(',').map(field).collect::<Vec<_>>().join(",")
}

#[test]
fn what_is_missing_or_not_a_number_is_never_the_best() {
    let data = b"m,v\na,\nb,2\nc,nan\nd,1\n";
    assert_eq!(table(data, "{sort: [v]}"), "m,v\nd,1\nb,2\na,\nc,NaN\n");
    assert_eq!(table(data, "{sort: [-v]}"), "m,v\nb,2\nd,1\na,\nc,NaN\n");
    for best in ["lower", "higher"] {
        let project =
            project(data, "table", &format!("{{columns: [{{column: m}}, {{column: v, best: {best}}}]}}"));
        project.run(&[]);
        let markdown = project.read("artifacts/p/t/table.md");
        let bold = if best == "lower" { "| d | **1.00** |" } else { "| b | **2.00** |" };
        assert!(markdown.contains(bold) && markdown.contains("| c | NaN |"), "{markdown}");
    }
}

#[test]
fn a_filter_that_keeps_nothing_is_an_error() {
    let data = b"system,v\nfree,1\nharmonic,2\n";
    let told = failure(data, "table", "{where: {system: fre}}");
    assert!(
        told.contains("no row of the table passes `where`: `system` is never `fre`; did you mean `free`?"),
        "{told}"
    );
    let told = failure(data, "table", "{where: {system: free, v: 2}}");
    assert!(told.contains("`system` = free and `v` = 2 are never in one row"), "{told}");
    let told = failure(data, "table", "{compete: {system: morse}}");
    assert!(told.contains("no row of the table passes `compete`"), "{told}");
    let mark = |filter: &str| format!("{{mark: points, input: x, x: v, y: v, where: {filter}}}");
    let marks = format!("{{marks: [{}, {}]}}", mark("{system: free}"), mark("{system: quartic}"));
    let told = failure(data, "figure", &marks);
    assert!(told.contains("no row of input `x` passes `where`: `system` is never `quartic`"), "{told}");
}

#[test]
fn every_form_of_a_table_gives_the_same_rows() {
    let same = "a,b.c,t\n1,x,2024-01-31T12:00:00Z\n2,y,2024-02-29T00:00:00Z\n";
    let rows = r#"{"a": 1, "b": {"c": "x"}, "t": "2024-01-31T12:00:00Z"}
                  {"a": 2, "b": {"c": "y"}, "t": "2024-02-29T00:00:00Z"}"#;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, same.as_bytes()).expect("packed");
    let packed = packed.finish().expect("packed");
    for data in [
        same.as_bytes(),
        same.replace(',', "\t").as_bytes(),
        same.replace(',', ";").as_bytes(),
        format!("# made by hand\n#\n{same}").as_bytes(),
        &packed,
        rows.as_bytes(),
        br#"{"a": [1, 2], "b.c": ["x", "y"], "t": ["2024-01-31T12:00:00Z", "2024-02-29T00:00:00Z"]}"#,
        br#"{"a":{"0":1,"1":2},"b.c":{"0":"x","1":"y"},"t":{"0":"2024-01-31T12:00:00Z","1":"2024-02-29T00:00:00Z"}}"#,
    ] {
        assert_eq!(table(data, "{}"), same, "{}", String::from_utf8_lossy(data));
    }
    assert_eq!(
        table(rows.as_bytes(), "{columns: [{column: t - t}, {column: 2*a}]}"),
        "t - t,2*a\n0,2\n0,4\n"
    );
    let told = failure(br#"{"a": [1, 2], "b": [1]}"#, "table", "{}");
    assert!(told.contains("`a` has 2 values, but `b` has 1"), "{told}");
    let told = failure(b"# x\n1,2\n3,4\n", "table", "{}");
    assert!(told.contains("line 2: numbers, where the names of the columns are needed"), "{told}");
}

#[test]
fn names_may_be_of_one_column() {
    let data = b"system,other,v\nfree,free,1\n";
    let names = "{names: {system: {free: Free particle}}}";
    let project = project(data, "table", names);
    project.run(&[]);
    assert!(project.read("artifacts/p/t/table.md").ends_with("| Free particle | free | 1 |\n"));
}

#[test]
fn wrong_mathematics_and_references_of_a_page_are_shown_in_the_file() {
    let report = |text: &str| {
        Project::new(&format!(
            "name: p\nstages:\n  t: {{kind: command, run: 'printf \"a\\n1\\n\" > ${{outputs.o}}', outputs: {{o: o.csv}}}}\n  r:\n    \
             kind: report\n    inputs: {{law: t.o}}\n    params:\n      title: T\n      sections:\n        - tables: [law]\n          \
             text: |\n            One line.\n            {text}\n"
        ))
    };
    let refused = |text: &str| {
        let ran = report(text).onsager(&["plan", "pipeline.yaml"]);
        assert_eq!(ran.status, 2, "{}", ran.stdout);
        ran.stderr
    };
    assert_eq!(
        refused("See {nosuch} and {law}."),
        "\
error: `sections[0].text` refers to `{nosuch}`, but the page has no figure or table of that name
  --> pipeline.yaml:13:17
   |
13 |             See {nosuch} and {law}.
   |                 ^^^^^^^^
   = help: there is only `law`

1 error in pipeline.yaml
"
    );
    assert_eq!(
        refused(r"That $x$ is $\fraq{a}{b}$."),
        "\
error: `sections[0].text` has mathematics that cannot be read, `$\\fraq{a}{b}$`: unknown command `\\fraq`
  --> pipeline.yaml:13:25
   |
13 |             That $x$ is $\\fraq{a}{b}$.
   |                         ^^^^^^^^^^^^^

1 error in pipeline.yaml
"
    );
    let project = report(r"See {law}: $\frac{a}{b}$ in \{braces}.");
    let ran = project.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let page = project.read("artifacts/p/r/report.html");
    assert!(
        page.contains("Table 1</a>: <math><mfrac><mi>a</mi><mi>b</mi></mfrac></math> in {braces}."),
        "{page}"
    );
}

#[test]
fn matching_without_a_shared_axis_is_refused() {
    let plan = |matrix: &str| {
        let project = Project::new(&format!(
            "name: p\nstages:\n  a: {{kind: command, matrix: {{x: [1, 2]}}, run: 'echo ${{matrix.x}} > ${{outputs.o}}', outputs: {{o: o}}}}\n  \
             b: {{kind: command, {matrix}inputs: {{a: 'a[matching]'}}, run: 'cat ${{inputs.a}} > ${{outputs.o}}', outputs: {{o: o}}}}\n"
        ));
        project.onsager(&["plan", "pipeline.yaml"])
    };
    for matrix in ["", "matrix: {y: [1, 2]}, "] {
        let ran = plan(matrix);
        assert_eq!(ran.status, 2, "{}", ran.stdout);
        assert!(
            ran.stderr.starts_with(
                "error: `b` shares no axis with `a`, so `[matching]` chooses none of its 2 instances\n"
            ),
            "{}",
            ran.stderr
        );
        assert!(
            ran.stderr.contains("= help: write `a` for all of them, or add `x` to this stage's matrix\n")
        );
    }
    assert_eq!(plan("matrix: {x: [1, 2]}, ").status, 0);
}
