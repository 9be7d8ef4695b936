//! The kinds `sample`, `sampler-law` and `likelihood` from file to file: every sampler, every guidance, resumed and not.

use crate::kinds::diffusion::train_tests::{images, points, run};
use crate::kinds::score::tests::{both_ways, column};
use onsager_runner::kind::stage::StageError;
use onsager_science::data::dataset::Dataset;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A briefly trained model of images, 6 × 6 of two classes.
fn trained(folder: &Path, name: &str, extra: &Value) -> PathBuf {
    let out = folder.join(name);
    std::fs::create_dir_all(&out).unwrap();
    let data = images(&out);
    let mut params = json!({
        "network": {"unet": {"channels": 8, "groups": 2, "embedding": 8}}, "timesteps": 12, "steps": 8, "batch": 8,
    });
    for (key, value) in extra.as_object().unwrap() {
        params[key] = value.clone();
    }
    run("train", &params, &[("data", &data)], &out, u64::MAX).unwrap();
    out.join("model.safetensors")
}

fn sample(model: &Path, folder: &Path, params: &Value) -> Result<Dataset, StageError> {
    run("sample", params, &[("model", model)], folder, u64::MAX)?;
    Ok(Dataset::load(&folder.join("samples.safetensors")).unwrap())
}

/// More samples than stand between checkpoints, interrupted in the second part, by the sampler that has the most to remember.
#[test]
fn every_sampler_samples_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let data = points(folder.path());
    let params = json!({
        "network": {"mlp": {"width": 16, "layers": 2, "embedding": 8}}, "timesteps": 20, "steps": 20, "batch": 10,
    });
    run("train", &params, &[("data", &data)], folder.path(), u64::MAX).unwrap();
    let model = folder.path().join("model.safetensors");
    let refined =
        json!({"count": 300, "steps": 6, "sampler": {"refined": {"iterations": 3, "from": "ancestral"}}});
    // 6 + 4 · 5 evaluations a sample, 256 samples in the first part.
    let out = both_ways("sample", &refined, &[("model", &model)], folder.path(), 26 * 256 + 300);
    let table = out.join("actions.parquet");
    let (before, after) = (column(&table, "before"), column(&table, "after"));
    assert!(before.len() == 300 && before.iter().zip(&after).all(|(before, after)| after < before));
    let mut all = Vec::new();
    for sampler in ["ancestral", "ddim", "heun", "dpm-solver"] {
        let params = json!({"count": 40, "steps": 6, "sampler": sampler});
        let set = sample(&model, folder.path(), &params).unwrap();
        assert!(set.x.iter().all(|x| x.is_finite()) && !all.contains(&set.x), "{sampler}");
        all.push(set.x);
    }
    let learned = json!({"count": 2, "sampler": {"ancestral": {"variance": "learned"}}});
    let refused = sample(&model, folder.path(), &learned).unwrap_err();
    assert_eq!(refused.to_string(), "the variance is to be `learned`, and the model predicts none");
    let free = json!({"count": 2, "guidance": "classifier-free"});
    let refused = sample(&model, folder.path(), &free).unwrap_err();
    assert_eq!(refused.to_string(), "`classifier-free` guidance of a model that knows no classes");
    let refused = sample(&model, folder.path(), &json!({"count": 2, "classes": [0]})).unwrap_err();
    assert_eq!(refused.to_string(), "`classes` of a model that knows none");
    let refused = sample(&model, folder.path(), &json!({"count": 2, "guidance": "classifier"})).unwrap_err();
    assert_eq!(refused.to_string(), "guidance by a classifier, and there is none");
}

