//! JSON documents for people and programs.

use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::StageError;
use serde::Serialize;
use std::fs;

/// Writes a value as the output `name`: indented JSON that ends with a line break.
pub fn write_json(ctx: &Context, name: &str, value: &impl Serialize) -> Result<(), StageError> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(fs::write(ctx.output(name)?, text)?)
}
