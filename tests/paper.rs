//! `onsager paper`: a text in LaTeX beside its run.

mod common;

use common::{Project, json_of};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const PIPELINE: &str = r#"name: p
params: {given: 0.498765}
stages:
  fit:
    kind: command
    run: |
      echo '{"slope": ${params.given}, "low": 0.49, "high": 0.508, "rate": 0.9123, "count": 1250, "spare": 7}' > ${outputs.json}
      printf '\\begin{table}\\caption{A}\\begin{tabular}{l}a\\end{tabular}\\end{table}' > ${outputs.latex}
      cat drawing.pdf > ${outputs.pdf}
    inputs: {drawing: {file: drawing.pdf}}
    outputs: {json: fit.json, latex: fit.tex, pdf: fit.pdf}
  values:
    kind: values
    inputs: {law: fit.pdf, slopes: fit.latex}
metrics:
  slope: {from: fit.json, field: slope, lower: low, upper: high}
  rate: {from: fit.json, field: rate, form: percent}
  count: {from: fit.json, field: count}
  spare: {from: fit.json, field: spare}
claims:
  - {name: half, claim: slope within 0.5 ± 0.02}
"#;

const TEXT: &str = r"\documentclass{article}
\usepackage{onsager}
\begin{document}
The slope is \onsager{slope}, as expected\onsagerclaim{half}. % 0.499 by hand
\input{parts/more}
\begin{figure}\onsagerfigure[width=3cm]{law}\caption{A law.}\end{figure}
\onsagertable{slopes}
\end{document}
";

const MORE: &str = "In 2023 we took \\onsager{count} samples, see Section~0.499 and \\ref{0.499}; \\onsager{rate}, \\onsagerunit{spare}.\n";

/// A figure that LaTeX can include: an empty page.
fn drawing() -> String {
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]/Resources<<>>>>",
    ];
    let (mut text, mut table) = ("%PDF-1.4\n".to_owned(), "0000000000 65535 f \n".to_owned());
    for (at, object) in objects.iter().enumerate() {
        table += &format!("{:010} 00000 n \n", text.len());
        text += &format!("{} 0 obj\n{object}\nendobj\n", at + 1);
    }
    let start = text.len();
    text + &format!("xref\n0 4\n{table}trailer\n<</Size 4/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n")
}

fn project(text: &str) -> Project {
    let project = Project::new(PIPELINE);
    project.write("drawing.pdf", &drawing());
    project.write("paper/paper.tex", text);
    project.write("paper/parts/more.tex", MORE);
    project
}

fn finished(text: &str) -> Project {
    let project = project(text);
    let ran = project.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    project
}

fn check(project: &Project) -> (i32, String) {
    let ran = project.onsager(&["paper", "check", "paper/paper.tex"]);
    assert!(ran.stderr.is_empty() || ran.status == 2, "{}", ran.stderr);
    (ran.status, ran.stdout + &ran.stderr)
}

#[test]
fn a_paper_that_takes_everything_from_the_run_is_well() {
    assert_eq!(check(&finished(TEXT)), (0, "all is well: 7 uses of the run\n".to_owned()));
}

#[test]
fn numbers_by_hand_are_found_with_the_command_to_write() {
    let text = TEXT.replace(
        "as expected",
        "as expected: 0.499, $0.4988$, 91.2\\,\\%, 1{,}250 and 0.50, but 0.7, 3.5cm and 0.4990 are others",
    );
    let (status, said) = check(&finished(&text));
    assert_eq!(status, 1);
    let expected = "\
paper/paper.tex:4:44: `0.499` is `slope` (0.498765); write `\\onsager[3]{slope}`
paper/paper.tex:4:52: `0.4988` is `slope` (0.498765); write `\\onsager{slope}`
paper/paper.tex:4:61: `91.2` is `rate` (0.9123); write `\\onsager{rate}`
paper/paper.tex:4:71: `1{,}250` is `count` (1250); write `\\onsager{count}`
paper/paper.tex:4:83: `0.50` is `slope` (0.498765); write `\\onsager[2]{slope}`
5 places to mend; 7 uses of the run
";
    assert_eq!(said, expected);
    let (status, said) = check(&finished(&text.replace("% 0.499 by hand", "% onsager: by hand")));
    assert_eq!((status, said.as_str()), (0, "all is well: 7 uses of the run\n"));
}

#[test]
fn an_appendix_behind_the_references_is_read_and_the_references_are_not() {
    let behind = "\\begin{thebibliography}{9}
\\bibitem{a} A, 0.499 (1983).
\\end{thebibliography}
\\appendix
It is 0.499.
\\end{document}
0.499";
    let expected = "\
paper/paper.tex:12:7: `0.499` is `slope` (0.498765); write `\\onsager[3]{slope}`
1 place to mend; 7 uses of the run
";
    assert_eq!(check(&finished(&TEXT.replace("\\end{document}", behind))), (1, expected.to_owned()));
}

