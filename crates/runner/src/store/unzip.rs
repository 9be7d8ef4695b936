//! Unpacking an archive that is a zip: a crate, as `onsager export crate` writes it.
//!
//! The parts of the store lie below `onsager/`, and the bytes of a result where the header says. Everything else in the zip is for
//! people, and stays there. But a zip that holds a link, or a name that leads elsewhere, is refused as a whole.

use crate::store::archive::{ArchiveError, Fault, HEADER, Header, in_zip};
use crate::store::beneath::Folder;
use crate::store::files::StoreError;
use crate::store::names;
use crate::store::unpack::{LARGEST, header, unpack};
use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveEntryWayfinder};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Texts of ours are compressed to a fifth or a twentieth; what becomes larger than this is made to fill a disk.
const RATIO: u64 = 200;
/// So much may be of any ratio.
const SMALL: u64 = 1 << 20;

/// Whether a file that begins like this is a zip.
pub(super) fn is_zip(start: &[u8]) -> bool {
    start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06")
}

/// An entry of the zip.
struct Zipped {
    at: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
}

/// Unpacks the archive into the working folder, checking every member.
pub(super) fn stage(archive: &Path, work: &Path) -> Result<Header, ArchiveError> {
    let damaged = |reason| ArchiveError::Damaged { path: archive.to_owned(), reason };
    let unreadable = |error: rawzip::Error| damaged(Fault::Zip(error.to_string()));
    let file = File::open(archive).map_err(StoreError::io("open", archive))?;
    let length = file.metadata().map_err(StoreError::io("read", archive))?.len();
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let zip = ZipArchive::from_file(file, &mut buffer).map_err(unreadable)?;
    let mut zipped = HashMap::new();
    let mut entries = zip.entries(&mut buffer);
    let mut sum = 0_u64;
    while let Some(entry) = entries.next_entry().map_err(unreadable)? {
        let name = String::from_utf8_lossy(entry.file_path().as_bytes()).into_owned();
        if names::check(Path::new(name.strip_suffix('/').unwrap_or(&name))).is_err() {
            return Err(damaged(Fault::Unknown(name)));
        }
        if entry.mode().is_symlink() {
            return Err(damaged(Fault::Link(name)));
        }
        sum = sum.saturating_add(entry.compressed_size_hint());
        match zipped.entry(name) {
            Entry::Occupied(there) => return Err(damaged(Fault::Twice(there.key().clone()))),
            Entry::Vacant(place) => {
                place.insert(Zipped { at: entry.wayfinder(), method: entry.compression_method() });
            }
        }
    }
    // Else some of them share their bytes.
    if sum > length {
        return Err(damaged(Fault::Overlap));
    }
    let open = |name: &str, size: u64, place: &str| -> Result<Box<dyn Read + '_>, ArchiveError> {
        let Zipped { at, method } =
            zipped.get(place).ok_or_else(|| damaged(Fault::Missing(name.to_owned())))?;
        let entry = zip.get_entry(*at).map_err(unreadable)?;
        match *method {
            CompressionMethod::STORE => Ok(Box::new(entry.reader())),
            CompressionMethod::DEFLATE => {
                if size > at.compressed_size_hint().saturating_mul(RATIO).saturating_add(SMALL) {
                    return Err(damaged(Fault::Bomb(name.to_owned())));
                }
                Ok(Box::new(DeflateDecoder::new(BufReader::new(entry.reader()))))
            }
            _ => Err(damaged(Fault::Method(name.to_owned()))),
        }
    };
    let first = in_zip(HEADER);
    let Some(size) = zipped.get(&first).map(|zipped| zipped.at.uncompressed_size_hint()) else {
        let reason = format!("it is a zip without `{first}`");
        return Err(ArchiveError::NotAnArchive { path: archive.to_owned(), reason });
    };
    let mut bytes = Vec::new();
    let read = open(&first, size, &first)?.take(size.min(LARGEST)).read_to_end(&mut bytes);
    read.map_err(|_| damaged(Fault::Short(first)))?;
    let header = header(archive, &bytes)?;
    if header.without_objects {
        return Err(ArchiveError::WithoutObjects { path: archive.to_owned() });
    }
    let root = Folder::open(work)?;
    for member in &header.members {
        let place = header.places.get(&member.name).cloned().unwrap_or_else(|| in_zip(&member.name));
        unpack(member, &mut open(&place, member.size, &place)?, &root, &damaged)?;
    }
    Ok(header)
}
