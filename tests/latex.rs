//! Documents as stages: the same bytes on every run, what is read and not declared is refused, errors have their place.

mod common;

use common::{Project, Ran, first_on_path, ran, there_is_tex};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

const PIPELINE: &str = "\
name: written
stages:
  numbers: {kind: command, run: 'printf \"\\\\\\\\newcommand{\\\\\\\\slope}{0.5}\" > ${outputs.n}', outputs: {n: n.tex}}
  paper:
    kind: latex
    inputs:
      main: {file: papers/one/paper.tex}
      numbers: numbers.n
      references: {file: papers/one/references.bib}
      sections: {file: papers/one/sections}
";

const PAPER: &str = r"\documentclass{article}
\usepackage{hyperref}
\input{numbers}
\begin{document}
\title{On slopes}\author{A. Writer}\maketitle
\section{Results}\label{sec:results}
The slope is $\slope$, as \cite{onsager} says.
\input{sections/outlook}
\bibliographystyle{plain}
\bibliography{references}
\end{document}
";

const REFERENCES: &str =
    "@article{onsager, author={L. Onsager}, title={Fluctuations}, journal={Phys. Rev.}, year={1953}}\n";

fn project() -> Project {
    let project = Project::new(PIPELINE);
    project.write("papers/one/paper.tex", PAPER);
    project.write("papers/one/references.bib", REFERENCES);
    project.write("papers/one/sections/outlook.tex", "More in Section~\\ref{sec:results}.\n");
    project
}

fn pdf(project: &Project) -> Vec<u8> {
    fs::read(project.path("artifacts/written/paper/paper.pdf")).unwrap()
}

/// What a run complains of when its one document is this.
fn complaint(project: &Project, paper: &str) -> String {
    project.write("papers/one/paper.tex", paper);
    let Ran { status, stderr, .. } = project.run(&[]);
    assert_eq!(status, 1, "{stderr}");
    stderr
}

#[test]
fn two_folders_and_two_runs_give_the_same_bytes() {
    if !there_is_tex() {
        return;
    }
    let first = project();
    let ran = first.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let document = pdf(&first);
    assert!(document.starts_with(b"%PDF"));
    let bibliography = first.read("artifacts/written/paper/paper.bbl");
    assert!(bibliography.contains("Fluctuations"), "{bibliography}");
    assert_eq!(first.executed(&[]), Vec::<String>::new());
    assert_eq!(first.executed(&["--force", "paper"]), ["paper"]);
    assert!(document == pdf(&first));
    // Another folder, another time zone, and what a user has set up for TeX.
    let second = project();
    second.write("home/.latexmkrc", "die 'this is not to be read';\n");
    second.write("home/texmf/tex/latex/numbers.tex", "\\newcommand{\\slope}{7}\n");
    let mut command = second.command(&["run", "pipeline.yaml"]);
    command.env("HOME", second.path("home")).env("TZ", "Asia/Tokyo").env("TEXINPUTS", second.path("home//"));
    let ran = common::ran(command.output().unwrap());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(document == pdf(&second));
    // A number that changed changes the document.
    second.write("pipeline.yaml", &PIPELINE.replace("{0.5}", "{0.7}"));
    assert_eq!(second.executed(&[]), ["numbers", "paper"]);
    assert!(document != pdf(&second));
}

#[test]
fn what_is_read_and_not_declared_is_refused() {
    if !there_is_tex() {
        return;
    }
    let project = project();
    project.write("pipeline.yaml", &PIPELINE.replace("      sections: {file: papers/one/sections}\n", ""));
    let told = complaint(&project, PAPER);
    assert!(
        told.contains("papers/one/paper.tex:8: the document reads `sections/outlook.tex`, which is no input"),
        "{told}"
    );
    assert!(told.contains("add `sections: {file: papers/one/sections}` to its `inputs`"), "{told}");
    // A file that lies elsewhere would be read, and is found in what TeX says that it read.
    project.write("data/secret.tex", "A number: 3.\n");
    let elsewhere = project.path("data/secret.tex").display().to_string();
    let told = complaint(&project, &PAPER.replace("sections/outlook", &elsewhere));
    assert!(told.contains(&format!("the document reads `{elsewhere}`, which is no input")), "{told}");
    assert!(told.contains("add `secret: {file: data/secret.tex}` to its `inputs`"), "{told}");
    // TeX itself does not read the references.
    project.write(
        "pipeline.yaml",
        &PIPELINE.replace("      references: {file: papers/one/references.bib}\n", ""),
    );
    let told = complaint(&project, PAPER);
    assert!(told.contains("the document reads `references.bib`, which is no input"), "{told}");
    assert!(told.contains("add `references: {file: papers/one/references.bib}`"), "{told}");
}

