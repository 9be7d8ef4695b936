//! IDX files (the format of MNIST): plain or gzip, from a folder that the user has, each checked by the SHA-256 of its
//! uncompressed bytes.

use super::dataset::Dataset;
use super::source::{Source, SourceFile, grey, sha256};
use flate2::read::MultiGzDecoder;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Grey levels of these images.
pub const LEVELS: u32 = 256;
/// Classes of both sets.
pub const CLASSES: u32 = 10;

/// A published set of four IDX files.
#[derive(Debug)]
pub struct IdxSet {
    pub name: &'static str,
    pub citation: &'static str,
    pub licence: &'static str,
    /// How to get the files.
    pub advice: &'static str,
    train: Part,
    test: Part,
}

/// The images and the labels of one part, by the digest of the uncompressed file.
#[derive(Debug)]
struct Part {
    prefix: &'static str,
    images: &'static str,
    labels: &'static str,
}

/// Fashion-MNIST: 60,000 + 10,000 images of 28x28.
pub static FASHION_MNIST: IdxSet = IdxSet {
    name: "fashion-mnist",
    citation: "Fashion-MNIST (H. Xiao, K. Rasul, R. Vollgraf; arXiv:1708.07747)",
    licence: "MIT",
    advice: "Debian's package `dataset-fashion-mnist` installs them under `/usr/share/datasets/fashion-mnist`",
    train: Part {
        prefix: "train",
        images: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        labels: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    },
    test: Part {
        prefix: "t10k",
        images: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        labels: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
};

/// MNIST: 60,000 + 10,000 images of 28x28.
pub static MNIST: IdxSet = IdxSet {
    name: "mnist",
    citation: "The MNIST database of handwritten digits (Y. LeCun, C. Cortes, C. J. C. Burges)",
    licence: "CC BY-SA 3.0",
    advice: "download the four files and put them into one folder",
    train: Part {
        prefix: "train",
        images: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        labels: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    },
    test: Part {
        prefix: "t10k",
        images: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        labels: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
};

/// Why IDX files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IdxError {
    #[error("no {set} file in `{}`: looked for {}; {advice}", folder.display(), list(names))]
    Missing { set: &'static str, folder: PathBuf, names: Vec<String>, advice: &'static str },
    #[error("cannot read `{}`: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` is a damaged gzip file ({source}); get it again", path.display())]
    Gzip { path: PathBuf, source: io::Error },
    #[error(
        "`{}` begins with {found:02x?}, not with {wanted:02x?} as an IDX file of {dimensions} dimensions does; get it again",
        path.display()
    )]
    Magic { path: PathBuf, dimensions: usize, found: Vec<u8>, wanted: [u8; 4] },
    #[error(
        "`{}` has {found} bytes uncompressed, but its header {shape:?} asks for {wanted}; get it again", path.display()
    )]
    Length { path: PathBuf, shape: Vec<usize>, found: usize, wanted: usize },
    #[error(
        "`{}` is not the published {set} file: its uncompressed SHA-256 is {found} instead of {wanted}; get it again",
        path.display()
    )]
    Checksum { path: PathBuf, set: &'static str, found: String, wanted: String },
    #[error("{images} images and {labels} labels in the {set} files of `{}`; get them again", folder.display())]
    Counts { set: &'static str, folder: PathBuf, images: usize, labels: usize },
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The bytes of an IDX file and its shape.
#[derive(Debug, PartialEq, Eq)]
pub struct Idx {
    pub shape: Vec<usize>,
    pub values: Vec<u8>,
}

impl IdxSet {
    /// Reads the four files: the training part x [60000, 1, 28, 28], the test part x [10000, 1, 28, 28], and the origin.
    pub fn load(&'static self, folder: &Path) -> Result<(Dataset, Dataset, Source), IdxError> {
        let mut files = Vec::new();
        let train = self.part(folder, &self.train, &mut files)?;
        let test = self.part(folder, &self.test, &mut files)?;
        Ok((train, test, Source { citation: self.citation, licence: self.licence, files }))
    }

    fn part(
        &'static self,
        folder: &Path,
        part: &Part,
        files: &mut Vec<SourceFile>,
    ) -> Result<Dataset, IdxError> {
        let mut read = |what: &str, dimensions: usize, wanted: &str| {
            let path = self.find(folder, &format!("{}-{what}", part.prefix), dimensions)?;
            let bytes = uncompressed(&path)?;
            let idx = parse(&path, &bytes, dimensions)?;
            let found = sha256(&bytes);
            if found != wanted {
                return Err(IdxError::Checksum { path, set: self.name, found, wanted: wanted.to_owned() });
            }
            let name = format!("{}-{what}-idx{dimensions}-ubyte", part.prefix);
            files.push(SourceFile { name, sha256: found });
            Ok(idx)
        };
        let images = read("images", 3, part.images)?;
        let labels = read("labels", 1, part.labels)?;
        let (count, rows, columns) = (images.shape[0], images.shape[1], images.shape[2]);
        if labels.values.len() != count {
            return Err(IdxError::Counts {
                set: self.name,
                folder: folder.into(),
                images: count,
                labels: labels.values.len(),
            });
        }
        Ok(Dataset {
            x: images.values.iter().map(|&level| grey(level, LEVELS)).collect(),
            shape: vec![count, 1, rows, columns],
            y: Some(labels.values.iter().map(|&class| u32::from(class)).collect()),
            name: self.name.to_owned(),
            levels: Some(LEVELS),
            classes: Some(CLASSES),
        })
    }

    /// The file under one of its usual names.
    fn find(&self, folder: &Path, stem: &str, dimensions: usize) -> Result<PathBuf, IdxError> {
        let names: Vec<String> = ["-", "."]
            .iter()
            .flat_map(|joint| ["", ".gz"].map(|end| format!("{stem}{joint}idx{dimensions}-ubyte{end}")))
            .collect();
        match names.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
            Some(path) => Ok(path),
            None => {
                Err(IdxError::Missing { set: self.name, folder: folder.into(), names, advice: self.advice })
            }
        }
    }
}

/// Reads one IDX file of unsigned bytes, plain or gzip, with this number of dimensions.
pub fn read(path: &Path, dimensions: usize) -> Result<Idx, IdxError> {
    parse(path, &uncompressed(path)?, dimensions)
}

/// The uncompressed bytes. Gzip is told by its first two bytes, not by the name.
fn uncompressed(path: &Path) -> Result<Vec<u8>, IdxError> {
    let bytes = std::fs::read(path).map_err(|source| IdxError::Read { path: path.into(), source })?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut out = Vec::new();
    MultiGzDecoder::new(bytes.as_slice())
        .read_to_end(&mut out)
        .map_err(|source| IdxError::Gzip { path: path.into(), source })?;
    Ok(out)
}

/// Header: two zeros, the type (8: unsigned byte), the number of dimensions, then each size as a big-endian u32.
fn parse(path: &Path, bytes: &[u8], dimensions: usize) -> Result<Idx, IdxError> {
    let wanted = [0, 0, 8, dimensions as u8];
    if !bytes.starts_with(&wanted) {
        let found = bytes.iter().take(4).copied().collect();
        return Err(IdxError::Magic { path: path.into(), dimensions, found, wanted });
    }
    let header = 4 + 4 * dimensions;
    let short = |shape, wanted| IdxError::Length { path: path.into(), shape, found: bytes.len(), wanted };
    let sizes = bytes.get(4..header).ok_or_else(|| short(Vec::new(), header))?;
    let shape: Vec<usize> =
        sizes.as_chunks::<4>().0.iter().map(|&size| u32::from_be_bytes(size) as usize).collect();
    let values = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    let wanted = values.and_then(|values| values.checked_add(header)).unwrap_or(usize::MAX);
    if bytes.len() != wanted {
        return Err(short(shape, wanted));
    }
    Ok(Idx { shape, values: bytes[header..].to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    const LABELS: [u8; 11] = [0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1];

    fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes)?;
        encoder.finish()
    }

    #[test]
    fn plain_and_gzip_give_the_same() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("labels");
        for bytes in [LABELS.to_vec(), gzip(&LABELS)?] {
            std::fs::write(&path, bytes)?;
            assert_eq!(read(&path, 1)?, Idx { shape: vec![3], values: vec![7, 2, 1] });
        }
        Ok(())
    }

    #[test]
    fn damage_is_told_apart() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("labels");
        assert!(matches!(read(&path, 1), Err(IdxError::Read { .. })));
        let mut damaged = gzip(&LABELS)?;
        damaged.truncate(damaged.len() - 3);
        std::fs::write(&path, damaged)?;
        assert!(matches!(read(&path, 1), Err(IdxError::Gzip { .. })));
        std::fs::write(&path, LABELS)?;
        assert!(matches!(read(&path, 3), Err(IdxError::Magic { dimensions: 3, .. })));
        std::fs::write(&path, &LABELS[..9])?;
        assert!(matches!(read(&path, 1), Err(IdxError::Length { wanted: 11, found: 9, .. })));
        std::fs::write(&path, [0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255])?;
        assert!(matches!(read(&path, 3), Err(IdxError::Length { .. })));
        Ok(())
    }

    #[test]
    fn a_missing_or_foreign_file_says_what_to_do() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let text = FASHION_MNIST.load(folder.path()).err().map(|error| error.to_string()).unwrap_or_default();
        for part in
            ["train-images-idx3-ubyte.gz", "dataset-fashion-mnist", "/usr/share/datasets/fashion-mnist"]
        {
            assert!(text.contains(part), "{text}");
        }
        let image = [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 9];
        std::fs::write(folder.path().join("train-images-idx3-ubyte.gz"), gzip(&image)?)?;
        assert!(matches!(MNIST.load(folder.path()), Err(IdxError::Checksum { .. })));
        Ok(())
    }
}
