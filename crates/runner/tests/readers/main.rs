//! Every file that is read back may hold anything: it is read or refused, nothing panics, and nothing outside the project is touched.
//!
//! A few hundred files of each kind are tried; `ONSAGER_FUZZ_SECONDS=600` tries each kind for ten minutes.

#[path = "../../../../tests/common/archive.rs"]
mod archive;
mod mangle;
mod world;

use archive::Archive;
use mangle::{fuzz, mangle};
use onsager_runner::compare::history;
use onsager_runner::config::trust::{Trust, Trusted};
use onsager_runner::export::tensorboard;
use onsager_runner::kind::trial::Trial;
use onsager_runner::run::account::Account;
use onsager_runner::run::events;
use onsager_runner::store::archive::{Member, Source, in_zip};
use onsager_runner::store::curves::{self, Follow, Writer};
use onsager_runner::store::digest::Digest;
use onsager_runner::store::objects::{Content, Shape};
use onsager_runner::store::zip::{self, Packed};
use onsager_runner::store::{Store, export, import, log};
use onsager_runner::trust::judge::judge;
use onsager_runner::trust::key::SecretKey;
use onsager_runner::trust::record;
use onsager_runner::trust::statement::sign;
use std::fs;
use std::path::Path;
use world::{RUN, World};

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("a file")
}

/// Writes bytes where a read-only file may be.
fn write(path: &Path, bytes: &[u8]) {
    let _ = fs::remove_file(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, bytes).expect("written");
}

#[test]
fn action_records() {
    let world = World::new();
    let paths: Vec<_> = world.keys.iter().map(|key| world.store.actions().path(key)).collect();
    let good: Vec<Vec<u8>> = paths.iter().map(|path| read(path)).collect();
    fuzz(|changes| {
        for (path, good) in paths.iter().zip(&good) {
            write(path, &mangle(good, 0, changes));
        }
        world.read();
    });
}

/// A signed record counts only as it was signed.
#[test]
fn signed_records() {
    let world = World::new();
    let secret = SecretKey::random().expect("a key");
    let scopes = vec!["*".to_owned()];
    let anna = Trusted { key: secret.public(), until: None, scopes };
    let trust = Trust::default().with("anna", &anna).expect("a name");
    let signed = |key| {
        let mut action = world.store.actions().get(key).expect("read").expect("a record");
        action.proof = sign(&action, &secret, "main", 0).expect("signed");
        serde_json::to_vec(&action).expect("JSON")
    };
    let good: Vec<Vec<u8>> = world.keys.iter().map(signed).collect();
    fuzz(|changes| {
        for (key, good) in world.keys.iter().zip(&good) {
            let bytes = mangle(good, 0, changes);
            let judged = record::read(&bytes, key).and_then(|action| judge(&trust, &action));
            assert!(judged.is_err() || bytes == *good);
        }
    });
}

#[test]
fn folder_objects() {
    let world = World::new();
    let list = world.contents[1];
    let good = read(&world.store.objects().path(&list.digest));
    let record = world.store.actions().path(&world.keys[1]);
    let action = String::from_utf8(read(&record)).expect("text");
    fuzz(|changes| {
        let bytes = mangle(&good, b"onsager folder\n".len(), changes);
        let digest = Digest::of(&bytes);
        write(&world.store.objects().path(&digest), &bytes);
        let content = Content { digest, shape: Shape::Folder, size: list.size };
        let _ = world.store.objects().check(&content);
        let _ = world.store.objects().contradiction(&content);
        let _ = world.store.objects().place(&content, world.store.artifacts(), Path::new("p/placed"));
        write(&record, action.replace(&list.digest.to_string(), &digest.to_string()).as_bytes());
        world.read();
        let _ = fs::remove_file(world.store.objects().path(&digest));
    });
}

#[test]
fn manifests() {
    let world = World::new();
    let run = world.run().expect("a run");
    let path = world.store.manifests().path(&run.manifest.expect("a manifest"));
    let record = world.store.runs().join(format!("{RUN}.jsonl"));
    let (good, events) = (read(&path), String::from_utf8(read(&record)).expect("text"));
    fuzz(|changes| {
        let bytes = mangle(&good, 0, changes);
        let digest = Digest::of(&bytes);
        write(&world.store.manifests().path(&digest), &bytes);
        let named = events.replace(&run.manifest.expect("a manifest").to_string(), &digest.to_string());
        write(&record, named.as_bytes());
        let _ = world.store.manifests().get(&digest);
        world.read();
    });
}

