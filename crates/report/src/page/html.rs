//! One self-contained page: styles, figures and data inside it, and no request to anywhere.

use super::markup::{TextError, blocks, inline};
use super::table;
use crate::error::ReportError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use onsager_tables::render::NOTE;
use onsager_tables::table::Table;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// A page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub title: String,
    /// In a line below the title.
    pub authors: Vec<String>,
    /// In the markup of [`super::markup`], like all texts and captions.
    pub summary: String,
    pub sections: Vec<Section>,
    /// What the page was made from: each file with its SHA-256, and what its numbers were read from.
    pub provenance: Vec<Origin>,
}

/// Artifacts that something on the page comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    pub name: String,
    /// The SHA-256 of each.
    pub digests: Vec<String>,
}

/// A part of the page.
#[derive(Debug, Clone, Default)]
pub struct Section {
    pub heading: String,
    pub text: String,
    pub blocks: Vec<Block>,
}

/// A numbered figure or table. `name` is what texts refer to as `{name}`.
#[derive(Debug, Clone)]
pub enum Block {
    Figure { name: String, image: Image, caption: String, source: Source },
    Table { name: String, table: Box<Table>, caption: String, source: Source },
}

/// The artifact that a figure or table is. It is all that a page can know of how that was made, for the page is a function of its bytes.
#[derive(Debug, Clone)]
pub struct Source {
    /// As the pipeline calls it: `law-figure.svg`, or the path of a file.
    pub artifact: String,
    /// Its coordinates, where it is one instance of a matrix.
    pub coordinates: String,
    /// The SHA-256 of its bytes.
    pub digest: String,
    pub bytes: usize,
}

/// An image to embed.
#[derive(Debug, Clone)]
pub enum Image {
    Svg(String),
    Png(Vec<u8>),
}

/// Larger SVG documents are embedded as an image, which browsers draw faster than elements of the page.
const INLINE_LIMIT: usize = 400_000;

impl Image {
    /// Recognises SVG and PNG by their content; None for anything else.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Image> {
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Some(Image::Png(bytes));
        }
        let text = String::from_utf8(bytes).ok()?;
        text.contains("<svg").then_some(Image::Svg(text))
    }

    /// A link that saves it.
    fn download(&self, name: &str) -> Markup {
        let (ending, kind, bytes) = match self {
            Image::Svg(svg) => ("svg", "svg+xml", svg.as_bytes()),
            Image::Png(bytes) => ("png", "png", bytes.as_slice()),
        };
        html! {
            a download={ (name) "." (ending) } href={ "data:image/" (kind) ";base64," (STANDARD.encode(bytes)) } { (ending.to_uppercase()) }
        }
    }

    /// The element, with `about` for those who cannot see it.
    fn html(&self, about: &str) -> Markup {
        let embed = |kind: &str, bytes: &[u8]| html!(img alt=(about) src={ "data:image/" (kind) ";base64," (STANDARD.encode(bytes)) };);
        match self {
            Image::Png(bytes) => embed("png", bytes),
            Image::Svg(svg) => {
                // What could run or load something stays an image, where a browser does neither.
                let low = svg.to_ascii_lowercase();
                let active =
                    ["<script", "<foreignobject", "href=\"http", "url(http", "@import", " onload", "<style"];
                match low.find("<svg") {
                    Some(at)
                        if svg.len() <= INLINE_LIMIT && !active.iter().any(|part| low.contains(part)) =>
                    {
                        let label =
                            format!("<svg role=\"img\" aria-label=\"{}\"", html!((about)).into_string());
                        PreEscaped(svg[at..].replacen("<svg", &label, 1))
                    }
                    _ => embed("svg+xml", svg.as_bytes()),
                }
            }
        }
    }
}

/// `Figure 1` and `Table 1` for the blocks of a page, in their order.
fn numbers(sections: &[Section]) -> Vec<Vec<String>> {
    let (mut figures, mut tables) = (0, 0);
    let mut number = |block: &Block| {
        let (word, count) = match block {
            Block::Figure { .. } => ("Figure", &mut figures),
            Block::Table { .. } => ("Table", &mut tables),
        };
        *count += 1;
        format!("{word} {count}")
    };
    sections.iter().map(|section| section.blocks.iter().map(&mut number).collect()).collect()
}

