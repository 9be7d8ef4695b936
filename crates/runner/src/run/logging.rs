//! What is logged, as the variable `ONSAGER_LOG` says: `debug`, or `warn,onsager_runner::store=trace`.

use std::env;
use tracing_subscriber::filter::{LevelFilter, Targets};

/// The libraries that talk to servers: what they log has headers and addresses in it, which may hold secrets.
const SILENT: [&str; 8] =
    ["h2", "hyper", "hyper_util", "object_store", "reqwest", "rustls", "ureq", "ureq_proto"];

/// What is asked for; `level` and above where nothing is, or where it cannot be read. Libraries that talk to servers stay silent.
pub fn asked(level: LevelFilter) -> Targets {
    let text = env::var("ONSAGER_LOG").unwrap_or_default();
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    let asked: Option<Targets> = parts.join(",").parse().ok().filter(|_| !parts.is_empty());
    let asked = asked.unwrap_or_else(|| Targets::new().with_default(level));
    let default = asked.default_level().unwrap_or(LevelFilter::OFF);
    Targets::new()
        .with_targets(asked.into_iter().filter(|(target, _)| !is_silent(target)))
        .with_default(default)
        .with_targets(SILENT.map(|library| (library, LevelFilter::OFF)))
}

fn is_silent(target: &str) -> bool {
    target.split("::").next().is_some_and(|library| SILENT.contains(&library))
}
