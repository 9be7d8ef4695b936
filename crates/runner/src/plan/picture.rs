//! A drawing of the plan as SVG: laid out by the crate `layout-rs`, written here, so that the text stays text, one element a line.

use crate::plan::drawing::{Counts, Drawing};
use layout::core::base::Orientation;
use layout::core::color::Color;
use layout::core::format::{ClipHandle, RenderBackend};
use layout::core::geometry::Point;
use layout::core::style::LineStyleKind;
use layout::core::style::StyleAttr;
use layout::std_shapes::shapes::{Arrow, Element, LineEndKind, ShapeKind};
use layout::topo::layout::VisualGraph;
use std::fmt::Write;

/// Sizes of text in points: titles of nodes, and all else.
const TITLE: usize = 10;
const SMALL: usize = 8;
const LEADING: f64 = 12.0;
const PADDING: f64 = 7.0;
const MARGIN: f64 = 14.0;
const GREY: u32 = 0x55_55_55_ff;

/// The width of a text in points, from above: what no sans-serif font goes beyond on average.
fn width(text: &str, size: usize) -> f64 {
    0.68 * size as f64 * text.chars().count() as f64
}

/// The whole picture.
pub fn svg(drawing: &Drawing) -> String {
    let direction = Orientation::TopToBottom;
    let mut graph = VisualGraph::new(direction);
    let look = |fill: Option<u32>| StyleAttr::new(Color::new(GREY), 1, fill.map(Color::new), 3, SMALL);
    let handles: Vec<_> = drawing
        .nodes
        .iter()
        .map(|node| {
            let lines = node.lines();
            let widths =
                lines.iter().enumerate().map(|(n, line)| width(line, if n == 0 { TITLE } else { SMALL }));
            let size = Point::new(
                widths.fold(0.0, f64::max) + 2.0 * PADDING,
                LEADING * lines.len() as f64 + 2.0 * PADDING - 3.0,
            );
            let fill = node.colour() << 8 | 0xff;
            let shape = ShapeKind::new_box(&lines.join("\n"));
            graph.add_node(Element::create(shape, look(Some(fill)), direction, size))
        })
        .collect();
    for edge in &drawing.edges {
        let ends = (LineEndKind::None, LineEndKind::Arrow);
        let arrow = Arrow::new(ends.0, ends.1, LineStyleKind::Normal, &edge.label, &look(None), &None, &None);
        graph.add_edge(arrow, handles[edge.from], handles[edge.to]);
    }
    let mut page = Page::default();
    if !drawing.nodes.is_empty() {
        graph.do_it(false, false, false, &mut page);
    }
    let total = drawing.nodes.iter().fold(Counts::default(), |sum, node| sum.plus(node.counts));
    page.finish(&format!("{}: {}", drawing.name, total.text()))
}

/// What was drawn, and how far it reaches.
#[derive(Default)]
struct Page {
    body: String,
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
    started: bool,
}

impl Page {
    fn reach(&mut self, at: Point) {
        if !self.started {
            (self.left, self.top, self.right, self.bottom) = (at.x, at.y, at.x, at.y);
            self.started = true;
        }
        self.left = self.left.min(at.x);
        self.top = self.top.min(at.y);
        self.right = self.right.max(at.x);
        self.bottom = self.bottom.max(at.y);
    }

    fn add(&mut self, text: std::fmt::Arguments) {
        // Writing to a string cannot fail.
        let _ = self.body.write_fmt(text);
    }

    fn text(&mut self, at: Point, text: &str, size: usize, bold: bool, fill: &str) {
        let weight = if bold { " font-weight=\"bold\"" } else { "" };
        let text = escape(text);
        let (x, y) = (at.x, at.y);
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\"{weight} fill=\"{fill}\">{text}</text>\n"
        ));
    }

    /// The SVG file, with a title over the drawing.
    fn finish(mut self, title: &str) -> String {
        let body = std::mem::take(&mut self.body);
        let top = self.top - MARGIN - 1.5 * LEADING;
        let wide = (self.right - self.left).max(width(title, TITLE)) + 2.0 * MARGIN;
        let (left, high) = (self.left - MARGIN, self.bottom + MARGIN - top);
        let (x, y) = (self.left, top + MARGIN);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide:.1}pt\" height=\"{high:.1}pt\" \
             viewBox=\"{left:.1} {top:.1} {wide:.1} {high:.1}\" font-family=\"sans-serif\" text-anchor=\"middle\">\n\
             <defs><marker id=\"head\" markerWidth=\"8\" markerHeight=\"6\" refX=\"7\" refY=\"3\" orient=\"auto\">\
             <path d=\"M0 0 L8 3 L0 6 Z\" fill=\"#555555\"/></marker></defs>\n\
             <rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\" fill=\"#ffffff\"/>\n\
             <text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{TITLE}\" font-weight=\"bold\" text-anchor=\"start\">{}</text>\n\
             {body}</svg>\n",
            escape(title)
        )
    }
}

