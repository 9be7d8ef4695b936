//! What is known already: computes the keys of tasks, finds their results, and shows them in the view.

use crate::kind::stage::Output;
use crate::plan::decide::Unread;
use crate::plan::error::EngineError;
use crate::run::events::Event;
use crate::run::retry::Failure;
use crate::run::scheduler::Scheduler;
use crate::run::state::TaskState;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::objects::{Content, Held};
use crate::store::view::Placed;
use std::path::Path;

/// What became of the search for a result.
pub enum Found {
    /// The task needs no execution, or cannot have any.
    Here,
    /// Its bytes are on their way from a remote store; the task is decided again when they are here.
    Coming,
    /// The task is to be executed.
    Nowhere,
}

impl Scheduler<'_, '_> {
    /// Computes the key of a waiting task whose inputs are known, and looks for its result.
    pub fn decide(&mut self, number: usize) -> Result<(), EngineError> {
        if self.task(number).open.is_some() {
            return self.expand(number);
        }
        if !self.can_look_inside(number)? {
            return Ok(());
        }
        let results = &self.results;
        match self.resolver.gap(number, &|up| results[up].as_deref()) {
            Err(error) => return self.fail(number, Failure::before_start(&error)),
            Ok(Some(because)) => return self.skip(number, because),
            Ok(None) => {}
        }
        let results = &self.results;
        let key = match self.resolver.key(number, &|up| results[up].as_deref()) {
            // An input that cannot be read is this task's trouble alone.
            Err(EngineError::Tool(error)) => return self.fail(number, Failure::before_start(&error)),
            Err(error @ (EngineError::Store(_) | EngineError::NoMember { .. })) => {
                return self.fail(number, Failure::before_start(&error));
            }
            key => key?,
        };
        let Some(key) = key else { return Ok(()) };
        if !self.options.forced.contains(&number) {
            match self.find_result(number, key)? {
                Found::Here => return Ok(()),
                Found::Coming => {
                    self.states.wait_for(number, 1);
                    return Ok(());
                }
                Found::Nowhere if self.ask_elsewhere(number, key) => return Ok(()),
                Found::Nowhere => {}
            }
        }
        self.set(number, TaskState::Ready { key })
    }

    /// Whether the store has what has to be read to decide on a task; else it is made again, and the task goes on waiting.
    pub fn can_look_inside(&mut self, number: usize) -> Result<bool, EngineError> {
        let results = &self.results;
        let unread = match self.resolver.unread(number, &|up| results[up].as_deref()) {
            Err(error @ EngineError::Store(_)) => {
                self.fail(number, Failure::before_start(&error))?;
                return Ok(false);
            }
            unread => unread?,
        };
        let mut missing = 0;
        for Unread { task: up, damaged } in unread {
            if let Some(object) = damaged {
                let outputs = self.results[up].clone().unwrap_or_default();
                self.object_damaged(up, object, &outputs)?;
            }
            missing += usize::from(!self.ensure_bytes(up, number)?);
        }
        self.states.wait_for(number, missing);
        Ok(missing == 0)
    }

    /// Takes the result of this key, if there is one: from the view where it is there untouched, else from its action record.
    pub fn find_result(&mut self, number: usize, key: Digest) -> Result<Found, EngineError> {
        let task = &self.resolver.graph.tasks[number];
        if let Some(shown) = self.view.current(&task.id, &key, task.outputs.len()) {
            let outputs = shown.iter().map(|output| output.content).collect();
            self.cached(number, key, outputs)?;
            return Ok(Found::Here);
        }
        let Some(action) = self.resolver.result(number, &key)? else { return Ok(Found::Nowhere) };
        let outputs: Vec<Content> = action.outputs.iter().map(|(_, content)| *content).collect();
        match self.ensure_in_store(number, &outputs)? {
            Held::Sound => match self.put_into_view(number, key, &outputs)? {
                None => {}
                Some(StoreError::DamagedObject { digest }) => {
                    if let Ok(object) = digest.parse() {
                        self.object_damaged(number, object, &outputs)?;
                    }
                    self.damaged.insert(number);
                    return Ok(Found::Nowhere);
                }
                Some(error) => {
                    self.fail(number, Failure::to_show(&error, None))?;
                    return Ok(Found::Here);
                }
            },
            // Nobody needs its bytes: to know what they were is enough.
            Held::Missing if !self.is_wanted(number) && !self.damaged.contains(&number) => {
                self.view.withdraw(&task.id, key)?;
            }
            Held::Missing | Held::Damaged if self.fetch_elsewhere(&outputs, number)? => {
                return Ok(Found::Coming);
            }
            Held::Missing => return Ok(Found::Nowhere),
            Held::Damaged => {
                self.damaged.insert(number);
                return Ok(Found::Nowhere);
            }
        }
        self.cached(number, key, outputs)?;
        Ok(Found::Here)
    }

