//! A figure as PDF: its text is text, the font is in it, and the bytes are the same wherever it is drawn.

mod common;

use common::Project;
use std::fs;
use std::process::Command;

const FIGURE: &str = "\
name: drawn
stages:
  table: {kind: command, run: 'printf \"lr,loss\\n1,2\\n2,3\\n3,5\\n\" > ${outputs.t}', outputs: {t: t.csv}}
  law:
    kind: figure
    inputs: {points: table.t}
    params:
      title: Searched and found
      x: {label: learning rate λ}
      y: {label: validation loss}
      marks:
        - {mark: line, input: points, x: lr, y: loss, label: measured}
        - {mark: points, input: points, x: lr, y: loss}
";

/// What a program of poppler prints.
fn poppler(program: &str, arguments: &[&std::ffi::OsStr]) -> Option<String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(_) => {
            println!("skipped: there is no {program}; `.ci/setup` installs it");
            None
        }
    }
}

#[test]
fn its_labels_are_found_and_its_font_is_in_it() {
    let project = Project::new(FIGURE);
    let ran = project.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let file = project.path("artifacts/drawn/law/figure.pdf");
    let Some(text) = poppler("pdftotext", &[file.as_os_str(), "-".as_ref()]) else { return };
    for label in ["Searched and found", "learning rate λ", "validation loss", "measured"] {
        assert!(text.contains(label), "{label}: {text}");
    }
    let Some(fonts) = poppler("pdffonts", &[file.as_os_str()]) else { return };
    for font in fonts.lines().skip(2) {
        // Name, type, encoding, then: embedded, a part, with its characters.
        assert!(font.contains("+DejaVuSans") && font.contains("yes yes yes"), "{fonts}");
    }
    assert_eq!(fonts.lines().count(), 4, "{fonts}");
    let Some(facts) = poppler("pdfinfo", &[file.as_os_str()]) else { return };
    assert!(!facts.contains("Date"), "{facts}");
}

#[test]
fn it_has_the_same_bytes_in_another_folder() {
    let drawn = || {
        let project = Project::new(FIGURE);
        assert_eq!(project.run(&[]).status, 0);
        fs::read(project.path("artifacts/drawn/law/figure.pdf")).unwrap()
    };
    let first = drawn();
    assert!(first.starts_with(b"%PDF-1.5"));
    assert!(first == drawn());
}
