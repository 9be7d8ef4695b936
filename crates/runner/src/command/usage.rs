//! What a task took of the machine: CPU time, memory and bytes, of the worker and of the programs that it started.

use serde::{Deserialize, Serialize};

/// What a task took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time of all its processes, in seconds.
    pub cpu: f64,
    /// The most memory that one of its processes held, in bytes.
    pub memory: u64,
    /// The bytes that all its processes read by system calls, from files and pipes, cached by the system or not.
    #[serde(default)]
    pub read: u64,
    /// The same of what they wrote.
    #[serde(default)]
    pub written: u64,
}

#[cfg(target_os = "linux")]
pub use linux::{Meter, reap};
#[cfg(not(target_os = "linux"))]
pub use other::{Meter, reap};

#[cfg(target_os = "linux")]
mod linux {
    use super::Usage;
    use rustix::process::Pid;
    use std::fs;
    use std::io;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The most memory that a program of the task at hand held.
    static PROGRAMS: AtomicU64 = AtomicU64::new(0);

    /// Measures one task of this process.
    pub struct Meter {
        cpu: f64,
        bytes: (u64, u64),
    }

    impl Meter {
        /// From now on.
        pub fn start() -> Meter {
            PROGRAMS.store(0, Ordering::Relaxed);
            // It makes the kernel forget the most memory that there was. Where it cannot, that counts once more.
            let _ = fs::write("/proc/self/clear_refs", "5");
            Meter { cpu: cpu(), bytes: bytes() }
        }

        /// What was taken until now.
        pub fn read(&self) -> Option<Usage> {
            let status = fs::read_to_string("/proc/self/status").ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            let own = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024;
            let memory = own.max(PROGRAMS.load(Ordering::Relaxed));
            let (read, written) = bytes();
            Some(Usage {
                cpu: (cpu() - self.cpu).max(0.0),
                memory,
                read: read.saturating_sub(self.bytes.0),
                written: written.saturating_sub(self.bytes.1),
            })
        }
    }

    /// The bytes that this process and those that it waited for have read and written; 0 where the system does not tell.
    fn bytes() -> (u64, u64) {
        let text = fs::read_to_string("/proc/self/io").unwrap_or_default();
        let of =
            |name| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0);
        (of("rchar:"), of("wchar:"))
    }

    /// The CPU time of this process and of those that it waited for, in seconds.
    fn cpu() -> f64 {
        let of = |who| {
            // SAFETY: the call fills a structure of this type, which is valid as zeros.
            let usage = unsafe {
                let mut usage: libc::rusage = std::mem::zeroed();
                libc::getrusage(who, &mut usage);
                usage
            };
            let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
            seconds(usage.ru_utime) + seconds(usage.ru_stime)
        };
        of(libc::RUSAGE_SELF) + of(libc::RUSAGE_CHILDREN)
    }

    /// Waits for a program that has ended or is about to.
    pub fn reap(id: Pid) -> io::Result<ExitStatus> {
        let mut status = 0;
        // SAFETY: the call fills a structure of this type, which is valid as zeros.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        loop {
            // SAFETY: both pointers lead to variables that outlive the call.
            let waited = unsafe { libc::wait4(id.as_raw_nonzero().get(), &mut status, 0, &mut usage) };
            if waited != -1 {
                break;
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        PROGRAMS.fetch_max(usage.ru_maxrss as u64 * 1024, Ordering::Relaxed);
        Ok(ExitStatus::from_raw(status))
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use super::Usage;
    use rustix::process::{Pid, WaitOptions, waitpid};
    use std::io;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    /// Nothing is measured here.
    pub struct Meter;

    impl Meter {
        pub fn start() -> Meter {
            Meter
        }

        pub fn read(&self) -> Option<Usage> {
            None
        }
    }

    /// Waits for a program that has ended or is about to.
    pub fn reap(id: Pid) -> io::Result<ExitStatus> {
        let ended = rustix::io::retry_on_intr(|| waitpid(Some(id), WaitOptions::empty()))?;
        let (_, status) = ended.ok_or_else(|| io::Error::other("the command was not waited for"))?;
        Ok(ExitStatus::from_raw(status.as_raw()))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_and_time_are_those_of_the_task() {
        let meter = Meter::start();
        let before = meter.read().unwrap();
        let block = vec![1_u8; 64 << 20];
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        assert_eq!(sum, 64 << 20);
        let after = meter.read().unwrap();
        assert!(
            after.memory >= before.memory + (60 << 20) || before.memory > (64 << 20),
            "{before:?} {after:?}"
        );
        assert!(after.cpu > before.cpu);
        drop(block);
        let again = Meter::start().read().unwrap();
        assert!(again.memory < after.memory, "{again:?} {after:?}");
    }
}
