//! From an experiment to one graph: its pipeline at every point of its sweep.

use crate::pipeline::assemble::{self, Site};
use crate::pipeline::expand::items::Known;
use crate::pipeline::expand::tasks::TASKS;
use crate::pipeline::experiments::experiment::{self, Experiment};
use crate::pipeline::experiments::overrides::{self, Overlaid, Overlay, Overrides};
use crate::pipeline::experiments::sweep::{self, Setting};
use crate::pipeline::files::{self, apply_overrides};
use crate::pipeline::graph::{Graph, SelectError, StageInfo};
use crate::pipeline::include;
use crate::pipeline::yaml::node::{Node, Yaml};
use crate::pipeline::yaml::sink::Sink;
use crate::store::short::short;

/// Loads the experiment with this tree.
pub fn load(tree: &Node, site: &Site, given: &Overrides, known: &Known, sink: &mut Sink) -> Option<Graph> {
    let experiment = experiment::read(tree, sink)?;
    let folder = files::folder_of_project(site.file);
    let (pipeline, span) = experiment.pipeline;
    let file = folder.join(pipeline);
    let text = match files::read(&file, sink) {
        Ok(source) => files::add_file(&file, source, sink),
        Err(error) => {
            sink.add(Some(span), error.message, error.help);
            return None;
        }
    };
    let base = Node::parse(sink.whole(text), text, 0, sink)?;
    if base.get("pipeline").is_some() {
        let message = format!("`{pipeline}` is an experiment, not a pipeline");
        sink.help(span, message, "name the pipeline that it is on");
        return None;
    }
    let mut base = base;
    include::expand(&mut base, &file, site, sink);
    let mut overlaid = Overlaid::new(base);
    for (name, span) in &experiment.params_files {
        let file = folder.join(name);
        match files::read(&file, sink) {
            Ok(source) => {
                let text = files::add_file(&file, source, sink);
                overrides::entries(text, sink)
                    .iter()
                    .for_each(|entry| overlaid.apply(entry, Overlay::Merge, sink));
            }
            Err(error) => sink.add(Some(*span), error.message, error.help),
        }
    }
    experiment.params.iter().for_each(|entry| overlaid.apply(entry, Overlay::Merge, sink));
    let sets = apply_overrides(&mut overlaid, given, sink);
    override_metrics(&mut overlaid.tree, &experiment);
    let settings = match experiment.sweep {
        Some(sweep) => sweep::read(sweep, sink)?,
        None => vec![Setting::default()],
    };
    for entry in experiment.params.iter().chain(&sets) {
        if sweep::place(&settings, &entry.key).is_some() {
            let message = format!("`{}` is swept by `{}`, so it cannot be set", entry.key, experiment.name);
            sink.help(entry.span, message, "remove it here, or from the sweep");
        }
    }
    let mut graphs = Vec::with_capacity(settings.len());
    let one = settings.len() == 1;
    let mut tasks = 0;
    for setting in settings {
        let mut point = overlaid.clone();
        setting.values.iter().for_each(|value| point.apply(value, Overlay::Replace, sink));
        let prefix = if one { String::new() } else { format!("{}/", setting.name) };
        let Some(mut graph) = assemble::build(&point, site, &known.below(&prefix), sink) else {
            // Other points have more of the same.
            return None;
        };
        keep(&mut graph, &experiment, sink);
        tasks += graph.tasks.len();
        if let (true, Some(sweep)) = (tasks > TASKS, experiment.sweep) {
            sink.error(sweep.span, format!("the experiment has more than {TASKS} tasks"));
            return None;
        }
        graphs.push((if one { String::new() } else { setting.name }, graph));
    }
    (sink.count() == 0).then(|| join(experiment.name, site, graphs))
}

/// The experiment's metrics take the place of the pipeline's of the same name.
fn override_metrics(tree: &mut Node, experiment: &Experiment) {
    let Yaml::Map(fields) = &mut tree.value else { return };
    if experiment.metrics.is_empty() {
        return;
    }
    let at = match fields.iter().position(|field| field.key == "metrics") {
        Some(at) => at,
        None => {
            let first = &experiment.metrics[0];
            let value = Node { span: first.span, value: Yaml::Null };
            fields.push(crate::pipeline::yaml::node::Entry {
                key: "metrics".to_owned(),
                span: first.span,
                value,
            });
            fields.len() - 1
        }
    };
    let metrics = &mut fields[at].value.value;
    if *metrics == Yaml::Null {
        *metrics = Yaml::Map(Vec::new());
    }
    let Yaml::Map(metrics) = metrics else { return };
    for metric in experiment.metrics {
        match metrics.iter_mut().find(|old| old.key == metric.key) {
            Some(old) => *old = metric.clone(),
            None => metrics.push(metric.clone()),
        }
    }
}

