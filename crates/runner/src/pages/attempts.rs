//! What attempts came to, in words.

use crate::run::account::{Attempt, Standing, TaskAccount};
use crate::words::{count, duration, plural, size};

/// The attempts of a task, each with the word for how it ended.
pub fn of(task: &TaskAccount) -> impl Iterator<Item = (&Attempt, &'static str)> {
    let last = task.attempts.len().saturating_sub(1);
    task.attempts.iter().enumerate().map(move |(number, attempt)| {
        let outcome = match (attempt.ended, &attempt.message, task.standing) {
            (None, ..) => "running",
            (Some(_), Some(_), _) => "failed",
            (Some(_), None, Standing::Executed) if number == last => "executed",
            (Some(_), None, _) => "interrupted",
        };
        (attempt, outcome)
    })
}

/// What an attempt waited for when its inputs were there, in seconds.
pub fn waits(attempt: &Attempt) -> Vec<(&'static str, f64)> {
    let waited = attempt.waited.unwrap_or_default();
    let job = attempt.job.as_ref().map_or(0.0, |job| job.queued);
    let all = [
        ("another run that had its key", waited.lock),
        ("a place of a pool", waited.pool),
        ("room beside the others", waited.threads),
        ("its job", job),
    ];
    // Less is the time that the run itself takes.
    all.into_iter().filter(|(_, seconds)| *seconds >= 0.05).collect()
}

/// How long an attempt took, in seconds; none while it goes on.
pub fn seconds(attempt: &Attempt) -> Option<f64> {
    let ended = attempt.ended?;
    Some((ended.as_millisecond() - attempt.started.as_millisecond()) as f64 / 1000.0)
}

/// An attempt in a sentence.
pub fn words(attempt: &Attempt, outcome: &str) -> String {
    let host = attempt.job.as_ref().map(|job| job.node.as_str()).filter(|node| !node.is_empty());
    let host = host.unwrap_or(&attempt.host);
    let mut text = format!("{outcome} on {host}, {}", plural(attempt.threads, "thread"));
    if let Some(job) = &attempt.job {
        text += &format!(", job {}", job.job);
    }
    if let Some(seconds) = seconds(attempt) {
        text += &format!(", {}", duration(seconds));
    }
    if let Some(usage) = &attempt.usage {
        text += &format!(", {} of CPU time, {} of memory", duration(usage.cpu), size(usage.memory));
    }
    for (what, seconds) in waits(attempt) {
        text += &format!("; waited {} for {what}", duration(seconds));
    }
    if let Some(step) = attempt.resumed {
        text += &format!("; went on from the checkpoint after step {}", count(step));
    }
    if let Some((_, step)) = attempt.checkpoints.last() {
        let checkpoints = plural(attempt.checkpoints.len(), "checkpoint");
        text += &format!("; {checkpoints}, the last after step {}", count(*step));
    }
    if let Some(message) = &attempt.message {
        text += &format!("; {message}");
    }
    if let Some(pause) = attempt.wait {
        text += &format!("; the next try came after {}", duration(pause));
    }
    text
}
