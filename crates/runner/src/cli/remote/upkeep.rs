//! `onsager remote check`, `du`, `gc` and `verify`.

use crate::cli::common::{self, CliError, count, root};
use crate::cli::exit;
use crate::cli::remote::choice;
use crate::cli::store::text::{counted, size};
use crate::cli::transfer::shown;
use crate::config::Config;
use crate::pipeline::spec::resources;
use crate::run::workers;
use crate::store::remote::check::{self, Abilities};
use crate::store::remote::error::RemoteError;
use crate::store::remote::link::runtime;
use crate::store::remote::opened::Remote;
use crate::store::remote::upkeep::du::{self, Space};
use crate::store::remote::upkeep::gc::{self, Options, Swept};
use crate::store::remote::upkeep::verify::{self, Verified};
use clap::Args;
use serde::Serialize;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// How many things that are wrong are shown one by one.
const SHOWN: usize = 20;

/// Nobody counts Ctrl-C here: it ends the program at once, and what that did can be done again.
static AT_ONCE: AtomicUsize = AtomicUsize::new(0);

/// Which remote store.
#[derive(Args)]
struct Which {
    /// Its name in `onsager.toml` [default: the one with `default = true`]
    name: Option<String>,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

/// Find out what the server of a remote store can do
///
/// Writes a small file, reads it and a part of it back, and removes it. Where the server takes a second writer of a name for the first
/// (it knows no conditional writes), records get the names of their content from then on.
///
/// Example: onsager remote check lab
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Check {
    #[command(flatten)]
    which: Which,
}

/// Show what takes the space in a remote store
///
/// Example: onsager remote du lab
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Du {
    #[command(flatten)]
    which: Which,
}

/// Remove from a remote store what no record names, and with `--older-than` old records
///
/// Nothing younger than the grace time goes, by the server's clock, and nothing while somebody pushes.
///
/// Examples:
///   onsager remote gc lab --dry-run
///   onsager remote gc lab --older-than 90d
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Gc {
    #[command(flatten)]
    which: Which,
    /// Leave alone what was written since, like `12h`
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = time)]
    grace: Duration,
    /// Remove records that were written longer ago, like `90d`
    #[arg(long, value_name = "TIME", value_parser = time)]
    older_than: Option<Duration>,
    /// Only show what would go
    #[arg(long, short = 'n')]
    dry_run: bool,
}

/// Read everything in a remote store, and compare it with its name
///
/// What is damaged is removed, and so are records that name what is not there; the next push sends it again.
///
/// Example: onsager remote verify lab --dry-run
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Verify {
    #[command(flatten)]
    which: Which,
    /// Only tell
    #[arg(long, short = 'n')]
    dry_run: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    let nothing = matches!(text.trim(), "0" | "0s");
    let read = if nothing { Some(Duration::ZERO) } else { resources::time(text) };
    read.ok_or_else(|| "write numbers with units, like `90s`, `12h` or `30d`".to_owned())
}

impl Which {
    fn open(&self) -> Result<Remote, CliError> {
        let config = Config::of(&root()?)?;
        let name = match &self.name {
            Some(name) => name.clone(),
            None => {
                let default =
                    config.remote.iter().find(|(_, place)| place.default).map(|(name, _)| name.clone());
                default.ok_or_else(|| {
                    CliError::Request(
                        "no remote store is the default: name one of `onsager remote list`".to_owned(),
                    )
                })?
            }
        };
        choice::named(&config, &name)?.open()
    }

    /// Does the work, tells how far it is, and prints what came of it.
    fn tell<T: Serialize>(
        &self,
        remote: &Remote,
        interrupts: &AtomicUsize,
        work: impl Future<Output = Result<T, RemoteError>>,
        text: impl Fn(&T) -> String,
    ) -> Result<T, CliError> {
        let runtime = runtime().map_err(remote.failed("open"))?;
        // The work itself looks at the first Ctrl-C, if it must end something; the second one ends it.
        let done = shown(&runtime, (&remote.name, &remote.counters), (interrupts, 2), work);
        let done = done.ok_or(RemoteError::Interrupted)??;
        if self.json {
            common::print_json(&done);
        } else {
            common::print(&text(&done));
        }
        Ok(done)
    }
}

impl Check {
    pub fn execute(&self) -> Result<u8, CliError> {
        let remote = self.which.open()?;
        let found = self.which.tell(&remote, &AT_ONCE, check::check(&remote), abilities)?;
        Ok(if found.same_bytes == Some(false) { exit::FAILED } else { exit::DONE })
    }
}

