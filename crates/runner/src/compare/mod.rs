//! Looking back at runs: their records, their metrics in one table, and what tells two of them apart.

pub mod ask;
pub mod baseline;
pub mod comparison;
pub mod difference;
pub mod gather;
pub mod history;
pub mod measure;
pub mod rows;
