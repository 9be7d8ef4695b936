//! Writes the fingerprint of every stage kind: the digest of the sources and of the crates that it is built from.
//! What enters and why: `docs/hashing.md`.

#[path = "build/closure.rs"]
mod closure;
#[path = "build/crates.rs"]
mod crates;

use closure::{Closure, Tree, hex};
use crates::Crates;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    if let Err(error) = write_fingerprints() {
        println!("cargo::error=no fingerprints: {error}");
    }
}

fn write_fingerprints() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    for watched in ["build.rs", "build", "src", "data", "Cargo.toml", "Cargo.lock"] {
        // Cargo takes a watched file that does not exist for a changed one.
        if root.join(watched).exists() {
            println!("cargo::rerun-if-changed={watched}");
        }
    }
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let lock = fs::read_to_string(root.join("Cargo.lock")).ok();
    let crates = Crates::read(&manifest, lock.as_deref())?;
    let tree = Tree::read(&root, &env::var("CARGO_PKG_NAME")?)?;

    let mut text = String::from("pub const FINGERPRINTS: &[Fingerprint] = &[\n");
    for (kind, file) in tree.kinds() {
        text += &fingerprint(&kind, &tree.closure(&file)?, &crates)?;
    }
    text += "];\n";
    let path = Path::new(&env::var("OUT_DIR")?).join("fingerprints.rs");
    Ok(fs::write(path, text)?)
}

/// One entry of the list, as Rust code.
fn fingerprint(kind: &str, closure: &Closure, crates: &Crates) -> Result<String, std::fmt::Error> {
    let named = closure.externs.iter().filter_map(|ident| crates.get(ident));
    // By name: two identifiers can mean one crate.
    let crates: BTreeMap<_, _> = named.map(|named| (named.name.clone(), named.digest.clone())).collect();

    let mut hash = Sha256::new();
    let mut feed = |part: &str| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    feed("onsager fingerprint 1");
    feed(kind);
    for (tag, parts) in [("file", &closure.files), ("crate", &crates)] {
        for (name, digest) in parts {
            [tag, name, digest].into_iter().for_each(&mut feed);
        }
    }
    let mut text = String::new();
    writeln!(text, "    Fingerprint {{\n        kind: {kind:?},\n        digest: {:?},", hex(hash))?;
    for (field, parts) in [("files", &closure.files), ("crates", &crates)] {
        writeln!(text, "        {field}: &[")?;
        for (name, digest) in parts {
            writeln!(text, "            Part {{ name: {name:?}, digest: {digest:?} }},")?;
        }
        writeln!(text, "        ],")?;
    }
    writeln!(text, "    }},")?;
    Ok(text)
}
