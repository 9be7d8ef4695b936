//! A backend of plotters that writes a PDF of one page: shapes as shapes, text as text in the embedded font. Nothing in it tells when
//! or where it was made.

use super::embedded::{Font, deflated};
use super::fonts;
use super::style::Point;
use crate::error::ReportError;
use pdf_writer::types::{LineCapStyle, LineJoinStyle};
use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str};
use plotters_backend::text_anchor::HPos;
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontStyle,
    FontTransform,
};
use std::collections::BTreeSet;
use std::io;

/// The page while it is drawn. A position is in units from the upper left corner.
pub struct Canvas {
    size: Point,
    units: f64,
    content: Content,
    /// Regular and bold.
    fonts: [Font; 2],
    /// The opacities that were used, in hundredths.
    opacities: BTreeSet<u8>,
    pictures: Vec<Pixels>,
}

struct Pixels {
    columns: usize,
    rows: usize,
    rgb: Vec<u8>,
}

type Drawn = Result<(), DrawingErrorKind<io::Error>>;

/// How far the control points of a quarter of a circle lie along its tangents, in radii.
const QUARTER: f32 = 0.552_284_8;

impl Canvas {
    /// A page of this size in points, with so many units per point.
    pub fn new(size: Point, units: f64) -> Result<Canvas, ReportError> {
        let fonts =
            [Font::new("DejaVuSans", fonts::regular())?, Font::new("DejaVuSans-Bold", fonts::bold())?];
        let mut content = Content::new();
        // From the upper left corner downwards, as plotters counts.
        let scale = (1.0 / units) as f32;
        content.transform([scale, 0.0, 0.0, -scale, 0.0, size.1 as f32]);
        content.set_line_cap(LineCapStyle::ButtCap).set_line_join(LineJoinStyle::RoundJoin);
        Ok(Canvas { size, units, content, fonts, opacities: BTreeSet::new(), pictures: Vec::new() })
    }

    /// The document.
    pub fn finish(self) -> Result<Vec<u8>, ReportError> {
        let mut last = 0;
        let mut next = || {
            last += 1;
            Ref::new(last)
        };
        let (catalog, pages, page, content) = (next(), next(), next(), next());
        let mut pdf = Pdf::new();
        // What TeX takes in without a word.
        pdf.set_version(1, 5);
        pdf.catalog(catalog).pages(pages);
        pdf.pages(pages).kids([page]).count(1);
        let fonts: Vec<_> = self.fonts.iter().enumerate().filter(|(_, font)| font.is_used()).collect();
        let fonts: Vec<_> = fonts.into_iter().map(|(i, font)| (i, font, next())).collect();
        let opacities: Vec<_> = self.opacities.iter().map(|opacity| (*opacity, next())).collect();
        let pictures: Vec<_> = self.pictures.iter().map(|picture| (picture, next())).collect();
        let mut written = pdf.page(page);
        written.parent(pages).contents(content);
        written.media_box(Rect::new(0.0, 0.0, self.size.0 as f32, self.size.1 as f32));
        let mut resources = written.resources();
        let mut named = resources.fonts();
        for (i, _, id) in &fonts {
            named.pair(Name(font_name(*i).as_bytes()), *id);
        }
        named.finish();
        let mut named = resources.ext_g_states();
        for (opacity, id) in &opacities {
            named.pair(Name(opacity_name(*opacity).as_bytes()), *id);
        }
        named.finish();
        let mut named = resources.x_objects();
        for (i, (_, id)) in pictures.iter().enumerate() {
            named.pair(Name(picture_name(i).as_bytes()), *id);
        }
        named.finish();
        resources.finish();
        written.finish();
        pdf.stream(content, &deflated(self.content.finish().as_slice())?).filter(Filter::FlateDecode);
        for (opacity, id) in opacities {
            let value = f32::from(opacity) / 100.0;
            pdf.ext_graphics(id).non_stroking_alpha(value).stroking_alpha(value);
        }
        for (picture, id) in pictures {
            let data = deflated(&picture.rgb)?;
            let mut image = pdf.image_xobject(id, &data);
            image.width(picture.columns as i32).height(picture.rows as i32);
            image.filter(Filter::FlateDecode);
            image.color_space().device_rgb();
            image.bits_per_component(8).interpolate(false);
        }
        for (_, font, id) in fonts {
            font.write(&mut pdf, id, &mut next)?;
        }
        Ok(pdf.finish())
    }

