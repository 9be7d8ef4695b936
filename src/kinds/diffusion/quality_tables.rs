//! The tables of `sample-quality`.

use onsager_report::tables::parquet;
use onsager_runner::kind::stage::StageError;
use onsager_science::metrics::comparison::Summary;
use onsager_science::metrics::measurements::Measurement;
use onsager_science::metrics::versus::Versus;
use polars::frame::DataFrame;
use polars::prelude::Column;
use serde_json::Value;
use std::path::Path;

/// A label column: whole numbers or numbers if all its labels are, else text.
fn label_column<'a>(name: &str, values: impl Iterator<Item = &'a Value> + Clone) -> Column {
    let known = || values.clone().filter(|value| !value.is_null());
    if known().all(Value::is_i64) {
        return Column::new(name.into(), values.map(Value::as_i64).collect::<Vec<_>>());
    }
    if known().all(Value::is_number) {
        return Column::new(name.into(), values.map(Value::as_f64).collect::<Vec<_>>());
    }
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    Column::new(name.into(), values.map(text).collect::<Vec<_>>())
}

/// Writes a row per set, subset and metric.
pub fn write_measurements(path: &Path, axes: &[String], rows: &[Measurement]) -> Result<(), StageError> {
    let mut columns = vec![Column::new("set".into(), rows.iter().map(|m| m.set.name()).collect::<Vec<_>>())];
    for (i, axis) in axes.iter().enumerate() {
        columns.push(label_column(axis, rows.iter().map(|m| &m.labels[i])));
    }
    columns.extend([
        Column::new("replicate".into(), rows.iter().map(|m| i64::from(m.replicate)).collect::<Vec<_>>()),
        Column::new("features".into(), rows.iter().map(|m| m.score.features).collect::<Vec<_>>()),
        Column::new("metric".into(), rows.iter().map(|m| m.score.metric).collect::<Vec<_>>()),
        Column::new("value".into(), rows.iter().map(|m| m.score.value).collect::<Vec<_>>()),
        Column::new(
            "standard_error".into(),
            rows.iter().map(|m| m.score.estimate.map(|e| e.error)).collect::<Vec<_>>(),
        ),
        Column::new(
            "degrees".into(),
            rows.iter().map(|m| m.score.estimate.map(|e| e.degrees)).collect::<Vec<_>>(),
        ),
    ]);
    write_table(path, rows.len(), columns)
}

/// Writes the means over seeds, with the `kept` axes.
pub fn write_summaries(
    path: &Path,
    axes: &[String],
    kept: &[usize],
    rows: &[Summary],
) -> Result<(), StageError> {
    let numbers = |name: &str, value: &dyn Fn(&Summary) -> Option<f64>| {
        Column::new(name.into(), rows.iter().map(value).collect::<Vec<_>>())
    };
    let truths = |name: &str, of: &dyn Fn(&Versus) -> Option<bool>| {
        Column::new(name.into(), rows.iter().map(|s| of(s.versus.as_ref()?)).collect::<Vec<_>>())
    };
    let mut columns = vec![Column::new("set".into(), rows.iter().map(|s| s.set.name()).collect::<Vec<_>>())];
    for &i in kept {
        columns.push(label_column(&axes[i], rows.iter().map(|s| &s.labels[i])));
    }
    columns.extend([
        Column::new("features".into(), rows.iter().map(|s| s.features).collect::<Vec<_>>()),
        Column::new("metric".into(), rows.iter().map(|s| s.metric).collect::<Vec<_>>()),
        numbers("mean", &|s| Some(s.mean)),
        numbers("lower", &|s| Some(s.interval?.lower)),
        numbers("upper", &|s| Some(s.interval?.upper)),
        Column::new("n".into(), rows.iter().map(|s| s.n as i64).collect::<Vec<_>>()),
        Column::new("basis".into(), rows.iter().map(|s| s.basis.name()).collect::<Vec<_>>()),
        numbers("fraction", &|s| s.fraction),
        numbers("floor_deviations", &|s| s.floor_deviations),
        numbers("difference", &|s| Some(s.versus.as_ref()?.difference)),
        numbers("difference_lower", &|s| Some(s.versus.as_ref()?.interval()?.lower)),
        numbers("difference_upper", &|s| Some(s.versus.as_ref()?.interval()?.upper)),
        Column::new(
            "pairs".into(),
            rows.iter().map(|s| s.versus.as_ref().map(|v| v.pairs as i64)).collect::<Vec<_>>(),
        ),
        numbers("p_value", &|s| s.versus.as_ref()?.p_value()),
        numbers("p_corrected", &|s| s.versus.as_ref()?.corrected),
        truths("within_noise", &Versus::within_noise),
        numbers("detectable", &|s| s.versus.as_ref()?.detectable()),
        numbers("p_equivalent", &|s| s.versus.as_ref()?.equivalence),
        truths("equivalent", &Versus::equivalent),
    ]);
    write_table(path, rows.len(), columns)
}

fn write_table(path: &Path, height: usize, columns: Vec<Column>) -> Result<(), StageError> {
    let mut table = DataFrame::new(height, columns)?;
    Ok(parquet::save(&mut table, path, Vec::new())?)
}