#[test]
fn names_figures_and_claims_that_the_run_does_not_have_are_found() {
    let text = TEXT
        .replace("\\onsager{slope}", "\\onsager{slpoe}")
        .replace("\\onsagerfigure[width=3cm]{law}", "\\includegraphics{old}\\includegraphics{../drawing}");
    let project = finished(&text);
    project.write("paper/old.pdf", "%PDF an old one");
    let (status, said) = check(&project);
    assert_eq!(status, 1);
    assert!(
        said.contains("paper/paper.tex:4:23: there is no value `slpoe` in the run; did you mean `slope`?\n"),
        "{said}"
    );
    assert!(said.contains("paper/paper.tex:6:32: figure `old` is not from this run; "), "{said}");
    assert!(said.contains("not used in the text: `slope` and `figure law`\n"), "{said}");

    let ran = project.run(&["--set", "given=0.3"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let failed = project.onsager(&["paper", "check", "paper/paper.tex", "--set", "given=0.3"]);
    let line = "pipeline.yaml:21:25: claim `slope within 0.5 ± 0.02` fails: slope is ";
    assert!(failed.status == 1 && failed.stdout.contains(line), "{}", failed.stdout);
}

#[test]
fn the_numbers_must_be_those_of_the_pipeline_now() {
    let project = finished(TEXT);
    let ran = project.onsager(&["paper", "check", "paper/paper.tex", "--set", "given=0.4"]);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("the numbers of `values` are not computed as the pipeline is now"),
        "{}",
        ran.stderr
    );
    let ran = project.onsager(&["paper", "check", "paper/none.tex"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("cannot read `paper/none.tex`"), "{}", ran.stderr);
}

#[test]
fn the_archive_has_what_is_read_and_nothing_else() {
    let project = finished(TEXT);
    project.write("paper/unused.tex", "nothing");
    let pack = |name: &str| json_of(&project, &["paper", "tarball", "paper/paper.tex", "-o", name, "--json"]);
    let (first, second) = (pack("a.tar.gz"), pack("b.tar.gz"));
    assert_eq!(first["sha256"], second["sha256"]);
    assert_eq!(fs::read(project.path("a.tar.gz")).unwrap(), fs::read(project.path("b.tar.gz")).unwrap());
    let files = [
        "00README.json",
        "files/law.pdf",
        "files/slopes.tex",
        "onsager.sty",
        "paper.tex",
        "parts/more.tex",
        "values.tex",
    ];
    assert_eq!(first["files"], serde_json::json!(files));
    let unpacked = project.path("unpacked");
    unpack(&project.path("a.tar.gz"), &unpacked);
    let readme = project.read("unpacked/00README.json");
    assert!(
        readme.contains("\"filename\": \"paper.tex\"") && readme.contains("\"usage\": \"toplevel\""),
        "{readme}"
    );
    builds_alone(&unpacked);
}

fn unpack(archive: &Path, folder: &Path) {
    let packed = flate2::read::GzDecoder::new(fs::File::open(archive).unwrap());
    tar::Archive::new(packed).unpack(folder).unwrap();
}

fn builds_alone(folder: &Path) {
    if Command::new("latexmk").arg("-version").output().is_err() {
        println!("skipped: there is no `latexmk`");
        return;
    }
    let before: BTreeSet<_> =
        fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(!before.is_empty());
    let ran = Command::new("latexmk")
        .args(["-pdf", "-interaction=nonstopmode", "paper.tex"])
        .current_dir(folder)
        .output();
    let ran = ran.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    assert!(folder.join("paper.pdf").is_file());
}

#[test]
fn an_archive_that_would_not_build_is_refused() {
    let refused = |text: &str| {
        let ran = finished(text).onsager(&["paper", "tarball", "paper/paper.tex", "-o", "x.tar.gz"]);
        assert_eq!(ran.status, 2, "{}", ran.stdout);
        ran.stderr
    };
    let missing = refused(&TEXT.replace("parts/more", "parts/none"));
    assert!(missing.contains("paper/paper.tex:5:8: there is no file `parts/none`"), "{missing}");
    let outside = refused(&TEXT.replace("parts/more", "../drawing.pdf"));
    assert!(outside.contains("`../drawing.pdf` lies outside of the paper's folder"), "{outside}");
    let references = refused(&TEXT.replace("\\end{document}", "\\bibliography{refs}\n\\end{document}"));
    assert!(references.contains("there is no `paper/paper.bbl`"), "{references}");
    let figure = refused(&TEXT.replace("]{law}", "]{lwa}"));
    assert!(figure.contains("there is no figure `lwa` in the run") && figure.contains("`law`"), "{figure}");
}
