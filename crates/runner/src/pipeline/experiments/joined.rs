//! The stages of an experiment itself: each runs once, over the points of its sweep.
//!
//! ```yaml
//! stages:
//!   curve:
//!     kind: figure
//!     inputs: {loss: train.loss}       # of every point, with what the sweep varies as columns
//!     params: {marks: [{mark: points, input: loss, x: lr, y: loss, series: width}]}
//! ```

use crate::pipeline::assemble::Site;
use crate::pipeline::expand::instance::normal;
use crate::pipeline::expand::items::Known;
use crate::pipeline::expand::link;
use crate::pipeline::expand::numbers::{self, Given};
use crate::pipeline::expand::publish;
use crate::pipeline::expand::tasks;
use crate::pipeline::graph::{Graph, Source, StageInfo, Task, label_text};
use crate::pipeline::spec::{self, reference};
use crate::pipeline::yaml::node::{Entry, Node, Yaml};
use crate::pipeline::yaml::sink::{Sink, Span};
use onsager_tables::names::{did_you_mean, list};

/// Adds the stages to the graph of all points. `params` are those of the pipeline that no point sets otherwise.
pub fn add(graph: &mut Graph, name: &str, stages: &Entry, params: Vec<Entry>, site: &Site, sink: &Sink) {
    let span = stages.span;
    let field = |key: &str, value: Yaml| Entry { key: key.to_owned(), span, value: Node { span, value } };
    let entries =
        vec![field("name", Yaml::Text(name.to_owned())), field("params", Yaml::Map(params)), stages.clone()];
    let tree = Node { span, value: Yaml::Map(entries) };
    let Some(mut spec) = spec::read(&tree, site.registry, sink) else { return };
    let params = tasks::params(spec.params, site.registry, sink);
    let mut drafts = tasks::expand(&spec, &params, &graph.pools, &Known::default(), site.registry, sink);
    let metrics = graph.points.first().map(|point| point.metrics.as_slice()).unwrap_or_default();
    let declared: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
    let (claims, swept) = (graph.claims.as_slice(), graph.swept.as_slice());
    let given = Given { metrics, declared: &declared, claims, swept };
    numbers::give(&spec, &mut drafts, given, site.registry, sink);
    // What is made at the points is found here; the rest is linked as in a pipeline.
    let mut made: Vec<Vec<(&str, Span, Vec<(&str, Span)>)>> = Vec::new();
    for stage in &mut spec.stages {
        let mut inputs = Vec::new();
        for input in &mut stage.inputs {
            let mut artifacts = Vec::new();
            for reference in std::mem::take(&mut input.references) {
                match reference {
                    spec::Reference::Artifact(text, span) => artifacts.push((text, span)),
                    other => input.references.push(other),
                }
            }
            inputs.push((input.name, input.span, artifacts));
        }
        made.push(inputs);
    }
    let linked = link::link(&spec, &drafts, &params, site.root, site.registry, sink);
    let mut linked: Vec<Option<link::Links>> = linked.into_iter().map(Some).collect();
    for ((stage, range), made) in spec.stages.iter().zip(&drafts.stages).zip(made) {
        if let Some(matrix) = stage.matrix {
            let help = "give the matrix to a stage of the pipeline, or name the stages one by one";
            sink.help(matrix.span, "a stage of an experiment has no `matrix`", help);
            continue;
        }
        if let Some((_, span)) = stage.after.first() {
            sink.help(*span, "a stage of an experiment has no `after`", "give it an input");
            continue;
        }
        if let Some(when) = stage.node.get("when") {
            let help = "give the condition to a stage of the pipeline";
            sink.help(when.span, "a stage of an experiment has no `when`", help);
            continue;
        }
        if graph.stages.iter().any(|other| other.name == stage.name) {
            let message = format!("`{}` is a stage of the pipeline already", stage.name);
            sink.help(stage.span, message, "give the experiment's stage another name");
            continue;
        }
        let Some(at) = range.as_ref().map(|range| range.start) else { continue };
        let Some(mut inputs) = linked.get_mut(at).and_then(Option::take).map(|links| links.inputs) else {
            continue;
        };
        let named = stage.kind.and_then(|(name, _)| site.registry.get(name)).map(|kind| kind.inputs());
        for (name, span, references) in made {
            let mut sources = Vec::new();
            for (text, span) in references {
                artifacts(graph, text, span, name, &mut sources, sink);
            }
            let one = |named: &crate::kind::stage::Input| named.name == name && !named.many;
            if sources.len() > 1 && named.as_ref().is_some_and(|inputs| inputs.named.iter().any(one)) {
                let message = format!("input `{name}` takes one artifact, not {}", sources.len());
                sink.help(span, message, "give it to a stage of the pipeline, which runs at each point");
            }
            if let Some((_, given)) = inputs.iter_mut().find(|(other, _)| other == name) {
                given.splice(0..0, sources);
            }
        }
        let Some(draft) = drafts.tasks.get(at) else { continue };
        for (input, from, _) in numbers::inputs(&draft.params) {
            let mut sources = Vec::new();
            artifacts(graph, &from, stage.span, "", &mut sources, sink);
            inputs.push((input, sources));
        }
        let (Some(outputs), Some((kind, _))) = (&draft.outputs, stage.kind) else { continue };
        graph.stages.push(StageInfo {
            name: stage.name.to_owned(),
            kind: kind.to_owned(),
            description: stage.description.map(str::to_owned),
            axes: Vec::new(),
            publish: publish::read(stage, Some(outputs), sink),
            tasks: vec![graph.tasks.len()],
        });
        graph.tasks.push(Task {
            id: draft.id.clone(),
            stage: stage.name.to_owned(),
            point: None,
            folder: stage.name.to_owned(),
            labels: Vec::new(),
            kind: kind.to_owned(),
            params: draft.params.clone(),
            inputs,
            after: Vec::new(),
            when: None,
            open: None,
            outputs: outputs.clone(),
            resources: draft.resources.clone(),
            sandbox: draft.sandbox,
        });
    }
}

