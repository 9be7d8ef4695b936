//! Writing a crate.

use crate::export::ro_crate::layout::{self, Files, Input};
use crate::export::ro_crate::metadata;
use crate::export::ro_crate::told::Told;
use crate::export::ro_crate::{citation, croissant, preview, secrets};
use crate::pages::made::Made;
use crate::run::account::Account;
use crate::run::description::Description;
use crate::store::Store;
use crate::store::archive::{ArchiveError, Member, Moved, PIPELINE, Source, TEXTS, in_zip, member_name};
use crate::store::destination;
use crate::store::digest::Digest;
use crate::store::export::{Contents, contents};
use crate::store::files::{self, StoreError};
use crate::store::objects::Shape;
use crate::store::runs::Run;
use crate::store::zip;
use crate::trust::sign::Signer;
use onsager_tables::read::Parquet;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Where the header of the store's parts lies.
const HEADER_PLACE: &str = "onsager/onsager.json";

/// Why there is no crate.
#[derive(Debug, thiserror::Error)]
pub enum CrateError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the store does not have the pipeline's file of run `{run}`: run the pipeline again, then export that run"
    )]
    NoPipeline { run: String },
    #[error("`{}` is a folder: name a file, like `{}/run.zip`", path.display(), path.display())]
    Folder { path: PathBuf },
}

/// How a crate is written.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// Without what tells of the machine.
    pub redact: bool,
    /// With the bytes of the results.
    pub objects: bool,
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    pub moved: Moved,
    /// What is not in it, and why.
    pub notes: Vec<String>,
}

/// Writes the crate of a run, and puts it at `target` when it is whole.
pub fn write(
    store: &Store,
    run: &Run,
    form: Form,
    signer: Option<&Signer>,
    parquet: Option<&dyn Parquet>,
    target: &Path,
) -> Result<Written, CrateError> {
    if target.is_dir() {
        return Err(CrateError::Folder { path: target.to_owned() });
    }
    // So that `gc` takes no object away meanwhile.
    let _tools = store.lock_tools()?;
    let mut contents = contents(store, run, &[], form.redact, signer)?;
    let mut account = Account::read(store, &run.id)?;
    let mut description = match &account.description {
        Some(digest) => Description::read(store, digest)?.unwrap_or_default(),
        None => Description::default(),
    };
    let mut texts = layout::texts(store, &account, &description)?;
    if texts.is_empty() {
        return Err(CrateError::NoPipeline { run: run.id.clone() });
    }
    let root = layout::root(&account);
    let redaction = contents.redaction.take();
    if let Some(redaction) = &redaction {
        account = secrets::account(redaction, store, run)?;
        secrets::leave_out(redaction, &mut description, &mut texts, &mut contents.actions);
    }
    let actions = &contents.actions;
    let tasks = layout::tasks(&account, actions);
    let named = tasks.iter().filter_map(|(task, _)| Some((task.as_str(), actions.get(task)?)));
    let results = layout::results(store, named.clone(), &description)?;
    let made = Made::of(named.map(|(task, action)| (task.to_owned(), action.clone())));
    let mut inputs = layout::inputs(root.filter(|_| form.objects).as_deref(), &made, &tasks);

    let mut files = Files::default();
    texts.iter().for_each(|text| files.text(&text.path, text.text.clone()));
    for input in &mut inputs {
        if !files.input(input) {
            input.held = None;
        }
    }
    let folders = results.iter().filter(|result| result.content.shape == Shape::Folder && form.objects);
    folders.for_each(|result| files.folder(&result.path));
    let mut places = BTreeMap::new();
    for held in results.iter().flat_map(|result| &result.files).filter(|_| form.objects) {
        if files.held(store, held) {
            places.entry(member_name("objects", &held.digest, "")).or_insert_with(|| held.path.clone());
        }
    }
    let mut others = vec![(HEADER_PLACE, "What is in the archive, for `onsager store import`")];
    let mut notes = Vec::new();
    let citable = !description.about.authors.is_empty();
    if citable {
        others.extend(citation::FILES);
    } else {
        let names = citation::FILES.map(|(name, _)| format!("`{name}`")).join(" and ");
        notes.push(format!("the pipeline names no `authors`, so there is no {names}"));
    }
    for input in inputs.iter().filter(|input| input.held.is_none() && form.objects) {
        notes.push(format!("`{}` is not in it, only its digest: {}", input.called, why(input)));
    }
    let mut told = Told {
        account: &account,
        made: &made,
        description: &description,
        tasks: &tasks,
        results: &results,
        inputs: &inputs,
        texts: &texts,
        objects: form.objects,
        others: &[],
    };
    let croissant = croissant::document(&told, store, parquet);
    if let Some(mut document) = croissant {
        if let Some(redaction) = &redaction {
            secrets::clean(redaction, &mut document);
        }
        files.text(croissant::NAME, format!("{document:#}\n").into_bytes());
        others.push((croissant::NAME, croissant::WORDS));
    }
    told.others = &others;
    let clean = |text: String| redaction.as_ref().map_or(text.clone(), |redaction| redaction.names(&text));
    if citable {
        files.text(citation::FILES[0].0, clean(citation::cff(&told)).into_bytes());
        files.text(citation::FILES[1].0, clean(format!("{:#}\n", citation::zenodo(&told))).into_bytes());
    }
    let mut document = metadata::document(&told);
    if let Some(redaction) = &redaction {
        secrets::clean(redaction, &mut document);
    }
    files.text(metadata::NAME, format!("{document:#}\n").into_bytes());
    files.text(metadata::PREVIEW, clean(preview::page(&told)).into_bytes());
    let texts = if form.redact { Vec::new() } else { kept_texts(store, &account, &description)? };
    store_parts(&mut files, &mut contents, texts, places, form, target)?;
    let files = files.into_inner();
    let written = destination::write(target, |file| {
        let mut file = BufWriter::new(file);
        zip::write(&files, &mut file)?;
        file.flush()
    });
    written.map_err(StoreError::io("write the archive", target))?;
    Ok(Written { moved: contents.moved, notes })
}

