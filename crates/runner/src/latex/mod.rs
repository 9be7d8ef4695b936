//! `latex`: a document as a stage. It is built in a folder of its own, in which nothing lies but its inputs, with the clock and the
//! paths of the machine turned off.

mod engine;
mod error;
mod layout;
mod log;
mod read;

use crate::command::wait;
use crate::kind::context::Context;
use crate::kind::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError, Tool};
use engine::Engine;
use error::LatexError;
use jiff::civil::Date;
use layout::{DOCUMENT, Layout, MAIN};
use log::Log;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// Builds a document.
pub struct LatexStage;

/// The parameters of the kind `latex`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What the PDF is called, without `.pdf`.
    #[serde(default = "paper")]
    name: String,
    /// What builds the document.
    #[serde(default)]
    engine: Engine,
    /// What `\today` stands for, as `2026-11-29`. A stage knows no clock: without it, it is the first of January 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    date: Option<String>,
}

fn paper() -> String {
    "paper".to_owned()
}

impl Params {
    /// The date in seconds since 1970; none where it is no date.
    fn seconds(&self) -> Option<i64> {
        let date: Date = self.date.as_deref().unwrap_or("1970-01-01").parse().ok()?;
        Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
    }
}

impl Stage for LatexStage {
    type Params = Params;

    const KIND: &'static str = "latex";
    const SUMMARY: &'static str = "Builds a LaTeX document from its inputs, to the same bytes on every run.";
    const PARALLEL: bool = false;

    fn inputs() -> Inputs {
        let main = Input::one(MAIN, "the document, as `{file: paper.tex}`");
        Inputs { named: vec![main], others: true }
    }

    fn outputs(params: &Params) -> Vec<Output> {
        let bibliography = Output::file("bbl", &format!("{}.bbl", params.name), "what BibTeX made");
        vec![
            Output::file("pdf", &format!("{}.pdf", params.name), "the document"),
            Output { optional: true, ..bibliography },
        ]
    }

    fn tools(params: &Params) -> Vec<Tool> {
        params.engine.tools()
    }

    fn check(params: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        let plain = |sign: char| sign.is_ascii_alphanumeric() || "-_.".contains(sign);
        let named =
            !params.name.is_empty() && params.name.chars().all(plain) && !params.name.starts_with('.');
        checks.ensure(named, "name", || "must be of letters, digits, `-`, `_` and `.`".into());
        checks.ensure(params.seconds().is_some_and(|seconds| seconds >= 0), "date", || {
            "must be a date from 1970 on, like `2026-11-29`".into()
        });
        checks.0
    }

    fn run(params: &Params, ctx: &Context) -> Result<(), StageError> {
        let folder = ctx.work().join("document");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        // What TeX tells of its folder is free of links.
        let folder = fs::canonicalize(folder)?;
        let built = build(params, &folder, ctx);
        // What is left of it is of no use, and the next attempt begins anew.
        fs::remove_dir_all(&folder)?;
        built
    }
}

fn build(params: &Params, folder: &Path, ctx: &Context) -> Result<(), StageError> {
    let layout = Layout::of(ctx, folder)?;
    engine::wrap(folder)?;
    let program = params.engine.program(folder, &layout, params.seconds().unwrap_or_default(), ctx)?;
    tracing::info!(folder = %folder.display(), "building the document");
    let status = wait(program.spawn()?, ctx)?;
    if ctx.cancelled() {
        return Err(StageError::Cancelled);
    }
    let log = Log::read(&folder.join(DOCUMENT).with_extension("log"))?;
    if !status.success() {
        // latexmk also gives up where it looks in vain for what BibTeX would make of references that are not there.
        let missing = || read::no_bibliography(folder).ok().flatten();
        return Err(match log.fault(&layout).or_else(|| read::bibtex(folder)).or_else(missing) {
            Some(fault) => fault.advised(&layout, ctx.root()),
            None => LatexError::Failed { program: params.engine.name(), status }.into(),
        });
    }
    let read = params.engine.read(folder)?;
    if let Some(path) = read::undeclared(&read, folder, &params.engine.trees(ctx)?) {
        return Err(LatexError::Undeclared { path }.advised(&layout, ctx.root()));
    }
    if let Some(fault) = read::no_bibliography(folder)? {
        return Err(fault.advised(&layout, ctx.root()));
    }
    log.warnings().tell();
    let made = |extension: &str| folder.join(DOCUMENT).with_extension(extension);
    fs::copy(made("pdf"), ctx.output("pdf")?)?;
    if made("bbl").exists() {
        fs::copy(made("bbl"), ctx.output("bbl")?)?;
    }
    Ok(())
}
