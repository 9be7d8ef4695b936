//! The stage kind `report`: one self-contained HTML page of figures, tables and text.

use crate::kinds::report::claims;
use crate::kinds::report::figure::{labels, required};
use onsager_report::error::ReportError;
use onsager_report::page::html::{Block, Image, Origin, Page, Section, Source};
use onsager_report::page::markup::{self, TextError};
use onsager_report::tables::presentation;
use onsager_runner::kind::context::{Context, Item};
use onsager_runner::kind::stage::{Checks, Inputs, Issue, Output, Stage, StageError};
use onsager_tables::names::did_you_mean;
use onsager_tables::value::coordinates;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;

/// Makes a page.
pub struct ReportStage;

/// What the page holds. Texts and captions are Markdown: paragraphs, lists, `###` headings, **bold**, *italic*, `code`,
/// [links](https://www.rust-lang.org), LaTeX in `$e^{-\gamma A}$` and, on a line of its own, in `$$…$$`; `{name}` refers to the
/// figure or table of the input `name`, as in 'see {law}', and `\{` is a brace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The title.
    pub title: String,
    /// The authors, or any other lines to stand below the title.
    #[serde(default)]
    pub authors: Vec<String>,
    /// A summary that stands before the table of contents.
    #[serde(default, rename = "abstract")]
    pub summary: String,
    /// The sections, in order.
    pub sections: Vec<SectionParams>,
}

/// A section: its text, then its figures, then its tables. A section without a heading continues the one before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SectionParams {
    /// The heading.
    #[serde(default)]
    pub heading: String,
    /// The text.
    #[serde(default)]
    pub text: String,
    /// The figures: inputs that hold an SVG or a PNG, as `figure.svg`.
    #[serde(default)]
    pub figures: Vec<Reference>,
    /// The tables: inputs that hold a Parquet or CSV table, as `table.parquet` (which brings its headings and caption); `values.json`
    /// is a table of the claims in it.
    #[serde(default)]
    pub tables: Vec<Reference>,
}

/// An input, alone or with a caption.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Reference {
    /// The name of the input.
    Input(String),
    /// The input with its caption.
    Captioned(Captioned),
}

/// An input with its caption.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Captioned {
    /// The name of the input.
    pub input: String,
    /// The caption.
    pub caption: String,
}

impl Reference {
    fn parts(&self) -> (&str, &str) {
        match self {
            Reference::Input(input) => (input, ""),
            Reference::Captioned(Captioned { input, caption }) => (input, caption),
        }
    }
}

impl Stage for ReportStage {
    type Params = Params;

    const KIND: &'static str = "report";
    const SUMMARY: &'static str = "Makes one self-contained HTML page of text, figures and tables.";

    fn inputs() -> Inputs {
        Inputs::any()
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![Output::file("html", "report.html", "the page, which needs no other file")]
    }

    fn check(params: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        checks.ensure(!params.title.trim().is_empty(), "title", || "must not be empty".into());
        checks.ensure(!params.sections.is_empty(), "sections", || "must hold at least one section".into());
        checks.0.extend(texts(params));
        checks.0
    }

    fn run(params: &Params, ctx: &Context) -> Result<(), StageError> {
        let mut page = Page {
            title: params.title.clone(),
            authors: params.authors.clone(),
            summary: params.summary.clone(),
            ..Page::default()
        };
        for section in &params.sections {
            let mut blocks = Vec::new();
            for reference in &section.figures {
                let (name, caption) = reference.parts();
                for item in required(ctx, name)? {
                    let bytes = fs::read(&item.path)?;
                    let source = source(item, &bytes);
                    let image = Image::from_bytes(bytes)
                        .ok_or_else(|| ReportError::NotAnImage { input: name.into() })?;
                    blocks.push(Block::Figure {
                        name: name.into(),
                        image,
                        caption: full_caption(caption, item),
                        source,
                    });
                }
            }
            for reference in &section.tables {
                let (name, caption) = reference.parts();
                for item in required(ctx, name)? {
                    let bytes = fs::read(&item.path)?;
                    let table = match claims::table(&bytes) {
                        Some(claims) => Box::new(claims),
                        None => Box::new(presentation::load(&item.path)?),
                    };
                    let caption = if caption.is_empty() { &table.caption } else { caption };
                    let caption = full_caption(caption, item);
                    let source = source(item, &bytes);
                    blocks.push(Block::Table { name: name.into(), table, caption, source });
                }
            }
            page.sections.push(Section {
                heading: section.heading.clone(),
                text: section.text.clone(),
                blocks,
            });
        }
        for items in ctx.inputs().values() {
            for item in items {
                let bytes = fs::read(&item.path)?;
                let name = item_name(item);
                page.provenance.extend(claims::sources(&bytes, &name));
                page.provenance.push(Origin { name, digests: vec![sha256(&bytes)] });
            }
        }
        fs::write(ctx.output("html")?, page.html()?)?;
        Ok(())
    }
}

