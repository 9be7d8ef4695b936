//! Some of many results, picked at random, to be computed again.

use crate::store::digest::{Digest, Encoder};
use std::io;
use std::str::FromStr;

/// How many are picked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sample {
    Count(usize),
    Percent(f64),
}

/// A text that is neither a number nor a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a number, like `3`, or a part, like `5%`")]
pub struct NoSample;

impl FromStr for Sample {
    type Err = NoSample;

    fn from_str(text: &str) -> Result<Sample, NoSample> {
        match text.strip_suffix('%') {
            Some(part) => {
                let part: f64 = part.trim().parse().map_err(|_| NoSample)?;
                if part > 0.0 && part <= 100.0 { Ok(Sample::Percent(part)) } else { Err(NoSample) }
            }
            None => text.parse().ok().filter(|count| *count > 0).map(Sample::Count).ok_or(NoSample),
        }
    }
}

/// What was picked.
pub struct Picked {
    /// The numbers of the tasks, in their order.
    pub tasks: Vec<usize>,
    /// How to pick the same again.
    pub told: String,
}

/// Picks among tasks with the keys of their results; at least one, where there is any. Without a seed nobody knows before which.
pub fn pick(mut tasks: Vec<(usize, Digest)>, sample: Sample, seed: Option<u64>) -> io::Result<Picked> {
    let seed = seed.map_or_else(getrandom::u64, Ok).map_err(|error| io::Error::other(error.to_string()))?;
    let all = tasks.len();
    let count = match sample {
        Sample::Count(count) => count,
        Sample::Percent(part) => (all as f64 * part / 100.0).ceil() as usize,
    };
    tasks.sort_by_cached_key(|(_, key)| {
        let mut place = Encoder::new("onsager sample 1");
        place.field(b'S', &seed.to_le_bytes());
        place.field(b'K', &key.0);
        place.finish()
    });
    tasks.truncate(count);
    let mut tasks: Vec<usize> = tasks.into_iter().map(|(number, _)| number).collect();
    tasks.sort_unstable();
    let told = format!("picked {} of {all} results; `--seed {seed}` picks the same", tasks.len());
    Ok(Picked { tasks, told })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_number_or_a_part() {
        assert_eq!("3".parse(), Ok(Sample::Count(3)));
        assert_eq!("5%".parse(), Ok(Sample::Percent(5.0)));
        for wrong in ["0", "0%", "101%", "x", "%", "-1", "NaN%"] {
            assert_eq!(wrong.parse::<Sample>(), Err(NoSample), "{wrong}");
        }
    }

    #[test]
    fn a_seed_picks_the_same_and_another_picks_others() {
        let tasks: Vec<(usize, Digest)> = (0..100).map(|i| (i, Digest::of(&[i as u8]))).collect();
        let of = |sample: &str, seed| pick(tasks.clone(), sample.parse().unwrap(), Some(seed)).unwrap();
        assert_eq!(of("5%", 1).tasks, of("5", 1).tasks);
        assert_ne!(of("5%", 1).tasks, of("5%", 2).tasks);
        assert_eq!(of("0.1%", 3).tasks.len(), 1);
        assert_eq!(of("200", 3).tasks, (0..100).collect::<Vec<_>>());
        assert_eq!(of("2", 7).told, "picked 2 of 100 results; `--seed 7` picks the same");
        assert!(pick(Vec::new(), Sample::Count(1), None).unwrap().tasks.is_empty());
    }
}
