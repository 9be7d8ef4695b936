//! The fingerprint of a kind: one digest over everything that it is built from, and the list behind it.

use crate::crates::Crates;
use crate::digest::{feed, hex, of_bytes};
use crate::error::Error;
use crate::features::Features;
use crate::tree::Tree;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};

/// The code of one stage kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The kind's name: `random-motion`.
    pub kind: String,
    /// The digest of the kind's name and of all parts.
    pub digest: String,
    /// The source and data files by name, each with its digest.
    pub files: BTreeMap<String, String>,
    /// The external crates by name and version, and the features that the files ask about, each with its digest.
    pub crates: BTreeMap<String, String>,
}

impl Fingerprint {
    /// The fingerprint of the kind that stands in this file.
    pub(crate) fn of(
        kind: &str,
        file: &str,
        tree: &Tree,
        crates: &Crates,
        features: &Features,
    ) -> Result<Fingerprint, Error> {
        let closure = tree.closure(file)?;
        let named = closure.externs.iter().filter_map(|named| crates.get(&named.package, &named.ident));
        // By name: two identifiers can mean one crate.
        let named = named.map(|(name, digest)| (name.to_owned(), digest.to_owned()));
        let on = closure.features.iter().filter(|(package, feature)| {
            let at = tree.packages.all.iter().position(|other| other.name == *package);
            at.is_some_and(|at| features.is_on(at, feature))
        });
        let on = on.map(|(package, feature)| {
            let name = format!("{package}/{feature}");
            let digest = of_bytes(name.as_bytes());
            (name, digest)
        });
        let crates: BTreeMap<String, String> = named.chain(on).collect();

        let mut hash = Sha256::new();
        feed(&mut hash, "onsager fingerprint 1");
        feed(&mut hash, kind);
        for (tag, parts) in [("file", &closure.files), ("crate", &crates)] {
            for (name, digest) in parts {
                [tag, name, digest].into_iter().for_each(|text| feed(&mut hash, text));
            }
        }
        Ok(Fingerprint { kind: kind.to_owned(), digest: hex(hash), files: closure.files, crates })
    }
}

/// One entry of the list, as Rust code.
impl Display for Fingerprint {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "    Fingerprint {{\n        kind: {:?},\n        digest: {:?},",
            self.kind, self.digest
        )?;
        for (field, parts) in [("files", &self.files), ("crates", &self.crates)] {
            writeln!(f, "        {field}: &[")?;
            for (name, digest) in parts {
                writeln!(f, "            Part {{ name: {name:?}, digest: {digest:?} }},")?;
            }
            writeln!(f, "        ],")?;
        }
        writeln!(f, "    }},")
    }
}
