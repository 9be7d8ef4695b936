//! The whole way from a file to a graph.

use crate::kind::registry::Registry;
use crate::pipeline::assemble::{Site, build};
use crate::pipeline::experiments::overrides::{Overlaid, Overrides};
use crate::pipeline::experiments::points;
use crate::pipeline::files::{add_file, apply_overrides, project_root, read};
use crate::pipeline::graph::Graph;
use crate::pipeline::yaml::diagnostics::Diagnostics;
use crate::pipeline::yaml::node::Node;
use crate::pipeline::yaml::sink::Sink;
use std::path::Path;

/// Loads a pipeline, or an experiment on one, with what the command line lays over it. Tells everything that is wrong at once.
pub fn load(file: &Path, given: &Overrides, registry: &Registry) -> Result<Graph, Diagnostics> {
    let source =
        read(file).map_err(|error| Diagnostics::whole(file.to_owned(), error.message, error.help))?;
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
    let mut sink = Sink::default();
    let site = Site { file, root, registry };
    let mut graph = assemble(source, &site, given, &mut sink);
    if let Some(graph) = &mut graph {
        graph.sources = std::mem::take(&mut sink.files);
        graph.env = sink.variables();
        graph.warnings = sink.warnings();
    }
    match (sink.finish(file.to_owned()), graph) {
        (None, Some(graph)) => Ok(graph),
        (Some(diagnostics), _) => Err(diagnostics),
        (None, None) => Err(Diagnostics::whole(file.to_owned(), "the file cannot be read", None)),
    }
}

fn assemble(source: String, site: &Site, given: &Overrides, sink: &mut Sink) -> Option<Graph> {
    let text = add_file(site.file, source, sink);
    let tree = Node::parse(sink.whole(text), text, 0, sink)?;
    if tree.get("pipeline").is_some() {
        return points::load(&tree, site, given, sink);
    }
    let mut overlaid = Overlaid::new(tree);
    apply_overrides(&mut overlaid, given, sink);
    build(&overlaid, site, sink)
}
