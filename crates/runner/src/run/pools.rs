//! What running tasks share: threads, memory, and the places of named pools.
//!
//! A place of a pool is a lock file of the store, so that a pool holds across all runs on the same store.

use crate::pipeline::graph::Graph;
use crate::store::Store;
use crate::store::files::StoreError;
use crate::store::locks::Lock;
use onsager_tables::names::advice;
use onsager_tables::names::did_you_mean;
use std::collections::BTreeMap;

/// The number of places of each pool.
pub type Sizes = BTreeMap<String, u32>;

/// What there is of a place where tasks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// How many tasks may run side by side.
    pub jobs: usize,
    pub threads: usize,
    /// In bytes.
    pub memory: u64,
}

impl Capacity {
    /// Of a cluster, whose scheduler knows what there is: only the number of tasks in its hands is limited.
    pub fn elsewhere(jobs: usize) -> Capacity {
        Capacity { jobs, threads: usize::MAX / 2, memory: u64::MAX / 2 }
    }
}

/// What a task takes while it runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Share {
    /// The number of the place.
    pub place: usize,
    pub threads: usize,
    /// In bytes.
    pub memory: u64,
    pub pools: Vec<(String, u32)>,
}

/// What is left for the tasks that are looked at, one after the other, in the order of the graph.
#[derive(Debug)]
pub struct Room {
    places: Vec<Capacity>,
    pools: Sizes,
}

impl Room {
    /// What all of `whole` leaves beside what is running.
    pub fn beside<'a>(
        places: Vec<Capacity>,
        pools: &Sizes,
        running: impl Iterator<Item = &'a Share>,
    ) -> Room {
        let mut room = Room { places, pools: pools.clone() };
        running.for_each(|share| room.take(share));
        room
    }

    /// Whether a task can run now. Where it cannot, what it lacks is kept for it: a task that comes later in the order does not
    /// get it first, so that a task that needs much is not passed over for ever.
    pub fn fits(&mut self, share: &Share) -> bool {
        let Some(place) = self.places.get_mut(share.place).filter(|place| place.jobs > 0) else {
            return false;
        };
        let mut fits = true;
        if share.threads > place.threads {
            (place.threads, fits) = (0, false);
        }
        if share.memory > place.memory {
            (place.memory, fits) = (0, false);
        }
        for (pool, wanted) in &share.pools {
            let left = self.pools.entry(pool.clone()).or_default();
            if wanted > left {
                (*left, fits) = (0, false);
            }
        }
        fits
    }

    pub fn take(&mut self, share: &Share) {
        if let Some(place) = self.places.get_mut(share.place) {
            place.jobs = place.jobs.saturating_sub(1);
            place.threads = place.threads.saturating_sub(share.threads);
            place.memory = place.memory.saturating_sub(share.memory);
        }
        for (pool, wanted) in &share.pools {
            if let Some(left) = self.pools.get_mut(pool) {
                *left = left.saturating_sub(*wanted);
            }
        }
    }

    /// Another run has the places that this task lacks: no later task of this run gets them first.
    pub fn keep(&mut self, share: &Share) {
        for (pool, _) in &share.pools {
            self.pools.insert(pool.clone(), 0);
        }
    }

    /// Whether no task at all can run beside the others.
    pub fn is_full(&self) -> bool {
        self.places.iter().all(|place| place.jobs == 0 || place.threads == 0)
    }
}

/// Takes a task's places in the pools. None when other runs hold so many that they do not suffice.
pub fn take_places(store: &Store, share: &Share, sizes: &Sizes) -> Result<Option<Vec<Lock>>, StoreError> {
    let mut places = Vec::new();
    for (pool, wanted) in &share.pools {
        let enough = places.len() + *wanted as usize;
        for place in 0..sizes.get(pool).copied().unwrap_or(0) {
            if places.len() == enough {
                break;
            }
            places.extend(store.try_place(pool, place)?);
        }
        if places.len() < enough {
            return Ok(None);
        }
    }
    Ok(Some(places))
}

/// Why pools cannot have the sizes that are asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    #[error("the pipeline has no pool `{pool}`{}", advice(.help))]
    NoPool { pool: String, help: Option<String> },
    #[error(
        "pool `{pool}` is to have {size}, but task `{task}` takes {wanted}; give the pool more, or leave the task out"
    )]
    TooSmall { pool: String, size: u32, task: String, wanted: u32 },
}

/// The sizes of a pipeline's pools, with those that are `given` for this run in their place.
pub fn sizes(graph: &Graph, selected: &[bool], given: &[(String, u32)]) -> Result<Sizes, PoolError> {
    let mut sizes: Sizes = graph.pools.iter().cloned().collect();
    for (pool, size) in given {
        let Some(slot) = sizes.get_mut(pool) else {
            let help = did_you_mean(pool, graph.pools.iter().map(|(name, _)| name.as_str()), "there are");
            return Err(PoolError::NoPool { pool: pool.clone(), help });
        };
        *slot = *size;
    }
    for (task, _) in graph.tasks.iter().zip(selected).filter(|(_, selected)| **selected) {
        for (pool, wanted) in &task.resources.pools {
            let size = sizes.get(pool).copied().unwrap_or(0);
            if *wanted > size {
                let (pool, task, wanted) = (pool.clone(), task.id.clone(), *wanted);
                return Err(PoolError::TooSmall { pool, size, task, wanted });
            }
        }
    }
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(threads: usize, gpus: u32) -> Share {
        let pools = if gpus > 0 { vec![("gpu".to_owned(), gpus)] } else { Vec::new() };
        Share { place: 0, threads, memory: 0, pools }
    }

    #[test]
    fn what_a_big_task_lacks_is_kept_for_it() {
        let pools = Sizes::from([("gpu".to_owned(), 2)]);
        let running = [share(1, 1)];
        let here = Capacity { jobs: 9, threads: 4, memory: 0 };
        let mut room = Room::beside(vec![here], &pools, running.iter());
        // It needs both places, of which one is free: the next one that needs one has to wait behind it.
        assert!(!room.fits(&share(1, 2)));
        assert!(!room.fits(&share(1, 1)));
        // What needs none passes both.
        assert!(room.fits(&share(1, 0)));
        assert!(!room.fits(&share(4, 0)));
        assert!(room.is_full());
    }
}
