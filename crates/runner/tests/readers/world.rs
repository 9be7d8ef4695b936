//! A project with a store that a run has filled, and what lies around it, which nothing may touch.

use onsager_runner::builtin;
use onsager_runner::config::trust::Trust;
use onsager_runner::pipeline::builder::{Pipeline, StageEntry};
use onsager_runner::pipeline::graph::Graph;
use onsager_runner::plan::planned;
use onsager_runner::plan::resolve::Resolver;
use onsager_runner::run::events::{Event, Record};
use onsager_runner::store::actions::Action;
use onsager_runner::store::digest::Digest;
use onsager_runner::store::objects::Content;
use onsager_runner::store::runs::{self, Run};
use onsager_runner::store::{Store, gc, usage, verify};
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub const RUN: &str = "2026-05-01T12-00-00-3fa9c1d2";

pub struct World {
    outer: TempDir,
    pub store: Store,
    pub graph: Graph,
    /// Of the tasks `a` (a file) and `b` (a folder), as the graph has them.
    pub keys: Vec<Digest>,
    pub contents: Vec<Content>,
}

impl World {
    /// A store after a run of two tasks.
    pub fn new() -> World {
        let outer = tempfile::tempdir().expect("a folder");
        let root = outer.path().join("project");
        fs::create_dir(&root).expect("made");
        fs::write(outer.path().join("secret"), "secret\n").expect("written");
        let pipeline = Pipeline::new("p")
            .stage(StageEntry::command("a", "echo 1 > ${outputs.o}").output("o", "o.txt"))
            .stage(StageEntry::command("b", "mkdir ${outputs.d}").input("o", "a").output("d", "d/"));
        let graph = pipeline.graph(&root, &builtin()).expect("a graph");
        let store = Store::open(&root.join("artifacts")).expect("a store");
        let mut world = World { outer, store, graph, keys: Vec::new(), contents: Vec::new() };
        world.fill();
        world
    }

    fn fill(&mut self) {
        let work = self.store.work().join("filling");
        fs::create_dir_all(work.join("d/deep/empty")).expect("made");
        fs::write(work.join("o.txt"), "1\n").expect("written");
        fs::write(work.join("d/deep/one"), "one\n").expect("written");
        fs::write(work.join("d/two"), "two\n").expect("written");
        fs::set_permissions(work.join("d/two"), fs::Permissions::from_mode(0o755)).expect("changed");
        let take = |name: &str| self.store.objects().take(&work.join(name), &work).expect("taken");
        self.contents = vec![take("o.txt"), take("d")];
        let registry = builtin();
        let level = onsager_numerics::kernel::Level::detect();
        let mut view = self.store.view("p").expect("a view");
        let mut record = Record::create(&self.store.runs().join(format!("{RUN}.jsonl"))).expect("a record");
        let source = self.store.manifests().keep(b"name: p\n").expect("kept");
        record
            .write(&Event::RunStarted {
                run: RUN.into(),
                pipeline: "p".into(),
                file: "p.yaml".into(),
                version: "0".into(),
                kernel: level.to_string(),
                tasks: 2,
                jobs: 1,
                threads: 1,
                source: Some(source),
                description: None,
                host: "host".into(),
                points: self.graph.points.clone(),
                facts: None,
            })
            .expect("written");
        for (number, task) in self.graph.tasks.iter().enumerate() {
            let mut resolver = Resolver::new(&self.graph, &registry, &self.store, level).expect("a resolver");
            let contents = &self.contents;
            let made = |up: usize| contents.get(up..=up);
            let key = resolver.key(number, &made).expect("a key").expect("known");
            let preimage = resolver.explain(number, &made).expect("explained").material;
            let outputs = vec![(task.outputs[0].name.clone(), self.contents[number])];
            let (id, run) = (task.id.clone(), RUN.to_owned());
            let action = Action { preimage, ..Action::new(key, id.clone(), run, 1.0, outputs.clone()) };
            self.store.actions().put(&action).expect("kept");
            let place = Path::new("p").join(&task.folder).join(&task.outputs[0].file);
            view.show(&id, key, &[(self.contents[number], place)]).expect("shown");
            record
                .write(&Event::TaskFinished { task: id, key, seconds: 1.0, outputs, usage: None })
                .expect("written");
            self.keys.push(key);
        }
        let tasks = self.graph.tasks.iter().map(|task| task.id.as_str()).zip(self.keys.iter().copied());
        let manifest = self.store.manifests().put(tasks).expect("kept");
        record
            .write(&Event::RunFinished {
                manifest,
                executed: 2,
                cached: 0,
                failed: 0,
                skipped: 0,
                interrupted: false,
                seconds: 1.0,
            })
            .expect("written");
        fs::remove_dir_all(work).expect("removed");
        let checkpoints = self.store.checkpoints(&Digest::of(b"unfinished"));
        fs::create_dir_all(&checkpoints).expect("made");
        let digest = Digest::of(b"state").to_string();
        fs::write(checkpoints.join(format!("step-7-{}", &digest[..32])), "state").expect("written");
    }

    pub fn outer(&self) -> &Path {
        self.outer.path()
    }

    pub fn run(&self) -> Option<Run> {
        runs::all(&self.store).ok()?.into_iter().next_back()
    }

    /// Everything that reads the store; errors are as good as results.
    pub fn read(&self) {
        let registry = builtin();
        let _ = usage::usage(&self.store, usage::Level::Task);
        let _ = gc::collect(&self.store, &gc::Options { dry_run: true, ..Default::default() });
        let level = onsager_numerics::kernel::Level::detect();
        let mut resolver = Resolver::new(&self.graph, &registry, &self.store, level).expect("a resolver");
        if let Ok(view) = self.store.view("p") {
            let _ = planned::plan(&mut resolver, &self.store, &view, &[true, true], &HashSet::new());
        }
        for key in &self.keys {
            if let Ok(Some(action)) = resolver.result(0, key) {
                let place = PathBuf::from("p/again");
                for (_, content) in &action.outputs {
                    let _ = self.store.objects().place(content, self.store.artifacts(), &place);
                }
            }
        }
        let _ = verify::verify(&self.store, &Trust::default(), false);
        self.check_outside();
    }

    /// Nothing outside the project came, went or changed.
    pub fn check_outside(&self) {
        // What should not be there goes, so that the next try begins anew.
        let mut evil = Vec::new();
        for (folder, known) in [("", ["project", "secret"]), ("project", ["artifacts", ""])] {
            for entry in fs::read_dir(self.outer().join(folder)).expect("a folder") {
                let path = entry.expect("an entry").path();
                if !known.iter().any(|known| path.file_name() == Some(known.as_ref())) {
                    let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
                    evil.push(path);
                }
            }
        }
        assert!(evil.is_empty(), "something was made outside: {evil:?}");
        assert_eq!(fs::read_to_string(self.outer().join("secret")).expect("a file"), "secret\n");
    }
}
