//! `store export`: writes an archive.

use crate::store::Store;
use crate::store::actions::Action;
use crate::store::archive::{
    ArchiveError, FORMAT, HEADER, Hashing, Header, Member, Moved, PIPELINE, Source, VERSION, member_name,
};
use crate::store::destination;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::members::Members;
use crate::store::objects::Shape;
use crate::store::redact::Redaction;
use crate::store::runs::Run;
use crate::trust::sign::{Signer, for_others};
use flate2::{Compression, GzBuilder};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Writes the archive of a run's tasks (all of them, or those that the words name with what they need), and puts it at `target`
/// when it is whole. Results that were made here are signed, where there is a signer.
pub fn export(
    store: &Store,
    run: &Run,
    words: &[String],
    form: Form,
    signer: Option<&Signer>,
    target: &Path,
) -> Result<Moved, ArchiveError> {
    // So that `gc` takes no object away meanwhile.
    let _tools = store.lock_tools()?;
    let Contents { header, sources, moved, .. } = contents(store, run, words, form.redact, signer)?;
    let written = destination::write(target, |file| {
        let mut file = BufWriter::new(file);
        if form.gzip {
            let mut encoder = GzBuilder::new().mtime(0).write(&mut file, Compression::default());
            write(&header, &sources, &mut encoder)?;
            encoder.finish()?;
        } else {
            write(&header, &sources, &mut file)?;
        }
        file.flush()
    });
    written.map_err(StoreError::io("write the archive", target))?;
    Ok(moved)
}

/// How an archive is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Form {
    pub gzip: bool,
    /// Without what tells of the machine.
    pub redact: bool,
}

/// What an archive is made of.
#[derive(Debug)]
pub struct Contents {
    pub header: Header,
    /// Of the header's members, in their order.
    pub sources: Vec<Source>,
    pub moved: Moved,
    /// The results, by their tasks.
    pub actions: BTreeMap<String, Action>,
    /// What was left out of the records, and is of everything else.
    pub redaction: Option<Redaction>,
}

/// The members of the archive of a run's tasks.
pub fn contents(
    store: &Store,
    run: &Run,
    words: &[String],
    redacted: bool,
    signer: Option<&Signer>,
) -> Result<Contents, ArchiveError> {
    let actions = chosen(store, run, words)?;
    let record = fs::read(&run.path).map_err(StoreError::io("read", &run.path))?;
    let redaction = redacted.then(|| Redaction::of(&record, actions.values()));
    let mut members = Vec::new();
    let mut sources = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>| {
        members.push(Member { name, size: bytes.len() as u64, digest: Digest::of(&bytes) });
        sources.push(Source::Bytes(bytes));
    };
    // As it was when it ran, out of the store: what a record says of files elsewhere may be a stranger's word.
    if !redacted
        && let Some(text) = run.source.map(|source| store.manifests().text(&source)).transpose()?.flatten()
    {
        add(PIPELINE.into(), text);
    }
    let mut objects: BTreeMap<Digest, &str> = BTreeMap::new();
    for (task, action) in &actions {
        for digest in store.closure(action.outputs.iter().map(|(_, content)| content))? {
            objects.entry(digest).or_insert(task);
        }
    }
    let mut bytes = 0;
    for (digest, task) in &objects {
        let path = store.objects().path(digest);
        let no_object = |_| ArchiveError::NoObject { task: (*task).to_owned(), digest: *digest };
        let size = fs::metadata(&path).map_err(no_object)?.len();
        bytes += size;
        members.push(Member { name: member_name("objects", digest, ""), size, digest: *digest });
        sources.push(Source::File(path));
    }
    let records: BTreeMap<Digest, &Action> = actions.values().map(|action| (action.key, action)).collect();
    let mut add = |name: String, bytes: Vec<u8>| {
        members.push(Member { name, size: bytes.len() as u64, digest: Digest::of(&bytes) });
        sources.push(Source::Bytes(bytes));
    };
    for (key, action) in &records {
        let redacted = redaction.as_ref().map(|redaction| redaction.action(action));
        let bytes = for_others(redacted.as_ref().unwrap_or(action), signer)
            .and_then(|action| serde_json::to_vec(&action))
            .map_err(|error| StoreError::Io {
                action: "write the record of",
                path: PathBuf::from(&action.task),
                source: error.into(),
            })?;
        add(member_name("actions", key, ".json"), bytes);
    }
    // Without one that is gone, the run's record tells what it executed itself.
    if let Some(manifest) = &run.manifest
        && store.manifests().get(manifest)?.is_some()
    {
        let path = store.manifests().path(manifest);
        add(member_name("manifests", manifest, ""), fs::read(&path).map_err(StoreError::io("read", &path))?);
    }
    let record = redaction.as_ref().map_or_else(|| record.clone(), |redaction| redaction.record(&record));
    add(format!("runs/{}.jsonl", run.id), record);
    let header = Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        run: run.id.clone(),
        pipeline: run.pipeline.clone(),
        tasks: actions.iter().map(|(task, action)| (task.clone(), action.key)).collect(),
        members,
        places: BTreeMap::new(),
        without_objects: false,
    };
    let (run, pipeline) = (run.id.clone(), run.pipeline.clone());
    let moved = Moved { run, pipeline, tasks: actions.len(), objects: objects.len(), bytes, new: 0 };
    Ok(Contents { header, sources, moved, actions, redaction })
}

