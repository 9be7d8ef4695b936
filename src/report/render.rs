//! A table as CSV, Markdown, LaTeX, HTML and Parquet.

use super::cells::{Cell, Style, latex_text};
use super::error::ReportError;
use super::frame::{self, Value};
use super::read;
use super::tables::{Head, Mark, Table};
use polars::frame::DataFrame;
use polars::prelude::{
    KeyValueMetadata, ParquetCompression, ParquetReader, ParquetWriter, SerReader, StatisticsOptions,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
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
    names: BTreeMap<String, String>,
}

const NOTE: &str = "† within noise: the 95% interval overlaps that of the best value in the column.";

impl Table {
    /// The data columns: every column under its own name with full precision, an interval as three columns.
    pub fn frame(&self) -> Result<DataFrame, ReportError> {
        let mut columns = Vec::new();
        for (i, head) in self.heads.iter().enumerate() {
            let cells = || self.rows.iter().map(move |row| &row[i]);
            columns.push((head.name.clone(), cells().map(data).collect()));
            if cells().any(|cell| matches!(cell, Cell::Interval { .. })) {
                let end = |pick: fn(f64, f64) -> f64| {
                    cells()
                        .map(|cell| match *cell {
                            Cell::Interval { lower, upper, .. } => Value::Number(pick(lower, upper)),
                            _ => Value::Null,
                        })
                        .collect()
                };
                columns.push((format!("{}_lower", head.name), end(|lower, _| lower)));
                columns.push((format!("{}_upper", head.name), end(|_, upper| upper)));
            }
        }
        frame::from_columns(columns)
    }

    /// CSV by RFC 4180: the columns of [`Table::frame`], full precision.
    pub fn csv(&self) -> Result<String, ReportError> {
        csv(&self.frame()?)
    }

    /// A pipe table with its caption.
    pub fn markdown(&self) -> String {
        let escape = |text: String| text.replace('|', "\\|");
        let mut out = String::new();
        if !self.caption.is_empty() {
            out.push_str(&format!("{}\n\n", self.caption));
        }
        let heads: Vec<String> = self.heads.iter().map(|head| escape(title(head))).collect();
        let rules = (0..self.heads.len()).map(|i| if self.numeric(i) { "---:" } else { ":---" });
        out.push_str(&format!("| {} |\n", heads.join(" | ")));
        out.push_str(&format!("| {} |\n", rules.collect::<Vec<_>>().join(" | ")));
        for (row, marks) in self.rows.iter().zip(&self.marks) {
            let cells = row.iter().zip(marks).zip(&self.heads).map(|((cell, mark), head)| {
                let text = escape(self.show(cell, head, Style::Unicode));
                match mark {
                    Mark::None => text,
                    Mark::Best => format!("**{text}**"),
                    Mark::WithinNoise => format!("{text} †"),
                }
            });
            out.push_str(&format!("| {} |\n", cells.collect::<Vec<_>>().join(" | ")));
        }
        if self.any_within_noise() {
            out.push_str(&format!("\n{NOTE}\n"));
        }
        out
    }

    /// A LaTeX `table` with the rules of `booktabs`.
    pub fn latex(&self) -> String {
        let align: String = (0..self.heads.len()).map(|i| if self.numeric(i) { 'r' } else { 'l' }).collect();
        let heads: Vec<String> = self.heads.iter().map(|head| latex_text(&title(head))).collect();
        let mut out = String::from("% needs \\usepackage{booktabs}\n\\begin{table}\n  \\centering\n");
        if !self.caption.is_empty() {
            out.push_str(&format!("  \\caption{{{}}}\n", latex_text(&self.caption)));
        }
        if !self.label.is_empty() {
            out.push_str(&format!("  \\label{{{}}}\n", self.label));
        }
        out.push_str(&format!(
            "  \\begin{{tabular}}{{{align}}}\n    \\toprule\n    {} \\\\\n    \\midrule\n",
            heads.join(" & ")
        ));
        for (row, marks) in self.rows.iter().zip(&self.marks) {
            let cells = row.iter().zip(marks).zip(&self.heads).map(|((cell, mark), head)| {
                let text = self.show(cell, head, Style::Latex);
                match mark {
                    Mark::None => text,
                    Mark::Best if text.starts_with('$') => {
                        format!("$\\boldsymbol{{{}}}$", text.trim_matches('$'))
                    }
                    Mark::Best => format!("\\textbf{{{text}}}"),
                    Mark::WithinNoise => format!("{text}$^\\dagger$"),
                }
            });
            out.push_str(&format!("    {} \\\\\n", cells.collect::<Vec<_>>().join(" & ")));
        }
        out.push_str("    \\bottomrule\n  \\end{tabular}\n");
        if self.any_within_noise() {
            out.push_str(&format!("\n  \\smallskip{{\\footnotesize {}}}\n", latex_text(NOTE)));
        }
        out.push_str("\\end{table}\n");
        out
    }

