//! Densities in the plane. Every point has its own random stream, so a longer set begins with the shorter one.

use super::dataset::Dataset;
use onsager_numerics::random::{Stream, Streams};
use std::f64::consts::PI;

/// A density in the plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toy {
    /// (t cos t, t sin t) with t = 1.5 π (1 + 2u), plus noise 0.5, divided by 6.865.
    SwissRoll,
    /// Gaussians on the grid 2·{-2 … 2}², standard deviation 0.05, divided by 2.828; equal weights, so that the numbers of
    /// points per mode are multinomial. Labelled by the mode.
    Gaussians25,
    /// Two interleaved half circles of radius 1, noise 0.1, centred. Labelled by the half circle.
    TwoMoons,
}

/// The scale of the Swiss roll.
const ROLL: f64 = 6.865;
/// The scale of the 25 Gaussians.
const GRID: f64 = 2.828;

impl Toy {
    /// The name of the data set.
    pub fn name(self) -> &'static str {
        match self {
            Toy::SwissRoll => "swiss-roll",
            Toy::Gaussians25 => "gaussians-25",
            Toy::TwoMoons => "two-moons",
        }
    }

    /// The definition, in words.
    pub fn definition(self) -> &'static str {
        match self {
            Toy::SwissRoll => {
                "(t cos t, t sin t), t = 1.5 pi (1 + 2u), plus noise 0.5, divided by 6.865 (settings of arXiv:2403.11262)"
            }
            Toy::Gaussians25 => {
                "25 Gaussians on 2 {-2..2}^2, standard deviation 0.05, divided by 2.828 (settings of arXiv:2403.11262)"
            }
            Toy::TwoMoons => "two interleaved half circles of radius 1, noise 0.1, centred",
        }
    }

    /// Draws `count` points x [count, 2]; `part` (`train`, `test`) separates sets of the same seed.
    pub fn draw(self, seed: u64, part: &str, count: usize) -> Dataset {
        let streams = Streams::new(seed, &format!("{} {part}", self.name()));
        let gaussians = GaussianMixture::grid25();
        let (mut x, mut y) = (Vec::with_capacity(2 * count), Vec::with_capacity(count));
        for i in 0..count {
            let mut stream = streams.stream(i as u64);
            let (point, class) = match self {
                Toy::SwissRoll => (swiss_roll(&mut stream), 0),
                Toy::Gaussians25 => gaussians.draw(&mut stream),
                Toy::TwoMoons => two_moons(&mut stream),
            };
            x.extend(point.map(|value| value as f32));
            y.push(class as u32);
        }
        let classes = match self {
            Toy::SwissRoll => None,
            Toy::Gaussians25 => Some(25),
            Toy::TwoMoons => Some(2),
        };
        Dataset {
            x,
            shape: vec![count, 2],
            y: classes.map(|_| y),
            name: self.name().to_owned(),
            levels: None,
            classes,
        }
    }
}

fn swiss_roll(stream: &mut Stream) -> [f64; 2] {
    let t = 1.5 * PI * (1.0 + 2.0 * stream.uniform());
    let (sin, cos) = libm::sincos(t);
    [(t * cos + 0.5 * stream.normal()) / ROLL, (t * sin + 0.5 * stream.normal()) / ROLL]
}

fn two_moons(stream: &mut Stream) -> ([f64; 2], usize) {
    let moon = stream.below(2) as usize;
    let (sin, cos) = libm::sincos(PI * stream.uniform());
    let [x, y] = if moon == 0 { [cos, sin] } else { [1.0 - cos, 0.5 - sin] };
    ([x - 0.5 + 0.1 * stream.normal(), y - 0.25 + 0.1 * stream.normal()], moon)
}

/// Isotropic Gaussians in the plane with equal weights and one standard deviation.
#[derive(Debug, Clone)]
pub struct GaussianMixture {
    pub means: Vec<[f64; 2]>,
    pub deviation: f64,
}

impl GaussianMixture {
    /// The 25 Gaussians of [`Toy::Gaussians25`]; mode 5 r + c is at row r (second coordinate) and column c.
    pub fn grid25() -> GaussianMixture {
        let at = |i: i32| f64::from(2 * (i - 2)) / GRID;
        let means = (0..25).map(|mode| [at(mode % 5), at(mode / 5)]).collect();
        GaussianMixture { means, deviation: 0.05 / GRID }
    }

    /// A point and its mode.
    pub fn draw(&self, stream: &mut Stream) -> ([f64; 2], usize) {
        let mode = stream.below(self.means.len() as u64) as usize;
        (self.means[mode].map(|mean| mean + self.deviation * stream.normal()), mode)
    }