#[test]
fn records_of_runs() {
    let world = World::new();
    let path = world.store.runs().join(format!("{RUN}.jsonl"));
    let good = read(&path);
    let target = world.outer().join("project/artifacts/export");
    fuzz(|changes| {
        write(&path, &mangle(&good, 0, changes));
        for record in events::records(&world.store, "p").into_iter().flatten().flatten() {
            assert_eq!(record.run, RUN);
        }
        for past in history::runs(&world.store, None).unwrap_or_default() {
            let _ = past.tasks(&world.store);
        }
        if let Ok(account) = Account::read(&world.store, RUN) {
            assert_eq!(account.run, RUN);
            let logs = world.outer().join("project/artifacts/logs");
            let _ = tensorboard::export(&world.store, &account, &logs);
            let _ = fs::remove_dir_all(&logs);
        }
        if let Some(run) = world.run() {
            let _ = export::export(&world.store, &run, &[], export::Form::default(), None, &target);
            let exported = fs::read(&target).unwrap_or_default();
            assert!(!exported.windows(6).any(|window| window == b"secret"));
            let _ = fs::remove_file(&target);
        }
        world.read();
    });
}

#[test]
fn curves_of_tasks() {
    let world = World::new();
    let key = world.keys[0];
    let path = world.store.metrics().join(format!("{key}.jsonl"));
    let mut good = String::new();
    for step in 1..=5 {
        for (name, value) in [("loss", "0.5"), ("rate", "\"NaN\"")] {
            good +=
                &format!("{{\"step\":{step},\"name\":\"{name}\",\"value\":{value},\"at\":1764440000123}}\n");
        }
    }
    let folder = world.store.checkpoints(&key);
    let unfinished = folder.join(curves::FILE);
    let logs = world.outer().join("project/artifacts/logs");
    fuzz(|changes| {
        let bytes = mangle(good.as_bytes(), 0, changes);
        write(&path, &bytes);
        let mut follow = Follow::of(&world.store, key);
        let _ = follow.poll();
        let found = world.store.curves(&key).expect("read");
        assert!(found.0.values().all(|points| points.is_sorted_by(|one, next| one.step < next.step)));
        let account = Account::read(&world.store, RUN).expect("a record");
        tensorboard::export(&world.store, &account, &logs).expect("written");
        // The next attempt goes on from it.
        write(&unfinished, &bytes);
        Writer::new(&folder).add(3, [("loss", 1.0)]).expect("written");
        let _ = follow.poll();
        let kept = fs::read_to_string(&unfinished).expect("whole lines");
        assert!(kept.lines().all(|line| serde_json::from_str::<curves::Line>(line).is_ok()));
        let _ = fs::remove_file(&unfinished);
        world.read();
    });
}

#[test]
fn archives() {
    let world = World::new();
    let path = world.outer().join("project/artifacts/archive");
    export::export(&world.store, &world.run().expect("a run"), &[], export::Form::default(), None, &path)
        .expect("exported");
    let (whole, good) = (read(&path), Archive::read(&path));
    fuzz(|changes| {
        let store = world.outer().join("project/artifacts/imported");
        let _ = fs::remove_dir_all(&store);
        let store = Store::open(&store).expect("a store");
        // The whole file; and each part of it, with a header that agrees.
        let which = changes.len() % (good.members.len() + 2);
        match which.checked_sub(2) {
            Some(member) => {
                let mut archive = good.clone();
                let bytes = &mut archive.members[member].1;
                let prefix = if bytes.starts_with(b"onsager folder\n") { 15 } else { 0 };
                *bytes = mangle(bytes, prefix, changes);
                if archive.members[member].0.starts_with("objects/") {
                    let (old, new) = (archive.members[member].0.clone(), archive.members[member].1.clone());
                    archive.members[member].1 = good.members[member].1.clone();
                    archive.replace_object(&old["objects/".len()..].replace('/', ""), &new);
                }
                archive.write(&path);
            }
            None if which == 1 => {
                let header = mangle(good.header.to_string().as_bytes(), 0, changes);
                match serde_json::from_slice(&header) {
                    Ok(header) => good.write_with(&header, &path),
                    Err(_) => return,
                }
            }
            None => fs::write(&path, mangle(&whole, 0, changes)).expect("written"),
        }
        if import::import(&store, &path, &Trust::default()).is_ok() {
            for run in onsager_runner::store::runs::all(&store).expect("runs") {
                let _ = export::export(
                    &store,
                    &run,
                    &[],
                    export::Form::default(),
                    None,
                    &world.outer().join("project/artifacts/again"),
                );
                let _ = fs::remove_file(world.outer().join("project/artifacts/again"));
            }
            let _ = onsager_runner::store::verify::verify(&store, &Trust::default(), false);
        }
        world.check_outside();
    });
}

