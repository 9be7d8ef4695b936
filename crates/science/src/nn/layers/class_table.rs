//! What a network learns of each class: a vector that is added to the time embedding (Dhariwal and Nichol 2021).

use super::parameters::{Init, Pack, PackBuilder, PackGradient, Slot, View};
use crate::nn::kernels::pointwise::add_assign;
use candle_core::{Result, Tensor};

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
    pub fn new(p: &mut PackBuilder, classes: usize, width: usize) -> Option<ClassTable> {
        if classes == 0 {
            return None;
        }
        // Each row meets a single number one.
        let w = p.get("class.w", &[classes + 1, width], Init::FanIn(1));
        Some(ClassTable { w, classes, width })
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
    pub fn add_gradients(&self, classes: &[u32], drows: &[f32], gradients: &mut PackGradient<'_>) {
        if let Some(table) = gradients.at(self.w) {
            for (i, row) in drows.chunks_exact(self.width).enumerate() {
                add_assign(&mut table[self.class(classes, i) * self.width..][..self.width], row);
            }
        }
    }

    /// The vectors of n rows by candle's operations, [n, width].
    pub fn generic(&self, pack: &Pack, classes: &[u32], n: usize) -> Result<Tensor> {
        let chosen: Vec<u32> = (0..n).map(|i| self.class(classes, i) as u32).collect();
        let table = pack.named(self.w)?;
        table.index_select(&Tensor::from_vec(chosen, n, table.device())?, 0)
    }
}
