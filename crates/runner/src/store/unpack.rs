//! What unpacking a tar and a zip have in common: the header, and a member that becomes a file of the working folder.

use crate::store::archive::{ArchiveError, FORMAT, Fault, HEADER, Header, Member, VERSION};
use crate::store::beneath::Folder;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::names;
use std::io::{self, Read, Write};
use std::path::Path;

/// A larger header is not one, nor is a larger record.
pub(super) const LARGEST: u64 = 1 << 30;

/// The header of an archive, from its text. What it names can be the name of a file, and every member has a place of its own below the
/// working folder.
pub(super) fn header(archive: &Path, bytes: &[u8]) -> Result<Header, ArchiveError> {
    let not_an_archive = |reason: String| ArchiveError::NotAnArchive { path: archive.to_owned(), reason };
    let damaged = |reason| ArchiveError::Damaged { path: archive.to_owned(), reason };
    let header: Header =
        serde_json::from_slice(bytes).map_err(|error| not_an_archive(format!("`{HEADER}`: {error}")))?;
    if header.format != FORMAT {
        return Err(not_an_archive(format!("its format is `{}`", header.format)));
    }
    if !(1..=VERSION).contains(&header.version) {
        return Err(ArchiveError::Version { path: archive.to_owned(), version: header.version });
    }
    for (what, name) in [("the run", &header.run), ("the pipeline", &header.pipeline)] {
        if !names::is_plain(name) {
            return Err(damaged(Fault::Name { what, name: name.clone() }));
        }
    }
    match header.members.iter().find(|member| names::check(Path::new(&member.name)).is_err()) {
        Some(member) => Err(damaged(Fault::Unknown(member.name.clone()))),
        None => Ok(header),
    }
}

/// Writes one member to a new file in the working folder, if it is what the header says.
pub(super) fn unpack(
    member: &Member,
    entry: &mut impl Read,
    root: &Folder,
    damaged: &dyn Fn(Fault) -> ArchiveError,
) -> Result<(), ArchiveError> {
    let name = Path::new(&member.name);
    let parent = root.below(name.parent().unwrap_or(Path::new("")))?;
    let file_name = name.file_name().unwrap_or_default();
    if parent.is_folder(file_name).is_some() {
        return Err(damaged(Fault::Twice(member.name.clone())));
    }
    let mut target = parent.create(file_name, 0o600)?;
    let path = parent.path().join(file_name);
    let mut failed = None;
    // One byte more shows that there is more.
    let bytes = entry.take(member.size.saturating_add(1));
    let read = Digest::reading(bytes, member.size, |bytes| {
        target.write_all(bytes).inspect_err(|error| failed = Some(io::Error::from(error.kind())))
    });
    if let Some(error) = failed {
        return Err(StoreError::io("write", &path)(error).into());
    }
    match read {
        Ok((digest, size)) if size == member.size && digest == member.digest => {}
        Ok((_, size)) if size >= member.size => return Err(damaged(Fault::Differs(member.name.clone()))),
        Ok(_) | Err(_) => return Err(damaged(Fault::Short(member.name.clone()))),
    }
    target.sync_data().map_err(StoreError::io("sync", &path))?;
    Ok(())
}
