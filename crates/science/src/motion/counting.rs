//! Tube probabilities by counting: every particle is simulated once and tested against all tubes.
//!
//! A grid index makes the test cheap: for each step and each of 256 cells of the offset there is a bit set of the tubes
//! that reach into the cell. The sets along a particle's path are intersected, and only the tubes that remain are tested
//! exactly, so the index cannot change a count. Particle p uses stream p, and counts are integers: they do not depend
//! on the number of threads, the order, or where the range of particles is split.

use super::tubes::Tube;
use onsager_numerics::kernel::Level;
use onsager_numerics::random::{LANES, Streams};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Particles whose paths went where.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Particles simulated.
    pub particles: u64,
    /// Particles whose last step ends within δ/2 of b.
    pub arrived: u64,
    /// Particles within each tube, in the order of the tubes.
    pub tubes: Vec<u64>,
}

impl Counts {
    /// No particles yet.
    pub fn zero(tubes: usize) -> Counts {
        Counts { tubes: vec![0; tubes], ..Counts::default() }
    }

    /// The counts of both.
    pub fn merge(mut self, other: &Counts) -> Counts {
        self.particles += other.particles;
        self.arrived += other.arrived;
        self.tubes.iter_mut().zip(&other.tubes).for_each(|(a, b)| *a += b);
        self
    }
}

/// Counts particles in tubes of one width.
#[derive(Debug, Clone)]
pub struct Counter {
    streams: Streams,
    steps: usize,
    half: f64,
    /// Offsets of the tubes at steps 1 … N, tube after tube.
    centres: Vec<f64>,
    tubes: usize,
    /// The grid: cell = (offset − origin) · inverse, rounded.
    origin: f64,
    inverse: f64,
    /// For each group of 128 tubes and each step, the set of each cell.
    index: Vec<[u128; CELLS]>,
}

const CELLS: usize = 256;
/// The tubes of one bit set.
const GROUP: usize = u128::BITS as usize;
/// The particles of one piece of parallel work.
const CHUNK: u64 = 1 << 15;

/// The path of [`LANES`] particles: offsets and cells, step by step.
struct Paths {
    offsets: Vec<[f64; LANES]>,
    cells: Vec<[u64; LANES]>,
}

impl Counter {
    /// A counter of particles of these streams in `tubes`, all of the same number of steps, of width δ = `width` σ.
    pub fn new(streams: Streams, tubes: &[Tube], width: f64) -> Counter {
        let steps = tubes.first().map_or(1, |tube| tube.offsets.len() - 1);
        let half = 0.5 * width;
        let centres: Vec<f64> =
            tubes.iter().flat_map(|tube| tube.offsets[1..=steps].iter().copied()).collect();
        let low = centres.iter().fold(0.0f64, |low, &z| low.min(z)) - half;
        let high = centres.iter().fold(0.0f64, |high, &z| high.max(z)) + half;
        // Two cells on either side stay empty, for what is outside of every tube; all sets are one cell too wide.
        let inverse = (CELLS - 7) as f64 / (high - low);
        let origin = low - 3.0 / inverse;
        let mut index = vec![[0; CELLS]; tubes.len().div_ceil(GROUP) * steps];
        for (k, centres) in centres.chunks_exact(steps).enumerate() {
            for (i, &z) in centres.iter().enumerate() {
                let first = cell(z - half, origin, inverse) as usize - 1;
                let last = cell(z + half, origin, inverse) as usize + 1;
                for set in &mut index[k / GROUP * steps + i][first..=last] {
                    *set |= 1 << (k % GROUP);
                }
            }
        }
        Counter { streams, steps, half, centres, tubes: tubes.len(), origin, inverse, index }
    }

    /// Counts these particles, on all threads of the current pool.
    pub fn count(&self, particles: Range<u64>) -> Counts {
        let chunks = (particles.end.saturating_sub(particles.start)).div_ceil(CHUNK);
        (0..chunks)
            .into_par_iter()
            .fold(
                || (self.paths(), Counts::zero(self.tubes)),
                |(mut paths, mut counts), chunk| {
                    let start = particles.start + chunk * CHUNK;
                    self.count_chunk(start..particles.end.min(start + CHUNK), &mut paths, &mut counts);
                    (paths, counts)
                },
            )
            .map(|(_, counts)| counts)
            .reduce(|| Counts::zero(self.tubes), |left, right| left.merge(&right))
    }