    /// A picture between two corners.
    pub fn picture(&mut self, corners: [BackendCoord; 2], columns: usize, rows: usize, rgb: &[u8]) {
        let [(left, top), (right, bottom)] = corners.map(|(x, y)| (x as f32, y as f32));
        let name = picture_name(self.pictures.len());
        self.pictures.push(Pixels { columns, rows, rgb: rgb.to_vec() });
        self.content.save_state();
        // The unit square with its rows from the top.
        self.content.transform([right - left, 0.0, 0.0, top - bottom, left, bottom]);
        self.content.x_object(Name(name.as_bytes())).restore_state();
    }

    /// Sets the colour of what comes next; false where it cannot be seen.
    fn colour(&mut self, colour: BackendColor) -> bool {
        let opacity = (100.0 * colour.alpha).round().clamp(0.0, 100.0) as u8;
        if opacity == 0 {
            return false;
        }
        self.opacities.insert(opacity);
        let (r, g, b) = colour.rgb;
        let [r, g, b] = [r, g, b].map(|part| f32::from(part) / 255.0);
        self.content.set_parameters(Name(opacity_name(opacity).as_bytes()));
        self.content.set_fill_rgb(r, g, b).set_stroke_rgb(r, g, b);
        true
    }

    /// Sets the pen where something is not filled; false where it cannot be seen.
    fn style(&mut self, style: &impl BackendStyle) -> bool {
        self.content.set_line_width(style.stroke_width() as f32);
        self.colour(style.color())
    }

    /// Begins a path through these points.
    fn trace(&mut self, path: impl IntoIterator<Item = BackendCoord>) {
        for (i, (x, y)) in path.into_iter().enumerate() {
            let (x, y) = (x as f32, y as f32);
            if i == 0 {
                self.content.move_to(x, y)
            } else {
                self.content.line_to(x, y)
            };
        }
    }

    fn paint(&mut self, fill: bool) {
        if fill {
            self.content.fill_nonzero()
        } else {
            self.content.stroke()
        };
    }
}

fn font_name(i: usize) -> &'static str {
    ["regular", "bold"][i]
}

fn opacity_name(opacity: u8) -> String {
    format!("opacity{opacity}")
}

fn picture_name(i: usize) -> String {
    format!("picture{i}")
}

impl DrawingBackend for Canvas {
    type ErrorType = io::Error;

    fn get_size(&self) -> (u32, u32) {
        ((self.size.0 * self.units).round() as u32, (self.size.1 * self.units).round() as u32)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) -> Drawn {
        if self.colour(colour) {
            self.content.rect(x as f32, y as f32, 1.0, 1.0).fill_nonzero();
        }
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        (left, top): BackendCoord,
        (right, bottom): BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        if self.style(style) {
            self.content.rect(left as f32, top as f32, (right - left) as f32, (bottom - top) as f32);
            self.paint(fill);
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        (x, y): BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        if !self.style(style) {
            return Ok(());
        }
        let (x, y, r) = (x as f32, y as f32, radius as f32);
        let k = QUARTER * r;
        self.content.move_to(x + r, y);
        self.content.cubic_to(x + r, y + k, x + k, y + r, x, y + r);
        self.content.cubic_to(x - k, y + r, x - r, y + k, x - r, y);
        self.content.cubic_to(x - r, y - k, x - k, y - r, x, y - r);
        self.content.cubic_to(x + k, y - r, x + r, y - k, x + r, y).close_path();
        self.paint(fill);
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        if self.colour(style.color()) {
            self.trace(path);
            self.content.close_path().fill_nonzero();
        }
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        if self.style(style) {
            self.trace(path);
            self.content.stroke();
        }
        Ok(())
    }

    /// One line, with its baseline at the position.
    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, (x, y): BackendCoord) -> Drawn {
        if !self.colour(style.color()) {
            return Ok(());
        }
        let bold = usize::from(matches!(style.style(), FontStyle::Bold));
        let (glyphs, width) = self.fonts[bold].set(text);
        let before = match style.anchor().h_pos {
            HPos::Left => 0.0,
            HPos::Center => 0.5,
            HPos::Right => 1.0,
        };
        let back = (before * width * style.size()) as f32;
        let (x, y) = (x as f32, y as f32);
        // Along the line, and up from it: the page counts downwards.
        let matrix = match style.transform() {
            FontTransform::Rotate90 => [0.0, 1.0, 1.0, 0.0, x, y - back],
            FontTransform::Rotate180 => [-1.0, 0.0, 0.0, 1.0, x + back, y],
            FontTransform::Rotate270 => [0.0, -1.0, -1.0, 0.0, x, y + back],
            FontTransform::None => [1.0, 0.0, 0.0, -1.0, x - back, y],
        };
        self.content.begin_text().set_font(Name(font_name(bold).as_bytes()), style.size() as f32);
        self.content.set_text_matrix(matrix).show(Str(&glyphs)).end_text();
        Ok(())
    }
}
