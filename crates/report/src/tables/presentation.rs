//! Tables for print as Parquet, with how they are printed.

use crate::error::ReportError;
use crate::tables::print::{self, ColumnSpec, TableSpec};
use crate::tables::{frame, parquet, read};
use onsager_tables::columns::Columns;
use onsager_tables::error::TableError;
use onsager_tables::read::Parquet;
use onsager_tables::table::{Head, Mark, Table};
use onsager_tables::value::Names;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The key under which a Parquet file carries its [`Presentation`].
const PRESENTATION: &str = "onsager:table";

/// How the columns of a data file are to be printed.
#[derive(Debug, Serialize, Deserialize)]
struct Presentation {
    heads: Vec<Head>,
    marks: Vec<Vec<Mark>>,
    caption: String,
    label: String,
    names: Names,
}

/// Writes the columns of [`Table::columns`] as Parquet, with the headings and emphasis in its metadata.
pub fn save(table: &Table, path: &Path) -> Result<(), ReportError> {
    let presentation = Presentation {
        heads: table.heads.clone(),
        marks: table.marks.clone(),
        caption: table.caption.clone(),
        label: table.label.clone(),
        names: table.names.clone(),
    };
    let text = serde_json::to_string(&presentation)
        .map_err(|source| ReportError::Heading { path: path.into(), source })?;
    parquet::save(&mut frame::of(table.columns())?, path, vec![(PRESENTATION.into(), text)])
}

/// Reads a table for print: with its headings, when [`save`] has written it, else every column plainly.
pub fn load(path: &Path) -> Result<Table, ReportError> {
    let data = read::load(path)?;
    let spec = TableSpec::default();
    let Some(found) = presentation(path)? else { return print::of(&data, &spec) };
    let columns =
        found.heads.iter().map(|head| ColumnSpec { digits: head.digits, ..ColumnSpec::named(&head.name) });
    let mut table = print::of(&data, &TableSpec { columns: columns.collect(), ..spec })?;
    table.heads = found.heads;
    if found.marks.len() == table.rows.len() {
        table.marks = found.marks;
    }
    table.caption = found.caption;
    table.label = found.label;
    table.names = found.names;
    Ok(table)
}

fn presentation(path: &Path) -> Result<Option<Presentation>, ReportError> {
    if !onsager_tables::read::is_parquet(path)? {
        return Ok(None);
    }
    let read = |text: String| {
        serde_json::from_str(&text).map_err(|source| ReportError::Heading { path: path.into(), source })
    };
    parquet::metadata(path, PRESENTATION)?.map(read).transpose()
}

/// Parquet for those who know tables but no frames.
pub struct PolarsParquet;

impl Parquet for PolarsParquet {
    fn read(&self, path: &Path) -> Result<Columns, TableError> {
        let wrong = |source: ReportError| TableError::Parquet { path: path.into(), source: Box::new(source) };
        let frame = parquet::load(path).map_err(wrong)?;
        frame::columns(&frame).map_err(wrong)
    }

