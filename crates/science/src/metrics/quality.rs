//! Every score of one set of samples against one reference.

use super::classifier_score::Probabilities;
use super::features::Features;
use super::frechet::FrechetReference;
use super::kernel_distance::{kernel_distance, kernel_distance_blocks};
use super::manifold::Manifold;
use super::nearest::nearest_distances;
use super::wasserstein::{sliced_squared, wasserstein_squared};
use onsager_numerics::random::Streams;
use onsager_numerics::statistics::{mean, standard_error};

/// The largest sets whose exact transport distance is computed (its cost grows with the cube).
pub const EXACT_TRANSPORT: usize = 5000;

/// The distances between laws: 0 for equal laws, so that a place between floor and ceiling makes sense.
pub const DISTANCES: [&str; 5] = ["frechet_distance", "kernel_distance", "w2", "w2_squared", "sliced_w2"];

/// One number about a set.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// What the metric works on: `pixels`, `points`, `classifier-penultimate`, or `classifier-output`.
    pub features: &'static str,
    pub metric: &'static str,
    pub value: f64,
    /// The standard error from within the set, where it can be told.
    pub error: Option<f64>,
}

/// A set of samples in all its representations, rows in the same order.
#[derive(Debug, Clone)]
pub struct SampleSet {
    /// Name and features, for example (`pixels`, [N, C H W]).
    pub views: Vec<(&'static str, Features)>,
    /// The classifier's probabilities, if there is a classifier.
    pub probabilities: Option<Probabilities>,
    /// The intended classes, if there are any.
    pub intended: Option<Vec<u32>>,
}

/// How to compare.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Neighbours of the k-nearest-neighbour manifolds.
    pub k: usize,
    /// Blocks for the error of the kernel distance.
    pub blocks: usize,
    /// Random directions of the sliced distance.
    pub directions: usize,
    pub seed: u64,
}

/// The reference, prepared once.
pub struct Reference {
    views: Vec<View>,
    probabilities: Option<Probabilities>,
    settings: Settings,
}

struct View {
    name: &'static str,
    features: Features,
    frechet: FrechetReference,
    manifold: Option<Manifold>,
}

impl Reference {
    /// Prepares a reference set.
    pub fn new(set: SampleSet, settings: Settings) -> Reference {
        let views = set.views.into_iter().map(|(name, features)| View {
            name,
            frechet: FrechetReference::new(&features),
            manifold: Manifold::new(features.clone(), settings.k),
            features,
        });
        Reference { views: views.collect(), probabilities: set.probabilities, settings }
    }

    /// Every score of `set`, whose views are those of the reference in the same order.
    pub fn scores(&self, set: &SampleSet) -> Vec<Score> {
        let mut scores = Vec::new();
        for (view, (_, features)) in self.views.iter().zip(&set.views) {
            self.distances(view, features, &mut scores);
        }
        if let Some(probabilities) = &set.probabilities {
            let mut add = |metric, value, error| {
                scores.push(Score { features: "classifier-output", metric, value, error });
            };
            if let Some(intended) = &set.intended {
                let correct = probabilities.correct(intended);
                add("accuracy", mean(&correct), Some(standard_error(&correct)));
            }
            add("class_entropy", probabilities.class_entropy(), None);
            let entropies = probabilities.entropies();
            add("predictive_entropy", mean(&entropies), Some(standard_error(&entropies)));
            if let Some(reference) = &self.probabilities {
                add("class_divergence", probabilities.marginal_divergence(reference), None);
            }
        }
        scores
    }

    fn distances(&self, view: &View, features: &Features, scores: &mut Vec<Score>) {
        let mut add = |metric, value, error| {
            scores.push(Score { features: view.name, metric, value, error });
        };
        add("frechet_distance", view.frechet.distance(features), None);
        let streams = Streams::new(self.settings.seed, "kernel distance blocks");
        let blocks = kernel_distance_blocks(&view.features, features, self.settings.blocks, streams);
        add("kernel_distance", kernel_distance(&view.features, features), blocks.map(|(_, error)| error));
        if let Some(overlap) = view.manifold.as_ref().and_then(|manifold| manifold.compare(features)) {
            add("precision", overlap.precision, None);
            add("recall", overlap.recall, None);
            add("density", overlap.density, None);
            add("coverage", overlap.coverage, None);
        }
        if view.name == "points" && features.count() <= EXACT_TRANSPORT {
            if let Some(square) = wasserstein_squared(&view.features, features) {
                add("w2", square.sqrt(), None);
                add("w2_squared", square, None);
            }
        } else if view.name == "points" || view.name == "pixels" {
            let streams = Streams::new(self.settings.seed, "sliced directions");
            let square = sliced_squared(&view.features, features, self.settings.directions, streams);
            if let Some(square) = square {
                add("sliced_w2", square.sqrt(), None);
            }
        }
    }
}

/// The distances from the rows of `set` to the nearest training row, as scores: a model that copies its training data has a
/// smaller mean than unseen real data.
pub fn memorisation(name: &'static str, set: &Features, training: &Features) -> Vec<Score> {
    let distances = nearest_distances(set, training);
    let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
    let score = |metric, value, error| Score { features: name, metric, value, error };
    vec![
        score("nearest_train_mean", mean(&distances), Some(standard_error(&distances))),
        score("nearest_train_min", least, None),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::features::normal_features;

    fn set(seed: u64, shift: f64) -> SampleSet {
        SampleSet {
            views: vec![("points", normal_features(seed, 200, 2, shift))],
            probabilities: None,
            intended: None,
        }
    }

    /// Two normals in the plane that are moved by (1, 1) have the Fréchet and squared transport distance 2; the means of 200
    /// have errors of 0.1 per coordinate, so both lie within 4.5 · 2√2 · 0.1 of it (the covariances add less).
    #[test]
    fn moved_normals_have_the_distance_of_the_shift() {
        let settings = Settings { k: 5, blocks: 5, directions: 50, seed: 1 };
        let scores = Reference::new(set(1, 0.0), settings).scores(&set(2, 1.0));
        let value = |metric| scores.iter().find(|s| s.metric == metric).map_or(f64::NAN, |s| s.value);
        assert!((value("frechet_distance") - 2.0).abs() < 1.3);
        assert!((value("w2_squared") - 2.0).abs() < 1.3);
        assert!((value("w2").powi(2) - value("w2_squared")).abs() < 1e-12);
        assert!(value("w2_squared") >= value("frechet_distance") * 199.0 / 200.0 - 1e-9);
        assert!(value("precision") < 1.0 && value("precision") > 0.0);
        assert!(scores.iter().any(|s| s.metric == "kernel_distance" && s.error.is_some()));
    }
}
