//! Writes the fingerprint of the kind `command`.

fn main() {
    onsager_fingerprint::write()
}