fn why(input: &Input) -> &'static str {
    match (input.folder, Path::new(&input.called).is_absolute()) {
        (true, _) => "it is a folder",
        (_, true) => "it lies outside of the project",
        _ => "the project does not have it any more as the run read it",
    }
}

/// The texts that the run's record names besides its manifest.
fn kept_texts(
    store: &Store,
    account: &Account,
    description: &Description,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let files = description.files.iter().map(|(_, digest)| *digest);
    let digests: BTreeSet<Digest> = files.chain(account.description).chain(account.source).collect();
    digests.iter().filter_map(|digest| store.manifests().text(digest).transpose()).collect()
}

/// Adds what an import reads: the records and the header; objects that are no result of their own; the texts.
fn store_parts(
    files: &mut Files,
    contents: &mut Contents,
    texts: Vec<Vec<u8>>,
    places: BTreeMap<String, String>,
    form: Form,
    target: &Path,
) -> Result<(), StoreError> {
    let Contents { header, sources, moved, .. } = contents;
    let members = std::mem::take(&mut header.members).into_iter().zip(std::mem::take(sources));
    for (member, source) in members {
        let object = member.name.starts_with("objects/");
        // The pipeline's file is among the texts, and in its place.
        if member.name == PIPELINE || (object && !form.objects) {
            continue;
        }
        if !places.contains_key(&member.name) {
            files.member(Member { name: in_zip(&member.name), ..member.clone() }, source);
        }
        header.members.push(member);
    }
    for text in texts {
        let digest = Digest::of(&text);
        let member = Member { name: member_name(TEXTS, &digest, ""), size: text.len() as u64, digest };
        files.member(Member { name: in_zip(&member.name), ..member.clone() }, Source::Bytes(text));
        header.members.push(member);
    }
    (header.places, header.without_objects) = (places, !form.objects);
    if !form.objects {
        (moved.objects, moved.bytes) = (0, 0);
    }
    files.text(HEADER_PLACE, files::json(target, header)?);
    Ok(())
}
