//! `CITATION.cff` and `.zenodo.json`: how a crate is cited, and what the archive of research at zenodo.org asks of a deposit.

use crate::export::ro_crate::told::Told;
use crate::pipeline::spec::about::ORCID;
use serde_json::{Value, json};
use std::fmt::Write;

/// The names of the two files, with what they are.
pub const FILES: [(&str, &str); 2] =
    [("CITATION.cff", "How to cite it"), (".zenodo.json", "Metadata for Zenodo")];

/// The Citation File Format, 1.2.0. It is YAML; a text in JSON is a text in YAML, too.
pub fn cff(told: &Told) -> String {
    let about = &told.description.about;
    let mut text = String::new();
    let mut line = |indent: &str, field: &str, value: &Value| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{indent}{field}: {value}");
    };
    line("", "cff-version", &json!("1.2.0"));
    line("", "message", &json!("If you use these results, please cite them as below."));
    line("", "type", &json!("dataset"));
    line("", "title", &json!(told.title()));
    line("", "abstract", &json!(told.words()));
    line("", "date-released", &json!(told.ended().strftime("%Y-%m-%d").to_string()));
    match &about.licenses()[..] {
        [] => {}
        [one] => line("", "license", &json!(one)),
        several => line("", "license", &json!(several)),
    }
    text += "authors:\n";
    for author in &about.authors {
        let (given, family) = author.names();
        let kind = if author.is_group() { "name" } else { "family-names" };
        let mut fields = vec![(kind, family.to_owned())];
        fields.extend((!given.is_empty()).then(|| ("given-names", given.to_owned())));
        fields.extend(author.orcid.iter().map(|orcid| ("orcid", format!("{ORCID}{orcid}"))));
        let affiliation = author.affiliation.iter().filter(|_| !author.is_group());
        fields.extend(affiliation.map(|affiliation| ("affiliation", affiliation.clone())));
        fields.extend(author.email.iter().map(|email| ("email", email.clone())));
        for (at, (field, value)) in fields.iter().enumerate() {
            let indent = if at == 0 { "  - " } else { "    " };
            let _ = writeln!(text, "{indent}{field}: {}", json!(value));
        }
    }
    text
}

/// The metadata of a deposit at Zenodo.
pub fn zenodo(told: &Told) -> Value {
    let about = &told.description.about;
    let creators: Vec<Value> = about
        .authors
        .iter()
        .map(|author| {
            let (given, family) = author.names();
            let name = if given.is_empty() { family.to_owned() } else { format!("{family}, {given}") };
            let mut creator = json!({ "name": name });
            if let Some(affiliation) = &author.affiliation {
                creator["affiliation"] = json!(affiliation);
            }
            if let Some(orcid) = &author.orcid {
                creator["orcid"] = json!(orcid);
            }
            creator
        })
        .collect();
    let mut deposit = json!({
        "title": told.title(),
        "description": told.words(),
        "upload_type": "dataset",
        "publication_date": told.ended().strftime("%Y-%m-%d").to_string(),
        "access_right": "open",
        "creators": creators,
        "keywords": ["onsager", "RO-Crate", told.account.pipeline],
    });
    // It takes one.
    if let Some(license) = about.licenses().first() {
        deposit["license"] = json!(license.to_lowercase());
    }
    deposit
}
