//! From the description of a figure and its tables to the figure.

use super::figure::{Datum, Figure, Geometry, Layer, Panel};
use super::plot::{AxisSpec, Columns, Frames, MarkKind, MarkSpec, NumberOrColumn, Plot};
use super::style::{Colour, LineStyle, MARKERS, PALETTE};
use crate::error::ReportError;
use crate::tables::frame;
use onsager_tables::error::TableError;
use onsager_tables::value::Value;
use polars::frame::DataFrame;

impl Plot {
    /// The figure of these tables.
    pub fn figure(&self, frames: &Frames) -> Result<Figure, ReportError> {
        let mut build = Build { plot: self, panels: Vec::new(), categories: Vec::new(), series: Vec::new() };
        build.categories.clone_from(&self.x.order);
        self.find_panel_column(frames)?;
        for (index, mark) in self.marks.iter().enumerate() {
            build.mark(index, mark, frames)?;
        }
        let Build { mut panels, categories, .. } = build;
        // Marks without the panel's column belong to every panel.
        if let Some(position) = panels.iter().position(|(key, _)| key.is_none())
            && panels.len() > 1
        {
            let (_, common) = panels.remove(position);
            for (_, layers) in &mut panels {
                layers.extend(common.iter().cloned());
                layers.sort_by_key(|(index, _)| *index);
            }
        }
        if panels
            .iter()
            .all(|(_, layers)| layers.iter().all(|(_, layer)| layer.data.is_empty() && !is_rule(layer)))
        {
            return Err(ReportError::Empty { reason: "no row passes the filters of the marks".into() });
        }
        let used = panels.iter().flat_map(|(_, layers)| layers).any(|(_, layer)| !is_rule(layer));
        let categories = if used && self.categorical(frames) { categories } else { Vec::new() };
        if !categories.is_empty() {
            panels.iter_mut().for_each(|(_, layers)| dodge(layers));
        }
        // The name of the first column drawn, where the axis has no label.
        let label = |spec: &AxisSpec, place: fn(&MarkSpec) -> Option<&NumberOrColumn>| {
            spec.label.clone().unwrap_or_else(|| match self.marks.iter().find_map(place) {
                Some(NumberOrColumn::Column(name)) => name.replace('_', " "),
                _ => String::new(),
            })
        };
        let panels = panels.into_iter().map(|(key, layers)| Panel {
            title: key.map_or(String::new(), |key| self.name(&key)),
            layers: layers.into_iter().map(|(_, layer)| layer).collect(),
        });
        Ok(Figure {
            x_label: label(&self.x, |mark| mark.x.as_ref()),
            y_label: label(&self.y, |mark| mark.y.as_ref()),
            categories: categories.iter().map(|name| self.name(name)).collect(),
            panels: panels.collect(),
            plot: self.clone(),
        })
    }

    /// Refuses a panel column that no input has.
    fn find_panel_column(&self, frames: &Frames) -> Result<(), ReportError> {
        let Some(panel) = &self.panel else { return Ok(()) };
        let mut inputs = self.marks.iter().filter_map(|mark| mark.input.as_ref());
        let first = inputs.clone().find_map(|input| Some((input, frames.get(input)?)));
        match first {
            Some((input, data))
                if !inputs.any(|i| frames.get(i).is_some_and(|data| data.column(panel).is_ok())) =>
            {
                let table = format!("input `{input}`");
                Err(TableError::NoColumn { column: panel.clone(), table, columns: frame::names(data) }.into())
            }
            _ => Ok(()),
        }
    }

    /// What to print for a value.
    fn name(&self, value: &str) -> String {
        self.names.get(value).cloned().unwrap_or_else(|| value.to_owned())
    }

    /// Whether some mark's x is a column of texts.
    fn categorical(&self, frames: &Frames) -> bool {
        self.marks.iter().any(|mark| match (&mark.input, &mark.x) {
            (Some(input), Some(NumberOrColumn::Column(x))) => {
                frames.get(input).is_some_and(|data| frame::has_texts(data, x))
            }
            _ => false,
        })
    }
}

/// Sets the markers of several series side by side within their category.
fn dodge(layers: &mut [(usize, Layer)]) {
    let movable = |layer: &Layer| matches!(layer.geometry, Geometry::Points | Geometry::LinePoints);
    let mut labels: Vec<Option<String>> = Vec::new();
    for (_, layer) in layers.iter().filter(|(_, layer)| movable(layer)) {
        if !labels.contains(&layer.label) {
            labels.push(layer.label.clone());
        }
    }
    let step = (0.6 / labels.len().max(1) as f64).min(0.16);
    for (_, layer) in layers.iter_mut().filter(|(_, layer)| movable(layer)) {
        let place = labels.iter().position(|label| *label == layer.label).unwrap_or(0);
        let shift = step * (place as f64 - 0.5 * (labels.len() as f64 - 1.0));
        layer.data.iter_mut().for_each(|datum| datum.x += shift);
    }
}

fn is_rule(layer: &Layer) -> bool {
    matches!(layer.geometry, Geometry::Slope { .. } | Geometry::Vertical(_) | Geometry::Horizontal(_))
}

