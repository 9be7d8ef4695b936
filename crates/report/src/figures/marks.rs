//! From the rows of each mark to its layers: divided into panels and series, at their places.

use super::figure::{Cell, Datum, Detail, Geometry, Layer};
use super::plot::{Columns, Frames, MarkKind, MarkSpec, NumberOrColumn, Plot};
use super::style::{Colour, LineStyle, MARKERS, PALETTE};
use super::summaries::{around, boxes, edges, histogram, smooth};
use crate::error::ReportError;
use crate::tables::frame;
use onsager_tables::cells::{Style, significant};
use onsager_tables::value::Value;
use polars::frame::DataFrame;
use std::collections::HashSet;

/// The panels by key (None for marks of all panels), in the order of appearance; layers with the index of their mark.
pub(super) type Layers = (Option<String>, Vec<(usize, Layer)>);

/// What tells a series apart, and its text in the legend.
#[derive(Clone)]
struct Series {
    key: String,
    label: String,
}

/// The layers of all marks.
pub(super) struct Drawn {
    pub panels: Vec<Layers>,
    /// The categories of x.
    pub categories: Vec<String>,
    /// The categories of y.
    pub rows: Vec<String>,
}

struct Build<'a> {
    plot: &'a Plot,
    drawn: Drawn,
    /// The series that have a colour, in the order of appearance.
    series: Vec<String>,
}

/// Turns the marks of a figure into layers, one after the other.
pub(super) fn drawn(plot: &Plot, frames: &Frames) -> Result<Drawn, ReportError> {
    let (categories, rows) = (plot.x.order.clone(), plot.y.order.clone());
    let mut build = Build { plot, drawn: Drawn { panels: Vec::new(), categories, rows }, series: Vec::new() };
    for (index, mark) in plot.marks.iter().enumerate() {
        build.mark(index, mark, frames)?;
    }
    Ok(build.drawn)
}

