//! `store export` and `store import`: a run with everything that it stands on, as one file.
//!
//! An archive is a plain tar (or one behind gzip) of these members, in this order:
//!
//! ```text
//! onsager.json            the header: format, version, run, pipeline, tasks with their keys, and every further member
//!                         with its size and SHA-256
//! pipeline.yaml           the pipeline's file, for reading, where it was still there
//! objects/ab/cdef…        in the order of their digests, which are their names
//! actions/ab/cdef….json   in the order of their keys
//! manifests/ab/cdef…      the run's manifest, where it finished
//! runs/<id>.jsonl         the run's record
//! ```
//!
//! Times, owners and modes are fixed, so the same run gives the same bytes. It can be written and read as a stream. An import
//! keeps what it reads in a working folder and hashes it; only when the last member is right do the objects, then the action
//! records, then the run's record move into the store.

use super::Store;
use super::actions::Action;
use super::digest::Digest;
use super::files::{self, StoreError};
use super::objects::{Content, Held, Objects, Shape};
use super::runs::Run;
use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

const FORMAT: &str = "onsager archive";
const VERSION: u32 = 1;
const HEADER: &str = "onsager.json";
/// A larger header is not one.
const LARGEST_HEADER: u64 = 1 << 30;

/// The first member.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Header {
    pub format: String,
    pub version: u32,
    pub run: String,
    pub pipeline: String,
    pub tasks: BTreeMap<String, Digest>,
    pub members: Vec<Member>,
}

/// A further member.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Member {
    pub name: String,
    pub size: u64,
    pub digest: Digest,
}

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("`{}` is not an archive of onsager: {reason}", path.display())]
    NotAnArchive { path: PathBuf, reason: String },
    #[error("`{}` has version {version}, and this program reads version {VERSION}: use a newer onsager", path.display())]
    Version { path: PathBuf, version: u32 },
    #[error("`{}` is damaged: {reason}; nothing was imported", path.display())]
    Damaged { path: PathBuf, reason: Fault },
    #[error("run `{run}` has no result of `{task}`")]
    NoTask { run: String, task: String },
    #[error("the record of `{task}` is gone from the store: run the pipeline again, then export that run")]
    NoRecord { task: String },
    #[error(
        "object {digest} of `{task}` is not in the store: run the pipeline with `--force {task}`, then export that run"
    )]
    NoObject { task: String, digest: Digest },
    #[error("the store has another run named `{run}`: its record differs from the archive's")]
    OtherRun { run: String },
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("member `{0}` does not have the digest that the header names")]
    Differs(String),
    #[error("member `{0}` is not whole")]
    Short(String),
    #[error("member `{0}` is missing")]
    Missing(String),
    #[error("member `{0}` is not in the header")]
    Unknown(String),
    #[error("member `{name}` is no record of a task: {message}")]
    Record { name: String, message: String },
    #[error("member `{name}` names object {digest}, which the archive does not have")]
    Open { name: String, digest: Digest },
    #[error("the tar cannot be read after member `{after}`: {source}")]
    Tar { after: String, source: io::Error },
}

/// What was exported or imported.
#[derive(Debug, Serialize)]
pub struct Moved {
    pub run: String,
    pub pipeline: String,
    pub tasks: usize,
    pub objects: usize,
    /// Of the objects.
    pub bytes: u64,
    /// Objects and records that the store did not have before.
    pub new: usize,
}

/// Writes the archive of a run's tasks (all of them, or those that the words name with what they need), and puts it at `target`
/// when it is whole.
pub fn export(
    store: &Store,
    run: &Run,
    words: &[String],
    gzip: bool,
    target: &Path,
) -> Result<Moved, ArchiveError> {
    let (header, sources, moved) = contents(store, run, words)?;
    let temporary = files::temporary_beside(target);
    let written = (|| {
        let file = File::create(&temporary)?;
        let file = if gzip {
            let mut encoder = GzBuilder::new().mtime(0).write(BufWriter::new(file), Compression::default());
            write(&header, &sources, &mut encoder)?;
            encoder.finish()?
        } else {
            let mut file = BufWriter::new(file);
            write(&header, &sources, &mut file)?;
            file
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&temporary, target)
    })();
    written.map_err(|error| {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        StoreError::io("write the archive", target)(error)
    })?;
    Ok(moved)
}

