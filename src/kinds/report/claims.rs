//! The claims in a `values.json`, as a table of a page.

use onsager_runner::numbers::claims::judge::Outcome;
use onsager_runner::values::document::{Claim, Document, FORMAT};
use onsager_tables::cells::Cell;
use onsager_tables::table::{Head, Mark, Table};
use onsager_tables::value::Names;

/// The table, if the file is what a stage of the kind `values` writes.
pub fn table(bytes: &[u8]) -> Option<Table> {
    let document: Document = serde_json::from_slice(bytes).ok()?;
    (document.format == FORMAT).then(|| of(&document.claims))
}

fn of(claims: &[Claim]) -> Table {
    let head = |name: &str, title: &str| Head {
        name: name.to_owned(),
        title: title.to_owned(),
        unit: None,
        digits: 3,
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
