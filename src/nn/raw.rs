//! The numbers behind candle's tensors: every operation of ours works on contiguous `f32` slices.

use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Result, Shape, Storage, Tensor, Var};

/// The numbers of a contiguous tensor.
pub fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    read(tensor, <[f32]>::to_vec)
}

/// Lends the numbers of a contiguous tensor to `f`.
pub fn read<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(f(slice(storage, layout)?)),
        _ => candle_core::bail!("a tensor on the CPU is needed"),
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

/// Overwrites a contiguous variable, in place.
pub fn overwrite(var: &Var, values: &[f32]) -> Result<()> {
    var.as_tensor().inplace_op1(&Overwrite(values))
}

struct Overwrite<'a>(&'a [f32]);

impl InplaceOp1 for Overwrite<'_> {
    fn name(&self) -> &'static str {
        "overwrite"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        match (storage, layout.contiguous_offsets()) {
            (CpuStorage::F32(data), Some((start, end))) if end - start == self.0.len() => {
                data[start..end].copy_from_slice(self.0);
                Ok(())
            }
            _ => candle_core::bail!("a contiguous variable of {} f32 is needed", self.0.len()),
        }
    }
}
