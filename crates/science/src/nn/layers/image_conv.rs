//! The convolutions at the ends of a U-Net: from rows of pixels to channels-last images, and back after the last norm.

use super::conv::ConvLayer;
use super::norm::Norm;
use super::operation::{Fused, apply1};
use super::parameters::{Init, Pack, PackBuilder, PackGradient, Path, VarBuilder, View};
use super::resize::{to_images, to_rows};
use crate::nn::error::NnError;
use crate::nn::kernels::buffer::Buffer;
use crate::nn::kernels::conv3x3::Conv3x3;
use crate::nn::kernels::resample::ImageShape;
use candle_core::{Module, Result, Tensor};

/// The convolution of rows [n, channels·height·width], as images with zeros below and to the right, to [n, h, w, outputs]: the
/// parameters `w` and `b`.
#[derive(Debug)]
pub struct InputConv {
    call: InputCall,
    pack: Pack,
}

/// The norm, SiLU and convolution of images [n, h, w, inputs] to rows [n, channels·height·width]: the parameters
/// `norm.{gamma,beta}`, `w` and `b`, which begin at zero.
#[derive(Debug)]
pub struct OutputConv {
    call: OutputCall,
    pack: Pack,
}

impl InputConv {
    /// For images of this shape.
    pub fn new(
        vb: &VarBuilder,
        image: ImageShape,
        outputs: usize,
    ) -> std::result::Result<InputConv, NnError> {
        let (h, w) = image.padded();
        let conv = Conv3x3 { h, w, inputs: image.channels, outputs };
        let mut p = PackBuilder::default();
        let conv = ConvLayer::unnamed(&mut p, conv, Init::FanIn(9 * image.channels));
        Ok(InputConv { call: InputCall { image, conv }, pack: p.build(vb)? })
    }
}

impl Module for InputConv {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self.pack.path() {
            Path::Fused => apply1(self.call, &self.pack, x),
            Path::Generic => {
                self.call.conv.generic(&self.pack, &to_images(Path::Generic, x, self.call.image)?)
            }
        }
    }
}

impl OutputConv {
    /// To images of this shape.
    pub fn new(
        vb: &VarBuilder,
        image: ImageShape,
        inputs: usize,
        groups: usize,
    ) -> std::result::Result<OutputConv, NnError> {
        let (h, w) = image.padded();
        let conv = Conv3x3 { h, w, inputs, outputs: image.channels };
        let mut p = PackBuilder::default();
        let norm = Norm::new(&mut p, "norm", inputs, groups);
        let conv = ConvLayer::unnamed(&mut p, conv, Init::Zeros);
        Ok(OutputConv { call: OutputCall { image, norm, conv }, pack: p.build(vb)? })
    }

    /// Which operations it runs on.
    pub fn path(&self) -> Path {
        self.pack.path()
    }
}

impl Module for OutputConv {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self.pack.path() {
            Path::Fused => apply1(self.call, &self.pack, x),
            Path::Generic => {
                let OutputCall { image, norm, conv } = &self.call;
                let y = conv.generic(&self.pack, &norm.generic(&self.pack, x, None)?)?;
                to_rows(Path::Generic, &y, *image)
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct InputCall {
    image: ImageShape,
    conv: ConvLayer,
}

/// The tape is the input in the layout of images.
impl Fused<1> for InputCall {
    const NAME: &'static str = "input convolution";
    type Tape = Buffer;

    fn shape(&self, [x]: [&[usize]; 1]) -> Result<Vec<usize>> {
        let Conv3x3 { h, w, outputs, .. } = self.conv.conv;
        match *x {
            [n, size] if size == self.image.size() => Ok(vec![n, h, w, outputs]),
            _ => candle_core::bail!("images of {} numbers for {x:?}", self.image.size()),
        }
    }

    fn forward(&self, p: View<'_>, [x]: [&[f32]; 1], keep: bool) -> (Buffer, Option<Buffer>) {
        let images = self.image.enter(x);
        (self.conv.forward(p, &images), keep.then_some(images))
    }

    fn backward(
        &self,
        p: View<'_>,
        _: [&[f32]; 1],
        images: Buffer,
        dy: Buffer,
        gradient: &mut PackGradient<'_>,
        [wanted]: [bool; 1],
    ) -> [Option<Buffer>; 1] {
        self.conv.add_gradients(&images, &dy, gradient);
        [wanted.then(|| self.image.leave(&self.conv.input_gradient(p, &dy)))]
    }
}

#[derive(Debug, Clone, Copy)]
struct OutputCall {
    image: ImageShape,
    norm: Norm,
    conv: ConvLayer,
}

/// The tape is the input of the convolution.
impl Fused<1> for OutputCall {
    const NAME: &'static str = "output convolution";
    type Tape = Buffer;

    fn shape(&self, [x]: [&[usize]; 1]) -> Result<Vec<usize>> {
        let conv = self.conv.conv;
        match *x {
            [n, h, w, c] if (h, w, c) == (conv.h, conv.w, conv.inputs) => Ok(vec![n, self.image.size()]),
            _ => candle_core::bail!("a convolution {conv:?} for {x:?}"),
        }
    }

    fn forward(&self, p: View<'_>, [x]: [&[f32]; 1], keep: bool) -> (Buffer, Option<Buffer>) {
        let active = self.norm.forward(p, x, self.conv.conv.images(x));
        let y = self.image.leave(&self.conv.forward(p, &active));
        (y, keep.then_some(active))
    }

    fn backward(
        &self,
        p: View<'_>,
        [x]: [&[f32]; 1],
        active: Buffer,
        dy: Buffer,
        gradient: &mut PackGradient<'_>,
        _: [bool; 1],
    ) -> [Option<Buffer>; 1] {
        let dy = self.image.enter(&dy);
        self.conv.add_gradients(&active, &dy, gradient);
        let dactive = self.conv.input_gradient(p, &dy);
        [Some(self.norm.backward(p, x, self.conv.conv.images(x), dactive, gradient))]
    }
}