/// What tells a series apart, and its text in the legend.
#[derive(Clone)]
struct Series {
    key: String,
    label: String,
}

struct Build<'a> {
    plot: &'a Plot,
    /// The panels by key (None for marks of all panels), in the order of appearance; layers with the index of their mark.
    panels: Vec<(Option<String>, Vec<(usize, Layer)>)>,
    categories: Vec<String>,
    /// The series that have a colour, in the order of appearance.
    series: Vec<String>,
}

impl Build<'_> {
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
            let data = if mark.mark == MarkKind::Histogram {
                histogram(&group, mark, &table)?
            } else {
                self.data(&group, mark, &table)?
            };
            let geometry = match mark.mark {
                MarkKind::Points => Geometry::Points,
                MarkKind::LinePoints => Geometry::LinePoints,
                MarkKind::Line => Geometry::Line,
                MarkKind::Steps => Geometry::Steps,
                MarkKind::Band => Geometry::Band,
                MarkKind::Histogram | MarkKind::Rule => Geometry::Bars,
            };
            let layer = self.layer(mark, index, name, geometry, data);
            self.push(panel, index, layer);
        }
        Ok(())
    }

    fn push(&mut self, panel: Option<String>, index: usize, layer: Layer) {
        match self.panels.iter_mut().find(|(key, _)| *key == panel) {
            Some((_, layers)) => layers.push((index, layer)),
            None => self.panels.push((panel, vec![(index, layer)])),
        }
    }

    /// The legend's text for the values of the series columns.
    fn series_label(&self, mark: &MarkSpec, columns: &[String], values: &[Value]) -> String {
        let shown = values.iter().map(|value| self.plot.name(&value.to_string()));
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
        let number = if rule || mark.colour.is_some() {
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
            (None, None) => Colour(0x44, 0x44, 0x44, 1.0),
        };
        let line = mark.line.unwrap_or_else(|| match number {
            Some(number) => LineStyle::of_series(number),
            None if rule => LineStyle::Dashed,
            None => LineStyle::Solid,
        });
        let marker = mark.marker.unwrap_or(MARKERS[number.unwrap_or(0) % MARKERS.len()]);
        Layer { label, geometry, colour, marker, line, data }
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
        let datum = |((x, y), (lower, upper)): ((Option<f64>, Option<f64>), (Option<f64>, Option<f64>))| {
            Some(Datum { x: x?, y: y?, interval: lower.zip(upper) })
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
        if !frame::has_texts(group, x) {
            return frame::numbers(group, x, table);
        }
        let mut place = |text: String| {
            self.categories.iter().position(|name| *name == text).unwrap_or_else(|| {
                self.categories.push(text);
                self.categories.len() - 1
            })
        };
        let values = frame::values(group, x, table)?.into_iter();
        Ok(values.map(|value| (value != Value::Null).then(|| place(value.to_string()) as f64)).collect())
    }
}

/// The geometry of a rule, from constants or from a row.
fn rule(mark: &MarkSpec, row: Option<(&DataFrame, usize, &str)>) -> Result<Geometry, ReportError> {
    let value = |number: &NumberOrColumn, field: &'static str| match (number, row) {
        (NumberOrColumn::Number(number), _) => Ok(*number),
        (NumberOrColumn::Column(column), Some((data, row, table))) => {
            frame::numbers(data, column, table)?[row].ok_or_else(|| ReportError::Empty {
                reason: format!("the rule's `{field}`, column `{column}`, has no value"),
            })
        }
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

/// Running means over `window` neighbours, fewer at the ends.
fn smooth(data: Vec<Datum>, window: usize) -> Vec<Datum> {
    if window < 2 {
        return data;
    }
    let half = window / 2;
    (0..data.len())
        .map(|i| {
            // As many on either side, so that the ends are not biased by their slope.
            let reach = half.min(i).min(data.len() - 1 - i);
            let near = &data[i - reach..=i + reach];
            Datum { y: near.iter().map(|datum| datum.y).sum::<f64>() / near.len() as f64, ..data[i] }
        })
        .collect()
}

/// The density of a column's values in equal bins between its extremes: each bar's left end and height.
fn histogram(group: &DataFrame, mark: &MarkSpec, table: &str) -> Result<Vec<Datum>, ReportError> {
    let Some(NumberOrColumn::Column(x)) = &mark.x else {
        return Err(ReportError::Missing { what: "a histogram".into(), field: "x" });
    };
    let values: Vec<f64> = frame::numbers(group, x, table)?.into_iter().flatten().collect();
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let bins = mark.bins.max(1);
    let width = if high > low { (high - low) / bins as f64 } else { 1.0 };
    let mut counts = vec![0u64; bins];
    for value in &values {
        counts[(((value - low) / width) as usize).min(bins - 1)] += 1;
    }
    let density = |count: u64| count as f64 / (values.len() as f64 * width);
    let bar =
        |(i, &count): (usize, &u64)| Datum { x: low + i as f64 * width, y: density(count), interval: None };
    Ok(counts.iter().enumerate().map(bar).chain([Datum { x: high, y: 0.0, interval: None }]).collect())
}