/// What is wrong with the texts.
fn texts(params: &Params) -> Vec<Issue> {
    let shown = || params.sections.iter().flat_map(|section| section.figures.iter().chain(&section.tables));
    let names: Vec<&str> = shown().map(|reference| reference.parts().0).collect();
    let refer = |name: &str| names.contains(&name).then(String::new);
    let mut issues = Vec::new();
    let mut check =
        |field: String, text: &str, read: fn(&str, markup::Refer) -> Result<String, TextError>| {
            if let Err(error) = read(text, &refer) {
                let issue = Issue::new(&field, error.to_string()).part(error.part());
                issues.push(match &error {
                    TextError::NoReference { name } => {
                        issue.help(did_you_mean(name, names.iter().copied(), "it has").unwrap_or_else(|| {
                            format!("name it under `figures` or `tables`, or write `\\{{{name}}}` for braces")
                        }))
                    }
                    TextError::Mathematics { .. } => issue,
                });
            }
        };
    check("title".into(), &params.title, markup::inline);
    for (i, author) in params.authors.iter().enumerate() {
        check(format!("authors[{i}]"), author, markup::inline);
    }
    check("abstract".into(), &params.summary, markup::blocks);
    for (i, section) in params.sections.iter().enumerate() {
        check(format!("sections[{i}].heading"), &section.heading, markup::inline);
        check(format!("sections[{i}].text"), &section.text, markup::blocks);
        for (list, references) in [("figures", &section.figures), ("tables", &section.tables)] {
            for (k, reference) in references.iter().enumerate() {
                check(format!("sections[{i}].{list}[{k}].caption"), reference.parts().1, markup::inline);
            }
        }
    }
    issues
}

/// The caption with the coordinates of the artifact, where it is one instance of a matrix.
fn full_caption(caption: &str, item: &Item) -> String {
    match coordinates(&labels(item)) {
        coordinates if coordinates.is_empty() => caption.to_owned(),
        coordinates => format!("{caption} ({coordinates})").trim_start().to_owned(),
    }
}

