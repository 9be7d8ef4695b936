//! Names of tasks as names of files, which have at most 255 bytes.

use crate::store::digest::Digest;

/// A name that an ending, or that of a temporary file, still fits behind.
const LONGEST: usize = 180;
/// How many digits of the digest tell long names apart.
const DIGITS: usize = 16;

/// One name of a file or folder that stands for this name, and for no other: as it is, or the beginning of a long one with a part of
/// its digest.
pub fn short(name: &str) -> String {
    let name = name.replace('/', "%2F");
    if name.len() <= LONGEST {
        return name;
    }
    let mut end = LONGEST - DIGITS - 1;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{}", &name[..end], &Digest::of(name.as_bytes()).to_string()[..DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_and_stays_its_own() {
        assert_eq!(short("motion[a=1/2]"), "motion[a=1%2F2]");
        let (one, other) = (format!("{}1", "ü".repeat(120)), format!("{}2", "ü".repeat(120)));
        assert!(short(&one).len() <= LONGEST);
        assert!(short(&one).starts_with("üüü"));
        assert_ne!(short(&one), short(&other));
        assert_eq!(short(&one), short(&one));
    }
}
