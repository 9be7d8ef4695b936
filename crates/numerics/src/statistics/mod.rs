//! Statistics in `f64` with `libm`, so that the bits are the same on every system.

mod distributions;
mod estimated;
mod intervals;
mod moments;
mod significance;
mod special;

pub use distributions::{
    NORMAL_QUANTILE, chi_square_cdf, chi_square_quantile, normal_cdf, normal_quantile, student_cdf,
    student_quantile,
};
pub use estimated::{Estimated, holm, mean_interval};
pub use intervals::{Interval, bootstrap_interval, wilson};
pub use moments::{deviation, mean, pearson, quantile, standard_error, variance};
pub use significance::kolmogorov_smirnov;
pub use special::{incomplete_beta, incomplete_gamma};

#[cfg(test)]
fn close(found: f64, wanted: f64, tolerance: f64) {
    assert!((found - wanted).abs() <= tolerance * wanted.abs().max(1.0), "{found} instead of {wanted}");
}
