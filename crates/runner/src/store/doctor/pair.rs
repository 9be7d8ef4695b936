//! What takes two processes to find out, of one machine or of two. They talk by nothing but files in a folder of the store.
//!
//! The first side takes a lock, which the second must not get; both make the same files and folders, of which each must be made by one
//! only; and the first replaces a file again and again, which the second must always find whole.

use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::doctor::alone;
use crate::store::doctor::finding::{Finding, Verdict};
use crate::store::files::{self, StoreError};
use crate::store::system::System;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How many things both make, and how often a file is replaced.
const ROUNDS: usize = 200;
/// How long one side waits for the other.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it looks for another one.
const LOOK: Duration = Duration::from_millis(200);

/// Who does what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Holds the lock, and replaces.
    First,
    /// Looks.
    Second,
}

/// One side of a pair, in a folder that both have.
#[derive(Debug, Clone)]
pub struct DoctorSide {
    pub folder: PathBuf,
    pub role: Role,
}

/// What a pair found out.
#[derive(Debug)]
pub struct Paired {
    pub findings: Vec<Finding>,
    /// Whether kernel locks were found to exclude.
    pub excludes: bool,
    /// On how many machines they were.
    pub machines: usize,
}

/// What the second side saw.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    host: String,
    boot: String,
    excludes: bool,
    /// Whether it got the lock when the first had let go of it.
    released: bool,
    won: Won,
    reads: usize,
    torn: usize,
    missing: usize,
    clock: f64,
}

/// Which of the rounds one side won.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Won {
    folders: Vec<usize>,
    files: Vec<usize>,
    taken: Vec<usize>,
}

/// Both sides of a pair in a new folder inside this one.
pub fn sides(folder: &Path) -> Result<(DoctorSide, DoctorSide), StoreError> {
    let folder = folder.join("pair");
    files::create_folder(&folder)?;
    let side = |role| DoctorSide { folder: folder.clone(), role };
    Ok((side(Role::First), side(Role::Second)))
}

/// How the working folders begin of those who look for another one.
pub const PAIR: &str = "doctor-pair-";

/// Meets whoever else looks for another one of this store, from a machine that need not be the same: with the working folder `own`,
/// whose name begins with [`PAIR`]. Of two, the one whose name comes first is the first side.
pub fn meet(store: &Store, own: &Path) -> Result<DoctorSide, StoreError> {
    let (first, _) = sides(own)?;
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let there = files::list(&store.work())?.into_iter().find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path == own || (name.starts_with(PAIR) && store.locks().is_alive(&name))
        });
        match there {
            Some(other) if other != own => {
                let folder = other.join("pair");
                let joined = File::create_new(folder.join("joined"));
                match joined {
                    Ok(_) => return Ok(DoctorSide { folder, role: Role::Second }),
                    // It is being made, or two others have met.
                    Err(_) => std::thread::sleep(LOOK),
                }
            }
            _ if first.folder.join("joined").exists() => return Ok(first),
            _ => std::thread::sleep(LOOK),
        }
    }
    Err(StoreError::Alone { seconds: PATIENCE.as_secs() })
}

impl DoctorSide {
    /// Plays this side to its end. The first one gives what both found.
    pub fn play(&self) -> Result<Paired, StoreError> {
        match self.role {
            Role::First => self.play_first(),
            Role::Second => self.play_second(),
        }
    }

    fn play_first(&self) -> Result<Paired, StoreError> {
        let path = self.folder.join("lock");
        let failed = || StoreError::io("lock", &path);
        let lock = File::options().create(true).append(true).open(&path).map_err(failed())?;
        // One that is not granted at all excludes nobody.
        let _ = lock.try_lock();
        self.say("locked", &())?;
        self.hear::<()>("tried")?;
        drop(lock);
        self.say("unlocked", &())?;
        self.hear::<()>("ready")?;
        self.say("steady", &())?;
        let won = self.race().map_err(StoreError::io("try", &self.folder))?;
        self.hear::<()>("raced")?;
        for round in 0..ROUNDS {
            self.replace(round)?;
        }
        self.say("replaced", &())?;
        let seen: Seen = self.hear("seen")?;
        let clock = alone::ahead(&self.folder).map_err(StoreError::io("try", &self.folder))?;
        Ok(judge(&won, &seen, clock))
    }

