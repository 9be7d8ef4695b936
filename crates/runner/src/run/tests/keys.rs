//! The key that is explained is the key that a run uses.

use crate::builtin;
use crate::pipeline::builder::Pipeline;
use crate::plan::resolve::Resolver;
use crate::run::tests::{Project, stage};
use crate::store::actions::KeyCheck;
use crate::store::digest::Digest;
use crate::store::material::Material;
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeSet, HashMap};

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// In random graphs, with results from earlier runs or without, the key that is explained is the key that the run used; other
    /// lines stand for another key, and the same lines for the same one.
    #[test]
    fn the_explained_key_is_the_key_that_a_run_used(
        stages in prop::collection::vec((any::<u16>(), 0..3usize, prop::option::of("[ -~]{0,6}"), any::<bool>()), 1..7)
    ) {
        let mut pipeline = Pipeline::new("random");
        for (at, (ups, axis, env, file)) in stages.iter().enumerate() {
            let mut entry = stage(&format!("s{at}"));
            for up in (0..at).filter(|up| ups >> up & 1 == 1) {
                entry = entry.input(&format!("i{up}"), &format!("s{up}"));
            }
            if *axis > 0 {
                entry = entry.axis("x", (0..*axis).map(|x| if x % 2 == 0 { json!(0.1 * x as f64) } else { json!("word") }));
            }
            if let Some(env) = env {
                // A dollar sign would begin a reference.
                entry = entry.field("env", json!({"A.B": env.replace('$', "S"), "N": 1.5e-9}));
            }
            if *file {
                entry = entry.file("file", "input");
            }
            pipeline = pipeline.stage(entry);
        }
        let mut project = Project::new(pipeline);
        for _ in 0..2 {
            let summary = project.run();
            let registry = builtin();
            let mut resolver =
                Resolver::new(&project.graph, &registry, &project.store, project.options.kernel).unwrap();
            let outputs = |number: usize| summary.outputs[number].as_deref();
            let mut by_lines: HashMap<Vec<(String, String)>, Digest> = HashMap::new();
            let mut keys = BTreeSet::new();
            for (number, state) in summary.states.iter().enumerate() {
                let used = state.as_ref().unwrap().result().unwrap();
                let explained = resolver.explain(number, &outputs).unwrap();
                prop_assert_eq!(explained.key, Some(used));
                prop_assert_eq!(resolver.key(number, &outputs).unwrap(), Some(used));
                prop_assert_eq!(*by_lines.entry(explained.material.lines()).or_insert(used), used);
                keys.insert(used);
                // What the record of the result says it was made of is the same.
                let action = project.store.actions().get(&used).unwrap().unwrap();
                prop_assert_eq!(action.check_key(), KeyCheck::Right);
                prop_assert_eq!(&action.preimage, &explained.material);
                let read: Material = serde_json::from_str(&serde_json::to_string(&action.preimage).unwrap()).unwrap();
                prop_assert_eq!(read, explained.material);
            }
            prop_assert_eq!(by_lines.len(), keys.len());
        }
    }
}
