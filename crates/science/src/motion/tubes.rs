//! Tubes: sample paths drawn around the least-action path, to be thickened to a width δ.

use onsager_numerics::random::Streams;

/// A sample path z with the ends of the least-action path f, as offsets (z_i − f_i)/σ, i = 0 … N; both ends are zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Tube {
    pub offsets: Vec<f64>,
}

/// The number of sine modes of a sample path.
const MODES: usize = 4;
/// The usual standard deviation of the first mode's amplitude in units of σ; that of mode n is n times smaller.
pub const AMPLITUDE: f64 = 1.5;

impl Tube {
    /// Sample path `index` of this family: `z_i = f_i + Σ_{n=1..4} a_n sin(n π i / N)`, a_n ~ N(0, (`amplitude` σ / n)²).
    pub fn sample(streams: &Streams, index: u64, steps: usize, amplitude: f64) -> Tube {
        let mut stream = streams.stream(index);
        let amplitudes: [f64; MODES] = std::array::from_fn(|n| amplitude * stream.normal() / (n + 1) as f64);
        let offset = |i: usize| -> f64 {
            if i == 0 || i == steps {
                return 0.0;
            }
            let phase = std::f64::consts::PI * i as f64 / steps as f64;
            amplitudes.iter().enumerate().map(|(n, a)| a * libm::sin((n + 1) as f64 * phase)).sum()
        };
        Tube { offsets: (0..=steps).map(offset).collect() }
    }

    /// The first `count` sample paths of the usual amplitude, of `steps` steps each.
    pub fn sample_many(streams: &Streams, count: usize, steps: usize) -> Vec<Tube> {
        Tube::sample_range(streams, count, steps, [AMPLITUDE; 2])
    }

    /// `count` sample paths whose amplitudes go from the first of `amplitudes` to the last, evenly in their squares: so the
    /// logarithms of their probabilities are spread evenly.
    pub fn sample_range(streams: &Streams, count: usize, steps: usize, amplitudes: [f64; 2]) -> Vec<Tube> {
        let [first, last] = amplitudes;
        let amplitude = |index: usize| -> f64 {
            if first == last || index == 0 {
                return first;
            }
            let part = index as f64 / (count - 1) as f64;
            (first * first + part * (last * last - first * first)).sqrt()
        };
        (0..count).map(|index| Tube::sample(streams, index as u64, steps, amplitude(index))).collect()
    }

    /// The sample path z itself, around the least-action path f.
    pub fn path(&self, least: &[f64], sigma: f64) -> Vec<f64> {
        least.iter().zip(&self.offsets).map(|(f, offset)| f + sigma * offset).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E Σ (Δz)²/2 of the four modes is 4 · ½ · 1.5² · (N/2)(π/N)² up to the discreteness of the sine:
    /// the exact sum is N/2 (2 sin(nπ/2N))² a_n² /2 over n. The mean of 4,000 tubes has a relative error of √(1/2/4000).
    #[test]
    fn mean_kinetic_energy() {
        let (count, steps) = (4000, 10);
        let tubes = Tube::sample_many(&Streams::new(1, "tubes"), count, steps);
        let kinetic = |tube: &Tube| -> f64 {
            tube.offsets.windows(2).map(|z| 0.5 * (z[1] - z[0]) * (z[1] - z[0])).sum()
        };
        let mean = tubes.iter().map(kinetic).sum::<f64>() / count as f64;
        let exact: f64 = (1..=4)
            .map(|n| {
                let (n, steps) = (f64::from(n), steps as f64);
                let step = 2.0 * libm::sin(n * std::f64::consts::PI / (2.0 * steps));
                0.5 * (1.5 / n) * (1.5 / n) * 0.5 * steps * step * step
            })
            .sum();
        assert!((mean / exact - 1.0).abs() < 4.5 * (0.5 / count as f64).sqrt(), "{mean} {exact}");
        assert!(tubes.iter().all(|tube| tube.offsets[0] == 0.0 && tube.offsets[steps] == 0.0));
    }

    /// The draws of a tube are those of the usual amplitude, scaled: 1 for the first, √(1 + (k/4) 99) up to 10 for the last.
    #[test]
    fn amplitudes_grow_evenly_in_their_squares() {
        let streams = Streams::new(1, "tubes");
        let unit = Tube::sample_range(&streams, 5, 10, [1.0; 2]);
        let grown = Tube::sample_range(&streams, 5, 10, [1.0, 10.0]);
        for (k, (unit, grown)) in unit.iter().zip(&grown).enumerate() {
            let factor = (1.0 + k as f64 / 4.0 * 99.0).sqrt();
            for (a, b) in unit.offsets.iter().zip(&grown.offsets) {
                assert!((factor * a - b).abs() < 1e-13);
            }
        }
    }
}
