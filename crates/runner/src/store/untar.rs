//! Unpacking an archive that is a tar, or one behind gzip.

use crate::store::archive::{ArchiveError, Fault, HEADER, Header};
use crate::store::beneath::Folder;
use crate::store::files::StoreError;
use crate::store::unpack::{LARGEST, header, unpack};
use flate2::read::GzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Unpacks the archive into the working folder, checking every member.
pub(super) fn stage(archive: &Path, work: &Path) -> Result<Header, ArchiveError> {
    let mut file =
        BufReader::with_capacity(1 << 18, File::open(archive).map_err(StoreError::io("open", archive))?);
    let zipped =
        io::BufRead::fill_buf(&mut file).map_err(StoreError::io("read", archive))?.starts_with(&[0x1f, 0x8b]);
    let reader: Box<dyn Read> = if zipped { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    let mut tar = tar::Archive::new(reader);
    let not_an_archive = |reason: String| ArchiveError::NotAnArchive { path: archive.to_owned(), reason };
    let damaged = |reason| ArchiveError::Damaged { path: archive.to_owned(), reason };
    let mut entries = tar.entries().map_err(|error| not_an_archive(error.to_string()))?;

    let mut first = match entries.next() {
        Some(Ok(entry)) if name_of(&entry) == HEADER && entry.size() <= LARGEST => entry,
        Some(Err(error)) => return Err(not_an_archive(error.to_string())),
        _ => return Err(not_an_archive(format!("it does not begin with `{HEADER}`"))),
    };
    let mut bytes = Vec::new();
    first.read_to_end(&mut bytes).map_err(|_| damaged(Fault::Short(HEADER.into())))?;
    let header = header(archive, &bytes)?;
    let root = Folder::open(work)?;
    let mut after = HEADER.to_owned();
    for member in &header.members {
        let name = &member.name;
        let mut entry = match entries.next() {
            None => return Err(damaged(Fault::Missing(name.clone()))),
            Some(Err(source)) => return Err(damaged(Fault::Tar { after, source })),
            Some(Ok(entry)) => entry,
        };
        let found = name_of(&entry);
        if found != *name {
            let known = header.members.iter().any(|member| member.name == found);
            return Err(damaged(if known { Fault::Missing(name.clone()) } else { Fault::Unknown(found) }));
        }
        if !entry.header().entry_type().is_file() {
            return Err(damaged(Fault::Unknown(name.clone())));
        }
        unpack(member, &mut entry, &root, &damaged)?;
        after = name.clone();
    }
    match entries.next() {
        None => Ok(header),
        Some(Ok(entry)) => Err(damaged(Fault::Unknown(name_of(&entry)))),
        Some(Err(source)) => Err(damaged(Fault::Tar { after, source })),
    }
}

fn name_of(entry: &tar::Entry<impl Read>) -> String {
    String::from_utf8_lossy(&entry.path_bytes()).into_owned()
}
