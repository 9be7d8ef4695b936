//! `ro-crate-metadata.json`: what is in a crate, and how it came about, as a Provenance Run Crate.

use crate::export::ro_crate::actions;
use crate::export::ro_crate::entities::{Entities, encoded, local, reference};
use crate::export::ro_crate::layout::Held;
use crate::export::ro_crate::media;
use crate::export::ro_crate::told::{Told, parameters, typed};
use crate::pipeline::spec::about::{Author, ORCID};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Of the file itself.
pub const NAME: &str = "ro-crate-metadata.json";
/// Of the page for people.
pub const PREVIEW: &str = "ro-crate-preview.html";
const SPECIFICATION: &str = "https://w3id.org/ro/crate/1.1";
const CONTEXTS: [&str; 2] =
    ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"];
/// The profiles that a crate keeps to, each with its name and its version.
const PROFILES: [(&str, &str, &str); 4] = [
    ("https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"),
    ("https://w3id.org/ro/wfrun/provenance/0.5", "Provenance Run Crate", "0.5"),
    ("https://w3id.org/workflowhub/workflow-ro-crate/1.0", "Workflow RO-Crate", "1.0"),
];
const FORMAL_PARAMETER: &str = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE";

/// The whole text, as JSON.
pub fn document(told: &Told) -> Value {
    let mut entities = Entities::default();
    let profiles: Vec<Value> = PROFILES
        .iter()
        .map(|(id, name, version)| {
            entities.add(id, json!({"@type": "CreativeWork", "name": name, "version": version}))
        })
        .collect();
    let about = &told.description.about;
    let authors: Vec<Value> = about.authors.iter().map(|author| person(author, &mut entities)).collect();
    let licenses: Vec<Value> = about
        .licenses()
        .into_iter()
        .map(|id| {
            let address = format!("https://spdx.org/licenses/{id}");
            entities.add(&address, json!({"@type": "CreativeWork", "name": id, "identifier": address}))
        })
        .collect();
    let mut parts = Vec::new();
    let objects = objects(told, &mut parts, &mut entities);
    let workflow = workflow(told, &authors, &licenses, &mut entities);
    for text in &told.texts[told.texts.len().min(1)..] {
        let fields = json!({"@type": ["File", "SoftwareSourceCode"], "name": text.path, "encodingFormat": media::of(&text.path),
            "programmingLanguage": reference(LANGUAGE)});
        parts.push(entities.add(&encoded(&text.path), fields));
    }
    parts.insert(0, workflow.clone());
    for (path, what) in told.others {
        let fields = json!({"@type": "File", "name": what, "encodingFormat": media::of(path)});
        parts.push(entities.add(path, fields));
    }
    let preview = json!({"@type": "CreativeWork", "name": "The crate as a page", "encodingFormat": "text/html", "about": reference("./")});
    entities.add(PREVIEW, preview);
    let run = actions::add(told, &objects, &workflow, &authors, &mut entities);
    let mut conforms: Vec<Value> = vec![reference(SPECIFICATION)];
    conforms.push(reference(PROFILES[3].0));
    let mut graph = vec![
        json!({
            "@id": NAME,
            "@type": "CreativeWork",
            "about": reference("./"),
            "conformsTo": conforms,
        }),
        json!({
            "@id": "./",
            "@type": "Dataset",
            "name": told.title(),
            "description": told.words(),
            "identifier": told.account.run,
            "datePublished": told.ended().to_string(),
            "license": if licenses.is_empty() { json!("No licence is given.") } else { one_or_all(licenses) },
            "author": authors,
            "conformsTo": profiles,
            "mainEntity": workflow,
            "hasPart": parts,
            "mentions": run,
        }),
    ];
    if let Some(root) = graph[1].as_object_mut() {
        root.retain(|_, value| value.as_array().is_none_or(|values| !values.is_empty()));
    }
    graph.extend(entities.into_inner());
    json!({ "@context": CONTEXTS, "@graph": graph })
}

fn one_or_all(mut values: Vec<Value>) -> Value {
    if values.len() == 1 { values.remove(0) } else { Value::Array(values) }
}

fn person(author: &Author, entities: &mut Entities) -> Value {
    let (given, family) = author.names();
    if author.is_group() {
        let fields = json!({"@type": "Organization", "name": family, "email": author.email});
        return entities.add(&local("organization", family), fields);
    }
    let affiliation = author.affiliation.as_ref().map(|name| {
        entities.add(&local("organization", name), json!({"@type": "Organization", "name": name}))
    });
    let id = match &author.orcid {
        Some(orcid) => format!("{ORCID}{orcid}"),
        None => local("person", &author.full_name()),
    };
    let fields = json!({
        "@type": "Person",
        "name": author.full_name(),
        "givenName": given,
        "familyName": family,
        "affiliation": affiliation,
        "email": author.email,
    });
    entities.add(&id, fields)
}

/// The language of pipelines.
const LANGUAGE: &str = "#language";

