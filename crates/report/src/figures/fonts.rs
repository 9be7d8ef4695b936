//! The fonts that the program carries, compressed: figures need none of the system's.

use flate2::read::GzDecoder;
use std::io::Read;
use std::sync::LazyLock;

static REGULAR: LazyLock<Vec<u8>> =
    LazyLock::new(|| unpacked(include_bytes!("../../assets/dejavu/DejaVuSans.ttf.gz")));
static BOLD: LazyLock<Vec<u8>> =
    LazyLock::new(|| unpacked(include_bytes!("../../assets/dejavu/DejaVuSans-Bold.ttf.gz")));

/// DejaVu Sans, as TrueType.
pub fn regular() -> &'static [u8] {
    &REGULAR
}

/// DejaVu Sans Bold, as TrueType.
pub fn bold() -> &'static [u8] {
    &BOLD
}

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut font = Vec::new();
    // Cannot fail: the bytes are part of the program.
    let _ = GzDecoder::new(packed).read_to_end(&mut font);
    font
}
