//! Paper to draw on: one backend of plotters for SVG, PNG and PDF.
//!
//! Lengths are printer's points (1/72 inch) from the upper left corner, which a page turns into the whole units of the
//! backend. Text is set and measured in the embedded DejaVu Sans, so neither the layout nor the PNG depends on the fonts of
//! a system; a text of several lines has line breaks in it, and the size of a font is that of its em.

use super::fonts;
use super::pdf::Canvas;
use super::style::Colour;
pub use super::style::Point;
use crate::error::ReportError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Drawable, PointCollection};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color, FontFamily, FontStyle, FontTransform, IntoTextStyle, RGBAColor, ShapeStyle, TextStyle, WHITE,
    register_font,
};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind};
use std::error::Error;
use std::io;
use std::sync::Once;

/// The font, with what to fall back on where an SVG is shown without it (Verdana has nearly the same widths).
const FONT: &str = "DejaVu Sans, Verdana, sans-serif";
/// DejaVu's line height (ascent plus descent) in units of its size, by which plotters scales bitmap text.
const LINE_HEIGHT: f64 = (1901.0 + 483.0) / 2048.0;
/// From one line of a text to the next, in units of its size.
pub const LEADING: f64 = 1.2;
/// Units of the coordinates of SVG and PDF per point: plotters draws on whole units.
const VECTOR_UNITS: f64 = 20.0;
/// Each pixel of a PNG is the mean of this many by this many.
const SUPERSAMPLING: usize = 3;

/// A page and what is on it.
pub trait Drawing {
    /// The width and height in points.
    fn size(&self) -> Point;

    /// Draws it.
    fn draw(&self, page: &Page) -> Result<(), ReportError>;
}

/// The drawing as SVG: text stays text, lengths are in points.
pub fn svg(drawing: &dyn Drawing) -> Result<String, ReportError> {
    let (width, height) = drawing.size();
    let size = ((width * VECTOR_UNITS).round() as u32, (height * VECTOR_UNITS).round() as u32);
    let (mut svg, mut pictures) = (String::new(), String::new());
    paint(drawing, Paper::Svg(SVGBackend::with_string(&mut svg, size), &mut pictures), VECTOR_UNITS)?;
    let head = format!("width=\"{}\" height=\"{}\"", size.0, size.1);
    let mut svg = svg.replacen(&head, &format!("width=\"{width:.2}pt\" height=\"{height:.2}pt\""), 1);
    if let Some(end) = svg.rfind("</svg>") {
        svg.insert_str(end, &pictures);
    }
    Ok(svg)
}

/// The drawing as PDF of one page: text stays text, and the font is in it.
pub fn pdf(drawing: &dyn Drawing) -> Result<Vec<u8>, ReportError> {
    let mut canvas = Canvas::new(drawing.size(), VECTOR_UNITS)?;
    paint(drawing, Paper::Pdf(&mut canvas), VECTOR_UNITS)?;
    canvas.finish()
}

/// The drawing as PNG with this many pixels per inch.
pub fn png(drawing: &dyn Drawing, resolution: f64) -> Result<Vec<u8>, ReportError> {
    let n = SUPERSAMPLING;
    let pixels = |length: f64| (length / 72.0 * resolution).round().max(1.0) as usize;
    let (width, height) = (pixels(drawing.size().0), pixels(drawing.size().1));
    let mut fine = vec![255; width * height * n * n * 3];
    let backend = BitMapBackend::with_buffer(&mut fine, ((width * n) as u32, (height * n) as u32));
    paint(drawing, Paper::Pixels(backend), resolution / 72.0 * n as f64)?;
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
    Ok(encode_png(&coarse, width, height, Some(resolution))?)
}

fn paint(drawing: &dyn Drawing, paper: Paper, scale: f64) -> Result<(), ReportError> {
    register();
    let page = Page { area: paper.into_drawing_area(), scale };
    page.area.fill(&WHITE)?;
    drawing.draw(&page)?;
    Ok(page.area.present()?)
}

/// A page that is being drawn.
pub struct Page<'a> {
    /// The whole page, in units of the backend.
    pub area: DrawingArea<Paper<'a>, Shift>,
    /// Units per point.
    scale: f64,
}

impl<'a> Page<'a> {
    /// A length in units.
    pub fn units(&self, points: f64) -> i32 {
        (points * self.scale).round() as i32
    }

    /// A position in units.
    pub fn at(&self, (x, y): Point) -> BackendCoord {
        (self.units(x), self.units(y))
    }

