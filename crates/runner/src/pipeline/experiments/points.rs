//! From an experiment to one graph: its pipeline at every point of its sweep.

use crate::numbers::claims::metric_of;
use crate::pipeline::assemble::{self, Site};
use crate::pipeline::expand::items::Known;
use crate::pipeline::expand::tasks::TASKS;
use crate::pipeline::experiments::experiment::{self, Experiment};
use crate::pipeline::experiments::joined;
use crate::pipeline::experiments::overrides::{self, Overlaid, Overlay, Overrides};
use crate::pipeline::experiments::sweep::read::read;
use crate::pipeline::experiments::sweep::search::Search;
use crate::pipeline::experiments::sweep::setting::{Setting, place};
use crate::pipeline::files::{self, apply_overrides};
use crate::pipeline::graph::{Graph, SelectError, StageInfo};
use crate::pipeline::include;
use crate::pipeline::spec::metrics::Metric;
use crate::pipeline::yaml::node::{Entry, Node, Yaml};
use crate::pipeline::yaml::sink::Sink;
use crate::store::short::short;
use onsager_tables::names::did_you_mean;
use std::path::Path;

/// The folder of the project that keeps the points of searches.
const SEARCHES: &str = "searches";

/// Loads the experiment with this tree.
pub fn load(tree: &Node, site: &Site, given: &Overrides, known: &Known, sink: &mut Sink) -> Option<Graph> {
    let experiment = experiment::read(tree, sink)?;
    let folder = files::folder_of_project(site.file);
    let (pipeline, span) = experiment.pipeline;
    let file = folder.join(pipeline);
    let text = files::open(&file, Some(span), sink)?;
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
        if let Some(text) = files::open(&file, Some(*span), sink) {
            overrides::entries(text, sink)
                .iter()
                .for_each(|entry| overlaid.apply(entry, Overlay::Merge, sink));
        }
    }
    experiment.params.iter().for_each(|entry| overlaid.apply(entry, Overlay::Merge, sink));
    let sets = apply_overrides(&mut overlaid, given, sink);
    override_metrics(&mut overlaid.tree, &experiment, sink);
    add_claims(&mut overlaid.tree, experiment.claims);
    let state = site.root.join(SEARCHES).join(experiment.name).with_extension("json");
    let (settings, search) = match experiment.sweep {
        Some(sweep) => read(sweep, &state, sink)?,
        None => (vec![Setting::default()], None),
    };
    let of_points: Vec<usize> = settings.iter().filter_map(|setting| setting.search).collect();
    for entry in experiment.params.iter().chain(&sets) {
        if place(&settings, &entry.key).is_some() {
            let message = format!("`{}` is swept by `{}`, so it cannot be set", entry.key, experiment.name);
            sink.help(entry.span, message, "remove it here, or from the sweep");
        }
    }
    let mut graphs = Vec::with_capacity(settings.len());
    let one = settings.len() == 1 && search.is_none();
    let mut tasks = 0;
    for setting in settings {
        let mut point = overlaid.clone();
        setting.values.iter().for_each(|value| point.apply(value, Overlay::Replace, sink));
        let prefix = if one { String::new() } else { format!("{}/", setting.name) };
        let Some(mut graph) = assemble::build(&point, site, &known.below(&prefix), sink) else {
            // Other points have more of the same.
            return None;
        };
        keep(&mut graph, &experiment, site.file, sink);
        tasks += graph.tasks.len();
        if let (true, Some(sweep)) = (tasks > TASKS, experiment.sweep) {
            sink.error(sweep.span, format!("the experiment has more than {TASKS} tasks"));
            return None;
        }
        graphs.push((if one { String::new() } else { setting.name }, graph));
    }
    if let (Some(found), Some((_, graph))) = (&search, graphs.first()) {
        let metrics =
            || graph.points.iter().flat_map(|point| &point.metrics).map(|metric| metric.name.as_str());
        let metric = &found.search.metric;
        if !metrics().any(|name| name == metric) {
            let help = did_you_mean(metric, metrics(), "there are")
                .unwrap_or_else(|| "declare it under `metrics`".to_owned());
            sink.help(found.metric, format!("there is no metric `{metric}` to search by"), help);
        }
    }
    if sink.count() > 0 {
        return None;
    }
    let mut graph = join(experiment.name, site, graphs);
    graph.about = experiment.about.clone().or(graph.about);
    if let Some(stages) = experiment.stages {
        let params =
            overlaid.tree.get("params").and_then(|params| params.value.entries()).unwrap_or_default();
        let same = |param: &&Entry| !graph.swept.contains(&param.key);
        let params = params.iter().filter(same).cloned().collect();
        joined::add(&mut graph, experiment.name, stages, params, site, sink);
        if sink.count() > 0 {
            return None;
        }
    }
    if let Some(found) = search {
        sink.files.push(found.source);
        graph.search = Some(Search { of_points, ..found.search });
    }
    Some(graph)
}

