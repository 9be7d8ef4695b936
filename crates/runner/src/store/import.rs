//! `store import`: reads an archive.

use crate::config::trust::Trust;
use crate::store::Store;
use crate::store::actions::Action;
use crate::store::archive::{
    ArchiveError, FORMAT, Fault, HEADER, Header, Member, Moved, PIPELINE, VERSION, digest_in, member_name,
};
use crate::store::beneath::Folder;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::listing::Entry;
use crate::store::manifests;
use crate::store::names;
use crate::store::objects::{Content, Held, Objects, Shape};
use crate::store::proof::Origin;
use crate::store::runs::{self, Foreign};
use crate::store::text;
use crate::trust::judge::judge;
use crate::trust::record;
use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

/// A larger header is not one, nor is a larger record.
const LARGEST: u64 = 1 << 30;

/// Reads an archive into the store. Nothing of it is visible before all of it was checked, and every result in it was found to count as the
/// project trusts.
pub fn import(store: &Store, archive: &Path, trust: &Trust) -> Result<Moved, ArchiveError> {
    let _tools = store.lock_tools()?;
    let (work, _lock) = store.start_work(&format!("import-{}", files::random()))?;
    let imported = stage(archive, &work).and_then(|header| admit(store, archive, &work, header, trust));
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
        Some(Ok(entry)) if name_of(&entry) == HEADER && entry.size() <= LARGEST => entry,
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
    if !(1..=VERSION).contains(&header.version) {
        return Err(ArchiveError::Version { path: archive.to_owned(), version: header.version });
    }
    for (what, name) in [("the run", &header.run), ("the pipeline", &header.pipeline)] {
        if !names::is_plain(name) {
            return Err(damaged(Fault::Name { what, name: name.clone() }));
        }
    }
    let root = Folder::open(work)?;
    let mut after = HEADER.to_owned();
    for member in &header.members {
        let name = &member.name;
        if names::check(Path::new(name)).is_err() {
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
        if !entry.header().entry_type().is_file() {
            return Err(damaged(Fault::Unknown(name.clone())));
        }
        unpack(member, &mut entry, &root, &damaged)?;
        after = name.clone();
    }
    match entries.next() {
        None => Ok(header),
        Some(Ok(entry)) => Err(damaged(Fault::Unknown(name_of(&entry)))),
        Some(Err(source)) => Err(damaged(Fault::Tar { after, source })),
    }
}

/// Writes one member to a new file in the working folder, if it is what the header says.
fn unpack(
    member: &Member,
    entry: &mut impl Read,
    root: &Folder,
    damaged: &dyn Fn(Fault) -> ArchiveError,
) -> Result<(), ArchiveError> {
    let name = Path::new(&member.name);
    let parent = root.below(name.parent().unwrap_or(Path::new("")))?;
    let file_name = name.file_name().unwrap_or_default();
    if parent.is_folder(file_name).is_some() {
        return Err(damaged(Fault::Twice(member.name.clone())));
    }
    let mut target = parent.create(file_name, 0o600)?;
    let path = parent.path().join(file_name);
    let mut failed = None;
    // One byte more shows that there is more.
    let bytes = entry.take(member.size.saturating_add(1));
    let read = Digest::reading(bytes, member.size, |bytes| {
        target.write_all(bytes).inspect_err(|error| failed = Some(io::Error::from(error.kind())))
    });
    if let Some(error) = failed {
        return Err(StoreError::io("write", &path)(error).into());
    }
    match read {
        Ok((digest, size)) if size == member.size && digest == member.digest => {}
        Ok((_, size)) if size >= member.size => return Err(damaged(Fault::Differs(member.name.clone()))),
        Ok(_) | Err(_) => return Err(damaged(Fault::Short(member.name.clone()))),
    }
    target.sync_data().map_err(StoreError::io("sync", &path))?;
    Ok(())
}

fn name_of_file(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn name_of(entry: &tar::Entry<impl Read>) -> String {
    String::from_utf8_lossy(&entry.path_bytes()).into_owned()
}

/// Why a member is not the record that it should be.
enum NoRecord {
    Store(StoreError),
    Because(String),
}

impl NoRecord {
    fn of(self, name: &str, damaged: &dyn Fn(Fault) -> ArchiveError) -> ArchiveError {
        match self {
            NoRecord::Store(error) => error.into(),
            NoRecord::Because(message) => damaged(Fault::Record { name: name.to_owned(), message }),
        }
    }
}

/// The bytes of a record that was unpacked.
fn bytes_of(work: &Path, member: &Member) -> Result<Vec<u8>, NoRecord> {
    if member.size > LARGEST {
        return Err(NoRecord::Because("it is too large".into()));
    }
    let path = work.join(&member.name);
    fs::read(&path).map_err(|error| NoRecord::Store(StoreError::io("read", &path)(error)))
}

/// The action record in a member.
fn action(work: &Path, member: &Member, key: &Digest) -> Result<Action, NoRecord> {
    let bytes = bytes_of(work, member)?;
    record::read(&bytes, key).map_err(|refusal| NoRecord::Because(refusal.as_record()))
}

/// Refuses a manifest with lines that are not a key and a task, or that would spoil what is printed.
fn check_manifest(work: &Path, member: &Member) -> Result<(), NoRecord> {
    match manifests::is_manifest(&bytes_of(work, member)?) {
        true => Ok(()),
        false => Err(NoRecord::Because("its lines are not keys and tasks".into())),
    }
}

/// Refuses the record of another run, and one that would spoil what is printed.
fn check_run(work: &Path, member: &Member, header: &Header) -> Result<(), NoRecord> {
    let pipeline = runs::check(&bytes_of(work, member)?, &header.run).map_err(NoRecord::Because)?;
    if pipeline == header.pipeline {
        return Ok(());
    }
    Err(NoRecord::Because(format!("it is not that of the run `{}` of `{}`", header.run, header.pipeline)))
}

/// Checks what was unpacked as a whole, and moves it into the store.
fn admit(
    store: &Store,
    archive: &Path,
    work: &Path,
    header: Header,
    trust: &Trust,
) -> Result<Moved, ArchiveError> {
    let damaged = |reason| ArchiveError::Damaged { path: archive.to_owned(), reason };
    let mut objects: BTreeMap<Digest, &Member> = BTreeMap::new();
    let mut actions: Vec<(&str, Action)> = Vec::new();
    let mut manifests: Vec<(Digest, &Member)> = Vec::new();
    let mut record = None;
    for member in &header.members {
        let name = member.name.as_str();
        let of = |folder: &str, ending: &str| {
            digest_in(name, folder, ending).filter(|digest| member_name(folder, digest, ending) == name)
        };
        if let Some(digest) = of("objects", "") {
            if digest != member.digest {
                return Err(damaged(Fault::Differs(name.to_owned())));
            }
            objects.insert(digest, member);
        } else if let Some(key) = of("actions", ".json") {
            let mut action = action(work, member, &key).map_err(|error| error.of(name, &damaged))?;
            let refused = |refusal| ArchiveError::Refused {
                path: archive.to_owned(),
                task: action.task.clone(),
                refusal,
            };
            let signer = judge(trust, &action).map_err(refused)?;
            action.origin = Some(Origin { from: name_of_file(archive), signer });
            actions.push((name, action));
        } else if let Some(digest) = of("manifests", "") {
            if digest != member.digest {
                return Err(damaged(Fault::Differs(name.to_owned())));
            }
            check_manifest(work, member).map_err(|error| error.of(name, &damaged))?;
            manifests.push((digest, member));
        } else if name == format!("runs/{}.jsonl", header.run) {
            check_run(work, member, &header).map_err(|error| error.of(name, &damaged))?;
            record = Some(member);
        } else if name == PIPELINE {
            manifests.push((member.digest, member));
        } else {
            return Err(damaged(Fault::Unknown(name.to_owned())));
        }
    }
    let record = record.ok_or_else(|| damaged(Fault::Missing(format!("runs/{}.jsonl", header.run))))?;
    for (task, key) in &header.tasks {
        if !text::is_line(task) {
            return Err(damaged(Fault::Name { what: "the task", name: task.clone() }));
        }
        if !actions.iter().any(|(_, action)| action.key == *key) {
            return Err(damaged(Fault::Missing(format!(
                "{} (`{task}`)",
                member_name("actions", key, ".json")
            ))));
        }
    }
    let staged = Objects::new(work.join("objects"));
    for (name, action) in &actions {
        for (_, content) in action.outputs.iter().filter(|(_, content)| !content.is_absent()) {
            let of_record = |message| damaged(Fault::Contradicted { name: (*name).to_owned(), message });
            if let Some(message) = staged.contradiction(content)? {
                return Err(of_record(message));
            }
            let mut digests = vec![content.digest];
            if content.shape == Shape::Folder && objects.contains_key(&content.digest) {
                digests.extend(staged.entries(&content.digest)?.iter().filter_map(Entry::object));
            }
            if let Some(digest) = digests.into_iter().find(|digest| !objects.contains_key(digest)) {
                return Err(damaged(Fault::Open { name: (*name).to_owned(), digest }));
            }
        }
    }
    let target = store.record(&header.run);
    if target.exists() && Digest::of_file(&target)?.0 != record.digest {
        return Err(ArchiveError::OtherRun { run: header.run.clone() });
    }

    // From here on only moves: objects first, so that no record is ever without its objects.
    let mut new = 0;
    let _gate = store.enter_gate()?;
    for (digest, member) in &objects {
        new += usize::from(!store.objects().contains(digest));
        store.objects().ingest(&work.join(&member.name), digest, work)?;
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
    for (digest, member) in manifests {
        let (source, target) = (work.join(&member.name), store.manifests().path(&digest));
        if let Some(parent) = target.parent() {
            files::create_folder(parent)?;
        }
        fs::rename(&source, &target).map_err(StoreError::io("move into the store", &target))?;
    }
    if !target.exists() {
        let origin = Origin { from: name_of_file(archive), signer: None };
        runs::note_foreign(store, &header.run, &Foreign { origin, proof: None })?;
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
