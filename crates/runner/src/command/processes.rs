//! The processes of this machine, as `/proc` tells of them: who started whom, and how much memory each holds. Where there is no
//! `/proc`, there are none.

use std::collections::HashSet;
use std::fs;

/// A process at the moment when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pub id: i32,
    pub parent: i32,
    pub group: i32,
}

/// Every process.
pub fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    // One that has ended in between is no loss.
    ids.filter_map(|id| parse(id, &fs::read_to_string(format!("/proc/{id}/stat")).ok()?)).collect()
}

/// `12 (name) S 1 12 …`: the name may hold anything, so what counts comes behind the last parenthesis.
fn parse(id: i32, stat: &str) -> Option<Process> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(1);
    let parent = fields.next()?.parse().ok()?;
    Some(Process { id, parent, group: fields.next()?.parse().ok()? })
}

/// The process `root`, all that descend from it, and the members of a process group.
pub fn family(all: &[Process], root: i32, group: Option<i32>) -> Vec<i32> {
    let mut family = vec![root];
    let mut known: HashSet<i32> = family.iter().copied().collect();
    let mut add = |family: &mut Vec<i32>, is_of: &dyn Fn(&Process) -> bool| {
        let found = all.iter().filter(|process| is_of(process)).map(|process| process.id);
        family.extend(found.filter(|id| known.insert(*id)));
    };
    add(&mut family, &|process| Some(process.group) == group);
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        add(&mut family, &|process| process.parent == parent);
        next += 1;
    }
    family
}

/// Whether this process was started so that it outlives its terminal, as `nohup` does it.
pub fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // SIGHUP is signal 1, and so the lowest bit.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// The memory that a process holds, in bytes: every page that it has in RAM.
pub fn resident(id: i32) -> u64 {
    field(&fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default(), "VmRSS:").unwrap_or(0)
}

/// Its fair share: pages that several processes have count in parts. Costly, and not every process may be asked.
pub fn proportional(id: i32) -> Option<u64> {
    field(&fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?, "Pss:")
}

/// A line like `VmRSS:   1024 kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_anything() {
        let process = Process { id: 12, parent: 3, group: 4 };
        assert_eq!(parse(12, "12 (a) b (c) S 3 4 5 0"), Some(process));
    }

    #[test]
    fn a_family_is_descendants_and_group() {
        let process = |id, parent, group| Process { id, parent, group };
        let all = [process(9, 8, 9), process(2, 1, 1), process(3, 2, 3), process(4, 3, 4), process(8, 5, 7)];
        assert_eq!(family(&all, 2, None), [2, 3, 4]);
        assert_eq!(family(&all, 2, Some(7)), [2, 8, 3, 9, 4]);
    }
}
