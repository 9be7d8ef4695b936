//! A whole network as one candle operation with a reverse pass of its own.

use super::buffer::Buffer;
use super::error::NnError;
use super::parameters::{Gradients, Packed, Prepared, View};
use super::raw;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

/// What a network is told of each row of x beside its numbers.
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
}

/// The layers of a network, forward and in reverse.
pub trait Layers: Debug + Send + Sync + 'static {
    /// What the reverse pass needs of the forward pass.
    type Tape: Send;

    /// The length of a row of the result.
    fn outputs(&self) -> usize;

    /// The number of classes that it can be told.
    fn classes(&self) -> usize {
        0
    }

    /// The rows of the result for the rows of x under these conditions, and the tape when it is wanted.
    fn forward(&self, p: View<'_>, x: &[f32], on: &Conditions, tape: bool) -> (Buffer, Option<Self::Tape>);

    /// Adds the gradient of the parameters, and gives that of x when it is wanted; the conditions are those of the forward
    /// pass.
    fn backward(
        &self,
        p: View<'_>,
        on: &Conditions,
        tape: Self::Tape,
        dy: &[f32],
        gradients: &mut Gradients<'_>,
        input: bool,
    ) -> Option<Buffer>;
}

/// The network's result for rows x [n, d] under these conditions, differentiable once in x and in trainable parameters.
pub fn apply<L: Layers>(
    layers: &Arc<L>,
    packed: &Packed,
    x: &Tensor,
    on: &Conditions,
) -> std::result::Result<Tensor, NnError> {
    let classes = layers.classes();
    if let Some(&class) = on.classes.iter().find(|&&class| class as usize > classes) {
        return Err(NnError::Class { class, classes });
    }
    let operation = Operation {
        layers: layers.clone(),
        prepared: packed.prepared(),
        on: on.clone(),
        trainable: packed.trainable(),
        keep: packed.trainable() || x.track_op(),
        tape: Mutex::default(),
    };
    Ok(x.apply_op2(packed.tensor(), operation)?)
}

thread_local! {
    /// Where the reverse passes of this thread add up the gradient of the parameters.
    static SUM: RefCell<Option<Buffer>> = const { RefCell::new(None) };
}

/// Runs a reverse pass of candle's and gives the gradient of the `count` parameters of the networks in it. It is added up
/// in place, outside candle's own store, which would copy all of it three times for each network.
pub fn collect<R>(count: usize, reverse: impl FnOnce() -> R) -> (R, Buffer) {
    SUM.replace(Some(Buffer::zeros(count)));
    let result = reverse();
    (result, SUM.take().unwrap_or_else(|| Buffer::zeros(count)))
}

struct Operation<L: Layers> {
    layers: Arc<L>,
    prepared: Arc<Prepared>,
    on: Conditions,
    trainable: bool,
    /// Whether a reverse pass may follow.
    keep: bool,
    tape: Mutex<Option<L::Tape>>,
}

impl<L: Layers> CustomOp2 for Operation<L> {
    fn name(&self) -> &'static str {
        "network"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        parameters: &CpuStorage,
        lp: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (n, _) = lx.shape().dims2()?;
        let given = |conditions: usize| conditions == n || conditions == 0;
        if self.on.times.len() != n || !given(self.on.classes.len()) || !given(self.on.dropout.len()) {
            candle_core::bail!("network: {n} rows and conditions of {} rows", self.on.times.len());
        }
        let p = self.prepared.view(raw::slice(parameters, lp)?);
        let (y, tape) = self.layers.forward(p, raw::slice(x, lx)?, &self.on, self.keep);
        *self.tape.lock().unwrap_or_else(PoisonError::into_inner) = tape;
        raw::result(y.into_vec(), (n, self.layers.outputs()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(tape) = self.tape.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            candle_core::bail!(
                "network: the gradient was taken twice, or neither x nor the parameters have one"
            );
        };
        let reverse = |gradients: &mut Gradients<'_>| -> Result<Option<Tensor>> {
            let dx = raw::read(parameters, |values| {
                let p = self.prepared.view(values);
                raw::read(dy, |dy| self.layers.backward(p, &self.on, tape, dy, gradients, x.track_op()))
            })??;
            dx.map(|dx| raw::tensor(dx.into_vec(), x.shape().clone())).transpose()
        };
        if !self.trainable {
            return Ok((reverse(&mut Gradients::unwanted())?, None));
        }
        let count = parameters.elem_count();
        // Another network in the same pass goes through candle.
        let collected = SUM.with_borrow_mut(|sum| sum.take_if(|sum| sum.len() == count));
        let collecting = collected.is_some();
        let mut sum = collected.unwrap_or_else(|| Buffer::zeros(count));
        let dx = reverse(&mut Gradients::of(&mut sum))?;
        if collecting {
            SUM.replace(Some(sum));
            return Ok((dx, None));
        }
        Ok((dx, Some(raw::tensor(sum.into_vec(), parameters.shape().clone())?)))
    }
}
