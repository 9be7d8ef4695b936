//! Confinement of a command by Landlock: it reads its declared inputs and the system, and writes its own folders.
//!
//! The kernel checks when a file is opened; asking whether a file exists is not an access. The rules hold for the thread that
//! takes them on, for the processes that it starts, and for all that those start; they cannot be taken off.

use super::stage::StageError;
use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// What every program may read and start.
const SYSTEM: [&str; 10] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/proc"];
/// What it may also write: the devices that every program counts on, and shared memory.
const DEVICES: [&str; 7] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/shm"];
/// What it may only read besides: facts on the machine and, in many systems, the files that `/etc` leads to.
const FACTS: [&str; 3] = ["/sys", "/run/systemd/resolve", "/nix/store"];

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
    pub fn enter(&self) -> Result<(), StageError> {
        let missing = "this kernel cannot confine commands: it has no Landlock, or it is turned off";
        match self.restrict() {
            Ok(RulesetStatus::NotEnforced) => Err(StageError::with_help(
                missing,
                "run without `sandbox: true` and `--sandbox`, or on Linux 5.13 or newer with `landlock` among its `lsm=`",
            )),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the command cannot be confined: {error}").into()),
        }
    }

    fn restrict(&self) -> Result<RulesetStatus, RulesetError> {
        // What a newer kernel knows besides is asked for where it is there.
        let all = AccessFs::from_all(ABI::V3);
        let reading = AccessFs::from_read(ABI::V3);
        let devices = reading | AccessFs::WriteFile | AccessFs::Truncate;
        let shared = Path::new("/dev/shm");
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(all)?
            .create()?
            .set_compatibility(CompatLevel::BestEffort);
        let system = SYSTEM.iter().chain(&FACTS).map(|path| (Path::new(path), reading));
        let devices =
            DEVICES.iter().map(Path::new).map(|path| (path, if path == shared { all } else { devices }));
        let own = self.read.iter().map(|path| (path.as_path(), reading));
        let own = own.chain(self.write.iter().map(|path| (path.as_path(), all)));
        for (path, access) in system.chain(devices).chain(own) {
            // What is not there needs no leave.
            let (Ok(data), Ok(open)) = (fs::metadata(path), PathFd::new(path)) else { continue };
            let access: BitFlags<AccessFs> =
                if data.is_dir() { access } else { access & AccessFs::from_file(ABI::V3) };
            rules = rules.add_rule(PathBeneath::new(open, access))?;
        }
        Ok(rules.restrict_self()?.ruleset)
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
