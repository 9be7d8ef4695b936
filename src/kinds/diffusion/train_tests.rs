//! The kinds `train`, `sample` and `classifier` from file to file.

use crate::kinds::builtin;
use onsager_numerics::random::Streams;
use onsager_runner::kind::stage::StageError;
use onsager_runner::kind::trial::Trial;
use onsager_science::data::dataset::Dataset;
use onsager_science::nn::networks::classifier::Classifier;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Runs a kind in a folder, interrupted after `after` units of work; the step from which it went on, or the
/// error.
pub(crate) fn run(
    kind: &str,
    params: &Value,
    inputs: &[(&str, &Path)],
    folder: &Path,
    after: u64,
) -> Result<u64, StageError> {
    let trial = inputs.iter().fold(Trial::new(folder), |trial, (name, path)| trial.file(name, path));
    let trial = trial.interrupted_after(after);
    let registry = builtin();
    let kind = registry.get(kind).unwrap();
    assert_eq!(kind.parse(params).unwrap().issues, []);
    trial.run(kind, params)?;
    Ok(trial.resumed())
}

fn save(folder: &Path, name: &str, data: &Dataset) -> PathBuf {
    let path = folder.join(name);
    data.save(&path).unwrap();
    path
}

/// Points on two spots.
pub(crate) fn points(folder: &Path) -> PathBuf {
    let mut x = vec![0.0; 200];
    Streams::new(1, "points").stream(0).fill_normal(&mut x);
    for (i, x) in x.iter_mut().enumerate() {
        *x = 0.1 * *x + if i % 4 < 2 { 1.0 } else { -1.0 };
    }
    let data = Dataset { x, shape: vec![100, 2], y: None, name: "spots".into(), levels: None, classes: None };
    save(folder, "points.safetensors", &data)
}

/// Left alone, a potential is on the CPU, also in the key; another device is refused while the pipeline is checked. Other
/// networks may be anywhere.
#[test]
fn device_of_a_potential() {
    let registry = builtin();
    let parse = |objective: &str, device: Option<&str>| {
        let mut params = json!({"objective": objective, "network": "mlp"});
        if let Some(device) = device {
            params["device"] = device.into();
        }
        registry.get("train").unwrap().parse(&params).unwrap()
    };
    for device in [None, Some("auto"), Some("cpu")] {
        let parsed = parse("action-matching", device);
        assert_eq!((&parsed.canonical["device"], &parsed.issues[..]), (&json!("cpu"), &[][..]));
        assert_ne!(parse("simple", device).canonical["device"], "auto");
    }
    let issues = parse("action-matching", Some("cuda")).issues;
    assert!(issues.len() == 1 && format!("{issues:?}").contains("`cpu`"), "{issues:?}");
    assert_eq!(parse("simple", Some("cuda")).issues, []);
}

/// Bright and dark images with noise, labelled.
pub(crate) fn images(folder: &Path) -> PathBuf {
    let mut x = vec![0.0; 80 * 36];
    Streams::new(2, "images").stream(0).fill_normal(&mut x);
    for (i, x) in x.iter_mut().enumerate() {
        // Class 1 is bright on the left, class 0 on the right.
        *x = 0.2 * *x + if (i / 36 % 2 == 1) == (i % 6 < 3) { 0.5 } else { -0.5 };
    }
    let y = Some((0..80).map(|i| i % 2).collect());
    let shape = vec![80, 1, 6, 6];
    let data = Dataset { x, shape, y, name: "sides".into(), levels: Some(17), classes: Some(2) };
    save(folder, "images.safetensors", &data)
}

/// A training that was interrupted at step 17 goes on there and ends with the bytes of one that never was.
#[test]
fn a_resumed_training_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let data = points(folder.path());
    let params = json!({
        "network": {"mlp": {"width": 16, "layers": 2, "embedding": 8}},
        "timesteps": 20, "steps": 40, "batch": 10, "checkpoint_every": 10, "validate_every": 15,
        "objective": {"path-action": {"k": 2, "lambda": 0.1}},
    });
    let inputs = [("data", data.as_path()), ("validation", data.as_path())];
    let (whole, halved) = (folder.path().join("whole"), folder.path().join("halved"));
    assert_eq!(run("train", &params, &inputs, &whole, u64::MAX).unwrap(), 0);
    assert!(matches!(run("train", &params, &inputs, &halved, 17), Err(StageError::Cancelled)));
    assert!(!halved.join("model.safetensors").exists());
    assert_eq!(run("train", &params, &inputs, &halved, u64::MAX).unwrap(), 17);
    for file in ["model.safetensors", "loss.parquet", "info.json"] {
        assert!(fs::read(whole.join(file)).unwrap() == fs::read(halved.join(file)).unwrap(), "{file}");
    }
}

