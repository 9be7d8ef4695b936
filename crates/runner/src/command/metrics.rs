//! The metrics of a command: it appends JSON lines to the file that `$ONSAGER_METRICS` names, and they go on its curves while it runs.

use crate::kind::context::Context;
use crate::kind::stage::StageError;
use crate::store::curves::number;
use crate::store::text;
use rustix::fs::OFlags;
use serde::Deserialize;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// The variable that names the file.
pub const VARIABLE: &str = "ONSAGER_METRICS";
/// How often the file is looked at.
const PERIOD: Duration = Duration::from_millis(100);
/// A longer line is none of ours.
const LONGEST_LINE: usize = 64 << 10;
/// How much is read at a time.
const BLOCK: usize = 1 << 20;
/// A longer name is none.
const LONGEST_NAME: usize = 200;

/// The file that the command writes to, in the attempt's folder.
pub fn file(ctx: &Context) -> PathBuf {
    ctx.work().join("metrics.jsonl")
}

/// Does `work` and takes the metrics that the command writes meanwhile. If they cannot be kept, the task fails, but the command is not
/// stopped for it.
pub fn taken<T>(ctx: &Context, work: impl FnOnce() -> Result<T, StageError>) -> Result<T, StageError> {
    let (ended, waiting) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("metrics".into());
        let taking = thread.spawn_scoped(scope, move || -> Result<(), StageError> {
            let mut tail = Tail { ctx, file: None, rest: Vec::new(), complained: false };
            while waiting.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                tail.take()?;
            }
            tail.take()
        })?;
        let done = work();
        drop(ended);
        let taken = taking.join().unwrap_or(Ok(()));
        done.and_then(|done| taken.map(|()| done))
    })
}

/// What a command writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    step: u64,
    name: String,
    #[serde(with = "number")]
    value: f64,
}

struct Tail<'c> {
    ctx: &'c Context,
    file: Option<File>,
    /// The beginning of a line whose end has not come yet.
    rest: Vec<u8>,
    /// The log has had its warning.
    complained: bool,
}

impl Tail<'_> {
    /// Takes what has come since.
    fn take(&mut self) -> Result<(), StageError> {
        if self.file.is_none() {
            // A pipe must not make anybody wait.
            let flags = OFlags::NONBLOCK.bits() as i32;
            match File::options().read(true).custom_flags(flags).open(file(self.ctx)) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                file => self.file = Some(file?),
            }
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        if !file.metadata()?.is_file() {
            self.complain("is no file");
            return Ok(());
        }
        loop {
            let Some(file) = &mut self.file else { return Ok(()) };
            let read = file.by_ref().take(BLOCK as u64).read_to_end(&mut self.rest)?;
            let bytes = std::mem::take(&mut self.rest);
            let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            let (whole, rest) = bytes.split_at(end);
            for line in whole.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
                self.line(line)?;
            }
            if rest.len() <= LONGEST_LINE {
                self.rest = rest.to_vec();
            } else {
                self.complain("has a line that is too long");
            }
            if read < BLOCK {
                return self.ctx.write_metrics();
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), StageError> {
        match parse(line) {
            Some(Line { step, name, value }) => self.ctx.metrics(step, &[(&name, value)]),
            None => {
                let line = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
                self.complain(&format!("has a line that is no metric: `{}`", line.escape_debug()));
                Ok(())
            }
        }
    }

    /// Says once what is wrong.
    fn complain(&mut self, what: &str) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!(
                "`${VARIABLE}` {what}; a line is like {{\"step\": 1, \"name\": \"loss\", \"value\": 0.5}}; others are passed over"
            );
        }
    }
}

/// A metric. Python writes numbers that are not finite as bare words, which JSON does not know.
fn parse(line: &[u8]) -> Option<Line> {
    let line = std::str::from_utf8(line).ok()?;
    let parsed = serde_json::from_str(line).ok().or_else(|| {
        let quoted = ["NaN", "Infinity", "-Infinity"]
            .iter()
            .fold(line.to_owned(), |line, word| line.replace(&format!(": {word}"), &format!(": \"{word}\"")));
        serde_json::from_str(&quoted).ok()
    });
    parsed.filter(|line: &Line| {
        text::is_line(&line.name) && (1..=LONGEST_NAME).contains(&line.name.chars().count())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_metric() {
        let value = |line: &str| parse(line.as_bytes()).map(|line| (line.step, line.name, line.value));
        assert_eq!(value(r#"{"step": 3, "name": "loss", "value": 1}"#), Some((3, "loss".into(), 1.0)));
        assert_eq!(value(r#"{"name":"a b","value":-2.5e-3,"step":0}"#), Some((0, "a b".into(), -2.5e-3)));
        let (_, _, nan) = value(r#"{"step": 3, "name": "loss", "value": NaN}"#).unwrap();
        assert!(nan.is_nan());
        let infinite = value(r#"{"step": 3, "name": "loss", "value": -Infinity}"#).unwrap();
        assert_eq!(infinite.2, f64::NEG_INFINITY);
        for wrong in [
            "loss 0.5",
            "{}",
            r#"{"step": -1, "name": "loss", "value": 1}"#,
            r#"{"step": 1, "name": "", "value": 1}"#,
            r#"{"step": 1, "name": "a\u0007", "value": 1}"#,
            r#"{"step": 1, "name": "loss", "value": "high"}"#,
            r#"{"step": 1, "name": "loss", "value": 1, "more": 2}"#,
        ] {
            assert!(value(wrong).is_none(), "{wrong}");
        }
    }
}
