//! Limits of the axes that would leave a figure empty.

use super::figure::{Datum, Geometry, Layer};
use super::plot::{AxisSpec, Plot};
use crate::error::ReportError;

/// Refuses an end of an axis that all points lie beyond.
pub fn check<'a>(plot: &Plot, layers: impl Iterator<Item = &'a Layer> + Clone) -> Result<(), ReportError> {
    let points = |layer: &Layer| {
        matches!(
            layer.geometry,
            Geometry::Points | Geometry::LinePoints | Geometry::Line | Geometry::Steps | Geometry::Band
        )
    };
    // Bars, boxes and cells are wider than the places of their data.
    if !layers.clone().all(points) {
        return Ok(());
    }
    let data = layers.flat_map(|layer| &layer.data);
    beyond("x", &plot.x, data.clone().map(|datum| (datum.x, datum.x)))?;
    beyond("y", &plot.y, data.map(Datum::ends))
}

fn beyond(
    axis: &'static str,
    spec: &AxisSpec,
    data: impl Iterator<Item = (f64, f64)> + Clone,
) -> Result<(), ReportError> {
    // With one end given, the other is that of the data; ends in the wrong order are refused with the ticks.
    let (Some(min), Some(max)) = (spec.min, spec.max) else { return Ok(()) };
    let lowest = data.clone().map(|(low, _)| low).fold(f64::INFINITY, f64::min);
    let highest = data.map(|(_, high)| high).fold(f64::NEG_INFINITY, f64::max);
    let hidden = |end, limit, side, nearest| ReportError::Hidden { axis, end, limit, side, nearest };
    match lowest <= highest && min < max {
        true if lowest > max => Err(hidden("max", max, "above", lowest)),
        true if highest < min => Err(hidden("min", min, "below", highest)),
        _ => Ok(()),
    }
}
