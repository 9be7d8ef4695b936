//! Reading the `tubes` of `random-motion`.

use crate::kinds::columns::Table;
use onsager_runner::kind::context::Item;
use onsager_runner::kind::stage::StageError;

/// A table of tubes; what holds for the ensemble stands in its first row, as in every other.
pub struct TubeTable<'a> {
    table: Table,
    name: &'a str,
}

impl TubeTable<'_> {
    pub fn read(item: &Item) -> Result<TubeTable<'_>, StageError> {
        Ok(TubeTable { table: Table::read(&item.path, &item.name)?, name: &item.name })
    }

    /// A column of numbers, some of which may be missing.
    pub fn numbers(&self, column: &str) -> Result<Vec<Option<f64>>, StageError> {
        self.table.numbers(column)
    }

    /// A column of numbers; nothing where one is missing.
    pub fn whole(&self, column: &str) -> Result<Option<Vec<f64>>, StageError> {
        Ok(self.numbers(column)?.into_iter().collect())
    }

    /// A column of numbers, none of which is missing.
    pub fn all(&self, column: &str) -> Result<Vec<f64>, StageError> {
        let missing = || format!("column `{column}` of `{}` has missing values", self.name);
        Ok(self.whole(column)?.ok_or_else(missing)?)
    }

    /// The number of the ensemble, if it has one.
    pub fn maybe(&self, column: &str) -> Result<Option<f64>, StageError> {
        Ok(self.numbers(column)?.first().copied().flatten())
    }

    /// The number of the ensemble.
    pub fn first(&self, column: &str) -> Result<f64, StageError> {
        self.all(column)?.first().copied().ok_or_else(|| self.empty())
    }

    /// The text of the ensemble.
    pub fn text(&self, column: &str) -> Result<String, StageError> {
        self.table.texts(column)?.into_iter().next().ok_or_else(|| self.empty())
    }

    fn empty(&self) -> StageError {
        format!("`{}` has no rows", self.name).into()
    }
}
