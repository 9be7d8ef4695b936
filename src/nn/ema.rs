//! The exponential moving average of the weights, which is what a trained model is sampled with.

/// Moves `average` towards `values`: at update `step` (from 1) with decay min(`decay`, (1 + step)/(10 +
/// step)), so that the random beginning is soon forgotten.
pub fn update(average: &mut [Vec<f32>], values: &[Vec<f32>], decay: f64, step: u64) {
    let keep = decay.min((1.0 + step as f64) / (10.0 + step as f64)) as f32;
    for (average, values) in average.iter_mut().zip(values) {
        for (average, x) in average.iter_mut().zip(values) {
            *average = keep * *average + (1.0 - keep) * x;
        }
    }
}