    /// A part of the page.
    pub fn part(&self, (left, top): Point, (width, height): Point) -> DrawingArea<Paper<'a>, Shift> {
        let (from, to) = (self.at((left, top)), self.at((left + width, top + height)));
        self.area.clone().shrink(from, (to.0 - from.0, to.1 - from.1))
    }

    /// A pen of this width in points.
    pub fn pen(&self, width: f64, colour: Colour) -> ShapeStyle {
        ShapeStyle { color: rgba(colour), filled: false, stroke_width: self.units(width).max(1) as u32 }
    }

    /// The font at this size in points.
    pub fn font(&self, size: f64, bold: bool) -> TextStyle<'static> {
        let mut font = font(size * self.scale, bold);
        font.color = rgba(Colour::INK).to_backend_color();
        font
    }

    /// Writes a text; `place` says which part of its box is at the position.
    pub fn text(
        &self,
        text: &str,
        font: &TextStyle,
        at: Point,
        place: (HPos, VPos),
    ) -> Result<(), ReportError> {
        Ok(self.area.draw_text(text, &font.pos(Pos::new(place.0, place.1)), self.at(at))?)
    }

    /// Writes a text of this size and colour with its middle at a position in units.
    pub fn write(&self, text: &str, size: f64, colour: Colour, at: BackendCoord) -> Result<(), ReportError> {
        let mut font = self.font(size, false);
        font.color = rgba(colour).to_backend_color();
        Ok(self.area.draw_text(text, &font.pos(Pos::new(HPos::Center, VPos::Center)), at)?)
    }
}

/// A filled shape's style.
pub fn fill(colour: Colour) -> ShapeStyle {
    rgba(colour).filled()
}

fn rgba(colour: Colour) -> RGBAColor {
    RGBAColor(colour.0, colour.1, colour.2, colour.3)
}

fn register() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // The fonts are part of the program, so they are never invalid; a failure would show as a drawing error.
        let _ = register_font(FONT, FontStyle::Normal, fonts::regular());
        let _ = register_font(FONT, FontStyle::Bold, fonts::bold());
    });
}

fn font(size: f64, bold: bool) -> TextStyle<'static> {
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    (FontFamily::Name(FONT), size, style).into_text_style(&(1, 1))
}

/// The width of a text of one line in points.
pub fn text_width(text: &str, size: f64, bold: bool) -> f64 {
    register();
    let font = font(1000.0 * LINE_HEIGHT, bold).font;
    font.box_size(text).map_or(0.0, |(width, _)| f64::from(width) / 1000.0 * size)
}

/// The backend: an SVG, with the pictures that are to be embedded in it, pixels, or a PDF.
pub enum Paper<'a> {
    Svg(SVGBackend<'a>, &'a mut String),
    Pixels(BitMapBackend<'a>),
    Pdf(&'a mut Canvas),
}

type Drawn = Result<(), DrawingErrorKind<io::Error>>;

/// The error of any backend.
fn either<E: Error + Send + Sync + 'static>(error: DrawingErrorKind<E>) -> DrawingErrorKind<io::Error> {
    match error {
        DrawingErrorKind::DrawingError(error) => DrawingErrorKind::DrawingError(io::Error::other(error)),
        DrawingErrorKind::FontError(error) => DrawingErrorKind::FontError(error),
    }
}

/// Calls a method of whichever backend it is.
macro_rules! on {
    ($paper:expr, $backend:ident => $call:expr) => {
        match $paper {
            Paper::Svg($backend, _) => $call.map_err(either),
            Paper::Pixels($backend) => $call.map_err(either),
            Paper::Pdf($backend) => $call,
        }
    };
}

