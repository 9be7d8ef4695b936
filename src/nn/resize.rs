//! Changes of shape: halving and doubling of channels-last images, joining channels, and the way in and out
//! of that layout.

use super::raw;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

/// The means of 2×2 pixels: [n, 2h, 2w, c] to [n, h, w, c].
pub fn halve(x: &Tensor) -> Result<Tensor> {
    x.apply_op1(Halve)
}

/// Each pixel four times: [n, h, w, c] to [n, 2h, 2w, c].
pub fn double(x: &Tensor) -> Result<Tensor> {
    x.apply_op1(Double)
}

/// Joins channels: [..., a] and [..., b] to [..., a + b].
pub fn join(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    x.apply_op2(y, Join)
}

/// Images as rows, [n, channels·height·width] in the order of a file, and as the padded channels-last [n, h,
/// w, c] that the convolutions use, with zeros below and to the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    /// Height and width are padded to a multiple of this.
    pub multiple: usize,
}

impl ImageShape {
    /// To channels-last.
    pub fn enter(self, x: &Tensor) -> Result<Tensor> {
        x.apply_op1(Enter(self))
    }

    /// Back to rows, dropping the padding.
    pub fn leave(self, x: &Tensor) -> Result<Tensor> {
        x.apply_op1(Leave(self))
    }

    fn padded(self) -> (usize, usize) {
        (self.height.next_multiple_of(self.multiple), self.width.next_multiple_of(self.multiple))
    }

    fn to_padded(self, x: &[f32]) -> Vec<f32> {
        let (h, w) = self.padded();
        let n = x.len() / (self.channels * self.height * self.width);
        let mut out = vec![0.0; n * h * w * self.channels];
        self.pairs(n, |row, padded| out[padded] = x[row]);
        out
    }

    fn to_rows(self, x: &[f32]) -> Vec<f32> {
        let (h, w) = self.padded();
        let n = x.len() / (self.channels * h * w);
        let mut out = vec![0.0; n * self.channels * self.height * self.width];
        self.pairs(n, |row, padded| out[row] = x[padded]);
        out
    }

    /// Visits the offset of each number in both layouts.
    fn pairs(self, n: usize, mut visit: impl FnMut(usize, usize)) {
        let (h, w) = self.padded();
        let mut row = 0;
        for i in 0..n {
            for c in 0..self.channels {
                for y in 0..self.height {
                    for x in 0..self.width {
                        visit(row, ((i * h + y) * w + x) * self.channels + c);
                        row += 1;
                    }
                }
            }
        }
    }
}

struct Enter(ImageShape);
struct Leave(ImageShape);
struct Halve;
struct Double;
struct Join;

fn map(x: &Tensor, dy: &Tensor, f: impl FnOnce(&[f32]) -> Vec<f32>) -> Result<Option<Tensor>> {
    raw::gradient(x, || raw::read(dy, f))
}

impl CustomOp1 for Enter {
    fn name(&self) -> &'static str {
        "enter"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, _) = layout.shape().dims2()?;
        let (h, w) = self.0.padded();
        raw::result(self.0.to_padded(raw::slice(x, layout)?), (n, h, w, self.0.channels))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        map(x, dy, |dy| self.0.to_rows(dy))
    }
}

impl CustomOp1 for Leave {
    fn name(&self) -> &'static str {
        "leave"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, _, _, _) = layout.shape().dims4()?;
        let width = self.0.channels * self.0.height * self.0.width;
        raw::result(self.0.to_rows(raw::slice(x, layout)?), (n, width))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        map(x, dy, |dy| self.0.to_padded(dy))
    }
}

/// Sums of 2×2 pixels, times `scale`; `width` and `channels` are those of the larger images.
fn gather_quads(x: &[f32], width: usize, channels: usize, scale: f32) -> Vec<f32> {
    let row = width * channels;
    let mut out = Vec::with_capacity(x.len() / 4);
    for two in x.chunks_exact(2 * row) {
        let (upper, lower) = two.split_at(row);
        for (a, b) in upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels)) {
            for c in 0..channels {
                out.push(scale * ((a[c] + a[channels + c]) + (b[c] + b[channels + c])));
            }
        }
    }
    out
}

