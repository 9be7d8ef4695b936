//! Where the jobs of a cluster and their coordinators meet in the store.
//!
//! ```text
//! .onsager/pilots/<group>/         the jobs of one submission; a group is `<run>.<number>`
//!   orders.json                    what they are to do
//!   jobs                           their numbers, as the engine calls them
//!   <index>.job                    what a command of a profile printed when it submitted a job
//!   job.sh  <index>.out            the script, and what it printed
//!   <index>.<random>/from  to      the mailbox of each pilot that began; a job that is started again begins another
//! .onsager/bin/<digest>            the program that they run
//! ```

use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::locks::Lock;
use crate::worker::cluster::messages::Orders;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The first argument of a pilot's process.
pub const PILOT: &str = "onsager-pilot";

/// The jobs of one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub folder: PathBuf,
}

/// A pilot's folder in the group of its job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PilotName {
    /// The place of its job in the array.
    pub index: usize,
    /// With what tells it from others of the same job.
    pub name: String,
}

impl Store {
    /// All groups that there are.
    pub fn groups(&self) -> Result<Vec<Group>, StoreError> {
        let folders = files::list(&self.pilots())?;
        let names = folders.iter().filter_map(|path| path.file_name()?.to_str());
        Ok(names.map(|name| self.group(name)).collect())
    }

    pub fn group(&self, name: &str) -> Group {
        Group { name: name.to_owned(), folder: self.pilots().join(name) }
    }

    /// The right to be the coordinator of a group, if nobody has it.
    pub fn try_coordinate(&self, group: &Group) -> Result<Option<Lock>, StoreError> {
        self.locks().try_take(&format!("pilots-{}", group.name))
    }

    /// Whether a coordinator has the group.
    pub fn is_coordinated(&self, group: &Group) -> bool {
        self.locks().is_held(&format!("pilots-{}", group.name))
    }

    /// Whether the process of a pilot goes on, as far as can be known.
    pub fn has_pilot(&self, group: &Group, pilot: &PilotName) -> bool {
        self.is_going(&group.lease(pilot))
    }

    /// This program as a file of the store, which stays as it is when onsager is built anew.
    pub fn keep_program(&self, program: &Path) -> Result<(PathBuf, Digest), StoreError> {
        let (digest, _) = Digest::of_file(program)?;
        let kept = self.programs().join(digest.to_string());
        if Digest::of_file(&kept).is_ok_and(|(found, _)| found == digest) {
            return Ok((kept, digest));
        }
        let temporary = files::temporary_beside(&kept);
        if let Some(parent) = kept.parent() {
            files::create_folder(parent)?;
        }
        let written = (|| {
            let mut file = File::create(&temporary)?;
            io::copy(&mut File::open(program)?, &mut file)?;
            file.set_permissions(fs::Permissions::from_mode(0o755))?;
            file.sync_all()?;
            fs::rename(&temporary, &kept)
        })();
        written.map_err(|error| {
            // The first error is the one to tell.
            let _ = fs::remove_file(&temporary);
            StoreError::io("write", &kept)(error)
        })?;
        Ok((kept, digest))
    }
}

impl Group {
    /// What its jobs are to do; none where it was never written, or cannot be read.
    pub fn orders(&self) -> Option<Orders> {
        serde_json::from_slice(&fs::read(self.folder.join("orders.json")).ok()?).ok()
    }

    pub fn give(&self, orders: &Orders) -> Result<(), StoreError> {
        let path = self.folder.join("orders.json");
        files::write_atomic(&path, &files::json(&path, orders)?)
    }

    /// The numbers of its jobs, once they are submitted. Whoever submitted them may not have lived to note them: then what the submit
    /// command printed counts.
    pub fn jobs(&self) -> Vec<String> {
        match fs::read_to_string(self.folder.join("jobs")) {
            Ok(text) => text.lines().map(str::to_owned).collect(),
            Err(_) => (0..).map_while(|index| self.submitted_as(index)).collect(),
        }
    }

    /// Where the submit command of a profile prints the number of a job.
    pub fn number(&self, index: usize) -> PathBuf {
        self.folder.join(format!("{index}.job"))
    }

    /// The number of a job as it was printed: its last word.
    pub fn submitted_as(&self, index: usize) -> Option<String> {
        let said = fs::read_to_string(self.number(index)).ok()?;
        said.split_whitespace().last().map(str::to_owned)
    }

    pub fn submitted(&self, jobs: &[String]) -> Result<(), StoreError> {
        files::write_atomic(&self.folder.join("jobs"), jobs.join("\n").as_bytes())
    }

    /// The pilots that have begun, in the order of their jobs.
    pub fn pilots(&self) -> Result<Vec<PilotName>, StoreError> {
        let mut pilots: Vec<PilotName> = files::list(&self.folder)?
            .iter()
            .filter_map(|path| {
                let name = path.file_name()?.to_str()?;
                let index = name.split_once('.')?.0.parse().ok()?;
                path.join("from").is_dir().then(|| PilotName { index, name: name.to_owned() })
            })
            .collect();
        pilots.sort();
        Ok(pilots)
    }

    /// The folder of a pilot.
    pub fn pilot(&self, pilot: &PilotName) -> PathBuf {
        self.folder.join(&pilot.name)
    }

    /// How a pilot's working folder and its lock are called.
    pub fn lease(&self, pilot: &PilotName) -> String {
        format!("{}.{}", self.name, pilot.name)
    }

    /// The last lines of what a job printed.
    pub fn printed(&self, index: usize) -> Vec<String> {
        const LINES: usize = 10;
        let path = self.folder.join(format!("{index}.out"));
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
            bytes => bytes.unwrap_or_default(),
        };
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(LINES)..].iter().map(|line| (*line).to_owned()).collect()
    }
}