    fn paths(&self) -> Paths {
        let steps = self.steps + self.steps % 2;
        Paths { offsets: vec![[0.0; LANES]; steps], cells: vec![[0; LANES]; steps] }
    }

    fn count_chunk(&self, particles: Range<u64>, paths: &mut Paths, counts: &mut Counts) {
        let mut start = particles.start;
        while start < particles.end {
            let lanes = (particles.end - start).min(LANES as u64) as usize;
            self.simulate(start, paths);
            counts.particles += lanes as u64;
            let last = &paths.offsets[self.steps - 1][..lanes];
            counts.arrived += last.iter().filter(|w| w.abs() <= self.half).count() as u64;
            for (group, index) in self.index.chunks_exact(self.steps).enumerate() {
                let mut sets = [u128::MAX; LANES];
                for (index, cells) in index.iter().zip(&paths.cells) {
                    for (set, &cell) in sets.iter_mut().zip(cells) {
                        *set &= index[cell as usize % CELLS];
                    }
                }
                for (lane, mut set) in sets.into_iter().enumerate().take(lanes) {
                    while set != 0 {
                        let tube = group * GROUP + set.trailing_zeros() as usize;
                        set &= set - 1;
                        counts.tubes[tube] += u64::from(self.within(tube, lane, paths));
                    }
                }
            }
            start += lanes as u64;
        }
    }

    /// The exact test of one particle against one tube.
    fn within(&self, tube: usize, lane: usize, paths: &Paths) -> bool {
        let centres = &self.centres[tube * self.steps..(tube + 1) * self.steps];
        centres.iter().zip(&paths.offsets).all(|(z, w)| (w[lane] - z).abs() <= self.half)
    }

    /// Simulates [`LANES`] particles from `start` on, with the vector instructions of the current level; the bits are the
    /// same at every level.
    fn simulate(&self, start: u64, paths: &mut Paths) {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2")]
            fn avx2(counter: &Counter, start: u64, paths: &mut Paths) {
                counter.simulate_lanes(start, paths);
            }
            #[target_feature(enable = "avx512f")]
            fn avx512(counter: &Counter, start: u64, paths: &mut Paths) {
                counter.simulate_lanes(start, paths);
            }
            match Level::current() {
                // SAFETY: the current level is one that this machine was found to run.
                Level::Avx512 => return unsafe { avx512(self, start, paths) },
                // SAFETY: as above.
                Level::Avx2 => return unsafe { avx2(self, start, paths) },
                Level::Portable => {}
            }
        }
        self.simulate_lanes(start, paths);
    }

    #[inline(always)]
    fn simulate_lanes(&self, start: u64, paths: &mut Paths) {
        let (mut first, mut second) = ([0.0; LANES], [0.0; LANES]);
        let mut offset = [0.0; LANES];
        let pairs = paths.offsets.chunks_exact_mut(2).zip(paths.cells.chunks_exact_mut(2));
        for (block, (offsets, cells)) in pairs.enumerate() {
            self.streams.normal_lanes(start, block as u64, &mut first, &mut second);
            for (step, normals) in [&first, &second].into_iter().enumerate() {
                for i in 0..LANES {
                    offset[i] += normals[i];
                    offsets[step][i] = offset[i];
                    cells[step][i] = cell(offset[i], self.origin, self.inverse);
                }
            }
        }
    }
}

/// The grid cell of an offset; what lies beyond the grid falls in its outermost cells.
#[inline(always)]
fn cell(offset: f64, origin: f64, inverse: f64) -> u64 {
    // Adding 2^52 rounds to an integer, which stands in the lowest bits: the conversion that every vector unit has.
    const TWO_52: f64 = (1u64 << 52) as f64;
    let position = ((offset - origin) * inverse).max(0.0).min((CELLS - 1) as f64);
    (position + TWO_52).to_bits() & (CELLS as u64 - 1)
}