fn abilities(found: &Abilities) -> String {
    let answer = |able: Option<bool>, yes: &str, no: &str| match able {
        None => "not tried, it can only be read".to_owned(),
        Some(true) => yes.to_owned(),
        Some(false) => no.to_owned(),
    };
    let clock = match found.clock {
        None => "not known".to_owned(),
        Some(0.0) => "right".to_owned(),
        Some(ahead) if ahead > 0.0 => format!("{} ahead of this machine's", common::duration(ahead)),
        Some(behind) => format!("{} behind this machine's", common::duration(-behind)),
    };
    let creates = answer(found.conditional_create, "yes", "no: records get the names of their content");
    let ranges = answer(found.ranges, "yes", "no: large files come as one stream");
    let bytes = answer(found.same_bytes, "as they were sent", "OTHERS than were sent");
    let records = found.records.as_deref().unwrap_or("nothing was pushed yet");
    format!(
        "{} at {}\n  conditional create  {creates}\n  ranges              {ranges}\n  bytes               {bytes}\n  \
         clock               {clock}\n  records             {records}\n",
        found.remote, found.url
    )
}

impl Du {
    pub fn execute(&self) -> Result<u8, CliError> {
        let remote = self.which.open()?;
        self.which.tell(&remote, &AT_ONCE, du::space(&remote), table)?;
        Ok(exit::DONE)
    }
}

fn table(space: &Space) -> String {
    let names: Vec<String> = space.rows.iter().map(|row| format!("{}/{}", row.scope, row.stage)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(12);
    let mut text = format!("{:width$} {:>9} {:>9} {:>10}\n", "", "results", "objects", "bytes");
    for (name, row) in names.iter().zip(&space.rows) {
        let (records, objects) = (count(row.records as u64), count(row.objects as u64));
        text += &format!("{name:width$} {records:>9} {objects:>9} {:>10}\n", size(row.bytes));
    }
    text += "\n";
    for (name, bytes) in
        [("objects", space.object_bytes), ("records", space.record_bytes), ("runs", space.runs)]
    {
        text += &format!("{name:width$} {:>30}\n", size(bytes));
    }
    text + &format!(
        "{}; `onsager remote gc` would free {} when they are old enough\n",
        counted(space.objects, "object"),
        size(space.unreachable)
    )
}

impl Gc {
    pub fn execute(&self) -> Result<u8, CliError> {
        let remote = self.which.open()?;
        let options = Options { grace: self.grace, older_than: self.older_than, dry_run: self.dry_run };
        let interrupts = workers::interrupts()?;
        let work = gc::collect(&remote, &options, &interrupts);
        let done = self.which.tell(&remote, &interrupts, work, swept)?;
        if done.interrupted {
            common::print_error("interrupted; give the same command to go on");
            return Ok(exit::INTERRUPTED);
        }
        Ok(exit::DONE)
    }
}

fn swept(swept: &Swept) -> String {
    let verb = if swept.dry_run { "would remove" } else { "removed" };
    let mut text = format!(
        "{verb} {}, {}, {} and {} of runs",
        counted(swept.objects, "object"),
        size(swept.bytes),
        counted(swept.records, "record"),
        counted(swept.runs, "file"),
    );
    if !swept.interrupted {
        text += &format!("; {} left", counted(swept.left, "file"));
    }
    if swept.young > 0 {
        text += &format!(", {} of them without a record but too young", count(swept.young as u64));
    }
    text + "\n"
}

impl Verify {
    pub fn execute(&self) -> Result<u8, CliError> {
        let remote = self.which.open()?;
        let remove = !self.dry_run && remote.place.is_writable();
        let interrupts = workers::interrupts()?;
        let work = verify::verify(&remote, remove, &interrupts);
        let found = self.which.tell(&remote, &interrupts, work, verified)?;
        if found.interrupted {
            common::print_error("interrupted, and nothing was removed; the same command begins anew");
            return Ok(exit::INTERRUPTED);
        }
        Ok(if found.wrong.is_empty() { exit::DONE } else { exit::FAILED })
    }
}

fn verified(found: &Verified) -> String {
    let mut text = String::new();
    for wrong in found.wrong.iter().take(SHOWN) {
        let removed = if wrong.removed { "; removed" } else { "" };
        text += &format!("{}: {}{removed}\n", wrong.name, wrong.message);
    }
    if found.wrong.len() > SHOWN {
        text += &format!("… and {} more (`--json` shows all)\n", count((found.wrong.len() - SHOWN) as u64));
    }
    text += &format!(
        "read {}, {}, and {}: {} wrong",
        counted(found.objects, "object"),
        size(found.bytes),
        counted(found.records, "record"),
        count(found.wrong.len() as u64)
    );
    if found.untrusted > 0 {
        text += &format!("; {} not trusted here", counted(found.untrusted, "record"));
    }
    text + "\n"
}