    fn write(&self, table: &Table, path: &Path) -> Result<(), TableError> {
        let wrong = |source| TableError::Write { path: path.into(), source: Box::new(source) };
        save(table, path).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::frame::tests::csv as frame_of;
    use crate::tables::print::{Average, Best, ColumnSpec, Pivot, TableSpec};
    use std::fs;

    const QUALITY: &str = "model,seed,metric,value\nddpm,0,fd,1.0\nddpm,1,fd,1.2\nddpm,0,recall,0.5\nddpm,1,recall,0.5\n\
                           action,0,fd,3.0\naction,1,fd,3.1\naction,0,recall,0.6\naction,1,recall,0.7\n";

    fn quality() -> Table {
        let text = |text: &str| text.to_owned();
        let spec = TableSpec {
            average: Some(Average { by: vec![text("model"), text("metric")], values: vec![text("value")] }),
            pivot: Some(Pivot {
                rows: vec![text("model")],
                columns: text("metric"),
                value: text("value"),
                lower: None,
                upper: None,
                within_noise: None,
            }),
            columns: vec![
                ColumnSpec { title: Some(text("Model")), ..ColumnSpec::named("model") },
                ColumnSpec {
                    title: Some(text("Fréchet distance")),
                    best: Some(Best::Lower),
                    ..ColumnSpec::named("fd")
                },
                ColumnSpec { unit: Some(text("%")), digits: 2, ..ColumnSpec::named("100*recall") },
            ],
            names: serde_json::from_str(
                r#"{"ddpm": "DDPM", "model": {"action": "least action"}, "fd": {"action": "no"}}"#,
            )
            .unwrap(),
            caption: text("Quality & noise."),
            label: text("tab:quality"),
            ..TableSpec::default()
        };
        print::of(&frame_of(QUALITY), &spec).unwrap()
    }

    #[test]
    fn markdown_is_exact() {
        // t(0.975, 1) = 12.706, so the half-widths are 12.706 · 0.1 and 12.706 · 0.05.
        let expected = "Quality & noise.\n\n\
            | Model | Fréchet distance | 100*recall (%) |\n\
            | :--- | ---: | ---: |\n\
            | DDPM | **1.1 ± 1.3** | 50 |\n\
            | least action | 3.05 ± 0.64 | 65 |\n";
        let text = quality().markdown();
        assert_eq!(text, expected);
    }

    #[test]
    fn latex_is_exact() {
        let expected = "% needs \\usepackage{booktabs}\n\\begin{table}\n  \\centering\n  \\caption{Quality \\& noise.}\n  \
            \\label{tab:quality}\n  \\begin{tabular}{lrr}\n    \\toprule\n    \
            Model & Fréchet distance & 100*recall (\\%) \\\\\n    \\midrule\n    \
            DDPM & $\\boldsymbol{1.1 \\pm 1.3}$ & $50$ \\\\\n    \
            least action & $3.05 \\pm 0.64$ & $65$ \\\\\n    \\bottomrule\n  \\end{tabular}\n\\end{table}\n";
        assert_eq!(quality().latex(), expected);
    }

    /// Which differences are within noise is told by the rows, not by intervals that overlap: those of b and a do.
    #[test]
    fn the_rows_tell_what_is_within_noise() {
        let rows = frame_of(
            "m,metric,v,lower,upper,within_noise\nbase,fd,1.3,1.2,1.4,\na,fd,1,0.9,1.1,true\nb,fd,1.05,0.95,1.15,false\n\
             c,fd,2,1.9,2.1,true\nfloor,fd,0,0,0.1,\n",
        );
        let spec = TableSpec {
            pivot: Some(Pivot {
                rows: vec!["m".into()],
                columns: "metric".into(),
                value: "v".into(),
                lower: None,
                upper: None,
                within_noise: None,
            }),
            columns: vec![
                ColumnSpec::named("m"),
                ColumnSpec { best: Some(Best::Lower), ..ColumnSpec::named("fd") },
            ],
            compete: serde_json::from_str(r#"{"m": ["base", "a", "b", "c"]}"#).unwrap(),
            ..TableSpec::default()
        };
        let table = print::of(&rows, &spec).unwrap();
        let marks: Vec<_> = table.marks.iter().map(|row| row[1]).collect();
        assert_eq!(marks, [Mark::None, Mark::BestWithinNoise, Mark::None, Mark::WithinNoise, Mark::None]);
        assert!(table.markdown().contains("| a | **1.00 ± 0.10** † |\n"), "{}", table.markdown());
        assert!(
            table.latex().contains("a & $\\boldsymbol{1.00 \\pm 0.10}$$^\\dagger$ \\\\\n"),
            "{}",
            table.latex()
        );
    }

    /// The rows of a table are one family: by hand, 0.01 · 3, 0.03 · 2, 0.04 raised to it.
    #[test]
    fn p_values_are_corrected_for_the_rows() {
        let rows = frame_of("m,p\na,0.04\nb,0.01\nbase,\nc,0.03\n");
        let spec = TableSpec { correct: vec!["p".into()], ..TableSpec::default() };
        let table = print::of(&rows, &spec).unwrap();
        assert_eq!(table.csv(), "m,p,p_corrected\na,0.04,0.06\nb,0.01,0.03\nbase,,\nc,0.03,0.06\n");
    }

    #[test]
    fn parquet_and_csv_keep_every_digit_and_the_headings() {
        let table = quality();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.parquet");
        save(&table, &path).unwrap();
        let first = fs::read(&path).unwrap();
        save(&table, &path).unwrap();
        assert_eq!(first, fs::read(&path).unwrap());
        let again = load(&path).unwrap();
        assert_eq!(again.markdown(), table.markdown());
        let text = table.csv();
        assert!(text.starts_with("model,fd,fd_lower,fd_upper,100*recall\nddpm,1.1,-0.17"), "{text}");
        assert_eq!(again.csv(), text);
    }

    #[test]
    fn damaged_headings_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.parquet");
        let data = vec![(PRESENTATION.into(), "{\"heads\": 3".into())];
        parquet::save(&mut frame_of(QUALITY), &path, data).unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains("table.parquet") && error.contains("make it again"), "{error}");
    }

    #[test]
    fn a_pivot_refuses_two_values_for_a_cell() {
        let p = Pivot {
            rows: vec!["model".into()],
            columns: "metric".into(),
            value: "value".into(),
            lower: None,
            upper: None,
            within_noise: None,
        };
        let error =
            print::of(&frame_of(QUALITY), &TableSpec { pivot: Some(p), ..TableSpec::default() }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "two rows have `model` = `ddpm`, so the cell under `fd` is not unique; add a column to `rows`, or average first"
        );
    }
}
