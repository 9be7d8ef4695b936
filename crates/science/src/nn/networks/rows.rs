//! How a batch is cut into blocks of rows that are computed together.

/// The number of samples of a batch that are computed together on the CPU: as many as share the cost of streaming the
/// weights through the caches, but at most an eighth of an image batch, so that threads have work. It depends on the shape
/// of the data and the batch alone, because it fixes the order in which gradients are added.
pub fn block_size(shape: &[usize], batch: usize) -> usize {
    match shape {
        [_, height, width] => (8192 / (height * width).max(1)).clamp(1, batch.div_ceil(8).max(1)),
        _ => 256,
    }
}
