//! A pipeline's plan as a drawing: for Graphviz, for Mermaid, and (laid out in [`crate::plan::picture`]) as SVG.

use crate::pipeline::graph::{Graph, Task};
use crate::plan::picture::{Edge, Ink, Picture, Tile};
use crate::plan::planned::{Planned, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// What would happen to the tasks of a node: how many are of each of the `CLASSES`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([usize; CLASSES.len()]);

/// A stage, or one task of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// `law`, or `motion ×15 (system, diffusion)`.
    pub title: String,
    pub kind: String,
    pub counts: Counts,
}

/// The drawing, before it is laid out. Outputs of an edge's `from` are inputs of `to`, or `to` waits for `from`. The label says
/// `matching`, how many of the instances are taken, or `after` where nothing is; it is empty when each takes all.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    pub name: String,
    /// Every node after those that it takes from.
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
}

/// The class of a node by what would happen: its name, how it reads, and its colour.
const CLASSES: [(&str, &str, u32); 5] = [
    ("cached", "cached", 0xd9eedc),
    ("execute", "to execute", 0xfbddb5),
    ("depends", "depends", 0xe1e6f0),
    ("skip", "skipped", 0xf2f2f2),
    ("fail", "to fail", 0xf3c6c6),
];
/// The positions in `CLASSES` by what a node of several is coloured for.
const RANKS: [usize; CLASSES.len()] = [4, 1, 2, 0, 3];

impl Counts {
    fn add(&mut self, verdict: &Verdict) {
        let class = match verdict {
            Verdict::Current | Verdict::Restore | Verdict::Fetch { .. } => 0,
            Verdict::Execute { .. } => 1,
            Verdict::Depends { .. } | Verdict::Each { .. } => 2,
            Verdict::Skip { .. } => 3,
            Verdict::Fail { .. } => 4,
        };
        self.0[class] += 1;
    }

    /// The counts of both.
    fn plus(self, other: Counts) -> Counts {
        Counts(std::array::from_fn(|class| self.0[class] + other.0[class]))
    }

    /// `12 cached, 3 to execute`; without numbers for a single task.
    fn text(&self) -> String {
        let single = self.0.iter().sum::<usize>() == 1;
        let shown = self.0.iter().zip(CLASSES).filter(|(count, _)| **count > 0);
        let shown = shown
            .map(|(count, (_, words, _))| if single { words.into() } else { format!("{count} {words}") });
        shown.collect::<Vec<String>>().join(", ")
    }

    /// Its position in `CLASSES`: what would happen first.
    fn class(&self) -> usize {
        RANKS.into_iter().find(|class| self.0[*class] > 0).unwrap_or(0)
    }
}

impl Drawing {
    /// Draws the planned tasks, a stage as one node or every task as its own.
    pub fn new(graph: &Graph, planned: &[Option<Planned>], grouped: bool) -> Drawing {
        let mut nodes: Vec<Node> = Vec::new();
        let mut members: Vec<Vec<usize>> = Vec::new();
        let mut node_of: Vec<Option<usize>> = vec![None; graph.tasks.len()];
        let mut by_stage: BTreeMap<&str, usize> = BTreeMap::new();
        for (number, planned) in planned.iter().enumerate() {
            let Some(planned) = planned else { continue };
            let task = &graph.tasks[number];
            let fresh = nodes.len();
            let at = if grouped { *by_stage.entry(&task.stage).or_insert(fresh) } else { fresh };
            if at == fresh {
                let title = if grouped { task.stage.clone() } else { task.id.clone() };
                nodes.push(Node { title, kind: task.kind.clone(), counts: Counts::default() });
                members.push(Vec::new());
            }
            nodes[at].counts.add(&planned.verdict);
            members[at].push(number);
            node_of[number] = Some(at);
        }
        if grouped {
            for (node, members) in nodes.iter_mut().zip(&members) {
                let axes: Vec<&str> =
                    graph.tasks[members[0]].labels.iter().map(|(axis, _)| axis.as_str()).collect();
                if !axes.is_empty() {
                    let open = members.iter().any(|task| graph.tasks[*task].open.is_some());
                    let count = if open { "?".to_owned() } else { members.len().to_string() };
                    node.title = format!("{} ×{count} ({})", node.title, axes.join(", "));
                }
            }
        }
        let mut pairs: BTreeMap<(usize, usize), BTreeSet<(usize, usize)>> = BTreeMap::new();
        for (number, task) in graph.tasks.iter().enumerate() {
            for up in task.dependencies() {
                if let (Some(from), Some(to)) = (node_of[up], node_of[number]) {
                    pairs.entry((from, to)).or_default().insert((up, number));
                }
            }
        }
        let edges = pairs.into_iter().map(|((from, to), pairs)| {
            let label = label(graph, &members[from], &members[to], &pairs);
            Edge { from, to, label }
        });
        Drawing { name: graph.name.clone(), edges: edges.collect(), nodes }
    }