#[test]
fn zips() {
    let world = World::new();
    let path = world.outer().join("project/artifacts/run.zip");
    let run = world.run().expect("a run");
    let contents = export::contents(&world.store, &run, &[], false, None).expect("contents");
    let header = serde_json::to_vec(&contents.header).expect("JSON");
    let members = contents.header.members.into_iter().zip(contents.sources);
    let mut files: Vec<Packed> = members
        .map(|(member, source)| {
            let name = in_zip(&member.name);
            Packed { member: Member { name, ..member }, source, executable: false }
        })
        .collect();
    let member = Member { name: in_zip("onsager.json"), size: 0, digest: Digest::of(&header) };
    files.push(Packed { member, source: Source::Bytes(header), executable: false });
    zip::write(&files, fs::File::create(&path).expect("a file")).expect("written");
    let whole = read(&path);
    let imported = |name: &str| {
        let store = world.outer().join("project/artifacts").join(name);
        let _ = fs::remove_dir_all(&store);
        let store = Store::open(&store).expect("a store");
        import::import(&store, &path, &Trust::default().accepting_unsigned())
    };
    imported("whole").expect("imported");
    fuzz(|changes| {
        fs::write(&path, mangle(&whole, 0, changes)).expect("written");
        let _ = imported("mangled");
        world.check_outside();
    });
}

#[test]
fn checkpoints() {
    let world = World::new();
    let folder = world.outer().join("project/artifacts/trial");
    let name = b"step-7-6f3f4e2a8d1c5b7e9a0b1c2d3e4f5061".to_vec();
    fuzz(|changes| {
        use std::os::unix::ffi::OsStrExt;
        let checkpoints = folder.join("checkpoints");
        let _ = fs::remove_dir_all(&checkpoints);
        fs::create_dir_all(&checkpoints).expect("made");
        let mangled = mangle(&name, 0, changes);
        let plain = std::ffi::OsStr::from_bytes(&mangled);
        // A name that is none cannot be made.
        if !mangled.contains(&b'/')
            && fs::write(checkpoints.join(plain), mangle(b"state", 0, changes)).is_ok()
        {
            let context = Trial::new(&folder).context([]).expect("a context");
            let _ = context.latest_checkpoint();
        }
        let own = world.store.checkpoints(&Digest::of(b"unfinished"));
        write(&own.join("step-7-aa"), &mangle(b"state", 0, changes));
        if !mangled.contains(&b'/') {
            let _ = fs::write(own.join(plain), "state");
        }
        world.read();
    });
}

#[test]
fn journals() {
    let world = World::new();
    let folder = world.outer().join("project/artifacts/.onsager");
    let view = folder.join("views/p.journal");
    let good = read(&view);
    // The records without the frame, whose checksum would stop every change.
    let length = |at: usize| u32::from_le_bytes(good[at..at + 4].try_into().expect("four bytes")) as usize;
    let first = good[8..8 + length(0)].to_vec();
    fuzz(|changes| {
        write(&view, &mangle(&good, 0, changes));
        world.read();
        let content = mangle(&first, 0, changes);
        let mut sum = flate2::Crc::new();
        sum.update(&content);
        let mut framed = (content.len() as u32).to_le_bytes().to_vec();
        framed.extend((!sum.sum()).to_le_bytes());
        framed.extend(content);
        for path in [&view, &folder.join("stat.journal")] {
            write(path, &framed);
        }
        world.read();
        let collected = folder.join("collected.jsonl");
        write(&collected, &mangle(format!("\"{}\"\n", world.keys[0]).as_bytes(), 0, changes));
        let _ = log::read_lines::<Digest>(&collected);
    });
}
