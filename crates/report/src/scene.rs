//! Shapes on paper, and their drawing as SVG and PNG by the same code.
//!
//! All lengths are printer's points (1/72 inch) from the upper left corner. Text is measured with the embedded DejaVu Sans, so
//! neither the layout nor the PNG depends on the fonts of a system.

use super::error::ReportError;
use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    FontFamily, FontStyle, FontTransform, IntoTextStyle, RGBAColor, ShapeStyle, register_font,
};
use std::sync::Once;

/// The font, with what to fall back on where an SVG is shown without it (Verdana has nearly the same widths).
const FONT: &str = "DejaVu Sans, Verdana, sans-serif";
/// DejaVu's line height (ascent plus descent) in units of its size, by which plotters scales bitmap text.
const LINE_HEIGHT: f64 = (1901.0 + 483.0) / 2048.0;
/// Units of the SVG's coordinates per point: plotters draws on whole units.
const SVG_UNITS: f64 = 20.0;
/// Each pixel of a PNG is the mean of this many by this many.
const SUPERSAMPLING: usize = 3;

/// A colour with its opacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Colour(pub u8, pub u8, pub u8, pub f64);

impl Colour {
    pub const BLACK: Colour = Colour(0, 0, 0, 1.0);
    pub const INK: Colour = Colour(0x22, 0x22, 0x22, 1.0);
    pub const GRID: Colour = Colour(0xE4, 0xE4, 0xE4, 1.0);
    pub const WHITE: Colour = Colour(255, 255, 255, 1.0);

    /// The same colour, less opaque.
    pub fn fade(self, opacity: f64) -> Colour {
        Colour(self.0, self.1, self.2, self.3 * opacity)
    }
}

/// A position.
pub type Point = (f64, f64);

/// A line's pen: its width, colour, and the lengths of its dashes and gaps (solid when empty).
#[derive(Debug, Clone, PartialEq)]
pub struct Pen {
    pub width: f64,
    pub colour: Colour,
    pub dashes: Vec<f64>,
}

impl Pen {
    pub fn solid(width: f64, colour: Colour) -> Pen {
        Pen { width, colour, dashes: Vec::new() }
    }
}

/// Where a text's position lies along it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A line of text on its baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    pub at: Point,
    pub text: String,
    pub size: f64,
    pub bold: bool,
    pub colour: Colour,
    pub anchor: Anchor,
    /// Reading upwards.
    pub vertical: bool,
}

/// A picture of `columns` by `rows` RGB pixels, each shown as a sharp square.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    pub at: Point,
    pub size: Point,
    pub columns: usize,
    pub rows: usize,
    /// Rows from the top, three bytes a pixel.
    pub rgb: Vec<u8>,
}

/// A shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    Line(Vec<Point>, Pen),
    Area(Vec<Point>, Colour),
    Disc { centre: Point, radius: f64, colour: Colour },
    Text(Text),
    Picture(Picture),
}

/// A page of shapes, the first at the bottom.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scene {
    pub width: f64,
    pub height: f64,
    pub shapes: Vec<Shape>,
}

fn fonts() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // The fonts are part of the program, so they are never invalid; a failure would show as a drawing error.
        let _ = register_font(FONT, FontStyle::Normal, dejavu::sans::regular());
        let _ = register_font(FONT, FontStyle::Bold, dejavu::sans::bold());
    });
}

/// The width of a text in points.
pub fn text_width(text: &str, size: f64, bold: bool) -> f64 {
    fonts();
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    let font = (FontFamily::Name(FONT), 1000.0 * LINE_HEIGHT, style).into_text_style(&(1, 1)).font;
    font.box_size(text).map_or(0.0, |(width, _)| f64::from(width) / 1000.0 * size)
}

impl Text {
    /// The box around it: left, top, right, bottom.
    pub fn bounds(&self) -> (f64, f64, f64, f64) {
        let width = text_width(&self.text, self.size, self.bold);
        let start = match self.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => -0.5 * width,
            Anchor::End => -width,
        };
        let (x, y) = self.at;
        let (up, down) = (0.76 * self.size, 0.24 * self.size);
        if self.vertical {
            (x - up, y - start - width, x + down, y - start)
        } else {
            (x + start, y - up, x + start + width, y + down)
        }
    }
}

/// What differs between the two backends.
#[derive(Clone, Copy)]
struct Device {
    /// Device units per point.
    scale: f64,
    /// The size to give plotters for a text of one unit.
    text_size: f64,
    /// From the text's top position to its baseline, in units of its size.
    baseline: f64,
    vector: bool,
}

impl Scene {
    pub fn new(width: f64, height: f64) -> Scene {
        Scene { width, height, shapes: Vec::new() }
    }

    pub fn line(&mut self, points: Vec<Point>, pen: Pen) {
        self.shapes.push(Shape::Line(points, pen));
    }

