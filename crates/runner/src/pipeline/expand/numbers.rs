//! The metrics that stages are given: what each says, as parameters of the stage.

use crate::kind::registry::Registry;
use crate::numbers::claims::metric_of;
use crate::pipeline::expand::draft::Drafts;
use crate::pipeline::graph::Params;
use crate::pipeline::spec::Spec;
use crate::pipeline::spec::claims::Claimed;
use crate::pipeline::spec::metrics::Metric;
use crate::pipeline::yaml::sink::Sink;
use onsager_tables::names::did_you_mean;
use serde_json::{Value, json};

/// The beginning of the name of an input that metrics are read from; a name that a person gives holds no dot.
const INPUT: &str = "metric.";

/// What there is to give.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    pub metrics: &'a [Metric],
    /// The names of all metrics, sound or not.
    pub declared: &'a [&'a str],
    pub claims: &'a [Claimed],
    /// What varies between the points that a stage is over.
    pub swept: &'a [String],
}

/// Fills in the parameters of stages whose kinds take metrics.
pub fn give(spec: &Spec, drafts: &mut Drafts, given: Given, registry: &Registry, sink: &Sink) {
    let Given { metrics, declared, claims, swept } = given;
    let takes = |at: usize| {
        let kind = spec.stages[at].kind.and_then(|(name, _)| registry.get(name));
        kind.is_some_and(|kind| kind.takes_metrics())
    };
    for draft in drafts.tasks.iter_mut().filter(|draft| draft.outputs.is_some() && takes(draft.stage)) {
        let mut params = draft.params.value();
        let words = params["metrics"].as_array().cloned().unwrap_or_default();
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        for word in words.iter().filter(|word| !declared.iter().any(|name| fits(word, name))) {
            let help = did_you_mean(word, declared.iter().copied(), "there are")
                .unwrap_or_else(|| "declare it under `metrics` of the pipeline".to_owned());
            let stage = &spec.stages[draft.stage];
            let span = stage.params.map_or(stage.span, |params| sink.narrow(params.value.span, word));
            sink.help(span, format!("there is no metric `{word}`"), help);
        }
        let wanted = |metric: &&Metric| words.is_empty() || words.iter().any(|word| fits(word, &metric.name));
        let numbers = metrics.iter().filter(wanted).map(|metric| {
            json!({
                "name": metric.name,
                "input": input(&metric.from),
                "from": metric.from,
                "pick": metric.pick,
                "spread": metric.spread,
                "show": metric.show,
            })
        });
        params["numbers"] = numbers.collect();
        let has = |name: &&str| metrics.iter().filter(wanted).any(|metric| metric.name == metric_of(name));
        let whole = claims.iter().filter(|claimed| claimed.claim.names().iter().all(&has));
        let said =
            whole.map(|claimed| json!({"name": claimed.name, "claim": claimed.says, "text": claimed.text}));
        params["claims"] = said.collect();
        params["swept"] = swept.iter().map(String::as_str).collect();
        draft.params = Params::new(&params);
    }
}

/// The artifacts that a stage was given metrics of: the names of inputs, each with its reference and the name of a metric.
pub fn inputs(params: &Params) -> Vec<(String, String, String)> {
    let params = params.value();
    let numbers = params["numbers"].as_array().cloned().unwrap_or_default();
    let mut inputs: Vec<(String, String, String)> = Vec::new();
    for number in &numbers {
        let text = |field: &str| number[field].as_str().unwrap_or_default().to_owned();
        if !inputs.iter().any(|(input, ..)| *input == text("input")) {
            inputs.push((text("input"), text("from"), text("name")));
        }
    }
    inputs
}

/// Whether a word is a name, or its beginning with `*` behind it.
fn fits(word: &str, name: &str) -> bool {
    word.strip_suffix('*').map_or(word == name, |beginning| name.starts_with(beginning))
}

/// The name of the input for an artifact: `metric.law_slopes`.
fn input(from: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' { c.to_string() } else { format!("_{:x}", u32::from(c)) }
    };
    let plain: String = from.chars().map(|c| if c == '.' { "_".to_owned() } else { plain(c) }).collect();
    format!("{INPUT}{plain}")
}