/// Where a member's bytes come from.
enum Source {
    Bytes(Vec<u8>),
    File(PathBuf),
}

fn contents(
    store: &Store,
    run: &Run,
    words: &[String],
) -> Result<(Header, Vec<Source>, Moved), ArchiveError> {
    let actions = chosen(store, run, words)?;
    let mut members = Vec::new();
    let mut sources = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>| {
        members.push(Member { name, size: bytes.len() as u64, digest: Digest::of(&bytes) });
        sources.push(Source::Bytes(bytes));
    };
    if let Ok(bytes) = fs::read(&run.file) {
        add("pipeline.yaml".into(), bytes);
    }
    let mut objects: BTreeMap<Digest, &str> = BTreeMap::new();
    for (task, action) in &actions {
        for digest in store.closure(action.outputs.iter().map(|(_, content)| content)) {
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
        let bytes = serde_json::to_vec(action).map_err(|error| StoreError::Io {
            action: "write the record of",
            path: PathBuf::from(&action.task),
            source: error.into(),
        })?;
        add(member_name("actions", key, ".json"), bytes);
    }
    if let Some(manifest) = &run.manifest {
        let path = store.manifests().path(manifest);
        add(member_name("manifests", manifest, ""), fs::read(&path).map_err(StoreError::io("read", &path))?);
    }
    let record = fs::read(&run.path).map_err(StoreError::io("read", &run.path))?;
    add(format!("runs/{}.jsonl", run.id), record);
    let header = Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        run: run.id.clone(),
        pipeline: run.pipeline.clone(),
        tasks: actions.iter().map(|(task, action)| (task.clone(), action.key)).collect(),
        members,
    };
    let (run, pipeline) = (run.id.clone(), run.pipeline.clone());
    let moved = Moved { run, pipeline, tasks: actions.len(), objects: objects.len(), bytes, new: 0 };
    Ok((header, sources, moved))
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
    let mut makers: HashMap<String, Vec<&str>> = HashMap::new();
    for (task, action) in &all {
        for (_, content) in &action.outputs {
            makers.entry(content.digest.to_string()).or_default().push(task);
        }
    }
    let mut chosen: BTreeSet<&str> = BTreeSet::new();
    while let Some(task) = open.pop() {
        if chosen.insert(task) {
            let inputs = all.get(task).into_iter().flat_map(|action| &action.material);
            let digests = inputs.filter(|(field, _)| field.starts_with("inputs."));
            open.extend(digests.filter_map(|(_, value)| makers.get(value)).flatten());
        }
    }
    Ok(all
        .iter()
        .filter(|(task, _)| chosen.contains(*task))
        .map(|(task, action)| ((*task).to_owned(), action.clone()))
        .collect())
}

