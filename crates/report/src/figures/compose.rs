//! From the description of a figure and its tables to the figure.

use super::axis::{Scale, Span, range, ticks};
use super::figure::{Cell, Datum, Detail, Figure, Geometry, Layer, Panel, Quartiles};
use super::limits;
use super::plot::{AxisSpec, ColourSpec, Columns, Frames, MarkKind, MarkSpec, NumberOrColumn, Plot};
use super::style::{Colour, LineStyle, MARKERS, PALETTE};
use crate::error::ReportError;
use crate::tables::frame;
use onsager_tables::cells::{Style, significant};
use onsager_tables::error::TableError;
use onsager_tables::value::{Name, Value};
use polars::frame::DataFrame;
use std::collections::HashSet;

impl Plot {
    /// The figure of these tables.
    pub fn figure(&self, frames: &Frames) -> Result<Figure, ReportError> {
        let mut build = Build {
            plot: self,
            panels: Vec::new(),
            categories: Vec::new(),
            rows: Vec::new(),
            series: Vec::new(),
        };
        build.categories.clone_from(&self.x.order);
        build.rows.clone_from(&self.y.order);
        self.find_panel_column(frames)?;
        self.names_are_clear(frames)?;
        for (index, mark) in self.marks.iter().enumerate() {
            build.mark(index, mark, frames)?;
        }
        let Build { mut panels, categories, rows, .. } = build;
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
        let drawn = panels
            .iter()
            .flat_map(|(_, layers)| layers)
            .map(|(_, layer)| layer)
            .filter(|layer| !is_rule(layer));
        let used = drawn.clone().next().is_some();
        limits::check(self, drawn)?;
        let categories = if used && self.categorical(frames) { categories } else { Vec::new() };
        let (category, row) =
            (self.text_column(frames, |mark| &mark.x), self.text_column(frames, |mark| &mark.y));
        let rows = if row.is_empty() { Vec::new() } else { rows };
        let colours = self.colours(&mut panels)?;
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
        panels.iter_mut().for_each(|(_, layers)| on_cells(layers));
        let panels = panels.into_iter().map(|(key, layers)| Panel {
            title: key.map_or(String::new(), |key| self.panel_title(&key)),
            layers: layers.into_iter().map(|(_, layer)| layer).collect(),
        });
        Ok(Figure {
            x_label: label(&self.x, |mark| mark.x.as_ref()),
            y_label: label(&self.y, |mark| mark.y.as_ref()),
            categories: categories.iter().map(|name| self.name(category, name)).collect(),
            rows: rows.iter().map(|name| self.name(row, name)).collect(),
            times: self.marks.iter().any(|mark| self.is_time(mark, frames)),
            colours,
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

    /// What to print for a value of a column.
    fn name(&self, column: &str, value: &str) -> String {
        self.names.of(column, value).unwrap_or(value).to_owned()
    }

    /// The name of the panel's value, or the column with the value.
    fn panel_title(&self, value: &str) -> String {
        let column = self.panel.as_deref().unwrap_or_default();
        match self.names.of(column, value) {
            Some(name) => name.to_owned(),
            None => {
                let title = self.names.title(column).map_or_else(|| column.replace('_', " "), str::to_owned);
                format!("{title} = {value}")
            }
        }
    }

    /// Refuses a name for a number that several columns hold: it would be printed for all of them.
    fn names_are_clear(&self, frames: &Frames) -> Result<(), ReportError> {
        for value in self
            .names
            .0
            .iter()
            .filter(|(_, name)| matches!(name, Name::Everywhere(_)))
            .map(|(value, _)| value)
        {
            let mut holding: Vec<String> = Vec::new();
            for mark in &self.marks {
                let Some(data) = mark.input.as_ref().and_then(|input| frames.get(input)) else { continue };
                for column in mark.series.iter().flat_map(Columns::names).chain(&self.panel) {
                    let holds = !frame::has_texts(data, column)
                        && frame::values(data, column, "")
                            .is_ok_and(|all| all.iter().any(|v| v.to_string() == *value));
                    if holds && !holding.contains(column) {
                        holding.push(column.clone());
                    }
                }
            }
            if let [first, _, ..] = &holding[..] {
                let (value, first) = (value.clone(), first.clone());
                return Err(ReportError::UnclearName { value, columns: holding, first });
            }
        }
        Ok(())
    }

    /// The column of texts on an axis, empty if there is none.
    fn text_column(&self, frames: &Frames, axis: fn(&MarkSpec) -> &Option<NumberOrColumn>) -> &str {
        let mut marks = self.marks.iter();
        let found = marks.find_map(|mark| match (&mark.input, axis(mark)) {
            (Some(input), Some(NumberOrColumn::Column(column))) => {
                frames.get(input).is_some_and(|data| is_category(data, column)).then_some(column.as_str())
            }
            _ => None,
        });
        found.unwrap_or_default()
    }

    /// Whether a mark's x is a column of timestamps.
    fn is_time(&self, mark: &MarkSpec, frames: &Frames) -> bool {
        match (&mark.input, &mark.x) {
            (Some(input), Some(NumberOrColumn::Column(x))) => {
                frames.get(input).is_some_and(|data| frame::has_times(data, x))
            }
            _ => false,
        }
    }

    /// The scale of the colours of all heatmaps; every cell is given its place on it.
    fn colours(&self, panels: &mut [Layers]) -> Result<Option<(Span, String)>, ReportError> {
        let Some(column) = self.marks.iter().find_map(|mark| mark.value.as_ref()) else { return Ok(None) };
        let cells = || panels.iter().flat_map(|(_, layers)| layers).flat_map(|(_, layer)| cells_of(layer));
        let ColourSpec { scale, min, max, .. } = self.colours;
        if let Some(value) = cells().map(|cell| cell.value).find(|value| scale == Scale::Log && *value <= 0.0)
        {
            return Err(ReportError::NotPositive { axis: "colour", value });
        }
        let all = cells().map(|cell| cell.value);
        let (low, high) =
            all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = (min.unwrap_or(low), max.unwrap_or(high));
        // One value, or none, has a colour all the same.
        let (low, high) = match (low.is_finite() && high.is_finite(), low < high) {
            (true, true) => (low, high),
            (true, false) => range(scale, [low, high].into_iter(), None, None),
            (false, _) => (1.0, 2.0),
        };
        let span = Span { scale, low, high, ticks: ticks(scale, low, high, 5) };
        for (_, layer) in panels.iter_mut().flat_map(|(_, layers)| layers) {
            if let Detail::Cells(cells) = &mut layer.detail {
                cells.iter_mut().for_each(|cell| cell.place = span.place(cell.value).clamp(0.0, 1.0));
            }
        }
        let label = self.colours.label.clone().unwrap_or_else(|| column.replace('_', " "));
        Ok(Some((span, label)))
    }

    /// Whether some mark's x is a column of texts.
    fn categorical(&self, frames: &Frames) -> bool {
        self.marks.iter().any(|mark| match (&mark.input, &mark.x) {
            (Some(input), Some(NumberOrColumn::Column(x))) => {
                frames.get(input).is_some_and(|data| is_category(data, x))
            }
            _ => false,
        })
    }
}

/// The panels by key (None for marks of all panels), in the order of appearance; layers with the index of their mark.
type Layers = (Option<String>, Vec<(usize, Layer)>);

/// Whether a column's values are categories: texts that are no timestamps.
fn is_category(data: &DataFrame, column: &str) -> bool {
    frame::has_texts(data, column) && !frame::has_times(data, column)
}

fn cells_of(layer: &Layer) -> &[Cell] {
    match &layer.detail {
        Detail::Cells(cells) => cells,
        _ => &[],
    }
}

/// Tells every text that stands on a cell of a heatmap whether that is dark.
fn on_cells(layers: &mut [(usize, Layer)]) {
    let cells: Vec<Cell> = layers.iter().flat_map(|(_, layer)| cells_of(layer)).copied().collect();
    for (_, layer) in layers {
        let Detail::Texts(texts) = &mut layer.detail else { continue };
        for (datum, (_, dark)) in layer.data.iter().zip(texts) {
            let within = |(low, high): (f64, f64), at| low.min(high) <= at && at <= low.max(high);
            let below = cells.iter().find(|cell| within(cell.x, datum.x) && within(cell.y, datum.y));
            *dark = below.is_some_and(|cell| cell.place < 0.6);
        }
    }
}

/// Sets the markers of several series side by side within their category.
fn dodge(layers: &mut [(usize, Layer)]) {
    let movable =
        |layer: &Layer| matches!(layer.geometry, Geometry::Points | Geometry::LinePoints | Geometry::Boxes);
    let mut labels: Vec<Option<String>> = Vec::new();
    for (_, layer) in layers.iter().filter(|(_, layer)| movable(layer)) {
        if !labels.contains(&layer.label) {
            labels.push(layer.label.clone());
        }
    }
    let boxes = layers.iter().any(|(_, layer)| layer.geometry == Geometry::Boxes);
    let step = (0.75 / labels.len().max(1) as f64).min(if boxes { 0.4 } else { 0.16 });
    for (_, layer) in layers.iter_mut().filter(|(_, layer)| movable(layer)) {
        let place = labels.iter().position(|label| *label == layer.label).unwrap_or(0);
        let shift = step * (place as f64 - 0.5 * (labels.len() as f64 - 1.0));
        layer.data.iter_mut().for_each(|datum| datum.x += shift);
        if let Detail::Boxes(boxes) = &mut layer.detail {
            boxes.iter_mut().for_each(|quartiles| quartiles.half = 0.42 * step.min(0.6));
        }
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
    panels: Vec<Layers>,
    categories: Vec<String>,
    /// The categories of y.
    rows: Vec<String>,
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
        match self.panels.iter_mut().find(|(key, _)| *key == panel) {
            Some((_, layers)) => layers.push((index, layer)),
            None => self.panels.push((panel, vec![(index, layer)])),
        }
    }

    /// The legend's text for the values of the series columns.
    fn series_label(&self, mark: &MarkSpec, columns: &[String], values: &[Value]) -> String {
        let shown =
            columns.iter().zip(values).map(|(column, value)| self.plot.name(column, &value.to_string()));
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
                Ok(places(&mut self.rows, values)
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
            true => Ok(places(&mut self.categories, frame::values(group, x, table)?)),
            false => frame::numbers(group, x, table),
        }
    }
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
    let values = frame::numbers(group, x, table)?.into_iter().flatten();
    let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
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

/// The different positions with the edges between them: in the middle on the axis' scale, at the ends as far out as in.
fn edges(positions: &[Option<f64>], scale: Scale) -> Vec<(f64, (f64, f64))> {
    let mut all: Vec<f64> =
        positions.iter().flatten().copied().filter(|x| scale.even(*x).is_finite()).collect();
    all.sort_by(f64::total_cmp);
    all.dedup();
    let middle = |a: f64, b: f64| scale.value(0.5 * (scale.even(a) + scale.even(b)));
    let beyond = |at: f64, inner: f64| scale.value(2.0 * scale.even(at) - scale.even(inner));
    let edge = |i: usize| {
        let at = all[i];
        let (below, above) = (i.checked_sub(1).map(|i| all[i]), all.get(i + 1).copied());
        let (low, high) = (below.map(|below| middle(below, at)), above.map(|above| middle(at, above)));
        let alone = || if scale == Scale::Log { (at / 2.0, at * 2.0) } else { (at - 0.5, at + 0.5) };
        match (low, high) {
            (Some(low), Some(high)) => (low, high),
            (Some(low), None) => (low, beyond(at, low)),
            (None, Some(high)) => (beyond(at, high), high),
            (None, None) => alone(),
        }
    };
    (0..all.len()).map(|i| (all[i], edge(i))).collect()
}

fn around(edges: &[(f64, (f64, f64))], at: f64) -> (f64, f64) {
    edges.iter().find(|(position, _)| *position == at).map_or((at, at), |(_, ends)| *ends)
}

/// A box for each x, in the order of x.
fn boxes(
    xs: Vec<Option<f64>>,
    group: &DataFrame,
    mark: &MarkSpec,
    table: &str,
) -> Result<(Vec<Datum>, Detail), ReportError> {
    let Some(NumberOrColumn::Column(y)) = &mark.y else {
        return Err(ReportError::Missing { what: "a box".into(), field: "y" });
    };
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    let ys = frame::numbers(group, y, table)?;
    let mut points: Vec<(f64, f64)> =
        xs.into_iter().zip(ys).filter_map(|(x, y)| Some((finite(x)?, finite(y)?))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let (mut data, mut all) = (Vec::new(), Vec::new());
    for chunk in points.chunk_by(|a, b| a.0 == b.0) {
        let ys: Vec<f64> = chunk.iter().map(|(_, y)| *y).collect();
        let (lower, median, upper) = (quantile(&ys, 0.25), quantile(&ys, 0.5), quantile(&ys, 0.75));
        let reach = 1.5 * (upper - lower);
        let within = |y: &&f64| (lower - reach..=upper + reach).contains(*y);
        let low = ys.iter().find(within).copied().unwrap_or(lower);
        let high = ys.iter().rev().find(within).copied().unwrap_or(upper);
        let outliers = ys.iter().filter(|y| !within(y)).copied().collect();
        data.push(Datum { x: chunk[0].0, y: median, interval: Some((ys[0], ys[ys.len() - 1])) });
        all.push(Quartiles { lower, upper, whiskers: (low, high), outliers, half: 0.0 });
    }
    // On an axis of numbers a box is as wide as fits between the nearest two.
    let gaps = data.windows(2).map(|pair| pair[1].x - pair[0].x);
    let gap = gaps.fold(f64::INFINITY, f64::min);
    let half = if gap.is_finite() { 0.3 * gap } else { 0.25 };
    all.iter_mut().for_each(|quartiles| quartiles.half = half);
    Ok((data, Detail::Boxes(all)))
}

/// The quantile of sorted values, linear between them.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, part) = (at as usize, at - libm::floor(at));
    let next = sorted[(low + 1).min(sorted.len() - 1)];
    sorted[low] + part * (next - sorted[low])
}
