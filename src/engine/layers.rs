//! A layered drawing of a directed graph: longest-path layers, barycentre order, and positions that never overlap.
//!
//! Between any two layers of blocks lies a layer of waypoints, one for every arrow, so that labels have their own room and arrows
//! pass between blocks, never below them.

use crate::report::scene::{Anchor, Colour, Pen, Point, Scene, Shape, text_width};

/// A box with lines of text, the first in bold.
pub struct Block {
    pub lines: Vec<String>,
    pub colour: Colour,
}

/// An arrow; a block comes before those that its arrows lead to.
pub struct Arrow {
    pub from: usize,
    pub to: usize,
    pub label: String,
}

const TITLE: f64 = 10.0;
const SMALL: f64 = 8.0;
const LEADING: f64 = 12.0;
const PADDING: f64 = 7.0;
const MARGIN: f64 = 14.0;
/// The least distance of neighbours in a layer.
const GAP: f64 = 14.0;
/// The distance of two layers.
const RISE: f64 = 16.0;
const SWEEPS: usize = 12;
const GREY: Colour = Colour(0x55, 0x55, 0x55, 1.0);

/// A block or a waypoint of an arrow.
#[derive(Default)]
struct Place {
    layer: usize,
    width: f64,
    x: f64,
    above: Vec<usize>,
    below: Vec<usize>,
}

/// The whole drawing.
pub fn scene(title: &str, blocks: &[Block], arrows: &[Arrow]) -> Scene {
    let mut places: Vec<Place> = layers(blocks.len(), arrows)
        .into_iter()
        .zip(blocks)
        .map(|(layer, block)| Place { layer: 2 * layer, width: block_width(block), ..Place::default() })
        .collect();
    let ways: Vec<Vec<usize>> = arrows.iter().map(|arrow| waypoints(&mut places, arrow)).collect();
    let count = places.iter().map(|place| place.layer + 1).max().unwrap_or(0);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (number, place) in places.iter().enumerate() {
        rows[place.layer].push(number);
    }
    order(&mut rows, &places);
    position(&rows, &mut places);
    paint(title, blocks, arrows, &ways, &rows, &mut places)
}

/// The layer of each block: the longest way to it; but one that nothing leads to stands just above its first user.
fn layers(count: usize, arrows: &[Arrow]) -> Vec<usize> {
    let mut into = vec![Vec::new(); count];
    for arrow in arrows {
        into[arrow.to].push(arrow.from);
    }
    let mut layers = vec![0; count];
    for block in 0..count {
        layers[block] = into[block].iter().map(|&from| layers[from] + 1).max().unwrap_or(0);
    }
    for block in 0..count {
        let users = arrows.iter().filter(|arrow| arrow.from == block).map(|arrow| layers[arrow.to]);
        if into[block].is_empty() {
            layers[block] = users.min().map_or(0, |first: usize| first.saturating_sub(1));
        }
    }
    layers
}

/// Adds a waypoint in every layer that an arrow passes; the one with room for the label lies just above its end.
fn waypoints(places: &mut Vec<Place>, arrow: &Arrow) -> Vec<usize> {
    let (first, last) = (places[arrow.from].layer, places[arrow.to].layer);
    let mut way = vec![arrow.from];
    for layer in first + 1..last {
        let label = layer + 1 == last && !arrow.label.is_empty();
        let width = if label { text_width(&arrow.label, SMALL, false) + 4.0 } else { 1.0 };
        way.push(places.len());
        places.push(Place { layer, width, ..Place::default() });
    }
    way.push(arrow.to);
    for pair in way.windows(2) {
        places[pair[0]].below.push(pair[1]);
        places[pair[1]].above.push(pair[0]);
    }
    way
}

/// Orders each layer by the mean position of the neighbours in the layer before, downwards and upwards in turn.
fn order(rows: &mut [Vec<usize>], places: &[Place]) {
    let mut rank = vec![0.0; places.len()];
    let note = |row: &[usize], rank: &mut [f64]| {
        for (at, &number) in row.iter().enumerate() {
            rank[number] = (at as f64 + 0.5) / row.len() as f64;
        }
    };
    rows.iter().for_each(|row| note(row, &mut rank));
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        for step in 0..rows.len() {
            let row = if down { step } else { rows.len() - 1 - step };
            let weight = |number: &usize| {
                let near = if down { &places[*number].above } else { &places[*number].below };
                let sum: f64 = near.iter().map(|&other| rank[other]).sum();
                if near.is_empty() { rank[*number] } else { sum / near.len() as f64 }
            };
            let mut weighted: Vec<(f64, usize)> = rows[row].iter().map(|n| (weight(n), *n)).collect();
            weighted.sort_by(|a, b| a.0.total_cmp(&b.0));
            rows[row] = weighted.into_iter().map(|(_, number)| number).collect();
            note(&rows[row], &mut rank);
        }
    }
}

