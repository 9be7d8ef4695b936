//! 3×3 convolutions of channels-last images, stride 1, zeros around the border, as implicit matrix products.

use super::gemm::{Gather, Panels, multiply};
use super::pointwise::{add_bias, bias_gradient};
use super::raw;
use crate::kernel::Level;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

/// Correlates x [n, h, w, in] with w [3, 3, in, out] and adds the bias, `[out]` or, one for each image, [n, out].
pub fn conv3x3(x: &Tensor, w: &Tensor, b: &Tensor) -> Result<Tensor> {
    x.apply_op3(w, b, Conv3x3)
}

struct Conv3x3;

/// Images with a border of one zero pixel, and the offsets of their 3×3 patches: the patch of pixel i has its
/// element (ky, kx, c) at `corners[i] + taps[(ky·3 + kx)·channels + c]`.
struct Patches {
    padded: Vec<f32>,
    corners: Vec<u32>,
    taps: Vec<u32>,
}

impl Patches {
    fn of(x: &[f32], [n, h, w, channels]: [usize; 4]) -> Patches {
        let (wide, row) = ((w + 2) * channels, w * channels);
        let mut padded = vec![0.0; n * (h + 2) * wide];
        let mut corners = Vec::with_capacity(n * h * w);
        for (y, line) in x.chunks_exact(row).enumerate() {
            let top = (y / h * (h + 2) + y % h) * wide;
            padded[top + wide + channels..][..row].copy_from_slice(line);
            corners.extend((0..w).map(|x| (top + x * channels) as u32));
        }
        let taps = (0..3).flat_map(|ky| (0..3 * channels).map(move |k| (ky * wide + k) as u32)).collect();
        Patches { padded, corners, taps }
    }
}

fn dims(layout: &Layout) -> Result<[usize; 4]> {
    let (n, h, w, c) = layout.shape().dims4()?;
    Ok([n, h, w, c])
}

impl CustomOp3 for Conv3x3 {
    fn name(&self) -> &'static str {
        "conv3x3"
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
        let ([n, h, width, inputs], [ky, kx, channels, outputs]) = (dims(lx)?, dims(lw)?);
        if [ky, kx, channels] != [3, 3, inputs] || (b.len() != outputs && b.len() != n * outputs) {
            candle_core::bail!("conv3x3: {:?} * {:?} + {:?}", lx.dims(), lw.dims(), lb.dims());
        }
        let p = Patches::of(x, [n, h, width, inputs]);
        let a = Gather { data: &p.padded, rows: &p.corners, cols: &p.taps };
        let mut y = multiply(Level::current(), a, &Panels::pack(w, 9 * inputs, outputs));
        add_bias(&mut y, b, outputs);
        raw::result(y, (n, h, width, outputs))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (n, h, width, inputs) = x.dims4()?;
        let (_, _, _, outputs) = w.dims4()?;
        raw::read(dy, |dy| {
            // The gradient of the images is the correlation of dy with the filters turned by 180° and
            // transposed.
            let dx = raw::gradient(x, || {
                let turned = raw::read(w, |w| {
                    Panels::pack_strided(w, 9 * outputs, inputs, outputs, |k| {
                        (8 - k / outputs) * inputs * outputs + k % outputs
                    })
                })?;
                let p = Patches::of(dy, [n, h, width, outputs]);
                let a = Gather { data: &p.padded, rows: &p.corners, cols: &p.taps };
                Ok(multiply(Level::current(), a, &turned))
            })?;
            let dw = raw::gradient(w, || {
                raw::read(x, |x| {
                    let p = Patches::of(x, [n, h, width, inputs]);
                    let a = Gather { data: &p.padded, rows: &p.taps, cols: &p.corners };
                    multiply(Level::current(), a, &Panels::pack(dy, n * h * width, outputs))
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
    use candle_core::{Device, Var};

    #[test]
    fn gradients() {
        check(&[&[2, 4, 5, 3], &[3, 3, 3, 2], &[2]], |a| conv3x3(&a[0], &a[1], &a[2]));
        check(&[&[3, 3, 2, 2], &[3, 3, 2, 4], &[3, 4]], |a| conv3x3(&a[0], &a[1], &a[2]));
    }

    /// Values and gradients against candle's own convolution, which works on [n, c, h, w]; 9·5 terms of size
    /// one in f32 leave errors of a few 1e-6.
    #[test]
    fn against_candle() {
        let shapes: [&[usize]; 3] = [&[2, 6, 5, 5], &[3, 3, 5, 40], &[40]];
        let vars: Vec<Var> = shapes
            .iter()
            .map(|&s| Var::from_tensor(&Tensor::randn(0f32, 1.0, s, &Device::Cpu).unwrap()).unwrap())
            .collect();
        let ours = conv3x3(&vars[0], &vars[1], &vars[2]).unwrap();
        let x = vars[0].permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
        let w = vars[1].permute((3, 2, 0, 1)).unwrap().contiguous().unwrap();
        let theirs = x.conv2d(&w, 1, 1, 1, 1).unwrap().permute((0, 2, 3, 1)).unwrap();
        let theirs = theirs.broadcast_add(&vars[2]).unwrap().contiguous().unwrap();
        let close = |a: &Tensor, b: &Tensor| {
            let worst = (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
            assert!(worst.to_scalar::<f32>().unwrap() < 1e-3, "{worst}");
        };
        close(&ours, &theirs);
        let (a, b) = (ours.sqr().unwrap().mean_all().unwrap(), theirs.sqr().unwrap().mean_all().unwrap());
        let (a, b) = (a.backward().unwrap(), b.backward().unwrap());
        for var in &vars {
            close(&a.get(var).unwrap().contiguous().unwrap(), &b.get(var).unwrap().contiguous().unwrap());
        }
    }
}