impl Build<'_> {
    /// The layers of one mark: its rows divided into panels and series.
    fn mark(&mut self, index: usize, mark: &MarkSpec, frames: &Frames) -> Result<(), ReportError> {
        let Some(input) = &mark.input else {
            let rule = rule(mark, None)?;
            let layer = self.layer(mark, index, None, rule, Vec::new());
            self.push(None, index, layer);
            return Ok(());
        };
        let Some(all) = frames.get(input) else {
            let inputs = frames.keys().cloned().collect();
            return Err(ReportError::NoInput { input: input.clone(), inputs });
        };
        let table = format!("input `{input}`");
        let data = frame::filter(all, &mark.filter, &table)?;
        let panel = self.plot.panel.as_ref().filter(|panel| data.column(panel).is_ok());
        let series = match &mark.series {
            None => Vec::new(),
            Some(Columns::One(one)) => vec![one.clone()],
            Some(Columns::Many(many)) => many.clone(),
        };
        let by: Vec<String> = panel.into_iter().chain(&series).cloned().collect();
        for group in frame::partition(&data, &by, &table)? {
            let first = |column: &String| -> Result<Value, ReportError> {
                Ok(frame::values(&group, column, &table)?.swap_remove(0))
            };
            let panel = panel.map(first).transpose()?.map(|value| value.to_string());
            let values = series.iter().map(first).collect::<Result<Vec<_>, _>>()?;
            let name = (!series.is_empty()).then(|| Series {
                key: format!(
                    "{series:?} {}",
                    values.iter().map(Value::to_string).collect::<Vec<_>>().join("\0")
                ),
                label: self.series_label(mark, &series, &values),
            });
            if mark.mark == MarkKind::Rule {
                let mut rules: Vec<Geometry> = Vec::new();
                for row in 0..group.height() {
                    let rule = rule(mark, Some((&group, row, &table)))?;
                    if !rules.contains(&rule) {
                        rules.push(rule);
                    }
                }
                for rule in rules {
                    let layer = self.layer(mark, index, name.clone(), rule, Vec::new());
                    self.push(panel.clone(), index, layer);
                }
                continue;
            }
            let (data, detail) = match mark.mark {
                MarkKind::Histogram => (histogram(&group, mark, &table)?, Detail::None),
                MarkKind::Box => boxes(self.positions(&group, mark, &table)?, &group, mark, &table)?,
                MarkKind::Heatmap | MarkKind::Text => self.placed(&group, mark, &table)?,
                _ => (self.data(&group, mark, &table)?, Detail::None),
            };
            let geometry = match mark.mark {
                MarkKind::Points => Geometry::Points,
                MarkKind::LinePoints => Geometry::LinePoints,
                MarkKind::Line => Geometry::Line,
                MarkKind::Steps => Geometry::Steps,
                MarkKind::Band => Geometry::Band,
                MarkKind::Heatmap => Geometry::Cells,
                MarkKind::Box => Geometry::Boxes,
                MarkKind::Text => Geometry::Texts,
                MarkKind::Histogram | MarkKind::Rule => Geometry::Bars,
            };
            let layer = Layer { detail, ..self.layer(mark, index, name, geometry, data) };
            self.push(panel, index, layer);
        }
        Ok(())
    }

    fn push(&mut self, panel: Option<String>, index: usize, layer: Layer) {
        match self.drawn.panels.iter_mut().find(|(key, _)| *key == panel) {
            Some((_, layers)) => layers.push((index, layer)),
            None => self.drawn.panels.push((panel, vec![(index, layer)])),
        }
    }

    /// The legend's text for the values of the series columns.
    fn series_label(&self, mark: &MarkSpec, columns: &[String], values: &[Value]) -> String {
        let shown = columns.iter().zip(values).map(|(column, value)| {
            let text = value.to_string();
            match value {
                // A minus sign, where the number has no name.
                Value::Number(_) | Value::Integer(_) if self.plot.names.of(column, &text).is_none() => {
                    text.replace('-', "−")
                }
                _ => self.plot.name(column, &text),
            }
        });
        match &mark.label {
            Some(template) if template.contains('{') => {
                columns.iter().zip(shown).fold(template.clone(), |text, (column, value)| {
                    text.replace(&format!("{{{column}}}"), &value)
                })
            }
            Some(label) => label.clone(),
            None => shown.collect::<Vec<_>>().join(", "),
        }
    }

    fn layer(
        &mut self,
        mark: &MarkSpec,
        index: usize,
        series: Option<Series>,
        geometry: Geometry,
        data: Vec<Datum>,
    ) -> Layer {
        let rule = mark.mark == MarkKind::Rule && series.is_none();
        // Marks of one series share a colour, whatever their labels: points and their line, a line and its band.
        let (label, key) = match (series, &mark.label) {
            (Some(series), _) => (Some(series.label), series.key),
            (None, Some(label)) => (Some(label.clone()), label.clone()),
            (None, None) => (None, format!("mark {index}")),
        };
        let plain = matches!(mark.mark, MarkKind::Heatmap | MarkKind::Text);
        let number = if rule || plain || mark.colour.is_some() {
            None
        } else {
            Some(self.series.iter().position(|other| *other == key).unwrap_or_else(|| {
                self.series.push(key);
                self.series.len() - 1
            }))
        };
        let colour = match (mark.colour, number) {
            (Some(name), _) => name.colour(),
            (None, Some(number)) => PALETTE[number % PALETTE.len()],
            (None, None) if plain => Colour::INK,
            (None, None) => Colour(0x44, 0x44, 0x44, 1.0),
        };
        let line = mark.line.unwrap_or_else(|| match number {
            Some(number) => LineStyle::of_series(number),
            None if rule => LineStyle::Dashed,
            None => LineStyle::Solid,
        });
        let marker = mark.marker.unwrap_or(MARKERS[number.unwrap_or(0) % MARKERS.len()]);
        let label = label.filter(|_| !plain);
        Layer { label, geometry, colour, marker, line, data, detail: Detail::None }
    }

    /// The cells of a heatmap, or texts, at their places.
    fn placed(
        &mut self,
        group: &DataFrame,
        mark: &MarkSpec,
        table: &str,
    ) -> Result<(Vec<Datum>, Detail), ReportError> {
        let xs = self.positions(group, mark, table)?;
        let ys = self.rows_of(group, mark, table)?;
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
        let place = |row: usize| Some(Datum { x: finite(xs[row])?, y: finite(ys[row])?, interval: None });
        if mark.mark == MarkKind::Text {
            let template = mark.text.clone().unwrap_or_default();
            let mut columns = Vec::new();
            for name in
                frame::names(group).into_iter().filter(|name| template.contains(&format!("{{{name}}}")))
            {
                columns.push((format!("{{{name}}}"), frame::values(group, &name, table)?));
            }
            let text = |row: usize| {
                columns
                    .iter()
                    .fold(template.clone(), |text, (name, values)| text.replace(name, &short(&values[row])))
            };
            let placed = (0..group.height()).filter_map(|row| Some((place(row)?, (text(row), false))));
            let (data, texts) = placed.unzip();
            return Ok((data, Detail::Texts(texts)));
        }
        let value = mark.value.as_deref().unwrap_or_default();
        let values = frame::numbers(group, value, table)?;
        let (across, down) = (edges(&xs, self.plot.x.scale), edges(&ys, self.plot.y.scale));
        let (mut data, mut cells, mut taken) = (Vec::new(), Vec::new(), HashSet::new());
        for (row, value) in values.into_iter().enumerate() {
            let (Some(datum), Some(value)) = (place(row), finite(value)) else { continue };
            if !taken.insert((datum.x.to_bits(), datum.y.to_bits())) {
                let (x, y) = (named(&mark.x), named(&mark.y));
                return Err(ReportError::TwoCells { x, y, panel: self.plot.panel.clone() });
            }
            data.push(datum);
            cells.push(Cell { x: around(&across, datum.x), y: around(&down, datum.y), value, place: 0.0 });
        }
        Ok((data, Detail::Cells(cells)))
    }

    /// The y positions: numbers, or the places of categories from the top.
    fn rows_of(
        &mut self,
        group: &DataFrame,
        mark: &MarkSpec,
        table: &str,
    ) -> Result<Vec<Option<f64>>, ReportError> {
        match &mark.y {
            Some(NumberOrColumn::Column(y)) if is_category(group, y) => {
                let values = frame::values(group, y, table)?;
                Ok(places(&mut self.drawn.rows, values)
                    .into_iter()
                    .map(|place| place.map(|place| -place))
                    .collect())
            }
            Some(NumberOrColumn::Column(y)) => frame::numbers(group, y, table),
            Some(NumberOrColumn::Number(y)) => Ok(vec![Some(*y); group.height()]),
            None => Err(ReportError::Missing { what: "the mark".into(), field: "y" }),
        }
    }

    /// The marks of one series, in the order of x for lines and bands.
    fn data(&mut self, group: &DataFrame, mark: &MarkSpec, table: &str) -> Result<Vec<Datum>, ReportError> {
        let x = self.positions(group, mark, table)?;
        let (lower, upper) = match (&mark.lower, &mark.upper) {
            (Some(lower), Some(upper)) => {
                (frame::numbers(group, lower, table)?, frame::numbers(group, upper, table)?)
            }
            _ => (vec![None; x.len()], vec![None; x.len()]),
        };
        let y = match &mark.y {
            Some(NumberOrColumn::Column(y)) => frame::numbers(group, y, table)?,
            Some(NumberOrColumn::Number(y)) => vec![Some(*y); x.len()],
            None if mark.mark == MarkKind::Band && mark.lower.is_some() => lower.clone(),
            None => return Err(ReportError::Missing { what: "the mark".into(), field: "y" }),
        };
        let (by, value) = ("x".to_owned(), "y".to_owned());
        let columns = [("x", x), ("y", y), ("y_lower", lower), ("y_upper", upper)];
        let mut rows =
            frame::of_numbers(columns)?.drop_nulls(Some([by.clone(), value.clone()].as_slice()))?;
        if mark.mark != MarkKind::Points || mark.average {
            rows = frame::sort(&rows, std::slice::from_ref(&by), table)?;
        }
        if mark.average {
            rows = frame::average(&rows, &[by], &[value], table)?;
        }
        let column = |name: &str| frame::numbers(&rows, name, table);
        let places = column("x")?.into_iter().zip(column("y")?);
        let ends = column("y_lower")?.into_iter().zip(column("y_upper")?);
        // What is not finite has no place on paper.
        let datum = |((x, y), (lower, upper)): ((Option<f64>, Option<f64>), (Option<f64>, Option<f64>))| {
            let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
            Some(Datum { x: finite(x)?, y: finite(y)?, interval: finite(lower).zip(finite(upper)) })
        };
        let mut data: Vec<Datum> = places.zip(ends).filter_map(datum).collect();
        if mark.mark == MarkKind::Band {
            data.retain(|datum| datum.interval.is_some());
        }
        Ok(smooth(data, mark.smooth))
    }

    /// The x positions: numbers, or the places of categories.
    fn positions(
        &mut self,
        group: &DataFrame,
        mark: &MarkSpec,
        table: &str,
    ) -> Result<Vec<Option<f64>>, ReportError> {
        let x = match &mark.x {
            Some(NumberOrColumn::Column(x)) => x,
            Some(NumberOrColumn::Number(x)) => return Ok(vec![Some(*x); group.height()]),
            None => return Err(ReportError::Missing { what: "the mark".into(), field: "x" }),
        };
        match is_category(group, x) {
            true => Ok(places(&mut self.drawn.categories, frame::values(group, x, table)?)),
            false => frame::numbers(group, x, table),
        }
    }
}

