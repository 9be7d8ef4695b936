//! What happened: the run, each task that made a result, and what set it going.

use crate::export::ro_crate::entities::{Entities, encoded, local, reference};
use crate::export::ro_crate::told::{Told, parameters, typed};
use crate::pages::made::Record;
use crate::pages::names::{point_and_stage, shell_word};
use crate::run::account::{Standing, TaskAccount};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// So many parameters of a task are told one by one; all of them are in its record.
const PARAMETERS: usize = 50;

/// The engine.
const ENGINE: &str = "#onsager";

/// The step of a workflow that is a stage.
pub fn step(workflow: &str, stage: &str) -> String {
    format!("{workflow}#{}", encoded(stage))
}

/// The kind of a stage, as the program that does it.
pub fn tool(record: &Record, entities: &mut Entities) -> Value {
    let code: String = record.code.chars().take(12).collect();
    let fields = json!({
        "@type": "SoftwareApplication",
        "name": record.kind,
        "description": format!("The stage kind `{}` of onsager.", record.kind),
        "softwareVersion": record.code,
        "softwareRequirements": reference(ENGINE),
    });
    entities.add(&local("kind", &format!("{}-{code}", record.kind)), fields)
}

/// Adds all that happened, and gives the actions that the crate is about.
pub fn add(
    told: &Told,
    objects: &BTreeMap<String, Value>,
    workflow: &Value,
    authors: &[Value],
    entities: &mut Entities,
) -> Vec<Value> {
    let account = told.account;
    let engine = json!({
        "@type": "SoftwareApplication",
        "name": "onsager",
        "description": "Runs experiment pipelines with reproducible artifacts.",
        "softwareVersion": account.version,
        "identifier": account.facts.as_ref().and_then(|facts| facts.program).map(|digest| digest.to_string()),
    });
    let engine = entities.add(ENGINE, engine);
    let agent = agent(told, authors, entities);
    let (mut controls, mut made) = (Vec::new(), Vec::new());
    for named in told.tasks {
        let task = &named.0;
        let Some(record) = told.made.record(task) else { continue };
        let known = account.tasks.get(task);
        let action = task_action(named, record, known, objects, agent.as_ref(), entities);
        let stage = point_and_stage(task).1;
        let step = reference(&step(&told.workflow(), stage));
        let control = json!({"@type": "ControlAction", "name": format!("start {task}"), "instrument": step, "object": action});
        controls.push(entities.add(&local("control", task), control));
        made.push(action);
    }
    let run = run_action(told, objects, workflow, agent.as_ref(), entities);
    let organize = json!({
        "@type": "OrganizeAction",
        "name": format!("onsager {} runs `{}`", account.version, account.pipeline),
        "instrument": engine,
        "agent": agent,
        "startTime": account.started.map(|at| at.to_string()),
        "endTime": account.last.map(|at| at.to_string()),
        "actionStatus": status(told),
        "object": controls,
        "result": run,
    });
    let organize = entities.add("#organize", organize);
    let mut all = vec![run, organize];
    all.extend(made);
    all
}

/// Who ran it: the user as the record tells, else the authors.
fn agent(told: &Told, authors: &[Value], entities: &mut Entities) -> Option<Value> {
    let user = told.account.facts.as_ref().and_then(|facts| facts.user.clone());
    match user {
        Some(user) => Some(entities.add(&local("user", &user), json!({"@type": "Person", "name": user}))),
        None => authors.first().cloned(),
    }
}

fn status(told: &Told) -> &'static str {
    match &told.account.ended {
        Some(ended) if ended.failed == 0 && !ended.interrupted => COMPLETED,
        _ => "http://schema.org/FailedActionStatus",
    }
}

const COMPLETED: &str = "http://schema.org/CompletedActionStatus";

