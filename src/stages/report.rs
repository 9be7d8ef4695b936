//! The stage kind `report`: one self-contained HTML page of figures, tables and text.

use super::context::{Context, Item};
use super::figure::{labels, required};
use super::stage::{Checks, Inputs, Issue, Output, Stage, StageError};
use crate::report::error::ReportError;
use crate::report::html::{Block, Image, Page, Section};
use crate::report::plot::coordinates;
use crate::report::tables::Table;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;

/// Makes a page.
pub struct ReportStage;

/// What the page holds. Texts and captions are a small Markdown: paragraphs, lists, `###` headings, **bold**, *italic*, `code`,
/// [links](https://www.rust-lang.org), simple mathematics as in `$e^{-\gamma A}$`; `{name}` refers to the figure or table of
/// the input `name`, as in 'see {law}'.
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
    /// The tables: inputs that hold a Parquet or CSV table, as `table.parquet` (which brings its headings and caption).
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
                    let image = Image::from_bytes(bytes).ok_or_else(|| ReportError::NotAnImage { input: name.into() })?;
                    blocks.push(Block::Figure { name: name.into(), image, caption: full_caption(caption, item) });
                }
            }
            for reference in &section.tables {
                let (name, caption) = reference.parts();
                for item in required(ctx, name)? {
                    let table = Box::new(Table::load(&item.path)?);
                    let caption = if caption.is_empty() { &table.caption } else { caption };
                    let caption = full_caption(caption, item);
                    blocks.push(Block::Table { name: name.into(), table, caption });
                }
            }
            page.sections.push(Section { heading: section.heading.clone(), text: section.text.clone(), blocks });
        }
        for items in ctx.inputs().values() {
            for item in items {
                let digest = Sha256::digest(fs::read(&item.path)?);
                let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                page.provenance.push((item_name(item), digest));
            }
        }
        fs::write(ctx.output("html")?, page.html()?)?;
        Ok(())
    }
}

/// The caption with the coordinates of the artifact, where it is one instance of a matrix.
fn full_caption(caption: &str, item: &Item) -> String {
    match coordinates(&labels(item)) {
        coordinates if coordinates.is_empty() => caption.to_owned(),
        coordinates => format!("{caption} ({coordinates})").trim_start().to_owned(),
    }
}

fn item_name(item: &Item) -> String {
    match coordinates(&labels(item)) {
        coordinates if coordinates.is_empty() => item.name.clone(),
        coordinates => format!("{} [{coordinates}]", item.name),
    }
}
