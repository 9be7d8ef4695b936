//! TensorBoard's event files: records with their lengths and checksums, each a message of the type `Event` of its protocol buffers.

use std::io::{self, Write};

/// An event file that is written.
#[derive(Debug)]
pub struct EventFile<W> {
    out: W,
}

impl<W: Write> EventFile<W> {
    /// Begins the file; `time` is in seconds since 1970.
    pub fn new(out: W, time: f64) -> io::Result<EventFile<W>> {
        let mut file = EventFile { out };
        let mut event = event(time, 0);
        bytes(&mut event, 3, b"brain.Event:2");
        file.record(&event)?;
        Ok(file)
    }

    /// A point of the curve `tag`. The format has single precision.
    pub fn scalar(&mut self, tag: &str, time: f64, step: u64, value: f64) -> io::Result<()> {
        let mut scalar = Vec::new();
        bytes(&mut scalar, 1, tag.as_bytes());
        field(&mut scalar, 2, FIXED_32);
        scalar.extend((value as f32).to_le_bytes());
        let mut summary = Vec::new();
        bytes(&mut summary, 1, &scalar);
        let mut event = event(time, step);
        bytes(&mut event, 5, &summary);
        self.record(&event)
    }

    /// Takes back all that was written from this step on.
    pub fn restart(&mut self, time: f64, step: u64) -> io::Result<()> {
        const START: u64 = 1;
        let mut session = Vec::new();
        field(&mut session, 1, VARINT);
        varint(&mut session, START);
        let mut event = event(time, step);
        bytes(&mut event, 7, &session);
        self.record(&event)
    }

    /// Ends the file.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    /// Hands on what was written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn record(&mut self, message: &[u8]) -> io::Result<()> {
        let length = (message.len() as u64).to_le_bytes();
        let record = [&length, &masked(&length)[..], message, &masked(message)[..]].concat();
        self.out.write_all(&record)
    }
}

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

/// An event with its time and step.
fn event(time: f64, step: u64) -> Vec<u8> {
    let mut event = Vec::with_capacity(64);
    field(&mut event, 1, FIXED_64);
    event.extend(time.to_le_bytes());
    field(&mut event, 2, VARINT);
    varint(&mut event, step);
    event
}

fn field(out: &mut Vec<u8>, number: u64, kind: u64) {
    varint(out, number << 3 | kind);
}

fn bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    field(out, number, BYTES);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The checksum of a part of a record: CRC-32C, masked so that no sum is one of other sums.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// CRC-32 with the polynomial of Castagnoli.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let (mut sum, mut bit) = (i as u32, 0);
            while bit < 8 {
                sum = if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
                bit += 1;
            }
            table[i] = sum;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |sum, byte| sum >> 8 ^ TABLE[usize::from(sum as u8 ^ byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of the algorithm, and a record as TensorFlow writes it.
    #[test]
    fn sums_and_records() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let mut file = EventFile::new(Vec::new(), 1.5).unwrap();
        file.scalar("loss", 2.0, 300, 0.25).unwrap();
        let out = file.finish().unwrap();
        // Length, its sum, time, step 0, `brain.Event:2`, and the sum of these.
        assert_eq!(&out[..8], &26u64.to_le_bytes());
        assert_eq!(&out[12..26], &b"\x09\0\0\0\0\0\0\xf8\x3f\x10\0\x1a\x0dbrain.Event:2"[..14]);
        let second = &out[12 + 26 + 4..];
        assert_eq!(&second[..8], &27u64.to_le_bytes());
        assert_eq!(
            &second[12..39],
            b"\x09\0\0\0\0\0\0\0\x40\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\0\0\x80\x3e"
        );
        assert_eq!(out.len(), 12 + 26 + 4 + 12 + 27 + 4);
    }
}
