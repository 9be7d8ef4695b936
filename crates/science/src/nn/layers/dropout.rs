//! Dropout (Srivastava 2014), inverted: what is kept is scaled, so that the mean is unchanged.
//!
//! Masks come from counter-based streams, one for each layer and each row's seed, so they depend neither on threads nor
//! on which rows are computed together, and the reverse pass makes the same mask again.

use crate::nn::kernels::pointwise::vectorised;
use crate::nn::kernels::raw;
use candle_core::{Result, Tensor};
use onsager_numerics::random::Streams;

/// The dropout of one layer.
#[derive(Debug, Clone, Copy)]
pub struct Dropout {
    streams: Streams,
    /// Of 2¹⁶ equally likely words, so many drop a number.
    dropped: u16,
}

/// The words of so many blocks of a stream are made at a time.
const BLOCKS: usize = 32;
/// The 16-bit words of a block.
const WORDS: usize = 8;

impl Dropout {
    /// Drops each number with probability `rate` (0 to below 1, rounded to a multiple of 2⁻¹⁶); layers of different names have
    /// different masks.
    pub fn new(name: &str, rate: f64) -> Dropout {
        let dropped = (rate * 65536.0).round().clamp(0.0, 65535.0) as u16;
        Dropout { streams: Streams::new(0, &format!("dropout {name}")), dropped }
    }

    /// Applies each row's mask, in place: to the layer's numbers on the way forward, to their gradient on the way back.
    /// Without seeds nothing is dropped.
    pub fn apply(&self, rows: &mut [f32], seeds: &[u64]) {
        if self.dropped == 0 || seeds.is_empty() {
            return;
        }
        let width = rows.len() / seeds.len();
        for (row, &seed) in rows.chunks_exact_mut(width).zip(seeds) {
            mask(row, self.streams, seed, self.dropped);
        }
    }

    /// x with each row's mask, by candle's operations; the masks are the same.
    pub fn generic(&self, x: &Tensor, seeds: &[u64]) -> Result<Tensor> {
        if self.dropped == 0 || seeds.is_empty() {
            return Ok(x.clone());
        }
        let mut masks = vec![1.0; x.elem_count()];
        self.apply(&mut masks, seeds);
        x * raw::tensor(masks, x.shape().clone())?.to_device(x.device())?
    }
}

vectorised! {
    fn mask(row: &mut [f32], streams: Streams, seed: u64, dropped: u16) {
        let scale = 65536.0 / (65536.0 - f32::from(dropped));
        for (chunk, values) in row.chunks_mut(BLOCKS * WORDS).enumerate() {
            let mut words = [[0u64; 2]; BLOCKS];
            for (i, words) in words.iter_mut().enumerate() {
                *words = streams.words(seed, (chunk * BLOCKS + i) as u64);
            }
            for (values, words) in values.chunks_mut(4).zip(words.as_flattened()) {
                for (i, x) in values.iter_mut().enumerate() {
                    let word = (words >> (16 * i)) as u16;
                    *x *= if word < dropped { 0.0 } else { scale };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fraction `rate` of the numbers vanishes (within 4.5 standard deviations) and the rest is scaled by 1/(1 − rate); a
    /// row's mask depends on its own seed and the layer alone.
    #[test]
    fn masks() {
        let (rate, width) = (0.25, 40_001);
        let dropout = Dropout::new("layer", rate);
        let masks = |dropout: Dropout, seeds: &[u64]| {
            let mut rows = vec![1.0f32; seeds.len() * width];
            dropout.apply(&mut rows, seeds);
            rows
        };
        let both = masks(dropout, &[7, 8]);
        assert!(both.iter().all(|x| *x == 0.0 || *x == 4.0 / 3.0));
        let count = both.len() as f64;
        let zeros = both.iter().filter(|x| **x == 0.0).count() as f64;
        assert!((zeros / count - rate).abs() < 4.5 * (rate * (1.0 - rate) / count).sqrt());
        assert_eq!(masks(dropout, &[8]), both[width..]);
        // Two independent masks agree at 1 − 2·rate·(1 − rate) = 0.625 of the places.
        let agreement =
            |a: &[f32], b: &[f32]| a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len() as f64;
        let other = masks(Dropout::new("another", rate), &[7]);
        for (a, b) in [(&both[..width], &both[width..]), (&both[..width], &other[..])] {
            assert!((agreement(a, b) - 0.625).abs() < 4.5 * (0.625 * 0.375 / width as f64).sqrt());
        }
        assert!(masks(dropout, &[7, 9])[..width] == both[..width]);
        let mut untouched = [1.0; 5];
        dropout.apply(&mut untouched, &[]);
        Dropout::new("layer", 0.0).apply(&mut untouched, &[3]);
        assert_eq!(untouched, [1.0; 5]);
    }
}