/// Samples of a conditional model carry their intended classes, in turn or as listed; scale 0 is the conditional model, and another scale is not.
#[test]
fn conditional_samples_are_labelled() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path(), "conditional", &json!({"conditional": true}));
    let of = |extra: Value| {
        let mut params = json!({"count": 5, "steps": 4});
        for (key, value) in extra.as_object().unwrap() {
            params[key] = value.clone();
        }
        sample(&model, folder.path(), &params)
    };
    let plain = of(json!({})).unwrap();
    assert_eq!((plain.y.clone(), plain.classes), (Some(vec![0, 1, 0, 1, 0]), Some(2)));
    let ones = of(json!({"classes": [1]})).unwrap();
    assert_eq!(ones.y, Some(vec![1; 5]));
    assert_eq!((ones.item(1), ones.item(3)), (plain.item(1), plain.item(3)));
    assert_ne!(ones.item(0), plain.item(0));
    let zero = of(json!({"guidance": {"classifier-free": {"scale": 0.0}}})).unwrap();
    let two = of(json!({"guidance": {"classifier-free": {"scale": 2.0}}})).unwrap();
    // (1 + 0) ε(x, y) − 0 ε(x) has the same bits.
    assert_eq!(zero.x, plain.x);
    assert_ne!(two.x, plain.x);
    let refused = of(json!({"classes": [2]})).unwrap_err();
    assert_eq!(refused.to_string(), "`classes` has 2, and there are 2 classes");
}

/// A classifier of noisy images of the model's own schedule guides it; at scale 0 it changes nothing. Others are refused.
#[test]
fn a_classifier_guides() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path(), "model", &json!({}));
    let data = images(folder.path());
    let classifier = |name: &str, diffusion: Value| {
        let out = folder.path().join(name);
        let mut params = json!({"channels": 8, "features": 6, "steps": 5, "batch": 16});
        if !diffusion.is_null() {
            params["diffusion"] = diffusion;
        }
        run("classifier", &params, &[("train", &data), ("test", &data)], &out, u64::MAX).unwrap();
        out.join("model.safetensors")
    };
    let noisy = classifier("noisy", json!({"schedule": "linear", "timesteps": 12, "embedding": 8}));
    let guided = |classifier: &Path, scale: f64, sampler: &str| {
        let params =
            json!({"count": 5, "steps": 6, "sampler": sampler, "guidance": {"classifier": {"scale": scale}}});
        let inputs = [("model", model.as_path()), ("classifier", classifier)];
        run("sample", &params, &inputs, folder.path(), u64::MAX)?;
        Ok::<_, StageError>(Dataset::load(&folder.path().join("samples.safetensors")).unwrap())
    };
    for sampler in ["ancestral", "ddim"] {
        let (zero, three) = (guided(&noisy, 0.0, sampler).unwrap(), guided(&noisy, 3.0, sampler).unwrap());
        let plain =
            sample(&model, folder.path(), &json!({"count": 5, "steps": 6, "sampler": sampler})).unwrap();
        assert_eq!((zero.y.clone(), plain.y, &zero.x), (Some(vec![0, 1, 0, 1, 0]), None, &plain.x));
        assert_ne!(three.x, zero.x);
    }
    let clean = classifier("clean", Value::Null);
    let refused = guided(&clean, 1.0, "ddim").unwrap_err();
    assert_eq!(refused.to_string(), "the classifier was trained on clean images");
    let cosine = classifier("cosine", json!({"schedule": "cosine", "timesteps": 12, "embedding": 8}));
    let refused = guided(&cosine, 1.0, "ddim").unwrap_err();
    assert!(refused.to_string().starts_with("the classifier knows the noise of the schedule `cosine`"));
}

/// 2A of the paths of a model, with a variance of its own and with fixed ones, within 4.5 standard errors of its mean √(2·degrees/n), and not far from χ².
/// Forward paths of other data are less likely than those of the sampler.
#[test]
fn paths_follow_the_law_of_the_sampler() {
    let folder = tempfile::tempdir().unwrap();
    let model = trained(folder.path(), "hybrid", &json!({"objective": "hybrid"}));
    let data = images(folder.path());
    let inputs = [("model", model.as_path()), ("data", data.as_path())];
    for variance in ["learned", "beta"] {
        let params = json!({"paths": 300, "batch": 30, "sampler": {"ancestral": {"variance": variance}}});
        // 12 steps a path, 256 paths (270 in batches of 30) in the first part.
        let out = both_ways("sampler-law", &params, &inputs, folder.path(), 12 * 270 + 1);
        let summary = |name| column(&out.join("summary.parquet"), name)[0];
        let degrees = 36.0 * 11.0;
        assert_eq!(summary("degrees"), degrees);
        let error = (2.0 * degrees / 300.0f64).sqrt();
        assert!((summary("twice_action") - degrees).abs() < 4.5 * error && summary("p_value") > 1e-4);
        assert!(summary("forward_action") > summary("twice_action") / 2.0);
        assert_eq!(column(&out.join("actions.parquet"), "chi_square").len(), 300);
        std::fs::remove_dir_all(&out).unwrap();
        std::fs::remove_dir_all(folder.path().join("sampler-law halved")).unwrap();
    }
}

