//! A convolution with group norm and SiLU after it, which may be given the time: the stage of the classifier.

use super::conv::ConvLayer;
use super::linear::Dense;
use super::norm::Norm;
use super::operation::{Fused, apply1, apply2};
use super::parameters::{Init, Pack, PackBuilder, PackGradient, Path, VarBuilder, View};
use crate::nn::error::NnError;
use crate::nn::kernels::buffer::Buffer;
use crate::nn::kernels::conv3x3::Conv3x3;
use crate::nn::kernels::pointwise::add_row_sums;
use candle_core::{Result, Tensor};

/// silu(norm(conv(x) + e·t + b)) for images x [n, h, w, inputs] and the embedding e [n, width] of times: the parameters
/// `convI.{w,b}`, `convI.time.w` where there is an embedding, and `normI.{gamma,beta}`.
#[derive(Debug)]
pub struct ConvNorm {
    call: ConvNormCall,
    pack: Pack,
}

#[derive(Debug, Clone, Copy)]
struct ConvNormCall {
    /// With the bias where there is no embedding.
    conv: ConvLayer,
    /// From the embedding to the bias of each image, with the bias that all share.
    time: Option<Dense>,
    norm: Norm,
}

impl ConvNorm {
    /// The stage number `i`, with `groups` of channels in its norm and an embedding of this width if there is one.
    pub fn new(
        vb: &VarBuilder,
        i: usize,
        conv: Conv3x3,
        groups: usize,
        embedding: Option<usize>,
    ) -> std::result::Result<ConvNorm, NnError> {
        let mut p = PackBuilder::default();
        let (name, fan) = (format!("conv{i}"), Init::FanIn(9 * conv.inputs));
        let (conv, time) = match embedding {
            None => (ConvLayer::new(&mut p, &name, conv, fan), None),
            Some(width) => {
                let layer = ConvLayer::without_bias(&mut p, &name, conv, fan);
                let b = p.get(&format!("{name}.b"), &[conv.outputs], Init::Zeros);
                let time = format!("{name}.time");
                let time = Dense::without_bias(&mut p, &time, width, conv.outputs, Init::FanIn(width));
                (layer, Some(time.with_bias(b)))
            }
        };
        let norm = Norm::new(&mut p, &format!("norm{i}"), conv.conv.outputs, groups);
        Ok(ConvNorm { call: ConvNormCall { conv, time, norm }, pack: p.build(vb)? })
    }

    /// Which operations it runs on.
    pub fn path(&self) -> Path {
        self.pack.path()
    }

    /// The result; the embedding is that of the network's times, if it has one.
    pub fn forward(&self, x: &Tensor, embedded: Option<&Tensor>) -> Result<Tensor> {
        let embedded = embedded.filter(|_| self.call.time.is_some());
        match (self.pack.path(), embedded) {
            (Path::Fused, Some(embedded)) => return apply2(self.call, &self.pack, x, embedded),
            (Path::Fused, None) => return apply1(self.call, &self.pack, x),
            (Path::Generic, _) => {}
        }
        let ConvNormCall { conv, time, norm } = &self.call;
        let mut y = conv.generic(&self.pack, x)?;
        if let (Some(time), Some(embedded)) = (time, embedded) {
            y = y.broadcast_add(&time.generic(&self.pack, embedded)?.unsqueeze(1)?.unsqueeze(1)?)?;
        }
        norm.generic(&self.pack, &y, None)
    }
}

impl ConvNormCall {
    fn shape(&self, x: &[usize]) -> Result<Vec<usize>> {
        let conv = self.conv.conv;
        match *x {
            [n, h, w, c] if (h, w, c) == (conv.h, conv.w, conv.inputs) => Ok(vec![n, h, w, conv.outputs]),
            _ => candle_core::bail!("a convolution {conv:?} for {x:?}"),
        }
    }

    /// The result and what the norm gets.
    fn forward(&self, p: View<'_>, x: &[f32], embedded: &[f32]) -> (Buffer, Buffer) {
        let hidden = match &self.time {
            Some(time) => self.conv.forward_with(p, x, &time.forward(p, embedded)),
            None => self.conv.forward(p, x),
        };
        (self.norm.forward(p, &hidden, self.conv.conv.images(x)), hidden)
    }

    fn backward(
        &self,
        p: View<'_>,
        [x, embedded]: [&[f32]; 2],
        hidden: &[f32],
        dy: Buffer,
        gradient: &mut PackGradient<'_>,
        wanted: [bool; 2],
    ) -> [Option<Buffer>; 2] {
        let n = self.conv.conv.images(x);
        let dhidden = self.norm.backward(p, hidden, n, dy, gradient);
        self.conv.add_gradients(x, &dhidden, gradient);
        let dx = wanted[0].then(|| self.conv.input_gradient(p, &dhidden));
        let Some(time) = &self.time else { return [dx, None] };
        let outputs = self.conv.conv.outputs;
        let mut sums = Buffer::zeros(n * outputs);
        add_row_sums(&dhidden, outputs, &mut sums);
        time.add_gradients(embedded, &sums, gradient);
        [dx, wanted[1].then(|| time.input_gradient(p, &sums))]
    }
}

/// The tape is what the norm gets.
impl Fused<2> for ConvNormCall {
    const NAME: &'static str = "convolution with norm";
    type Tape = Buffer;

    fn shape(&self, [x, _]: [&[usize]; 2]) -> Result<Vec<usize>> {
        self.shape(x)
    }

    fn forward(&self, p: View<'_>, [x, embedded]: [&[f32]; 2], keep: bool) -> (Buffer, Option<Buffer>) {
        let (y, hidden) = self.forward(p, x, embedded);
        (y, keep.then_some(hidden))
    }

    fn backward(
        &self,
        p: View<'_>,
        inputs: [&[f32]; 2],
        hidden: Buffer,
        dy: Buffer,
        gradient: &mut PackGradient<'_>,
        wanted: [bool; 2],
    ) -> [Option<Buffer>; 2] {
        self.backward(p, inputs, &hidden, dy, gradient, wanted)
    }
}

impl Fused<1> for ConvNormCall {
    const NAME: &'static str = "convolution with norm";
    type Tape = Buffer;

    fn shape(&self, [x]: [&[usize]; 1]) -> Result<Vec<usize>> {
        self.shape(x)
    }

    fn forward(&self, p: View<'_>, [x]: [&[f32]; 1], keep: bool) -> (Buffer, Option<Buffer>) {
        let (y, hidden) = self.forward(p, x, &[]);
        (y, keep.then_some(hidden))
    }

    fn backward(
        &self,
        p: View<'_>,
        [x]: [&[f32]; 1],
        hidden: Buffer,
        dy: Buffer,
        gradient: &mut PackGradient<'_>,
        [wanted]: [bool; 1],
    ) -> [Option<Buffer>; 1] {
        let [dx, _] = self.backward(p, [x, &[]], &hidden, dy, gradient, [wanted, false]);
        [dx]
    }
}
