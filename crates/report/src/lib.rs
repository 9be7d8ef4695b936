//! Publication figures, tables and pages from Parquet and CSV tables, as a library of its own.
//!
//! - [`read`] reads tables into polars frames, which [`frame`] joins, filters, sorts and averages; [`expression`]
//!   computes columns such as `1/diffusion`; [`interval`] holds Student's t.
//! - [`tables`] makes a table for print from a frame; [`cells`] and [`render`] write it as CSV, Markdown, LaTeX, HTML
//!   and Parquet.
//! - [`plot`] is the description of a figure over named frames, from which [`compose`] makes the [`figure`] itself
//!   (panels of marks in data coordinates); [`axis`], [`layout`] and [`marks`] turn it into a [`scene`] of shapes on
//!   paper, which is written as SVG and PNG.
//! - [`images`] draws grids of images and scatters of points.
//! - [`html`] and [`markup`] make one self-contained page.

pub mod axis;
pub mod compose;
pub mod error;
pub mod figure;
pub mod frame;
#[cfg(test)]
mod gallery;
pub mod html;
pub mod images;
pub mod layout;
pub mod marks;
pub mod markup;
pub mod parquet;
pub mod plot;
pub mod read;
pub mod scene;
pub mod table_html;
pub mod tables;
