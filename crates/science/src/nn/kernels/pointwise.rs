//! Loops over single numbers: SiLU, biases, and the exponential they share.
//!
//! They are compiled once for each kernel level and use no fused operation, so every level gives the same bits.

use super::buffer::Buffer;
use super::gemm::PANEL;

/// Compiles a function for each kernel level and calls the one of this process.
macro_rules! vectorised {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$doc])*
        $vis fn $name($($arg: $type),*) {
            #[inline(always)]
            fn body($($arg: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f")]
                fn avx512($($arg: $type),*) {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $type),*) {
                    body($($arg),*)
                }
                match onsager_numerics::kernel::Level::current() {
                    // SAFETY: `Level::current` is at most what the machine can run.
                    onsager_numerics::kernel::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    onsager_numerics::kernel::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    onsager_numerics::kernel::Level::Portable => {}
                }
            }
            body($($arg),*)
        }
    };
}
pub(crate) use vectorised;

/// e^x to about 2 units in the last place, saturating beyond ±87 (Cephes `expf`: Cody–Waite reduction, degree
/// 5).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding 1.5·2^23 rounds to an integer in every vector unit alike.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 87.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let power = f32::from_bits((rounded.to_bits().wrapping_add(127) & 0xff) << 23);
    (p * r * r + r + 1.0) * power
}

/// 1/(1 + e^−x); zero below −40, where it is less than 5e-18. There its products with gradients would come to be subnormal,
/// which takes processors a hundred times as long.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let s = 1.0 / (1.0 + exp(-x));
    if x < -40.0 { 0.0 } else { s }
}

/// Zero in place of a subnormal number, where a mean that decays by a factor each step would stay for ever.
#[inline(always)]
pub fn without_subnormal(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0 } else { x }
}

vectorised! {
    fn silu_values(x: &[f32], out: &mut [f32]) {
        for (out, &x) in out.iter_mut().zip(x) {
            *out = x * sigmoid(x);
        }
    }
}

vectorised! {
    /// y = silu(x), and the slope of SiLU in place of x: all that its reverse pass needs.
    pub fn silu_and_slope(x: &mut [f32], y: &mut [f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            let s = sigmoid(*x);
            *y = *x * s;
            *x = s * (1.0 + *x * (1.0 - s));
        }
    }
}

vectorised! {
    /// From dy = dL/d silu(x) to dL/dx, in place.
    pub fn silu_gradient(x: &[f32], dy: &mut [f32]) {
        for (dy, &x) in dy.iter_mut().zip(x) {
            let s = sigmoid(x);
            *dy *= s * (1.0 + x * (1.0 - s));
        }
    }
}

vectorised! {
    /// Adds a bias to rows of `width` numbers: one row of it to all, or row g to the g-th of equal runs of
    /// rows.
    pub fn add_bias(rows: &mut [f32], bias: &[f32], width: usize) {
        let run = rows.len() / (bias.len() / width);
        for (rows, bias) in rows.chunks_exact_mut(run).zip(bias.chunks_exact(width)) {
            for row in rows.chunks_exact_mut(width) {
                for (x, b) in row.iter_mut().zip(bias) {
                    *x += b;
                }
            }
        }
    }
}

vectorised! {
    /// The gradient of [`add_bias`]: adds to `out`, of one or more rows of `width` numbers, the sums of as many equal runs
    /// of rows.
    pub fn add_row_sums(rows: &[f32], width: usize, out: &mut [f32]) {
        let run = rows.len() / (out.len() / width);
        for (rows, sum) in rows.chunks_exact(run).zip(out.chunks_exact_mut(width)) {
            for row in rows.chunks_exact(width) {
                for (s, x) in sum.iter_mut().zip(row) {
                    *s += x;
                }
            }
        }
    }
}

vectorised! {
    /// x += y.
    pub fn add_assign(x: &mut [f32], y: &[f32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x += y;
        }
    }
}

vectorised! {
    /// x *= y.
    pub fn multiply_assign(x: &mut [f32], y: &[f32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x *= y;
        }
    }
}

