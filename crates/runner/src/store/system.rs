//! The system that a process is part of, which can tell of its own processes whether they are still there: of one start of one machine,
//! seen from one container.

use crate::store::host;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;

/// A machine's start and a container in it, as its processes see them. What cannot be read is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct System {
    /// The machine's name: for people only, since many may have the same.
    pub host: String,
    /// One start of one machine, like no other.
    pub boot: String,
    /// The namespace of its numbers of processes.
    pub namespace: String,
}

impl System {
    /// That of this process.
    pub fn own() -> &'static System {
        static OWN: OnceLock<System> = OnceLock::new();
        OWN.get_or_init(|| {
            let line = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
            let host = host::name().to_owned();
            // A `/proc` that was mounted for another container counts its processes by other numbers: it can tell nothing.
            if Process::read("self").map(|process| process.id) != Some(std::process::id()) {
                return System { host, ..System::default() };
            }
            let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
            System {
                host,
                boot: line("/proc/sys/kernel/random/boot_id"),
                namespace: namespace.to_string_lossy().into_owned(),
            }
        })
    }

    /// Whether a process of this system can be looked up by its number.
    pub fn is_own(&self) -> bool {
        let own = System::own();
        !own.boot.is_empty() && self.boot == own.boot && self.namespace == own.namespace
    }

    /// Whether it is this machine, and was not started again since; in this container or in another.
    pub fn is_this_machine(&self) -> bool {
        !self.boot.is_empty() && self.boot == System::own().boot
    }

    /// Eight hexadecimal digits for the boot and the namespace, for names of files.
    pub fn id(&self) -> String {
        let mut hash = DefaultHasher::new();
        (&self.boot, &self.namespace).hash(&mut hash);
        format!("{:08x}", hash.finish() as u32)
    }
}

/// A process of this system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pub id: u32,
    /// When it started, in the machine's ticks: a later one with the same number has another.
    pub started: u64,
    /// It has ended, and was not waited for.
    ended: bool,
}

impl Process {
    /// This one. Without `/proc` only its number is known.
    pub fn own() -> Process {
        let known = Process::read("self").filter(|process| process.id == std::process::id());
        known.unwrap_or(Process { id: std::process::id(), started: 0, ended: false })
    }

    /// Whether the process with this number, which started then, goes on. To be asked only of a process of one's own system.
    pub fn goes_on(id: u32, started: Option<u64>) -> bool {
        let found = Process::read(&id.to_string()).filter(|found| !found.ended);
        found.is_some_and(|found| started.is_none_or(|started| found.started == started))
    }

    /// `12 (name) S 1 …`: the name may hold anything, so what counts comes behind the last parenthesis.
    fn read(name: &str) -> Option<Process> {
        let stat = fs::read(format!("/proc/{name}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        let (start, rest) = stat.rsplit_once(')')?;
        let id = start.split(' ').next()?.parse().ok()?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ended = matches!(*fields.first()?, "Z" | "X" | "x");
        // The 22nd field of the line, of which two came before.
        Some(Process { id, started: fields.get(19)?.parse().ok()?, ended })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_that_ended_does_not_go_on() {
        let own = Process::own();
        assert!(Process::goes_on(own.id, Some(own.started)));
        assert!(!Process::goes_on(own.id, Some(own.started + 1)));
        let mut child = Command::new("true").spawn().unwrap();
        let read = || Process::read(&child.id().to_string()).unwrap();
        // It stays a zombie until it is waited for.
        while !read().ended {
            std::thread::yield_now();
        }
        assert!(!Process::goes_on(child.id(), None));
        child.wait().unwrap();
    }
}
