//! Dense layers, and with them the 1×1 convolutions of channels-last images.

use super::buffer::Buffer;
use super::error::NnError;
use super::gemm::{Left, Right, Size, multiply, panels_len, transpose_to_panels};
use super::parameters::{Init, Parameters, Slot};
use super::pointwise::{add_bias, add_row_sums};

/// y = x·w + b for x [rows, inputs], w [inputs, outputs].
#[derive(Debug, Clone, Copy)]
pub struct Dense {
    w: Slot,
    b: Option<Slot>,
    inputs: usize,
    outputs: usize,
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
        let w = p.get(&format!("{name}.w"), &[inputs, outputs], init)?;
        let b = p.get(&format!("{name}.b"), &[outputs], Init::Zeros)?;
        Ok(Dense { b: Some(b), ..Dense::of(w, inputs, outputs) })
    }

    /// The layer of this matrix without a bias.
    pub fn of(w: Slot, inputs: usize, outputs: usize) -> Dense {
        Dense { w, b: None, inputs, outputs }
    }

    /// The same with this bias.
    pub fn with_bias(self, b: Slot) -> Dense {
        Dense { b: Some(b), ..self }
    }

    /// The length of a row of x.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// y for these parameters of the network.
    pub fn forward(&self, parameters: &[f32], x: &[f32]) -> Buffer {
        let mut y = Buffer::stale(x.len() / self.inputs * self.outputs);
        self.product(parameters, x, false, &mut y);
        y
    }

    /// Adds y to what is there.
    pub fn add_forward(&self, parameters: &[f32], x: &[f32], y: &mut [f32]) {
        self.product(parameters, x, true, y);
    }

    fn product(&self, parameters: &[f32], x: &[f32], add: bool, y: &mut [f32]) {
        let size = Size { m: x.len() / self.inputs, k: self.inputs, n: self.outputs };
        let w = Right::rows(self.w.of(parameters), self.outputs);
        multiply(size, Left { data: x, row: self.inputs, col: 1 }, w, y, add);
        if let Some(b) = self.b {
            add_bias(y, b.of(parameters), self.outputs);
        }
    }

    /// Adds the gradients of w and, where there is one, b.
    pub fn add_gradients(&self, x: &[f32], dy: &[f32], gradients: &mut [f32]) {
        if let Some(b) = self.b {
            add_row_sums(dy, self.outputs, b.of_mut(gradients));
        }
        let size = Size { m: self.inputs, k: x.len() / self.inputs, n: self.outputs };
        let x = Left { data: x, row: 1, col: self.inputs };
        multiply(size, x, Right::rows(dy, self.outputs), self.w.of_mut(gradients), true);
    }

    /// The gradient of x, or with `add` dx and the gradient.
    pub fn input_gradient(&self, parameters: &[f32], dy: &[f32], add: bool, dx: &mut [f32]) {
        let (k, n) = (self.outputs, self.inputs);
        let mut turned = Buffer::stale(panels_len(k, n));
        transpose_to_panels(self.w.of(parameters), k, &mut turned);
        let size = Size { m: dy.len() / k, k, n };
        multiply(size, Left { data: dy, row: k, col: 1 }, Right::panels(&turned, k), dx, add);
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
                |a| dense.forward(&a[1], &a[0]).to_vec(),
                |a, dy| {
                    let (mut dx, mut gradients) = (vec![0.0; a[0].len()], vec![0.0; a[1].len()]);
                    dense.input_gradient(&a[1], dy, false, &mut dx);
                    dense.add_gradients(&a[0], dy, &mut gradients);
                    vec![dx, gradients]
                },
            );
        }
    }
}