    /// The `table` element, without its caption; numbers are aligned at the right in figures of equal width.
    pub fn html(&self) -> String {
        use super::markup::escape;
        let class = |i: usize| if self.numeric(i) { " class=\"n\"" } else { "" };
        let mut out = String::from("<table>\n<thead><tr>");
        for (i, head) in self.heads.iter().enumerate() {
            let unit = head
                .unit
                .as_ref()
                .map_or(String::new(), |unit| format!(" <small>({})</small>", escape(unit)));
            out.push_str(&format!("<th scope=\"col\"{}>{}{unit}</th>", class(i), escape(&head.title)));
        }
        out.push_str("</tr></thead>\n<tbody>\n");
        for (row, marks) in self.rows.iter().zip(&self.marks) {
            out.push_str("<tr>");
            for (i, ((cell, mark), head)) in row.iter().zip(marks).zip(&self.heads).enumerate() {
                let text = escape(&self.show(cell, head, Style::Unicode));
                let text = match mark {
                    Mark::None => text,
                    Mark::Best => format!("<b>{text}</b>"),
                    Mark::WithinNoise => format!("{text}<sup>†</sup>"),
                };
                out.push_str(&format!("<td{}>{text}</td>", class(i)));
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody>\n</table>\n");
        if self.any_within_noise() {
            out.push_str(&format!("<p class=\"note\">{NOTE}</p>\n"));
        }
        out
    }

    /// Writes the columns of [`Table::frame`] as Parquet, with the headings and emphasis in its metadata.
    pub fn save_parquet(&self, path: &Path) -> Result<(), ReportError> {
        let presentation = Presentation {
            heads: self.heads.clone(),
            marks: self.marks.clone(),
            caption: self.caption.clone(),
            label: self.label.clone(),
            names: self.names.clone(),
        };
        let text = serde_json::to_string(&presentation).unwrap_or_default();
        save(&mut self.frame()?, path, vec![(PRESENTATION.into(), text)])
    }

    /// Reads a table for print: with its headings, when [`Table::save_parquet`] has written it, else every column plainly.
    pub fn load(path: &Path) -> Result<Table, ReportError> {
        let data = read::load(path)?;
        let spec = super::tables::TableSpec::default();
        let Some(found) = presentation(path)? else { return Table::of(&data, &spec) };
        let columns = found.heads.iter().map(|head| super::tables::ColumnSpec {
            digits: head.digits,
            ..super::tables::ColumnSpec::named(&head.name)
        });
        let mut table = Table::of(&data, &super::tables::TableSpec { columns: columns.collect(), ..spec })?;
        table.heads = found.heads;
        if found.marks.len() == table.rows.len() {
            table.marks = found.marks;
        }
        table.caption = found.caption;
        table.label = found.label;
        table.names = found.names;
        Ok(table)
    }

    fn show(&self, cell: &Cell, head: &Head, style: Style) -> String {
        match cell {
            Cell::Text(text) => {
                Cell::Text(self.names.get(text).unwrap_or(text).clone()).show(head.digits, style)
            }
            cell => cell.show(head.digits, style),
        }
    }

    fn numeric(&self, column: usize) -> bool {
        self.rows.iter().any(|row| row[column].numeric())
            && self.rows.iter().all(|row| row[column].numeric() || row[column] == Cell::Empty)
    }

    fn any_within_noise(&self) -> bool {
        self.marks.iter().flatten().any(|mark| *mark == Mark::WithinNoise)
    }
}

/// Writes a frame as Parquet: one row group, no statistics, uncompressed, so that equal tables are equal bytes.
pub fn save(data: &mut DataFrame, path: &Path, metadata: Vec<(String, String)>) -> Result<(), ReportError> {
    let file = File::create(path).map_err(|source| ReportError::Write { path: path.into(), source })?;
    let rows = data.height().max(1);
    let writer = ParquetWriter::new(file)
        .with_compression(ParquetCompression::Uncompressed)
        .with_statistics(StatisticsOptions::empty())
        .with_row_group_size(Some(rows))
        .set_parallel(false)
        .with_key_value_metadata(if metadata.is_empty() {
            None
        } else {
            Some(KeyValueMetadata::from_static(metadata))
        });
    writer.finish(data).map(|_| ()).map_err(|source| ReportError::Table { path: path.into(), source })
}

/// A frame as CSV text with full precision.
pub fn csv(data: &DataFrame) -> Result<String, ReportError> {
    let names = frame::names(data);
    let columns =
        names.iter().map(|name| frame::values(data, name, "the table")).collect::<Result<Vec<_>, _>>()?;
    let quote = |text: String| {
        if text.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text
        }
    };
    let mut out = names.into_iter().map(quote).collect::<Vec<_>>().join(",");
    out.push('\n');
    for row in 0..data.height() {
        let fields: Vec<_> = columns.iter().map(|cells| quote(cells[row].to_string())).collect();
        out.push_str(&fields.join(","));
        out.push('\n');
    }
    Ok(out)
}

fn presentation(path: &Path) -> Result<Option<Presentation>, ReportError> {
    let read = |source| ReportError::Read { path: path.into(), source };
    let mut magic = [0; 4];
    let mut file = File::open(path).map_err(read)?;
    if fs::metadata(path).map_err(read)?.len() < 12
        || file.read_exact(&mut magic).is_err()
        || &magic != b"PAR1"
    {
        return Ok(None);
    }
    let mut reader = ParquetReader::new(File::open(path).map_err(read)?);
    let metadata =
        reader.get_metadata().map_err(|source| ReportError::Table { path: path.into(), source })?;
    let pairs = metadata.key_value_metadata().iter().flatten();
    let text = pairs.filter(|pair| pair.key == PRESENTATION).find_map(|pair| pair.value.as_ref());
    Ok(text.and_then(|text| serde_json::from_str(text).ok()))
}

fn data(cell: &Cell) -> Value {
    match cell {
        Cell::Empty => Value::Null,
        Cell::Text(text) => Value::Text(text.clone()),
        Cell::Integer(value) => Value::Integer(*value),
        Cell::Number(value) | Cell::Interval { value, .. } => Value::Number(*value),
    }
}

fn title(head: &Head) -> String {
    match &head.unit {
        Some(unit) => format!("{} ({unit})", head.title),
        None => head.title.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::csv as frame_of;
    use super::super::tables::{Average, Best, ColumnSpec, Pivot, TableSpec};
    use super::*;

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
            names: [(text("ddpm"), text("DDPM")), (text("action"), text("least action"))].into(),
            caption: text("Quality & noise."),
            label: text("tab:quality"),
            ..TableSpec::default()
        };
        Table::of(&frame_of(QUALITY), &spec).unwrap()
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

    #[test]
    fn overlapping_intervals_are_within_noise() {
        let rows =
            frame_of("m,v,v_lower,v_upper\na,1,0.9,1.1\nb,1.05,0.95,1.15\nc,2,1.9,2.1\nfloor,0,0,0.1\n");
        let spec = TableSpec {
            columns: vec![
                ColumnSpec::named("m"),
                ColumnSpec { best: Some(Best::Lower), ..ColumnSpec::named("v") },
            ],
            compete: serde_json::from_str(r#"{"m": ["a", "b", "c"]}"#).unwrap(),
            ..TableSpec::default()
        };
        let table = Table::of(&rows, &spec).unwrap();
        let marks: Vec<_> = table.marks.iter().map(|row| row[1]).collect();
        assert_eq!(marks, [Mark::Best, Mark::WithinNoise, Mark::None, Mark::None]);
        assert!(table.markdown().contains("| b | 1.05 ± 0.10 † |\n"), "{}", table.markdown());
    }

    #[test]
    fn parquet_and_csv_keep_every_digit_and_the_headings() {
        let table = quality();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.parquet");
        table.save_parquet(&path).unwrap();
        let first = fs::read(&path).unwrap();
        table.save_parquet(&path).unwrap();
        assert_eq!(first, fs::read(&path).unwrap());
        let again = Table::load(&path).unwrap();
        assert_eq!(again.markdown(), table.markdown());
        let text = table.csv().unwrap();
        assert!(text.starts_with("model,fd,fd_lower,fd_upper,100*recall\nddpm,1.1,-0.17"), "{text}");
        assert_eq!(again.csv().unwrap(), text);
    }

    #[test]
    fn a_pivot_refuses_two_values_for_a_cell() {
        let p = Pivot {
            rows: vec!["model".into()],
            columns: "metric".into(),
            value: "value".into(),
            lower: None,
            upper: None,
        };
        let error =
            Table::of(&frame_of(QUALITY), &TableSpec { pivot: Some(p), ..TableSpec::default() }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "two rows have `model` = `ddpm`, so the cell under `fd` is not unique; add a column to `rows`, or average first"
        );
    }
}