impl Page {
    /// The page's HTML; or the first of its texts that is wrong.
    pub fn html(&self) -> Result<String, ReportError> {
        let numbers = numbers(&self.sections);
        let mut named = BTreeMap::new();
        for (block, number) in
            self.sections.iter().flat_map(|section| &section.blocks).zip(numbers.iter().flatten())
        {
            let (Block::Figure { name, .. } | Block::Table { name, .. }) = block;
            named.entry(name.as_str()).or_insert(number);
        }
        let refer = |name: &str| {
            let number = named.get(name)?;
            Some(html!(a href={ "#" (anchor(number)) } { (number) }).into_string())
        };
        let wrong = RefCell::new(None);
        let sound = |text: &str, html: Result<String, TextError>| {
            PreEscaped(html.unwrap_or_else(|error| {
                wrong.borrow_mut().get_or_insert(ReportError::Text { text: text.to_owned(), source: error });
                String::new()
            }))
        };
        let line = |text: &str| sound(text, inline(text, &refer));
        let text = |text: &str| sound(text, blocks(text, &refer));
        // The sections with a heading of their own, which the contents list.
        let headed: Vec<&Section> =
            self.sections.iter().filter(|section| !section.heading.is_empty()).collect();
        let number = |section: &Section| headed.iter().position(|other| std::ptr::eq(*other, section));
        let html = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                "\n"
                body {
                    header {
                        h1 { (line(&self.title)) }
                        @if !self.authors.is_empty() { p.authors { (line(&self.authors.join(", "))) } }
                        @if !self.summary.is_empty() { div.summary { (text(&self.summary)) } }
                    }
                    @if headed.len() > 1 {
                        nav aria-label="Contents" {
                            p { "Contents" }
                            ol {
                                @for (i, section) in headed.iter().enumerate() {
                                    li { a href={ "#section-" (i + 1) } { (line(&section.heading)) } }
                                }
                            }
                        }
                    }
                    "\n"
                    main {
                        @for (section, numbers) in self.sections.iter().zip(&numbers) {
                            section {
                                @if let Some(i) = number(section) {
                                    h2 id={ "section-" (i + 1) } { (line(&section.heading)) }
                                }
                                (text(&section.text))
                                @for (block, number) in section.blocks.iter().zip(numbers) { (self::block(block, number, &line)) "\n" }
                            }
                            "\n"
                        }
                    }
                    @if !self.provenance.is_empty() { (provenance(&self.provenance)) }
                }
            }
            "\n"
        };
        match wrong.into_inner() {
            Some(error) => Err(error),
            None => Ok(html.into_string()),
        }
    }
}

/// A figure or a table with its caption.
fn block(block: &Block, number: &str, line: &dyn Fn(&str) -> Markup) -> Markup {
    let caption = |text: &str| html!(figcaption { b { (number) "." } " " (line(text)) });
    match block {
        Block::Figure { name, image, caption: text, source } => {
            let about = if text.is_empty() { number.to_owned() } else { format!("{number}. {text}") };
            // A click makes it the target of the page, and the style shows a target in the whole window: no script, and no second copy.
            let large = format!("{}-large", anchor(number));
            html! {
                figure id=(anchor(number)) {
                    div.plate id=(large) {
                        (image.html(&about))
                        a.enlarge href={ "#" (large) } aria-label={ "Enlarge " (number) } {}
                        a.close href={ "#" (anchor(number)) } { "Close" }
                    }
                    (caption(text))
                    (below(image.download(name), source))
                }
            }
        }
        Block::Table { name, table, caption: text, source } => {
            let csv = html! {
                a download={ (name) ".csv" } href={ "data:text/csv;base64," (STANDARD.encode(table.csv())) } { "CSV" }
            };
            html! {
                figure.table id=(anchor(number)) {
                    (caption(if text.is_empty() { &table.caption } else { text }))
                    // The keyboard scrolls what it can reach.
                    div.scroll tabindex="0" role="region" aria-label=(number) { (table::html(table)) }
                    @if table.any_within_noise() { p.note { (NOTE) } }
                    (below(csv, source))
                }
            }
        }
    }
}

