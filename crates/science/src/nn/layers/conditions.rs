//! What a network is given for each row of its input beside the row's numbers.

use crate::nn::error::NnError;

/// The time, the class and the dropout of each row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    /// The time of each row, 0 to 1000.
    pub times: Vec<f32>,
    /// The class of each row, for a network with classes; the number of classes itself stands for 'no class'. Empty: no
    /// row has one.
    pub classes: Vec<u32>,
    /// What selects each row's dropout mask. Empty, as outside training: nothing is dropped.
    pub dropout: Vec<u64>,
}

impl Conditions {
    /// Rows at these times, without class and dropout.
    pub fn at(times: &[f32]) -> Conditions {
        Conditions { times: times.to_vec(), ..Conditions::default() }
    }

    /// Checks that they are for `n` rows, and that a network of so many classes knows the classes.
    pub fn check(&self, n: usize, classes: usize) -> Result<(), NnError> {
        if let Some(&class) = self.classes.iter().find(|&&class| class as usize > classes) {
            return Err(NnError::Class { class, classes });
        }
        let wrong = |conditions: usize| conditions != n && conditions != 0;
        if self.times.len() != n || wrong(self.classes.len()) || wrong(self.dropout.len()) {
            let found = vec![self.times.len(), self.classes.len(), self.dropout.len()];
            let expected = format!("one for each of {n} rows, or no classes and no dropout,");
            return Err(NnError::Shape { what: "the list of times, classes and dropout", found, expected });
        }
        Ok(())
    }
}
