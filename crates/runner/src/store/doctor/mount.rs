//! What the system says of the file system that a folder is on.

use schemars::JsonSchema;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Mount {
    /// `ext4`, `nfs4`, `lustre`.
    pub kind: String,
    /// Where it is mounted.
    pub at: String,
    /// Those of its options that have to do with locks and with what one machine sees of another's writes.
    pub options: Vec<String>,
}

/// The options that matter.
const TELLING: [&str; 10] = [
    "local_lock",
    "nolock",
    "lock",
    "flock",
    "localflock",
    "noflock",
    "nobarrier",
    "soft",
    "actimeo",
    "vers",
];

/// Of the folder, which is there.
pub fn of(folder: &Path) -> Option<Mount> {
    let folder = fs::canonicalize(folder).ok()?;
    parse(&fs::read_to_string("/proc/self/mountinfo").ok()?, &folder)
}

/// The last mount on the way to the folder: `36 35 98:0 /root /at opts shared:1 - kind source options`.
fn parse(text: &str, folder: &Path) -> Option<Mount> {
    let mut best: Option<(usize, Mount)> = None;
    for line in text.lines() {
        let Some((own, system)) = line.split_once(" - ") else { continue };
        let (Some(at), Some(kind)) = (own.split(' ').nth(4), system.split(' ').next()) else { continue };
        let path = PathBuf::from(unescape(at));
        let depth = path.components().count();
        if !folder.starts_with(&path) || best.as_ref().is_some_and(|(deepest, _)| *deepest > depth) {
            continue;
        }
        let options = system.split(' ').nth(2).unwrap_or("").split(',');
        let telling = |option: &&str| TELLING.contains(&option.split('=').next().unwrap_or(""));
        let options = options.filter(telling).map(str::to_owned).collect();
        best = Some((depth, Mount { kind: kind.to_owned(), at: path.display().to_string(), options }));
    }
    best.map(|(_, mount)| mount)
}

/// Blanks stand as `\040`.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (written, meant)| text.replace(written, meant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_counts() {
        let text = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                    40 21 0:50 / /home\\040all rw shared:1 - nfs4 server:/home rw,vers=4.2,local_lock=none,addr=1\n\
                    41 21 0:51 / /home\\040all/scratch rw - lustre mgs:/s rw,localflock\n";
        let kind = |folder: &str| parse(text, Path::new(folder)).unwrap();
        assert_eq!(kind("/tmp").kind, "ext4");
        let home = kind("/home all/me");
        assert_eq!((home.kind.as_str(), home.at.as_str()), ("nfs4", "/home all"));
        assert_eq!(home.options, ["vers=4.2", "local_lock=none"]);
        assert_eq!(kind("/home all/scratch/x").options, ["localflock"]);
    }
}
