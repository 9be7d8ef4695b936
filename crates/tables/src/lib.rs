//! Tables of values: cells and labels, filters, expressions over columns, reading CSV, JSON and their relatives, and tables for print as CSV,
//! Markdown, LaTeX and HTML.

pub mod cells;
pub mod columns;
pub mod error;
pub mod expression;
pub mod head;
pub mod names;
pub mod read;
pub mod render;
pub mod table;
pub mod text;
pub mod time;
pub mod value;
