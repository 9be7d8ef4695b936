//! Group normalisation (Wu and He 2018), as a rule followed by SiLU, in one operation.

use super::parameters::{Init, Pack, PackBuilder, PackGradient, Slot, View};
use crate::nn::kernels::buffer::Buffer;
use crate::nn::kernels::group_norm::{Backward, EPSILON, Shape, backward, forward};
use crate::nn::kernels::pointwise::add_assign;
use candle_core::{Result, Tensor};

/// silu(γ·(x − mean)/√(var + 1e-5) + β) for x [n, ..., channels], with mean and variance over each sample's
/// group of neighbouring channels; γ and β are `[channels]`.
#[derive(Debug, Clone, Copy)]
pub struct Norm {
    gamma: Slot,
    beta: Slot,
    shape: Shape,
}

impl Norm {
    /// The layer of the parameters `name.gamma` and `name.beta`; `groups` divides the channels.
    pub fn new(p: &mut PackBuilder, name: &str, channels: usize, groups: usize) -> Norm {
        let gamma = p.get(&format!("{name}.gamma"), &[channels], Init::Ones);
        let beta = p.get(&format!("{name}.beta"), &[channels], Init::Zeros);
        Norm { gamma, beta, shape: Shape { channels, groups, silu: true } }
    }

    /// The same without SiLU.
    pub fn without_activation(self) -> Norm {
        Norm { shape: Shape { silu: false, ..self.shape }, ..self }
    }

    /// The result for n samples x.
    pub fn forward(&self, p: View<'_>, x: &[f32], n: usize) -> Buffer {
        let mut y = Buffer::stale(x.len());
        forward(x, self.gamma.of(p.values), self.beta.of(p.values), n, self.shape, &mut y);
        y
    }

    /// The gradient of x; adds those of γ and β.
    pub fn backward(
        &self,
        p: View<'_>,
        x: &[f32],
        n: usize,
        mut dy: Buffer,
        gradients: &mut PackGradient<'_>,
    ) -> Buffer {
        let (gamma, beta) = (self.gamma.of(p.values), self.beta.of(p.values));
        let (mut dgamma, mut dbeta) = (Buffer::zeros(gamma.len()), Buffer::zeros(gamma.len()));
        let (dx, dgamma, dbeta) = (&mut dy, &mut dgamma, &mut dbeta);
        backward(Backward { x, gamma, beta, samples: n, shape: self.shape, dx, dgamma, dbeta });
        for (slot, sums) in [(self.gamma, dgamma), (self.beta, dbeta)] {
            if let Some(gradient) = gradients.at(slot) {
                add_assign(gradient, sums);
            }
        }
        dy
    }

    /// The result with a scale and a shift for each sample and channel before SiLU: z·(1 + scale) + shift for what z is
    /// without them (Nichol and Dhariwal 2021). Rows of `modulation` are [scale, shift], 2·channels numbers.
    pub fn forward_modulated(&self, p: View<'_>, x: &[f32], modulation: &[f32]) -> Buffer {
        let (gamma, beta) = self.modulated(p, modulation);
        let mut y = Buffer::stale(x.len());
        forward(x, &gamma, &beta, gamma.len() / self.shape.channels, self.shape, &mut y);
        y
    }

    /// The gradients of x and of `modulation`; adds those of γ and β.
    pub fn backward_modulated(
        &self,
        p: View<'_>,
        x: &[f32],
        modulation: &[f32],
        mut dy: Buffer,
        gradients: &mut PackGradient<'_>,
    ) -> (Buffer, Buffer) {
        let c = self.shape.channels;
        let (gammas, betas) = self.modulated(p, modulation);
        let (mut dgammas, mut dbetas) = (Buffer::zeros(gammas.len()), Buffer::zeros(gammas.len()));
        backward(Backward {
            x,
            gamma: &gammas,
            beta: &betas,
            samples: gammas.len() / c,
            shape: self.shape,
            dx: &mut dy,
            dgamma: &mut dgammas,
            dbeta: &mut dbetas,
        });
        let (gamma, beta) = (self.gamma.of(p.values), self.beta.of(p.values));
        let mut dmodulation = Buffer::stale(modulation.len());
        let rows = dgammas.chunks_exact(c).zip(dbetas.chunks_exact(c));
        for ((dgamma, dbeta), row) in rows.clone().zip(dmodulation.chunks_exact_mut(2 * c)) {
            let (dscale, dshift) = row.split_at_mut(c);
            dshift.copy_from_slice(dbeta);
            for (i, dscale) in dscale.iter_mut().enumerate() {
                *dscale = dgamma[i] * gamma[i] + dbeta[i] * beta[i];
            }
        }
        for (slot, sums) in [(self.gamma, &dgammas), (self.beta, &dbetas)] {
            if let Some(gradient) = gradients.at(slot) {
                for (sums, scales) in sums.chunks_exact(c).zip(modulation.chunks_exact(2 * c)) {
                    for ((g, sum), scale) in gradient.iter_mut().zip(sums).zip(scales) {
                        *g += sum * (1.0 + scale);
                    }
                }
            }
        }
        (dy, dmodulation)
    }