/// The results of the run that the words name, and of the tasks that made their inputs.
fn chosen(store: &Store, run: &Run, words: &[String]) -> Result<BTreeMap<String, Action>, ArchiveError> {
    let mut all: BTreeMap<&str, Action> = BTreeMap::new();
    for (task, key) in &run.results {
        let action =
            store.actions().get(key)?.ok_or_else(|| ArchiveError::NoRecord { task: task.clone() })?;
        all.insert(task, action);
    }
    let mut open: Vec<&str> = Vec::new();
    for word in words {
        let named = |task: &&&str| {
            **task == word || task.strip_prefix(word.as_str()).is_some_and(|rest| rest.starts_with('['))
        };
        let before = open.len();
        open.extend(all.keys().filter(named));
        if open.len() == before {
            return Err(ArchiveError::NoTask { run: run.id.clone(), task: word.clone() });
        }
    }
    if words.is_empty() {
        open.extend(all.keys());
    }
    let mut makers: HashMap<Digest, Vec<&str>> = HashMap::new();
    for (task, action) in &all {
        for (_, content) in action.outputs.iter().filter(|(_, content)| !content.is_absent()) {
            makers.entry(content.digest).or_default().push(task);
            // A stage may read a part of a folder.
            let parts = match content.shape {
                Shape::Folder => Members::of(&store.objects(), &content.digest)?,
                _ => None,
            };
            for part in parts.map(|parts| parts.all()).transpose()?.unwrap_or_default() {
                makers.entry(part.digest).or_default().push(task);
            }
        }
    }
    let mut chosen: BTreeSet<&str> = BTreeSet::new();
    while let Some(task) = open.pop() {
        if chosen.insert(task) {
            // What it stands for is a row of a table, or a file, that another task made.
            let stage = task.split('[').next().unwrap_or(task);
            let over = run.fanned.iter().filter(|(fans, _)| fans == stage).map(|(_, over)| over.as_str());
            open.extend(over.filter_map(|over| all.get_key_value(over)).map(|(over, _)| *over));
            let inputs = all.get(task).into_iter().flat_map(Action::inputs);
            open.extend(inputs.filter_map(|digest| makers.get(&digest)).flatten());
        }
    }
    Ok(all
        .iter()
        .filter(|(task, _)| chosen.contains(*task))
        .map(|(task, action)| ((*task).to_owned(), action.clone()))
        .collect())
}

fn write(header: &Header, sources: &[Source], out: impl Write) -> io::Result<()> {
    let mut tar = tar::Builder::new(out);
    let mut append = |name: &str, size: u64, bytes: &mut dyn Read| {
        let mut entry = tar::Header::new_gnu();
        entry.set_size(size);
        entry.set_mode(0o444);
        entry.set_mtime(1);
        tar.append_data(&mut entry, name, bytes)
    };
    let first = serde_json::to_vec_pretty(header)?;
    append(HEADER, first.len() as u64, &mut first.as_slice())?;
    for (member, source) in header.members.iter().zip(sources) {
        match source {
            Source::Bytes(bytes) => append(&member.name, member.size, &mut bytes.as_slice())?,
            Source::File(path) => {
                // Hashed on the way: a damaged object is not to be handed on as a whole one.
                let mut reader = Hashing::new(File::open(path)?.take(member.size));
                append(&member.name, member.size, &mut reader)?;
                if reader.finish() != member.digest {
                    return Err(io::Error::other(format!(
                        "object {} is damaged; `onsager store verify` tells more",
                        member.digest.short()
                    )));
                }
            }
        }
    }
    tar.into_inner()?.flush()
}