/// Adds the artifacts of every point that a reference stands for, or that of a stage of the experiment above.
fn artifacts(graph: &Graph, text: &str, span: Span, input: &str, sources: &mut Vec<Source>, sink: &Sink) {
    let reference = match reference::parse(text) {
        Ok(reference) if !reference.matching => reference,
        Ok(_) => {
            let help = "write `stage` for all of them, or `stage[axis=value]`";
            return sink.help(span, "a stage of an experiment has no matrix to match", help);
        }
        Err(error) => {
            return sink.help(span, format!("`{text}` is no reference: {error}"), "write `stage.output`");
        }
    };
    let Some(stage) = graph.stages.iter().find(|stage| stage.name == reference.stage) else {
        let names = graph.stages.iter().map(|stage| stage.name.as_str());
        let help = did_you_mean(&reference.stage, names, "the stages of the pipeline, and those above, are");
        return sink.add(
            Some(sink.narrow(span, &reference.stage)),
            format!("there is no stage `{}`", reference.stage),
            help,
        );
    };
    let agrees = |task: &Task| {
        reference.wanted.iter().all(|(axis, value)| {
            task.labels.iter().any(|(name, label)| name == axis && normal(&label_text(label)) == *value)
        })
    };
    let found: Vec<usize> = stage.tasks.iter().copied().filter(|&task| agrees(&graph.tasks[task])).collect();
    let Some(&first) = found.first() else {
        let ids: Vec<&str> = stage.tasks.iter().map(|&task| graph.tasks[task].id.as_str()).collect();
        let message = format!("`{text}` matches no instance of stage `{}`", reference.stage);
        return sink.help(span, message, format!("the instances are {}", list(&ids)));
    };
    let names: Vec<&str> = graph.tasks[first].outputs.iter().map(|output| output.name.as_str()).collect();
    let wanted = match (&reference.output, names.as_slice()) {
        (Some(output), _) => output.as_str(),
        (None, [only]) => only,
        (None, _) => input,
    };
    if !names.contains(&wanted) {
        let help = did_you_mean(wanted, names.iter().copied(), "its outputs are");
        return sink.add(Some(span), format!("stage `{}` has no output `{wanted}`", reference.stage), help);
    }
    for task in found {
        let made = &graph.tasks[task];
        let output = made.outputs.iter().position(|output| output.name == wanted);
        sources.extend(output.map(|output| match made.open {
            // The tasks that it stands for are known when what they are of is made.
            Some(_) => Source::Open { task, name: text.to_owned() },
            None => Source::Artifact { task, output, member: reference.member.clone() },
        }));
    }
}
