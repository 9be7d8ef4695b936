//! Writing a zip whose bytes depend on nothing but its members: their order is given, times and permissions are fixed.

use crate::store::archive::{Hashing, Member, Source};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use rawzip::time::UtcDateTime;
use rawzip::{CompressionMethod, DataDescriptorOutput, ZipArchiveWriter};
use std::fs::File;
use std::io::{self, Read, Write};

/// A file of a zip.
#[derive(Debug)]
pub struct Packed {
    /// Its place, with its size and digest; of a folder the place ends in `/`.
    pub member: Member,
    pub source: Source,
    pub executable: bool,
}

/// Writes the files in their order. Texts of ours are compressed; results are often, so they stay as they are.
pub fn write(files: &[Packed], out: impl Write) -> io::Result<()> {
    let mut zip = ZipArchiveWriter::new(out);
    // The first that a zip can tell.
    let time = UtcDateTime::from_unix(315_532_800);
    for Packed { member, source, executable } in files {
        if member.name.ends_with('/') {
            let folder = zip.new_dir(member.name.as_str()).last_modified(time).unix_permissions(0o755);
            folder.create().map_err(io::Error::other)?;
            continue;
        }
        let method = match source {
            Source::Bytes(_) => CompressionMethod::DEFLATE,
            Source::File(_) => CompressionMethod::STORE,
        };
        let file = zip.new_file(member.name.as_str()).compression_method(method);
        let file = file.last_modified(time).unix_permissions(if *executable { 0o755 } else { 0o644 });
        let (mut entry, config) = file.start().map_err(io::Error::other)?;
        let descriptor: DataDescriptorOutput = match source {
            Source::Bytes(bytes) => {
                let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::default()));
                writer.write_all(bytes)?;
                let (encoder, descriptor) = writer.finish().map_err(io::Error::other)?;
                encoder.finish()?;
                descriptor
            }
            Source::File(path) => {
                // Hashed on the way: a damaged object is not to be handed on as a whole one.
                let mut reader = Hashing::new(File::open(path)?.take(member.size));
                let mut writer = config.wrap(&mut entry);
                io::copy(&mut reader, &mut writer)?;
                if reader.finish() != member.digest {
                    return Err(damaged(member));
                }
                writer.finish().map_err(io::Error::other)?.1
            }
        };
        entry.finish(descriptor).map_err(io::Error::other)?;
    }
    zip.finish().map_err(io::Error::other)?.flush()
}

/// That a member does not have the bytes any more that it had.
pub fn damaged(member: &Member) -> io::Error {
    let digest = member.digest.short();
    io::Error::other(format!("object {digest} is damaged; `onsager store verify` tells more"))
}
