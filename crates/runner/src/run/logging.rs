//! What is logged, as the variable `ONSAGER_LOG` says: `debug`, or `warn,onsager_runner::store=trace`.

use std::env;
use tracing_subscriber::filter::{LevelFilter, Targets};

/// What is asked for; everything from `level` on where nothing is, or nothing that can be read.
pub fn asked(level: LevelFilter) -> Targets {
    let asked = env::var("ONSAGER_LOG").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or_else(|| Targets::new().with_default(level))
}
