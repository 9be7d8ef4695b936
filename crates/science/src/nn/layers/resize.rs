//! Changes of the size of channels-last images [n, h, w, c] between the levels of a network.

use super::parameters::Path;
use crate::nn::kernels::buffer::Buffer;
use crate::nn::kernels::raw;
use crate::nn::kernels::resample::{
    ImageShape, concat, downsample, split, split_downsample, upsample, upsample_concat,
};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Module, Result, Shape, Tensor};

/// Means of 2×2 pixels.
#[derive(Debug, Clone, Copy)]
pub struct Downsample {
    pub path: Path,
}

impl Module for Downsample {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if self.path == Path::Fused {
            return x.contiguous()?.apply_op1(Means);
        }
        let (n, h, w, c) = x.dims4()?;
        x.reshape(&[n, h / 2, 2, w / 2, 2, c][..])?.mean(4)?.mean(2)
    }
}

/// Each pixel of x four times, and then the channels of `skip`: from [n, h, w, a] and [n, 2h, 2w, b] to [n, 2h, 2w, a + b].
pub fn upsample_and_concat(path: Path, x: &Tensor, skip: &Tensor) -> Result<Tensor> {
    if path == Path::Fused {
        return x.contiguous()?.apply_op2(&skip.contiguous()?, UpsampleConcat);
    }
    // The reverse pass of candle's own upsampling assigns where it should add.
    let (n, h, w, c) = x.dims4()?;
    let copies = x.reshape(&[n, h, 1, w, 1, c][..])?.broadcast_as(&[n, h, 2, w, 2, c][..])?;
    Tensor::cat(&[&copies.contiguous()?.reshape((n, 2 * h, 2 * w, c))?, skip], 3)
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

/// The gradient of a tensor, in its shape.
fn like(of: &Tensor, gradient: Buffer) -> Result<Option<Tensor>> {
    Ok(Some(raw::tensor(gradient.into_vec(), of.shape().clone())?))
}

struct Means;

impl CustomOp1 for Means {
    fn name(&self) -> &'static str {
        "downsample"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, c) = layout.shape().dims4()?;
        if h % 2 != 0 || w % 2 != 0 {
            candle_core::bail!("downsampling of {h}×{w} pixels");
        }
        raw::result(downsample(raw::slice(x, layout)?, w / 2, c, 0.25).into_vec(), (n, h / 2, w / 2, c))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (_, _, w, c) = x.dims4()?;
        let dy = Buffer::from_vec(raw::take(dy)?);
        raw::gradient(x, || Ok(upsample(&dy, w / 2, c, 0.25).into_vec()))
    }
}

struct UpsampleConcat;

impl CustomOp2 for UpsampleConcat {
    fn name(&self) -> &'static str {
        "upsample and concat"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        skip: &CpuStorage,
        ls: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (n, h, w, a) = lx.shape().dims4()?;
        let (m, k, l, b) = ls.shape().dims4()?;
        if (n, 2 * h, 2 * w) != (m, k, l) {
            candle_core::bail!("upsampling of {:?} to {:?}", lx.dims(), ls.dims());
        }
        let both = upsample_concat(raw::slice(x, lx)?, w, a, raw::slice(skip, ls)?, b);
        raw::result(both.into_vec(), (m, k, l, a + b))
    }

    fn bwd(
        &self,
        x: &Tensor,
        skip: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let ((_, _, w, a), b) = (x.dims4()?, skip.dims4()?.3);
        let (dx, dskip) = split_downsample(&Buffer::from_vec(raw::take(dy)?), w, a, b);
        Ok((like(x, dx)?, like(skip, dskip)?))
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
        let (dx, dy) = split(&Buffer::from_vec(raw::take(dy)?), a, b);
        Ok((like(x, dx)?, like(y, dy)?))
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