/// The experiment's metrics take the place of the pipeline's of the same name; an empty one drops it.
fn override_metrics(tree: &mut Node, experiment: &Experiment, sink: &Sink) {
    let Yaml::Map(fields) = &mut tree.value else { return };
    if experiment.metrics.is_empty() {
        return;
    }
    let at = match fields.iter().position(|field| field.key == "metrics") {
        Some(at) => at,
        None => {
            let first = &experiment.metrics[0];
            let value = Node { span: first.span, value: Yaml::Null };
            fields.push(Entry { key: "metrics".to_owned(), span: first.span, value });
            fields.len() - 1
        }
    };
    let metrics = &mut fields[at].value.value;
    if *metrics == Yaml::Null {
        *metrics = Yaml::Map(Vec::new());
    }
    let Yaml::Map(metrics) = metrics else { return };
    for metric in experiment.metrics {
        if metric.value.value == Yaml::Null {
            let before = metrics.len();
            metrics.retain(|old| old.key != metric.key);
            if metrics.len() == before {
                let help = did_you_mean(&metric.key, metrics.iter().map(|old| old.key.as_str()), "it has")
                    .unwrap_or_else(|| "write `{from: stage.output, column: name}` to add one".to_owned());
                sink.help(metric.span, format!("the pipeline has no metric `{}` to drop", metric.key), help);
            }
            continue;
        }
        match metrics.iter_mut().find(|old| old.key == metric.key) {
            Some(old) => *old = metric.clone(),
            None => metrics.push(metric.clone()),
        }
    }
}

/// The experiment's claims stand behind the pipeline's.
fn add_claims(tree: &mut Node, claims: Option<&Entry>) {
    let (Yaml::Map(fields), Some(own)) = (&mut tree.value, claims) else { return };
    match (fields.iter_mut().find(|field| field.key == "claims"), &own.value.value) {
        (Some(Entry { value: Node { value: Yaml::List(claims), .. }, .. }), Yaml::List(more)) => {
            claims.extend(more.iter().cloned());
        }
        // What is no list is reported where the claims are read.
        (Some(field), _) => *field = own.clone(),
        (None, _) => fields.push(own.clone()),
    }
}

/// Leaves out the tasks that the experiment does not ask for, and the pipeline's metrics of them.
fn keep(graph: &mut Graph, experiment: &Experiment, file: &Path, sink: &Sink) {
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
        point.fanned.retain(|fanned| there.contains(fanned.over.as_str()));
        point.metrics.retain(|metric| metric.tasks.iter().all(|t| there.contains(t.task.as_str())));
    }
    // The pipeline's claims of what is left out are, too.
    let metrics: Vec<&Metric> = graph.points.iter().flat_map(|point| &point.metrics).collect();
    let left = |name: &&str| metrics.iter().any(|metric| metric.name == metric_of(name));
    let own = file.display().to_string();
    graph.claims.retain(|claimed| claimed.file == own || claimed.claim.names().iter().all(&left));
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
        swept: Vec::new(),
        tasks: Vec::new(),
        stages: Vec::new(),
        pools: graphs.first().map(|(_, graph)| graph.pools.clone()).unwrap_or_default(),
        about: graphs.first().map(|(_, graph)| graph.about.clone()).unwrap_or_default(),
        claims: graphs.first().map(|(_, graph)| graph.claims.clone()).unwrap_or_default(),
        search: None,
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
            task.point = Some(whole.points.len());
            task
        }));
        for mut own in graph.points {
            own.name.clone_from(&point);
            for fanned in &mut own.fanned {
                fanned.stage.insert_str(0, &prefix);
                fanned.over.insert_str(0, &prefix);
            }
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
    if let [first, rest @ ..] = &whole.points[..] {
        let varies =
            |name: &&String| rest.iter().any(|point| point.params.get(*name) != first.params.get(*name));
        whole.swept = first.params.keys().filter(varies).cloned().collect();
    }
    whole
}
