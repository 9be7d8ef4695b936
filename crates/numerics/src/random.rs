//! Counter-based random streams (Philox 4x32-10: Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, SC 2011).
//!
//! A number is a function of (seed, purpose, index, position): no shared state, so the same numbers come out for any
//! number of threads or shards, and a resumed run goes on where it stopped. Every step, from the counter to the normal
//! number, is branch-free arithmetic without fused multiply-adds, so the compiler can run it in vector lanes and the bits
//! are the same on every machine and at every kernel level.

use crate::kernel::Level;
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
    #[inline(always)]
    pub fn words(&self, index: u64, block: u64) -> [u64; 2] {
        words(self.key, index, block)
    }

    /// The normal numbers 2 `block` and 2 `block` + 1 of the [`LANES`] streams from `index` on: lane i holds what
    /// [`Stream::normal`] gives at these positions of stream `index + i`. Call it from a function that enables the
    /// vector instructions of the level.
    #[inline(always)]
    pub fn normal_lanes(&self, index: u64, block: u64, first: &mut [f64; LANES], second: &mut [f64; LANES]) {
        for i in 0..LANES {
            let [a, b] = words(self.key, index.wrapping_add(i as u64), block);
            (first[i], second[i]) = box_muller(a, b);
        }
    }
}

/// The number of streams, or blocks of one stream, that are computed together.
pub const LANES: usize = 32;

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

    /// Fills `out` with standard normal numbers, rounded to `f32`: the same as as many calls of [`Stream::normal`].
    pub fn fill_normal(&mut self, out: &mut [f32]) {
        let mut pairs = [[0.0; 2]; LANES];
        let mut rest = out;
        while self.word.is_none() && self.normal.is_none() && rest.len() >= 2 * LANES {
            normal_blocks(Level::current(), self.key, self.index, self.block, &mut pairs);
            self.block += LANES as u64;
            let (now, later) = rest.split_at_mut(2 * LANES);
            for (x, normal) in now.iter_mut().zip(pairs.as_flattened()) {
                *x = *normal as f32;
            }
            rest = later;
        }
        for x in rest {
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

/// The pairs of normals of [`LANES`] blocks of one stream, with the instructions of a level that this machine can run.
fn normal_blocks(level: Level, key: [u32; 2], index: u64, block: u64, out: &mut [[f64; 2]; LANES]) {
    #[inline(always)]
    fn run(key: [u32; 2], index: u64, block: u64, out: &mut [[f64; 2]; LANES]) {
        for (i, pair) in out.iter_mut().enumerate() {
            let [a, b] = words(key, index, block.wrapping_add(i as u64));
            let (first, second) = box_muller(a, b);
            *pair = [first, second];
        }
    }
    debug_assert!(level.check().is_ok());
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn avx2(key: [u32; 2], index: u64, block: u64, out: &mut [[f64; 2]; LANES]) {
            run(key, index, block, out);
        }
        #[target_feature(enable = "avx512f")]
        fn avx512(key: [u32; 2], index: u64, block: u64, out: &mut [[f64; 2]; LANES]) {
            run(key, index, block, out);
        }
        match level {
            // SAFETY: the caller gives a level that this machine was found to run.
            Level::Avx512 => return unsafe { avx512(key, index, block, out) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(key, index, block, out) },
            Level::Portable => {}
        }
    }
    run(key, index, block, out);
}

/// The two 64-bit words of a block.
#[inline(always)]
fn words(key: [u32; 2], index: u64, block: u64) -> [u64; 2] {
    let [a, b, c, d] = philox([block & LOW, block >> 32, index & LOW, index >> 32], key);
    [a | b << 32, c | d << 32]
}

/// Maps 64 bits to the open interval (0, 1): (k + 1/2) 2^-52 with k the upper 52 bits, exactly.
#[inline(always)]
fn open_unit(bits: u64) -> f64 {
    const BELOW_ONE: f64 = 1.0 - 1.0 / (1u64 << 53) as f64;
    f64::from_bits(bits >> 12 | ONE) - BELOW_ONE
}

/// Two independent standard normals from 128 bits (Box and Muller 1958).
#[inline(always)]
fn box_muller(a: u64, b: u64) -> (f64, f64) {
    let radius = (-2.0 * ln_unit(open_unit(a))).sqrt();
    let (sin, cos) = sin_cos_turn(open_unit(b));
    (radius * cos, radius * sin)
}

const LOW: u64 = 0xFFFF_FFFF;
/// The bits of 1.0.
const ONE: u64 = 0x3FF0_0000_0000_0000;

/// The natural logarithm of a normal number, to a few units in the last place: u = 2^e m with m between √½ and √2, and
/// ln m = 2 artanh((m − 1)/(m + 1)) by its series.
#[inline(always)]
fn ln_unit(u: f64) -> f64 {
    const SQRT_HALF: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
    const TWO_52: f64 = (1u64 << 52) as f64;
    // ln 2 in two parts, the first with 20 trailing zero bits, so that e times it is exact.
    const LN_2_HIGH: f64 = f64::from_bits(std::f64::consts::LN_2.to_bits() & !0xF_FFFF);
    const LN_2_LOW: f64 = (std::f64::consts::LN_2 - LN_2_HIGH) + 2.319_046_813_846_299_6e-17;
    let bits = u.to_bits() + (ONE - SQRT_HALF);
    let exponent = f64::from_bits(bits >> 52 | TWO_52.to_bits()) - (TWO_52 + 1023.0);
    let m = f64::from_bits((bits & 0x000F_FFFF_FFFF_FFFF) + SQRT_HALF);
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let mut series = 2.0 / 23.0;
    series = series * z + 2.0 / 21.0;
    series = series * z + 2.0 / 19.0;
    series = series * z + 2.0 / 17.0;
    series = series * z + 2.0 / 15.0;
    series = series * z + 2.0 / 13.0;
    series = series * z + 2.0 / 11.0;
    series = series * z + 2.0 / 9.0;
    series = series * z + 2.0 / 7.0;
    series = series * z + 2.0 / 5.0;
    series = series * z + 2.0 / 3.0;
    exponent * LN_2_HIGH + (2.0 * s + (s * (z * series) + exponent * LN_2_LOW))
}

/// Sine and cosine of v turns, |v| below 2^48: reduced exactly to an eighth of a turn on either side of a quarter, then by
/// their Taylor series.
#[inline(always)]
pub fn sin_cos_turn(v: f64) -> (f64, f64) {
    // Adding 1.5 · 2^52 rounds to an integer, which stands in the lowest bits.
    const ROUND: f64 = 1.5 * (1u64 << 52) as f64;
    let rounded = 4.0 * v + ROUND;
    let quarter = rounded.to_bits();
    let x = (v - 0.25 * (rounded - ROUND)) * std::f64::consts::TAU;
    let z = x * x;
    let mut series = -1.0 / 1_307_674_368_000.0;
    series = series * z + 1.0 / 6_227_020_800.0;
    series = series * z - 1.0 / 39_916_800.0;
    series = series * z + 1.0 / 362_880.0;
    series = series * z - 1.0 / 5_040.0;
    series = series * z + 1.0 / 120.0;
    series = series * z - 1.0 / 6.0;
    let sin = x + x * (z * series);
    let mut series = 1.0 / 20_922_789_888_000.0;
    series = series * z - 1.0 / 87_178_291_200.0;
    series = series * z + 1.0 / 479_001_600.0;
    series = series * z - 1.0 / 3_628_800.0;
    series = series * z + 1.0 / 40_320.0;
    series = series * z - 1.0 / 720.0;
    series = series * z + 1.0 / 24.0;
    let cos = 1.0 - (0.5 * z - z * z * series);
    let odd = quarter & 1 == 1;
    let (s, c) = if odd { (cos, sin) } else { (sin, cos) };
    let flip = |x: f64, sign: u64| f64::from_bits(x.to_bits() ^ (sign & 2) << 62);
    (flip(s, quarter), flip(c, quarter.wrapping_add(1)))
}

/// Ten rounds of Philox 4x32; each 64-bit word holds a 32-bit one, the form that vector multiplication takes.
#[inline(always)]
fn philox(mut counter: [u64; 4], key: [u32; 2]) -> [u64; 4] {
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        let a = (counter[0] & LOW) * 0xD251_1F53;
        let b = (counter[2] & LOW) * 0xCD9E_8D57;
        counter =
            [b >> 32 ^ counter[1] ^ u64::from(k0), b & LOW, a >> 32 ^ counter[3] ^ u64::from(k1), a & LOW];
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
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
        assert_eq!(philox([LOW; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }

    /// Against libm, which is right to one unit in the last place; the sine and the cosine also at their zeros.
    #[test]
    fn logarithm_and_circle_are_accurate() {
        let mut stream = Streams::new(3, "accuracy").stream(0);
        let edges = [0, u64::MAX, 1 << 63, (1 << 63) - 1, 1 << 62, 3 << 62, 1 << 61, 0xB504_F333_F9DE_6484];
        for bits in edges.into_iter().chain((0..200_000).map(|_| stream.bits())) {
            // The second number reaches deep into the small ones.
            for u in [open_unit(bits), open_unit(bits >> (bits & 31))] {
                let exact = libm::log(u);
                assert!((ln_unit(u) - exact).abs() <= 4e-16 * exact.abs(), "ln {u}");
                let (sin, cos) = sin_cos_turn(u);
                let (exact_sin, exact_cos) = libm::sincos(std::f64::consts::TAU * u);
                // The argument of libm's is rounded, ours is not: 2π · 2^-53.
                assert!((sin - exact_sin).abs() <= 1.2e-15 && (cos - exact_cos).abs() <= 1.2e-15, "turn {u}");
                assert!((sin * sin + cos * cos - 1.0).abs() <= 1e-15);
            }
        }
    }

    /// The largest radius, and that no input gives a number that is not finite.
    #[test]
    fn tails_reach_beyond_eight_sigma() {
        let (first, second) = box_muller(0, 0);
        assert!(first > 8.5 && second.is_finite());
        assert!(box_muller(u64::MAX, u64::MAX).0.abs() < 1e-7);
    }

    /// Every level that this machine can run gives the same bits.
    #[test]
    fn levels_agree() {
        let stream = Streams::new(6, "levels").stream(3);
        let pairs = |level| {
            let mut pairs = [[0.0; 2]; LANES];
            normal_blocks(level, stream.key, stream.index, 77, &mut pairs);
            pairs.map(|pair| pair.map(f64::to_bits))
        };
        for level in [Level::Avx2, Level::Avx512].into_iter().filter(|level| level.check().is_ok()) {
            assert_eq!(pairs(level), pairs(Level::Portable), "{level}");
        }
    }

    /// Lanes over streams, lanes over blocks and one by one: the same bits.
    #[test]
    fn lanes_agree_with_single_numbers() {
        let streams = Streams::new(5, "lanes");
        let (mut first, mut second) = ([0.0; LANES], [0.0; LANES]);
        for block in 0..3u64 {
            streams.normal_lanes(u64::from(u32::MAX) - 3, block, &mut first, &mut second);
            for i in 0..LANES {
                let mut stream = streams.stream(u64::from(u32::MAX) - 3 + i as u64);
                (0..2 * block).for_each(|_| _ = stream.normal());
                assert_eq!((first[i].to_bits(), second[i].to_bits()), {
                    (stream.normal().to_bits(), stream.normal().to_bits())
                });
            }
        }
        for skipped in 0..4 {
            let (mut filled, mut single) = (streams.stream(9), streams.stream(9));
            (0..skipped).for_each(|_| assert_eq!(filled.normal(), single.normal()));
            let mut out = [0.0; 333];
            filled.fill_normal(&mut out);
            assert!(out.iter().all(|x| x.to_bits() == (single.normal() as f32).to_bits()));
            assert_eq!(filled.bits(), single.bits());
        }
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
