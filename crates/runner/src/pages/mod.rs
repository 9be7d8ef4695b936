//! Runs as pages. Everything is read from the records and the store, so a page can be made beside a run, and of one from elsewhere.
//! [`report`] is the page of one run; the other files are its sections, and what they need to know: how results were made ([`made`]) and
//! why tasks ran ([`reasons`]).

pub mod assets;
pub mod attempts;
pub mod curves;
pub mod difference;
pub mod graph;
pub mod made;
pub mod names;
pub mod reasons;
pub mod records;
pub mod report;
pub mod results;
pub mod shell;
pub mod summary;
pub mod tasks;
pub mod timeline;
