//! The little linear algebra that the Fréchet distance needs, on square matrices in row-major order.

use super::features::{Features, dot};
use rayon::prelude::*;

/// The mean and the unbiased covariance (divisor n − 1) of the rows, `[d]` and `[d, d]`; the covariance of one row is NaN.
pub fn moments(set: &Features) -> (Vec<f64>, Vec<f64>) {
    let (n, d) = (set.count(), set.dimension());
    // One row per feature, so that a covariance is the inner product of two rows.
    let columns: Vec<f64> = (0..d).flat_map(|j| set.rows().map(move |row| row[j])).collect();
    let mean: Vec<f64> = columns.chunks(n).map(|column| column.iter().sum::<f64>() / n as f64).collect();
    let centred: Vec<f64> =
        columns.chunks(n).zip(&mean).flat_map(|(column, m)| column.iter().map(move |v| v - m)).collect();
    let column = |j: usize| &centred[j * n..(j + 1) * n];
    let mut covariance = vec![0.0; d * d];
    covariance.par_chunks_mut(d).enumerate().for_each(|(i, out)| {
        for (j, out) in out.iter_mut().enumerate() {
            let (low, high) = (i.min(j), i.max(j)); // the same sum on both sides of the diagonal
            *out = dot(column(low), column(high)) / (n as f64 - 1.0);
        }
    });
    (mean, covariance)
}

/// The sum of the diagonal.
pub fn trace(a: &[f64], n: usize) -> f64 {
    (0..n).map(|i| a[i * n + i]).sum()
}

/// Columns v with A = Σ v vᵀ of a positive semidefinite matrix, as many as its rank, one after the other: Cholesky's
/// factorisation that takes the largest remaining diagonal entry as its next pivot and ends when that is n times the
/// rounding error of the first. Without this order, noise of the size of a root of the rounding error would be divided
/// by pivots that are noise (Higham, *Accuracy and Stability of Numerical Algorithms*, 10.3).
pub fn cholesky(a: &[f64], n: usize) -> Vec<f64> {
    let mut rest: Vec<f64> = (0..n).map(|i| a[i * n + i]).collect();
    let least = n as f64 * f64::EPSILON * rest.iter().fold(0.0, |most: f64, d| most.max(*d));
    let mut rows = vec![0.0; n * n]; // row i: entry i of every column
    let mut rank = 0;
    while rank < n {
        let pivot = (0..n).fold(0, |best, i| if rest[i] > rest[best] { i } else { best });
        if rest[pivot] <= least {
            break;
        }
        let root = rest[pivot].sqrt();
        let row = rows[pivot * n..pivot * n + rank].to_vec();
        rows[pivot * n + rank] = root;
        rest[pivot] = f64::NEG_INFINITY; // what a row that was a pivot has
        rows.par_chunks_mut(n).zip(&mut rest).enumerate().with_min_len(32).for_each(|(i, (out, rest))| {
            if *rest != f64::NEG_INFINITY {
                out[rank] = (a[i * n + pivot] - dot(&out[..rank], &row)) / root;
                *rest -= out[rank] * out[rank];
            }
        });
        rank += 1;
    }
    (0..rank).flat_map(|k| rows.iter().skip(k).step_by(n).copied()).collect()
}

/// The symmetric matrix Lᵀ C L `[r, r]` for symmetric C `[n, n]` and L given by its columns, each of length n.
pub fn congruence(columns: &[f64], c: &[f64], n: usize) -> Vec<f64> {
    let rank = columns.len() / n;
    let mut half = vec![0.0; rank * n]; // row i: C times column i of L
    half.par_chunks_mut(n).zip(columns.par_chunks(n)).for_each(|(out, column)| {
        for (out, row) in out.iter_mut().zip(c.chunks(n)) {
            *out = dot(row, column);
        }
    });
    let mut result = vec![0.0; rank * rank];
    result.par_chunks_mut(rank.max(1)).enumerate().for_each(|(i, out)| {
        for (j, out) in out.iter_mut().enumerate() {
            let (low, high) = (i.min(j), i.max(j));
            *out = dot(&columns[low * n..(low + 1) * n], &half[high * n..(high + 1) * n]);
        }
    });
    result
}

/// The eigenvalues of a symmetric matrix in ascending order, each within about 1e-15 n of the largest: Householder
/// reflections to tridiagonal form, then bisection on Sturm sequences (Golub and Van Loan, *Matrix Computations*, 8.3 and
/// 8.4.1).
pub fn symmetric_eigenvalues(a: Vec<f64>, n: usize) -> Vec<f64> {
    let (diagonal, side) = tridiagonal(a, n);
    let squares: Vec<f64> = side.iter().map(|e| e * e).collect();
    let reach = |i: usize| {
        let left = if i == 0 { 0.0 } else { side[i - 1].abs() };
        left + side.get(i).map_or(0.0, |e| e.abs())
    };
    // Gershgorin's discs hold every eigenvalue.
    let low = (0..n).map(|i| diagonal[i] - reach(i)).fold(f64::INFINITY, f64::min);
    let high = (0..n).map(|i| diagonal[i] + reach(i)).fold(f64::NEG_INFINITY, f64::max);
    let precision = 1e-16 * low.abs().max(high.abs());
    (0..n)
        .into_par_iter()
        .map(|k| {
            let (mut low, mut high) = (low, high);
            while high - low > precision {
                let middle = 0.5 * (low + high);
                if middle <= low || middle >= high {
                    break;
                }
                if eigenvalues_below(&diagonal, &squares, middle) > k { high = middle } else { low = middle }
            }
            0.5 * (low + high)
        })
        .collect()
}

