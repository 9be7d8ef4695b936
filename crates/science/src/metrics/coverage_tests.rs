//! The intervals and tests of the comparison, simulated at the sizes at which tables print them: 297 samples and reference items, in 5
//! blocks, of 3 or 10 trainings. Data are normal in 8 dimensions, trainings move them by a shift that is random itself, so that the
//! true distances have closed forms. Coverage must be 0.93 to 0.97; its binomial error over 1,000 trials is 0.007.

use super::comparison::{Basis, Summary, summarise};
use super::features::{Features, normal_features};
use super::frechet::BlockedFrechet;
use super::kernel_distance::kernel_estimate;
use super::measurements::{Measurement, Set};
use super::quality::Score;
use onsager_numerics::random::Streams;
use onsager_numerics::statistics::Estimated;
use rayon::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

const DIMENSION: usize = 8;
const COUNT: usize = 297;
const BLOCKS: usize = 5;
const TRIALS: u64 = 1000;
/// The deviation of a training's shift, and the means of two models.
const SPREAD: f64 = 0.1;
const MEANS: [f64; 2] = [0.3, 0.4];

/// The shift of a training.
fn shift(trial: u64, model: usize, seed: u64) -> Vec<f64> {
    let mut stream = Streams::new(trial, "shift").stream(10 * seed + model as u64);
    (0..DIMENSION).map(|_| MEANS[model] + SPREAD * stream.normal()).collect()
}

fn square(shift: &[f64]) -> f64 {
    shift.iter().map(|m| m * m).sum()
}

/// MMD² between N(0, I) and N(m, I) for the kernel (x·y/d + 1)³, by the moments of orders 1, 2 and 3 that it compares.
fn exact_kernel(shift: &[f64]) -> f64 {
    let (s, d) = (square(shift), DIMENSION as f64);
    let third = s * s * s + 6.0 * s * s + (3.0 * d + 6.0) * s;
    3.0 * s / d + 3.0 * s * s / (d * d) + third / (d * d * d)
}

/// The true distances, averaged over trainings.
fn exact(model: usize) -> [f64; 2] {
    let shifts: Vec<Vec<f64>> = (0..100_000).map(|i| shift(TRIALS + i, model, 0)).collect();
    let mean = |f: &dyn Fn(&[f64]) -> f64| shifts.iter().map(|m| f(m)).sum::<f64>() / shifts.len() as f64;
    [MEANS[model].powi(2) * DIMENSION as f64 + SPREAD * SPREAD * DIMENSION as f64, mean(&exact_kernel)]
}

/// Samples of a model; the models of one seed start from the same noise.
fn samples(trial: u64, seed: u64, subset: u64, shift: &[f64]) -> Features {
    let noise = normal_features(1000 * trial + 10 * seed + subset + 1, COUNT, DIMENSION, 0.0);
    Features::new(noise.rows().flat_map(|row| row.iter().zip(shift).map(|(x, m)| x + m)).collect(), DIMENSION)
}

fn scores(reference: &BlockedFrechet, items: &Features, set: &Features) -> [Score; 2] {
    let frechet = reference.estimate(set);
    let kernel = kernel_estimate(items, set, BLOCKS);
    let score = |metric, value, both: &[f64], without_reference| Score {
        features: "points",
        metric,
        value,
        estimate: Estimated::jackknife(value, both),
        interval: None,
        without_reference,
    };
    [
        score("frechet_distance", frechet.value, &frechet.without_both, frechet.without_reference),
        score("kernel_distance", kernel.value, &kernel.without_both, kernel.without_reference),
    ]
}

/// The summaries of one trial, of two models.
fn trial(trial: u64, seeds: u64, subsets: u64, shift: impl Fn(usize, u64) -> Vec<f64>) -> Vec<Summary> {
    let items = normal_features(1000 * trial, COUNT, DIMENSION, 0.0);
    let reference = BlockedFrechet::new(&items, BLOCKS).unwrap();
    let mut rows = Vec::new();
    for model in 0..2 {
        for seed in 0..seeds {
            for subset in 0..subsets {
                let set = samples(trial, seed, subset, &shift(model, seed));
                rows.extend(scores(&reference, &items, &set).map(|score| Measurement {
                    set: Set::Generated,
                    labels: vec![json!(model), json!(seed)],
                    replicate: subset as u32,
                    score,
                }));
            }
        }
    }
    summarise(&rows, &[1], &[(0, json!(0))], &BTreeMap::new())
}

/// The share of trials whose interval holds the truth, for both metrics.
fn coverage(
    seeds: u64,
    subsets: u64,
    basis: Basis,
    shift: impl Fn(u64, usize, u64) -> Vec<f64> + Sync,
    truth: [f64; 2],
) -> [f64; 2] {
    let hits: Vec<[u32; 2]> = (0..TRIALS)
        .into_par_iter()
        .map(|i| {
            let found = trial(i, seeds, subsets, |model, seed| shift(i, model, seed));
            [0, 1].map(|metric| {
                assert_eq!(found[metric].basis, basis);
                let interval = found[metric].interval.unwrap();
                u32::from((interval.lower..=interval.upper).contains(&truth[metric]))
            })
        })
        .collect();
    [0, 1].map(|metric| f64::from(hits.iter().map(|hit| hit[metric]).sum::<u32>()) / TRIALS as f64)
}

