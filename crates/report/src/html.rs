//! One self-contained page: styles, figures and data inside it, and no request to anywhere.

use super::error::ReportError;
use super::markup::{blocks, escape, inline};
use super::table_html;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use onsager_tables::table::Table;
use std::collections::BTreeMap;

/// A page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub title: String,
    /// In a line below the title.
    pub authors: Vec<String>,
    /// In the markup of [`super::markup`], like all texts and captions.
    pub summary: String,
    pub sections: Vec<Section>,
    /// What the page was made from: name and SHA-256 of each file.
    pub provenance: Vec<(String, String)>,
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
    Figure { name: String, image: Image, caption: String },
    Table { name: String, table: Box<Table>, caption: String },
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

    /// The element, with `about` for those who cannot see it.
    fn html(&self, about: &str) -> String {
        let embed = |kind: &str, bytes: &[u8]| {
            format!(
                "<img alt=\"{}\" src=\"data:image/{kind};base64,{}\">",
                escape(about),
                STANDARD.encode(bytes)
            )
        };
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
                        let label = format!("<svg role=\"img\" aria-label=\"{}\"", escape(about));
                        svg[at..].replacen("<svg", &label, 1)
                    }
                    _ => embed("svg+xml", svg.as_bytes()),
                }
            }
        }
    }
}

impl Page {
    /// The page's HTML.
    pub fn html(&self) -> Result<String, ReportError> {
        let mut numbers = BTreeMap::new();
        let (mut figures, mut tables) = (0, 0);
        for block in self.sections.iter().flat_map(|section| &section.blocks) {
            let (name, number) = match block {
                Block::Figure { name, .. } => {
                    figures += 1;
                    (name, format!("Figure {figures}"))
                }
                Block::Table { name, .. } => {
                    tables += 1;
                    (name, format!("Table {tables}"))
                }
            };
            numbers.entry(name.clone()).or_insert(number);
        }
        let refer = |name: &str| {
            numbers.get(name).map(|number| format!("<a href=\"#{}\">{number}</a>", anchor(number)))
        };

        let mut body = format!("<header>\n<h1>{}</h1>\n", inline(&self.title, &refer));
        if !self.authors.is_empty() {
            body.push_str(&format!(
                "<p class=\"authors\">{}</p>\n",
                inline(&self.authors.join(", "), &refer)
            ));
        }
        if !self.summary.is_empty() {
            body.push_str(&format!("<div class=\"summary\">\n{}</div>\n", blocks(&self.summary, &refer)));
        }
        body.push_str("</header>\n");
        let named: Vec<_> = self.sections.iter().filter(|section| !section.heading.is_empty()).collect();
        if named.len() > 1 {
            body.push_str("<nav>\n<h2>Contents</h2>\n<ol>\n");
            for (i, section) in named.iter().enumerate() {
                body.push_str(&format!(
                    "<li><a href=\"#section-{}\">{}</a></li>\n",
                    i + 1,
                    inline(&section.heading, &refer)
                ));
            }
            body.push_str("</ol>\n</nav>\n");
        }
        body.push_str("<main>\n");
        let (mut heading, mut figure, mut table) = (0, 0, 0);
        for section in &self.sections {
            body.push_str("<section>\n");
            if !section.heading.is_empty() {
                heading += 1;
                body.push_str(&format!(
                    "<h2 id=\"section-{heading}\">{}</h2>\n",
                    inline(&section.heading, &refer)
                ));
            }
            body.push_str(&blocks(&section.text, &refer));
            for block in &section.blocks {
                let caption = |number: &str, text: &str| {
                    format!("<figcaption><b>{number}.</b> {}</figcaption>\n", inline(text, &refer))
                };
                match block {
                    Block::Figure { image, caption: text, .. } => {
                        figure += 1;
                        let number = format!("Figure {figure}");
                        let about =
                            if text.is_empty() { number.clone() } else { format!("{number}. {text}") };
                        let (id, image) = (anchor(&number), image.html(&about));
                        body.push_str(&format!(
                            "<figure id=\"{id}\">\n<div class=\"plate\">{image}</div>\n{}</figure>\n",
                            caption(&number, text)
                        ));
                    }
                    Block::Table { name, table: data, caption: text } => {
                        table += 1;
                        let number = format!("Table {table}");
                        let csv = STANDARD.encode(data.csv());
                        let text = if text.is_empty() { &data.caption } else { text };
                        body.push_str(&format!(
                            "<figure id=\"{}\" class=\"table\">\n{}<div class=\"scroll\">\n{}</div>\n<p class=\"note\"><a \
                             download=\"{}.csv\" href=\"data:text/csv;base64,{csv}\">CSV</a></p>\n</figure>\n",
                            anchor(&number),
                            caption(&number, text),
                            table_html::html(data),
                            escape(name),
                        ));
                    }
                }
            }
            body.push_str("</section>\n");
        }
        body.push_str("</main>\n");
        if !self.provenance.is_empty() {
            body.push_str("<footer>\n<details>\n<summary>Provenance</summary>\n<p>The files that this page was made from, with the SHA-256 of their contents.</p>\n<div class=\"scroll\">\n<table>\n");
            for (name, digest) in &self.provenance {
                body.push_str(&format!("<tr><td>{}</td><td><code>{digest}</code></td></tr>\n", escape(name)));
            }
            body.push_str("</table>\n</div>\n</details>\n</footer>\n");
        }
        Ok(format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             {body}</body>\n</html>\n",
            escape(&self.title)
        ))
    }
}

/// `figure-1` for `Figure 1`.
fn anchor(number: &str) -> String {
    number.to_lowercase().replace(' ', "-")
}

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
        assert!(!html.contains("<script") && !html.contains("src=\"http") && !html.contains("<link"));
        assert_eq!(html, page.html().unwrap());
        assert!(Image::from_bytes(b"a,b\n1,2\n".to_vec()).is_none());
    }
}
