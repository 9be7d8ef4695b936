//! A figure as charts of plotters, with what their meshes do not do: titles, unlabelled ticks and upright labels.

use super::figure::Geometry;
use super::layers;
use super::layout::{LABEL_GAP, Layout, Place, TICK_LENGTH};
use super::legend::colour_bar;
use super::paper::{Drawing, Page, Point, text_width};
use super::style::{Colour, LABEL, TICK, TITLE};
use crate::error::ReportError;
use plotters::chart::{ChartBuilder, LabelAreaPosition};
use plotters::element::PathElement;
use plotters::style::FontTransform;
use plotters::style::text_anchor::{HPos, VPos};

impl Drawing for Layout<'_> {
    fn size(&self) -> Point {
        self.size
    }

    fn draw(&self, page: &Page) -> Result<(), ReportError> {
        if let Some(title) = &self.figure.plot.title {
            page.text(title, &page.font(TITLE, true), (0.5 * self.size.0, 4.0), (HPos::Center, VPos::Top))?;
        }
        for place in &self.places {
            self.panel(page, place)?;
        }
        if let Some((span, label)) = &self.figure.colours {
            let (left, top, height) = self.bar;
            colour_bar(page, span, label, (left, top), height)?;
        }
        match &self.legend {
            Some((legend, at, width)) => legend.draw(page, *at, *width),
            None => Ok(()),
        }
    }
}

impl Layout<'_> {
    fn panel(&self, page: &Page, place: &Place) -> Result<(), ReportError> {
        let ((left, top), (width, height)) = (place.at, place.size);
        let part = page.part((left - place.left, top), (width + place.left, height + place.below));
        let mut chart = ChartBuilder::on(&part)
            .set_label_area_size(LabelAreaPosition::Left, page.units(place.left))
            .set_label_area_size(LabelAreaPosition::Bottom, page.units(place.below))
            .build_cartesian_2d(place.x.clone(), place.y.clone())?;

        let labels = (
            if place.x_label { self.figure.x_label.as_str() } else { "" },
            if place.y_label { self.figure.y_label.as_str() } else { "" },
        );
        // A label longer than its axis is set smaller rather than clipped.
        let fit = |text: &str, length: f64| (length + 8.0) / text_width(text, LABEL, false).max(1.0);
        let size = LABEL * fit(labels.0, width).min(fit(labels.1, height)).clamp(0.6, 1.0);
        let ink = page.pen(0.6, Colour::INK);
        let blank = |_: &f64| String::new();
        let mut mesh = chart.configure_mesh();
        mesh.axis_style(ink)
            .bold_line_style(page.pen(0.4, Colour::GRID))
            .set_all_tick_mark_size(page.units(TICK_LENGTH))
            .label_style(page.font(TICK, false))
            .axis_desc_style(page.font(size, false))
            .x_desc(labels.0)
            .y_desc(labels.1);
        let cells = place.panel.layers.iter().any(|layer| layer.geometry == Geometry::Cells);
        if cells || !self.figure.categories.is_empty() {
            mesh.disable_x_mesh();
        }
        if cells {
            mesh.disable_y_mesh();
        }
        if place.upright {
            mesh.x_label_formatter(&blank);
        }
        mesh.draw()?;

        for layer in &place.panel.layers {
            layers::draw(page, &mut chart, (&place.x, &place.y), layer)?;
        }
        let minor = page.units(0.6 * TICK_LENGTH);
        for x in place.x.minor() {
            let (x, y) = chart.backend_coord(&(x, place.y.low));
            page.area.draw(&PathElement::new(vec![(x, y), (x, y + minor)], ink))?;
        }
        for y in place.y.minor() {
            let (x, y) = chart.backend_coord(&(place.x.low, y));
            page.area.draw(&PathElement::new(vec![(x - minor, y), (x, y)], ink))?;
        }
        if place.upright {
            let font = page.font(TICK, false).transform(FontTransform::Rotate270);
            for tick in &place.x.ticks {
                let at = (left + width * place.x.place(tick.value), top + height + LABEL_GAP);
                page.text(&tick.label, &font, at, (HPos::Right, VPos::Center))?;
            }
        }
        let above = (left + 0.5 * width, top - 2.0);
        page.text(&place.title, &page.font(LABEL, true), above, (HPos::Center, VPos::Bottom))
    }
}
