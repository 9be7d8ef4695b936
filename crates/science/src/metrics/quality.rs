//! Every score of one set of samples against one reference.

use super::classifier_score::Probabilities;
use super::features::Features;
use super::frechet::BlockedFrechet;
use super::kernel_distance::kernel_estimate;
use super::manifold::Manifold;
use super::nearest::nearest_distances;
use super::wasserstein::{sliced_squared, wasserstein_squared};
use onsager_numerics::random::Streams;
use onsager_numerics::statistics::{Estimated, Interval, mean, wilson};

/// The largest sets whose exact transport distance is computed (its cost grows with the cube).
pub const EXACT_TRANSPORT: usize = 5000;

/// The distances between laws: 0 for equal laws, so that a place between floor and ceiling makes sense.
pub const DISTANCES: [&str; 6] =
    ["frechet_distance", "frechet_plain", "kernel_distance", "w2", "w2_squared", "sliced_w2"];

/// One number about a set.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// What the metric works on: `pixels`, `points`, `classifier-penultimate`, or `classifier-output`.
    pub features: &'static str,
    pub metric: &'static str,
    pub value: f64,
    /// The value with the standard error that can be told from within the set (and the reference, where it was divided).
    pub estimate: Option<Estimated>,
    /// The 95 % interval from within the set, where it is not that of the estimate.
    pub interval: Option<Interval>,
    /// The value with one block of the reference left out each; empty where the reference is taken as it is.
    pub without_reference: Vec<f64>,
}

impl Score {
    fn plain(features: &'static str, metric: &'static str, value: f64) -> Score {
        Score { features, metric, value, estimate: None, interval: None, without_reference: Vec::new() }
    }

    /// The share of items for which something holds (1, else 0), with Wilson's interval: near 1 the t interval holds too little.
    fn share(features: &'static str, metric: &'static str, values: &[f64]) -> Score {
        let count = values.iter().filter(|value| **value > 0.0).count();
        let interval = (!values.is_empty()).then(|| wilson(count as u64, values.len() as u64));
        Score { interval, ..Score::mean(features, metric, values) }
    }

    /// The mean of a number of each item.
    fn mean(features: &'static str, metric: &'static str, values: &[f64]) -> Score {
        Score { estimate: Estimated::mean(values), ..Score::plain(features, metric, mean(values)) }
    }
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
    /// Blocks of the sets, for the errors of the Fréchet and the kernel distance and for the bias of the former; the sets are in random
    /// order.
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
    frechet: Option<BlockedFrechet>,
    manifold: Option<Manifold>,
}

impl Reference {
    /// Prepares a reference set.
    pub fn new(set: SampleSet, settings: Settings) -> Reference {
        let views = set.views.into_iter().map(|(name, features)| View {
            name,
            frechet: BlockedFrechet::new(&features, settings.blocks),
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
            let name = "classifier-output";
            if let Some(intended) = &set.intended {
                scores.push(Score::share(name, "accuracy", &probabilities.correct(intended)));
            }
            scores.push(Score::plain(name, "class_entropy", probabilities.class_entropy()));
            scores.push(Score::mean(name, "predictive_entropy", &probabilities.entropies()));
            if let Some(reference) = &self.probabilities {
                let divergence = probabilities.marginal_divergence(reference);
                scores.push(Score::plain(name, "class_divergence", divergence));
            }
        }
        scores
    }

    fn distances(&self, view: &View, features: &Features, scores: &mut Vec<Score>) {
        if let Some(frechet) = &view.frechet {
            let found = frechet.estimate(features);
            scores.push(Score {
                features: view.name,
                metric: "frechet_distance",
                value: found.value,
                estimate: Estimated::jackknife(found.value, &found.without_both),
                interval: None,
                without_reference: found.without_reference,
            });
            scores.push(Score::plain(view.name, "frechet_plain", found.plain));
        }
        let found = kernel_estimate(&view.features, features, self.settings.blocks);
        scores.push(Score {
            features: view.name,
            metric: "kernel_distance",
            value: found.value,
            estimate: Estimated::jackknife(found.value, &found.without_both),
            interval: None,
            without_reference: found.without_reference,
        });
        let mut add = |metric, value| scores.push(Score::plain(view.name, metric, value));
        if let Some(overlap) = view.manifold.as_ref().and_then(|manifold| manifold.compare(features)) {
            add("precision", overlap.precision);
            add("recall", overlap.recall);
            add("density", overlap.density);
            add("coverage", overlap.coverage);
        }
        if view.name == "points" && features.count() <= EXACT_TRANSPORT {
            if let Some(square) = wasserstein_squared(&view.features, features) {
                add("w2", square.sqrt());
                add("w2_squared", square);
            }
        } else if view.name == "points" || view.name == "pixels" {
            let streams = Streams::new(self.settings.seed, "sliced directions");
            let square = sliced_squared(&view.features, features, self.settings.directions, streams);
            if let Some(square) = square {
                add("sliced_w2", square.sqrt());
            }
        }
    }
}

/// The distances from the rows of `set` to the nearest training row, as scores: a model that copies its training data has a
/// smaller mean than unseen real data.
pub fn memorisation(name: &'static str, set: &Features, training: &Features) -> Vec<Score> {
    let distances = nearest_distances(set, training);
    let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
    vec![Score::mean(name, "nearest_train_mean", &distances), Score::plain(name, "nearest_train_min", least)]
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
        assert!(value("w2_squared") >= value("frechet_plain") * 199.0 / 200.0 - 1e-9);
        assert!(value("precision") < 1.0 && value("precision") > 0.0);
        assert!(scores.iter().any(|s| s.metric == "kernel_distance" && s.estimate.is_some()));
    }
}
