//! Several executors as one: each task goes to that of its place.

use crate::worker::executor::Executor;
use crate::worker::protocol::{Assignment, Report};
use std::io;
use std::time::{Duration, Instant};

/// How long one of them is waited for before the next.
const SLICE: Duration = Duration::from_millis(10);

/// The executors of a run, by the numbers of its places.
pub struct Fleet {
    places: Vec<Box<dyn Executor>>,
    /// The one that was heard last.
    heard: usize,
}

impl Fleet {
    /// The executors as one; a single one needs nothing else.
    pub fn of(mut places: Vec<Box<dyn Executor>>) -> Option<Box<dyn Executor>> {
        match places.len() {
            0 | 1 => places.pop(),
            _ => Some(Box::new(Fleet { places, heard: 0 })),
        }
    }
}

impl Executor for Fleet {
    fn start(&mut self, assignment: Assignment) -> io::Result<Option<u32>> {
        let place = assignment.place;
        let executor = self.places.get_mut(place);
        executor.ok_or_else(|| io::Error::other(format!("there is no place {place}")))?.start(assignment)
    }

    fn next(&mut self, wait: Duration) -> Option<Report> {
        let until = Instant::now() + wait;
        loop {
            for _ in 0..self.places.len() {
                self.heard = (self.heard + 1) % self.places.len();
                let left = until.saturating_duration_since(Instant::now());
                if let Some(report) = self.places[self.heard].next(SLICE.min(left)) {
                    return Some(report);
                }
            }
            if Instant::now() >= until {
                return None;
            }
        }
    }

    fn cancel(&mut self) {
        self.places.iter_mut().for_each(|place| place.cancel());
    }

    fn stop(&mut self, number: usize) {
        self.places.iter_mut().for_each(|place| place.stop(number));
    }

    fn kill(&mut self, number: usize) {
        self.places.iter_mut().for_each(|place| place.kill(number));
    }

    fn leave(&mut self) -> bool {
        // Each is asked: one that can has to do something for it.
        self.places.iter_mut().fold(false, |left, place| place.leave() | left)
    }

    fn fault(&mut self) -> Option<String> {
        self.places.iter_mut().find_map(|place| place.fault())
    }

    fn note(&mut self) -> Option<String> {
        self.places.iter_mut().find_map(|place| place.note())
    }
}