/// How many eigenvalues are below x: the negative pivots of T − x.
fn eigenvalues_below(diagonal: &[f64], squares: &[f64], x: f64) -> usize {
    let (mut below, mut pivot) = (0, 1.0);
    for (i, d) in diagonal.iter().enumerate() {
        pivot = d - x - if i == 0 { 0.0 } else { squares[i - 1] / pivot };
        if pivot == 0.0 {
            pivot = f64::MIN_POSITIVE;
        }
        below += usize::from(pivot < 0.0);
    }
    below
}

/// Reduces a symmetric matrix to tridiagonal form by similarity: its diagonal [n] and side diagonal [n − 1].
fn tridiagonal(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut side = vec![0.0; n.saturating_sub(1)];
    for k in 0..n.saturating_sub(2) {
        let first = k + 1;
        // The reflection 1 − scale v vᵀ maps column k below the diagonal to (alpha, 0, …).
        let mut v: Vec<f64> = (first..n).map(|i| a[i * n + k]).collect();
        let norm = dot(&v, &v).sqrt();
        let alpha = if v[0] > 0.0 { -norm } else { norm };
        side[k] = alpha;
        v[0] -= alpha;
        let square = dot(&v, &v);
        if square == 0.0 {
            continue;
        }
        let scale = 2.0 / square;
        let v = &v;
        let mut w: Vec<f64> =
            a[first * n..].par_chunks(n).with_min_len(32).map(|row| scale * dot(&row[first..], v)).collect();
        let half = 0.5 * scale * dot(&w, v);
        for (w, v) in w.iter_mut().zip(v) {
            *w -= half * v;
        }
        let w = &w;
        a[first * n..].par_chunks_mut(n).enumerate().with_min_len(32).for_each(|(i, row)| {
            for (j, out) in row[first..].iter_mut().enumerate() {
                *out -= v[i] * w[j] + w[i] * v[j];
            }
        });
    }
    if n >= 2 {
        side[n - 2] = a[(n - 1) * n + n - 2];
    }
    ((0..n).map(|i| a[i * n + i]).collect(), side)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::features::normal_features;

    /// The second difference on n points has the eigenvalues 2 − 2 cos(kπ/(n + 1)).
    #[test]
    fn eigenvalues_of_the_second_difference() {
        let n = 50;
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            a[i * n + i] = 2.0;
            if i > 0 {
                a[i * n + i - 1] = -1.0;
                a[(i - 1) * n + i] = -1.0;
            }
        }
        for (k, value) in symmetric_eigenvalues(a, n).iter().enumerate() {
            let wanted = 2.0 - 2.0 * ((k + 1) as f64 * std::f64::consts::PI / (n + 1) as f64).cos();
            assert!((value - wanted).abs() < 1e-13, "{value} {wanted}");
        }
    }

    /// A full matrix: the eigenvalues' sums of powers are the traces of the powers.
    #[test]
    fn eigenvalues_have_the_traces_of_the_powers() {
        let (n, set) = (23, normal_features(7, 40, 23, 0.0));
        let (_, c) = moments(&set);
        let values = symmetric_eigenvalues(c.clone(), n);
        let square: f64 = c.iter().map(|v| v * v).sum();
        assert!((values.iter().sum::<f64>() - trace(&c, n)).abs() < 1e-12);
        assert!((values.iter().map(|v| v * v).sum::<f64>() - square).abs() < 1e-11);
        assert!(values.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(symmetric_eigenvalues(vec![3.0], 1), [3.0]);
    }

    /// Also of a singular matrix (10 rows in 14 dimensions, one of which never varies).
    #[test]
    fn cholesky_gives_the_matrix_back() {
        let n = 14;
        let mut rows = normal_features(8, 10, n, 0.0).rows().flatten().copied().collect::<Vec<f64>>();
        rows.iter_mut().skip(5).step_by(n).for_each(|value| *value = 1.0);
        let (_, c) = moments(&Features::new(rows, n));
        let l = cholesky(&c, n);
        assert_eq!(l.len(), 9 * n); // the rank: ten rows less their mean
        for i in 0..n {
            for j in 0..n {
                let back: f64 = l.chunks(n).map(|column| column[i] * column[j]).sum();
                assert!((back - c[i * n + j]).abs() < 1e-14, "{i} {j}: {back} {}", c[i * n + j]);
            }
        }
    }
}
