//! `store import`: reads an archive.

use crate::config::trust::Trust;
use crate::store::Store;
use crate::store::actions::Action;
use crate::store::archive::{
    ArchiveError, Fault, Header, Member, Moved, PIPELINE, TEXTS, digest_in, member_name,
};
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::listing::Entry;
use crate::store::manifests;
use crate::store::objects::{Content, Held, Objects, Shape};
use crate::store::proof::Origin;
use crate::store::runs::{self, Foreign};
use crate::store::text;
use crate::store::unpack::LARGEST;
use crate::store::written::Written;
use crate::store::{untar, unzip};
use crate::trust::judge::judge;
use crate::trust::record;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

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
    let mut start = Vec::new();
    let read = File::open(archive).and_then(|file| file.take(4).read_to_end(&mut start));
    read.map_err(StoreError::io("read", archive))?;
    if unzip::is_zip(&start) { unzip::stage(archive, work) } else { untar::stage(archive, work) }
}

fn name_of_file(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
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
        } else if name == PIPELINE || of(TEXTS, "") == Some(member.digest) {
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
    let staged = Objects::new(work.join("objects"), Written::default());
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