/// The offset (x − f)/σ of particle `particle` at steps 0 … N: the path that [`Counter`] counts.
pub fn particle_path(streams: &Streams, particle: u64, steps: usize) -> Vec<f64> {
    let mut stream = streams.stream(particle);
    let mut offset = 0.0;
    let mut path = vec![0.0];
    path.extend((0..steps).map(|_| {
        offset += stream.normal();
        offset
    }));
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::quadrature::{Quadrature, arrival_probability};
    use onsager_numerics::statistics::{Interval, wilson};

    fn tubes(count: usize, steps: usize) -> Vec<Tube> {
        Tube::sample_many(&Streams::new(11, "tubes"), count, steps)
    }

    /// The index and the lanes against the definition, particle by particle: the same counts, for an odd and an even number
    /// of steps, tubes in one group and in several, and a range that is no multiple of the lanes.
    #[test]
    fn agrees_with_the_definition() {
        let streams = Streams::new(4, "particles");
        for (count, steps, width) in [(3, 5, 2.0), (130, 4, 3.0), (300, 10, 6.0)] {
            let tubes = tubes(count, steps);
            let particles = 17..20_017;
            let mut direct = Counts::zero(count);
            for particle in particles.clone() {
                let path = particle_path(&streams, particle, steps);
                let within = |z: f64, w: f64| (w - z).abs() <= 0.5 * width;
                direct.particles += 1;
                direct.arrived += u64::from(within(0.0, path[steps]));
                for (k, tube) in tubes.iter().enumerate() {
                    let all = (1..=steps).all(|i| within(tube.offsets[i], path[i]));
                    direct.tubes[k] += u64::from(all);
                }
            }
            assert!(direct.tubes.iter().sum::<u64>() > 50);
            assert_eq!(Counter::new(streams, &tubes, width).count(particles), direct);
        }
    }

    /// The same counts for one and two threads and however the particles are split.
    #[test]
    fn independent_of_threads_and_splits() {
        let counter = Counter::new(Streams::new(4, "particles"), &tubes(100, 10), 2.0);
        let threads = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        let whole = threads(1).install(|| counter.count(0..300_000));
        assert_eq!(threads(2).install(|| counter.count(0..300_000)), whole);
        let split = [0, 1, 70_000, 70_033, 300_000]
            .windows(2)
            .map(|ends| counter.count(ends[0]..ends[1]))
            .fold(Counts::zero(100), |sum, part| sum.merge(&part));
        assert_eq!(split, whole);
    }

    /// Against the exact probabilities. Tubes share particles, hence 88 % where independent intervals would cover 95 %.
    #[test]
    fn agrees_with_quadrature() {
        let (steps, width, particles) = (10, 2.0, 4_000_000);
        let tubes = tubes(100, steps);
        let counts = Counter::new(Streams::new(4, "particles"), &tubes, width).count(0..particles);
        let arrival = arrival_probability(width, steps);
        let z = (counts.arrived as f64 / particles as f64 - arrival)
            / (arrival * (1.0 - arrival) / particles as f64).sqrt();
        assert!(z.abs() < 4.5, "arrived: {z}");
        let quadrature = Quadrature::new(width);
        let (mut covered, mut all) = (0, 0);
        for (tube, &count) in tubes.iter().zip(&counts.tubes) {
            let p = libm::exp(-quadrature.neg_ln_p(tube));
            let expected = p * counts.arrived as f64;
            if expected < 20.0 {
                continue;
            }
            let z = (count as f64 - expected) / (expected * (1.0 - p)).sqrt();
            assert!(z.abs() < 4.5, "{count} of {expected}: {z}");
            let Interval { lower, upper } = wilson(count, counts.arrived);
            covered += i32::from((lower..=upper).contains(&p));
            all += 1;
        }
        assert!(all >= 40, "{all}");
        assert!(f64::from(covered) >= 0.88 * f64::from(all), "{covered} of {all}");
    }
}