    /// Sees to it that the store holds the bytes of a known result: as they are there, or else from the view. Gives how they stand then.
    pub fn ensure_in_store(&mut self, number: usize, outputs: &[Content]) -> Result<Held, EngineError> {
        let objects = self.store.objects();
        let task = &self.resolver.graph.tasks[number];
        let mut worst = Held::Sound;
        for (declared, content) in task.outputs.iter().zip(outputs) {
            let held = objects.repair(content)?;
            if held == Held::Damaged {
                let (task, output) = (task.id.clone(), declared.name.clone());
                self.emit(Event::ObjectDamaged { task, output, object: content.digest })?;
            }
            let copy = (held != Held::Sound).then(|| self.view.copy_of(&task.id, content)).flatten();
            if !copy.is_some_and(|copy| objects.restore_from(content, &copy).unwrap_or(false)) {
                worst = worst.max(held);
            }
        }
        Ok(worst)
    }

    /// Whether the outputs of a task are what the run is for: nothing else of the run takes them.
    fn is_wanted(&self, number: usize) -> bool {
        if self.options.everything {
            return true;
        }
        let tasks = &self.resolver.graph.tasks;
        let takes = |dependent: usize| tasks[dependent].suppliers().any(|up| up == number);
        !self
            .dependents
            .of(number)
            .iter()
            .any(|&dependent| self.options.selected[dependent] && takes(dependent))
    }

    /// Drops an object that is damaged, and tells whose it was.
    pub fn object_damaged(
        &mut self,
        number: usize,
        object: Digest,
        outputs: &[Content],
    ) -> Result<(), EngineError> {
        self.store.objects().drop_damaged(&object)?;
        let declared = &self.resolver.graph.tasks[number].outputs;
        for (output, content) in declared.iter().zip(outputs) {
            // Of a folder's files it can tell as long as the list is there.
            if content.digest == object || self.store.closure([content])?.contains(&object) {
                let (task, output) = (self.task(number).id.clone(), output.name.clone());
                return self.emit(Event::ObjectDamaged { task, output, object });
            }
        }
        Ok(())
    }

    /// Makes the view show a result, whose bytes are in the store. Gives why that cannot be done, if it cannot.
    pub fn put_into_view(
        &mut self,
        number: usize,
        key: Digest,
        outputs: &[Content],
    ) -> Result<Option<StoreError>, EngineError> {
        let task = &self.resolver.graph.tasks[number];
        let folder = Path::new(&self.resolver.graph.name).join(&task.folder);
        let place = |declared: &Output, content| (content, folder.join(&declared.file));
        let placed: Vec<_> =
            task.outputs.iter().zip(outputs).map(|(declared, content)| place(declared, *content)).collect();
        let what = match self.view.show(&task.id, key, &placed) {
            Err(error) => return Ok(Some(error)),
            Ok(what) => what,
        };
        for (what, (_, path)) in what.into_iter().zip(placed) {
            if what == Placed::Replaced {
                let task = task.id.clone();
                self.emit(Event::OutputReplaced { task, path })?;
            } else if matches!(what, Placed::Restored | Placed::Edited) {
                let (task, edited) = (task.id.clone(), what == Placed::Edited);
                self.emit(Event::OutputRestored { task, path, edited })?;
            }
        }
        Ok(None)
    }
}
