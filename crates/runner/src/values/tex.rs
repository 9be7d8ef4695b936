//! `values.tex`: what `onsager.sty` reads.

use crate::numbers::claims::judge::Outcome;
use crate::numbers::show;
use crate::pipeline::spec::metrics::Show;
use crate::values::document::{Document, File};
use crate::values::params::Wanted;
use onsager_tables::cells::latex_text;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The numbers of significant digits that a text may ask for.
const DIGITS: std::ops::RangeInclusive<usize> = 1..=9;
/// A digest is broken between lines after so many digits.
const PIECE: usize = 16;

/// The whole file.
pub fn text(document: &Document, wanted: &[Wanted]) -> String {
    let plain = Show::default();
    let mut out = String::from("% Read by onsager.sty. Written by onsager: do not edit.\n");
    for (name, value) in &document.values {
        let show =
            wanted.iter().find(|wanted| wanted.name == value.metric).map_or(&plain, |wanted| &wanted.show);
        let said = |digits| match show::short(&value.number, show, digits) {
            (text, true) => (format!("\\ensuremath{{{text}}}"), true),
            (text, false) => (text, false),
        };
        let (short, is_number) = said(None);
        let pm = show::with_interval(&value.number, show);
        let pm = pm.map(|text| format!("\\ensuremath{{{text}}}")).unwrap_or_default();
        let unit = show::unit(show).map(|unit| format!("\\ensuremath{{{unit}}}")).unwrap_or_default();
        let name = tex_name(name);
        line(&mut out, "value", &[&name, &value.source, &short, &pm, &unit]);
        for digits in DIGITS.filter(|_| is_number) {
            line(&mut out, "digits", &[&name, &digits.to_string(), &said(Some(digits)).0]);
        }
    }
    for (name, file) in &document.figures {
        line(&mut out, "figure", &[&tex_name(name), &file.source, &file.file]);
    }
    for (name, file) in &document.tables {
        let form = if file.floats { "float" } else { "plain" };
        line(&mut out, "table", &[&tex_name(name), &file.source, &file.file, form]);
    }
    for claim in &document.claims {
        let Some(name) = &claim.name else { continue };
        let outcome = if claim.judged.outcome == Outcome::Holds { "holds" } else { "fails" };
        let checked = format!("\\texttt{{{}}}", latex_text(&claim.claim));
        let says =
            claim.text.as_ref().map_or(checked.clone(), |text| format!("{} ({checked})", latex_text(text)));
        let reached = latex_text(&claim.judged.reached);
        line(&mut out, "claim", &[&tex_name(name), outcome, &says, &reached]);
    }
    let uses = uses(document);
    for (id, source) in &document.sources {
        let digests: Vec<String> = source.sha256.iter().map(|digest| pieces(digest)).collect();
        let names = uses.get(id.as_str()).map(|names| names.join(", ")).unwrap_or_default();
        line(&mut out, "source", &[id, &source.from, &digests.join(", "), &names]);
    }
    out
}

fn line(out: &mut String, command: &str, arguments: &[&str]) {
    // Memory takes whatever is written to it.
    let _ = write!(out, "\\onsager@{command}");
    for argument in arguments {
        let _ = write!(out, "{{{argument}}}");
    }
    out.push_str("%\n");
}

/// What comes from each source, as LaTeX.
fn uses(document: &Document) -> BTreeMap<&str, Vec<String>> {
    let mut uses: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let said = |what: &str, name: &str| format!("{what}\\texttt{{\\detokenize{{{}}}}}", tex_name(name));
    for (name, value) in &document.values {
        uses.entry(&value.source).or_default().push(said("", name));
    }
    let files = |what: &'static str, files: &'_ BTreeMap<String, File>| -> Vec<(String, String)> {
        files.iter().map(|(name, file)| (file.source.clone(), said(what, name))).collect()
    };
    for (source, name) in
        files("figure ", &document.figures).into_iter().chain(files("table ", &document.tables))
    {
        if let Some((id, _)) = document.sources.get_key_value(&source) {
            uses.entry(id).or_default().push(name);
        }
    }
    uses
}

/// A name as LaTeX can read it: what is special there becomes a hyphen.
pub fn tex_name(name: &str) -> String {
    let plain =
        |c: char| if matches!(c, '#' | '%' | '\\' | '{' | '}' | '~' | '^' | '&' | '$') { '-' } else { c };
    name.chars().map(plain).collect()
}

fn pieces(digest: &str) -> String {
    let pieces: Vec<&str> =
        (0..digest.len()).step_by(PIECE).filter_map(|at| digest.get(at..at + PIECE)).collect();
    pieces.join("\\allowbreak ")
}