/// Moves every layer towards its neighbours, keeping the order and the distances.
fn position(rows: &[Vec<usize>], places: &mut [Place]) {
    for row in rows {
        let wanted = vec![0.0; row.len()];
        settle(row, &wanted, places);
    }
    for sweep in 0..2 * SWEEPS {
        let down = sweep % 2 == 0;
        for step in 0..rows.len() {
            let row = &rows[if down { step } else { rows.len() - 1 - step }];
            let wanted: Vec<f64> = row
                .iter()
                .map(|&number| {
                    let place = &places[number];
                    let near = if down { &place.above } else { &place.below };
                    let sum: f64 = near.iter().map(|&other| places[other].x).sum();
                    if near.is_empty() { place.x } else { sum / near.len() as f64 }
                })
                .collect();
            settle(row, &wanted, places);
        }
    }
}

/// The positions nearest to the wanted ones, by least squares, that keep order and distances: with the distances taken off this
/// is isotonic regression, by merging neighbours that are out of order.
fn settle(row: &[usize], wanted: &[f64], places: &mut [Place]) {
    let mut offsets = Vec::with_capacity(row.len());
    let mut offset = 0.0;
    for (at, &number) in row.iter().enumerate() {
        if at > 0 {
            offset += 0.5 * (places[row[at - 1]].width + places[number].width) + GAP;
        }
        offsets.push(offset);
    }
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for (want, offset) in wanted.iter().zip(&offsets) {
        let mut pool = (want - offset, 1);
        while let Some(&(sum, size)) = pools.last()
            && sum / size as f64 > pool.0 / pool.1 as f64
        {
            pools.pop();
            pool = (sum + pool.0, size + pool.1);
        }
        pools.push(pool);
    }
    let means = pools.iter().flat_map(|&(sum, size)| std::iter::repeat_n(sum / size as f64, size));
    for ((&number, offset), mean) in row.iter().zip(&offsets).zip(means) {
        places[number].x = mean + offset;
    }
}

fn paint(
    title: &str,
    blocks: &[Block],
    arrows: &[Arrow],
    ways: &[Vec<usize>],
    rows: &[Vec<usize>],
    places: &mut [Place],
) -> Scene {
    let left = places.iter().map(|place| place.x - 0.5 * place.width).fold(f64::INFINITY, f64::min);
    for place in places.iter_mut() {
        place.x += MARGIN - left;
    }
    let right = places.iter().map(|place| place.x + 0.5 * place.width).fold(0.0, f64::max);
    let width = right.max(MARGIN + text_width(title, TITLE, true)) + MARGIN;
    // The top and height of each layer.
    let mut top = MARGIN + 2.0 * LEADING;
    let mut spans = Vec::with_capacity(rows.len());
    for (layer, row) in rows.iter().enumerate() {
        let labels = || arrows.iter().zip(ways).any(|(arrow, way)| has_label(arrow, way, places, layer));
        let height = match layer % 2 {
            0 => row.iter().filter_map(|&n| blocks.get(n)).map(block_height).fold(0.0, f64::max),
            _ if labels() => SMALL + 4.0,
            _ => 0.0,
        };
        spans.push((top, height));
        top += height + RISE;
    }
    let mut scene = Scene::new(width, top - RISE + MARGIN);
    scene.text((MARGIN, MARGIN + TITLE), title, TITLE, Anchor::Start).bold = true;
    for (arrow, way) in arrows.iter().zip(ways) {
        draw_arrow(&mut scene, arrow, way, places, blocks, &spans);
    }
    for (block, place) in blocks.iter().zip(places.iter()) {
        draw_block(&mut scene, block, place, spans[place.layer]);
    }
    scene
}

fn has_label(arrow: &Arrow, way: &[usize], places: &[Place], layer: usize) -> bool {
    !arrow.label.is_empty() && places[way[way.len() - 2]].layer == layer
}

