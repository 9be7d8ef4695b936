//! Dense layers, and with them the 1×1 convolutions of channels-last images.

use super::operation::{Fused, apply1};
use super::parameters::{Init, MatrixSlot, Pack, PackBuilder, PackGradient, Path, Slot, VarBuilder, View};
use crate::nn::error::NnError;
use crate::nn::kernels::buffer::Buffer;
use crate::nn::kernels::gemm::{Left, Right, Size, multiply};
use crate::nn::kernels::pointwise::{add_bias, add_row_sums};
use candle_core::{Module, Result, Tensor};

/// Up to so many outputs are few.
const NARROW: usize = 4;

/// y = x·w + b for x [rows, inputs], w [inputs, outputs], within a block.
#[derive(Debug, Clone, Copy)]
pub struct Dense {
    w: MatrixSlot,
    b: Option<Slot>,
    pub inputs: usize,
    pub outputs: usize,
}

impl Dense {
    /// The layer of the parameters `name.w` and `name.b`.
    pub fn new(p: &mut PackBuilder, name: &str, inputs: usize, outputs: usize, init: Init) -> Dense {
        let layer = Dense::without_bias(p, name, inputs, outputs, init);
        layer.with_bias(p.get(&format!("{name}.b"), &[outputs], Init::Zeros))
    }

    /// The layer of the parameter `name.w`, without a bias.
    pub fn without_bias(p: &mut PackBuilder, name: &str, inputs: usize, outputs: usize, init: Init) -> Dense {
        Dense { w: p.matrix(&format!("{name}.w"), inputs, outputs, init), b: None, inputs, outputs }
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
    pub fn add_gradients(&self, x: &[f32], dy: &[f32], gradients: &mut PackGradient<'_>) {
        if let Some(db) = self.bias_gradient(gradients) {
            add_row_sums(dy, self.outputs, db);
        }
        if self.outputs > NARROW {
            return self.add_matrix_gradient(x, Right::rows(dy, self.outputs), gradients);
        }
        // The transpose has the long rows that the product is quick with, and the same numbers.
        if let Some((dw, begun)) = gradients.place(self.w.slot) {
            let (inputs, outputs) = (self.inputs, self.outputs);
            let mut turned = Buffer::stale(dw.len());
            let size = Size { m: outputs, k: x.len() / inputs, n: inputs };
            let dy = Left { data: dy, row: 1, col: outputs };
            multiply(size, dy, Right::rows(x, inputs), &mut turned, false);
            for (i, dw) in dw.iter_mut().enumerate() {
                let product = turned[i % outputs * inputs + i / outputs];
                *dw = if begun { *dw + product } else { product };
            }
        }
    }

    /// Adds the gradient of w alone.
    pub fn add_matrix_gradient(&self, x: &[f32], dy: Right<'_>, gradients: &mut PackGradient<'_>) {
        if let Some((dw, begun)) = gradients.place(self.w.slot) {
            let size = Size { m: self.inputs, k: x.len() / self.inputs, n: self.outputs };
            multiply(size, Left { data: x, row: 1, col: self.inputs }, dy, dw, begun);
        }
    }

    /// Where the gradient of b is added up; nothing where there is none.
    pub fn bias_gradient<'a>(&self, gradients: &'a mut PackGradient<'_>) -> Option<&'a mut [f32]> {
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

    /// y by candle's operations, for x [..., inputs].
    pub fn generic(&self, pack: &Pack, x: &Tensor) -> Result<Tensor> {
        let mut shape = x.dims().to_vec();
        shape.pop();
        shape.push(self.outputs);
        let y = x.reshape(((), self.inputs))?.matmul(&pack.named(self.w.slot)?)?;
        let y = match self.b {
            Some(b) => y.broadcast_add(&pack.named(b)?)?,
            None => y,
        };
        y.reshape(shape)
    }

    fn turned_product(&self, p: View<'_>, dy: &[f32], add: bool, dx: &mut [f32]) {
        let (k, n) = (self.outputs, self.inputs);
        let turned = self.w.of(p).turned(self.w.slot.of(p.values), n, k);
        let size = Size { m: dy.len() / k, k, n };
        multiply(size, Left { data: dy, row: k, col: 1 }, Right::panels(turned, k), dx, add);
    }
}

/// A dense layer of its own: the parameters `name.w` and `name.b`.
#[derive(Debug)]
pub struct Linear {
    dense: Dense,
    pack: Pack,
}

impl Linear {
    /// From x [n, inputs] to [n, outputs].
    pub fn new(
        vb: &VarBuilder,
        name: &str,
        inputs: usize,
        outputs: usize,
        init: Init,
    ) -> std::result::Result<Linear, NnError> {
        let mut p = PackBuilder::default();
        Ok(Linear { dense: Dense::new(&mut p, name, inputs, outputs, init), pack: p.build(vb)? })
    }

    /// Which operations it runs on.
    pub fn path(&self) -> Path {
        self.pack.path()
    }
}

impl Module for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self.pack.path() {
            Path::Fused => apply1(self.dense, &self.pack, x),
            Path::Generic => self.dense.generic(&self.pack, x),
        }
    }
}

impl Fused<1> for Dense {
    const NAME: &'static str = "dense layer";
    type Tape = ();

    fn shape(&self, [x]: [&[usize]; 1]) -> Result<Vec<usize>> {
        match *x {
            [n, inputs] if inputs == self.inputs => Ok(vec![n, self.outputs]),
            _ => candle_core::bail!("a layer of {} inputs for {x:?}", self.inputs),
        }
    }

    fn forward(&self, p: View<'_>, [x]: [&[f32]; 1], keep: bool) -> (Buffer, Option<()>) {
        (self.forward(p, x), keep.then_some(()))
    }

    fn backward(
        &self,
        p: View<'_>,
        [x]: [&[f32]; 1],
        (): (),
        dy: Buffer,
        gradient: &mut PackGradient<'_>,
        [wanted]: [bool; 1],
    ) -> [Option<Buffer>; 1] {
        self.add_gradients(x, &dy, gradient);
        [wanted.then(|| self.input_gradient(p, &dy))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::check;

    /// Over the layer's input and its parameters.
    #[test]
    fn against_differences() {
        for (rows, inputs, outputs) in [(5, 7, 3), (6, 40, 33)] {
            let mut p = PackBuilder::default();
            let dense = Dense::new(&mut p, "layer", inputs, outputs, Init::Zeros);
            check(
                0.01,
                &[rows * inputs, (inputs + 1) * outputs],
                |a| dense.forward(p.prepare(&a[1]).view(&a[1]), &a[0]).to_vec(),
                |a, dy| {
                    let mut gradients = vec![0.0; a[1].len()];
                    let dx = dense.input_gradient(p.prepare(&a[1]).view(&a[1]), dy);
                    dense.add_gradients(&a[0], dy, &mut PackGradient::of(Some(&mut gradients), p.parts()));
                    vec![dx.to_vec(), gradients]
                },
            );
        }
    }
}
