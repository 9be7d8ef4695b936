//! DVC's `${…}` in the words of a pipeline.

use crate::pipeline::yaml::sink::{Sink, Span};
use serde_json::Value;

/// An axis of a matrix.
#[derive(Debug)]
pub struct Axis {
    pub name: String,
    /// How DVC calls it where that is not its name: `item.model`.
    pub within: Option<String>,
    pub points: Vec<Value>,
}

/// Turns the texts of one stage.
pub struct Templates<'a> {
    pub axes: &'a [Axis],
    pub sink: &'a Sink,
    /// The first part of each parameter that was met.
    pub used: Vec<String>,
}

impl Templates<'_> {
    /// The text with our references. DVC's `\${x}` is the shell's own, which we write `$${x}`.
    pub fn ours(&mut self, text: &str, span: Span) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, found) = rest.split_at(at);
            let Some(end) = found.find('}') else { break };
            if let Some(before) = before.strip_suffix('\\') {
                out += before;
                out += "$";
                out += &found[..=end];
            } else {
                out += before;
                let reference = self.reference(found[2..end].trim(), span);
                out += &format!("${{{reference}}}");
            }
            rest = &found[end + 1..];
        }
        out + rest
    }

    fn reference(&mut self, name: &str, span: Span) -> String {
        for axis in self.axes {
            let theirs = axis.within.as_deref().unwrap_or("item");
            if name == theirs {
                // A named point that holds one value, of a mapping from names to values.
                let single = axis.points.first().is_some_and(|point| point.get("value").is_some());
                return format!("matrix.{}{}", axis.name, if single { ".value" } else { "" });
            }
            if let Some(field) = name.strip_prefix(theirs).and_then(|rest| rest.strip_prefix('.')) {
                return format!("matrix.{}.{field}", axis.name);
            }
        }
        match (name, self.axes) {
            ("key", [axis]) => return format!("matrix.{}", axis.name),
            ("key", _) => self.sink.warn(
                span,
                "`${key}` of a matrix has no counterpart".into(),
                "write the coordinates: `${matrix.AXIS}`",
            ),
            _ if name.contains('[') => self.sink.warn(
                span,
                format!("`${{{name}}}` takes an item of a list, which a pipeline cannot"),
                "give the item a name of its own in `params`",
            ),
            _ => {}
        }
        self.used.extend(name.split(['.', '[']).next().map(str::to_owned));
        format!("params.{name}")
    }
}
