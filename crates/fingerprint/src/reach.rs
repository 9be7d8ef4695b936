//! What the paths of a file lead to.

use std::collections::BTreeSet;

/// What a path leads to.
#[derive(Default)]
pub struct Reach {
    pub files: BTreeSet<String>,
    pub externs: BTreeSet<Extern>,
    /// The paths that were followed: two files may take all names of one another.
    pub(crate) followed: BTreeSet<Vec<String>>,
}

/// An identifier in the code of a package at hand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extern {
    pub package: String,
    pub ident: String,
}
