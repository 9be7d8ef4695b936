//! The whole page about a run, as `onsager report` writes it: timeline, graph, reasons, and how each result was made.

use crate::compare::history::{self, Past};
use crate::pages::report;
use crate::pages::shell::Assets;
use crate::serve::ask::{Ask, Fault, past_of};
use crate::serve::looking::Looking;

pub fn page(looking: &Looking, ask: &Ask) -> Result<String, Fault> {
    let store = &looking.store;
    let run = ask.run(store)?;
    let past = past_of(store, &run)?;
    let runs = history::runs(store, Some(&past.pipeline))?;
    let before: Vec<&Past> = runs.iter().take_while(|other| other.run != run).last().into_iter().collect();
    let assets = Assets::Linked("/assets/");
    // A large page takes a while: others may follow the run meanwhile.
    let account = looking.watch(&run, |watched| Ok::<_, Fault>(watched.account.clone()))?;
    report::page(store, looking.parquet.as_deref(), &account, &past, &before, assets).map_err(Fault::failed)
}
