//! The kinds of continuous time from file to file: resumed, on one thread and on two, and against what is known.

use crate::kinds::columns::Table;
use crate::kinds::diffusion::train_tests::run;
use onsager_runner::kind::stage::StageError;
use rayon::ThreadPoolBuilder;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Runs a kind twice: uninterrupted on one thread; on two threads, interrupted after `after` units of work and resumed. Every output must
/// have the same bytes.
pub(crate) fn both_ways(
    kind: &str,
    params: &Value,
    inputs: &[(&str, &Path)],
    folder: &Path,
    after: u64,
) -> PathBuf {
    let pool = |threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let (whole, halved) = (folder.join(format!("{kind} whole")), folder.join(format!("{kind} halved")));
    pool(1).install(|| run(kind, params, inputs, &whole, u64::MAX).map(|_| ())).unwrap();
    pool(2).install(|| {
        let stopped = run(kind, params, inputs, &halved, after);
        assert!(matches!(stopped, Err(StageError::Cancelled)), "{kind}: {stopped:?}");
        assert!(run(kind, params, inputs, &halved, u64::MAX).unwrap() > 0, "{kind} began anew");
    });
    for entry in fs::read_dir(&whole).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        let other = halved.join(entry.file_name());
        assert!(
            fs::read(entry.path()).unwrap() == fs::read(other).unwrap(),
            "{kind}: {:?}",
            entry.file_name()
        );
    }
    whole
}

pub(crate) fn column(path: &Path, name: &str) -> Vec<f64> {
    let values = Table::read(path, "table").unwrap().numbers(name).unwrap();
    values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect()
}

/// Two spots on a line: their exact score, and points.
fn spots(folder: &Path, points: usize) -> (PathBuf, PathBuf) {
    let spot = |x: f64| json!({"weight": 1.0, "mean": [x], "variance": 0.1});
    let params =
        json!({"law": {"mixture": {"components": [spot(-0.7), spot(0.9)]}}, "points": points, "seed": 4});
    run("exact-score", &params, &[], folder, u64::MAX).unwrap();
    (folder.join("model.safetensors"), folder.join("points.safetensors"))
}

#[test]
fn a_training_leaves_no_trace_of_threads_and_interruption() {
    let folder = tempfile::tempdir().unwrap();
    let (_, points) = spots(folder.path(), 300);
    let params = json!({
        "network": {"width": 16, "layers": 2}, "steps": 40, "batch": 200, "checkpoint_every": 10, "validate_every": 15,
    });
    let inputs = [("data", points.as_path()), ("validation", points.as_path())];
    let out = both_ways("score-train", &params, &inputs, folder.path(), 17);
    let loss = column(&out.join("loss.parquet"), "validation_loss");
    assert!(loss.len() == 3 && loss[2] < loss[0], "{loss:?}");
    let model = out.join("model.safetensors");
    run("score-sample", &json!({"count": 5, "steps": 10}), &[("model", &model)], folder.path(), u64::MAX)
        .unwrap();
    let refused = run("score-train", &json!({"batch": 301}), &inputs, folder.path(), u64::MAX).unwrap_err();
    assert_eq!(refused.to_string(), "a batch of 301 from 300 points");
}

/// More samples and points than stand between two checkpoints. With the exact score the likelihood is that of the data and the
/// correction is only that of the prior's mismatch, ~1e-5 here, beside the integration's tolerance.
#[test]
fn samples_and_likelihoods_of_an_exact_score() {
    let folder = tempfile::tempdir().unwrap();
    let (model, points) = spots(folder.path(), 1400);
    let inputs = [("model", model.as_path()), ("points", points.as_path())];
    let sampling = json!({"count": 8900, "steps": 3, "h": 0.5, "paths": 2});
    let out = both_ways("score-sample", &sampling, &inputs[..1], folder.path(), 8200);
    assert_eq!(column(&out.join("paths.parquet"), "x").len(), 2 * 4);
    let out = both_ways("score-likelihood", &json!({"tolerance": 1e-8}), &inputs, folder.path(), 1060);
    let summary = |name| column(&out.join("summary.parquet"), name)[0];
    assert!(summary("excess").abs() < 1e-3 && summary("correction").abs() < 1e-3);
    assert!(summary("closure_largest") < 1e-5);
    let fifty = folder.path().join("fifty");
    run("score-likelihood", &json!({"count": 50}), &inputs, &fifty, u64::MAX).unwrap();
    let measured = json!({"h": [0.5, 1.0], "method": {"paths": {"paths": 2000, "steps": 60}}, "count": 50});
    let likelihood = fifty.join("points.parquet");
    let all = [inputs[0], inputs[1], ("likelihood", likelihood.as_path())];
    let out = both_ways("score-density", &measured, &all, folder.path(), 25);
    // 60 steps leave a few hundredths beside the paths' error.
    let table = out.join("nll.parquet");
    for ((nll, line), error) in
        column(&table, "nll").iter().zip(column(&table, "first_order")).zip(column(&table, "nll_error"))
    {
        assert!((nll - line).abs() < 0.05 + 4.5 * error, "{nll} {line} {error}");
    }
    let grid = json!({"h": [0.0, 1.0], "method": "grid", "terminal": "exact", "count": 50});
    run("score-density", &grid, &all, folder.path(), u64::MAX).unwrap();
    let nll = column(&folder.path().join("nll.parquet"), "nll");
    assert!((nll[0] - nll[1]).abs() < 1e-3, "{nll:?}");
}

/// The sampled variances lie within 4.5 standard errors of the chain's, and the WKB slope is the closed form's to 4 digits.
#[test]
fn the_linear_score_agrees_with_its_closed_form() {
    let folder = tempfile::tempdir().unwrap();
    let params = json!({"errors": [0.1], "samples": 2000, "steps": 50});
    run("linear-score", &params, &[], folder.path(), u64::MAX).unwrap();
    let table = folder.path().join("curve.parquet");
    assert!(column(&table, "z_score").iter().all(|z| z.is_nan() || z.abs() < 4.5));
    let (wkb, exact) = (column(&table, "wkb_slope")[0], column(&table, "slope")[0]);
    assert!((wkb / exact - 1.0).abs() < 1e-4, "{wkb} {exact}");
    assert!((column(&table, "nll")[40] - 1.427778).abs() < 1e-6);
}
