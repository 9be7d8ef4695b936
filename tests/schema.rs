//! The schemas in `schema/`, which editors use, are those of this program.

use onsager::pipeline::schema;
use std::fs;
use std::path::Path;

/// `ONSAGER_UPDATE=1 cargo test --release schema` writes the files anew.
fn assert_current(name: &str, current: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(name);
    if std::env::var_os("ONSAGER_UPDATE").is_some() {
        fs::write(&path, current).unwrap();
    }
    let stored = fs::read_to_string(path).unwrap_or_default();
    assert!(stored == current, "schema/{name} is stale; run `ONSAGER_UPDATE=1 cargo test --release schema`");
}

#[test]
fn the_schema_of_pipelines_is_current() {
    assert_current("pipeline.schema.json", &schema::text(&onsager::builtin()));
}

#[test]
fn the_schema_of_experiments_is_current() {
    assert_current("experiment.schema.json", &schema::experiment::text());
}
