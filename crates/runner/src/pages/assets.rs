//! The files that pages are made of: our style and script, and uPlot (MIT), which draws curves.

/// The style of every page.
pub const STYLE: &str = include_str!("../../assets/page.css");
/// What makes a page handier; it can be read without.
pub const SCRIPT: &str = include_str!("../../assets/page.js");
pub const UPLOT_STYLE: &str = include_str!("../../assets/uplot/uPlot.min.css");
pub const UPLOT_SCRIPT: &str = include_str!("../../assets/uplot/uPlot.iife.min.js");
