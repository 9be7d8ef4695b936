//! `publish`: the outputs of a stage that are data sets for others.

use crate::kind::stage::Output;
use crate::pipeline::spec::{Stage, text};
use crate::pipeline::yaml::sink::Sink;
use onsager_tables::names::did_you_mean;

/// (output, what it is) for each; the outputs are none where the stage's parameters have errors.
pub fn read(stage: &Stage, outputs: Option<&[Output]>, sink: &Sink) -> Vec<(String, String)> {
    let mut publish = Vec::new();
    for entry in stage.publish {
        if let Some(outputs) = outputs
            && !outputs.iter().any(|output| output.name == entry.key)
        {
            let names = outputs.iter().map(|output| output.name.as_str());
            let help = did_you_mean(&entry.key, names, "it has");
            sink.add(Some(entry.span), format!("stage `{}` has no output `{}`", stage.name, entry.key), help);
        }
        publish.extend(text(entry, sink).map(|words| (entry.key.clone(), words.to_owned())));
    }
    publish
}
