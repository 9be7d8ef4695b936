//! Runs `dataset` and `sample-quality` through the interface of every kind.

use onsager_runner::kind::context::Item;
use onsager_runner::kind::registry::Registry;
use onsager_runner::kind::stage::StageError;
use onsager_runner::kind::trial::Trial;
use onsager_science::data::dataset::Dataset;
use onsager_science::data::toy::Toy;
use polars::frame::DataFrame;
use polars::prelude::{ParquetReader, SerReader};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Runs a kind and returns where its outputs are.
fn run(
    kind: &str,
    params: Value,
    inputs: &[(&str, Vec<Item>)],
    folder: &Path,
) -> Result<BTreeMap<String, PathBuf>, StageError> {
    let mut registry = Registry::empty();
    registry.add::<crate::kinds::diffusion::dataset::DatasetStage>("test");
    registry.add::<crate::kinds::diffusion::sample_quality::SampleQuality>("test");
    let kind = registry.get(kind).ok_or("no such kind")?;
    let each = inputs.iter().flat_map(|(name, items)| items.iter().map(move |item| (name, item)));
    let trial = each.fold(Trial::new(folder), |trial, (name, item)| trial.input(name, item.clone()));
    trial.run(kind, &params)
}

fn item(path: &Path, labels: &[(&str, Value)]) -> Item {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Item { path: path.into(), name: "samples.samples".to_owned(), labels }
}

fn table(path: &Path) -> Result<DataFrame, Box<dyn Error>> {
    Ok(ParquetReader::new(File::open(path)?).finish()?)
}

#[test]
fn dataset_writes_both_parts_and_says_what_they_are() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let params = json!({"name": "digits", "train": 100, "seed": 3});
    let outputs = run("dataset", params.clone(), &[], &folder.path().join("a")).map_err(|e| e.to_string())?;
    assert_eq!(Dataset::load(&outputs["train"])?.shape, [100, 1, 8, 8]);
    assert_eq!(Dataset::load(&outputs["test"])?.shape, [297, 1, 8, 8]);
    let info: Value = serde_json::from_str(&std::fs::read_to_string(&outputs["info"])?)?;
    assert_eq!((&info["levels"], &info["licence"]), (&json!(17), &json!("CC BY 4.0")));
    let again = run("dataset", params, &[], &folder.path().join("b")).map_err(|e| e.to_string())?;
    for (name, path) in &outputs {
        assert_eq!(std::fs::read(path)?, std::fs::read(&again[name])?, "{name}");
    }
    // What is held out is of the training items, which stay whole.
    let params = json!({"name": "digits", "train": 100, "seed": 3, "held_out": 30});
    let divided = run("dataset", params, &[], &folder.path().join("d")).map_err(|e| e.to_string())?;
    for name in ["train", "test"] {
        assert_eq!(std::fs::read(&divided[name])?, std::fs::read(&outputs[name])?);
    }
    let part = |name: &str| Dataset::load(&divided[name]);
    let sum = |set: &Dataset| set.x.iter().map(|&v| f64::from(v)).sum::<f64>();
    assert_eq!((part("held_out")?.count(), part("rest")?.count()), (30, 70));
    assert_eq!(sum(&part("held_out")?) + sum(&part("rest")?), sum(&part("train")?));
    let params = json!({"name": "gaussians-25", "points": 50, "test": 20});
    let outputs = run("dataset", params, &[], &folder.path().join("c")).map_err(|e| e.to_string())?;
    assert_eq!(Dataset::load(&outputs["train"])?.shape, [50, 2]);
    assert_eq!(Dataset::load(&outputs["test"])?.shape, [20, 2]);
    Ok(())
}

#[test]
fn what_cannot_be_given_is_refused_with_advice() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let refused = |params| run("dataset", params, &[], folder.path()).err();
    match refused(json!({"name": "fashion-mnist"})) {
        Some(StageError::Failed { help: Some(help), .. }) => {
            assert!(help.contains("inputs: {folder: {file: /usr/share/datasets/fashion-mnist}}"), "{help}");
        }
        other => return Err(format!("{other:?}").into()),
    }
    let text = |params| refused(params).map(|error| error.to_string()).unwrap_or_default();
    assert!(text(json!({"name": "digits", "train": 1501})).contains("at most 1500"));
    assert!(text(json!({"name": "swiss-roll", "test": 3001})).contains("has 3000"));
    assert!(text(json!({"name": "digit"})).contains("unknown variant"));
    Ok(())
}

