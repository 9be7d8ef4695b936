//! From the description of a figure and its tables to the figure.

use super::axis::{Scale, Span, range, ticks};
use super::figure::{Cell, Detail, Figure, Geometry, Layer, Panel};
use super::limits;
use super::marks::{self, Drawn, Layers, is_category};
use super::plot::{AxisSpec, ColourSpec, Columns, Frames, MarkSpec, NumberOrColumn, Plot};
use crate::error::ReportError;
use crate::tables::frame;
use onsager_tables::error::TableError;
use onsager_tables::value::Name;

impl Plot {
    /// The figure of these tables.
    pub fn figure(&self, frames: &Frames) -> Result<Figure, ReportError> {
        self.find_panel_column(frames)?;
        self.names_are_clear(frames)?;
        let Drawn { mut panels, categories, rows } = marks::drawn(self, frames)?;
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
    pub(super) fn name(&self, column: &str, value: &str) -> String {
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