    /// The result by candle's operations, for x [n, h, w, channels].
    pub fn generic(&self, pack: &Pack, x: &Tensor, modulation: Option<&Tensor>) -> Result<Tensor> {
        let (n, h, w, c) = x.dims4()?;
        let groups = self.shape.groups;
        let grouped = x.reshape((n, h * w, groups, c / groups))?;
        let centred = grouped.broadcast_sub(&grouped.mean_keepdim((1, 3))?)?;
        let deviation = (centred.sqr()?.mean_keepdim((1, 3))? + f64::from(EPSILON))?.sqrt()?;
        let x = centred.broadcast_div(&deviation)?.reshape((n, h, w, c))?;
        let mut z = x.broadcast_mul(&pack.named(self.gamma)?)?.broadcast_add(&pack.named(self.beta)?)?;
        if let Some(modulation) = modulation {
            let of = |part: usize| modulation.narrow(1, part * c, c)?.reshape((n, 1, 1, c));
            z = z.broadcast_mul(&(of(0)? + 1.0)?)?.broadcast_add(&of(1)?)?;
        }
        if self.shape.silu { z.silu() } else { Ok(z) }
    }

    /// γ·(1 + scale) and β·(1 + scale) + shift, a row for each sample.
    fn modulated(&self, p: View<'_>, modulation: &[f32]) -> (Buffer, Buffer) {
        let c = self.shape.channels;
        let (mut gammas, mut betas) =
            (Buffer::stale(modulation.len() / 2), Buffer::stale(modulation.len() / 2));
        let rows = gammas.chunks_exact_mut(c).zip(betas.chunks_exact_mut(c));
        for ((gammas, betas), row) in rows.zip(modulation.chunks_exact(2 * c)) {
            let (scale, shift) = row.split_at(c);
            for (i, (gamma, beta)) in self.gamma.of(p.values).iter().zip(self.beta.of(p.values)).enumerate() {
                gammas[i] = gamma * (1.0 + scale[i]);
                betas[i] = beta * (1.0 + scale[i]) + shift[i];
            }
        }
        (gammas, betas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::check;
    use onsager_numerics::random::Streams;

    fn layer(channels: usize, groups: usize) -> (PackBuilder, Norm) {
        let mut p = PackBuilder::default();
        let norm = Norm::new(&mut p, "norm", channels, groups);
        (p, norm)
    }

    /// Over the layer's input and its parameters, with SiLU and without.
    #[test]
    fn against_differences() {
        for (n, pixels, channels, groups) in [(2, 12, 6, 3), (3, 4, 4, 4), (2, 5, 64, 8)] {
            let (p, norm) = layer(channels, groups);
            for norm in [norm, norm.without_activation()] {
                check(
                    0.01,
                    &[n * pixels * channels, 2 * channels],
                    |a| norm.forward(p.prepare(&a[1]).view(&a[1]), &a[0], n).to_vec(),
                    |a, dy| {
                        let mut gradients = vec![0.0; a[1].len()];
                        let (prepared, dy) = (p.prepare(&a[1]), Buffer::of(dy));
                        let view = prepared.view(&a[1]);
                        let dx = norm.backward(
                            view,
                            &a[0],
                            n,
                            dy,
                            &mut PackGradient::of(Some(&mut gradients), p.parts()),
                        );
                        vec![dx.to_vec(), gradients]
                    },
                );
            }
        }
    }

    /// The same with a scale and a shift for each sample.
    #[test]
    fn modulation_against_differences() {
        let (n, pixels, channels) = (3, 7, 6);
        let (p, norm) = layer(channels, 2);
        check(
            0.01,
            &[n * pixels * channels, 2 * channels, n * 2 * channels],
            |a| norm.forward_modulated(p.prepare(&a[1]).view(&a[1]), &a[0], &a[2]).to_vec(),
            |a, dy| {
                let mut gradients = vec![0.0; a[1].len()];
                let (prepared, dy) = (p.prepare(&a[1]), Buffer::of(dy));
                let sums = &mut PackGradient::of(Some(&mut gradients), p.parts());
                let (dx, dm) = norm.backward_modulated(prepared.view(&a[1]), &a[0], &a[2], dy, sums);
                vec![dx.to_vec(), gradients, dm.to_vec()]
            },
        );
    }

    /// Against the definition in f64; f32 sums of twelve numbers of size one err by less than 1e-5. A scale of zero and a
    /// shift of zero change nothing.
    #[test]
    fn definition() {
        let mut x = vec![0.0; 2 * 6 * 4];
        Streams::new(3, "norm test").stream(0).fill_normal(&mut x);
        let (p, norm) = layer(4, 2);
        let values = [1.0, 2.0, 0.5, -1.0, 0.0, 1.0, -1.0, 0.5];
        let prepared = p.prepare(&values);
        let y = norm.forward(prepared.view(&values), &x, 2);
        assert_eq!(y[..], norm.forward_modulated(prepared.view(&values), &x, &[0.0; 16])[..]);
        let plain = norm.without_activation().forward(prepared.view(&values), &x, 2);
        let at = |i: usize, p: usize, c: usize| f64::from(x[(i * 6 + p) * 4 + c]);
        for i in 0..2 {
            for c in 0..4 {
                let group: Vec<f64> =
                    (0..6).flat_map(|p| [at(i, p, c / 2 * 2), at(i, p, c / 2 * 2 + 1)]).collect();
                let mean = group.iter().sum::<f64>() / 12.0;
                let variance = group.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 12.0;
                for p in 0..6 {
                    let (g, b) = (f64::from(values[c]), f64::from(values[4 + c]));
                    let z = (at(i, p, c) - mean) / (variance + 1e-5).sqrt() * g + b;
                    let expected = z / (1.0 + (-z).exp());
                    assert!((f64::from(y[(i * 6 + p) * 4 + c]) - expected).abs() < 1e-5);
                    assert!((f64::from(plain[(i * 6 + p) * 4 + c]) - z).abs() < 1e-5);
                }
            }
        }
    }
}
