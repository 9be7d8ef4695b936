//! How a batch is cut into blocks of rows that are computed together.

use crate::nn::layers::parameters::Path;

/// The number of samples of a batch that are computed together on the CPU: as many as share the cost of streaming the
/// weights through the caches, but at most an eighth of an image batch, so that threads have work. It depends on the shape
/// of the data and the batch alone, because it fixes the order in which gradients are added.
pub fn block_size(shape: &[usize], batch: usize) -> usize {
    match shape {
        [_, height, width] => (8192 / (height * width).max(1)).clamp(1, batch.div_ceil(8).max(1)),
        _ => 256,
    }
}

/// The most rows that are evaluated together by candle's operations, whose results for all of them lie in memory at once.
const MOST: usize = 512;

/// The number of `count` rows that are evaluated together: `block` by our own operations, many by candle's.
pub fn evaluation_block(path: Path, block: usize, count: usize) -> usize {
    match path {
        Path::Fused => block,
        Path::Generic => count.clamp(1, MOST),
    }
}
