//! What a run asks of a place that may have results which its store lacks. The run never waits for it: it asks, goes on with other
//! tasks, and takes the answers as they come.

use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::objects::Content;
use serde::{Deserialize, Serialize};

/// A place that may have results.
pub trait Elsewhere {
    /// Its name, for messages.
    fn name(&self) -> &str;
    /// Asks for the record of a key. If there is one that counts, the store has it when the answer comes.
    fn ask(&mut self, key: Digest);
    /// Asks for the bytes of contents. As many as are there, the store has when the answer comes.
    fn fetch(&mut self, parcel: Parcel);
    /// Sends a result of this run, if the place takes any.
    fn send(&mut self, action: &Action);
    /// The next answer, if one is here.
    fn answer(&mut self) -> Option<Answer>;
    /// How many questions have no answer yet.
    fn unanswered(&self) -> usize;
    /// How many results are on their way there.
    fn unsent(&self) -> usize;
    /// The run ends: what is still on its way is given up.
    fn end(&mut self);
    /// How many bytes have moved, and how many are to.
    fn traffic(&self) -> Traffic;
}

/// The contents that are fetched together: what is missing of one task's outputs.
pub type Parcel = Vec<Content>;

/// What came of a question, or what is to be told.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Whether there is a result of this key, and which machine made it.
    Record {
        key: Digest,
        host: Option<String>,
    },
    /// Whether all bytes of these contents are in the store now.
    Fetched {
        parcel: Parcel,
        whole: bool,
    },
    Told(Notice),
}

/// What the user is to know of a remote; each is told once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "notice")]
pub enum Notice {
    /// It cannot be reached: the run goes on without it.
    Offline { message: String },
    /// A record there does not count.
    Refused { task: String, message: String },
    /// Something there cannot be used: it is damaged, or does not fit.
    Unusable { message: String },
    /// Two machines made different bytes of the same.
    Differs { difference: Difference },
    /// A result could not be sent.
    NotSent { task: String, message: String },
}

impl Notice {
    /// Why nobody answers there, if it says that.
    pub fn offline(&self) -> Option<String> {
        match self {
            Notice::Offline { message } => Some(message.clone()),
            _ => None,
        }
    }
}

/// Two results of one key that differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Difference {
    pub task: String,
    #[schemars(with = "String")]
    pub key: Digest,
    /// The outputs that differ.
    pub outputs: Vec<String>,
    /// The machine whose result is kept, and its run.
    pub kept: Machine,
    /// The other one.
    pub other: Machine,
}

/// Where a result was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Machine {
    pub host: String,
    pub run: String,
}

/// Bytes on their way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    pub received: u64,
    pub to_receive: u64,
    pub sent: u64,
    pub to_send: u64,
    /// How many requests a server got.
    pub requests: u64,
}
