//! The second side of `store doctor`, in a process of its own: this very program, started with [`DOCTOR`] as its first argument.

use crate::config::profiles::Profile;
use crate::run::options::new_run_name;
use crate::run::program::this_program;
use crate::store::Store;
use crate::store::doctor::pair::{DoctorSide, Role, sides};
use crate::store::files::StoreError;
use crate::worker::cluster::detach::{self, Detach, DetachError, Detached};
use crate::worker::cluster::engine::{Engine, JobState};
use crate::worker::cluster::engines;
use onsager_numerics::kernel::Level;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The first argument of such a process; the second is the folder in which both sides meet.
pub const DOCTOR: &str = "onsager-doctor";

/// The other process, until it is dropped.
pub struct Other(Child);

/// The first side, in a new folder inside this one, and the process that plays the second.
pub fn with_process(folder: &Path) -> Result<(DoctorSide, Other), StoreError> {
    let (first, second) = sides(folder)?;
    let failed = |error: io::Error| StoreError::io("start another process for", &second.folder)(error);
    let child = Command::new(this_program().map_err(failed)?)
        .arg0("onsager")
        .args([DOCTOR.as_ref(), second.folder.as_os_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(failed)?;
    Ok((first, Other(child)))
}

/// The first side, in a new folder inside this one, and the second as a job on a node of a cluster, which has begun when this returns.
pub fn with_job(
    store: &Store,
    folder: &Path,
    (name, profile): (&str, &Profile),
    waiting: &mut dyn FnMut(&str),
) -> Result<(DoctorSide, Job), JobError> {
    /// How often the engine is asked whether the job has begun, and for how long.
    const ASK: Duration = Duration::from_secs(2);
    const PATIENCE: Duration = Duration::from_secs(1800);
    let (first, second) = sides(folder)?;
    let engine = engines::of(profile).ok_or_else(|| DetachError::Here { name: name.to_owned() })?;
    let failed = |error: io::Error| StoreError::io("start another process for", &second.folder)(error);
    let detach = Detach {
        name,
        profile,
        run: new_run_name(),
        kernel: Level::detect(),
        program: store.keep_program(&this_program().map_err(failed)?)?,
        arguments: vec![DOCTOR.into(), second.folder.clone().into()],
        folder: store.artifacts(),
    };
    let Detached { job, output } = detach::detach(store, detach)?;
    let submitted = Job { engine, job };
    waiting(&submitted.job);
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let listed = submitted.engine.list(std::slice::from_ref(&submitted.job)).unwrap_or_default();
        match listed.into_iter().find(|listed| listed.job == submitted.job).map(|listed| listed.state) {
            Some(JobState::Running(_)) => return Ok((first, submitted)),
            Some(JobState::Ended(how) | JobState::Stuck(how)) => {
                return Err(JobError::Ended { job: submitted.job.clone(), how, output });
            }
            Some(JobState::Waiting(_)) | None => std::thread::sleep(ASK),
        }
    }
    Err(JobError::Late { job: submitted.job.clone(), minutes: PATIENCE.as_secs() / 60 })
}

/// The job of the second side; it is ended when it is dropped.
pub struct Job {
    engine: Box<dyn Engine>,
    job: String,
}

impl Drop for Job {
    fn drop(&mut self) {
        // It has said all that it has to say; where it cannot be cancelled it ends by itself.
        let _ = self.engine.cancel(std::slice::from_ref(&self.job));
    }
}

/// Why no job plays the second side.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error(transparent)]
    Detach(#[from] DetachError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("job {job} ended before it began ({how}); see `{}`", .output.display())]
    Ended { job: String, how: String, output: PathBuf },
    #[error("job {job} has not begun in {minutes} minutes: try again when the cluster has room")]
    Late { job: String, minutes: u64 },
}

impl Drop for Other {
    fn drop(&mut self) {
        // It has said all that it has to say, or it waits in vain. Each fails only where it is gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Plays the second side.
pub(super) fn serve(arguments: &[OsString]) -> Result<(), StoreError> {
    let folder = arguments.first().map(PathBuf::from).unwrap_or_default();
    DoctorSide { folder, role: Role::Second }.play().map(|_| ())
}
