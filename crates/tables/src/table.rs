//! A table ready for print.

use crate::cells::Cell;
use crate::value::Names;
use serde::{Deserialize, Serialize};

/// A table ready for print.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub heads: Vec<Head>,
    pub rows: Vec<Vec<Cell>>,
    /// Emphasis of each cell, in the shape of `rows`.
    pub marks: Vec<Vec<Mark>>,
    pub caption: String,
    pub label: String,
    /// What is printed in place of a text; data files keep the text itself.
    pub names: Names,
}

/// The head of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The name in data files.
    pub name: String,
    pub title: String,
    pub unit: Option<String>,
    /// Significant digits of plain numbers.
    pub digits: usize,
    /// Digits after the point of plain numbers, in place of `digits`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimals: Option<usize>,
}

/// The emphasis of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    #[default]
    None,
    /// The best of its column.
    Best,
    /// Its difference from the baseline is within the noise.
    WithinNoise,
    BestWithinNoise,
}

impl Mark {
    /// Whether it is the best of its column.
    pub fn best(self) -> bool {
        matches!(self, Mark::Best | Mark::BestWithinNoise)
    }

    /// Whether its difference from the baseline is within the noise.
    pub fn within_noise(self) -> bool {
        matches!(self, Mark::WithinNoise | Mark::BestWithinNoise)
    }
}
