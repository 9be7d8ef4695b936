//! The beginnings of tables, for those who only look: a file may be of any size.

use crate::columns::Columns;
use crate::error::TableError;
use std::path::Path;

/// Parquet, which needs more than this crate has.
pub trait Heads: Send + Sync {
    /// The first rows, and how many there are.
    fn head(&self, path: &Path, rows: usize) -> Result<(Columns, usize), TableError>;
}
