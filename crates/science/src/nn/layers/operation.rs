//! A block of a network as one candle operation, with a forward and a reverse pass of its own.

use super::parameters::{Layout as Parts, Pack, PackGradient, Prepared, View};
use crate::nn::kernels::buffer::Buffer;
use crate::nn::kernels::raw;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use std::array::from_fn;
use std::sync::{Arc, Mutex, PoisonError};

/// The two passes of a block on the CPU, for `N` inputs beside its parameters: contiguous numbers all.
pub trait Fused<const N: usize>: Send + Sync + 'static {
    const NAME: &'static str;

    /// What the reverse pass needs of the forward pass beside the inputs.
    type Tape: Send;

    /// The shape of the result for inputs of these shapes, and what is wrong with them.
    fn shape(&self, inputs: [&[usize]; N]) -> Result<Vec<usize>>;

    /// The result, and the tape when it is wanted.
    fn forward(&self, p: View<'_>, inputs: [&[f32]; N], keep: bool) -> (Buffer, Option<Self::Tape>);

    /// The gradients of the inputs that are wanted; adds that of the parameters.
    fn backward(
        &self,
        p: View<'_>,
        inputs: [&[f32]; N],
        tape: Self::Tape,
        dy: Buffer,
        gradient: &mut PackGradient<'_>,
        wanted: [bool; N],
    ) -> [Option<Buffer>; N];
}

/// The result of a block of these parameters alone.
pub fn apply0<F: Fused<0>>(block: F, pack: &Pack) -> Result<Tensor> {
    pack.tensor().apply_op1(Operation::new(block, pack, []))
}

/// The result of a block for x; differentiable once in x and in trainable parameters.
pub fn apply1<F: Fused<1>>(block: F, pack: &Pack, x: &Tensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    x.apply_op2(pack.tensor(), Operation::new(block, pack, [&x]))
}

/// The same for two inputs.
pub fn apply2<F: Fused<2>>(block: F, pack: &Pack, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let (x, y) = (x.contiguous()?, y.contiguous()?);
    x.apply_op3(&y, pack.tensor(), Operation::new(block, pack, [&x, &y]))
}

struct Operation<F: Fused<N>, const N: usize> {
    block: F,
    layout: Arc<Parts>,
    prepared: Arc<Prepared>,
    /// Whether a reverse pass may follow.
    keep: bool,
    tape: Mutex<Option<F::Tape>>,
}

impl<F: Fused<N>, const N: usize> Operation<F, N> {
    fn new(block: F, pack: &Pack, inputs: [&Tensor; N]) -> Operation<F, N> {
        let keep = pack.tensor().track_op() || inputs.iter().any(|input| input.track_op());
        Operation {
            block,
            layout: pack.layout().clone(),
            prepared: pack.prepared(),
            keep,
            tape: Mutex::default(),
        }
    }

    fn run(
        &self,
        inputs: [(&CpuStorage, &Layout); N],
        pack: (&CpuStorage, &Layout),
    ) -> Result<(CpuStorage, Shape)> {
        let shape = self.block.shape(from_fn(|i| inputs[i].1.dims()))?;
        let mut numbers = [&[][..]; N];
        for (numbers, (storage, layout)) in numbers.iter_mut().zip(inputs) {
            *numbers = raw::slice(storage, layout)?;
        }
        let p = self.prepared.view(raw::slice(pack.0, pack.1)?);
        let (y, tape) = self.block.forward(p, numbers, self.keep);
        *self.tape.lock().unwrap_or_else(PoisonError::into_inner) = tape;
        raw::result(y.into_vec(), shape)
    }

    /// The gradients of the inputs and of the pack.
    fn reverse(
        &self,
        inputs: [&Tensor; N],
        pack: &Tensor,
        dy: &Tensor,
    ) -> Result<([Option<Tensor>; N], Option<Tensor>)> {
        let Some(tape) = self.tape.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            candle_core::bail!("{}: the gradient was taken twice, or nothing has one", F::NAME);
        };
        let dy = Buffer::from_vec(raw::take(dy)?);
        let storages = inputs.map(|input| input.storage_and_layout());
        let mut numbers = [&[][..]; N];
        for (numbers, (storage, layout)) in numbers.iter_mut().zip(&storages) {
            *numbers = raw::stored(storage, layout)?;
        }
        let (gradients, sum) = raw::read(pack, |values| {
            let wanted = inputs.map(|input| input.track_op());
            self.layout.gradient(pack.track_op(), |gradient| {
                self.block.backward(self.prepared.view(values), numbers, tape, dy, gradient, wanted)
            })
        })?;
        let mut found = [const { None }; N];
        for ((found, gradient), input) in found.iter_mut().zip(gradients).zip(inputs) {
            *found = gradient.map(|g| raw::tensor(g.into_vec(), input.shape().clone())).transpose()?;
        }
        Ok((found, sum.map(|sum| raw::tensor(sum.into_vec(), pack.shape().clone())).transpose()?))
    }
}

impl<F: Fused<0>> CustomOp1 for Operation<F, 0> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn cpu_fwd(&self, p: &CpuStorage, lp: &Layout) -> Result<(CpuStorage, Shape)> {
        self.run([], (p, lp))
    }

    fn bwd(&self, p: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        Ok(self.reverse([], p, dy)?.1)
    }
}

impl<F: Fused<1>> CustomOp2 for Operation<F, 1> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        p: &CpuStorage,
        lp: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.run([(x, lx)], (p, lp))
    }

    fn bwd(
        &self,
        x: &Tensor,
        p: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let ([dx], dp) = self.reverse([x], p, dy)?;
        Ok((dx, dp))
    }
}

impl<F: Fused<2>> CustomOp3 for Operation<F, 2> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        y: &CpuStorage,
        ly: &Layout,
        p: &CpuStorage,
        lp: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.run([(x, lx), (y, ly)], (p, lp))
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        p: &Tensor,
        _: &Tensor,
        dz: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let ([dx, dy], dp) = self.reverse([x, y], p, dz)?;
        Ok((dx, dy, dp))
    }
}
