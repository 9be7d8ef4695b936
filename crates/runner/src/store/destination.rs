//! Writing to a path that a person names: a file appears when it is whole, a link is followed, and what is no file, like
//! `/dev/null` or a pipe, is written to as it is.

use crate::store::files;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Writes to `target` what `write` writes into the file that it is given.
pub fn write(target: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let there = fs::metadata(target).ok();
    if there.as_ref().is_some_and(|data| !data.is_file()) {
        return write(&mut File::options().write(true).open(target)?);
    }
    let target = follow(target)?;
    let temporary = files::temporary_beside(&target);
    let written = (|| {
        let mut file = File::create_new(&temporary)?;
        if let Some(data) = there {
            file.set_permissions(data.permissions())?;
        }
        write(&mut file)?;
        file.sync_all()?;
        fs::rename(&temporary, &target)
    })();
    if written.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// The path that a link leads to, whether there is something or not.
fn follow(target: &Path) -> io::Result<PathBuf> {
    // As many as Linux follows.
    let mut path = target.to_owned();
    for _ in 0..40 {
        match fs::read_link(&path) {
            Ok(next) => path = path.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many links"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    #[test]
    fn links_are_followed_and_devices_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let put = |target: &Path, text: &str| write(target, |file| file.write_all(text.as_bytes()));
        fs::create_dir(path("sub")).unwrap();
        symlink("sub/real", path("link")).unwrap();
        symlink("link", path("second")).unwrap();
        put(&path("second"), "one").unwrap();
        assert!(path("second").symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_to_string(path("sub/real")).unwrap(), "one");
        fs::set_permissions(path("sub/real"), fs::Permissions::from_mode(0o600)).unwrap();
        put(&path("link"), "two").unwrap();
        assert_eq!(fs::read_to_string(path("sub/real")).unwrap(), "two");
        assert_eq!(fs::metadata(path("sub/real")).unwrap().permissions().mode() & 0o777, 0o600);
        put(Path::new("/dev/null"), "gone").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        symlink("loop", path("loop")).unwrap();
        assert!(put(&path("loop"), "never").is_err());
        assert!(put(&path("sub"), "a folder").is_err());
        // A failure leaves what was there, and nothing else.
        let failed = write(&path("sub/real"), |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("no"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(path("sub/real")).unwrap(), "two");
        assert_eq!(fs::read_dir(path("sub")).unwrap().count(), 1);
    }
}
