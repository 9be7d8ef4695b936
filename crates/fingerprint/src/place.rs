//! Where a source file stands in the modules of its crate.

use crate::manifest::Package;
use std::path::Path;

/// The folders in which each file, and each folder with a `main.rs`, is a crate of its own.
const PROGRAMS: [&str; 2] = ["bin", "examples"];

/// The place of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// What `self` means in it: the folder of its crate, then the modules.
    pub module: Vec<String>,
    /// The module by which other files name it; nothing for a program beside a library.
    pub known_as: Option<Vec<String>>,
    /// Whether a crate begins here.
    pub is_root: bool,
}

impl Place {
    /// The place of the file `inner` of a package: `src/motion/tubes.rs`, `src/main.rs`, `examples/dice/main.rs`.
    pub fn of(package: &Package, inner: &str) -> Place {
        let space = space(package, inner);
        let path = inner.strip_prefix(&format!("{space}/")).unwrap_or(inner);
        let root = vec![format!("{}{space}", package.prefix)];
        let stem = path.trim_end_matches(".rs");
        let mut module = root.clone();
        module.extend(stem.strip_suffix("/mod").unwrap_or(stem).split('/').map(str::to_owned));

        let is_library = inner == package.library;
        let is_main = path == "main.rs";
        let is_program = is_main || is_programs(package, &space) && !path.contains('/');
        let known_as = match (is_library, is_main) {
            (true, _) => Some(root.clone()),
            (_, true) if space == package.sources() && package.folder.join(&package.library).is_file() => {
                None
            }
            (_, true) => Some(root.clone()),
            // `mod dice;` in another program beside it.
            _ => Some(module.clone()),
        };
        let is_root = is_library || is_program;
        Place { module: if is_root { root } else { module }, known_as, is_root }
    }
}

/// The folder below which the modules of the file's crate lie.
fn space(package: &Package, inner: &str) -> String {
    let sources = package.sources();
    for programs in [format!("{sources}/bin"), "examples".to_owned()] {
        let Some(rest) = inner.strip_prefix(&format!("{programs}/")) else { continue };
        if let Some((folder, _)) = rest.split_once('/') {
            let own = format!("{programs}/{folder}");
            if package.folder.join(Path::new(&own)).join("main.rs").is_file() {
                return own;
            }
        }
        return programs;
    }
    sources.to_owned()
}

/// Whether each file in this folder is a program.
fn is_programs(package: &Package, space: &str) -> bool {
    let folder = space.strip_prefix(&format!("{}/", package.sources())).unwrap_or(space);
    PROGRAMS.contains(&folder)
}