/// The file that was run, as a workflow of steps.
fn workflow(told: &Told, authors: &[Value], licenses: &[Value], entities: &mut Entities) -> Value {
    let account = told.account;
    let id = told.workflow();
    let language = json!({"@type": "ComputerLanguage", "name": "onsager pipeline", "alternateName": "onsager", "version": account.version});
    entities.add(LANGUAGE, language);
    let (mut steps, mut tools) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for (task, _) in told.tasks {
        let Some(record) = told.made.record(task) else { continue };
        let tool = actions::tool(record, entities);
        let stage = crate::pages::names::point_and_stage(task).1.to_owned();
        if !seen.insert(stage.clone()) {
            continue;
        }
        if !tools.contains(&tool) {
            tools.push(tool.clone());
        }
        let words = told.description.stage(&stage).and_then(|stage| stage.description.clone());
        let position = (steps.len() + 1).to_string();
        let step = json!({"@type": "HowToStep", "name": stage, "description": words, "position": position, "workExample": tool});
        steps.push(entities.add(&actions::step(&id, &stage), step));
    }
    let mut takes: Vec<Value> = parameters(told)
        .into_iter()
        .map(|(name, value)| {
            let (kind, _) = typed(&value);
            let fields = json!({"@type": "FormalParameter", "name": name, "additionalType": kind, "conformsTo": reference(FORMAL_PARAMETER)});
            entities.add(&local("parameter", &name), fields)
        })
        .collect();
    takes.extend(told.inputs.iter().map(|input| {
        let kind = if input.folder { "Dataset" } else { "File" };
        let fields = json!({"@type": "FormalParameter", "name": input.called, "additionalType": kind, "conformsTo": reference(FORMAL_PARAMETER)});
        entities.add(&local("input", &input.called), fields)
    }));
    let mut gives = Vec::new();
    for result in told.results {
        let kind =
            if result.content.shape == crate::store::objects::Shape::Folder { "Dataset" } else { "File" };
        let name = format!("{}.{}", result.stage, result.output);
        let fields = json!({"@type": "FormalParameter", "name": name, "additionalType": kind, "conformsTo": reference(FORMAL_PARAMETER)});
        let output = entities.add(&local("output", &name), fields);
        if !gives.contains(&output) {
            gives.push(output);
        }
    }
    let includes: Vec<Value> =
        told.texts.iter().skip(1).map(|text| reference(&encoded(&text.path))).collect();
    let fields = json!({
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": account.pipeline,
        "description": told.words(),
        "programmingLanguage": reference(LANGUAGE),
        "encodingFormat": media::of(&id),
        "author": authors,
        "license": licenses,
        "input": takes,
        "output": gives,
        "step": steps,
        "hasPart": tools,
        // Not its parts: those are what has run.
        "mentions": includes,
    });
    entities.add(&id, fields)
}

/// Adds what was read and what was made, and gives for each digest the entity that has it.
fn objects(told: &Told, parts: &mut Vec<Value>, entities: &mut Entities) -> BTreeMap<String, Value> {
    let mut objects = BTreeMap::new();
    for result in told.results {
        let name = format!("{}.{}", result.stage, result.output);
        let works = reference(&local("output", &name));
        let digest = result.content.digest.to_string();
        let entity = match &result.files[..] {
            [file] if file.path == result.path => {
                self::file(told.objects, file, &name, Some(works), entities)
            }
            files => {
                let inside: Vec<Value> = files
                    .iter()
                    .map(|file| {
                        let entity = self::file(told.objects, file, &file.path, None, entities);
                        objects.entry(file.digest.to_string()).or_insert_with(|| entity.clone());
                        entity
                    })
                    .collect();
                let id = if told.objects {
                    format!("{}/", encoded(&result.path))
                } else {
                    local("folder", &digest)
                };
                let kind = if told.objects { "Dataset" } else { "Collection" };
                let fields = json!({"@type": kind, "name": name, "hasPart": inside, "exampleOfWork": works, "contentSize": result.content.size.to_string(), "sha256": digest});
                entities.add(&id, fields)
            }
        };
        parts.push(entity.clone());
        objects.entry(digest).or_insert(entity);
    }
    for input in told.inputs {
        let works = reference(&local("input", &input.called));
        let digest = input.digest.to_string();
        let entity = match &input.held {
            Some(held) => {
                let entity = self::file(true, held, &input.called, Some(works), entities);
                parts.push(entity.clone());
                entity
            }
            // It is known by its digest.
            None => {
                let kind = if input.folder { "Collection" } else { "CreativeWork" };
                let fields =
                    json!({"@type": kind, "name": input.called, "sha256": digest, "exampleOfWork": works});
                entities.add(&local("content", &digest), fields)
            }
        };
        objects.entry(digest).or_insert(entity);
    }
    objects
}

/// A file that is in the crate, or one of which only the digest is.
fn file(there: bool, file: &Held, name: &str, works: Option<Value>, entities: &mut Entities) -> Value {
    let id = if there { encoded(&file.path) } else { local("content", &file.digest.to_string()) };
    let fields = json!({
        "@type": if there { "File" } else { "CreativeWork" },
        "name": name,
        "alternateName": (!there).then_some(&file.path),
        "encodingFormat": media::of(&file.path),
        "contentSize": file.size.to_string(),
        "sha256": file.digest.to_string(),
        "exampleOfWork": works,
    });
    entities.add(&id, fields)
}
