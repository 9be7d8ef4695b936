//! The same U-Net in candle's own operations, as one would write it without ours: [n, c, h, w] and its autograd. Only its
//! time counts, so the weights are random and the step is plain gradient descent.

use candle_core::{Device, Result, Tensor, Var};
use onsager::science::nn::unet::UnetConfig;
use std::cell::RefCell;

pub struct StockUnet {
    config: UnetConfig,
    vars: RefCell<Vec<Var>>,
}

/// Hands out the parameters in the order of use, and makes them at the first pass.
struct Source<'a> {
    vars: &'a mut Vec<Var>,
    next: usize,
}

impl Source<'_> {
    fn get(&mut self, shape: &[usize]) -> Result<Tensor> {
        if self.next == self.vars.len() {
            self.vars.push(Var::randn(0f32, 0.05, shape, &Device::Cpu)?);
        }
        self.next += 1;
        Ok(self.vars[self.next - 1].as_tensor().clone())
    }

    fn conv(&mut self, x: &Tensor, outputs: usize, size: usize) -> Result<Tensor> {
        let w = self.get(&[outputs, x.dim(1)?, size, size])?;
        let b = self.get(&[1, outputs, 1, 1])?;
        x.conv2d(&w, size / 2, 1, 1, 1)?.broadcast_add(&b)
    }

    fn dense(&mut self, x: &Tensor, outputs: usize) -> Result<Tensor> {
        let w = self.get(&[x.dim(1)?, outputs])?;
        let b = self.get(&[1, outputs])?;
        x.matmul(&w)?.broadcast_add(&b)
    }

    fn norm_silu(&mut self, x: &Tensor, groups: usize) -> Result<Tensor> {
        let (n, c, h, w) = x.dims4()?;
        let grouped = x.reshape((n, groups, c / groups * h * w))?;
        let centred = grouped.broadcast_sub(&grouped.mean_keepdim(2)?)?;
        let deviation = (centred.sqr()?.mean_keepdim(2)? + 1e-5)?.sqrt()?;
        let x = centred.broadcast_div(&deviation)?.reshape((n, c, h, w))?;
        let (gamma, beta) = (self.get(&[1, c, 1, 1])?, self.get(&[1, c, 1, 1])?);
        x.broadcast_mul(&gamma)?.broadcast_add(&beta)?.silu()
    }

    fn block(&mut self, x: &Tensor, time: &Tensor, outputs: usize, groups: usize) -> Result<Tensor> {
        let h = self.norm_silu(x, groups)?;
        let h = self.conv(&h, outputs, 3)?;
        let bias = self.dense(time, outputs)?.unsqueeze(2)?.unsqueeze(3)?;
        let h = self.norm_silu(&h.broadcast_add(&bias)?, groups)?;
        let h = self.conv(&h, outputs, 3)?;
        if x.dim(1)? == outputs { h + x } else { h + self.conv(x, outputs, 1)? }
    }
}

impl StockUnet {
    pub fn new(config: &UnetConfig) -> Result<StockUnet> {
        Ok(StockUnet { config: config.clone(), vars: RefCell::default() })
    }

    fn network(&self, x: &[f32], times: &[f32]) -> Result<(Tensor, Tensor)> {
        let c = &self.config;
        let n = times.len();
        let side = ((x.len() / n) as f64).sqrt() as usize;
        let x = Tensor::from_vec(x.to_vec(), (n, 1, side, side), &Device::Cpu)?;
        let vars = &mut *self.vars.borrow_mut();
        let mut p = Source { vars, next: 0 };
        let embedding = onsager::science::nn::time_embedding::time_embedding(times, c.embedding);
        let time = Tensor::from_vec(embedding.into_vec(), (n, c.embedding), &Device::Cpu)?;
        let time = p.dense(&time, c.embedding)?.silu()?;
        let time = p.dense(&time, c.embedding)?.silu()?;
        let mut h = p.conv(&x, c.channels, 3)?;
        let mut skips = Vec::new();
        for (level, m) in c.multipliers.iter().enumerate() {
            if level > 0 {
                h = h.avg_pool2d(2)?;
            }
            for _ in 0..c.blocks {
                h = p.block(&h, &time, m * c.channels, c.groups)?;
                skips.push(h.clone());
            }
        }
        h = p.block(&h, &time, h.dim(1)?, c.groups)?;
        for (level, m) in c.multipliers.iter().enumerate().rev() {
            if level + 1 < c.multipliers.len() {
                let side = h.dim(2)? * 2;
                h = h.upsample_nearest2d(side, side)?;
            }
            for _ in 0..c.blocks {
                if let Some(skip) = skips.pop() {
                    h = Tensor::cat(&[h, skip], 1)?;
                }
                h = p.block(&h, &time, m * c.channels, c.groups)?;
            }
        }
        let h = p.norm_silu(&h, c.groups)?;
        Ok((p.conv(&h, 1, 3)?, x))
    }

    /// Forward, reverse, and a descent; the loss.
    pub fn step(&self, x: &[f32], times: &[f32]) -> Result<f64> {
        let (y, x) = self.network(x, times)?;
        let loss = (y - x)?.sqr()?.mean_all()?;
        let gradients = loss.backward()?;
        for var in self.vars.borrow().iter() {
            if let Some(gradient) = gradients.get(var) {
                var.set(&(var.as_tensor() - (gradient * 1e-3)?)?)?;
            }
        }
        Ok(f64::from(loss.to_scalar::<f32>()?))
    }

    /// One number of the result without a reverse pass.
    pub fn forward(&self, x: &[f32], times: &[f32]) -> Result<f32> {
        self.network(x, times)?.0.detach().flatten_all()?.get(0)?.to_scalar()
    }
}
