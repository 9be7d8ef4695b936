//! Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020): the sets' supports are
//! estimated by balls around each row that reach its k-th nearest neighbour.

use super::features::{Features, squared_distance};
use rayon::prelude::*;

/// How two supports overlap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overlap {
    /// The fraction of generated rows inside some ball of the reference.
    pub precision: f64,
    /// The fraction of reference rows inside some ball of the generated set.
    pub recall: f64,
    /// Balls of the reference around a generated row, on average, divided by k: 1 on average for equal laws.
    pub density: f64,
    /// The fraction of the reference's balls that hold a generated row.
    pub coverage: f64,
}

/// A reference set with its balls.
#[derive(Debug, Clone)]
pub struct Manifold {
    rows: Features,
    radii: Vec<f64>,
    k: usize,
}

impl Manifold {
    /// Balls that reach the `k`-th nearest other row; `None` unless 1 ≤ k < N.
    pub fn new(rows: Features, k: usize) -> Option<Manifold> {
        if k == 0 || k >= rows.count() {
            return None;
        }
        let radii = squared_radii(&rows, k);
        Some(Manifold { rows, radii, k })
    }

    /// Compares a generated set (more than k rows) with this reference; `None` where it is too small.
    pub fn compare(&self, generated: &Features) -> Option<Overlap> {
        if self.k >= generated.count() {
            return None;
        }
        let radii = squared_radii(generated, self.k);
        // Per generated row: in how many of the reference's balls it lies.
        let inside: Vec<usize> = (0..generated.count())
            .into_par_iter()
            .map(|j| {
                let row = generated.row(j);
                let balls = self.rows.rows().zip(&self.radii);
                balls.filter(|(x, radius)| squared_distance(row, x, f64::INFINITY) <= **radius).count()
            })
            .collect();
        // Per reference row: whether it lies in a ball of the generated set, and whether its own ball holds one of its rows.
        let found: Vec<(bool, bool)> = (0..self.rows.count())
            .into_par_iter()
            .map(|i| {
                let (mut recalled, mut covered) = (false, false);
                for (row, &radius) in generated.rows().zip(&radii) {
                    let distance = squared_distance(self.rows.row(i), row, f64::INFINITY);
                    recalled |= distance <= radius;
                    covered |= distance <= self.radii[i];
                }
                (recalled, covered)
            })
            .collect();
        let (n, m) = (self.rows.count() as f64, generated.count() as f64);
        let fraction = |hits: usize, of: f64| hits as f64 / of;
        Some(Overlap {
            precision: fraction(inside.iter().filter(|&&balls| balls > 0).count(), m),
            recall: fraction(found.iter().filter(|(recalled, _)| *recalled).count(), n),
            density: fraction(inside.iter().sum(), m * self.k as f64),
            coverage: fraction(found.iter().filter(|(_, covered)| *covered).count(), n),
        })
    }
}

/// The squared distance from each row to its k-th nearest other row, 1 ≤ k < N.
fn squared_radii(rows: &Features, k: usize) -> Vec<f64> {
    (0..rows.count())
        .into_par_iter()
        .map(|i| {
            let mut distances: Vec<f64> = (0..rows.count())
                .filter(|&j| j != i)
                .map(|j| squared_distance(rows.row(i), rows.row(j), f64::INFINITY))
                .collect();
            *distances.select_nth_unstable_by(k - 1, f64::total_cmp).1
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::features::normal_features;
    use onsager_numerics::statistics::{mean, standard_error};

    fn overlap(reference: Features, generated: &Features, k: usize) -> Overlap {
        Manifold::new(reference, k).and_then(|m| m.compare(generated)).unwrap_or(Overlap {
            precision: f64::NAN,
            recall: f64::NAN,
            density: f64::NAN,
            coverage: f64::NAN,
        })
    }

    /// Reference 0, 1, 3 with k = 1: balls of radius 1, 1, 2. Generated 0.5, 10, 12: radii 9.5, 2, 2.
    #[test]
    fn by_hand() {
        let line = |values: &[f64]| Features::new(values.to_vec(), 1);
        let found = overlap(line(&[0.0, 1.0, 3.0]), &line(&[0.5, 10.0, 12.0]), 1);
        let third = 1.0 / 3.0;
        assert_eq!(
            found,
            Overlap { precision: third, recall: 1.0, density: 2.0 * third, coverage: 2.0 * third }
        );
        assert!(Manifold::new(line(&[0.0, 1.0]), 2).is_none());
    }

    /// For equal laws E density = 1, and E coverage = 1 − (N−1)…(N−k) / ((M+N−1)…(M+N−k)) (Naeem et al. 2020, lemma 2), in
    /// any dimension: means over 200 draws lie within 4.5 of their standard errors.
    #[test]
    fn equal_laws_have_the_expected_density_and_coverage() {
        let (n, m, k) = (40usize, 30usize, 3usize);
        let (mut density, mut coverage) = (Vec::new(), Vec::new());
        for i in 0..200 {
            let found = overlap(normal_features(2 * i, n, 4, 0.0), &normal_features(2 * i + 1, m, 4, 0.0), k);
            density.push(found.density);
            coverage.push(found.coverage);
        }
        let missed: f64 = (1..=k).map(|j| (n - j) as f64 / (m + n - j) as f64).product();
        assert!((mean(&density) - 1.0).abs() < 4.5 * standard_error(&density), "{}", mean(&density));
        assert!((mean(&coverage) - (1.0 - missed)).abs() < 4.5 * standard_error(&coverage));
    }

    #[test]
    fn the_same_set_overlaps_and_a_far_one_does_not() {
        let set = normal_features(1, 50, 3, 0.0);
        let same = overlap(set.clone(), &set, 5);
        assert_eq!((same.precision, same.recall, same.coverage), (1.0, 1.0, 1.0));
        let far = overlap(set, &normal_features(2, 50, 3, 100.0), 5);
        assert_eq!((far.precision, far.recall, far.density, far.coverage), (0.0, 0.0, 0.0, 0.0));
    }
}