    /// To be laid out.
    pub fn picture(&self) -> Picture {
        let total = self.nodes.iter().fold(Counts::default(), |sum, node| sum.plus(node.counts));
        let tile = |node: &Node| Tile { lines: node.lines(), fill: hex(node.colour()), link: None };
        Picture {
            title: format!("{}: {}", self.name, total.text()),
            tiles: self.nodes.iter().map(tile).collect(),
            edges: self.edges.clone(),
            ink: Ink::PRINT,
        }
    }

    /// For Graphviz.
    pub fn dot(&self) -> String {
        let mut text = format!("digraph \"{}\" {{\n", dot_text(&self.name));
        text += "  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n";
        text += "  edge [fontname=\"sans-serif\", fontsize=10];\n";
        for (number, node) in self.nodes.iter().enumerate() {
            let label: Vec<String> = node.lines().iter().map(|line| dot_text(line)).collect();
            let (class, _, colour) = CLASSES[node.counts.class()];
            let (label, colour) = (label.join("\\n"), hex(colour));
            text += &format!("  n{number} [label=\"{label}\", class=\"{class}\", fillcolor=\"{colour}\"];\n");
        }
        for Edge { from, to, label } in &self.edges {
            let label =
                if label.is_empty() { String::new() } else { format!(" [label=\"{}\"]", dot_text(label)) };
            text += &format!("  n{from} -> n{to}{label};\n");
        }
        text + "}\n"
    }

    /// For Mermaid, as in Markdown pages.
    pub fn mermaid(&self) -> String {
        let mut text = "flowchart TD\n".to_owned();
        for (number, node) in self.nodes.iter().enumerate() {
            let label: Vec<String> = node.lines().iter().map(|line| mermaid_text(line)).collect();
            let (class, ..) = CLASSES[node.counts.class()];
            text += &format!("  n{number}[\"{}\"]:::{class}\n", label.join("<br/>"));
        }
        for Edge { from, to, label } in &self.edges {
            let label =
                if label.is_empty() { String::new() } else { format!("|\"{}\"|", mermaid_text(label)) };
            text += &format!("  n{from} -->{label} n{to}\n");
        }
        // The rarer ones only where there are some.
        let used = |class: usize| class < 3 || self.nodes.iter().any(|node| node.counts.class() == class);
        for (class, _, colour) in (0..).zip(CLASSES).filter(|(class, _)| used(*class)).map(|(_, class)| class)
        {
            text += &format!("  classDef {class} fill:{},stroke:#555,color:#222\n", hex(colour));
        }
        text
    }
}

impl Node {
    /// The colour of its box by what would happen, `0xRRGGBB`.
    fn colour(&self) -> u32 {
        CLASSES[self.counts.class()].2
    }

    /// The lines of its box.
    fn lines(&self) -> Vec<String> {
        vec![self.title.clone(), self.kind.clone(), self.counts.text()]
    }
}

/// How the instances of two stages go together.
fn label(graph: &Graph, from: &[usize], to: &[usize], pairs: &BTreeSet<(usize, usize)>) -> String {
    let task = |number: usize| -> &Task { &graph.tasks[number] };
    if !pairs.iter().any(|(up, down)| task(*down).suppliers().any(|supplier| supplier == *up)) {
        return "after".into();
    }
    if pairs.len() == from.len() * to.len() {
        return String::new();
    }
    let shared = |task: &Task, axis: &str| task.labels.iter().any(|(name, _)| name == axis);
    let common: Vec<&str> = task(from[0])
        .labels
        .iter()
        .map(|(axis, _)| axis.as_str())
        .filter(|axis| shared(task(to[0]), axis))
        .collect();
    let value = |number: usize, axis: &str| task(number).labels.iter().find(|(name, _)| name == axis);
    let agree =
        |(up, down): &(usize, usize)| common.iter().all(|axis| value(*up, axis) == value(*down, axis));
    if !common.is_empty() && pairs.iter().all(agree) {
        return "matching".into();
    }
    let used: BTreeSet<usize> = pairs.iter().map(|(up, _)| *up).collect();
    match used.len() == from.len() {
        true => "some of each".into(),
        false => format!("{} of {}", used.len(), from.len()),
    }
}

fn hex(colour: u32) -> String {
    format!("#{colour:06x}")
}

/// Inside the quotes of Graphviz.
fn dot_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Inside the quotes of Mermaid, where entities begin with `#`.
fn mermaid_text(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | '`' | '\\' | '\n' | '*' | '_' => {
                escaped += &format!("#{};", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    escaped
}
