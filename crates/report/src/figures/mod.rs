//! Figures, drawn by plotters.
//!
//! - [`plot`] is the description of a figure over named tables, from which [`compose`] makes a [`figure`]: panels of layers
//!   in data coordinates, those of each mark by `marks` with the `summaries` of its rows. [`images`] reads samples for grids of images and scatters of points.
//! - [`axis`] chooses ranges and ticks and gives them to plotters; [`layout`] finds room for panels, labels and legend.
//! - [`draw`] makes a plotters chart of each panel, with its [`layers`] and the [`legend`]; [`grid`] draws the images.
//! - [`paper`] is the page below: one drawing backend for SVG, PNG and PDF, its text in the embedded font. [`pdf`] writes PDF with
//!   the glyphs that are [`embedded`] in it. [`fonts`] has the DejaVu fonts. [`style`] has colours, markers and sizes.

pub mod axis;
pub mod compose;
pub mod draw;
pub mod embedded;
pub mod figure;
pub mod fonts;
#[cfg(test)]
mod gallery;
pub mod grid;
pub mod images;
pub mod layers;
pub mod layout;
pub mod legend;
pub mod limits;
mod marks;
pub mod paper;
pub mod pdf;
pub mod plot;
pub mod style;
mod summaries;
