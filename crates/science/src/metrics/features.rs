//! Rows of numbers: what every distance between two sets of samples works on.

use onsager_numerics::random::Stream;
use std::ops::Range;

/// The features of some samples, one row each.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    values: Vec<f64>,
    dimension: usize,
}

impl Features {
    /// Rows of `dimension` numbers (at least 1); `values` holds them one after the other, [N, dimension].
    pub fn new(values: Vec<f64>, dimension: usize) -> Features {
        assert!(dimension > 0 && values.len().is_multiple_of(dimension), "features are whole rows");
        Features { values, dimension }
    }

    /// The same from single precision.
    pub fn from_f32(values: &[f32], dimension: usize) -> Features {
        Features::new(values.iter().map(|&value| f64::from(value)).collect(), dimension)
    }

    /// The number of rows.
    pub fn count(&self) -> usize {
        self.values.len() / self.dimension
    }

    /// The number of columns.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.dimension..(i + 1) * self.dimension]
    }

    /// The rows in order.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &[f64]> + Clone {
        self.values.chunks_exact(self.dimension)
    }

    /// All rows but these.
    pub fn without(&self, rows: &Range<usize>) -> Features {
        let d = self.dimension;
        Features::new([&self.values[..rows.start * d], &self.values[rows.end * d..]].concat(), d)
    }

    /// The rows of these indices.
    pub fn select(&self, indices: &[usize]) -> Features {
        Features::new(indices.iter().flat_map(|&i| self.row(i)).copied().collect(), self.dimension)
    }
}

/// The indices 0 … `of` − 1 in `blocks` blocks of consecutive ones, of equal size or one more.
pub fn blocks(of: usize, blocks: usize) -> Vec<Range<usize>> {
    (0..blocks).map(|b| b * of / blocks..(b + 1) * of / blocks).collect()
}

/// `parts` disjoint random subsets of `count` of the indices 0 … `of` − 1; fewer parts where they do not suffice.
pub fn disjoint_subsets(of: usize, count: usize, parts: usize, stream: &mut Stream) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..of).collect();
    stream.shuffle(&mut order);
    order.chunks_exact(count.max(1)).take(parts).map(<[usize]>::to_vec).collect()
}

/// The inner product, summed in eight interleaved parts: a fixed order that the compiler can vectorise.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// The squared Euclidean distance; stops early once it exceeds `limit`, with whatever it has then.
pub fn squared_distance(a: &[f64], b: &[f64], limit: f64) -> f64 {
    let mut total = 0.0;
    for (a, b) in a.chunks(32).zip(b.chunks(32)) {
        let (a, a_rest) = a.as_chunks::<8>();
        let (b, b_rest) = b.as_chunks::<8>();
        let mut sums = [0.0; 8];
        for (a, b) in a.iter().zip(b) {
            for lane in 0..8 {
                sums[lane] += (a[lane] - b[lane]) * (a[lane] - b[lane]);
            }
        }
        total += sums.iter().sum::<f64>();
        total += a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        if total > limit {
            break;
        }
    }
    total
}

/// Standard normal rows for tests.
#[cfg(test)]
pub fn normal_features(seed: u64, count: usize, dimension: usize, shift: f64) -> Features {
    let mut stream = onsager_numerics::random::Streams::new(seed, "normal features").stream(0);
    Features::new((0..count * dimension).map(|_| shift + stream.normal()).collect(), dimension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_are_disjoint_and_whole() {
        let mut stream = onsager_numerics::random::Streams::new(1, "subsets").stream(0);
        let parts = disjoint_subsets(11, 3, 5, &mut stream);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 3]);
        let mut all: Vec<usize> = parts.concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 9);
        assert_eq!(blocks(7, 3), [0..2, 2..4, 4..7]);
        let set = Features::new(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 2);
        assert_eq!(set.without(&(1..2)), Features::new(vec![0.0, 1.0, 4.0, 5.0], 2));
    }

    #[test]
    fn distances_agree_with_plain_sums() {
        let set = normal_features(4, 2, 77, 0.5);
        let plain: f64 = set.row(0).iter().zip(set.row(1)).map(|(a, b)| (a - b).powi(2)).sum();
        assert!((squared_distance(set.row(0), set.row(1), f64::INFINITY) - plain).abs() < 1e-12 * plain);
        assert!(squared_distance(set.row(0), set.row(1), 1.0) > 1.0);
        let plain: f64 = set.row(0).iter().zip(set.row(1)).map(|(a, b)| a * b).sum();
        assert!((dot(set.row(0), set.row(1)) - plain).abs() < 1e-12);
    }
}