    pub fn text(&mut self, at: Point, text: &str, size: f64, anchor: Anchor) -> &mut Text {
        let colour = Colour::INK;
        let text = Text { at, text: text.into(), size, bold: false, colour, anchor, vertical: false };
        self.shapes.push(Shape::Text(text));
        match self.shapes.last_mut() {
            Some(Shape::Text(text)) => text,
            _ => unreachable!("a text was pushed"),
        }
    }

    /// The page as SVG: text stays text, lengths are in points.
    pub fn svg(&self) -> Result<String, ReportError> {
        let size = ((self.width * SVG_UNITS).round() as u32, (self.height * SVG_UNITS).round() as u32);
        let mut svg = String::new();
        let mut backend = SVGBackend::with_string(&mut svg, size);
        let device = Device { scale: SVG_UNITS, text_size: 1.24, baseline: 0.76, vector: true };
        self.paint(&mut backend, device)?;
        backend.present().map_err(drawing)?;
        drop(backend);
        let head = format!("width=\"{}\" height=\"{}\"", size.0, size.1);
        let points = format!("width=\"{:.2}pt\" height=\"{:.2}pt\"", self.width, self.height);
        let mut svg = svg.replacen(&head, &points, 1);
        let mut pictures = String::new();
        for shape in &self.shapes {
            if let Shape::Picture(picture) = shape {
                pictures.push_str(&picture.svg()?);
            }
        }
        if let Some(end) = svg.rfind("</svg>") {
            svg.insert_str(end, &pictures);
        }
        Ok(svg)
    }

    /// The page as PNG with this many pixels per inch.
    pub fn png(&self, resolution: f64) -> Result<Vec<u8>, ReportError> {
        let n = SUPERSAMPLING;
        let pixels = |length: f64| (length / 72.0 * resolution).round().max(1.0) as usize;
        let (width, height) = (pixels(self.width), pixels(self.height));
        let mut fine = vec![255; width * height * n * n * 3];
        {
            let mut backend =
                BitMapBackend::with_buffer(&mut fine, ((width * n) as u32, (height * n) as u32));
            let scale = resolution / 72.0 * n as f64;
            self.paint(
                &mut backend,
                Device { scale, text_size: LINE_HEIGHT, baseline: 0.5 * LINE_HEIGHT, vector: false },
            )?;
            backend.present().map_err(drawing)?;
        }
        let mut coarse = Vec::with_capacity(width * height * 3);
        for y in 0..height {
            for x in 0..width {
                for c in 0..3 {
                    let mut sum = 0u32;
                    for dy in 0..n {
                        let row = ((y * n + dy) * width * n + x * n) * 3 + c;
                        sum += (0..n).map(|dx| u32::from(fine[row + 3 * dx])).sum::<u32>();
                    }
                    coarse.push(((sum + (n * n / 2) as u32) / (n * n) as u32) as u8);
                }
            }
        }
        encode_png(&coarse, width, height, Some(resolution))
    }

    fn paint<B: DrawingBackend>(&self, backend: &mut B, device: Device) -> Result<(), ReportError> {
        fonts();
        backend.ensure_prepared().map_err(drawing)?;
        let at = |(x, y): Point| ((x * device.scale).round() as i32, (y * device.scale).round() as i32);
        let page = ShapeStyle::from(rgba(Colour::WHITE)).filled();
        backend.draw_rect((0, 0), at((self.width, self.height)), &page, true).map_err(drawing)?;
        for shape in &self.shapes {
            match shape {
                Shape::Line(points, pen) => {
                    let width = (pen.width * device.scale).round().max(1.0) as u32;
                    let style = ShapeStyle { color: rgba(pen.colour), filled: false, stroke_width: width };
                    for part in dash(points, &pen.dashes) {
                        let part: Vec<_> = part.into_iter().map(at).collect();
                        if device.vector {
                            backend.draw_path(part, &style).map_err(drawing)?;
                        } else {
                            stroke(backend, &part, &style)?;
                        }
                    }
                }
                Shape::Area(points, colour) => {
                    let style = ShapeStyle::from(rgba(*colour)).filled();
                    backend.fill_polygon(points.iter().copied().map(at), &style).map_err(drawing)?;
                }
                Shape::Disc { centre, radius, colour } => {
                    let radius = (radius * device.scale).round().max(1.0) as u32;
                    let style = ShapeStyle::from(rgba(*colour)).filled();
                    backend.draw_circle(at(*centre), radius, &style, true).map_err(drawing)?;
                }
                Shape::Text(text) => {
                    let weight = if text.bold { FontStyle::Bold } else { FontStyle::Normal };
                    let anchor = match text.anchor {
                        Anchor::Start => HPos::Left,
                        Anchor::Middle => HPos::Center,
                        Anchor::End => HPos::Right,
                    };
                    let mut style =
                        (FontFamily::Name(FONT), text.size * device.scale * device.text_size, weight)
                            .into_text_style(&(1, 1));
                    style.pos = Pos::new(anchor, VPos::Top);
                    style.color = plotters::style::Color::to_backend_color(&rgba(text.colour));
                    let rise = device.baseline * text.size;
                    let (x, y) = text.at;
                    let top = if text.vertical {
                        style.font = style.font.transform(FontTransform::Rotate270);
                        at((x - rise, y))
                    } else {
                        at((x, y - rise))
                    };
                    backend.draw_text(&text.text, &style, top).map_err(drawing)?;
                }
                Shape::Picture(picture) if !device.vector => {
                    for (i, pixel) in picture.rgb.chunks_exact(3).enumerate() {
                        let (column, row) = (i % picture.columns, i / picture.columns);
                        let corner = |column: usize, row: usize| {
                            at((
                                picture.at.0 + picture.size.0 * column as f64 / picture.columns as f64,
                                picture.at.1 + picture.size.1 * row as f64 / picture.rows as f64,
                            ))
                        };
                        let style =
                            ShapeStyle::from(rgba(Colour(pixel[0], pixel[1], pixel[2], 1.0))).filled();
                        backend
                            .draw_rect(corner(column, row), corner(column + 1, row + 1), &style, true)
                            .map_err(drawing)?;
                    }
                }
                // Embedded as images when the rest is written.
                Shape::Picture(_) => {}
            }
        }
        Ok(())
    }
}

