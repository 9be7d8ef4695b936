//! What the pages of the server have in common.

use crate::pages::shell::{Assets, Shell};
use maud::{Markup, html};

/// A whole page. `curves` says whether it draws any.
pub fn page(title: &str, curves: bool, body: Markup) -> String {
    let nav: Vec<(String, String)> =
        [("/", "Runs"), ("/experiments", "Experiments"), ("/compare", "Compare"), ("/curves", "Curves")]
            .into_iter()
            .map(|(to, words)| (to.to_owned(), words.to_owned()))
            .collect();
    let body = html! {
        link rel="stylesheet" href="/assets/serve.css";
        (body)
        script src="/assets/serve.js" defer {}
    };
    Shell { title, assets: Assets::Linked("/assets/"), curves, nav: &nav, body }.html()
}

/// Rows of a table in pages: which of them are shown, and the links to the others.
pub struct Paging {
    pub from: usize,
    pub to: usize,
    pub all: usize,
    size: usize,
}

impl Paging {
    pub fn of(asked: Option<&str>, all: usize, size: usize) -> Paging {
        let number = asked.and_then(|number| number.parse().ok()).unwrap_or(1usize).max(1);
        let from = (number - 1).saturating_mul(size).min(all.saturating_sub(1) / size * size);
        Paging { from, to: (from + size).min(all), all, size }
    }

    /// `link` makes an address of the number of a page.
    pub fn markup(&self, link: impl Fn(usize) -> String) -> Markup {
        let number = self.from / self.size + 1;
        let last = self.all.div_ceil(self.size).max(1);
        html! {
            @if self.all > self.size {
                nav.tools aria-label="Pages of the table" {
                    @if number > 1 { a href=(link(1)) { "first" } a href=(link(number - 1)) { "previous" } }
                    span.muted { (self.from + 1) " to " (self.to) " of " (self.all) }
                    @if number < last { a href=(link(number + 1)) { "next" } a href=(link(last)) { "last" } }
                }
            }
        }
    }
}
