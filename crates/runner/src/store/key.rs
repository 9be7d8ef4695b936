//! The key of a task: the digest of everything that can change its result.
//!
//! The hash has two steps: the *identity* of a task, which its pipeline tells (and which is kept with an expanded pipeline), and the key,
//! which adds what is known only when the task is reached: the kernel level and the contents of the inputs. Both hash the parts that
//! they are handed: by [`traverse`](crate::plan::preimage::traverse), or by the [`Material`] of a record.

use crate::store::digest::{Digest, Encoder};
use crate::store::material::{Material, Part, Sink, Step};
use crate::store::objects::Shape;
use serde_json::Value;

/// The key of a task with this material; none while an input is not known.
pub fn key_of(material: &Material) -> Option<Digest> {
    let mut identity = IdentityHash::default();
    material.replay(&mut identity);
    let mut key = KeyHash::new(&identity.finish());
    material.replay(&mut key);
    key.finish()
}

/// Hashes what the pipeline tells of a task; of the rest only the places.
pub struct IdentityHash(Encoder);

impl Default for IdentityHash {
    fn default() -> IdentityHash {
        IdentityHash(Encoder::new("onsager task 2"))
    }
}

impl IdentityHash {
    pub fn finish(self) -> Digest {
        self.0.finish()
    }
}

impl Sink for IdentityHash {
    const WHOLE: bool = true;

    fn part(&mut self, path: &[Step], part: Part) {
        let encoder = &mut self.0;
        encoder.field(b'E', &(path.len() as u64).to_le_bytes());
        for step in path {
            match step {
                Step::Field(name) => encoder.field(b'F', name.as_bytes()),
                Step::Label(axis) => encoder.field(b'F', format!("label {axis}").as_bytes()),
                Step::Index(i) => encoder.field(b'I', &(*i as u64).to_le_bytes()),
            }
        }
        match part {
            Part::Text(text) => encoder.field(b'S', text.as_bytes()),
            Part::Value(value) => encode(value, encoder),
            // Their places only: the key itself adds them.
            Part::Kernel(_) => encoder.field(b'K', &[]),
            Part::Content(_) => encoder.field(b'C', &[]),
            Part::Tool(_) => encoder.field(b'V', &[]),
        }
    }
}

fn encode(value: &Value, encoder: &mut Encoder) {
    match value {
        Value::Null => encoder.field(b'0', &[]),
        Value::Bool(value) => encoder.field(b'B', &[u8::from(*value)]),
        Value::Number(number) => match (number.as_i128(), number.as_f64()) {
            (Some(value), _) => encoder.field(b'N', &value.to_le_bytes()),
            (None, Some(value)) => encoder.field(b'R', &value.to_bits().to_le_bytes()),
            (None, None) => encoder.field(b'?', number.to_string().as_bytes()),
        },
        Value::String(text) => encoder.field(b'S', text.as_bytes()),
        Value::Array(_) => encoder.field(b'A', &[]),
        Value::Object(_) => encoder.field(b'O', &[]),
    }
}

/// Adds the kernel level and the contents of the inputs to an identity.
pub struct KeyHash {
    encoder: Encoder,
    known: bool,
}

impl KeyHash {
    pub fn new(identity: &Digest) -> KeyHash {
        let mut encoder = Encoder::new("onsager task key 2");
        encoder.field(b'T', &identity.0);
        KeyHash { encoder, known: true }
    }

    /// The key; none while an input is not known.
    pub fn finish(self) -> Option<Digest> {
        self.known.then(|| self.encoder.finish())
    }
}

impl Sink for KeyHash {
    const WHOLE: bool = false;

    fn part(&mut self, _: &[Step], part: Part) {
        match part {
            Part::Kernel(level) => self.encoder.field(b'K', level.as_bytes()),
            Part::Content(Some(content)) => {
                let tag = match content.shape {
                    Shape::File => b'f',
                    Shape::Executable => b'x',
                    Shape::Folder => b'd',
                    // No part of a key: see `traverse`.
                    Shape::Absent => return,
                };
                self.encoder.field(tag, &content.digest.0);
            }
            Part::Tool(Some(text)) => self.encoder.field(b'V', text.as_bytes()),
            Part::Content(None) | Part::Tool(None) => self.known = false,
            Part::Value(_) | Part::Text(_) => {}
        }
    }
}