fn member_name(folder: &str, digest: &Digest, ending: &str) -> String {
    let name = digest.to_string();
    format!("{folder}/{}/{}{ending}", &name[..2], &name[2..])
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

/// A reader that hashes what goes through.
struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Hashing<R> {
    fn new(inner: R) -> Hashing<R> {
        Hashing { inner, hash: Sha256::new() }
    }

    fn finish(self) -> Digest {
        Digest(self.hash.finalize().into())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hash.update(&buffer[..n]);
        Ok(n)
    }
}

/// Reads an archive into the store. Nothing of it is visible before all of it was checked.
pub fn import(store: &Store, archive: &Path) -> Result<Moved, ArchiveError> {
    let _tools = store.lock_tools()?;
    let (work, _lock) = store.start_work(&format!("import-{}", std::process::id()))?;
    let imported = stage(archive, &work).and_then(|header| admit(store, &work, header));
    // What stays after a failure here goes with the next run.
    let _ = files::remove(&work);
    imported
}

/// Unpacks the archive into the working folder, checking every member.
fn stage(archive: &Path, work: &Path) -> Result<Header, ArchiveError> {
    let mut file =
        BufReader::with_capacity(1 << 18, File::open(archive).map_err(StoreError::io("open", archive))?);
    let zipped =
        io::BufRead::fill_buf(&mut file).map_err(StoreError::io("read", archive))?.starts_with(&[0x1f, 0x8b]);
    let reader: Box<dyn Read> = if zipped { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    let mut tar = tar::Archive::new(reader);
    let not_an_archive = |reason: String| ArchiveError::NotAnArchive { path: archive.to_owned(), reason };
    let damaged = |reason| ArchiveError::Damaged { path: archive.to_owned(), reason };
    let mut entries = tar.entries().map_err(|error| not_an_archive(error.to_string()))?;

    let mut first = match entries.next() {
        Some(Ok(entry)) if name_of(&entry) == HEADER && entry.size() <= LARGEST_HEADER => entry,
        Some(Err(error)) => return Err(not_an_archive(error.to_string())),
        _ => return Err(not_an_archive(format!("it does not begin with `{HEADER}`"))),
    };
    let mut bytes = Vec::new();
    first.read_to_end(&mut bytes).map_err(|_| damaged(Fault::Short(HEADER.into())))?;
    let header: Header =
        serde_json::from_slice(&bytes).map_err(|error| not_an_archive(format!("`{HEADER}`: {error}")))?;
    if header.format != FORMAT {
        return Err(not_an_archive(format!("its format is `{}`", header.format)));
    }
    if header.version != VERSION {
        return Err(ArchiveError::Version { path: archive.to_owned(), version: header.version });
    }
    let mut after = HEADER.to_owned();
    for member in &header.members {
        let name = &member.name;
        if !is_plain(Path::new(name)) {
            return Err(damaged(Fault::Unknown(name.clone())));
        }
        let mut entry = match entries.next() {
            None => return Err(damaged(Fault::Missing(name.clone()))),
            Some(Err(source)) => return Err(damaged(Fault::Tar { after, source })),
            Some(Ok(entry)) => entry,
        };
        let found = name_of(&entry);
        if found != *name {
            let known = header.members.iter().any(|member| member.name == found);
            return Err(damaged(if known { Fault::Missing(name.clone()) } else { Fault::Unknown(found) }));
        }
        let path = work.join(name);
        if let Some(parent) = path.parent() {
            files::create_folder(parent)?;
        }
        let mut target = File::create(&path).map_err(StoreError::io("write", &path))?;
        let mut reader = Hashing::new(&mut entry);
        let mut size = 0;
        let mut buffer = vec![0; 1 << 18];
        loop {
            let n = reader.read(&mut buffer).map_err(|_| damaged(Fault::Short(name.clone())))?;
            if n == 0 {
                break;
            }
            target.write_all(&buffer[..n]).map_err(StoreError::io("write", &path))?;
            size += n as u64;
        }
        if size < member.size {
            return Err(damaged(Fault::Short(name.clone())));
        }
        if size != member.size || reader.finish() != member.digest {
            return Err(damaged(Fault::Differs(name.clone())));
        }
        target.sync_data().map_err(StoreError::io("sync", &path))?;
        after = name.clone();
    }
    match entries.next() {
        None => Ok(header),
        Some(Ok(entry)) => Err(damaged(Fault::Unknown(name_of(&entry)))),
        Some(Err(source)) => Err(damaged(Fault::Tar { after, source })),
    }
}

fn name_of(entry: &tar::Entry<impl Read>) -> String {
    String::from_utf8_lossy(&entry.path_bytes()).into_owned()
}

/// Whether a member's name stays inside the folder that it is unpacked to.
fn is_plain(path: &Path) -> bool {
    path.components().all(|component| matches!(component, Component::Normal(_)))
}

/// The digest that a member of this folder is named by.
fn digest_in(name: &str, folder: &str, ending: &str) -> Option<Digest> {
    let rest = name.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(ending)?;
    let (start, rest) = rest.split_once('/')?;
    (start.len() == 2).then(|| format!("{start}{rest}").parse().ok())?
}

/// Moves what was checked into the store.
fn admit(store: &Store, work: &Path, header: Header) -> Result<Moved, ArchiveError> {
    let damaged = |reason| ArchiveError::Damaged { path: PathBuf::from(&header.run), reason };
    let real = fs::canonicalize(work).map_err(StoreError::io("find", work))?;
    let mut objects: BTreeMap<Digest, &Member> = BTreeMap::new();
    let mut actions: Vec<(&str, Action)> = Vec::new();
    let mut record = None;
    let mut manifest = None;
    for member in &header.members {
        let name = member.name.as_str();
        if let Some(digest) = digest_in(name, "objects", "") {
            if digest != member.digest {
                return Err(damaged(Fault::Differs(name.to_owned())));
            }
            objects.insert(digest, member);
        } else if let Some(key) = digest_in(name, "actions", ".json") {
            let path = work.join(name);
            let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
            let wrong = |message| damaged(Fault::Record { name: name.to_owned(), message });
            let action: Action = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
            if action.key != key {
                return Err(wrong(format!("it is that of the key {}", action.key.short())));
            }
            actions.push((name, action));
        } else if let Some(digest) = digest_in(name, "manifests", "") {
            if digest != member.digest {
                return Err(damaged(Fault::Differs(name.to_owned())));
            }
            manifest = Some((digest, member));
        } else if *name == format!("runs/{}.jsonl", header.run) && is_plain(Path::new(&header.run)) {
            record = Some(member);
        } else if name != "pipeline.yaml" {
            return Err(damaged(Fault::Unknown(name.to_owned())));
        }
    }
    let record = record.ok_or_else(|| damaged(Fault::Missing(format!("runs/{}.jsonl", header.run))))?;
    for (task, key) in &header.tasks {
        if !actions.iter().any(|(_, action)| action.key == *key) {
            return Err(damaged(Fault::Missing(format!(
                "{} (`{task}`)",
                member_name("actions", key, ".json")
            ))));
        }
    }
    let staged = Objects::new(work.join("objects"));
    for (name, action) in &actions {
        for (_, content) in &action.outputs {
            let mut digests = vec![content.digest];
            if content.shape == Shape::Folder && objects.contains_key(&content.digest) {
                digests.extend(staged.entries(&content.digest)?.into_iter().map(|entry| entry.digest));
            }
            if let Some(digest) = digests.into_iter().find(|digest| !objects.contains_key(digest)) {
                return Err(damaged(Fault::Open { name: (*name).to_owned(), digest }));
            }
        }
    }
    let target = store.runs().join(format!("{}.jsonl", header.run));
    if target.exists() && Digest::of_file(&target)?.0 != record.digest {
        return Err(ArchiveError::OtherRun { run: header.run.clone() });
    }

    // From here on only moves: objects first, so that no record is ever without its objects.
    let mut new = 0;
    let _gate = store.enter_gate()?;
    for (digest, member) in &objects {
        new += usize::from(!store.objects().contains(digest));
        store.objects().bring_in(&work.join(&member.name), digest, work, &real)?;
    }
    for (_, action) in &actions {
        let known = store.actions().get(&action.key)?;
        // What is here and whole stays: tasks that follow may stand on its bytes.
        let sound = |content: &Content| store.objects().check(content).is_ok_and(|held| held == Held::Sound);
        let whole = known.is_some_and(|known| known.outputs.iter().all(|(_, content)| sound(content)));
        if !whole {
            store.actions().put(action)?;
            new += 1;
        }
    }
    if let Some((digest, member)) = manifest {
        let (source, target) = (work.join(&member.name), store.manifests().path(&digest));
        if let Some(parent) = target.parent() {
            files::create_folder(parent)?;
        }
        fs::rename(&source, &target).map_err(StoreError::io("move into the store", &target))?;
    }
    if !target.exists() {
        let source = work.join(&record.name);
        fs::rename(&source, &target).map_err(StoreError::io("move into the store", &target))?;
    }
    Ok(Moved {
        tasks: header.tasks.len(),
        objects: objects.len(),
        bytes: objects.values().map(|member| member.size).sum(),
        new,
        run: header.run,
        pipeline: header.pipeline,
    })
}
