//! What one process can try out on a file system.

use crate::store::doctor::finding::{Finding, Verdict};
use crate::store::files::StoreError;
use crate::store::locking;
use std::fs::{self, File, FileTimes};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// How little space is worth a word.
const LITTLE: u64 = 1 << 30;
/// How few files are.
const FEW: u64 = 10_000;

/// Tries what it can in an empty folder. Also tells whether kernel locks exclude within the process.
pub fn try_out(folder: &Path) -> Result<(Vec<Finding>, bool), StoreError> {
    let excludes = locking::excludes(&folder.join("lock"))?;
    let mut findings = vec![if excludes {
        Finding::new("locks in one process", Verdict::Good, "of two `flock`s one is refused")
    } else {
        Finding::new("locks in one process", Verdict::Lacking, "`flock` is granted to everybody")
    }];
    let tried: [(&str, fn(&Path) -> io::Result<Finding>); 6] = [
        ("rename", rename),
        ("making what must not be there", exclusive),
        ("times and permissions", times),
        ("links", links),
        ("fsync", sync),
        ("room", room),
    ];
    for (what, trial) in tried {
        findings
            .push(trial(folder).unwrap_or_else(|error| Finding::new(what, Verdict::Bad, error.to_string())));
    }
    findings
        .push(clock(folder).unwrap_or_else(|error| Finding::new("clock", Verdict::Bad, error.to_string())));
    Ok((findings, excludes))
}

/// A rename replaces a file, an empty folder, and no folder that holds something.
fn rename(folder: &Path) -> io::Result<Finding> {
    let (old, new) = (folder.join("rename-old"), folder.join("rename-new"));
    fs::write(&old, "old")?;
    fs::write(&new, "new")?;
    fs::rename(&new, &old)?;
    let replaced = fs::read(&old)? == b"new" && !new.exists();
    let (full, other) = (folder.join("rename-full"), folder.join("rename-other"));
    for folder in [&full, &other] {
        fs::create_dir(folder)?;
        File::create_new(folder.join("token"))?;
    }
    let refused = fs::rename(&other, &full).is_err();
    Ok(match (replaced, refused) {
        (true, true) => {
            Finding::new("rename", Verdict::Good, "replaces a file, and no folder that holds something")
        }
        (false, _) => {
            Finding::new("rename", Verdict::Bad, "does not replace a file: no store can be kept here")
        }
        (true, false) => Finding::new(
            "rename",
            Verdict::Bad,
            "replaces a folder that holds something: leases cannot lock here, keep to one machine",
        ),
    })
}

/// `O_EXCL`, `mkdir`.
fn exclusive(folder: &Path) -> io::Result<Finding> {
    let what = "making what must not be there";
    let (file, made) = (folder.join("exclusive"), folder.join("exclusive-folder"));
    File::create_new(&file)?;
    fs::create_dir(&made)?;
    let refused = |error: io::Error| error.kind() == ErrorKind::AlreadyExists;
    let both = File::create_new(&file).is_err_and(refused) && fs::create_dir(&made).is_err_and(refused);
    Ok(match both {
        true => Finding::new(what, Verdict::Good, "`O_EXCL` and `mkdir` refuse what is there"),
        false => Finding::new(
            what,
            Verdict::Bad,
            "`O_EXCL` or `mkdir` makes what is there: no store can be kept here",
        ),
    })
}

