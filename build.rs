//! Writes the fingerprint of every stage kind: the digest of the sources and of the crates that it is built from.

fn main() {
    onsager_fingerprint::write()
}
