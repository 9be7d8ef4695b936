//! The sinusoidal embedding of time (Vaswani 2017; Ho 2020).

/// cos and sin of `time`·10000^(−i/half) for i below half = `width`/2: [n, width], row-major. Times run from 0 to 1000,
/// whatever the number of steps. `width` is even.
pub fn time_embedding(times: &[f32], width: usize) -> Vec<f32> {
    let half = width / 2;
    let frequencies = frequencies(half);
    let mut out = Vec::with_capacity(times.len() * width);
    for &time in times {
        out.extend(frequencies.iter().map(|f| libm::cos(f * f64::from(time)) as f32));
        out.extend(frequencies.iter().map(|f| libm::sin(f * f64::from(time)) as f32));
    }
    out
}

/// The rate of [`time_embedding`] when time passes at `rate`.
pub fn time_embedding_rate(times: &[f32], rate: f64, width: usize) -> Vec<f32> {
    let half = width / 2;
    let frequencies = frequencies(half);
    let mut out = Vec::with_capacity(times.len() * width);
    for &time in times {
        let time = f64::from(time);
        out.extend(frequencies.iter().map(|f| (-libm::sin(f * time) * f * rate) as f32));
        out.extend(frequencies.iter().map(|f| (libm::cos(f * time) * f * rate) as f32));
    }
    out
}

fn frequencies(half: usize) -> Vec<f64> {
    (0..half).map(|i| libm::exp(-libm::log(10_000.0) * i as f64 / half as f64)).collect()
}