/// Where a figure or table comes from.
fn source(item: &Item, bytes: &[u8]) -> Source {
    Source {
        artifact: item.name.clone(),
        coordinates: coordinates(&labels(item)),
        digest: sha256(bytes),
        bytes: bytes.len(),
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn item_name(item: &Item) -> String {
    match coordinates(&labels(item)) {
        coordinates if coordinates.is_empty() => item.name.clone(),
        coordinates => format!("{} [{coordinates}]", item.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onsager_runner::kind::registry::Registry;
    use onsager_runner::kind::trial::Trial;
    use std::path::{Path, PathBuf};

    /// Runs a kind on `inputs` (name, file, label) in `folder`, as a pipeline would.
    fn run(
        kind: &str,
        params: &str,
        inputs: &[(&str, PathBuf, Option<&str>)],
        folder: &Path,
    ) -> Result<(), StageError> {
        let mut registry = Registry::empty();
        registry.add::<crate::kinds::report::figure::FigureStage>("test");
        registry.add::<crate::kinds::report::table::TableStage>("test");
        registry.add::<ReportStage>("test");
        let kind = registry.get(kind).unwrap();
        let mut trial = Trial::new(folder);
        for (name, path, system) in inputs {
            let labels = system.map(|system| ("system".to_owned(), system.into())).into_iter().collect();
            trial = trial.input(name, Item { path: path.clone(), name: format!("stage.{name}"), labels });
        }
        trial.run(kind, &serde_yaml::from_str(params).unwrap()).map(drop)
    }

    const FIGURE: &str = r#"
        width: 150
        panel: system
        x: {label: "Action A (mσ²/δt)"}
        y: {label: "−ln P"}
        names: {free: Free particle, harmonic: Harmonic oscillator}
        marks:
          - {mark: points, input: points, x: action, y: neg_ln_p, where: {estimator: counting}, label: counted}
          - {mark: rule, input: fit, slope: gamma, intercept: intercept, label: fitted, colour: vermillion, line: solid}
          - {mark: rule, slope: 0.5, intercept: 1, label: predicted}
    "#;

    const TABLE: &str = r#"
        columns:
          - {column: system, title: System}
          - {column: gamma, title: "γ"}
          - {column: gamma*2, title: "γ · 2mD", digits: 4}
        names: {free: Free particle, harmonic: Harmonic oscillator}
        caption: The fitted slope, with its 95% interval.
    "#;

    const REPORT: &str = r#"
        title: How probable is a path?
        authors: [A. Author, B. Author]
        abstract: |
          The probability of a path falls as $P \propto e^{-\gamma A}$ with its action. The slope is $\gamma = 1/(2mD)$
          for the **free particle**, see {law} and {slopes}.
        sections:
          - heading: Random motion
            text: |
              A particle moves around its least-action path $f$: $x_i = x_{i-1} + (f_i - f_{i-1}) + \chi_i$.

              - the tubes are narrow
              - the estimate is `counting`
            figures: [{input: law, caption: "The law, a panel per system."}]
          - heading: Slopes
            text: The slopes of {law}.
            tables: [slopes]
    "#;

    #[test]
    fn a_figure_and_a_table_become_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (system, slope) in [("free", 0.5), ("harmonic", 0.47)] {
            let rows = (0..80)
                .map(|i| format!("counting,{},{}\n", 0.1 * f64::from(i), 1.0 + 0.1 * slope * f64::from(i)));
            let text = format!("estimator,action,neg_ln_p\n{}quadrature,100,100\n", rows.collect::<String>());
            std::fs::write(at(&format!("points-{system}.csv")), text).unwrap();
            let fit = format!(
                "gamma,gamma_lower,gamma_upper,intercept\n{slope},{},{},1\n",
                slope - 0.01,
                slope + 0.01
            );
            std::fs::write(at(&format!("fit-{system}.csv")), fit).unwrap();
        }
        let both = |kind: &'static str| {
            ["free", "harmonic"].map(|system| (kind, at(&format!("{kind}-{system}.csv")), Some(system)))
        };
        let inputs: Vec<_> = both("points").into_iter().chain(both("fit")).collect();
        run("figure", FIGURE, &inputs, folder.path()).unwrap();
        run("table", TABLE, &both("fit"), folder.path()).unwrap();
        let table = std::fs::read_to_string(at("table.md")).unwrap();
        assert!(table.contains("| Free particle | 0.500 ± 0.010 | 1.000 |\n"), "{table}");
        let inputs = [("law", at("figure.svg"), None), ("slopes", at("table.parquet"), None)];
        run("report", REPORT, &inputs, folder.path()).unwrap();
        let page = std::fs::read_to_string(at("report.html")).unwrap();
        assert!(page.contains("The slopes of <a href=\"#figure-1\">Figure 1</a>."));
        assert!(page.contains("<td class=\"n\">0.470 ± 0.010</td>") && page.contains("<svg role=\"img\""));
        if let Ok(gallery) = std::env::var("ONSAGER_GALLERY") {
            for name in ["report.html", "figure.svg", "figure.png", "table.tex"] {
                std::fs::copy(at(name), Path::new(&gallery).join(name)).unwrap();
            }
        }

        let error = run("figure", FIGURE, &both("points"), folder.path()).unwrap_err();
        assert_eq!(error.to_string(), "no input `fit`; the inputs are `points`");
        let error = run("report", REPORT, &[("law", at("table.md"), None)], folder.path()).unwrap_err();
        assert!(error.to_string().starts_with("`law` is neither an SVG nor a PNG"), "{error}");
    }
}