    fn play_second(&self) -> Result<Paired, StoreError> {
        self.hear::<()>("locked")?;
        let path = self.folder.join("lock");
        let failed = || StoreError::io("lock", &path);
        let lock = File::options().create(true).append(true).open(&path).map_err(failed())?;
        let excludes = matches!(lock.try_lock(), Err(TryLockError::WouldBlock));
        self.say("tried", &())?;
        self.hear::<()>("unlocked")?;
        let released = lock.try_lock().is_ok();
        drop(lock);
        self.say("ready", &())?;
        self.hear::<()>("steady")?;
        let won = self.race().map_err(StoreError::io("try", &self.folder))?;
        // There before anybody looks for it.
        self.replace(ROUNDS)?;
        self.say("raced", &())?;
        let (mut reads, mut torn, mut missing) = (0, 0, 0);
        let mut last = false;
        loop {
            match fs::read(self.folder.join("replaced")) {
                Ok(bytes) => torn += usize::from(!is_whole(&bytes)),
                Err(_) => missing += 1,
            }
            reads += 1;
            if last {
                break;
            }
            last = self.folder.join("first-replaced").exists();
        }
        let clock = alone::ahead(&self.folder).map_err(StoreError::io("try", &self.folder))?;
        let (host, boot) = (System::own().host.clone(), System::own().boot.clone());
        self.say("seen", &Seen { host, boot, excludes, released, won, reads, torn, missing, clock })?;
        Ok(Paired { findings: Vec::new(), excludes, machines: 1 })
    }

    /// Makes what the other side makes as well.
    fn race(&self) -> io::Result<Won> {
        let path = |what: &str, round: usize| self.folder.join(format!("{what}-{round}"));
        let mut won = Won::default();
        let refused = |error: io::Error| match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty => Ok(false),
            _ => Err(error),
        };
        for round in 0..ROUNDS {
            if fs::create_dir(path("folder", round)).map_or_else(refused, |()| Ok(true))? {
                won.folders.push(round);
            }
            if File::create_new(path("file", round)).map_or_else(refused, |_| Ok(true))? {
                won.files.push(round);
            }
            let aside = path(&format!("aside-{}", self.name()), round);
            fs::create_dir(&aside)?;
            File::create_new(aside.join(self.name()))?;
            if fs::rename(&aside, path("taken", round)).map_or_else(refused, |()| Ok(true))? {
                won.taken.push(round);
            }
        }
        Ok(won)
    }

    fn replace(&self, round: usize) -> Result<(), StoreError> {
        let body = format!("{round:08}").repeat(4096);
        let bytes = format!("{body}{}", Digest::of(body.as_bytes()));
        files::write_soon(&self.folder.join("replaced"), bytes.as_bytes())
    }

    fn name(&self) -> &'static str {
        match self.role {
            Role::First => "first",
            Role::Second => "second",
        }
    }

    /// Leaves a word for the other side.
    fn say(&self, word: &str, with: &impl Serialize) -> Result<(), StoreError> {
        let path = self.folder.join(format!("{}-{word}", self.name()));
        files::write_atomic(&path, &files::json(&path, with)?)
    }

    /// Waits for a word of the other side.
    fn hear<T: DeserializeOwned>(&self, word: &str) -> Result<T, StoreError> {
        let other = if self.role == Role::First { "second" } else { "first" };
        let path = self.folder.join(format!("{other}-{word}"));
        let began = Instant::now();
        let mut wait = Duration::from_millis(1);
        loop {
            match fs::read(&path) {
                Ok(bytes) => {
                    return serde_json::from_slice(&bytes)
                        .map_err(|error| StoreError::Damaged { path, message: error.to_string() });
                }
                Err(error) if error.kind() == ErrorKind::NotFound && began.elapsed() < PATIENCE => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(StoreError::io("hear of the other side by", &path)(
                        ErrorKind::TimedOut.into(),
                    ));
                }
                Err(error) => return Err(StoreError::io("read", &path)(error)),
            }
            // A network file system remembers that a file was not there; what is written to its folder makes it ask again.
            files::write_soon(&self.folder.join(format!("{}-waits", self.name())), b"")?;
            std::thread::sleep(wait);
            wait = (wait * 2).min(Duration::from_millis(100));
        }
    }
}

