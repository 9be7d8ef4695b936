//! What a network learns of each class: a vector that is added to the time embedding (Dhariwal and Nichol 2021).

use super::error::NnError;
use super::parameters::{Gradients, Init, Parameters, Slot, View};
use super::pointwise::add_assign;

/// The rows of the parameter `class.w` [classes + 1, width]: one for each class, and the last for 'no class', which
/// classifier-free guidance needs (Ho and Salimans 2022).
#[derive(Debug, Clone, Copy)]
pub struct ClassTable {
    w: Slot,
    classes: usize,
    width: usize,
}

impl ClassTable {
    /// The table of so many classes; none for a network without classes.
    pub fn new(p: &mut Parameters, classes: usize, width: usize) -> Result<Option<ClassTable>, NnError> {
        if classes == 0 {
            return Ok(None);
        }
        // Each row meets a single number one.
        let w = p.get("class.w", &[classes + 1, width], Init::FanIn(1))?;
        Ok(Some(ClassTable { w, classes, width }))
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The class of row i, given none or one for each.
    fn class(&self, classes: &[u32], i: usize) -> usize {
        classes.get(i).map_or(self.classes, |&class| class as usize)
    }

    /// Adds to each row of `rows` [n, width] the vector of its class.
    pub fn add_rows(&self, p: View<'_>, classes: &[u32], rows: &mut [f32]) {
        let table = self.w.of(p.values);
        for (i, row) in rows.chunks_exact_mut(self.width).enumerate() {
            add_assign(row, &table[self.class(classes, i) * self.width..][..self.width]);
        }
    }

    /// Adds the gradients of the vectors, row by row in order.
    pub fn add_gradients(&self, classes: &[u32], drows: &[f32], gradients: &mut Gradients<'_>) {
        if let Some(table) = gradients.at(self.w) {
            for (i, row) in drows.chunks_exact(self.width).enumerate() {
                add_assign(&mut table[self.class(classes, i) * self.width..][..self.width], row);
            }
        }
    }
}