/// Whether a column's values are categories: texts that are no timestamps.
pub(super) fn is_category(data: &DataFrame, column: &str) -> bool {
    frame::has_texts(data, column) && !frame::has_times(data, column)
}

/// The places of values among the categories; new ones are added.
fn places(categories: &mut Vec<String>, values: Vec<Value>) -> Vec<Option<f64>> {
    let mut place = |text: String| {
        categories.iter().position(|name| *name == text).unwrap_or_else(|| {
            categories.push(text);
            categories.len() - 1
        })
    };
    values.into_iter().map(|value| (value != Value::Null).then(|| place(value.to_string()) as f64)).collect()
}

/// A value in the text of a mark.
fn short(value: &Value) -> String {
    match value {
        Value::Number(number) => significant(*number, 3, Style::Unicode),
        value => value.to_string(),
    }
}

fn named(axis: &Option<NumberOrColumn>) -> String {
    match axis {
        Some(NumberOrColumn::Column(column)) => column.clone(),
        _ => "a constant".into(),
    }
}

/// The geometry of a rule, from constants or from a row.
fn rule(mark: &MarkSpec, row: Option<(&DataFrame, usize, &str)>) -> Result<Geometry, ReportError> {
    let value = |number: &NumberOrColumn, field: &'static str| match (number, row) {
        (NumberOrColumn::Number(number), _) => Ok(*number),
        (NumberOrColumn::Column(column), Some((data, row, table))) => frame::numbers(data, column, table)?
            [row]
            .filter(|value| value.is_finite())
            .ok_or_else(|| ReportError::Empty {
                reason: format!("the rule's `{field}`, column `{column}`, has no value"),
            }),
        (NumberOrColumn::Column(_), None) => {
            Err(ReportError::Missing { what: "a rule over columns".into(), field: "input" })
        }
    };
    match (&mark.slope, &mark.x, &mark.y) {
        (Some(slope), ..) => {
            let intercept =
                mark.intercept.as_ref().map_or(Ok(0.0), |intercept| value(intercept, "intercept"))?;
            Ok(Geometry::Slope { slope: value(slope, "slope")?, intercept })
        }
        (None, Some(x), _) => Ok(Geometry::Vertical(value(x, "x")?)),
        (None, None, Some(y)) => Ok(Geometry::Horizontal(value(y, "y")?)),
        (None, None, None) => Err(ReportError::Missing { what: "a rule".into(), field: "slope" }),
    }
}
