//! The numbers behind candle's tensors: every operation of ours works on contiguous `f32` slices.

use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Result, Shape, Storage, Tensor, Var};
use std::cell::Cell;

/// The numbers of a contiguous tensor.
pub fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    read(tensor, <[f32]>::to_vec)
}

/// Lends the numbers of a contiguous tensor to `f`.
pub fn read<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    Ok(f(stored(&storage, layout)?))
}

/// The numbers of a storage on the CPU.
pub fn stored<'a>(storage: &'a Storage, layout: &Layout) -> Result<&'a [f32]> {
    match storage {
        Storage::Cpu(storage) => slice(storage, layout),
        _ => candle_core::bail!("a tensor on the CPU is needed"),
    }
}

/// The numbers of a tensor that nobody else will read: in an operation's reverse pass, of the gradient of its result, which
/// candle made for this call and drops after it.
pub fn take(tensor: &Tensor) -> Result<Vec<f32>> {
    let take = Take(Cell::new(None));
    tensor.inplace_op1(&take)?;
    match take.0.take() {
        Some(numbers) => Ok(numbers),
        None => values(&tensor.contiguous()?),
    }
}

struct Take(Cell<Option<Vec<f32>>>);

impl InplaceOp1 for Take {
    fn name(&self) -> &'static str {
        "take"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        // A part of a storage, or numbers in another order, are copied instead.
        if let (CpuStorage::F32(data), Some((0, end))) = (storage, layout.contiguous_offsets())
            && data.len() == end
        {
            self.0.set(Some(std::mem::take(data)));
        }
        Ok(())
    }
}

/// The numbers of an operation's argument.
pub fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(data), Some((start, end))) => Ok(&data[start..end]),
        (CpuStorage::F32(_), None) => candle_core::bail!("a contiguous tensor is needed"),
        _ => candle_core::bail!("a tensor of f32 is needed"),
    }
}

/// The result of an operation.
pub fn result(data: Vec<f32>, shape: impl Into<Shape>) -> Result<(CpuStorage, Shape)> {
    Ok((CpuStorage::F32(data), shape.into()))
}

/// A tensor of these numbers.
pub fn tensor(data: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(data, shape, &Device::Cpu)
}

/// A tensor for a gradient, where one is wanted.
pub fn gradient(of: &Tensor, compute: impl FnOnce() -> Result<Vec<f32>>) -> Result<Option<Tensor>> {
    if of.track_op() { Ok(Some(tensor(compute()?, of.shape().clone())?)) } else { Ok(None) }
}

/// Lends the numbers of a contiguous variable to `f`, to change them in place.
pub fn change<R>(var: &Var, f: impl FnOnce(&mut [f32]) -> R) -> Result<R> {
    let change = Change { f: Cell::new(Some(f)), result: Cell::new(None) };
    var.as_tensor().inplace_op1(&change)?;
    change.result.take().ok_or_else(|| candle_core::Error::Msg("the variable was not changed".into()))
}

struct Change<F, R> {
    f: Cell<Option<F>>,
    result: Cell<Option<R>>,
}

impl<R, F: FnOnce(&mut [f32]) -> R> InplaceOp1 for Change<F, R> {
    fn name(&self) -> &'static str {
        "change"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        match (storage, layout.contiguous_offsets()) {
            (CpuStorage::F32(data), Some((start, end))) => {
                self.result.set(self.f.take().map(|f| f(&mut data[start..end])));
                Ok(())
            }
            _ => candle_core::bail!("a contiguous variable of f32 is needed"),
        }
    }
}
