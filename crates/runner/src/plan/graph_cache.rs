//! Expanded pipelines, kept so that a large one need not be parsed again while nothing that it was read from has changed.
//!
//! A file in the store's `graphs/` holds the graph of one pipeline file with one set of arguments. It counts only for the same
//! program (its executable and the fingerprints of its kinds), the same bytes of every file that the pipeline was read from, the same
//! values of the environment's variables in it, and while its external inputs exist; otherwise the pipeline is loaded, and says what is wrong with it.

use crate::kind::registry::Registry;
use crate::pipeline::graph::{Graph, Task};
use crate::plan::error::EngineError;
use crate::plan::resolve;
use crate::store::Store;
use crate::store::chosen::Chosen;
use crate::store::digest::{Digest, Encoder};
use crate::store::files;
use crate::store::names;
use crate::store::stat;
use crate::store::walk;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The cached graph of one pipeline with one set of arguments.
pub struct GraphCache {
    path: PathBuf,
    program: Digest,
}

/// What a kept graph counts for.
#[derive(Serialize, Deserialize)]
struct Head {
    program: Digest,
    #[serde(with = "names::pairs")]
    sources: Vec<(PathBuf, Digest)>,
    /// The variables of the environment, with the digest of each.
    env: Vec<(String, Digest)>,
}

impl GraphCache {
    /// `arguments` is everything besides the files' contents that the graph depends on.
    pub fn new(store: &Store, registry: &Registry, pipeline: &Path, arguments: &[String]) -> GraphCache {
        let mut name = Encoder::new("onsager graph 1");
        let absolute = std::path::absolute(pipeline).unwrap_or_else(|_| pipeline.to_owned());
        // The path as it was typed is part of the graph too.
        name.field(b'P', absolute.as_os_str().as_encoded_bytes());
        name.field(b'T', pipeline.as_os_str().as_encoded_bytes());
        arguments.iter().for_each(|argument| name.field(b'A', argument.as_bytes()));
        let mut program = Encoder::new("onsager program 1");
        let executable = std::env::current_exe().ok().and_then(|path| stat::signature(&path).ok());
        program.field(b'E', &executable.map_or([0; 32], |signature| signature.0));
        for kind in registry.iter() {
            program.field(b'K', kind.name().as_bytes());
            program.field(b'F', kind.fingerprint().as_bytes());
        }
        GraphCache { path: store.graphs().join(name.finish().to_string()), program: program.finish() }
    }

    /// The graph, if it was kept and still holds.
    pub fn get(&self) -> Option<Graph> {
        let graph: Graph = self.read(&self.path)?;
        let files: HashSet<&Chosen> = graph.tasks.iter().flat_map(Task::external).collect();
        let there = files.into_iter().all(|chosen| match chosen.only {
            None => chosen.path.exists(),
            Some(_) => walk::finds_any(chosen),
        });
        there.then_some(graph)
    }

    /// What [`GraphCache::put_last`] kept, if it was of the same pipeline and program.
    pub fn get_last<T: DeserializeOwned>(&self) -> Option<T> {
        self.read(&self.path.with_extension("last"))
    }

    fn read<T: DeserializeOwned>(&self, path: &Path) -> Option<T> {
        let bytes = fs::read(path).ok()?;
        let (sum, content) = bytes.split_at_checked(4)?;
        if sum != checksum(content) {
            return None;
        }
        let (length, content) = content.split_at_checked(4)?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let (head, body) = content.split_at_checked(length)?;
        let Head { program, sources, env } = rmp_serde::from_slice(head).ok()?;
        let same = |(path, digest): &(PathBuf, Digest)| {
            fs::read(path).is_ok_and(|bytes| Digest::of(&bytes) == *digest)
        };
        let set = |(name, digest): &(String, Digest)| {
            std::env::var(name).is_ok_and(|value| Digest::of(value.as_bytes()) == *digest)
        };
        if program != self.program || !sources.iter().all(same) || !env.iter().all(set) {
            return None;
        }
        rmp_serde::from_slice(body).ok()
    }

    /// Computes the identities of a graph that was loaded, and keeps it for the next invocation.
    pub fn keep(&self, graph: &mut Graph, registry: &Registry) -> Result<(), EngineError> {
        if graph.identities.is_empty() {
            graph.identities = resolve::identities(graph, registry)?;
        }
        self.write(&self.path, graph, graph);
        Ok(())
    }

    /// Keeps what a run of this graph came to.
    pub fn put_last(&self, graph: &Graph, last: &impl Serialize) {
        self.write(&self.path.with_extension("last"), graph, last);
    }

    /// It only saves time: where it cannot be written (before the first run, on a read-only disk) nothing is lost.
    fn write(&self, path: &Path, graph: &Graph, value: &impl Serialize) {
        if !path.parent().is_some_and(Path::exists) {
            return;
        }
        let encoded = || {
            let head = Head { program: self.program, sources: graph.sources.clone(), env: graph.env.clone() };
            let head = rmp_serde::to_vec(&head)?;
            // The checksum goes into the first four bytes.
            let mut bytes = vec![0; 4];
            bytes.extend((head.len() as u32).to_le_bytes());
            bytes.extend(head);
            rmp_serde::encode::write(&mut bytes, value)?;
            let sum = checksum(&bytes[4..]);
            bytes[..4].copy_from_slice(&sum);
            Ok(bytes)
        };
        let written = encoded()
            .map_err(|error: rmp_serde::encode::Error| error.to_string())
            .and_then(|bytes| files::write_soon(path, &bytes).map_err(|error| error.to_string()));
        if let Err(error) = written {
            tracing::debug!("the graph is not kept: {error}");
        }
    }
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}