fn draw_arrow(
    scene: &mut Scene,
    arrow: &Arrow,
    way: &[usize],
    places: &[Place],
    blocks: &[Block],
    spans: &[(f64, f64)],
) {
    // An arrow ends where its line does, three points above the block.
    let mut points: Vec<Point> = Vec::new();
    for (step, &number) in way.iter().enumerate() {
        let place = &places[number];
        let (top, height) = spans[place.layer];
        if step > 0 {
            let top = if step + 1 == way.len() { top - 4.0 } else { top };
            bend(&mut points, (place.x, top));
        }
        if step + 1 < way.len() {
            let own = if step == 0 { block_height(&blocks[number]) } else { height };
            points.push((place.x, top + own));
        }
    }
    let Some(&(x, y)) = points.last() else { return };
    scene.line(points, Pen::solid(0.8, GREY));
    scene.shapes.push(Shape::Area(vec![(x - 2.5, y - 1.5), (x + 2.5, y - 1.5), (x, y + 4.0)], GREY));
    if !arrow.label.is_empty() {
        let place = &places[way[way.len() - 2]];
        let (top, height) = spans[place.layer];
        let (x, half) = (place.x, 0.5 * place.width);
        let page = vec![(x - half, top), (x + half, top), (x + half, top + height), (x - half, top + height)];
        scene.shapes.push(Shape::Area(page, Colour::WHITE));
        scene.text((x, top + SMALL + 0.5), &arrow.label, SMALL, Anchor::Middle).colour = GREY;
    }
}

/// A curve from the last point, upright at both ends.
fn bend(points: &mut Vec<Point>, end: Point) {
    const STEPS: usize = 12;
    let Some(&start) = points.last() else { return };
    for step in 1..=STEPS {
        let t = step as f64 / STEPS as f64;
        // The cubic Bézier curve whose inner points are at half the height.
        let s = t * t * (3.0 - 2.0 * t);
        let rise = 1.5 * t * (1.0 - t) + t * t * t;
        points.push((start.0 + s * (end.0 - start.0), start.1 + rise * (end.1 - start.1)));
    }
}

fn draw_block(scene: &mut Scene, block: &Block, place: &Place, (top, _): (f64, f64)) {
    let (left, right) = (place.x - 0.5 * place.width, place.x + 0.5 * place.width);
    let bottom = top + block_height(block);
    let corners = vec![(left, top), (right, top), (right, bottom), (left, bottom)];
    let mut border = corners.clone();
    border.push((left, top));
    scene.shapes.push(Shape::Area(corners, block.colour));
    scene.line(border, Pen::solid(0.8, GREY));
    for (line, text) in block.lines.iter().enumerate() {
        let at = (place.x, top + PADDING + TITLE - 1.0 + LEADING * line as f64);
        let size = if line == 0 { TITLE } else { SMALL };
        scene.text(at, text, size, Anchor::Middle).bold = line == 0;
    }
}

fn block_width(block: &Block) -> f64 {
    let width = |(line, text): (usize, &String)| match line {
        0 => text_width(text, TITLE, true),
        _ => text_width(text, SMALL, false),
    };
    block.lines.iter().enumerate().map(width).fold(0.0, f64::max) + 2.0 * PADDING
}

fn block_height(block: &Block) -> f64 {
    LEADING * block.lines.len() as f64 + 2.0 * PADDING - 3.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_overlaps(edges in proptest::collection::vec((0usize..12, 0usize..12, any::<bool>()), 0..30)) {
            let blocks: Vec<Block> = (0..12)
                .map(|n| Block { lines: vec!["x".repeat(1 + 3 * n)], colour: Colour::WHITE })
                .collect();
            let arrows: Vec<Arrow> = edges
                .into_iter()
                .filter(|(from, to, _)| from < to)
                .map(|(from, to, label)| Arrow { from, to, label: if label { "matching".into() } else { String::new() } })
                .collect();
            let scene = scene("title", &blocks, &arrows);
            let boxes: Vec<_> = scene.shapes.iter().filter_map(|shape| match shape {
                Shape::Text(text) => Some(text.bounds()),
                _ => None,
            }).collect();
            for (at, a) in boxes.iter().enumerate() {
                prop_assert!(a.0 >= 0.0 && a.2 <= scene.width && a.1 >= 0.0 && a.3 <= scene.height);
                for b in &boxes[..at] {
                    let apart = a.2 <= b.0 || b.2 <= a.0 || a.3 <= b.1 || b.3 <= a.1;
                    prop_assert!(apart, "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn settled_positions_are_the_nearest_ones() {
        let mut places: Vec<Place> = (0..3).map(|_| Place { width: 10.0, ..Place::default() }).collect();
        // Two that want the same place share it evenly; one far away stays.
        settle(&[0, 1, 2], &[50.0, 50.0, 200.0], &mut places);
        let found: Vec<f64> = places.iter().map(|place| place.x).collect();
        assert_eq!(found, [50.0 - 0.5 * (10.0 + GAP), 50.0 + 0.5 * (10.0 + GAP), 200.0]);
    }
}
