//! The distance to the nearest training item: whether a model copies what it was trained on.

use super::features::{Features, squared_distance};
use rayon::prelude::*;

/// The Euclidean distance from each row of `set` to the nearest row of `training` (at least one).
pub fn nearest_distances(set: &Features, training: &Features) -> Vec<f64> {
    (0..set.count())
        .into_par_iter()
        .map(|i| {
            let row = set.row(i);
            // A distance that exceeds the best so far is not needed whole.
            training
                .rows()
                .fold(f64::INFINITY, |best, other| best.min(squared_distance(row, other, best)))
                .sqrt()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::features::normal_features;

    #[test]
    fn it_is_the_smallest_of_all_distances() {
        let (set, training) = (normal_features(1, 20, 70, 0.0), normal_features(2, 50, 70, 0.0));
        for (i, found) in nearest_distances(&set, &training).into_iter().enumerate() {
            let all = training
                .rows()
                .map(|row| row.iter().zip(set.row(i)).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt());
            let wanted = all.fold(f64::INFINITY, f64::min);
            assert!((found - wanted).abs() < 1e-12);
        }
        assert_eq!(nearest_distances(&training.select(&[3]), &training), [0.0]);
    }
}
