//! Copies of files: hashed on their way, or where that was done before, as quickly as the file system can.

use crate::store::digest::Digest;
use crate::store::files::StoreError;
use std::fs::{File, Metadata};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A stretch of zeros of this length becomes a hole where the source has holes: a block of most file systems.
const BLOCK: usize = 4096;

/// Copies a file's bytes into a new, empty one: as a reflink where the file system can, else byte by byte, and what is sparse stays
/// sparse. Gives the digest and the number of the bytes that were read.
pub fn copy(from: &Path, target: &mut File) -> Result<(Digest, u64), StoreError> {
    let source = File::open(from).map_err(StoreError::io("open", from))?;
    #[cfg(target_os = "linux")]
    if rustix::fs::ioctl_ficlone(&*target, &source).is_ok() {
        // Of the clone, which nobody else has: the source may be edited meanwhile.
        return Digest::of_open(target).map_err(StoreError::io("copy", from));
    }
    bytes(&source, target).map_err(StoreError::io("copy", from))
}

/// The same of an open file, without its digest.
pub fn unhashed(mut source: &File, target: &mut File) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if rustix::fs::ioctl_ficlone(&*target, source).is_ok() {
        return Ok(());
    }
    if is_sparse(&source.metadata()?) {
        return bytes(source, target).map(|_| ());
    }
    io::copy(&mut source, target).map(|_| ())
}

fn is_sparse(data: &Metadata) -> bool {
    data.blocks() * 512 < data.len()
}

fn bytes(source: &File, target: &mut File) -> io::Result<(Digest, u64)> {
    let data = source.metadata()?;
    if !is_sparse(&data) {
        return Digest::reading(source, data.len(), |bytes| target.write_all(bytes));
    }
    // The gap after the last byte that was written.
    let mut gap = 0;
    let copied = Digest::reading(source, data.len(), |bytes| {
        for block in bytes.chunks(BLOCK) {
            if block.iter().all(|byte| *byte == 0) {
                gap += block.len() as i64;
                continue;
            }
            if gap > 0 {
                target.seek(SeekFrom::Current(gap))?;
                gap = 0;
            }
            target.write_all(block)?;
        }
        Ok(())
    })?;
    target.set_len(copied.1)?;
    Ok(copied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_copy_has_the_same_bytes_and_what_is_sparse_stays_sparse() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut sparse = File::create(path("sparse")).unwrap();
        sparse.write_all(b"begin").unwrap();
        sparse.seek(SeekFrom::Start(8 << 20)).unwrap();
        sparse.write_all(b"middle").unwrap();
        sparse.set_len(16 << 20).unwrap();
        fs::write(path("full"), vec![0; 1 << 20]).unwrap();
        fs::write(path("empty"), "").unwrap();
        for name in ["sparse", "full", "empty"] {
            let to = path(&format!("{name}-copy"));
            let copied = copy(&path(name), &mut File::create_new(&to).unwrap()).unwrap();
            assert_eq!(copied, Digest::of_file(&to).unwrap());
            assert_eq!(copied, Digest::of_file(&path(name)).unwrap());
            let (source, target) = (fs::metadata(path(name)).unwrap(), fs::metadata(to).unwrap());
            assert_eq!(source.len(), target.len());
            assert!(target.blocks() <= source.blocks() + 64, "{name}: {} blocks", target.blocks());
            let to = path(&format!("{name}-unhashed"));
            unhashed(&File::open(path(name)).unwrap(), &mut File::create_new(&to).unwrap()).unwrap();
            assert_eq!(copied, Digest::of_file(&to).unwrap());
            assert!(fs::metadata(to).unwrap().blocks() <= source.blocks() + 64, "{name}");
        }
    }
}
