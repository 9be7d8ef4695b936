//! The whole way from a file to a graph.

use crate::kind::registry::Registry;
use crate::pipeline::assemble::{Site, build};
use crate::pipeline::expand::items::Known;
use crate::pipeline::experiments::overrides::{Overlaid, Overrides};
use crate::pipeline::experiments::points;
use crate::pipeline::files::{add_file, apply_overrides, project_root, read};
use crate::pipeline::graph::{Graph, Recipe};
use crate::pipeline::include;
use crate::pipeline::yaml::diagnostics::Diagnostics;
use crate::pipeline::yaml::node::Node;
use crate::pipeline::yaml::sink::Sink;
use std::path::Path;

/// Loads a pipeline, or an experiment on one, with what the command line lays over it. Tells everything that is wrong at once.
pub fn load(file: &Path, given: &Overrides, registry: &Registry) -> Result<Graph, Diagnostics> {
    let source = read(file, &Sink::default())
        .map_err(|error| Diagnostics::whole(file.to_owned(), error.message, error.help))?;
    load_text(source, file, &project_root(file), given, registry)
}

/// Loads a pipeline from its text; `file` is its name for messages, `root` the project root.
pub fn load_text(
    source: String,
    file: &Path,
    root: &Path,
    given: &Overrides,
    registry: &Registry,
) -> Result<Graph, Diagnostics> {
    let site = Site { file, root, registry };
    from_texts(source, &site, given, &Known::default(), Sink::default())
}

/// The graph that a pipeline stands for when these items are known, from the texts that it was read from.
pub fn grow(graph: &Graph, known: &Known, registry: &Registry) -> Result<Graph, Diagnostics> {
    let Some(recipe) = &graph.recipe else { return Ok(graph.clone()) };
    let site = Site { file: &graph.file, root: &graph.root, registry };
    let source = recipe.texts.first().map(|(_, text)| text.clone()).unwrap_or_default();
    let mut sink = Sink::default();
    sink.kept.clone_from(&recipe.texts);
    let mut grown = from_texts(source, &site, &recipe.given, known, sink)?;
    // It may grow, or shrink, again.
    grown.recipe = Some(recipe.clone());
    Ok(grown)
}

fn from_texts(
    source: String,
    site: &Site,
    given: &Overrides,
    known: &Known,
    mut sink: Sink,
) -> Result<Graph, Diagnostics> {
    let file = site.file.to_owned();
    let mut graph = assemble(source, site, given, known, &mut sink);
    if let Some(graph) = &mut graph {
        graph.sources = std::mem::take(&mut sink.files);
        graph.env = sink.variables();
        graph.warnings = sink.warnings();
        if graph.tasks.iter().any(|task| task.open.is_some()) {
            let texts = std::mem::take(&mut sink.read);
            graph.recipe = Some(Recipe { texts, given: given.clone() });
        }
    }
    match (sink.finish(file.clone()), graph) {
        (None, Some(graph)) => Ok(graph),
        (Some(diagnostics), _) => Err(diagnostics),
        (None, None) => Err(Diagnostics::whole(file, "the file cannot be read", None)),
    }
}

fn assemble(source: String, site: &Site, given: &Overrides, known: &Known, sink: &mut Sink) -> Option<Graph> {
    let text = add_file(site.file, source, sink);
    let tree = Node::parse(sink.whole(text), text, 0, sink)?;
    if tree.get("pipeline").is_some() {
        return points::load(&tree, site, given, known, sink);
    }
    let mut tree = tree;
    include::expand(&mut tree, site.file, site, sink);
    let mut overlaid = Overlaid::new(tree);
    apply_overrides(&mut overlaid, given, sink);
    build(&overlaid, site, known, sink)
}