impl RenderBackend for Page {
    fn draw_rect(
        &mut self,
        at: Point,
        size: Point,
        look: &StyleAttr,
        _: Option<String>,
        _: Option<ClipHandle>,
    ) {
        self.reach(at);
        self.reach(at.add(size));
        let fill = look.fill_color.map_or("none".to_owned(), |colour| colour.to_web_color());
        let (line, round) = (look.line_color.to_web_color(), look.rounded);
        self.add(format_args!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"{round}\" fill=\"{fill}\" \
             stroke=\"{line}\" stroke-width=\"0.8\"/>\n",
            at.x, at.y, size.x, size.y
        ));
    }

    fn draw_line(&mut self, start: Point, end: Point, look: &StyleAttr, _: Option<String>) {
        self.reach(start);
        self.reach(end);
        let line = look.line_color.to_web_color();
        self.add(format_args!(
            "<path d=\"M{:.1} {:.1} L{:.1} {:.1}\" stroke=\"{line}\" stroke-width=\"0.8\"/>\n",
            start.x, start.y, end.x, end.y
        ));
    }

    fn draw_circle(&mut self, at: Point, size: Point, look: &StyleAttr, _: Option<String>) {
        self.reach(at.sub(size.scale(0.5)));
        self.reach(at.add(size.scale(0.5)));
        let line = look.line_color.to_web_color();
        self.add(format_args!(
            "<ellipse cx=\"{:.1}\" cy=\"{:.1}\" rx=\"{:.1}\" ry=\"{:.1}\" fill=\"none\" stroke=\"{line}\"/>\n",
            at.x,
            at.y,
            0.5 * size.x,
            0.5 * size.y
        ));
    }

    /// The lines of a node, the first as its title; one line is the label of an arrow.
    fn draw_text(&mut self, at: Point, text: &str, _: &StyleAttr) {
        let lines: Vec<&str> = text.lines().collect();
        let half = 0.5 * width(text.lines().max_by_key(|line| line.len()).unwrap_or_default(), SMALL);
        self.reach(Point::new(at.x - half, at.y));
        self.reach(Point::new(at.x + half, at.y));
        if let [label] = lines.as_slice() {
            let (x, y) = (at.x - half, at.y - 0.7 * LEADING);
            self.add(format_args!(
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{LEADING:.1}\" fill=\"#ffffff\"/>\n",
                2.0 * half
            ));
            return self.text(Point::new(at.x, at.y + 2.0), label, SMALL, false, "#555555");
        }
        let first = at.y - 0.5 * LEADING * (lines.len() as f64 - 1.0) + 3.0;
        for (number, line) in lines.iter().enumerate() {
            let size = if number == 0 { TITLE } else { SMALL };
            let at = Point::new(at.x, first + LEADING * number as f64);
            self.text(at, line, size, number == 0, "#222222");
        }
    }

    fn draw_arrow(
        &mut self,
        path: &[(Point, Point)],
        _: bool,
        head: (bool, bool),
        look: &StyleAttr,
        _: Option<String>,
        _: &str,
    ) {
        let [first, second, rest @ ..] = path else { return };
        let mut curve = String::new();
        let mut add = |text: std::fmt::Arguments| {
            let _ = curve.write_fmt(text);
        };
        add(format_args!("M{:.1} {:.1} C{:.1} {:.1}", first.0.x, first.0.y, first.1.x, first.1.y));
        add(format_args!(" {:.1} {:.1} {:.1} {:.1}", second.0.x, second.0.y, second.1.x, second.1.y));
        for (control, end) in rest {
            add(format_args!(" S{:.1} {:.1} {:.1} {:.1}", control.x, control.y, end.x, end.y));
        }
        self.reach(first.0);
        path[1..].iter().for_each(|(_, end)| self.reach(*end));
        let line = look.line_color.to_web_color();
        let end = if head.1 { " marker-end=\"url(#head)\"" } else { "" };
        self.add(format_args!(
            "<path d=\"{curve}\" fill=\"none\" stroke=\"{line}\" stroke-width=\"0.8\"{end}/>\n"
        ));
    }

    fn create_clip(&mut self, _: Point, _: Point, _: usize) -> ClipHandle {
        0
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