/// Objects are known by a time that is set, changed files by times that differ, programs by their permissions.
fn times(folder: &Path) -> io::Result<Finding> {
    let what = "times and permissions";
    let path = folder.join("times");
    let file = File::create_new(&path)?;
    file.set_permissions(fs::Permissions::from_mode(0o555))?;
    file.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)))?;
    let data = fs::metadata(&path)?;
    if (data.mtime(), data.mtime_nsec()) != (1, 0) {
        let found = "a time that is set does not stay: every object is read again whenever it is used";
        return Ok(Finding::new(what, Verdict::Lacking, found));
    }
    if data.mode() & 0o777 != 0o555 {
        let found = format!(
            "permissions do not stay ({:o}, not 555): programs among outputs may not start",
            data.mode() & 0o777
        );
        return Ok(Finding::new(what, Verdict::Lacking, found));
    }
    // Of a hundred files not all are made at a whole second.
    let mut whole = true;
    for number in 0..100 {
        let path = folder.join(format!("times-{number}"));
        whole &= File::create_new(&path)?.metadata()?.ctime_nsec() == 0;
        fs::remove_file(&path)?;
        if !whole {
            return Ok(Finding::new(what, Verdict::Good, "stay, and times are finer than a second"));
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    let found = "stay, but times are whole seconds: inputs that changed in the last two are read again";
    Ok(Finding::new(what, Verdict::Lacking, found))
}

fn links(folder: &Path) -> io::Result<Finding> {
    let (file, link) = (folder.join("links"), folder.join("links-hard"));
    fs::write(&file, "content")?;
    let hard = fs::hard_link(&file, &link).is_ok();
    let reflink = reflink(&file, &folder.join("links-copy"))?;
    let (verdict, found) = match (hard, reflink) {
        (true, true) => (Verdict::Good, "hard links and reflinks: outputs take no space twice"),
        (true, false) => (Verdict::Note, "hard links, no reflinks: outputs in the view are copies"),
        (false, true) => {
            (Verdict::Note, "reflinks, no hard links: tasks read objects through symbolic links")
        }
        (false, false) => (
            Verdict::Note,
            "neither hard links nor reflinks: outputs in the view are copies, and tasks read objects through symbolic links",
        ),
    };
    Ok(Finding::new("links", verdict, found))
}

#[cfg(target_os = "linux")]
fn reflink(from: &Path, to: &Path) -> io::Result<bool> {
    Ok(rustix::fs::ioctl_ficlone(&File::create_new(to)?, &File::open(from)?).is_ok())
}

#[cfg(not(target_os = "linux"))]
fn reflink(_: &Path, _: &Path) -> io::Result<bool> {
    Ok(false)
}

fn sync(folder: &Path) -> io::Result<Finding> {
    let began = Instant::now();
    let mut file = File::create_new(folder.join("sync"))?;
    file.write_all(&[0; 4096])?;
    file.sync_all()?;
    File::open(folder)?.sync_all()?;
    let took = began.elapsed().as_secs_f64() * 1000.0;
    Ok(Finding::new("fsync", Verdict::Good, format!("of a file and its folder took {took:.1} ms")))
}

fn room(folder: &Path) -> io::Result<Finding> {
    let data = rustix::fs::statvfs(folder)?;
    let bytes = data.f_bavail * data.f_frsize;
    // Some file systems make room for files as they need it, and count none.
    let files = (data.f_files > 0).then_some(data.f_favail);
    let counted = files.map_or_else(String::new, |files| format!(", {files} files"));
    let scarce = bytes < LITTLE || files.is_some_and(|files| files < FEW);
    let verdict = if scarce { Verdict::Note } else { Verdict::Good };
    let found = format!("{:.1} GiB free{counted}", bytes as f64 / (1u64 << 30) as f64);
    Ok(Finding::new("room", verdict, found))
}

/// How far the time that the file system gives a file is from this machine's. Nothing rests on it but how old `gc` takes things to be.
fn clock(folder: &Path) -> io::Result<Finding> {
    let ahead = ahead(folder)?;
    let verdict = if ahead.abs() < 2.0 { Verdict::Good } else { Verdict::Note };
    Ok(Finding::new(
        "clock",
        verdict,
        format!("that of the file system is {ahead:+.2} s from this machine's"),
    ))
}

/// By how many seconds the clock of the file system is ahead of this machine's.
pub(super) fn ahead(folder: &Path) -> io::Result<f64> {
    let path = folder.join(format!("clock-{}", std::process::id()));
    let mut file = File::create(&path)?;
    file.write_all(b"now")?;
    file.sync_all()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let data = fs::metadata(&path)?;
    Ok(data.mtime() as f64 + data.mtime_nsec() as f64 * 1e-9 - now)
}