/// Samples do not depend on the batch, and have the layout of a data set; too many steps are refused with
/// advice.
#[test]
fn samples_of_a_model_of_images() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path());
    let params = json!({
        "network": {"unet": {"channels": 8, "groups": 2, "embedding": 8}}, "timesteps": 10, "steps": 3, "batch": 5,
    });
    run("train", &params, &[("data", &data)], folder.path(), u64::MAX).unwrap();
    let model = folder.path().join("model.safetensors");
    let sample = |params: Value, name: &str| {
        let out = folder.path().join(name);
        run("sample", &params, &[("model", &model)], &out, u64::MAX)?;
        Ok::<_, StageError>(out.join("samples.safetensors"))
    };
    let a = sample(json!({"count": 7, "batch": 3, "sampler": "ancestral"}), "a").unwrap();
    let b = sample(json!({"count": 7, "batch": 7}), "b").unwrap();
    assert!(fs::read(&a).unwrap() == fs::read(&b).unwrap());
    let samples = Dataset::load(&a).unwrap();
    assert_eq!((samples.shape, samples.levels), (vec![7, 1, 6, 6], Some(17)));
    assert!(samples.x.iter().all(|x| (-1.0..=1.0).contains(x)));
    let ddim =
        sample(json!({"count": 2, "steps": 4, "sampler": {"ddim": {"spacing": "trailing"}}}), "c").unwrap();
    assert_eq!(Dataset::load(&ddim).unwrap().count(), 2);
    let refused = sample(json!({"count": 2, "steps": 11}), "d").unwrap_err();
    assert_eq!(refused.to_string(), "11 sampling steps of a model of 10");
}

/// Two kinds of images that differ plainly are told apart, and the features have the promised shape.
#[test]
fn a_classifier_learns() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path());
    let params = json!({"channels": 8, "features": 6, "steps": 40, "batch": 16, "ema": 0.5});
    run("classifier", &params, &[("train", &data), ("test", &data)], folder.path(), u64::MAX).unwrap();
    let text = fs::read_to_string(folder.path().join("accuracy.json")).unwrap();
    let accuracy: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&accuracy["accuracy"], &accuracy["right"]), (&json!(1.0), &json!(80)));
    let classifier =
        Classifier::load(&folder.path().join("model.safetensors"), &candle_core::Device::Cpu).unwrap();
    let images = Dataset::load(&data).unwrap();
    let evaluation = classifier.evaluate(&images.x, &images.shape).unwrap();
    assert_eq!((evaluation.features.len(), evaluation.dimension), (480, 6));
    assert_eq!((evaluation.logits.len(), evaluation.classes), (160, 2));
    assert_eq!(evaluation.predictions(), images.y.unwrap());
    assert!(classifier.evaluate(&images.x, &[80, 36]).is_err());
    assert!(Classifier::load(&data, &candle_core::Device::Cpu).is_err());
}

/// A U-Net learns the potential of two kinds of images: what is drawn from it lies along their difference, 0.5 to either side of
/// the middle, where noise would lie within 1/6. One that drops numbers is refused.
#[test]
fn a_unet_learns_a_potential() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path());
    let params = json!({
        "network": {"unet": {"channels": 8, "groups": 2, "embedding": 8}}, "objective": "action-matching", "timesteps": 20,
        "steps": 150, "batch": 16, "learning_rate": 0.005, "ema": 0.5,
    });
    run("train", &params, &[("data", &data)], folder.path(), u64::MAX).unwrap();
    let out = folder.path().join("samples");
    let model = folder.path().join("model.safetensors");
    let params = json!({"count": 16, "sampler": "heun", "steps": 20});
    run("sample", &params, &[("model", &model)], &out, u64::MAX).unwrap();
    let samples = Dataset::load(&out.join("samples.safetensors")).unwrap();
    let along = samples.x.chunks_exact(36).map(|x| {
        let signed = x.iter().enumerate().map(|(i, x)| if i % 6 < 3 { *x } else { -x });
        (signed.sum::<f32>() / 36.0).abs()
    });
    let along: Vec<f32> = along.collect();
    assert!(along.iter().all(|a| (0.3..0.7).contains(a)), "{along:?}");
    let dropping = json!({"network": {"unet": {"dropout": 0.1}}, "objective": "action-matching"});
    let issues = builtin().get("train").unwrap().parse(&dropping).unwrap().issues;
    assert!(issues.len() == 1 && format!("{issues:?}").contains("network.unet.dropout"), "{issues:?}");
}