vectorised! {
    /// x *= y for rows of `width` numbers, with what a layer needs of the result as its dy in the same pass: the sums over
    /// the rows, added to `sums`, and a copy in packed panels (as `rows_to_panels` makes it).
    pub fn multiply_into_panels(x: &mut [f32], y: &[f32], width: usize, sums: &mut [f32], panels: &mut [f32]) {
        let rows = x.len() / width;
        for (p, (panel, sums)) in panels.chunks_exact_mut(rows * PANEL).zip(sums.chunks_mut(PANEL)).enumerate() {
            let columns = p * PANEL..p * PANEL + sums.len();
            let x = x.chunks_exact_mut(width).map(|x| &mut x[columns.clone()]);
            let y = y.chunks_exact(width).map(|y| &y[columns.clone()]);
            // Columns of a panel's number, known in advance, stay in registers.
            let mut sum = [0.0; PANEL];
            sum[..sums.len()].copy_from_slice(sums);
            for ((x, y), line) in x.zip(y).zip(panel.as_chunks_mut::<PANEL>().0) {
                if x.len() == PANEL {
                    multiply_line(&mut x[..PANEL], &y[..PANEL], &mut sum, line);
                } else {
                    line.fill(0.0);
                    multiply_line(x, y, &mut sum, line);
                }
            }
            sums.copy_from_slice(&sum[..sums.len()]);
        }
    }
}

#[inline(always)]
fn multiply_line(x: &mut [f32], y: &[f32], sums: &mut [f32], line: &mut [f32]) {
    for (((x, y), sum), out) in x.iter_mut().zip(y).zip(sums).zip(line) {
        *x *= y;
        *sum += *x;
        *out = *x;
    }
}

/// x · sigmoid(x), element by element (Elfwing 2017; 'swish').
pub fn silu(x: &[f32]) -> Buffer {
    let mut y = Buffer::stale(x.len());
    silu_values(x, &mut y);
    y
}

#[cfg(test)]
mod tests {
    use super::super::gemm::{panels_len, rows_to_panels};
    use super::*;
    use crate::nn::gradient_check::check;

    #[test]
    fn gradients() {
        check(
            0.01,
            &[20],
            |a| silu(&a[0]).to_vec(),
            |a, dy| {
                let mut dx = dy.to_vec();
                silu_gradient(&a[0], &mut dx);
                let (mut slope, mut y, mut same) = (a[0].clone(), vec![0.0; 20], dy.to_vec());
                silu_and_slope(&mut slope, &mut y);
                multiply_assign(&mut same, &slope);
                assert_eq!((&y[..], &same), (&silu(&a[0])[..], &dx));
                vec![dx]
            },
        );
        let biased = |a: &[Vec<f32>]| {
            let mut y = a[0].clone();
            add_bias(&mut y, &a[1], 3);
            y
        };
        check(0.01, &[36, 6], biased, |_, dy| {
            let mut db = vec![0.0; 6];
            add_row_sums(dy, 3, &mut db);
            vec![dy.to_vec(), db]
        });
    }

    /// One pass is the same as three, for a whole panel and a part of one.
    #[test]
    fn multiplied_into_panels() {
        let (rows, width) = (3, 40);
        let number = |i: usize| (i as f32).sin();
        let mut x: Vec<f32> = (0..rows * width).map(number).collect();
        let y: Vec<f32> = (0..rows * width).map(|i| number(i + 7)).collect();
        let (mut product, mut sums) = (x.clone(), vec![0.5; width]);
        let mut panels = vec![1.0; panels_len(rows, width)];
        let (mut same, mut same_panels) = (sums.clone(), panels.clone());
        multiply_into_panels(&mut product, &y, width, &mut sums, &mut panels);
        multiply_assign(&mut x, &y);
        add_row_sums(&x, width, &mut same);
        rows_to_panels(&x, width, &mut same_panels);
        assert_eq!((product, sums, panels), (x, same, same_panels));
    }

    #[test]
    fn exp_is_accurate() {
        let mut worst = 0.0f64;
        for i in -86_000..=86_000 {
            let x = i as f32 * 1e-3;
            worst = worst.max((f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs());
        }
        assert!(worst < 2.5 * f64::from(f32::EPSILON), "{worst}");
        assert!(exp(-1000.0) > 0.0 && exp(1000.0).is_finite());
    }

    #[test]
    fn silu_vanishes_far_below_zero() {
        let (mut slope, mut y) = (vec![-39.9, -40.1, -1e30, 40.1], vec![0.0; 4]);
        silu_and_slope(&mut slope, &mut y);
        assert!(y[0] < 0.0 && slope[0] < 0.0);
        assert_eq!((&y[1..], &slope[1..]), (&[0.0, 0.0, 40.1][..], &[0.0, 0.0, 1.0][..]));
    }
}
