//! Figures, tables, the page, and numbers for a text.

pub mod claims;
pub mod figure;
pub mod page;
pub mod table;
pub mod values;