/// The terms add up to the bound; a model with a learned variance has other terms; the same bytes, interrupted or not.
#[test]
fn the_bound_of_images() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path());
    let plain = trained(folder.path(), "plain", &json!({}));
    let hybrid = trained(folder.path(), "hybrid", &json!({"objective": "hybrid"}));
    let params = json!({"method": {"bound": {"draws": 2}}, "count": 80});
    let inputs = [("model", plain.as_path()), ("data", data.as_path())];
    // 12 steps an item, 64 items in the first part.
    let out = both_ways("likelihood", &params, &inputs, folder.path(), 12 * 64 + 20);
    let bits = |out: &Path| column(&out.join("summary.parquet"), "bits_per_dim")[0];
    let terms = column(&out.join("terms.parquet"), "bits_per_dim");
    assert_eq!(terms.len(), 13);
    assert!((terms.iter().sum::<f64>() - bits(&out)).abs() < 1e-12);
    let items = column(&out.join("items.parquet"), "bits_per_dim");
    assert!((items.iter().sum::<f64>() / 80.0 - bits(&out)).abs() < 1e-12);
    // 17 levels: at most log2 17 for a model that knows nothing would be 4.09; a few steps of training leave it above.
    assert!(bits(&out) > 0.5 && terms.iter().all(|x| x.is_finite()), "{}", bits(&out));
    let other = folder.path().join("other");
    let inputs = [("model", hybrid.as_path()), ("data", data.as_path())];
    run("likelihood", &params, &inputs, &other, u64::MAX).unwrap();
    assert!(bits(&other) != bits(&out));
    let refused = run("likelihood", &json!({"count": 81}), &inputs, &other, u64::MAX).unwrap_err();
    assert_eq!(refused.to_string(), "81 items are asked for, and there are 80");
}

/// The flow's: a value for each draw, whose mean is the summary's; the same bytes, interrupted or not. Points have no levels and an exact divergence.
#[test]
fn the_flow_of_images_and_points() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path());
    let model = trained(folder.path(), "dequantised", &json!({"dequantise": true}));
    let flow = json!({"steps": 6, "dequantisations": 2, "probes": 3});
    let params = json!({"method": {"flow": flow}, "count": 70});
    let inputs = [("model", model.as_path()), ("data", data.as_path())];
    let out = both_ways("likelihood", &params, &inputs, folder.path(), 6 * 64 + 10);
    let summary = |name| column(&out.join("summary.parquet"), name)[0];
    let draws = column(&out.join("draws.parquet"), "bits_per_dim");
    assert!(draws.len() == 6 && (draws.iter().sum::<f64>() / 6.0 - summary("bits_per_dim")).abs() < 1e-12);
    assert!(summary("probe_spread") > 0.0 && summary("probe_deviation") > 0.0);

    let spots = points(folder.path());
    let params = json!({"network": {"mlp": {"width": 16, "layers": 2, "embedding": 8}}, "timesteps": 20, "steps": 20, "batch": 10});
    run("train", &params, &[("data", &spots)], folder.path(), u64::MAX).unwrap();
    let model = folder.path().join("model.safetensors");
    let inputs = [("model", model.as_path()), ("data", spots.as_path())];
    run("likelihood", &json!({"method": "flow", "count": 5}), &inputs, folder.path(), u64::MAX).unwrap();
    assert_eq!(column(&folder.path().join("draws.parquet"), "bits_per_dim").len(), 1);
    let inputs = [("model", model.as_path()), ("data", data.as_path())];
    let refused = run("likelihood", &json!({}), &inputs, folder.path(), u64::MAX).unwrap_err();
    assert_eq!(refused.to_string(), "the data have the shape [1, 6, 6], the model [2]");
}
