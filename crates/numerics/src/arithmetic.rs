//! Small powers as explicit products: `powi` leaves the order of its factors to the compiler.

/// x².
pub fn square(x: f64) -> f64 {
    x * x
}
