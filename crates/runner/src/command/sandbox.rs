//! Confinement of a command by Landlock: it reads its declared inputs and the system, and writes its own folders.
//!
//! The kernel checks when a file is opened; asking whether a file exists is not an access. The rules hold for the thread that
//! takes them on, for the processes that it starts, and for all that those start; they cannot be taken off.

use crate::command::error::CommandError;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// What a command may do with files.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sandbox {
    pub read: BTreeSet<PathBuf>,
    pub write: BTreeSet<PathBuf>,
}

impl Sandbox {
    /// Lets it read a file, or a folder with all that is in it.
    pub fn read(&mut self, path: impl Into<PathBuf>) {
        self.read.insert(path.into());
    }

    /// Lets it do anything with a folder.
    pub fn write(&mut self, path: impl Into<PathBuf>) {
        self.write.insert(path.into());
    }

    /// Confines this thread and all that it starts from now on.
    pub fn enter(&self) -> Result<(), CommandError> {
        if self.restrict()? {
            return Ok(());
        }
        Err(CommandError::NoLandlock)
    }

    /// False where the kernel cannot do it.
    #[cfg(target_os = "linux")]
    fn restrict(&self) -> Result<bool, CommandError> {
        use landlock::{
            ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
            RulesetCreatedAttr, RulesetStatus,
        };
        /// What every program may read and start; the last three are facts on the machine, and what `/etc` leads to.
        const SYSTEM: [&str; 13] = [
            "/usr",
            "/bin",
            "/sbin",
            "/lib",
            "/lib32",
            "/lib64",
            "/libx32",
            "/etc",
            "/opt",
            "/proc",
            "/sys",
            "/run/systemd/resolve",
            "/nix/store",
        ];
        /// What it may also write.
        const DEVICES: [&str; 6] =
            ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];
        /// Shared memory, which locks between processes live in.
        const SHARED: &str = "/dev/shm";

        // What a newer kernel knows besides is asked for where it is there.
        let all = AccessFs::from_all(ABI::V3);
        let reading = AccessFs::from_read(ABI::V3);
        let devices = reading | AccessFs::WriteFile | AccessFs::Truncate;
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(all)
            .and_then(Ruleset::create)?;
        let system = SYSTEM.iter().map(|path| (Path::new(path), reading));
        let devices = DEVICES.iter().map(|path| (Path::new(path), devices));
        let own = self.read.iter().map(|path| (path.as_path(), reading));
        let written = self.write.iter().map(PathBuf::as_path).chain([Path::new(SHARED)]);
        for (path, access) in system.chain(devices).chain(own).chain(written.map(|path| (path, all))) {
            // What is not there needs no leave.
            let (Ok(data), Ok(open)) = (fs::metadata(path), PathFd::new(path)) else { continue };
            let access = if data.is_dir() { access } else { access & AccessFs::from_file(ABI::V3) };
            rules = rules.add_rule(PathBeneath::new(open, access))?;
        }
        let status = rules.restrict_self()?;
        Ok(status.ruleset != RulesetStatus::NotEnforced)
    }

    #[cfg(not(target_os = "linux"))]
    fn restrict(&self) -> Result<bool, CommandError> {
        Ok(false)
    }
}

/// Where the programs on `PATH` live: for an entry like `~/.pyenv/bin` the folder `~/.pyenv`, since a program needs its libraries;
/// but the entry alone where that folder is the user's home, or holds one of the `kept` folders. An interpreter that is a link,
/// as in a virtual environment, adds the place that it leads to.
pub fn programs(kept: &[&Path]) -> Vec<PathBuf> {
    let home = env::home_dir().unwrap_or_default();
    let place = |folder: &Path| {
        let parent = folder.parent().unwrap_or(folder);
        let wide = home.starts_with(parent) || kept.iter().any(|kept| kept.starts_with(parent));
        if wide { folder.to_owned() } else { parent.to_owned() }
    };
    let mut places = Vec::new();
    for entry in
        env::split_paths(&env::var_os("PATH").unwrap_or_default()).filter(|entry| entry.is_absolute())
    {
        places.push(place(&entry));
        for interpreter in ["python3", "python", "Rscript", "julia", "node"] {
            if let Ok(real) = fs::canonicalize(entry.join(interpreter))
                && let Some(folder) = real.parent()
            {
                places.push(place(folder));
            }
        }
    }
    places
}
