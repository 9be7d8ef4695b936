//! Memory limits: what a task's processes hold, looked at a few times a second.

use crate::command::processes::{self, Process};
use std::fs;
use std::time::Duration;

/// How often the memory of tasks with a limit is looked at.
pub const INTERVAL: Duration = Duration::from_millis(200);

/// What a worker, the command that it runs in `group`, and all that these started hold, if it is more than `limit`.
pub fn beyond(limit: u64, all: &[Process], worker: i32, group: Option<i32>) -> Option<u64> {
    let family = processes::family(all, worker, group);
    let resident: u64 = family.iter().map(|id| processes::resident(*id)).sum();
    if resident <= limit {
        return None;
    }
    // Pages that the processes share were counted once for each of them: only now is it worth to tell them apart.
    let fair =
        family.iter().map(|id| processes::proportional(*id).unwrap_or_else(|| processes::resident(*id)));
    Some(fair.sum()).filter(|sum| *sum > limit)
}

/// The memory of this machine in bytes; without limit where it cannot be told.
pub fn of_machine() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map_or(u64::MAX, |kib| kib * 1024)
}

/// A number of bytes as a person reads it: `512 MiB`, `1.2 GiB`.
pub fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1023.95 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let text = format!("{value:.1}");
    format!("{} {}", text.strip_suffix(".0").unwrap_or(&text), units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_well() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1 << 30), "1 GiB");
        assert_eq!(bytes((1 << 30) - 1), "1 GiB");
        assert_eq!(bytes(1_288_490_189), "1.2 GiB");
    }
}
