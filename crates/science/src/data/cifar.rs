//! CIFAR-10 in its binary version: six files of 10,000 records, each the class and 3x32x32 bytes (red, green, blue).

use super::dataset::Dataset;
use super::source::{Source, SourceFile, grey, sha256};
use std::io;
use std::path::{Path, PathBuf};

/// Bytes of a record.
const RECORD: usize = 1 + PIXELS;
const PIXELS: usize = 3 * 32 * 32;
const TRAIN: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
const TEST: [&str; 1] = ["test_batch.bin"];

/// Why CIFAR-10 cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CifarError {
    #[error(
        "no CIFAR-10 file `{}`; unpack `cifar-10-binary.tar.gz` and give its folder `cifar-10-batches-bin`", path.display()
    )]
    Missing { path: PathBuf },
    #[error("cannot read `{}`: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` has {found} bytes, which is not a whole number of records of {RECORD}; get it again", path.display())]
    Length { path: PathBuf, found: usize },
    #[error("record {record} of `{}` has class {class} of 10; get the file again", path.display())]
    Class { path: PathBuf, record: usize, class: u8 },
}

/// Reads the training part x [50000, 3, 32, 32], the test part x [10000, 3, 32, 32], and the origin. The files' digests are
/// reported, not checked.
pub fn load(folder: &Path) -> Result<(Dataset, Dataset, Source), CifarError> {
    let mut files = Vec::new();
    let train = part(folder, &TRAIN, &mut files)?;
    let test = part(folder, &TEST, &mut files)?;
    let citation = "CIFAR-10 (A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009)";
    Ok((train, test, Source { citation, licence: "none stated by its authors", files }))
}

fn part(folder: &Path, names: &[&str], files: &mut Vec<SourceFile>) -> Result<Dataset, CifarError> {
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for name in names {
        let path = folder.join(name);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(CifarError::Missing { path });
            }
            Err(source) => return Err(CifarError::Read { path, source }),
            Ok(bytes) => bytes,
        };
        let (records, []) = bytes.as_chunks::<RECORD>() else {
            return Err(CifarError::Length { path, found: bytes.len() });
        };
        for (record, [class, pixels @ ..]) in records.iter().enumerate() {
            if *class > 9 {
                return Err(CifarError::Class { path, record, class: *class });
            }
            y.push(u32::from(*class));
            x.extend(pixels.iter().map(|&level| grey(level, 256)));
        }
        files.push(SourceFile { name: (*name).to_owned(), sha256: sha256(&bytes) });
    }
    let shape = vec![y.len(), 3, 32, 32];
    Ok(Dataset { x, shape, y: Some(y), name: "cifar10".to_owned(), levels: Some(256), classes: Some(10) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_and_damage_is_refused() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        assert!(matches!(load(folder.path()), Err(CifarError::Missing { .. })));
        let mut record = vec![0; RECORD];
        (record[0], record[1], record[RECORD - 1]) = (3, 255, 51);
        for name in TRAIN.iter().chain(&TEST) {
            std::fs::write(folder.path().join(name), &record)?;
        }
        let (train, test, source) = load(folder.path())?;
        assert_eq!((train.shape, test.y, source.files.len()), (vec![5, 3, 32, 32], Some(vec![3]), 6));
        assert_eq!((test.x[0], test.x[1], test.x[PIXELS - 1]), (1.0, -1.0, -0.6));
        std::fs::write(folder.path().join("test_batch.bin"), &record[1..])?;
        assert!(matches!(load(folder.path()), Err(CifarError::Length { .. })));
        record[0] = 10;
        std::fs::write(folder.path().join("test_batch.bin"), &record)?;
        assert!(matches!(load(folder.path()), Err(CifarError::Class { class: 10, .. })));
        Ok(())
    }
}
