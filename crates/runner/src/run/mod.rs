//! Running: the scheduler brings every selected task to a final state, and keeps the record, the store's index and the view.

pub mod account;
pub mod claims;
pub mod commit;
pub mod description;
pub mod doctor;
pub mod drive;
pub mod error;
pub mod estimate;
pub mod events;
pub mod executors;
pub mod facts;
pub mod grow;
pub mod growth;
pub mod logging;
pub mod options;
pub mod outcome;
pub mod places;
pub mod pools;
pub mod requests;
pub mod rerun;
pub mod result;
pub mod retry;
pub mod sample;
pub mod session;
pub mod settings;
pub mod standing;
pub mod state;
pub mod states;
pub mod unchanged;
pub mod waits;
pub mod watch;
pub mod watched;
pub mod workers;

mod asked;
mod away;
mod elsewhere;
mod known;
mod program;
mod reports;
mod scheduler;
mod start;

#[cfg(test)]
mod tests;