/// Leaves out the tasks that the experiment does not ask for, and the pipeline's metrics of them.
fn keep(graph: &mut Graph, experiment: &Experiment, sink: &Sink) {
    if experiment.tasks.is_empty() {
        return;
    }
    let mut wanted = Vec::new();
    for (word, span) in &experiment.tasks {
        match graph.select(word) {
            Ok(tasks) => wanted.extend(tasks),
            Err(SelectError::NoStage { stage, help }) => {
                sink.add(Some(*span), format!("there is no stage `{stage}`"), help);
            }
            Err(error) => sink.error(*span, error.to_string()),
        }
    }
    let kept = graph.ancestors(&wanted);
    let mut position = vec![None; graph.tasks.len()];
    for (new, &old) in kept.iter().enumerate() {
        position[old] = Some(new);
    }
    let mut at = 0;
    graph.tasks.retain(|_| {
        at += 1;
        position[at - 1].is_some()
    });
    shift(graph, |task| position[task].unwrap_or(task));
    for stage in &mut graph.stages {
        stage.tasks = stage.tasks.iter().filter_map(|&task| position[task]).collect();
    }
    graph.stages.retain(|stage| !stage.tasks.is_empty());
    let there: std::collections::HashSet<&str> = graph.tasks.iter().map(|task| task.id.as_str()).collect();
    for metric in graph.points.iter().flat_map(|point| &point.metrics) {
        let own = experiment.metrics.iter().find(|own| own.key == metric.name);
        if let (Some(own), Some(left)) = (own, metric.tasks.iter().find(|t| !there.contains(t.task.as_str())))
        {
            let message = format!("metric `{}` reads `{}`, which `tasks` leaves out", own.key, left.task);
            sink.help(own.span, message, "add it to `tasks`");
        }
    }
    for point in &mut graph.points {
        point.metrics.retain(|metric| metric.tasks.iter().all(|t| there.contains(t.task.as_str())));
    }
}

/// Renumbers the tasks that inputs come from.
fn shift(graph: &mut Graph, new: impl Fn(usize) -> usize) {
    graph.tasks.iter_mut().for_each(|task| task.renumber(&new));
}

/// One graph of the points' graphs, each task under the name of its point.
fn join(name: &str, site: &Site, graphs: Vec<(String, Graph)>) -> Graph {
    let mut whole = Graph {
        name: name.to_owned(),
        file: site.file.to_owned(),
        root: site.root.to_owned(),
        experiment: true,
        points: Vec::with_capacity(graphs.len()),
        tasks: Vec::new(),
        stages: Vec::new(),
        pools: graphs.first().map(|(_, graph)| graph.pools.clone()).unwrap_or_default(),
        sources: Vec::new(),
        recipe: None,
        identities: Vec::new(),
        env: Vec::new(),
        warnings: Vec::new(),
    };
    for (point, mut graph) in graphs {
        let offset = whole.tasks.len();
        shift(&mut graph, |task| task + offset);
        let prefix = if point.is_empty() { String::new() } else { format!("{point}/") };
        let folder = if point.is_empty() { String::new() } else { format!("{}/", short(&point)) };
        whole.tasks.extend(graph.tasks.into_iter().map(|mut task| {
            task.id.insert_str(0, &prefix);
            task.folder.insert_str(0, &folder);
            task
        }));
        for mut own in graph.points {
            own.name.clone_from(&point);
            for task in own.metrics.iter_mut().flat_map(|metric| &mut metric.tasks) {
                task.task.insert_str(0, &prefix);
            }
            whole.points.push(own);
        }
        for stage in graph.stages {
            let tasks = stage.tasks.iter().map(|task| task + offset);
            match whole.stages.iter_mut().find(|other| other.name == stage.name) {
                Some(other) => {
                    other.tasks.extend(tasks);
                    let new: Vec<String> =
                        stage.axes.into_iter().filter(|axis| !other.axes.contains(axis)).collect();
                    other.axes.extend(new);
                }
                None => {
                    let tasks = tasks.collect();
                    whole.stages.push(StageInfo { tasks, ..stage });
                }
            }
        }
    }
    whole
}
