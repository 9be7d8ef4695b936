//! What is known already: finds the results of tasks, brings their bytes back, shows them in the view, and lets the tasks that wait
//! for them go on.

use crate::kind::stage::Output;
use crate::plan::resolve::EngineError;
use crate::run::Scheduler;
use crate::run::events::Event;
use crate::run::state::TaskState;
use crate::store::digest::Digest;
use crate::store::objects::{Content, Held};
use crate::store::view::Placed;
use std::path::Path;

impl Scheduler<'_, '_> {
    /// Computes the key of a task whose inputs are known, and looks for its result.
    pub(super) fn settle(&mut self, number: usize) -> Result<(), EngineError> {
        let results = &self.results;
        let key = match self.resolver.key(number, &|up| results[up].as_deref()) {
            // An input that cannot be read is this task's trouble alone.
            Err(EngineError::Store(error)) => return self.fail(number, error.to_string(), None, None),
            key => key?,
        };
        let Some(key) = key else { return Ok(()) };
        if !self.options.forced.contains(&number) && self.find(number, key)? {
            return Ok(());
        }
        self.states[number] = Some(TaskState::Ready { key });
        self.ready.insert(number);
        Ok(())
    }

    /// Takes the result of this key, if there is one: from the view where it is there untouched, else from its action record. False
    /// when the task has to be executed.
    pub(super) fn find(&mut self, number: usize, key: Digest) -> Result<bool, EngineError> {
        let task = &self.resolver.graph.tasks[number];
        if let Some(shown) = self.view.current(&task.id, &key, task.outputs.len()) {
            let outputs = shown.iter().map(|output| output.content).collect();
            self.cached(number, key, outputs);
            return Ok(true);
        }
        let Some(action) = self.resolver.result(&key)? else { return Ok(false) };
        let outputs: Vec<Content> = action.outputs.iter().map(|(_, content)| *content).collect();
        match self.bring(number, &outputs)? {
            Held::Sound => {
                if !self.put_into_view(number, key, &outputs)? {
                    return Ok(true);
                }
            }
            // Nobody needs its bytes: to know what they were is enough.
            Held::Missing if !self.is_wanted(number) && !self.damaged.contains(&number) => {
                self.view.withdraw(&task.id, key)?;
            }
            Held::Missing => return Ok(false),
            Held::Damaged => {
                self.damaged.insert(number);
                return Ok(false);
            }
        }
        self.cached(number, key, outputs);
        Ok(true)
    }

    /// Sees to it that the store holds the bytes of a known result: as they are there, or else from the view. Tells how that went.
    pub(super) fn bring(&mut self, number: usize, outputs: &[Content]) -> Result<Held, EngineError> {
        let objects = self.store.objects();
        let task = &self.resolver.graph.tasks[number];
        let mut worst = Held::Sound;
        for (declared, content) in task.outputs.iter().zip(outputs) {
            let held = objects.mend(content)?;
            if held == Held::Damaged {
                let (task, output) = (task.id.clone(), declared.name.clone());
                self.tell(Event::ObjectDamaged { task, output, object: content.digest })?;
            }
            let copy = (held != Held::Sound).then(|| self.view.copy_of(&task.id, content)).flatten();
            if !copy.is_some_and(|copy| objects.take_back(content, &copy).unwrap_or(false)) {
                worst = worst.max(held);
            }
        }
        Ok(worst)
    }

    /// Whether the outputs of a task are what the run is for: nothing else of the run takes them.
    fn is_wanted(&self, number: usize) -> bool {
        !self.dependents.of(number).iter().any(|dependent| self.options.selected[*dependent])
    }

    /// Sees to it that the inputs of a task that is about to start are in the store. True when all are; else those that are not
    /// are made again first, and the task waits for them.
    pub(super) fn bring_inputs(&mut self, number: usize) -> Result<bool, EngineError> {
        let mut missing = 0;
        for up in self.resolver.graph.dependencies(number) {
            if self.revived.contains_key(&up) {
                self.revived.entry(up).or_default().push(number);
                missing += 1;
                continue;
            }
            let Some(key) = self.states[up].as_ref().and_then(TaskState::result) else { continue };
            let outputs = self.results[up].clone().unwrap_or_default();
            if self.bring(up, &outputs)? == Held::Sound {
                continue;
            }
            self.revived.insert(up, vec![number]);
            self.states[up] = Some(TaskState::Ready { key });
            self.ready.insert(up);
            missing += 1;
        }
        if missing > 0 {
            self.ready.remove(&number);
            self.elsewhere.remove(&number);
            self.states[number] = Some(TaskState::Waiting { missing });
        }
        Ok(missing == 0)
    }

    /// Makes the view show a result, whose bytes are in the store. Where that cannot be done the task fails, and it gives false.
    pub(super) fn put_into_view(
        &mut self,
        number: usize,
        key: Digest,
        outputs: &[Content],
    ) -> Result<bool, EngineError> {
        let task = &self.resolver.graph.tasks[number];
        let folder = Path::new(&self.resolver.graph.name).join(&task.folder);
        let place = |declared: &Output, content| (content, folder.join(&declared.file));
        let placed: Vec<_> =
            task.outputs.iter().zip(outputs).map(|(declared, content)| place(declared, *content)).collect();
        let what = match self.view.show(&task.id, key, &placed) {
            // The result itself is in the store.
            Err(error) => {
                self.fail(number, error.to_string(), None, None)?;
                return Ok(false);
            }
            Ok(what) => what,
        };
        for (what, (_, path)) in what.into_iter().zip(placed) {
            if matches!(what, Placed::Restored | Placed::Edited) {
                let (task, edited) = (task.id.clone(), what == Placed::Edited);
                self.tell(Event::OutputRestored { task, path, edited })?;
            }
        }
        Ok(true)
    }

    /// A known result needs no execution. The record has it in its manifest.
    pub(super) fn cached(&mut self, number: usize, key: Digest, outputs: Vec<Content>) {
        let task = self.resolver.graph.tasks[number].id.clone();
        self.observer.event(&Event::TaskCached { task, key });
        self.finish(number, TaskState::Cached { key }, outputs);
    }

    /// A result is known: lets the tasks that wait for it go on.
    pub(super) fn finish(&mut self, number: usize, state: TaskState, outputs: Vec<Content>) {
        self.ready.remove(&number);
        self.results[number] = Some(outputs);
        self.states[number] = Some(state);
        // Made again: the others went on long ago.
        let waiting = self.revived.remove(&number);
        for dependent in waiting.as_deref().unwrap_or(self.dependents.of(number)) {
            if let Some(TaskState::Waiting { missing }) = &mut self.states[*dependent] {
                *missing -= 1;
                if *missing == 0 {
                    self.settled.push(*dependent);
                }
            }
        }
    }
}
