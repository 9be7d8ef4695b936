//! `ro-crate-preview.html`: a crate as a page, for people.

use crate::export::ro_crate::citation;
use crate::export::ro_crate::entities::encoded;
use crate::export::ro_crate::metadata::NAME;
use crate::export::ro_crate::told::{Told, parameters, typed};
use crate::pages::shell::{Assets, Shell, stranger};
use crate::pipeline::spec::about::ORCID;
use crate::words::{count, moment, plural, size};
use maud::{Markup, html};
use serde_json::Value;

/// So many results are listed.
const RESULTS: usize = 2_000;

/// The page. It asks nobody for anything.
pub fn page(told: &Told) -> String {
    let nav = ["About", "Parameters", "Steps", "Results", "Import"]
        .map(|name| (format!("#{}", name.to_lowercase()), name.to_owned()));
    let title = stranger(told.title());
    Shell { title: &title, assets: Assets::Inlined, curves: false, nav: &nav, body: body(told) }.html()
}

fn body(told: &Told) -> Markup {
    let account = told.account;
    let about = &told.description.about;
    html! {
        h1 id="about" { (stranger(told.title())) }
        p { (stranger(&told.words())) }
        dl.facts {
            @if !about.authors.is_empty() {
                dt { "Authors" }
                dd { @for (at, author) in about.authors.iter().enumerate() {
                    @if at > 0 { "; " }
                    @match &author.orcid {
                        Some(orcid) => a href={ (ORCID) (orcid) } { (stranger(&author.full_name())) },
                        None => (stranger(&author.full_name())),
                    }
                    @if let Some(affiliation) = &author.affiliation { ", " (stranger(affiliation)) }
                } }
            }
            dt { "Licence" }
            dd { @if let Some(license) = &about.license { (license) } @else { "none is given" } }
            dt { "Run" }
            dd { code { (account.run) } " of " code { (account.pipeline) } @if let Some(started) = account.started { ", " (moment(started)) } }
            dt { "Program" }
            dd { "onsager " (stranger(&account.version)) @if !account.kernel.is_empty() { ", kernel level " (stranger(&account.kernel)) } }
            dt { "Files" }
            dd {
                @for text in told.texts { (link(&text.path)) " " }
                (link(NAME))
                @if !about.authors.is_empty() { @for (file, _) in citation::FILES { " " (link(file)) } }
            }
        }
        h2 id="parameters" { "Parameters" }
        (table("Parameters", &["Parameter", "Value"], parameters(told).iter().map(|(name, value)| {
            let value = match typed(value).1 { Value::String(text) => text, value => value.to_string() };
            vec![html! { (stranger(name)) }, html! { (stranger(&value)) }]
        })))
        @if account.points.len() > 1 { p { "The run has " (plural(account.points.len(), "point")) "; these are the values of the first." } }
        h2 id="steps" { "Steps" }
        (table("Steps", &["Stage", "Kind", "What it is for"], told.description.stages.iter().map(|stage| {
            let words = stage.description.as_deref().unwrap_or_default();
            vec![html! { (stranger(&stage.name)) }, html! { (stranger(&stage.kind)) }, html! { (stranger(words)) }]
        })))
        h2 id="results" { "Results" }
        @if !told.objects { p { "The files are not in this archive. Their digests tell whether a file is the same." } }
        (table("Results", &["Result", "File", "Size", "SHA-256"], told.results.iter().take(RESULTS).map(|result| {
            let path = if told.objects { link(&result.path) } else { html! { (stranger(&result.path)) } };
            let digest = html! { code { (result.content.digest.short()) } };
            vec![html! { (stranger(&format!("{}.{}", result.task, result.output))) }, path, html! { (size(result.content.size)) }, digest]
        })))
        @if told.results.len() > RESULTS { p { "and " (count((told.results.len() - RESULTS) as u64)) " more" } }
        @if !told.inputs.is_empty() {
            h3 { "Read from outside" }
            (table("Inputs", &["File", "Here", "SHA-256"], told.inputs.iter().map(|input| {
                let here = input.held.as_ref().map_or_else(|| html! { "no" }, |held| link(&held.path));
                vec![html! { (stranger(&input.called)) }, here, html! { code { (input.digest.short()) } }]
            })))
        }
        h2 id="import" { "Import" }
        @if told.objects {
            p { "Unpack this archive, and take the results into the store of that folder. Then nothing is executed:" }
            pre tabindex="0" { code { "onsager store import FILE.zip\nonsager run " (stranger(told.texts.first().map_or("", |text| &text.path))) "\n" } }
        } @else {
            p { "The results are not in this archive, so there is nothing to import." }
        }
    }
}

fn link(path: &str) -> Markup {
    html! { a href=(encoded(path)) { (stranger(path)) } }
}

fn table(name: &str, heads: &[&str], rows: impl Iterator<Item = Vec<Markup>>) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(name) { table {
            thead { tr { @for head in heads { th scope="col" { (head) } } } }
            tbody { @for row in rows { tr { @for cell in row { td { (cell) } } } } }
        } }
    }
}