#[test]
fn errors_have_file_and_line() {
    if !there_is_tex() {
        return;
    }
    let project = project();
    let told = complaint(&project, &PAPER.replace("$\\slope$", "$\\slop$"));
    assert!(
        told.contains("papers/one/paper.tex:7: Undefined control sequence, at `The slope is $\\slop`"),
        "{told}"
    );
    project.write("papers/one/sections/outlook.tex", "One.\n\n\\begin{itemize}\nno item\n\\end{itemize}\n");
    let told = complaint(&project, PAPER);
    assert!(told.contains("papers/one/sections/outlook.tex:5: LaTeX Error: Something's wrong"), "{told}");
    project.write("papers/one/sections/outlook.tex", "More.\n");
    let told = complaint(&project, &PAPER.replace("{hyperref}", "{no-such-package}"));
    assert!(
        told.contains(
            "the document reads `no-such-package.sty`, which is no input of the stage, and is not installed"
        ),
        "{told}"
    );
    project.write("papers/one/references.bib", &format!("{REFERENCES}{REFERENCES}"));
    let told = complaint(&project, PAPER);
    assert!(told.contains("papers/one/references.bib:2: Repeated entry"), "{told}");
}

#[test]
fn what_is_not_as_it_should_be_is_summed_up() {
    if !there_is_tex() {
        return;
    }
    let project = project();
    project.write(
        "papers/one/sections/outlook.tex",
        "See \\ref{fig:nowhere} and \\cite{nobody}. \\hbox to 20cm{wide}\n",
    );
    let ran = project.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let log = project.onsager(&["log", "pipeline.yaml", "paper"]).stdout;
    assert!(
        log.contains(
            "the document has undefined references or citations: `fig:nowhere` (line 1), `nobody` (line 1)"
        ),
        "{log}"
    );
    assert!(log.contains("1 overfull line, the widest by "), "{log}");
}

#[test]
fn a_missing_program_is_told_with_its_package() {
    let project = project();
    let mut command = project.command(&["run", "pipeline.yaml"]);
    let Ran { status, stderr, .. } = ran(command.env("PATH", project.path("bin")).output().unwrap());
    assert_eq!(status, 1, "{stderr}");
    assert!(stderr.contains("the tool `latexmk -norc --version` does not say what it is"), "{stderr}");
    assert!(stderr.contains("install the packages `latexmk` and `texlive-latex-base`"), "{stderr}");
}

/// A program in the place of Tectonic: what it is asked, and what it says that it read.
#[test]
fn tectonic_builds_where_it_is_asked_for() {
    let project = project();
    project.write(
        "bin/tectonic",
        "#!/bin/sh\n[ \"$1\" = --version ] && echo Tectonic 0.15 && exit\necho \"$SOURCE_DATE_EPOCH $*\" > onsager-document.pdf\n\
         echo > onsager-document.aux\necho \"onsager-document.pdf: main.tex $SECRET\" > onsager-document.d\n",
    );
    fs::set_permissions(project.path("bin/tectonic"), fs::Permissions::from_mode(0o755)).unwrap();
    let engine = format!("{PIPELINE}    params: {{engine: tectonic, date: 2026-11-29, name: draft}}\n");
    project.write("pipeline.yaml", &engine);
    let run = |secret: &str| {
        let mut command = project.command(&["run", "pipeline.yaml", "--force", "paper"]);
        first_on_path(&mut command, &project.path("bin")).env("SECRET", secret);
        ran(command.output().unwrap())
    };
    let built = run("");
    assert_eq!(built.status, 0, "{}", built.stderr);
    let said = project.read("artifacts/written/paper/draft.pdf");
    assert!(said.starts_with("1795910400 -X compile --untrusted"), "{said}");
    let refused = run("/etc/passwd");
    assert!(
        refused.stderr.contains("the document reads `/etc/passwd`, which is no input"),
        "{}",
        refused.stderr
    );
}

/// The example of `docs/latex.md`.
#[test]
fn typst_is_a_command() {
    let python = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let python = python.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let bin = python.unwrap_or_default().join("onsager-checks/bin");
    let asked = Command::new(bin.join("python3")).args(["-c", "import typst"]).output();
    if !asked.is_ok_and(|asked| asked.status.success()) {
        return println!("skipped: there is no typst for Python; `.ci/setup` installs it");
    }
    let docs = fs::read_to_string(common::repository().join("docs/latex.md")).unwrap();
    let example = docs.split("```yaml\n").last().unwrap().split("```").next().unwrap();
    let stages = example.lines().map(|line| format!("  {line}\n")).collect::<String>();
    let numbers = "  numbers: {kind: command, run: \"echo '{\\\"slope\\\": 0.5}' > ${outputs.values}\", outputs: {values: values.json}}\n";
    let project = Project::new(&format!("name: typst\nstages:\n{numbers}{stages}"));
    project
        .write("paper.typ", "The slope is #json(sys.inputs.values).slope, on #datetime.today().display().\n");
    let run = || {
        let mut command = project.command(&["run", "pipeline.yaml", "--force", "paper"]);
        let ran = ran(first_on_path(&mut command, &bin).output().unwrap());
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        fs::read(project.path("artifacts/typst/paper/paper.pdf")).unwrap()
    };
    assert!(run() == run());
}
