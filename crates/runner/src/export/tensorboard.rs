//! The curves of runs as event files for TensorBoard, in a folder for each run and task: `<run>/<task>/events.out.tfevents.…`.

use crate::export::event_file::EventFile;
use crate::run::account::Account;
use crate::run::events::Event;
use crate::store::Store;
use crate::store::curves::{Change, Curves, Follow};
use crate::store::destination;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::names;
use crate::store::short::short;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// TensorBoard looks for files whose names have `tfevents` in them.
const FILE: &str = "events.out.tfevents.onsager";

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    pub tasks: usize,
    pub curves: usize,
    pub points: usize,
}

/// Writes the curves of all tasks of a run below this folder, in the place of what it has of the same run.
pub fn export(store: &Store, account: &Account, folder: &Path) -> Result<Written, StoreError> {
    let mut written = Written::default();
    for (task, of) in &account.tasks {
        let Some(key) = of.key else { continue };
        let curves = store.curves(&key)?;
        if curves.0.is_empty() {
            continue;
        }
        let path = place(folder, &account.run, task);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(StoreError::io("make the folder", parent))?;
        let write = |file: &mut File| write_all(&curves, BufWriter::new(file));
        destination::write(&path, write).map_err(StoreError::io("write", &path))?;
        written.tasks += 1;
        written.curves += curves.0.len();
        written.points += curves.0.values().map(Vec::len).sum::<usize>();
    }
    Ok(written)
}

/// Where the curves of a task go.
fn place(folder: &Path, run: &str, task: &str) -> PathBuf {
    // A record may come from elsewhere.
    let plain = |name: &str| match short(name) {
        name if names::is_plain(&name) => name,
        name => Digest::of(name.as_bytes()).to_string(),
    };
    folder.join(plain(run)).join(plain(task)).join(FILE)
}

/// In seconds since 1970.
fn seconds(at: i64) -> f64 {
    at as f64 / 1000.0
}

/// When the first point was measured.
fn begun(curves: &Curves) -> f64 {
    seconds(curves.0.values().filter_map(|points| points.first()).map(|point| point.at).min().unwrap_or(0))
}

fn write_all(curves: &Curves, out: impl Write) -> io::Result<()> {
    let mut file = EventFile::new(out, begun(curves))?;
    add_all(curves, &mut file)?;
    file.finish().map(|_| ())
}

fn add_all(curves: &Curves, file: &mut EventFile<impl Write>) -> io::Result<()> {
    for (name, points) in &curves.0 {
        for point in points {
            file.scalar(name, seconds(point.at), point.step, point.value)?;
        }
    }
    Ok(())
}

/// Writes event files while a run goes on.
#[derive(Debug)]
pub struct Live {
    store: Store,
    folder: PathBuf,
    run: String,
    tasks: BTreeMap<String, Task>,
    looked: Instant,
}

/// How often growing curves are looked at.
const PERIOD: Duration = Duration::from_millis(500);

/// A task whose curves may grow.
#[derive(Debug)]
struct Task {
    follow: Follow,
    path: PathBuf,
    /// Made with the first point.
    file: Option<EventFile<BufWriter<File>>>,
}

impl Live {
    /// Below this folder.
    pub fn new(store: &Store, folder: &Path) -> Live {
        Live {
            store: store.clone(),
            folder: folder.to_owned(),
            run: String::new(),
            tasks: BTreeMap::new(),
            looked: Instant::now(),
        }
    }

    /// Hears what happens in the run.
    pub fn event(&mut self, event: &Event) -> Result<(), StoreError> {
        match event {
            Event::RunStarted { run, .. } => self.run.clone_from(run),
            Event::TaskStarted { task, key, .. } => {
                let follow = Follow::of(&self.store, *key);
                let path = place(&self.folder, &self.run, task);
                // Of another attempt, it goes on.
                self.tasks.entry(task.clone()).or_insert(Task { follow, path, file: None });
            }
            Event::TaskFinished { task, .. }
            | Event::TaskFailed { task, .. }
            | Event::TaskInterrupted { task, .. } => {
                if let Some(mut task) = self.tasks.remove(task) {
                    task.take()?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Writes what has come since; call it as often as you like.
    pub fn take(&mut self) -> Result<(), StoreError> {
        if self.looked.elapsed() < PERIOD {
            return Ok(());
        }
        self.looked = Instant::now();
        self.tasks.values_mut().try_for_each(Task::take)
    }
}

impl Task {
    fn take(&mut self) -> Result<(), StoreError> {
        let change = self.follow.poll()?;
        let written = match change {
            Change::Nothing => Ok(()),
            Change::More(lines) => self.write(0.0, |file| {
                lines
                    .iter()
                    .try_for_each(|line| file.scalar(&line.name, seconds(line.at), line.step, line.value))
            }),
            Change::Anew(curves) => {
                let again = self.file.is_some();
                let from =
                    curves.0.values().filter_map(|points| points.first()).map(|point| point.step).min();
                self.write(begun(&curves), |file| {
                    if again {
                        // What an earlier attempt had measured, and what of it still counts.
                        file.restart(begun(&curves), from.unwrap_or(0))?;
                    }
                    add_all(&curves, file)
                })
            }
        };
        written.map_err(StoreError::io("write", &self.path))
    }

    fn write(
        &mut self,
        begun: f64,
        write: impl FnOnce(&mut EventFile<BufWriter<File>>) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.file.is_none() {
            self.path.parent().map_or(Ok(()), fs::create_dir_all)?;
            self.file = Some(EventFile::new(BufWriter::new(File::create(&self.path)?), begun)?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        write(file)?;
        file.flush()
    }
}