/// Whether it is one of the texts that were put there, from its first byte to its last.
fn is_whole(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).unwrap_or("");
    let digest = text.len().checked_sub(64).and_then(|at| text.split_at_checked(at));
    digest.is_some_and(|(body, digest)| Digest::of(body.as_bytes()).to_string() == digest)
}

/// What both sides saw, put together.
fn judge(won: &Won, seen: &Seen, clock: f64) -> Paired {
    let machines = if seen.boot == System::own().boot { 1 } else { 2 };
    let two = match machines {
        1 => "processes".to_owned(),
        _ => format!("machines `{}` and `{}`", System::own().host, seen.host),
    };
    let mut findings = Vec::new();
    findings.push(match (seen.excludes, seen.released) {
        (false, _) => Finding::new(
            &format!("locks between {two}"),
            Verdict::Lacking,
            "`flock` is granted to both: locks have to be leases",
        ),
        (true, true) => Finding::new(
            &format!("locks between {two}"),
            Verdict::Good,
            "the second is refused until the first lets go",
        ),
        (true, false) => Finding::new(
            &format!("locks between {two}"),
            Verdict::Bad,
            "the second is refused also when the first has let go: the lock service is broken",
        ),
    });
    for (what, first, second) in [
        ("mkdir", &won.folders, &seen.won.folders),
        ("O_EXCL", &won.files, &seen.won.files),
        ("rename over what is not empty", &won.taken, &seen.won.taken),
    ] {
        let both = first.iter().filter(|round| second.contains(round)).count();
        let none = ROUNDS - (first.len() + second.len() - both);
        let what = format!("`{what}` by two {}", if machines == 1 { "processes" } else { "machines" });
        findings.push(if both + none == 0 {
            Finding::new(&what, Verdict::Good, format!("each of {ROUNDS} was made by one of them"))
        } else {
            let found = format!(
                "of {ROUNDS}, {both} were made by both and {none} by neither: no store can be shared here"
            );
            Finding::new(&what, Verdict::Bad, found)
        });
    }
    let what = format!(
        "a file that is replaced, seen by another {}",
        if machines == 1 { "process" } else { "machine" }
    );
    findings.push(match (seen.torn, seen.missing) {
        (0, 0) => Finding::new(&what, Verdict::Good, format!("whole in each of {} reads", seen.reads)),
        (0, missing) => {
            let found = format!(
                "missing in {missing} of {} reads: give a command that fails by that once more",
                seen.reads
            );
            Finding::new(&what, Verdict::Lacking, found)
        }
        (torn, _) => Finding::new(&what, Verdict::Bad, format!("torn in {torn} of {} reads", seen.reads)),
    });
    if machines > 1 {
        let apart = clock - seen.clock;
        let verdict = if apart.abs() < 2.0 { Verdict::Good } else { Verdict::Note };
        let found =
            format!("that of `{}` is {apart:+.2} s from this machine's; nothing rests on it", seen.host);
        findings.push(Finding::new("clocks of both machines", verdict, found));
    }
    Paired { findings, excludes: seen.excludes, machines }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sides_come_to_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = sides(folder.path()).unwrap();
        let played = std::thread::spawn(move || second.play().unwrap());
        let paired = first.play().unwrap();
        played.join().unwrap();
        assert_eq!((paired.excludes, paired.machines), (true, 1));
        assert!(
            paired.findings.iter().all(|finding| finding.verdict == Verdict::Good),
            "{:?}",
            paired.findings
        );
    }

    #[test]
    fn what_is_wrong_is_told() {
        let all: Vec<usize> = (0..ROUNDS).collect();
        let won = Won { folders: all.clone(), files: all[1..].to_vec(), taken: all.clone() };
        let seen = Seen {
            host: "other".into(),
            boot: "other".into(),
            excludes: false,
            released: true,
            won: Won { folders: all[..3].to_vec(), ..Won::default() },
            reads: 10,
            torn: 2,
            missing: 0,
            clock: 0.0,
        };
        let paired = judge(&won, &seen, 5.0);
        assert_eq!((paired.excludes, paired.machines), (false, 2));
        let verdicts: Vec<Verdict> = paired.findings.iter().map(|finding| finding.verdict).collect();
        use Verdict::*;
        assert_eq!(verdicts, [Lacking, Bad, Bad, Good, Bad, Note]);
        assert!(is_whole(format!("a{}", Digest::of(b"a")).as_bytes()) && !is_whole(b"a"));
    }
}