/// The whole run: what entered the pipeline, and everything that it made.
fn run_action(
    told: &Told,
    objects: &BTreeMap<String, Value>,
    workflow: &Value,
    agent: Option<&Value>,
    entities: &mut Entities,
) -> Value {
    let account = told.account;
    let mut object = Vec::new();
    let several = account.points.len() > 1;
    let same = parameters(told);
    for point in &account.points {
        for (name, value) in &point.params {
            let swept = several && account.points.iter().any(|other| other.params.get(name) != Some(value));
            let id = if swept { format!("{}/{name}", point.name) } else { name.clone() };
            let (_, value) = typed(if swept { value } else { &same[name] });
            let works = reference(&local("parameter", name));
            let fields =
                json!({"@type": "PropertyValue", "name": name, "value": value, "exampleOfWork": works});
            let value = entities.add(&local("value", &id), fields);
            if !object.contains(&value) {
                object.push(value);
            }
        }
    }
    object.extend(told.inputs.iter().filter_map(|input| objects.get(&input.digest.to_string())).cloned());
    let result: Vec<Value> = told
        .results
        .iter()
        .filter_map(|result| objects.get(&result.content.digest.to_string()))
        .cloned()
        .collect();
    let facts = account.facts.as_ref();
    let environment: Vec<Value> = facts
        .into_iter()
        .flat_map(|facts| &facts.environment)
        .map(|(name, value)| {
            let fields = json!({"@type": "PropertyValue", "name": name, "value": value});
            entities.add(&local("environment", name), fields)
        })
        .collect();
    let command = facts.map(|facts| {
        let words: Vec<String> = facts.arguments.iter().map(|word| shell_word(word)).collect();
        format!("`onsager {}`", words.join(" "))
    });
    let place = facts.map(|facts| format!("on {} ({}), in {}", account.host, facts.system, facts.folder));
    let commit = account.commit.as_ref().map(|commit| {
        let changed = if commit.dirty { ", with changes" } else { "" };
        format!("the project's commit was {}{changed}", commit.commit)
    });
    let kernel = (!account.kernel.is_empty()).then(|| format!("kernel level {}", account.kernel));
    let parts: Vec<String> = [command, place, kernel, commit].into_iter().flatten().collect();
    let fields = json!({
        "@type": "CreateAction",
        "name": format!("run {} of `{}`", account.run, account.pipeline),
        "description": parts.join("; "),
        "instrument": workflow,
        "agent": agent,
        "startTime": account.started.map(|at| at.to_string()),
        "endTime": account.last.map(|at| at.to_string()),
        "actionStatus": status(told),
        "object": object,
        "result": result,
        "environment": environment,
    });
    entities.add("#run", fields)
}

/// One task: what it read, what it made, and when.
fn task_action(
    (task, others): &(String, Vec<String>),
    record: &Record,
    known: Option<&TaskAccount>,
    objects: &BTreeMap<String, Value>,
    agent: Option<&Value>,
    entities: &mut Entities,
) -> Value {
    let mut object: Vec<Value> = Vec::new();
    for input in &record.inputs {
        let entity = input.digest.and_then(|digest| objects.get(&digest.to_string()));
        if let Some(entity) = entity.filter(|entity| !object.contains(entity)) {
            object.push(entity.clone());
        }
    }
    let lines = record.action.lines();
    let params: Vec<_> = lines.iter().filter(|(field, _)| field.starts_with("params")).collect();
    if params.len() <= PARAMETERS {
        for (field, value) in params {
            let name = field.strip_prefix("params.").unwrap_or(field);
            let fields = json!({"@type": "PropertyValue", "name": name, "value": value});
            object.push(entities.add(&local("task", &format!("{task}/{name}")), fields));
        }
    }
    let outputs = record.action.outputs.iter();
    let result: Vec<Value> =
        outputs.filter_map(|(_, content)| objects.get(&content.digest.to_string())).cloned().collect();
    let attempt = known.and_then(|known| known.attempts.last());
    let executed = known.is_some_and(|known| known.standing == Standing::Executed);
    let mut words = if executed {
        let host = attempt.map(|attempt| attempt.host.as_str()).filter(|host| !host.is_empty());
        let host = host.map_or(String::new(), |host| format!(" on {host}"));
        format!("Executed in this run{host}")
    } else {
        let host = &record.action.host;
        let host = if host.is_empty() { String::new() } else { format!(" on {host}") };
        format!("Cached: run {} made it{host} in {} s", record.action.run, record.action.seconds)
    };
    if !others.is_empty() {
        words += &format!("; it is the result of {}, too", others.join(", "));
    }
    let time = |at: Option<jiff::Timestamp>| at.filter(|_| executed).map(|at| at.to_string());
    let fields = json!({
        "@type": "CreateAction",
        "name": task,
        "identifier": record.action.key.to_string(),
        "description": format!("{words}."),
        "instrument": tool(record, entities),
        "agent": agent,
        "startTime": time(attempt.map(|attempt| attempt.started)),
        "endTime": time(attempt.and_then(|attempt| attempt.ended)),
        "actionStatus": COMPLETED,
        "object": object,
        "result": result,
    });
    entities.add(&local("task", task), fields)
}
