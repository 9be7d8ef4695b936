//! What a run has asked of a remote store, and which tasks wait for it: see `elsewhere.rs`.

use crate::store::digest::Digest;
use crate::store::remote::elsewhere::{Elsewhere, Parcel, Traffic};
use std::collections::{HashMap, HashSet};
use std::time::Instant;

/// What was asked of a remote store in this run, and who waits for it.
#[derive(Default)]
pub struct Away<'a> {
    /// None for a run without a remote store.
    pub link: Option<&'a mut (dyn Elsewhere + 'static)>,
    /// The keys whose record is asked for, each with the tasks that wait.
    pub asked: HashMap<Digest, Vec<usize>>,
    /// The keys that were asked for: there is nothing more to learn.
    pub answered: HashSet<Digest>,
    /// The contents whose bytes are on their way, each with the tasks that wait.
    pub coming: HashMap<Parcel, Vec<usize>>,
    /// Those that were fetched once, whether they came or not.
    pub tried: HashSet<Parcel>,
    /// When it was told how far the transfers are, and what.
    pub told: Option<(Instant, Traffic)>,
}

impl<'a> Away<'a> {
    pub fn new(link: Option<&'a mut (dyn Elsewhere + 'static)>) -> Away<'a> {
        Away { link, ..Away::default() }
    }

    /// Whether an answer is still to come.
    pub fn is_busy(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.unanswered() > 0)
    }

    /// The graph has grown: tasks have other numbers, and those that wait are decided once more.
    pub fn forget_who_waits(&mut self) {
        self.asked.values_mut().for_each(Vec::clear);
        self.coming.values_mut().for_each(Vec::clear);
    }
}
