//! What a classifier of real images says about generated ones.

use onsager_numerics::statistics::mean;

/// The class probabilities of some items.
#[derive(Debug, Clone, PartialEq)]
pub struct Probabilities {
    values: Vec<f64>,
    classes: usize,
}

impl Probabilities {
    /// The softmax of logits [N, classes], `classes` ≥ 1.
    pub fn from_logits(logits: &[f32], classes: usize) -> Probabilities {
        let mut values = Vec::with_capacity(logits.len());
        for row in logits.chunks_exact(classes) {
            let largest = row.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
            let weights: Vec<f64> =
                row.iter().map(|&l| libm::exp(f64::from(l) - f64::from(largest))).collect();
            let sum: f64 = weights.iter().sum();
            values.extend(weights.iter().map(|weight| weight / sum));
        }
        Probabilities { values, classes }
    }

    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.classes)
    }

    /// The most probable class of each item; the first of equals.
    pub fn predictions(&self) -> Vec<u32> {
        let best = |row: &[f64]| (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best });
        self.rows().map(|row| best(row) as u32).collect()
    }

    /// For each item 1 if the most probable class is the intended one, else 0.
    pub fn correct(&self, intended: &[u32]) -> Vec<f64> {
        self.predictions().iter().zip(intended).map(|(a, b)| if a == b { 1.0 } else { 0.0 }).collect()
    }

    /// The entropy of each item's probabilities, in nats: how undecided the classifier is.
    pub fn entropies(&self) -> Vec<f64> {
        self.rows().map(entropy).collect()
    }

    /// The entropy of the predicted classes' frequencies, in nats: ln(classes) where all are equally frequent.
    pub fn class_entropy(&self) -> f64 {
        let predictions = self.predictions();
        let mut counts = vec![0.0; self.classes];
        for &class in &predictions {
            counts[class as usize] += 1.0 / predictions.len() as f64;
        }
        entropy(&counts)
    }

    /// The mean probability of each class.
    pub fn marginal(&self) -> Vec<f64> {
        (0..self.classes).map(|class| mean(&self.rows().map(|row| row[class]).collect::<Vec<_>>())).collect()
    }

    /// The Kullback–Leibler divergence KL(marginal ‖ marginal of `reference`), in nats.
    pub fn marginal_divergence(&self, reference: &Probabilities) -> f64 {
        let terms = self.marginal().into_iter().zip(reference.marginal());
        terms.filter(|(p, _)| *p > 0.0).map(|(p, q)| p * libm::log(p / q)).sum()
    }
}

/// −Σ p ln p, in nats.
fn entropy(probabilities: &[f64]) -> f64 {
    -probabilities.iter().filter(|p| **p > 0.0).map(|p| p * libm::log(*p)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three items of two classes with odds 1:3, 1:1 and e^1000:1.
    #[test]
    fn by_hand() {
        let logits = [0.0, 3f32.ln(), 5.0, 5.0, 1000.0, 0.0];
        let p = Probabilities::from_logits(&logits, 2);
        let close = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-7, "{found} {wanted}");
        assert_eq!(p.predictions(), [1, 0, 0]);
        assert_eq!(p.correct(&[1, 1, 0]), [1.0, 0.0, 1.0]);
        let (third, ln2) = (1f64 / 3.0, 2f64.ln());
        close(p.entropies()[0], 2.0 * ln2 - 0.75 * 3f64.ln());
        close(p.entropies()[1], ln2);
        assert_eq!(p.entropies()[2], 0.0);
        close(p.class_entropy(), 3f64.ln() - 2.0 * third * ln2);
        close(p.marginal()[0], 1.75 / 3.0);
        let even = Probabilities::from_logits(&[0.0, 0.0], 2);
        let a = 1.75f64 / 3.0;
        close(p.marginal_divergence(&even), a * (2.0 * a).ln() + (1.0 - a) * (2.0 - 2.0 * a).ln());
        close(p.marginal_divergence(&p), 0.0);
    }
}
