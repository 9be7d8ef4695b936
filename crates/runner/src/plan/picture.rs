//! Boxes and arrows as SVG: laid out by the crate `layout-rs`, written here, so that the text stays text, one element a line.

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

/// Boxes and the arrows between them.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Stands over the drawing; none where it is empty.
    pub title: String,
    /// Every box after those that arrows lead to it from.
    pub tiles: Vec<Tile>,
    pub edges: Vec<Edge>,
    pub ink: Ink,
}

/// A box: at least two lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Tile {
    /// The first is its title.
    pub lines: Vec<String>,
    /// What it is filled with.
    pub fill: String,
    /// Where a click on its title leads.
    pub link: Option<String>,
}

/// An arrow.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    pub label: String,
}

/// The colours of all but the boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ink {
    pub text: &'static str,
    pub line: &'static str,
    pub paper: &'static str,
}

impl Ink {
    /// For a file of its own.
    pub const PRINT: Ink = Ink { text: "#222222", line: "#555555", paper: "#ffffff" };
    /// For a page, which has the colours of its style.
    pub const PAGE: Ink = Ink { text: "var(--ink)", line: "var(--faint)", paper: "var(--paper)" };
}

/// The width of a text in points, from above: what no sans-serif font goes beyond on average.
fn width(text: &str, size: usize) -> f64 {
    0.68 * size as f64 * text.chars().count() as f64
}

/// The whole picture.
pub fn svg(picture: &Picture) -> String {
    let direction = Orientation::TopToBottom;
    let mut graph = VisualGraph::new(direction);
    let look = |fill: Option<u32>| StyleAttr::new(Color::new(GREY), 1, fill.map(Color::new), 3, SMALL);
    let mut handles = Vec::with_capacity(picture.tiles.len());
    for (number, Tile { lines, .. }) in (0..).zip(&picture.tiles) {
        let widths =
            lines.iter().enumerate().map(|(n, line)| width(line, if n == 0 { TITLE } else { SMALL }));
        let size = Point::new(
            widths.fold(0.0, f64::max) + 2.0 * PADDING,
            LEADING * lines.len() as f64 + 2.0 * PADDING - 3.0,
        );
        let shape = ShapeKind::new_box(&lines.join("\n"));
        // Its number goes through the layout as its colour: what is drawn does not tell of which tile it is.
        let look = look(Some(number << 8 | 0xff));
        handles.push(graph.add_node(Element::create(shape, look, direction, size)));
    }
    for edge in &picture.edges {
        let ends = (LineEndKind::None, LineEndKind::Arrow);
        let arrow = Arrow::new(ends.0, ends.1, LineStyleKind::Normal, &edge.label, &look(None), &None, &None);
        graph.add_edge(arrow, handles[edge.from], handles[edge.to]);
    }
    let mut page = Page::new(picture);
    if !picture.tiles.is_empty() {
        graph.do_it(false, false, false, &mut page);
    }
    page.finish(&picture.title)
}

/// What was drawn, and how far it reaches.
struct Page<'p> {
    picture: &'p Picture,
    /// Where a click on the tile leads whose text comes next.
    link: Option<&'p str>,
    body: String,
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
    started: bool,
}

impl Page<'_> {
    fn new(picture: &Picture) -> Page<'_> {
        let (left, top, right, bottom) = (0.0, 0.0, 0.0, 0.0);
        Page { picture, link: None, body: String::new(), left, top, right, bottom, started: false }
    }

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
        let Ink { line, paper, text } = self.picture.ink;
        let heading = match title {
            "" => String::new(),
            title => format!(
                "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{TITLE}\" font-weight=\"bold\" text-anchor=\"start\"{}>{}</text>\n",
                if self.picture.ink == Ink::PRINT { String::new() } else { format!(" fill=\"{text}\"") },
                escape(title)
            ),
        };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide:.1}pt\" height=\"{high:.1}pt\" \
             viewBox=\"{left:.1} {top:.1} {wide:.1} {high:.1}\" font-family=\"sans-serif\" text-anchor=\"middle\">\n\
             <defs><marker id=\"head\" markerWidth=\"8\" markerHeight=\"6\" refX=\"7\" refY=\"3\" orient=\"auto\">\
             <path d=\"M0 0 L8 3 L0 6 Z\" fill=\"{line}\"/></marker></defs>\n\
             <rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\" fill=\"{paper}\"/>\n{heading}{body}</svg>\n"
        )
    }
}

