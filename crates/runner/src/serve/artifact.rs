//! An artifact: a table, an image, the names of tensors, a text, or what is in a folder.

use crate::pages::shell;
use crate::serve::ask::{Ask, Fault, link};
use crate::serve::frame;
use crate::serve::looking::Looking;
use crate::serve::preview::{self, Sort};
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::listing::Listed;
use crate::store::objects::{Content, Shape};
use crate::words::{count, plural, size};
use maud::{Markup, html};
use onsager_tables::columns::Columns;
use onsager_tables::head::Heads;
use onsager_tables::read;
use onsager_tables::value::Value;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// So much is shown of a table, of a text, of a folder, of a file of tensors.
const ROWS: usize = 200;
const COLUMNS: usize = 50;
const TEXT_BYTES: u64 = 256 << 10;
const FILES: usize = 500;
const TENSORS: usize = 2_000;
const BINARY_BYTES: usize = 512;

pub fn page(looking: &Looking, ask: &Ask) -> Result<String, Fault> {
    let store = &looking.store;
    let digest = ask.digest("digest")?;
    let name = ask.get("name").unwrap_or("artifact");
    let path = store.objects().path(&digest);
    let Ok(data) = fs::metadata(&path) else {
        let message = format!(
            "object {} is not in the store: it was collected, and the next run that needs it makes it again",
            digest.short()
        );
        return Err(Fault::missing(message));
    };
    let shown = match ask.get("folder") {
        Some(_) => folder(store, name, &digest)?,
        None => file(&path, &digest, looking.heads.as_deref())?,
    };
    let title = shell::stranger(name);
    let body = html! {
        h1 { (title) }
        p.muted { code { (digest) } ", " (size(data.len())) }
        @if ask.get("folder").is_none() { p { a href=(link("/object", &[("digest", &digest.to_string()), ("download", name)])) { "Download" } } }
        (shown)
    };
    Ok(frame::page(&title, false, body))
}

/// An output in a few words, with its image where it is one.
pub fn card(store: &Store, output: &str, content: &Content) -> Markup {
    let name = shell::stranger(output);
    let digest = content.digest.to_string();
    let folder = if content.shape == Shape::Folder { "1" } else { "" };
    let to = link("/artifact", &[("digest", &digest), ("name", output), ("folder", folder)]);
    let image = content.shape == Shape::File
        && matches!(preview::sort(&store.objects().path(&content.digest)), Ok(Sort::Image(_)));
    html! {
        div.result {
            h3 { @if content.is_absent() { (name) } @else { a href=(to) { (name) } } }
            p.muted { @if content.is_absent() { "not written" } @else { (size(content.size)) @if content.shape == Shape::Folder { ", a folder" } } }
            @if image { div.plate { img src=(link("/object", &[("digest", &digest)])) alt=(name) loading="lazy"; } }
        }
    }
}

fn folder(store: &Store, name: &str, digest: &Digest) -> Result<Markup, Fault> {
    let entries = store.objects().entries(digest)?;
    Ok(html! {
        p { (plural(entries.len(), "entry").replace("entrys", "entries")) }
        div.scroll tabindex="0" role="region" aria-label="Files" { table {
            thead { tr { th scope="col" { "File" } th.n scope="col" { "Size" } } }
            tbody { @for entry in entries.iter().take(FILES) {
                @let path = entry.path.to_string_lossy();
                tr { @match &entry.what {
                    Listed::File { digest, size: bytes, .. } => {
                        td.name { a href=(link("/artifact", &[("digest", &digest.to_string()), ("name", &format!("{name}/{path}"))])) { (shell::stranger(&path)) } }
                        td.n { (size(*bytes)) }
                    },
                    _ => { td.name { (shell::stranger(&path)) } td {} },
                } }
            } }
        } }
        @if entries.len() > FILES { p.muted { "and " (entries.len() - FILES) " more" } }
    })
}

