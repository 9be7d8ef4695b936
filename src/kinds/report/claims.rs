//! What a page shows of a `values.json`: its claims as a table, and what its numbers were read from.

use onsager_report::page::html::Origin;
use onsager_runner::numbers::claims::judge::Outcome;
use onsager_runner::values::document::{Claim, Document, FORMAT, Source};
use onsager_tables::cells::Cell;
use onsager_tables::table::{Head, Mark, Table};
use onsager_tables::value::Names;

/// What a stage of the kind `values` writes; nothing for other files.
fn document(bytes: &[u8]) -> Option<Document> {
    serde_json::from_slice(bytes).ok().filter(|document: &Document| document.format == FORMAT)
}

/// The claims.
pub fn table(bytes: &[u8]) -> Option<Table> {
    Some(of(&document(bytes)?.claims))
}

/// What the numbers, figures and tables come from, so that the marks of a text find it on the page; nothing for other files.
pub fn sources(bytes: &[u8], file: &str) -> Vec<Origin> {
    let sources = document(bytes).map(|document| document.sources).unwrap_or_default();
    let origin = |Source { from, sha256, .. }| Origin { name: format!("{from}, by {file}"), digests: sha256 };
    sources.into_values().map(origin).collect()
}

fn of(claims: &[Claim]) -> Table {
    let head = |name: &str, title: &str| Head {
        name: name.to_owned(),
        title: title.to_owned(),
        unit: None,
        digits: 3,
        decimals: None,
    };
    let row = |claim: &Claim| {
        let outcome = match claim.judged.outcome {
            Outcome::Holds => "holds",
            Outcome::Fails => "fails",
            Outcome::Stale => "is stale",
        };
        let says =
            claim.text.as_ref().map_or(claim.claim.clone(), |text| format!("{text} ({})", claim.claim));
        [says, outcome.to_owned(), claim.judged.reached.clone()].map(Cell::Text).to_vec()
    };
    let rows: Vec<Vec<Cell>> = claims.iter().map(row).collect();
    Table {
        heads: vec![head("claim", "Claim"), head("outcome", "It"), head("reached", "Reached")],
        marks: rows.iter().map(|row| vec![Mark::None; row.len()]).collect(),
        rows,
        caption: "What is claimed, and what became of it.".to_owned(),
        label: String::new(),
        names: Names::default(),
    }
}