    /// The logarithm of the density at `point`.
    pub fn log_density(&self, point: [f64; 2]) -> f64 {
        let variance = self.deviation * self.deviation;
        let exponents = self.means.iter().map(|mean| {
            let (dx, dy) = (point[0] - mean[0], point[1] - mean[1]);
            -(dx * dx + dy * dy) / (2.0 * variance)
        });
        let largest = exponents.clone().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = exponents.map(|exponent| libm::exp(exponent - largest)).sum();
        largest + libm::log(sum / self.means.len() as f64 / (2.0 * PI * variance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts per mode are binomial: each within 4.5 standard deviations, chi-square (24 degrees of freedom) within
    /// 24 ± 4.5·√48, so not exactly equal either. The mean of -log density is the entropy ln 25 + ln(2πe σ²), the modes
    /// being far apart, with variance 1 (half of a χ² with two degrees of freedom).
    #[test]
    fn gaussians_have_multinomial_counts_and_the_right_entropy() {
        let n = 25_000;
        let set = Toy::Gaussians25.draw(3, "train", n);
        let mut counts = [0.0; 25];
        for &mode in set.y.iter().flatten() {
            counts[mode as usize] += 1.0;
        }
        let chi_square: f64 = counts.iter().map(|count: &f64| (count - 1000.0).powi(2) / 1000.0).sum();
        assert!((chi_square - 24.0).abs() < 4.5 * 48f64.sqrt(), "{chi_square}");
        let mixture = GaussianMixture::grid25();
        let nll = (0..n)
            .map(|i| -mixture.log_density([f64::from(set.item(i)[0]), f64::from(set.item(i)[1])]))
            .sum::<f64>()
            / n as f64;
        let entropy = 25f64.ln() + (2.0 * PI * std::f64::consts::E * mixture.deviation.powi(2)).ln();
        assert!((entropy + 2.014).abs() < 1e-3, "{entropy}");
        assert!((nll - entropy).abs() < 4.5 / (n as f64).sqrt(), "{nll} {entropy}");
    }

    /// E r² = E t² + 2·0.25 over 6.865², with E t² = 2.25 π² E(1 + 2u)² = 2.25 π² · 13/3; Var(t²) = 2.25² π⁴ (E(1+2u)⁴ −
    /// (13/3)²) = 2.25² π⁴ (24.2 − 18.78), and the noise adds 4·0.25·E t² + 4·0.25²·... < 5 % more.
    #[test]
    fn the_swiss_roll_has_its_radius() {
        let n = 20_000;
        let set = Toy::SwissRoll.draw(1, "train", n);
        let mean = set.x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / n as f64;
        let expected = (2.25 * PI * PI * 13.0 / 3.0 + 0.5) / ROLL.powi(2);
        let deviation = (2.25 * PI * PI) * (24.2f64 - 169.0 / 9.0).sqrt() * 1.05 / ROLL.powi(2);
        assert!((mean - expected).abs() < 4.5 * deviation / (n as f64).sqrt(), "{mean} {expected}");
    }

    /// Without the noise each point lies on its circle, so the mean squared distance from it is about 0.1² (to first order
    /// in the noise; second order adds 0.1⁴/4). Both means vanish: E cos = 0, E sin = 2/π cancels between the moons.
    #[test]
    fn two_moons_lie_on_their_circles() {
        let n = 20_000;
        let set = Toy::TwoMoons.draw(1, "train", n);
        let (mut off, mut mean) = (0.0, [0.0; 2]);
        for i in 0..n {
            let (x, y) = (f64::from(set.item(i)[0]), f64::from(set.item(i)[1]));
            let side = if set.y.as_ref().is_some_and(|y| y[i] == 0) { [-0.5, -0.25] } else { [0.5, 0.25] };
            off += (((x - side[0]).powi(2) + (y - side[1]).powi(2)).sqrt() - 1.0).powi(2);
            mean = [mean[0] + x, mean[1] + y];
        }
        let n = n as f64;
        assert!((off / n - 0.01).abs() < 0.01 * 4.5 * (2.0 / n).sqrt() + 1e-4);
        assert!(mean.iter().all(|sum| (sum / n).abs() < 4.5 / n.sqrt()));
    }

    #[test]
    fn parts_and_seeds_differ_and_longer_sets_extend_shorter_ones() {
        let toy = Toy::SwissRoll;
        assert_ne!(toy.draw(1, "train", 5).x, toy.draw(1, "test", 5).x);
        assert_ne!(toy.draw(1, "train", 5).x, toy.draw(2, "train", 5).x);
        assert_eq!(toy.draw(1, "train", 5).x, toy.draw(1, "train", 9).x[..10]);
    }
}
