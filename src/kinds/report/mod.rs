//! Figures, tables and the page.

pub mod figure;
pub mod page;
pub mod table;
