//! Batches of samples and the noise that belongs to them.

use onsager_numerics::random::Streams;

/// Where a batch of samples gets its noise.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    pub streams: &'a Streams,
    /// The index of the batch's first sample among all samples.
    pub first: usize,
    /// The number of samples.
    pub count: usize,
    /// The numbers of one sample.
    pub size: usize,
}

impl Batch<'_> {
    /// Standard normal numbers [count, size] for step `t` of the model; the start of a sampling is `t` = 0.
    pub fn noise(&self, t: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.count * self.size];
        for (i, row) in out.chunks_exact_mut(self.size).enumerate() {
            self.streams.stream(((self.first + i) as u64) << 20 | t as u64).fill_normal(row);
        }
        out
    }

    /// The noise that samplers begin with.
    pub fn start(&self) -> Vec<f64> {
        self.noise(0).into_iter().map(f64::from).collect()
    }
}
