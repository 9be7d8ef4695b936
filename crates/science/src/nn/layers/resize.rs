//! Changes of the size of channels-last images [n, h, w, c] between the levels of a network.

use super::parameters::Path;
use crate::nn::kernels::buffer::Buffer;
use crate::nn::kernels::raw;
use crate::nn::kernels::resample::{ImageShape, concat, downsample, split, upsample};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Module, Result, Shape, Tensor};

/// Means of 2×2 pixels.
#[derive(Debug, Clone, Copy)]
pub struct Downsample {
    pub path: Path,
}

/// Each pixel four times.
#[derive(Debug, Clone, Copy)]
pub struct Upsample {
    pub path: Path,
}

impl Module for Downsample {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if self.path == Path::Fused {
            return x.contiguous()?.apply_op1(Resize::Down);
        }
        let (n, h, w, c) = x.dims4()?;
        x.reshape(&[n, h / 2, 2, w / 2, 2, c][..])?.mean(4)?.mean(2)
    }
}

impl Module for Upsample {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if self.path == Path::Fused {
            return x.contiguous()?.apply_op1(Resize::Up);
        }
        // The reverse pass of candle's own upsampling assigns where it should add.
        let (n, h, w, c) = x.dims4()?;
        let copies = x.reshape(&[n, h, 1, w, 1, c][..])?.broadcast_as(&[n, h, 2, w, 2, c][..])?;
        copies.contiguous()?.reshape((n, 2 * h, 2 * w, c))
    }
}

/// The channels of x and then those of y.
pub fn concat_channels(path: Path, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    match path {
        Path::Fused => x.contiguous()?.apply_op2(&y.contiguous()?, Concat),
        Path::Generic => Tensor::cat(&[x, y], 3),
    }
}

/// From rows [n, channels·height·width], in the order of a file, to channels-last images with zeros below and to the right.
pub fn to_images(path: Path, x: &Tensor, image: ImageShape) -> Result<Tensor> {
    if path == Path::Fused {
        return x.contiguous()?.apply_op1(Layouts { image, to_images: true });
    }
    let ImageShape { channels, height, width, .. } = image;
    let (h, w) = image.padded();
    let x = x.reshape(((), channels, height, width))?.permute((0, 2, 3, 1))?.contiguous()?;
    x.pad_with_zeros(1, 0, h - height)?.pad_with_zeros(2, 0, w - width)
}

/// From channels-last images back to rows, without the padding.
pub fn to_rows(path: Path, x: &Tensor, image: ImageShape) -> Result<Tensor> {
    if path == Path::Fused {
        return x.contiguous()?.apply_op1(Layouts { image, to_images: false });
    }
    let x = x.narrow(1, 0, image.height)?.narrow(2, 0, image.width)?;
    x.permute((0, 3, 1, 2))?.contiguous()?.flatten_from(1)
}

enum Resize {
    Down,
    Up,
}

impl CustomOp1 for Resize {
    fn name(&self) -> &'static str {
        "resize"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, c) = layout.shape().dims4()?;
        let x = raw::slice(x, layout)?;
        match self {
            Resize::Down if h % 2 == 0 && w % 2 == 0 => {
                raw::result(downsample(x, w / 2, c, 0.25).into_vec(), (n, h / 2, w / 2, c))
            }
            Resize::Down => candle_core::bail!("downsampling of {h}×{w} pixels"),
            Resize::Up => raw::result(upsample(x, w, c, 1.0).into_vec(), (n, 2 * h, 2 * w, c)),
        }
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (_, _, w, c) = x.dims4()?;
        let dy = Buffer::from_vec(raw::take(dy)?);
        raw::gradient(x, || {
            Ok(match self {
                Resize::Down => upsample(&dy, w / 2, c, 0.25).into_vec(),
                Resize::Up => downsample(&dy, w, c, 1.0).into_vec(),
            })
        })
    }
}

struct Concat;

impl CustomOp2 for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        y: &CpuStorage,
        ly: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, a) = lx.shape().dims4()?;
        let (m, k, l, b) = ly.shape().dims4()?;
        if (n, h, w) != (m, k, l) {
            candle_core::bail!("concat: {:?} and {:?}", lx.dims(), ly.dims());
        }
        let both = concat(raw::slice(x, lx)?, a, raw::slice(y, ly)?, b);
        raw::result(both.into_vec(), (n, h, w, a + b))
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (a, b) = (x.dims4()?.3, y.dims4()?.3);
        let (dx, dskip) = split(&Buffer::from_vec(raw::take(dy)?), a, b);
        let tensor = |of: &Tensor, gradient: Vec<f32>| raw::tensor(gradient, of.shape().clone());
        Ok((Some(tensor(x, dx.into_vec())?), Some(tensor(y, dskip.into_vec())?)))
    }
}

struct Layouts {
    image: ImageShape,
    to_images: bool,
}

impl CustomOp1 for Layouts {
    fn name(&self) -> &'static str {
        "layout of images"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let ImageShape { channels, height, width, .. } = self.image;
        let ((h, w), n) = (self.image.padded(), layout.dims()[0]);
        let (rows, images) = (Shape::from((n, channels * height * width)), Shape::from((n, h, w, channels)));
        let (from, to) = if self.to_images { (rows, images) } else { (images, rows) };
        if *layout.shape() != from {
            candle_core::bail!("images {:?} where {from:?} is needed", layout.dims());
        }
        let x = raw::slice(x, layout)?;
        let y = if self.to_images { self.image.enter(x) } else { self.image.leave(x) };
        raw::result(y.into_vec(), to)
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = Buffer::from_vec(raw::take(dy)?);
        raw::gradient(x, || {
            let dx = if self.to_images { self.image.leave(&dy) } else { self.image.enter(&dy) };
            Ok(dx.into_vec())
        })
    }
}
