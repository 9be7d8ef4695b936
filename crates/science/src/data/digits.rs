//! The handwritten digits that onsager carries: 1,797 images of 8x8 pixels with grey levels 0 to 16.
//!
//! E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning Repository, its test set;
//! CC BY 4.0.

use super::dataset::Dataset;
use super::source::{Source, SourceFile, Split, grey, sha256};
use flate2::read::GzDecoder;
use onsager_numerics::random::Streams;
use std::io::{self, Read};

/// The number of images.
pub const COUNT: usize = 1797;
/// Grey levels.
pub const LEVELS: u32 = 17;
/// Classes.
pub const CLASSES: u32 = 10;
/// Test images, unless another number is asked for.
pub const TEST: usize = 297;

/// One image a row: 64 grey levels, row by row, then the class.
static FILE: &[u8] = include_bytes!("../../data/digits.csv.gz");
const SHA256: &str = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22";

/// Why the digits cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum DigitsError {
    #[error(
        "the embedded digits have SHA-256 {found} instead of {SHA256}: the program is damaged; build it again"
    )]
    Checksum { found: String },
    #[error("the embedded digits cannot be read: the program is damaged; build it again")]
    Gzip(#[from] io::Error),
    #[error("row {row} of the embedded digits is malformed: the program is damaged; build it again")]
    Row { row: usize },
    #[error("{train} training and {test} test images are more than the {COUNT} digits; ask for fewer")]
    TooMany { train: usize, test: usize },
}

/// All digits in the order of the file, x [1797, 1, 8, 8].
pub fn load() -> Result<Dataset, DigitsError> {
    let found = sha256(FILE);
    if found != SHA256 {
        return Err(DigitsError::Checksum { found });
    }
    let mut text = String::new();
    GzDecoder::new(FILE).read_to_string(&mut text)?;
    let (mut x, mut y) = (Vec::with_capacity(64 * COUNT), Vec::with_capacity(COUNT));
    for (row, line) in text.lines().enumerate() {
        let values: Result<Vec<u8>, _> = line.split(',').map(str::parse).collect();
        match values.as_deref() {
            Ok([pixels @ .., class]) if pixels.len() == 64 && u32::from(*class) < CLASSES => {
                x.extend(pixels.iter().map(|&level| grey(level, LEVELS)));
                y.push(u32::from(*class));
            }
            _ => return Err(DigitsError::Row { row: row + 1 }),
        }
    }
    Ok(Dataset {
        x,
        shape: vec![y.len(), 1, 8, 8],
        y: Some(y),
        name: "digits".to_owned(),
        levels: Some(LEVELS),
        classes: Some(CLASSES),
    })
}

/// The digits shuffled by `seed` and divided: the first `test` ([`TEST`] when `None`) are for testing, the next `train`
/// (all that remain when `None`) for training. So the test images depend on `seed` and `test` alone.
pub fn split(seed: u64, train: Option<usize>, test: Option<usize>) -> Result<Split, DigitsError> {
    let all = load()?;
    let test = test.unwrap_or(TEST);
    let train = train.unwrap_or(COUNT.saturating_sub(test));
    if train.saturating_add(test) > all.count() {
        return Err(DigitsError::TooMany { train, test });
    }
    let mut order: Vec<usize> = (0..all.count()).collect();
    Streams::new(seed, "digits split").stream(0).shuffle(&mut order);
    Ok(Split {
        train: all.select(&order[test..test + train]),
        test: all.select(&order[..test]),
        source: Source {
            citation: "Optical Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak; UCI Machine Learning \
                       Repository), test set",
            licence: "CC BY 4.0",
            files: vec![SourceFile { name: "digits.csv.gz".to_owned(), sha256: SHA256.to_owned() }],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_are_whole() -> Result<(), DigitsError> {
        let all = load()?;
        assert_eq!(all.shape, [COUNT, 1, 8, 8]);
        assert_eq!(&all.item(0)[..4], &[-1.0, -1.0, 5.0 / 8.0 - 1.0, 13.0 / 8.0 - 1.0]);
        let y = all.y.unwrap_or_default();
        let counts: Vec<usize> = (0..10).map(|class| y.iter().filter(|&&c| c == class).count()).collect();
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        Ok(())
    }

    /// Train and test are disjoint and together the whole: their pixel sums add up, and a seed fixes them.
    #[test]
    fn the_split_loses_nothing_and_depends_on_the_seed() -> Result<(), DigitsError> {
        let all = load()?;
        let sum = |set: &Dataset| set.x.iter().map(|&v| f64::from(v)).sum::<f64>();
        let one = split(1, None, None)?;
        assert_eq!((one.train.count(), one.test.count()), (1500, 297));
        assert_eq!(sum(&one.train) + sum(&one.test), sum(&all));
        assert_eq!(split(1, None, None)?.test, one.test);
        assert_ne!(split(2, None, None)?.test, one.test);
        assert_eq!(split(1, Some(10), None)?.test, one.test);
        assert!(matches!(split(1, Some(1501), None), Err(DigitsError::TooMany { .. })));
        Ok(())
    }
}