/// Each pixel four times, times `scale`; `width` and `channels` are those of the smaller images.
fn spread_quads(x: &[f32], width: usize, channels: usize, scale: f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len() * 4);
    for row in x.chunks_exact(width * channels) {
        let start = out.len();
        for pixel in row.chunks_exact(channels) {
            for _ in 0..2 {
                out.extend(pixel.iter().map(|x| scale * x));
            }
        }
        out.extend_from_within(start..);
    }
    out
}

impl CustomOp1 for Halve {
    fn name(&self) -> &'static str {
        "halve"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, c) = layout.shape().dims4()?;
        if h % 2 + w % 2 > 0 {
            candle_core::bail!("halve: {h}x{w} pixels are not even");
        }
        raw::result(gather_quads(raw::slice(x, layout)?, w, c, 0.25), (n, h / 2, w / 2, c))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (_, _, w, c) = x.dims4()?;
        map(x, dy, |dy| spread_quads(dy, w / 2, c, 0.25))
    }
}

impl CustomOp1 for Double {
    fn name(&self) -> &'static str {
        "double"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, c) = layout.shape().dims4()?;
        raw::result(spread_quads(raw::slice(x, layout)?, w, c, 1.0), (n, 2 * h, 2 * w, c))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (_, _, w, c) = x.dims4()?;
        map(x, dy, |dy| gather_quads(dy, 2 * w, c, 1.0))
    }
}

impl CustomOp2 for Join {
    fn name(&self) -> &'static str {
        "join"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        y: &CpuStorage,
        ly: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, y) = (raw::slice(x, lx)?, raw::slice(y, ly)?);
        let [.., a] = *lx.dims() else { candle_core::bail!("join: a scalar") };
        let [.., b] = *ly.dims() else { candle_core::bail!("join: a scalar") };
        if lx.dims()[..lx.dims().len() - 1] != ly.dims()[..ly.dims().len() - 1] {
            candle_core::bail!("join: {:?} and {:?}", lx.dims(), ly.dims());
        }
        let mut out = Vec::with_capacity(x.len() + y.len());
        for (x, y) in x.chunks_exact(a).zip(y.chunks_exact(b)) {
            out.extend_from_slice(x);
            out.extend_from_slice(y);
        }
        let mut shape = lx.dims().to_vec();
        shape[lx.dims().len() - 1] = a + b;
        raw::result(out, shape)
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        _joined: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let ([.., a], [.., b]) = (x.dims(), y.dims()) else { candle_core::bail!("join: a scalar") };
        let width = a + b;
        let part = |from: usize, to: usize| {
            move |grad: &[f32]| {
                grad.chunks_exact(width).flat_map(|row| row[from..to].iter().copied()).collect::<Vec<f32>>()
            }
        };
        Ok((map(x, grad, part(0, *a))?, map(y, grad, part(*a, width))?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::check;
    use super::*;

    const SHAPE: ImageShape = ImageShape { channels: 2, height: 3, width: 5, multiple: 4 };

    #[test]
    fn gradients() {
        check(&[&[2, 4, 6, 3]], |a| halve(&a[0]));
        check(&[&[2, 2, 3, 3]], |a| double(&a[0]));
        check(&[&[2, 2, 3, 3], &[2, 2, 3, 4]], |a| join(&a[0], &a[1]));
        check(&[&[2, 30]], |a| SHAPE.enter(&a[0]));
        check(&[&[2, 4, 8, 2]], |a| SHAPE.leave(&a[0]));
        // One tensor used twice gets the sum of both gradients.
        check(&[&[1, 2, 2, 3]], |a| join(&double(&a[0])?, &double(&a[0])?));
    }

    #[test]
    fn values() {
        let x = raw::tensor((0..8).map(|i| i as f32).collect(), (1, 2, 4, 1)).unwrap();
        let half = halve(&x).unwrap();
        assert_eq!(raw::values(&half).unwrap(), [2.5, 4.5]);
        assert_eq!(raw::values(&double(&half).unwrap()).unwrap(), [2.5, 2.5, 4.5, 4.5, 2.5, 2.5, 4.5, 4.5]);
        let rows: Vec<f32> = (0..60).map(|i| i as f32).collect();
        let inside = SHAPE.enter(&raw::tensor(rows.clone(), (2, 30)).unwrap()).unwrap();
        assert_eq!(inside.dims(), [2, 4, 8, 2]);
        assert_eq!(raw::values(&inside).unwrap()[..4], [0.0, 15.0, 1.0, 16.0]);
        assert_eq!(raw::values(&SHAPE.leave(&inside).unwrap()).unwrap(), rows);
    }
}