impl DrawingBackend for Paper<'_> {
    type ErrorType = io::Error;

    fn get_size(&self) -> (u32, u32) {
        match self {
            Paper::Svg(svg, _) => svg.get_size(),
            Paper::Pixels(pixels) => pixels.get_size(),
            Paper::Pdf(canvas) => canvas.get_size(),
        }
    }

    fn ensure_prepared(&mut self) -> Drawn {
        on!(self, backend => backend.ensure_prepared())
    }

    fn present(&mut self) -> Drawn {
        on!(self, backend => backend.present())
    }

    fn draw_pixel(&mut self, point: BackendCoord, colour: BackendColor) -> Drawn {
        on!(self, backend => backend.draw_pixel(point, colour))
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        a: BackendCoord,
        b: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        on!(self, backend => backend.draw_rect(a, b, style, fill))
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        at: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        on!(self, backend => backend.draw_circle(at, radius, style, fill))
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        on!(self, backend => backend.fill_polygon(path, style))
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.draw_path([from, to], style)
    }

    /// On pixels a bar for each segment and a disc on each joint, which no sharp turn can break as it does the outline that
    /// plotters fills.
    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let pixels = match self {
            Paper::Svg(svg, _) => return svg.draw_path(path, style),
            Paper::Pdf(canvas) => return canvas.draw_path(path, style),
            Paper::Pixels(pixels) => pixels,
        };
        let path: Vec<_> = path.into_iter().collect();
        let (half, width) = (style.stroke_width() as i32 / 2, style.stroke_width() as i32);
        for (i, pair) in path.windows(2).enumerate() {
            let (a, b) = (pair[0], pair[1]);
            let (left, top) = (a.0.min(b.0), a.1.min(b.1));
            let (right, bottom) = (a.0.max(b.0), a.1.max(b.1));
            if left == right {
                pixels
                    .draw_rect((left - half, top), (left - half + width, bottom + 1), style, true)
                    .map_err(either)?;
            } else if top == bottom {
                pixels
                    .draw_rect((left, top - half), (right + 1, top - half + width), style, true)
                    .map_err(either)?;
            } else {
                pixels.draw_line(a, b, style).map_err(either)?;
            }
            if i > 0 && half > 0 {
                pixels.draw_circle(a, half as u32, style, true).map_err(either)?;
            }
        }
        Ok(())
    }

    /// Each line on its baseline: 0.76 of the size below its top, 0.36 below its middle.
    fn draw_text<T: BackendTextStyle>(&mut self, text: &str, style: &T, (x, y): BackendCoord) -> Drawn {
        // By what plotters multiplies a size, and where it sets the baseline below a text's top.
        let (factor, baseline) = match self {
            Paper::Svg(..) => (1.24, 0.76),
            Paper::Pixels(_) => (LINE_HEIGHT, 0.5 * LINE_HEIGHT),
            Paper::Pdf(_) => (1.0, 0.0),
        };
        let lines = text.lines().count().saturating_sub(1) as f64 * LEADING;
        let first = match style.anchor().v_pos {
            VPos::Top => 0.76,
            VPos::Center => 0.36 - 0.5 * lines,
            VPos::Bottom => -0.24 - lines,
        };
        let mut own = font(style.size() * factor, matches!(style.style(), FontStyle::Bold));
        own.color = style.color();
        own.pos = Pos::new(style.anchor().h_pos, VPos::Top);
        own.font = own.font.transform(style.transform());
        for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
            let down = ((first + LEADING * i as f64 - baseline) * style.size()).round() as i32;
            let at = match style.transform() {
                FontTransform::Rotate270 => (x + down, y),
                _ => (x, y + down),
            };
            on!(self, backend => backend.draw_text(line, &own, at))?;
        }
        Ok(())
    }
}

/// A picture of `columns` by `rows` RGB pixels, each shown as a sharp square; in an SVG it is an image of its own.
pub struct Picture {
    /// The upper left and the lower right corner.
    pub corners: [BackendCoord; 2],
    pub columns: usize,
    pub rows: usize,
    /// Rows from the top, three bytes a pixel.
    pub rgb: Vec<u8>,
}

impl<'b> PointCollection<'b, BackendCoord> for &'b Picture {
    type Point = &'b BackendCoord;
    type IntoIter = &'b [BackendCoord; 2];

    fn point_iter(self) -> &'b [BackendCoord; 2] {
        &self.corners
    }
}

impl Drawable<Paper<'_>> for Picture {
    fn draw<I: Iterator<Item = BackendCoord>>(
        &self,
        mut corners: I,
        paper: &mut Paper,
        _: (u32, u32),
    ) -> Drawn {
        let (Some((left, top)), Some((right, bottom))) = (corners.next(), corners.next()) else {
            return Ok(());
        };
        let (width, height) = (right - left, bottom - top);
        match paper {
            Paper::Svg(_, pictures) => {
                let png = encode_png(&self.rgb, self.columns, self.rows, None);
                let data =
                    STANDARD.encode(png.map_err(|e| DrawingErrorKind::DrawingError(io::Error::other(e)))?);
                pictures.push_str(&format!(
                    "<image x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\" \
                     style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{data}\"/>\n"
                ));
            }
            Paper::Pdf(canvas) => {
                canvas.picture([(left, top), (right, bottom)], self.columns, self.rows, &self.rgb);
            }
            Paper::Pixels(pixels) => {
                let share = |length: i32, i: usize, n: usize| {
                    (f64::from(length) * i as f64 / n as f64).round() as i32
                };
                for (i, pixel) in self.rgb.chunks_exact(3).enumerate() {
                    let (column, row) = (i % self.columns, i / self.columns);
                    let corner = |column: usize, row: usize| {
                        (left + share(width, column, self.columns), top + share(height, row, self.rows))
                    };
                    let colour = BackendColor { alpha: 1.0, rgb: (pixel[0], pixel[1], pixel[2]) };
                    pixels
                        .draw_rect(corner(column, row), corner(column + 1, row + 1), &colour, true)
                        .map_err(either)?;
                }
            }
        }
        Ok(())
    }
}

/// RGB bytes as a PNG file.
fn encode_png(
    rgb: &[u8],
    width: usize,
    height: usize,
    resolution: Option<f64>,
) -> Result<Vec<u8>, png::EncodingError> {
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
