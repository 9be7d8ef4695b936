//! Counter-based random streams (Philox 4x32-10: Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, SC 2011).
//!
//! A number is a function of (seed, purpose, index, position): no shared state, so the same numbers come out for any
//! number of threads or shards, and a resumed run goes on where it stopped. Logarithm, sine and cosine come from `libm`,
//! so the bits do not depend on the system's C library.

use sha2::{Digest, Sha256};

/// A family of independent streams, one per index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    key: [u32; 2],
}

impl Streams {
    /// The family of streams of this seed and purpose; different purposes never share numbers.
    pub fn new(seed: u64, purpose: &str) -> Streams {
        let mut hash = Sha256::new();
        hash.update(b"onsager stream\0");
        hash.update(seed.to_le_bytes());
        hash.update(purpose.as_bytes());
        let digest = hash.finalize();
        let word = |i: usize| u32::from_le_bytes([digest[i], digest[i + 1], digest[i + 2], digest[i + 3]]);
        Streams { key: [word(0), word(4)] }
    }

    /// The stream of this index, at its beginning.
    pub fn stream(&self, index: u64) -> Stream {
        Stream { key: self.key, index, block: 0, word: None, normal: None }
    }

    /// The two 64-bit words of block `block` of stream `index`.
    pub fn words(&self, index: u64, block: u64) -> [u64; 2] {
        let counter = [block as u32, (block >> 32) as u32, index as u32, (index >> 32) as u32];
        let [a, b, c, d] = philox(counter, self.key);
        [u64::from(a) | u64::from(b) << 32, u64::from(c) | u64::from(d) << 32]
    }
}

/// One stream of numbers; cheap to make, so make one per particle, image or step.
#[derive(Debug, Clone)]
pub struct Stream {
    key: [u32; 2],
    index: u64,
    block: u64,
    word: Option<u64>,
    normal: Option<f64>,
}

impl Stream {
    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        if let Some(word) = self.word.take() {
            return word;
        }
        let [a, b] = Streams { key: self.key }.words(self.index, self.block);
        self.block += 1;
        self.word = Some(b);
        a
    }

    /// Uniform on the open interval (0, 1): odd multiples of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        open_unit(self.bits())
    }

    /// Uniform on 0, 1, …, n − 1 (n ≥ 1), by Lemire's multiplication with rejection.
    pub fn below(&mut self, n: u64) -> u64 {
        let reject = n.wrapping_neg() % n;
        loop {
            let wide = u128::from(self.bits()) * u128::from(n);
            if wide as u64 >= reject {
                return (wide >> 64) as u64;
            }
        }
    }

    /// A standard normal number (Box–Muller; reaches 8.5 σ).
    pub fn normal(&mut self) -> f64 {
        if let Some(second) = self.normal.take() {
            return second;
        }
        let (first, second) = box_muller(self.bits(), self.bits());
        self.normal = Some(second);
        first
    }

    /// Fills `out` with standard normal numbers, rounded to `f32`.
    pub fn fill_normal(&mut self, out: &mut [f32]) {
        for x in out {
            *x = self.normal() as f32;
        }
    }

    /// Shuffles in place (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

/// Maps 64 bits to the open interval (0, 1).
fn open_unit(bits: u64) -> f64 {
    ((bits >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
}

/// Two independent standard normals from 128 bits.
fn box_muller(a: u64, b: u64) -> (f64, f64) {
    let radius = (-2.0 * libm::log(open_unit(a))).sqrt();
    let (sin, cos) = libm::sincos(std::f64::consts::TAU * open_unit(b));
    (radius * cos, radius * sin)
}

/// Ten rounds of Philox 4x32.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = u64::from(counter[0]) * 0xD251_1F53;
        let b = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known-answer vectors published with the Random123 library.
    #[test]
    fn philox_known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
    }

    /// Moments of 10^6 normals: mean within 4.5/√n, variance within 4.5·√(2/n).
    #[test]
    fn normal_moments() {
        let n = 1_000_000;
        let mut stream = Streams::new(1, "moments").stream(0);
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..n {
            let x = stream.normal();
            sum += x;
            squares += x * x;
        }
        let n = f64::from(n);
        assert!((sum / n).abs() < 4.5 / n.sqrt());
        assert!((squares / n - 1.0).abs() < 4.5 * (2.0 / n).sqrt());
    }

    #[test]
    fn streams_differ_by_seed_purpose_and_index() {
        let first = |seed, purpose, index| Streams::new(seed, purpose).stream(index).bits();
        let all = [first(1, "a", 0), first(2, "a", 0), first(1, "b", 0), first(1, "a", 1)];
        for i in 0..4 {
            for j in 0..i {
                assert_ne!(all[i], all[j]);
            }
        }
    }
}