impl Picture {
    fn svg(&self) -> Result<String, ReportError> {
        use base64::Engine;
        let png = encode_png(&self.rgb, self.columns, self.rows, None)?;
        let data = base64::engine::general_purpose::STANDARD.encode(png);
        let [x, y, w, h] = [self.at.0, self.at.1, self.size.0, self.size.1].map(|v| (v * SVG_UNITS).round());
        Ok(format!(
            "<image x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" preserveAspectRatio=\"none\" \
             style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{data}\"/>\n"
        ))
    }
}

/// RGB bytes as a PNG file.
pub fn encode_png(
    rgb: &[u8],
    width: usize,
    height: usize,
    resolution: Option<f64>,
) -> Result<Vec<u8>, ReportError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    if let Some(resolution) = resolution {
        let per_metre = (resolution / 0.0254).round() as u32;
        let unit = png::Unit::Meter;
        encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: per_metre, yppu: per_metre, unit }));
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    Ok(out)
}

/// A thick line on a bitmap: a bar for each segment and a disc on each joint, which no sharp turn can break.
fn stroke<B: DrawingBackend>(
    backend: &mut B,
    points: &[(i32, i32)],
    style: &ShapeStyle,
) -> Result<(), ReportError> {
    let radius = style.stroke_width / 2;
    let disc = style.filled();
    for (i, pair) in points.windows(2).enumerate() {
        let (a, b) = (pair[0], pair[1]);
        let half = (style.stroke_width / 2) as i32;
        let rest = style.stroke_width as i32 - half;
        if a.0 == b.0 {
            let (top, bottom) = (a.1.min(b.1), a.1.max(b.1));
            backend.draw_rect((a.0 - half, top), (a.0 + rest, bottom + 1), &disc, true).map_err(drawing)?;
        } else if a.1 == b.1 {
            let (left, right) = (a.0.min(b.0), a.0.max(b.0));
            backend.draw_rect((left, a.1 - half), (right + 1, a.1 + rest), &disc, true).map_err(drawing)?;
        } else {
            backend.draw_line(a, b, style).map_err(drawing)?;
        }
        if i > 0 && radius > 0 {
            backend.draw_circle(a, radius, &disc, true).map_err(drawing)?;
        }
    }
    Ok(())
}

/// The pieces of a polyline under a pattern of dashes and gaps.
fn dash(points: &[Point], pattern: &[f64]) -> Vec<Vec<Point>> {
    if pattern.iter().sum::<f64>() <= 0.0 {
        return vec![points.to_vec()];
    }
    let mut parts = Vec::new();
    let mut current = points.first().map(|&p| vec![p]).unwrap_or_default();
    let (mut k, mut left) = (0, pattern[0]);
    for pair in points.windows(2) {
        let (mut a, b) = (pair[0], pair[1]);
        loop {
            let length = ((b.0 - a.0) * (b.0 - a.0) + (b.1 - a.1) * (b.1 - a.1)).sqrt();
            if length <= left {
                left -= length;
                if k % 2 == 0 {
                    current.push(b);
                }
                break;
            }
            let share = left / length;
            a = (a.0 + share * (b.0 - a.0), a.1 + share * (b.1 - a.1));
            if k % 2 == 0 {
                current.push(a);
                parts.push(std::mem::take(&mut current));
            } else {
                current = vec![a];
            }
            k += 1;
            left = pattern[k % pattern.len()];
        }
    }
    if current.len() > 1 {
        parts.push(current);
    }
    parts
}

fn rgba(colour: Colour) -> RGBAColor {
    RGBAColor(colour.0, colour.1, colour.2, colour.3)
}

fn drawing(error: impl std::fmt::Display) -> ReportError {
    ReportError::Draw { message: error.to_string() }
}
