//! What every page has around its content: the head, the bar with the contents, the style and the scripts.

use crate::pages::assets;
use crate::store::tail;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Where a page has its style and scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assets {
    /// In itself: it is one file, and asks nobody for anything.
    Inlined,
    /// In files below this address.
    Linked(&'static str),
}

/// A page.
pub struct Shell<'a> {
    pub title: &'a str,
    pub assets: Assets,
    /// Whether it has curves.
    pub curves: bool,
    /// Anchors or addresses, each with its words.
    pub nav: &'a [(String, String)],
    pub body: Markup,
}

impl Shell<'_> {
    /// The whole page. It has no `style` attribute and no handler in an attribute, so that its policy can forbid both.
    pub fn html(&self) -> String {
        let styles = self.files(assets::STYLE, assets::UPLOT_STYLE, ["page.css", "uPlot.min.css"]);
        let scripts = self.files(assets::SCRIPT, assets::UPLOT_SCRIPT, ["page.js", "uPlot.iife.min.js"]);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    @if self.assets == Assets::Inlined {
                        meta http-equiv="Content-Security-Policy" content=(policy(&styles, &scripts));
                    }
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    // No request for an icon.
                    link rel="icon" href="data:,";
                    title { (self.title) }
                    @for file in &styles {
                        @match self.assets {
                            Assets::Inlined => style { (PreEscaped(file.text)) },
                            Assets::Linked(at) => link rel="stylesheet" href={ (at) (file.name) };,
                        }
                    }
                }
                "\n"
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        // It may be too wide for the window, and is reached by its links then.
                        div {
                            strong { (self.title) }
                            nav aria-label="Contents" { @for (to, words) in self.nav { a href=(to) { (words) } " " } }
                        }
                    }
                    "\n"
                    main id="main" { (self.body) }
                    "\n"
                    @for file in &scripts {
                        @match self.assets {
                            Assets::Inlined => script { (PreEscaped(file.text)) },
                            Assets::Linked(at) => script src={ (at) (file.name) } {},
                        }
                    }
                }
            }
            "\n"
        };
        page.into_string()
    }

    /// The library before what uses it.
    fn files(&self, own: &'static str, curves: &'static str, names: [&'static str; 2]) -> Vec<File> {
        let curves = self.curves.then_some(File { name: names[1], text: curves });
        curves.into_iter().chain([File { name: names[0], text: own }]).collect()
    }
}

struct File {
    name: &'static str,
    text: &'static str,
}

/// What the page may do: show its own images, styles and scripts, and nothing else.
fn policy(styles: &[File], scripts: &[File]) -> String {
    let hashes = |files: &[File]| {
        let hash = |file: &File| format!(" 'sha256-{}'", STANDARD.encode(Sha256::digest(file.text)));
        files.iter().map(hash).collect::<String>()
    };
    format!(
        "default-src 'none'; img-src data:; style-src{}; script-src{}; base-uri 'none'; form-action 'none'",
        hashes(styles),
        hashes(scripts)
    )
}

/// Data for the page's script, which no browser takes for anything else.
pub fn data(id: &str, value: &impl Serialize) -> Markup {
    // Values with text as keys have a JSON form. `<` could end the element.
    let json = serde_json::to_string(value).unwrap_or_default().replace('<', "\\u003c");
    html! { script type="application/json" id=(id) { (PreEscaped(json)) } }
}

/// The state of a task or of a run, in its colour.
pub fn state(words: &str) -> Markup {
    html! { span class={ "state state-" (words.replace(' ', "-")) } { (words) } }
}

/// A command that can be copied. `number` tells it from others of the page.
pub fn command(text: &str) -> Markup {
    html! { div.command { pre tabindex="0" { code { (text) } } button type="button" data-copy hidden { "Copy" } } }
}

/// Buttons that stretch the drawing in the element of this id; a script shows them.
pub fn zoom(of: &str, factors: &[u32]) -> Markup {
    html! {
        div.tools {
            @for factor in factors {
                button type="button" data-zoom=(factor) data-of=(of) aria-pressed=(*factor == 1) hidden {
                    "Zoom " (factor) "×"
                }
            }
        }
    }
}

/// A text of a stranger: control characters, and those that turn its direction around, are shown and not obeyed.
pub fn stranger(text: &str) -> String {
    tail::shown(&text.trim_end().replace('\n', "↵ "))
}
