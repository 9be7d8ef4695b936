//! Importance sampling of the step t (Nichol and Dhariwal 2021, section 3.3): `p_t ∝ √E[L_t²]` over the last ten losses of each
//! step, uniform until every step has ten.

use onsager_numerics::random::Stream;
use serde::{Deserialize, Serialize};

/// The losses that each step is remembered by.
const REMEMBERED: usize = 10;

/// The last losses of each step. It is part of a training's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Losses", into = "Losses")]
pub struct Importance {
    /// For t = 1 … T, the oldest first.
    last: Vec<Vec<f64>>,
    /// The cumulative probabilities, once every step has its losses.
    cumulative: Option<Vec<f64>>,
}

/// What is kept of it in a checkpoint.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Losses(Vec<Vec<f64>>);

impl From<Losses> for Importance {
    fn from(Losses(last): Losses) -> Importance {
        let mut importance = Importance { last, cumulative: None };
        importance.refresh();
        importance
    }
}

impl From<Importance> for Losses {
    fn from(importance: Importance) -> Losses {
        Losses(importance.last)
    }
}

impl Importance {
    /// Nothing is known of T = `timesteps` steps.
    pub fn new(timesteps: usize) -> Importance {
        Importance { last: vec![Vec::new(); timesteps], cumulative: None }
    }

    /// Adds losses L_t, in order, and brings the probabilities up to date.
    pub fn record(&mut self, terms: impl IntoIterator<Item = (usize, f64)>) {
        for (t, loss) in terms {
            let last = &mut self.last[t - 1];
            if last.len() == REMEMBERED {
                last.remove(0);
            }
            last.push(loss);
        }
        self.refresh();
    }

    fn refresh(&mut self) {
        self.cumulative = self.last.iter().all(|last| last.len() == REMEMBERED).then(|| {
            let square = |&loss: &f64| loss * loss;
            let mut sum = 0.0;
            let sums = self.last.iter().map(|last| {
                // The floor keeps every step possible when its losses vanish.
                sum += (last.iter().map(square).sum::<f64>() / REMEMBERED as f64).sqrt().max(1e-12);
                sum
            });
            sums.collect()
        });
    }

    /// A step t and the weight 1/(T p_t) that makes up for its probability.
    pub fn draw(&self, stream: &mut Stream) -> (usize, f64) {
        let timesteps = self.last.len();
        let Some(cumulative) = &self.cumulative else {
            return (1 + stream.below(timesteps as u64) as usize, 1.0);
        };
        let total = cumulative[timesteps - 1];
        let at = stream.uniform() * total;
        let i = cumulative.partition_point(|&c| c <= at).min(timesteps - 1);
        let own = cumulative[i] - if i > 0 { cumulative[i - 1] } else { 0.0 };
        (i + 1, total / (timesteps as f64 * own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onsager_numerics::random::Streams;

    /// Uniform until every step has ten losses; then p_t ∝ √E[L²], weighted means are unbiased, and only the last ten count.
    /// Tolerances: 4.5 standard errors of 20,000 draws.
    #[test]
    fn probabilities_follow_the_losses() {
        let mut importance = Importance::new(4);
        let streams = Streams::new(1, "importance");
        importance.record((0..39).map(|i| (1 + i % 4, 100.0)));
        assert!((0..50).all(|i| importance.draw(&mut streams.stream(i)).1 == 1.0));
        importance.record((0..40).map(|i| (1 + i % 4, (1 + i % 4) as f64)));
        let saved: Importance = serde_json::from_str(&serde_json::to_string(&importance).unwrap()).unwrap();
        assert_eq!(saved, importance);
        let (mut counts, mut weighted) = ([0.0; 4], 0.0);
        for i in 0..20_000 {
            let (t, weight) = importance.draw(&mut streams.stream(i));
            counts[t - 1] += 1.0;
            assert!((weight - 10.0 / (4.0 * t as f64)).abs() < 1e-12);
            weighted += weight * (t * t) as f64 / 20_000.0;
        }
        for (i, count) in counts.iter().enumerate() {
            let p = (i + 1) as f64 / 10.0;
            assert!((count / 20_000.0 - p).abs() < 4.5 * (p * (1.0 - p) / 20_000.0).sqrt());
        }
        // E t² over uniform steps is 7.5; the weighted value is 2.5 t, of variance 6.25.
        assert!((weighted - 7.5).abs() < 4.5 * (6.25f64 / 20_000.0).sqrt(), "{weighted}");
    }
}
