//! Dense layers, and with them the 1×1 convolutions of channels-last images.

use super::gemm::{Gather, Panels, multiply};
use super::pointwise::{add_bias, bias_gradient};
use super::raw;
use crate::kernel::Level;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

/// y = x·w + b for x [..., in], w [in, out]. The bias is `[out]`, or [n, out] where x is [n, ..., in]: one for
/// each sample, which is how a time embedding enters.
pub fn linear(x: &Tensor, w: &Tensor, b: &Tensor) -> Result<Tensor> {
    x.apply_op3(w, b, Linear)
}

struct Linear;

fn row_offsets(rows: usize, width: usize) -> Vec<u32> {
    (0..rows).map(|i| (i * width) as u32).collect()
}

fn first(n: usize) -> Vec<u32> {
    (0..n as u32).collect()
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, w, b) = (raw::slice(x, lx)?, raw::slice(w, lw)?, raw::slice(b, lb)?);
        let (inputs, outputs) = lw.shape().dims2()?;
        let rows = x.len() / inputs;
        if lx.dims().last() != Some(&inputs) || b.len() % outputs != 0 || rows * outputs % b.len() != 0 {
            candle_core::bail!("linear: {:?} x {:?} + {:?}", lx.dims(), lw.dims(), lb.dims());
        }
        let a = Gather { data: x, rows: &row_offsets(rows, inputs), cols: &first(inputs) };
        let mut y = multiply(Level::current(), a, &Panels::pack(w, inputs, outputs));
        add_bias(&mut y, b, outputs);
        let mut shape = lx.dims().to_vec();
        shape[lx.dims().len() - 1] = outputs;
        raw::result(y, shape)
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (inputs, outputs) = w.dims2()?;
        let rows = x.elem_count() / inputs;
        raw::read(dy, |dy| {
            let dx = raw::gradient(x, || {
                let transposed = raw::read(w, |w| Panels::pack_strided(w, outputs, inputs, outputs, |k| k))?;
                let a = Gather { data: dy, rows: &row_offsets(rows, outputs), cols: &first(outputs) };
                Ok(multiply(Level::current(), a, &transposed))
            })?;
            let dw = raw::gradient(w, || {
                raw::read(x, |x| {
                    let a = Gather { data: x, rows: &first(inputs), cols: &row_offsets(rows, inputs) };
                    multiply(Level::current(), a, &Panels::pack(dy, rows, outputs))
                })
            })?;
            let db = raw::gradient(b, || Ok(bias_gradient(dy, b.elem_count() / outputs, outputs)))?;
            Ok((dx, dw, db))
        })?
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::check;
    use super::*;

    #[test]
    fn gradients() {
        check(&[&[5, 7], &[7, 3], &[3]], |a| linear(&a[0], &a[1], &a[2]));
        check(&[&[2, 3, 4, 5], &[5, 6], &[2, 6]], |a| linear(&a[0], &a[1], &a[2]));
    }

    /// A bias for each sample is added to all of its rows.
    #[test]
    fn bias_of_each_sample() {
        let x = raw::tensor(vec![1.0; 4], (2, 2, 1)).unwrap();
        let w = raw::tensor(vec![1.0, 2.0], (1, 2)).unwrap();
        let b = raw::tensor(vec![0.0, 10.0, 20.0, 30.0], (2, 2)).unwrap();
        let y = raw::values(&linear(&x, &w, &b).unwrap()).unwrap();
        assert_eq!(y, [1.0, 12.0, 1.0, 12.0, 21.0, 32.0, 21.0, 32.0]);
    }
}
