//! `store import`: reads an archive.

use crate::store::Store;
use crate::store::actions::Action;
use crate::store::archive::{
    ArchiveError, FORMAT, Fault, HEADER, Hashing, Header, Member, Moved, VERSION, digest_in, member_name,
};
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::objects::{Content, Held, Objects, Shape};
use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Component, Path};

/// A larger header is not one.
const LARGEST_HEADER: u64 = 1 << 30;

/// Reads an archive into the store. Nothing of it is visible before all of it was checked.
pub fn import(store: &Store, archive: &Path) -> Result<Moved, ArchiveError> {
    let _tools = store.lock_tools()?;
    let (work, _lock) = store.start_work(&format!("import-{}", std::process::id()))?;
    let imported = stage(archive, &work).and_then(|header| admit(store, archive, &work, header));
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

/// Moves what was checked into the store.
fn admit(store: &Store, archive: &Path, work: &Path, header: Header) -> Result<Moved, ArchiveError> {
    let damaged = |reason| ArchiveError::Damaged { path: archive.to_owned(), reason };
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
