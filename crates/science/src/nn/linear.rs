//! Dense layers, and with them the 1×1 convolutions of channels-last images.

use super::buffer::Buffer;
use super::error::NnError;
use super::gemm::{Left, Right, Size, multiply, panels_len, rows_to_panels, transpose_to_panels};
use super::parameters::{Gradients, Init, MatrixSlot, Parameters, Slot, View};
use super::pointwise::{add_bias, add_row_sums};
use std::sync::OnceLock;

/// y = x·w + b for x [rows, inputs], w [inputs, outputs].
#[derive(Debug, Clone, Copy)]
pub struct Dense {
    w: MatrixSlot,
    b: Option<Slot>,
    pub inputs: usize,
    pub outputs: usize,
}

/// A matrix in the packed panels that the products need.
#[derive(Debug)]
pub struct Matrix {
    forward: Buffer,
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

    fn turned(&self, w: &[f32], inputs: usize, outputs: usize) -> &Buffer {
        self.backward.get_or_init(|| {
            let mut turned = Buffer::stale(panels_len(outputs, inputs));
            transpose_to_panels(w, outputs, &mut turned);
            turned
        })
    }
}

impl Dense {
    /// The layer of the parameters `name.w` and `name.b`.
    pub fn new(
        p: &mut Parameters,
        name: &str,
        inputs: usize,
        outputs: usize,
        init: Init,
    ) -> Result<Dense, NnError> {
        let layer = Dense::without_bias(p, name, inputs, outputs, init)?;
        Ok(layer.with_bias(p.get(&format!("{name}.b"), &[outputs], Init::Zeros)?))
    }

    /// The layer of the parameter `name.w`, without a bias.
    pub fn without_bias(
        p: &mut Parameters,
        name: &str,
        inputs: usize,
        outputs: usize,
        init: Init,
    ) -> Result<Dense, NnError> {
        Ok(Dense { w: p.matrix(&format!("{name}.w"), inputs, outputs, init)?, b: None, inputs, outputs })
    }

    /// The same with this bias.
    pub fn with_bias(self, b: Slot) -> Dense {
        Dense { b: Some(b), ..self }
    }

    /// y for these parameters of the network.
    pub fn forward(&self, p: View<'_>, x: &[f32]) -> Buffer {
        let mut y = Buffer::stale(x.len() / self.inputs * self.outputs);
        self.product(p, x, false, &mut y);
        y
    }

    /// Adds y to what is there.
    pub fn add_forward(&self, p: View<'_>, x: &[f32], y: &mut [f32]) {
        self.product(p, x, true, y);
    }

    fn product(&self, p: View<'_>, x: &[f32], add: bool, y: &mut [f32]) {
        let size = Size { m: x.len() / self.inputs, k: self.inputs, n: self.outputs };
        let w = Right::panels(&self.w.of(p).forward, self.inputs);
        multiply(size, Left { data: x, row: self.inputs, col: 1 }, w, y, add);
        if let Some(b) = self.b {
            add_bias(y, b.of(p.values), self.outputs);
        }
    }

    /// Adds the gradients of w and, where there is one, b.
    pub fn add_gradients(&self, x: &[f32], dy: &[f32], gradients: &mut Gradients<'_>) {
        if let Some(db) = self.bias_gradient(gradients) {
            add_row_sums(dy, self.outputs, db);
        }
        self.add_matrix_gradient(x, Right::rows(dy, self.outputs), gradients);
    }

    /// Adds the gradient of w alone.
    pub fn add_matrix_gradient(&self, x: &[f32], dy: Right<'_>, gradients: &mut Gradients<'_>) {
        if let Some(dw) = gradients.at(self.w.slot) {
            let size = Size { m: self.inputs, k: x.len() / self.inputs, n: self.outputs };
            multiply(size, Left { data: x, row: 1, col: self.inputs }, dy, dw, true);
        }
    }

    /// Where the gradient of b is added up; nothing where there is none.
    pub fn bias_gradient<'a>(&self, gradients: &'a mut Gradients<'_>) -> Option<&'a mut [f32]> {
        self.b.and_then(|b| gradients.at(b))
    }

    /// The gradient of x.
    pub fn input_gradient(&self, p: View<'_>, dy: &[f32]) -> Buffer {
        let mut dx = Buffer::stale(dy.len() / self.outputs * self.inputs);
        self.turned_product(p, dy, false, &mut dx);
        dx
    }

    /// Adds the gradient of x to what is there.
    pub fn add_input_gradient(&self, p: View<'_>, dy: &[f32], dx: &mut [f32]) {
        self.turned_product(p, dy, true, dx);
    }

    fn turned_product(&self, p: View<'_>, dy: &[f32], add: bool, dx: &mut [f32]) {
        let (k, n) = (self.outputs, self.inputs);
        let turned = self.w.of(p).turned(self.w.slot.of(p.values), n, k);
        let size = Size { m: dy.len() / k, k, n };
        multiply(size, Left { data: dy, row: k, col: 1 }, Right::panels(turned, k), dx, add);
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::check;
    use super::*;

    /// Over the layer's input and its parameters.
    #[test]
    fn against_differences() {
        for (rows, inputs, outputs) in [(5, 7, 3), (6, 40, 33)] {
            let mut p = Parameters::random(1);
            let dense = Dense::new(&mut p, "layer", inputs, outputs, Init::Zeros).unwrap();
            check(
                0.01,
                &[rows * inputs, (inputs + 1) * outputs],
                |a| dense.forward(p.prepare(&a[1]).view(&a[1]), &a[0]).to_vec(),
                |a, dy| {
                    let mut gradients = vec![0.0; a[1].len()];
                    let dx = dense.input_gradient(p.prepare(&a[1]).view(&a[1]), dy);
                    dense.add_gradients(&a[0], dy, &mut Gradients::of(&mut gradients));
                    vec![dx.to_vec(), gradients]
                },
            );
        }
    }
}