fn nominal(name: &str, found: &[f64]) {
    println!("{name}: {found:?}");
    assert!(found.iter().all(|share| (0.93..=0.97).contains(share)), "{name}: {found:?}");
}

#[test]
fn over_three_trainings() {
    nominal("three trainings", &coverage(3, 1, Basis::Seeds, shift, exact(0)));
}

/// Of one training: its own distance, over three disjoint subsets of its samples.
#[test]
fn over_subsets() {
    let only = shift(0, 0, 0);
    let truth = [square(&only), exact_kernel(&only)];
    nominal("three subsets", &coverage(1, 3, Basis::Subsets, |_, _, _| only.clone(), truth));
}

/// Of one set: over its blocks and those of the reference, four degrees of freedom.
#[test]
fn within_one_set() {
    let only = shift(0, 0, 0);
    let truth = [square(&only), exact_kernel(&only)];
    nominal("one set", &coverage(1, 1, Basis::Within, |_, _, _| only.clone(), truth));
}

/// Of the mean of a number of each item, here the entropy of two classes whose logits differ by N(6, 2.5²): a skewed law, of skewness
/// 2.8, as a sure classifier has it.
#[test]
fn of_a_mean_of_items() {
    let entropy = |margin: f64| {
        let p = 1.0 / (1.0 + libm::exp(-margin.abs()));
        -p * libm::log(p) - (1.0 - p) * libm::log1p(-p)
    };
    let density = |z: f64| libm::exp(-0.5 * z * z) / std::f64::consts::TAU.sqrt();
    let node = |i: i32| f64::from(i) * 0.002;
    let truth: f64 = (-4000..=4000).map(|i| 0.002 * density(node(i)) * entropy(6.0 + 2.5 * node(i))).sum();
    let covered = (0..TRIALS).filter(|&trial| {
        let mut stream = Streams::new(trial, "entropies").stream(0);
        let values: Vec<f64> = (0..COUNT).map(|_| entropy(6.0 + 2.5 * stream.normal())).collect();
        let interval = Estimated::mean(&values).unwrap().interval(0.95);
        (interval.lower..=interval.upper).contains(&truth)
    });
    nominal("a mean of items", &[covered.count() as f64 / TRIALS as f64]);
}

/// Of the difference between two models, paired over three seeds.
#[test]
fn of_paired_differences() {
    let truth = [0, 1].map(|metric| exact(1)[metric] - exact(0)[metric]);
    let hits: Vec<[u32; 2]> = (0..TRIALS)
        .into_par_iter()
        .map(|i| {
            let found = trial(i, 3, 1, |model, seed| shift(i, model, seed));
            [2, 3].map(|at| {
                let versus = found[at].versus.as_ref().unwrap();
                let interval = versus.interval().unwrap();
                assert_eq!(versus.pairs, 3);
                u32::from((interval.lower..=interval.upper).contains(&truth[at - 2]))
            })
        })
        .collect();
    nominal("paired", &[0, 1].map(|m| f64::from(hits.iter().map(|hit| hit[m]).sum::<u32>()) / TRIALS as f64));
}

/// Fifteen models that are as good as the baseline, with seeds whose values correlate by 0.94: the rate of trials with any model that is
/// called better, and that of any called different, at most 0.05 within 3 binomial deviations over 4,000 trials (0.0034 each).
#[test]
fn no_false_better_in_a_family_of_fifteen() {
    for seeds in [3, 10] {
        let found: Vec<[u32; 2]> = (0..4000u64)
            .into_par_iter()
            .map(|trial| {
                let mut stream = Streams::new(trial, "family").stream(seeds);
                let shared: Vec<f64> = (0..seeds).map(|_| 0.94f64.sqrt() * stream.normal()).collect();
                let mut rows = Vec::new();
                for model in 0..16 {
                    for (seed, shared) in shared.iter().enumerate() {
                        let value = 10.0 + shared + 0.06f64.sqrt() * stream.normal();
                        rows.push(Measurement {
                            set: Set::Generated,
                            labels: vec![json!(model), json!(seed)],
                            replicate: 0,
                            score: Score {
                                features: "points",
                                metric: "frechet_distance",
                                value,
                                estimate: None,
                                interval: None,
                                without_reference: Vec::new(),
                            },
                        });
                    }
                }
                let found = summarise(&rows, &[1], &[(0, json!(0))], &BTreeMap::new());
                let told: Vec<f64> = found
                    .iter()
                    .filter_map(|s| s.versus.as_ref())
                    .filter(|versus| versus.within_noise() == Some(false))
                    .map(|versus| versus.difference)
                    .collect();
                [told.iter().any(|d| *d < 0.0), !told.is_empty()].map(u32::from)
            })
            .collect();
        let rate = [0, 1].map(|i| f64::from(found.iter().map(|f| f[i]).sum::<u32>()) / 4000.0);
        println!("{seeds} seeds: called better {}, called different {}", rate[0], rate[1]);
        assert!(rate.iter().all(|rate| *rate < 0.05 + 3.0 * 0.0034), "{seeds}: {rate:?}");
    }
}