impl RenderBackend for Page<'_> {
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
        // `#rrggbbaa`, with the number of the tile in place of red, green and blue.
        let number = look.fill_color.map(|colour| colour.to_web_color());
        let number = number.and_then(|colour| usize::from_str_radix(colour.get(1..7)?, 16).ok());
        let tile = number.and_then(|number| self.picture.tiles.get(number));
        let fill = tile.map_or("none", |tile| &tile.fill);
        self.link = tile.and_then(|tile| tile.link.as_deref());
        let (line, round) = (self.picture.ink.line, look.rounded);
        self.add(format_args!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"{round}\" fill=\"{fill}\" \
             stroke=\"{line}\" stroke-width=\"0.8\"/>\n",
            at.x, at.y, size.x, size.y
        ));
    }

    fn draw_line(&mut self, start: Point, end: Point, _: &StyleAttr, _: Option<String>) {
        self.reach(start);
        self.reach(end);
        let line = self.picture.ink.line;
        self.add(format_args!(
            "<path d=\"M{:.1} {:.1} L{:.1} {:.1}\" stroke=\"{line}\" stroke-width=\"0.8\"/>\n",
            start.x, start.y, end.x, end.y
        ));
    }

    fn draw_circle(&mut self, at: Point, size: Point, _: &StyleAttr, _: Option<String>) {
        self.reach(at.sub(size.scale(0.5)));
        self.reach(at.add(size.scale(0.5)));
        let line = self.picture.ink.line;
        self.add(format_args!(
            "<ellipse cx=\"{:.1}\" cy=\"{:.1}\" rx=\"{:.1}\" ry=\"{:.1}\" fill=\"none\" stroke=\"{line}\"/>\n",
            at.x,
            at.y,
            0.5 * size.x,
            0.5 * size.y
        ));
    }

    /// The lines of a node, the first as its title; one line is the label of an arrow.
    fn draw_text(&mut self, at: Point, words: &str, _: &StyleAttr) {
        let lines: Vec<&str> = words.lines().collect();
        let half = 0.5 * width(words.lines().max_by_key(|line| line.len()).unwrap_or_default(), SMALL);
        self.reach(Point::new(at.x - half, at.y));
        self.reach(Point::new(at.x + half, at.y));
        let Ink { text, line, paper } = self.picture.ink;
        if let [label] = lines.as_slice() {
            let (x, y) = (at.x - half, at.y - 0.7 * LEADING);
            self.add(format_args!(
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{LEADING:.1}\" fill=\"{paper}\"/>\n",
                2.0 * half
            ));
            return self.text(Point::new(at.x, at.y + 2.0), label, SMALL, false, line);
        }
        let first = at.y - 0.5 * LEADING * (lines.len() as f64 - 1.0) + 3.0;
        for (number, words) in lines.iter().enumerate() {
            let size = if number == 0 { TITLE } else { SMALL };
            let at = Point::new(at.x, first + LEADING * number as f64);
            let link = self.link.take_if(|_| number == 0).map(escape);
            if let Some(link) = &link {
                self.add(format_args!("<a href=\"{link}\">"));
            }
            self.text(at, words, size, number == 0, text);
            if link.is_some() {
                self.add(format_args!("</a>\n"));
            }
        }
    }

    fn draw_arrow(
        &mut self,
        path: &[(Point, Point)],
        _: bool,
        head: (bool, bool),
        _: &StyleAttr,
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
        let line = self.picture.ink.line;
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
