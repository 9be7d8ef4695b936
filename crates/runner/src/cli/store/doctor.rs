//! `onsager store doctor`.

use crate::cli::common::{self, CliError};
use crate::cli::exit;
use crate::cli::store::text::Place;
use crate::run::doctor::{Job, with_job, with_process};
use crate::store::Store;
use crate::store::doctor::finding::Verdict;
use crate::store::doctor::pair::{self, DoctorSide, Role};
use crate::store::doctor::{self, Report};
use crate::store::files;
use crate::store::locking::{self, Way};
use clap::{Args, ValueEnum};

/// Try out what the file system of the store keeps: locks, renames, times, links, room; and tell what to do
///
/// Two machines that use one store at once need locks that hold between them: `--on` tries them out with a node of a cluster, `--pair`
/// with another machine on which the same is given at the same time. The exit code is 1 where results may be lost or wrong.
///
/// Examples:
///   onsager store doctor
///   onsager store doctor --on cluster
///   onsager store doctor --pair
///   onsager store doctor --locking leases
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Doctor {
    #[command(flatten)]
    place: Place,
    /// Try out what holds between this machine and a node of this profile of onsager.toml
    #[arg(long, value_name = "PROFILE", conflicts_with_all = ["locking", "pair"])]
    on: Option<String>,
    /// Wait for the same command on another machine, and try out what holds between both
    #[arg(long, conflicts_with = "locking")]
    pair: bool,
    /// Set what the locks of this store are from now on
    #[arg(long, value_name = "WAY")]
    locking: Option<Locking>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Locking {
    /// `flock`, where it excludes on every machine that uses the store
    Kernel,
    /// Folders with the name of their holder, which is good everywhere
    Leases,
}

impl Doctor {
    pub fn execute(&self) -> Result<u8, CliError> {
        let store = self.place.store_or_new()?;
        if let Some(way) = self.locking {
            return self.set(&store, way);
        }
        let name = format!("{}{}", if self.pair { pair::PAIR } else { "doctor-" }, files::random());
        let (folder, _work) = store.start_work(&name)?;
        let examined = self.examine(&store, &folder);
        files::remove(&folder)?;
        let Some(report) = examined? else {
            common::print("tried out together with another machine, which has the report\n");
            return Ok(exit::DONE);
        };
        if self.place.json {
            common::print_json(&report);
        } else {
            common::print(&text(&report));
        }
        Ok(if report.is_bad() { exit::FAILED } else { exit::DONE })
    }

    /// None for the second of two machines.
    fn examine(&self, store: &Store, folder: &std::path::Path) -> Result<Option<Report>, CliError> {
        if let Some(name) = &self.on {
            let (side, _job) = self.with_node(store, folder, name)?;
            return Ok(Some(doctor::examine(store, folder, |_| Ok((side, ())))?));
        }
        if !self.pair {
            return Ok(Some(doctor::examine(store, folder, with_process)?));
        }
        let side = pair::meet(store, folder)?;
        if side.role == Role::Second {
            side.play()?;
            return Ok(None);
        }
        Ok(Some(doctor::examine(store, folder, |_| Ok((side, ())))?))
    }

    /// The first side, with a node of a profile as the second.
    fn with_node(
        &self,
        store: &Store,
        folder: &std::path::Path,
        name: &str,
    ) -> Result<(DoctorSide, Job), CliError> {
        let config = self.place.config()?;
        let profile = config.profile(name)?;
        let mut waiting =
            |job: &str| common::print_error(&format!("submitted job {job}; waiting for it to begin"));
        with_job(store, folder, (name, profile), &mut waiting)
            .map_err(|error| CliError::Request(error.to_string()))
    }

    fn set(&self, store: &Store, way: Locking) -> Result<u8, CliError> {
        let way = match way {
            Locking::Leases => Way::Leases,
            Locking::Kernel if !locking::excludes(&store.artifacts().join(".onsager/gate"))? => {
                let message = "`flock` excludes nobody here, so kernel locks would keep nothing: leave the locks as leases";
                return Err(CliError::Request(message.to_owned()));
            }
            Locking::Kernel => Way::Kernel,
        };
        doctor::set(store, way)?;
        common::print(&format!("the locks of this store are {way} from now on\n"));
        Ok(exit::DONE)
    }
}

fn text(report: &Report) -> String {
    let mut lines = Vec::new();
    if let Some(mount) = &report.mount {
        let options =
            if mount.options.is_empty() { String::new() } else { format!(" ({})", mount.options.join(", ")) };
        lines.push(format!("{}: {} at {}{options}", report.store, mount.kind, mount.at));
    } else {
        lines.push(report.store.clone());
    }
    for finding in &report.findings {
        lines.push(format!("{:8} {}: {}", word(finding.verdict), finding.what, finding.found));
    }
    let checked = if report.checked { "" } else { ", which nobody has tried out between machines" };
    lines.push(format!("locks are {}{checked}", report.locking));
    for other in &report.others {
        let place = if other.here { "this machine" } else { "another machine" };
        lines.push(format!("also here: {} on `{}`, {place}", other.about, other.host));
    }
    lines.extend(report.advice.iter().map(|advice| format!("what to do: {advice}")));
    lines.join("\n") + "\n"
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Note => "note",
        Verdict::Lacking => "lacking",
        Verdict::Bad => "BAD",
    }
}
