//! Files from elsewhere, fetched once into the store and known by their digest.

use crate::kind::context::Reporter;
use crate::kind::stage::StageError;
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files;
use crate::worker::protocol::Remote;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// Why a file is not there.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("cannot fetch `{url}`: {reason}")]
    Failed { url: String, reason: String },
    #[error("`{url}` has the SHA-256 {found}, not {expected}")]
    OtherContent { url: String, found: Digest, expected: Digest },
}

/// What is written at a file that was checked: any later write changes it.
const CHECKED: Duration = Duration::from_secs(1);

/// Sees to it that a remote file is at `path`, with the right content.
pub fn fetch(
    store: &Store,
    remote: &Remote,
    path: &Path,
    cancelled: &AtomicBool,
    reporter: &dyn Reporter,
) -> Result<(), StageError> {
    if is_whole(path, &remote.sha256)? {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    files::create_folder(folder)?;
    let lock = store.locks().take(&format!("fetch-{}", remote.sha256))?;
    if is_whole(path, &remote.sha256)? {
        return Ok(());
    }
    tracing::info!("fetching {}", remote.url);
    let temporary = files::temporary_beside(path);
    let fetched = download(remote, &temporary, cancelled, reporter);
    if fetched.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    fetched?;
    lock.check()?;
    fs::rename(&temporary, path)?;
    Ok(())
}

/// Whether the file is there as it was fetched; one that was written to since is read again.
fn is_whole(path: &Path, sha256: &Digest) -> io::Result<bool> {
    let Ok(data) = fs::metadata(path) else { return Ok(false) };
    if data.modified()? == SystemTime::UNIX_EPOCH + CHECKED {
        return Ok(true);
    }
    let whole = Digest::of_file(path).is_ok_and(|(digest, _)| digest == *sha256);
    if whole {
        mark(&File::open(path)?)?;
    } else {
        fs::remove_file(path)?;
    }
    Ok(whole)
}

fn mark(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o444))?;
    file.set_modified(SystemTime::UNIX_EPOCH + CHECKED)
}

fn download(
    remote: &Remote,
    path: &Path,
    cancelled: &AtomicBool,
    reporter: &dyn Reporter,
) -> Result<(), StageError> {
    let failed = |reason: String| {
        let error = FetchError::Failed { url: remote.url.clone(), reason };
        StageError::with_help(
            error,
            "try it with `curl -L`; the next run tries again, and so do `resources: {retries: 3}`",
        )
    };
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(30)))
        .user_agent(concat!("onsager/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut response = agent.get(&remote.url).call().map_err(|error| failed(error.to_string()))?;
    let total = response.body().content_length().unwrap_or(0);
    let mut body = response.body_mut().as_reader();
    let mut file = File::create_new(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut done = 0;
    loop {
        if cancelled.load(Ordering::Relaxed) {
            return Err(StageError::Cancelled);
        }
        let length = body.read(&mut buffer).map_err(|error| failed(error.to_string()))?;
        if length == 0 {
            break;
        }
        hash.update(&buffer[..length]);
        file.write_all(&buffer[..length])?;
        done += length as u64;
        reporter.progress(done, total.max(done), "bytes");
    }
    let found = Digest(hash.finalize().into());
    if found != remote.sha256 {
        let error = FetchError::OtherContent { url: remote.url.clone(), found, expected: remote.sha256 };
        let help = "if the file there is the right one, correct `sha256`; else find out who changed it";
        return Err(StageError::with_help(error, help));
    }
    file.sync_all()?;
    Ok(mark(&file)?)
}
