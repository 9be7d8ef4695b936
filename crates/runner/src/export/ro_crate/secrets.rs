//! What a crate leaves out when it is not to tell of the machine, besides what any export leaves out of the records.

use crate::export::ro_crate::layout::Text;
use crate::run::account::Account;
use crate::run::description::Description;
use crate::store::Store;
use crate::store::actions::Action;
use crate::store::files::StoreError;
use crate::store::redact::Redaction;
use crate::store::runs::Run;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// The account that the redacted record of a run gives.
pub fn account(redaction: &Redaction, store: &Store, run: &Run) -> Result<Account, StoreError> {
    let record = fs::read(&run.path).map_err(StoreError::io("read", &run.path))?;
    let mut account = Account::default();
    let record = redaction.record(&record);
    let lines = record.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    lines.for_each(|line| account.add(line));
    account.run.clone_from(&run.id);
    account.add_cached(store)?;
    Ok(account)
}

/// Leaves it out of what is told of the pipeline and of its results.
pub fn leave_out(
    redaction: &Redaction,
    description: &mut Description,
    texts: &mut [Text],
    actions: &mut BTreeMap<String, Action>,
) {
    for text in texts {
        text.text = redaction.text(&String::from_utf8_lossy(&text.text)).into_bytes();
    }
    for field in [&mut description.about.title, &mut description.about.description].into_iter().flatten() {
        *field = redaction.text(field);
    }
    for stage in &mut description.stages {
        stage.description = stage.description.as_ref().map(|text| redaction.text(text));
        stage.publish.iter_mut().for_each(|(_, text)| *text = redaction.text(text));
    }
    for (path, _) in description.files.iter_mut().filter(|(path, _)| path.is_absolute()) {
        *path = path.file_name().map(PathBuf::from).unwrap_or_default();
    }
    actions.values_mut().for_each(|action| *action = redaction.action(action));
}

/// Leaves it out of the values of a document. What entities are called stays: it has to lead to them.
pub fn clean(redaction: &Redaction, value: &mut Value) {
    match value {
        Value::String(text) => *text = redaction.text(text),
        Value::Array(values) => values.iter_mut().for_each(|value| clean(redaction, value)),
        Value::Object(fields) => {
            let values = fields.iter_mut().filter(|(name, _)| *name != "@id");
            values.for_each(|(_, value)| clean(redaction, value));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
