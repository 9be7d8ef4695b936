//! The description of a figure over named tables: which columns are drawn, and how.

use super::axis::Scale;
use super::cells::plain;
use super::error::ReportError;
use super::figure::{Axis, ColourName, Datum, Figure, Geometry, Layer, LegendPlace, LineStyle, MARKERS, Marker, PALETTE, Panel};
use super::frame::{self, Filter, Value};
use super::scene::Colour;
use polars::frame::DataFrame;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a figure shows. Wherever a column is asked for, an expression over columns may stand: `1/diffusion`, `-ln(p)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plot {
    /// A title above the figure; most figures do better with a caption.
    #[serde(default)]
    pub title: Option<String>,
    /// The width in millimetres, 30 to 400: a journal's column is about 85 wide, its page about 170.
    #[serde(default = "page")]
    pub width: f64,
    /// The height of the whole figure in millimetres; by the panels' `aspect` without it.
    #[serde(default)]
    pub height: Option<f64>,
    /// The height of each panel over its width, 0.1 to 4.
    #[serde(default = "aspect")]
    pub aspect: f64,
    /// The resolution of the PNG in pixels per inch, 50 to 600.
    #[serde(default = "resolution")]
    pub resolution: f64,
    /// A column: one panel for each of its values.
    #[serde(default)]
    pub panel: Option<String>,
    /// The number of panels in a row; chosen by the width without it.
    #[serde(default)]
    pub columns: Option<usize>,
    /// The horizontal axis.
    #[serde(default)]
    pub x: AxisSpec,
    /// The vertical axis.
    #[serde(default)]
    pub y: AxisSpec,
    /// Where the legend stands.
    #[serde(default)]
    pub legend: LegendPlace,
    /// What to print in place of a value (in panel titles, legends and categories): `{free: Free particle}`.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
    /// What is drawn, the first at the bottom.
    #[serde(default)]
    pub marks: Vec<MarkSpec>,
    /// A grid of images, or scatters of points, from datasets and samples, in place of marks.
    #[serde(default)]
    pub images: Option<super::images::ImageSpec>,
}

fn page() -> f64 {
    170.0
}

fn aspect() -> f64 {
    0.75
}

fn resolution() -> f64 {
    300.0
}

/// An axis.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AxisSpec {
    /// The label, with its unit; the name of the first column drawn without it.
    pub label: Option<String>,
    pub scale: Scale,
    /// The lower end; from the data without it.
    pub min: Option<f64>,
    /// The upper end; from the data without it.
    pub max: Option<f64>,
    /// Whether every panel has the same range.
    pub share: bool,
    /// The order of the categories where the column holds texts; those not named follow.
    pub order: Vec<String>,
}

/// One or several columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Columns {
    One(String),
    Many(Vec<String>),
}

/// A number, or the column that holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NumberOrColumn {
    Number(f64),
    Column(String),
}

/// The kinds of marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MarkKind {
    /// Markers at (x, y), with error bars from `lower` to `upper` where given.
    Points,
    /// Markers joined by a line.
    LinePoints,
    /// A line through (x, y) in the order of x.
    Line,
    /// A line that holds each y until the next x.
    Steps,
    /// The area between `lower` and `upper`.
    Band,
    /// A histogram of the column `x`, as a probability density.
    Histogram,
    /// A straight line across the panel: `slope` with `intercept`, or a constant `x` or `y`.
    Rule,
}

/// One kind of mark for the rows of one input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MarkSpec {
    pub mark: MarkKind,
    /// The input with the rows; every artifact of it is joined, with its coordinates as columns. A rule of constants needs none.
    #[serde(default)]
    pub input: Option<String>,
    /// The horizontal position: a column, or the number of a vertical rule. A column of texts makes categories.
    #[serde(default)]
    pub x: Option<NumberOrColumn>,
    /// The vertical position: a column, or the number of a horizontal rule.
    #[serde(default)]
    pub y: Option<NumberOrColumn>,
    /// The lower end of the interval of y.
    #[serde(default)]
    pub lower: Option<String>,
    /// The upper end of the interval of y.
    #[serde(default)]
    pub upper: Option<String>,
    /// Average y over the rows that agree in x, the series and the panel (over seeds, say), with a 95% t-interval.
    #[serde(default)]
    pub average: bool,
    /// The column, or columns, whose values tell the series apart, each with its own colour and marker.
    #[serde(default)]
    pub series: Option<Columns>,
    /// The rows to keep: a value, or a list of values, per column.
    #[serde(default, rename = "where")]
    pub filter: Filter,
    /// The legend's text; `{column}` stands for the value of a series column. Without it the values of the series.
    #[serde(default)]
    pub label: Option<String>,
    /// A rule's slope: a number, or a column with a line for each of its values.
    #[serde(default)]
    pub slope: Option<NumberOrColumn>,
    /// A rule's value at x = 0.
    #[serde(default)]
    pub intercept: Option<NumberOrColumn>,
    /// The colour, when there is no series or all are to have the same.
    #[serde(default)]
    pub colour: Option<ColourName>,
    /// The marker; by the series without it.
    #[serde(default)]
    pub marker: Option<Marker>,
    /// The dashes of a line.
    #[serde(default)]
    pub line: Option<LineStyle>,
    /// Replace each y of a line by the mean of this many neighbours, 1 or more.
    #[serde(default = "one")]
    pub smooth: usize,
    /// The number of bars of a histogram, 1 to 500.
    #[serde(default = "thirty")]
    pub bins: usize,
}

fn one() -> usize {
    1
}

fn thirty() -> usize {
    30
}

/// The tables of a figure by input name.
pub type Frames = BTreeMap<String, DataFrame>;

impl Plot {
    /// The figure of these tables.
    pub fn figure(&self, frames: &Frames) -> Result<Figure, ReportError> {
        let mut build = Build { plot: self, panels: Vec::new(), categories: Vec::new(), series: Vec::new() };
        build.categories.clone_from(&self.x.order);
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
        if panels.iter().all(|(_, layers)| layers.iter().all(|(_, layer)| layer.data.is_empty() && !is_rule(layer))) {
            return Err(ReportError::Empty { reason: "no row passes the filters of the marks".into() });
        }
        let used = panels.iter().flat_map(|(_, layers)| layers).any(|(_, layer)| !is_rule(layer));
        let categories = if used && self.categorical(frames)? { categories } else { Vec::new() };
        let axis = |spec: &AxisSpec, first: Option<&NumberOrColumn>, categories: Vec<String>| Axis {
            label: spec.label.clone().unwrap_or_else(|| match first {
                Some(NumberOrColumn::Column(name)) => name.replace('_', " "),
                _ => String::new(),
            }),
            scale: spec.scale,
            min: spec.min,
            max: spec.max,
            categories,
        };
        let first_x = self.marks.iter().find_map(|mark| mark.x.as_ref());
        let first_y = self.marks.iter().find_map(|mark| mark.y.as_ref());
        let shown: Vec<String> = categories.iter().map(|name| self.name(name)).collect();
        let panels = panels.into_iter().map(|(key, layers)| Panel {
            title: key.map_or(String::new(), |key| self.name(&key)),
            x: axis(&self.x, first_x, shown.clone()),
            y: axis(&self.y, first_y, Vec::new()),
            layers: layers.into_iter().map(|(_, layer)| layer).collect(),
        });
        Ok(Figure {
            title: self.title.clone(),
            width: self.width,
            height: self.height,
            aspect: self.aspect,
            columns: self.columns,
            panels: panels.collect(),
            legend: self.legend,
            share: (self.x.share, self.y.share),
        })
    }

    /// What to print for a value.
    fn name(&self, value: &str) -> String {
        self.names.get(value).cloned().unwrap_or_else(|| value.to_owned())
    }

    /// Whether some mark's x is a column of texts.
    fn categorical(&self, frames: &Frames) -> Result<bool, ReportError> {
        for mark in &self.marks {
            if let (Some(input), Some(NumberOrColumn::Column(x))) = (&mark.input, &mark.x)
                && let Some(data) = frames.get(input)
                && data.column(x).is_ok()
                && frame::values(data, x, input)?.iter().any(|value| matches!(value, Value::Text(_)))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn is_rule(layer: &Layer) -> bool {
    matches!(layer.geometry, Geometry::Slope { .. } | Geometry::Vertical(_) | Geometry::Horizontal(_))
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
        for (key, rows) in frame::groups(&data, &by, &table)? {
            let group = frame::take(&data, &rows)?;
            let (panel, values) = match panel {
                Some(_) => (Some(key[0].to_string()), &key[1..]),
                None => (None, &key[..]),
            };
            let name = (!series.is_empty()).then(|| self.series_label(mark, &series, values));
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
            _ => shown.collect::<Vec<_>>().join(", "),
        }
    }

    fn layer(&mut self, mark: &MarkSpec, index: usize, series: Option<String>, geometry: Geometry, data: Vec<Datum>) -> Layer {
        let label = series.clone().or_else(|| mark.label.clone());
        let rule = mark.mark == MarkKind::Rule && series.is_none();
        // Marks of one label share a colour: a line and its band, points and their line.
        let key = label.clone().unwrap_or_else(|| format!("mark {index}"));
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
            Some(number) => super::marks::line_style(number),
            None if rule => LineStyle::Dashed,
            None => LineStyle::Solid,
        });
        let marker = mark.marker.unwrap_or(MARKERS[number.unwrap_or(0) % MARKERS.len()]);
        Layer { label, geometry, colour, marker, line, data }
    }

    /// The marks of one series, in the order of x for lines and bands.
    fn data(&mut self, group: &DataFrame, mark: &MarkSpec, table: &str) -> Result<Vec<Datum>, ReportError> {
        let x = self.positions(group, mark, table)?;
        let ends = match (&mark.lower, &mark.upper) {
            (Some(lower), Some(upper)) => {
                Some((frame::numbers(group, lower, table)?, frame::numbers(group, upper, table)?))
            }
            _ => None,
        };
        let y = match (&mark.y, mark.mark) {
            (Some(NumberOrColumn::Column(y)), _) => frame::numbers(group, y, table)?,
            (Some(NumberOrColumn::Number(y)), _) => vec![Some(*y); x.len()],
            (None, MarkKind::Band) if ends.is_some() => ends.as_ref().map(|(lower, _)| lower.clone()).unwrap_or_default(),
            (None, _) => return Err(ReportError::Missing { what: "the mark".into(), field: "y" }),
        };
        let mut data: Vec<Datum> = Vec::new();
        for i in 0..x.len() {
            let interval = ends.as_ref().and_then(|(lower, upper)| Some((lower[i]?, upper[i]?)));
            if let (Some(x), Some(y)) = (x[i], y[i]) {
                data.push(Datum { x, y, interval });
            }
        }
        if mark.mark != MarkKind::Points || mark.average {
            data.sort_by(|a, b| a.x.total_cmp(&b.x));
        }
        if mark.average {
            data = data
                .chunk_by(|a, b| a.x == b.x)
                .filter_map(|chunk| {
                    let samples: Vec<f64> = chunk.iter().map(|datum| datum.y).collect();
                    let mean = super::interval::mean_interval(&samples)?;
                    Some(Datum { x: chunk[0].x, y: mean.mean, interval: mean.lower.zip(mean.upper) })
                })
                .collect();
        }
        if mark.mark == MarkKind::Band {
            data.retain(|datum| datum.interval.is_some());
        }
        Ok(smooth(data, mark.smooth))
    }

    /// The x positions: numbers, or the places of categories.
    fn positions(&mut self, group: &DataFrame, mark: &MarkSpec, table: &str) -> Result<Vec<Option<f64>>, ReportError> {
        let x = match &mark.x {
            Some(NumberOrColumn::Column(x)) => x,
            Some(NumberOrColumn::Number(x)) => return Ok(vec![Some(*x); group.height()]),
            None => return Err(ReportError::Missing { what: "the mark".into(), field: "x" }),
        };
        if group.column(x).is_ok() {
            let values = frame::values(group, x, table)?;
            if values.iter().any(|value| matches!(value, Value::Text(_))) {
                let place = |value: &Value| match value {
                    Value::Null => None,
                    value => {
                        let text = value.to_string();
                        let found = self.categories.iter().position(|name| *name == text).unwrap_or_else(|| {
                            self.categories.push(text);
                            self.categories.len() - 1
                        });
                        Some(found as f64)
                    }
                };
                return Ok(values.iter().map(place).collect());
            }
        }
        frame::numbers(group, x, table)
    }
}

/// The geometry of a rule, from constants or from a row.
fn rule(mark: &MarkSpec, row: Option<(&DataFrame, usize, &str)>) -> Result<Geometry, ReportError> {
    let value = |number: &NumberOrColumn, field: &'static str| match (number, row) {
        (NumberOrColumn::Number(number), _) => Ok(*number),
        (NumberOrColumn::Column(column), Some((data, row, table))) => frame::numbers(data, column, table)?[row]
            .ok_or_else(|| ReportError::Empty { reason: format!("the rule's `{field}`, column `{column}`, has no value") }),
        (NumberOrColumn::Column(_), None) => Err(ReportError::Missing { what: "a rule over columns".into(), field: "input" }),
    };
    match (&mark.slope, &mark.x, &mark.y) {
        (Some(slope), ..) => {
            let intercept = mark.intercept.as_ref().map_or(Ok(0.0), |intercept| value(intercept, "intercept"))?;
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
    let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
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
    let bar = |(i, &count): (usize, &u64)| Datum { x: low + i as f64 * width, y: density(count), interval: None };
    Ok(counts.iter().enumerate().map(bar).chain([Datum { x: high, y: 0.0, interval: None }]).collect())
}

/// A short text for an error or a caption: `system = free, diffusion = 0.5`.
pub fn coordinates(labels: &[(String, Value)]) -> String {
    let show = |value: &Value| value.number().map_or_else(|| value.to_string(), plain);
    labels.iter().map(|(name, value)| format!("{name} = {}", show(value))).collect::<Vec<_>>().join(", ")
}