/// Fresh draws of the same density are near the floor and differ from each other by chance only; those of another one are
/// far off. The outputs do not depend on the number of threads.
#[test]
fn sample_quality_tells_a_good_model_from_a_bad_one() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let write = |name: &str, set: Dataset| -> Result<PathBuf, Box<dyn Error>> {
        let path = folder.path().join(name);
        set.save(&path)?;
        Ok(path)
    };
    let mut samples = Vec::new();
    for seed in 1..=3u64 {
        for (model, toy) in [("good", Toy::SwissRoll), ("also-good", Toy::SwissRoll), ("bad", Toy::TwoMoons)]
        {
            let path = write(&format!("{model}-{seed}"), toy.draw(seed, model, 200))?;
            samples.push(item(&path, &[("model", json!(model)), ("seed", json!(seed))]));
        }
    }
    let train = item(&write("train", Toy::SwissRoll.draw(0, "train", 600))?, &[]);
    let test = item(&write("test", Toy::SwissRoll.draw(0, "test", 400))?, &[]);
    let inputs = [("samples", samples.clone()), ("train", vec![train]), ("test", vec![test])];
    let params = json!({"baseline": {"model": "good"}, "margins": {"w2_squared": 0.02}, "seed": 5});
    let mut bytes = Vec::new();
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let place = folder.path().join(threads.to_string());
        let outputs = pool
            .install(|| run("sample-quality", params.clone(), &inputs, &place))
            .map_err(|e| e.to_string())?;
        bytes.push((std::fs::read(&outputs["quality"])?, std::fs::read(&outputs["summary"])?));
    }
    assert!(bytes[0] == bytes[1]);

    let quality = table(&folder.path().join("1/quality.parquet"))?;
    let names: Vec<&str> = quality.get_column_names().iter().map(|name| name.as_str()).collect();
    assert_eq!(
        names,
        ["set", "model", "seed", "replicate", "features", "metric", "value", "standard_error", "degrees"]
    );
    let summary = table(&folder.path().join("1/summary.parquet"))?;
    let text = |column: &str, row: usize| -> Result<Option<String>, Box<dyn Error>> {
        Ok(summary.column(column)?.str()?.get(row).map(str::to_owned))
    };
    let mut seen = 0;
    for row in 0..summary.height() {
        if text("metric", row)?.as_deref() != Some("w2_squared") {
            continue;
        }
        seen += 1;
        let fraction = summary.column("fraction")?.f64()?.get(row).unwrap_or(f64::NAN);
        let within = summary.column("within_noise")?.bool()?.get(row);
        let equivalent = summary.column("equivalent")?.bool()?.get(row);
        let n = summary.column("n")?.i64()?.get(row);
        match (text("set", row)?.as_deref(), text("model", row)?.as_deref()) {
            (Some("real"), None) => assert_eq!((fraction, n), (0.0, Some(3))),
            (Some("noise"), None) => assert_eq!((fraction, n), (1.0, Some(5))),
            (_, Some("good")) => assert!(fraction.abs() < 0.3 && within.is_none(), "{fraction}"),
            (_, Some("also-good")) => {
                assert!(fraction.abs() < 0.3 && within == Some(true) && equivalent.is_some(), "{fraction}")
            }
            (_, Some("bad")) => {
                assert!(fraction > 0.5 && within == Some(false) && n == Some(3), "{fraction}");
                assert_eq!(equivalent, Some(false));
            }
            other => return Err(format!("{other:?}").into()),
        }
    }
    assert_eq!(seen, 5);

    samples.push(samples[0].clone());
    let inputs = [("samples", samples), inputs[1].clone(), inputs[2].clone()];
    let error = run("sample-quality", json!({}), &inputs, folder.path()).err().map(|e| e.to_string());
    assert!(error.is_some_and(|text| text.contains("same labels (model=\"good\", seed=1)")));
    Ok(())
}
