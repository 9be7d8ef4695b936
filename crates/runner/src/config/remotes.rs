//! Remote stores, `[remote.NAME]` of `onsager.toml`: what is wrong with them, and how a command adds and removes one.

use crate::store::remote::place::{self, Place, PlaceFault, Unsigned};
use std::collections::BTreeMap;

/// What is wrong with one of these remotes, if something is: its name, and the fault.
pub fn fault(remotes: &BTreeMap<String, Place>) -> Option<(&str, PlaceFault)> {
    for (name, remote) in remotes {
        if !place::is_name(name) {
            return Some((name, PlaceFault::Name));
        }
        if let Err(fault) = remote.check() {
            return Some((name, fault));
        }
    }
    let mut defaults = remotes.iter().filter(|(_, remote)| remote.default).map(|(name, _)| name);
    let (first, second) = (defaults.next()?, defaults.next()?);
    Some((second, PlaceFault::Defaults { other: first.clone() }))
}

/// The text of an `onsager.toml` with a remote more.
pub fn add(text: &str, name: &str, remote: &Place) -> String {
    let mut text = text.trim_end().to_owned();
    if !text.is_empty() {
        text += "\n\n";
    }
    text += &format!("[remote.{name}]\nurl = {}\n", quoted(&remote.url));
    for (field, value) in
        [("endpoint", &remote.endpoint), ("region", &remote.region), ("account", &remote.account)]
    {
        if let Some(value) = value {
            text += &format!("{field} = {}\n", quoted(value));
        }
    }
    if remote.default {
        text += "default = true\n";
    }
    if remote.unsigned == Unsigned::Accept {
        text += "unsigned = \"accept\"\n";
    }
    text
}

/// The text of an `onsager.toml` without this remote; none where it has no table `[remote.NAME]` that stands by itself.
pub fn remove(text: &str, name: &str) -> Option<String> {
    let header = format!("[remote.{name}]");
    let mut lines: Vec<&str> = text.lines().collect();
    let start = lines.iter().position(|line| line.trim() == header)?;
    let after = lines[start + 1..].iter().position(|line| line.trim_start().starts_with('['));
    let mut end = after.map_or(lines.len(), |after| start + 1 + after);
    // What stands right before the next table belongs to that.
    while after.is_some() && end > start + 1 && lines[end - 1].trim_start().starts_with('#') {
        end -= 1;
    }
    lines.drain(start..end);
    let rest = lines.join("\n");
    let rest = rest.trim_end();
    Some(if rest.is_empty() { String::new() } else { rest.to_owned() + "\n" })
}

/// A text of TOML, which takes the quotes and escapes of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_tells_nothing_of_the_url() {
        let remotes = BTreeMap::from([("lab".to_owned(), Place::new("https://u:hunter2@host"))]);
        let (name, fault) = fault(&remotes).unwrap();
        assert_eq!(name, "lab");
        assert!(!fault.to_string().contains("hunter2"));
    }

    #[test]
    fn tables_are_added_and_removed() {
        let mut remote = Place::new("s3://bucket/x");
        remote.default = true;
        remote.region = Some("eu-1".to_owned());
        remote.unsigned = Unsigned::Accept;
        let before = "# mine\n[on.cluster]\nengine = \"slurm\"\n";
        let with = add(before, "lab", &remote);
        let end = "\n[remote.lab]\nurl = \"s3://bucket/x\"\nregion = \"eu-1\"\ndefault = true\nunsigned = \"accept\"\n";
        assert_eq!(with, format!("{before}{end}"));
        assert_eq!(remove(&with, "lab").as_deref(), Some(before));
        assert_eq!(remove(&with, "other"), None);
        let two = add(&add("", "a", &Place::new("file:///a")), "b", &Place::new("file:///b"));
        assert_eq!(remove(&two, "a").as_deref(), Some("[remote.b]\nurl = \"file:///b\"\n"));
    }
}
