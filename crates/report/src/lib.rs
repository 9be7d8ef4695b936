//! Publication figures, tables and pages from Parquet and CSV tables, as a library of its own.
//!
//! - [`tables`]: frames of rows, which are read, joined, filtered, sorted, averaged and pivoted by polars, and the tables
//!   for print that are made of them.
//! - [`figures`]: the description of a figure over named frames, and its drawing by plotters as SVG and PNG.
//! - [`page`]: one self-contained page of text, figures and tables.

pub mod error;
pub mod figures;
pub mod page;
pub mod tables;
