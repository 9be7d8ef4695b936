//! The matrices of dense layers in the forms that products need.

use super::buffer::Buffer;
use super::gemm::{panels_len, rows_to_panels, transpose_to_panels};
use std::sync::OnceLock;

/// A matrix in the packed panels that the products need.
#[derive(Debug)]
pub struct Matrix {
    pub forward: Buffer,
    /// The transpose, for the gradient of x; made when it is first needed.
    backward: OnceLock<Buffer>,
}

impl Matrix {
    /// Prepares w [inputs, outputs], also for the gradient of x if `backward`.
    pub fn new(w: &[f32], inputs: usize, outputs: usize, backward: bool) -> Matrix {
        let mut forward = Buffer::stale(panels_len(inputs, outputs));
        rows_to_panels(w, outputs, &mut forward);
        let matrix = Matrix { forward, backward: OnceLock::new() };
        if backward {
            matrix.turned(w, inputs, outputs);
        }
        matrix
    }

    /// The panels of the transpose of w.
    pub fn turned(&self, w: &[f32], inputs: usize, outputs: usize) -> &Buffer {
        self.backward.get_or_init(|| {
            let mut turned = Buffer::stale(panels_len(outputs, inputs));
            transpose_to_panels(w, outputs, &mut turned);
            turned
        })
    }
}
