//! What a file is, by its first bytes: objects have no names of their own.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// How much of a file is looked at to tell what it is.
const HEAD: u64 = 4 << 10;
/// The names of tensors take no more than this.
const TENSORS: u64 = 16 << 20;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// With its media type.
    Image(&'static str),
    Parquet,
    Safetensors,
    Gzip,
    Pdf,
    Html,
    Text,
    Binary,
}

/// What the file at a path is.
pub fn sort(path: &Path) -> io::Result<Sort> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    Ok(of(&head))
}

fn of(head: &[u8]) -> Sort {
    let starts = |with: &[u8]| head.starts_with(with);
    let image =
        [(&b"\x89PNG\r\n\x1a\n"[..], "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif")];
    if let Some((_, kind)) = image.iter().find(|(magic, _)| starts(magic)) {
        return Sort::Image(kind);
    }
    if starts(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        return Sort::Image("image/webp");
    }
    if starts(b"PAR1") {
        return Sort::Parquet;
    }
    if starts(&[0x1f, 0x8b]) {
        return Sort::Gzip;
    }
    if starts(b"%PDF-") {
        return Sort::Pdf;
    }
    if let Some(length) = header_length(head)
        && length <= TENSORS
        && head.get(8) == Some(&b'{')
    {
        return Sort::Safetensors;
    }
    let Some(text) = as_text(head) else { return Sort::Binary };
    let text = text.trim_start_matches('\u{feff}').trim_start().to_lowercase();
    if text.starts_with("<svg") || (text.starts_with("<?xml") && text.contains("<svg")) {
        return Sort::Image("image/svg+xml");
    }
    if text.starts_with("<!doctype html") || text.starts_with("<html") {
        return Sort::Html;
    }
    Sort::Text
}

/// The text, if it is one; its last character may be cut off.
fn as_text(bytes: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    // Colours and progress bars are part of logs.
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{1b}' | '\u{8}' | '\u{c}');
    (!text.chars().any(odd)).then_some(text)
}

fn header_length(head: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(head.get(..8)?.try_into().ok()?))
}

/// A tensor of a safetensors file: its name, type and shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    pub name: String,
    pub kind: String,
    pub shape: Vec<u64>,
}

/// The tensors that the head of a safetensors file names, and its notes.
pub fn tensors(path: &Path) -> io::Result<(Vec<Tensor>, Vec<(String, String)>)> {
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > TENSORS {
        return Err(io::Error::other("its head is too long"));
    }
    let mut head = Vec::new();
    file.take(length).read_to_end(&mut head)?;
    let head: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&head)?;
    let (mut tensors, mut notes) = (Vec::new(), Vec::new());
    for (name, value) in head {
        if name == "__metadata__" {
            let texts = value.as_object().into_iter().flatten();
            notes.extend(
                texts.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())),
            );
            continue;
        }
        let kind = value["dtype"].as_str().unwrap_or_default().to_owned();
        let shape =
            value["shape"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64).collect();
        tensors.push(Tensor { name, kind, shape });
    }
    Ok((tensors, notes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_what_its_first_bytes_say() {
        for (head, expected) in [
            (&b"\x89PNG\r\n\x1a\n...."[..], Sort::Image("image/png")),
            (b"<?xml version=\"1.0\"?>\n<SVG xmlns=\"\">", Sort::Image("image/svg+xml")),
            (b"  <svg>", Sort::Image("image/svg+xml")),
            (b"<!DOCTYPE html><svg>", Sort::Html),
            (b"PAR1\x15\x04", Sort::Parquet),
            (b"a,b\n1,2\n", Sort::Text),
            ("caf\u{e9}".as_bytes().split_last().unwrap().1, Sort::Text),
            (b"a\0b", Sort::Binary),
            (b"\xff\xfe", Sort::Binary),
            (b"", Sort::Text),
            (b"\x40\0\0\0\0\0\0\0{\"w\":", Sort::Safetensors),
            (b"\x40\0\0\0\0\0\0\x40{\"w\":", Sort::Binary),
        ] {
            assert_eq!(of(head), expected, "{head:?}");
        }
    }

    #[test]
    fn the_head_of_a_file_of_tensors_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let head =
            br#"{"__metadata__":{"step":"7"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#;
        fs::write(&path, [&(head.len() as u64).to_le_bytes()[..], head, &[0; 24]].concat()).unwrap();
        assert_eq!(sort(&path).unwrap(), Sort::Safetensors);
        let (tensors, notes) = tensors(&path).unwrap();
        assert_eq!(tensors, [Tensor { name: "w".into(), kind: "F32".into(), shape: vec![2, 3] }]);
        assert_eq!(notes, [("step".to_owned(), "7".to_owned())]);
        fs::write(&path, [&u64::MAX.to_le_bytes()[..], b"{"].concat()).unwrap();
        assert!(super::tensors(&path).is_err());
    }
}