/// What stands below a figure or table: a link that saves it, and where it comes from.
fn below(download: Markup, source: &Source) -> Markup {
    let Source { artifact, coordinates, digest, bytes } = source;
    html! {
        div.note {
            (download)
            details {
                summary { "How was this made?" }
                p {
                    "It is " code { (artifact) } @if !coordinates.is_empty() { " (" (coordinates) ")" }
                    " of " (bytes) " bytes, with the SHA-256 " code { (digest) } ". "
                    code { "onsager report" } " tells of the run that made it: its parameters, its code, the results that it stands on, \
                     and the command that makes the same bytes again."
                }
            }
        }
    }
}

/// What the page was made from. A link from a text leads to a row by the first digits of a digest, as the marks of `onsager.sty` have it.
fn provenance(origins: &[Origin]) -> Markup {
    let mut places = BTreeSet::new();
    let mut rows = Vec::new();
    for Origin { name, digests } in origins {
        for digest in digests {
            let place = digest.get(..PLACE).filter(|place| places.insert(*place));
            rows.push(html! { tr id=[place] { td { (name) } td { code { (digest) } } } "\n" });
        }
    }
    html! {
        footer {
            details {
                summary { "Provenance" }
                p { "The files that this page was made from, and those that its numbers were read from, with the SHA-256 of their contents." }
                div.scroll tabindex="0" role="region" aria-label="Files that the page was made from" {
                    table {
                        thead { tr { th scope="col" { "File" } th scope="col" { "SHA-256" } } }
                        tbody { @for row in &rows { (row) } }
                    }
                }
            }
        }
    }
}

/// How many digits of a digest name its row.
const PLACE: usize = 7;

/// `figure-1` for `Figure 1`.
fn anchor(number: &str) -> String {
    number.to_lowercase().replace(' ', "-")
}

/// What a browser may do with the page: show it. Inlined drawings have styles in attributes.
const POLICY: &str =
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
const STYLE: &str = include_str!("page.css");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_one_file_and_asks_for_nothing() {
        let svg = "<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"></svg>";
        let figure = |svg: &str| Block::Figure {
            name: "law".into(),
            image: Image::from_bytes(svg.as_bytes().to_vec()).unwrap(),
            caption: "The *law*.".into(),
            source: Source {
                artifact: "law-figure.svg".into(),
                coordinates: String::new(),
                digest: "ab".repeat(32),
                bytes: svg.len(),
            },
        };
        let bad = "<svg><script>fetch('https://x.y')</script></svg>";
        let section = |heading: &str| Section {
            heading: heading.into(),
            text: "See {law}.".into(),
            blocks: vec![figure(svg), figure(bad)],
        };
        let page =
            Page { title: "A & B".into(), sections: vec![section("One"), section("Two")], ..Page::default() };
        let html = page.html().unwrap();
        assert!(
            html.contains("<title>A &amp; B</title>")
                && html.contains("See <a href=\"#figure-1\">Figure 1</a>.")
        );
        assert!(
            html.contains("<b>Figure 2.</b> The <em>law</em>.")
                && html.contains("<a href=\"#section-2\">Two</a>")
        );
        assert!(html.contains("It is <code>law-figure.svg</code> of 67 bytes, with the SHA-256 <code>abab"));
        assert!(html.contains("<a download=\"law.svg\" href=\"data:image/svg+xml;base64,"));
        assert!(!html.contains("<script") && !html.contains("src=\"http") && !html.contains("<link"));
        assert_eq!(html, page.html().unwrap());
        assert!(Image::from_bytes(b"a,b\n1,2\n".to_vec()).is_none());
    }
}