fn file(path: &Path, digest: &Digest, heads: Option<&dyn Heads>) -> Result<Markup, Fault> {
    let failed = |error: std::io::Error| Fault::failed(format!("the object cannot be read: {error}"));
    Ok(match preview::sort(path).map_err(failed)? {
        Sort::Image(_) => {
            html! { div.plate { img src=(link("/object", &[("digest", &digest.to_string())])) alt="the artifact"; } }
        }
        Sort::Parquet => match heads.map(|heads| heads.head(path, ROWS)) {
            Some(Ok((columns, all))) => table(&columns, Some(all)),
            Some(Err(error)) => {
                html! { p.bad { "It cannot be read: " (shell::stranger(&error.to_string())) } }
            }
            None => html! { p { "It is a Parquet file, and this build has no reader of them." } },
        },
        Sort::Safetensors => match preview::tensors(path) {
            Ok((tensors, notes)) => html! {
                p { (plural(tensors.len(), "tensor")) }
                @if !notes.is_empty() { dl.facts { @for (name, text) in notes.iter().take(50) { dt { (shell::stranger(name)) } dd { (shell::stranger(text)) } } } }
                div.scroll tabindex="0" role="region" aria-label="Tensors" { table {
                    thead { tr { th scope="col" { "Name" } th scope="col" { "Type" } th scope="col" { "Shape" } th.n scope="col" { "Numbers" } } }
                    tbody { @for tensor in tensors.iter().take(TENSORS) { tr {
                        td.name { (shell::stranger(&tensor.name)) }
                        td { (shell::stranger(&tensor.kind)) }
                        td { (tensor.shape.iter().map(u64::to_string).collect::<Vec<_>>().join(" × ")) }
                        td.n { (count(tensor.shape.iter().fold(1u64, |all, side| all.saturating_mul(*side)))) }
                    } } }
                } }
                @if tensors.len() > TENSORS { p.muted { "and " (tensors.len() - TENSORS) " more" } }
            },
            Err(error) => html! { p.bad { "Its head cannot be read: " (error) } },
        },
        Sort::Text | Sort::Html => text(path).map_err(failed)?,
        Sort::Gzip => html! { p { "It is compressed by gzip." } },
        Sort::Pdf => html! { p { "It is a PDF: download it." } },
        Sort::Binary => binary(path).map_err(failed)?,
    })
}

/// A table of a text where it is one, and its beginning.
fn text(path: &Path) -> std::io::Result<Markup> {
    let all = fs::metadata(path)?.len();
    let mut bytes = Vec::new();
    File::open(path)?.take(TEXT_BYTES).read_to_end(&mut bytes)?;
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if all > TEXT_BYTES {
        // Whole lines only.
        text.truncate(text.rfind('\n').map_or(text.len(), |last| last + 1));
    }
    let json = text.trim_start().starts_with(['{', '[']);
    let columns = match json {
        true if all > TEXT_BYTES => None,
        true => read::json::table(&text).ok(),
        false => read::delimited::table(&text).ok().filter(|columns| columns.names().len() > 1),
    };
    let pretty = match json.then(|| serde_json::from_str::<serde_json::Value>(&text)) {
        Some(Ok(value)) => serde_json::to_string_pretty(&value).unwrap_or(text),
        _ => text,
    };
    let lines: Vec<String> = pretty.lines().map(crate::store::tail::shown).collect();
    let whole = all <= TEXT_BYTES;
    Ok(html! {
        @if let Some(columns) = columns.filter(|columns| columns.height() > 0) { (table(&columns, whole.then(|| columns.height()))) h2 { "Text" } }
        pre.log tabindex="0" { @for line in &lines { (line) "\n" } }
        @if !whole { p.muted { "The first " (size(TEXT_BYTES)) " of " (size(all)) "." } }
    })
}

fn table(columns: &Columns, all: Option<usize>) -> Markup {
    let shown: Vec<(String, Vec<Value>)> = columns.clone().into_inner();
    let height = columns.height().min(ROWS);
    let numeric = |values: &[Value]| values.iter().any(|value| value.number().is_some());
    html! {
        p { @if let Some(all) = all { (plural(all, "row")) } @else { "the first rows" } ", " (plural(shown.len(), "column"))
            @if all.is_none_or(|all| all > height) { "; the first " (height) " rows are shown" }
            @if shown.len() > COLUMNS { "; the first " (COLUMNS) " columns are shown" } }
        div.scroll.tall tabindex="0" role="region" aria-label="Table" { table {
            thead { tr { @for (name, values) in shown.iter().take(COLUMNS) { th scope="col" class=[numeric(values).then_some("n")] { (shell::stranger(name)) } } } }
            tbody { @for at in 0..height { tr { @for (_, values) in shown.iter().take(COLUMNS) {
                td class=[numeric(values).then_some("n")] { @if values[at] != Value::Null { (shell::stranger(&values[at].to_string())) } }
            } } } }
        } }
    }
}

fn binary(path: &Path) -> std::io::Result<Markup> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BINARY_BYTES as u64).read_to_end(&mut bytes)?;
    let lines = bytes.chunks(16).enumerate().map(|(at, chunk)| {
        let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let plain: String =
            chunk.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }).collect();
        format!("{:06x}  {:47}  {plain}\n", at * 16, hex.join(" "))
    });
    Ok(
        html! { p { "The first " (bytes.len()) " bytes:" } pre.log tabindex="0" { (lines.collect::<String>()) } },
    )
}
