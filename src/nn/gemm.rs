//! One deterministic `f32` matrix product for every layer.
//!
//! The left matrix is read through two tables of offsets, `A(i, k) = data[rows[i] + cols[k]]`, so a plain
//! matrix, its transpose and the patches of a convolution (an implicit im2col) are the same loop; the right
//! matrix is packed into panels. Each element of the result is one chain of multiply-adds in the order of k,
//! so it depends neither on the number of rows computed together nor on threads; `avx2` and `avx512` fuse
//! each multiply-add and give the same bits, `portable` rounds twice.

use crate::kernel::Level;

/// The width of a panel of B: two AVX-512 registers, four AVX2 registers.
const PANEL: usize = 32;

/// The left matrix: A(i, k) = `data[rows[i] + cols[k]]`.
#[derive(Debug, Clone, Copy)]
pub struct Gather<'a> {
    pub data: &'a [f32],
    pub rows: &'a [u32],
    pub cols: &'a [u32],
}

/// The right matrix B (`k` × `n`), packed: panels of 32 columns, row by row, the last padded with zeros.
#[derive(Debug, Clone)]
pub struct Panels {
    data: Vec<f32>,
    k: usize,
    n: usize,
}

impl Panels {
    /// Packs a row-major matrix.
    pub fn pack(b: &[f32], k: usize, n: usize) -> Panels {
        assert_eq!(b.len(), k * n);
        let mut panels = Panels::zeros(k, n);
        for (p, panel) in panels.data.chunks_exact_mut(k.max(1) * PANEL).enumerate() {
            let first = p * PANEL;
            let width = PANEL.min(n - first);
            for (row, out) in panel.chunks_exact_mut(PANEL).enumerate() {
                out[..width].copy_from_slice(&b[row * n + first..][..width]);
            }
        }
        panels
    }

    /// Packs the matrix whose element (k, j) is `data[start(k) + j · stride]`.
    pub fn pack_strided(
        data: &[f32],
        k: usize,
        n: usize,
        stride: usize,
        start: impl Fn(usize) -> usize,
    ) -> Panels {
        let mut panels = Panels::zeros(k, n);
        for (p, panel) in panels.data.chunks_exact_mut(k.max(1) * PANEL).enumerate() {
            let width = PANEL.min(n - p * PANEL);
            for (row, out) in panel.chunks_exact_mut(PANEL).enumerate() {
                let from = data[start(row) + p * PANEL * stride..].iter().step_by(stride);
                for (out, x) in out[..width].iter_mut().zip(from) {
                    *out = *x;
                }
            }
        }
        panels
    }

    fn zeros(k: usize, n: usize) -> Panels {
        Panels { data: vec![0.0; n.div_ceil(PANEL) * PANEL * k], k, n }
    }
}

/// C = A·B, row-major of `a.rows.len()` × `b.n`, at this level or the best that the machine can run.
///
/// # Panics
/// When the shapes do not fit or an offset of `a` lies outside its data.
pub fn multiply(level: Level, a: Gather<'_>, b: &Panels) -> Vec<f32> {
    assert_eq!(a.cols.len(), b.k);
    let mut c = vec![0.0; a.rows.len() * b.n];
    if c.is_empty() || b.k == 0 {
        return c;
    }
    let last = |offsets: &[u32]| offsets.iter().max().map_or(0, |&x| x as usize);
    assert!(last(a.rows) + last(a.cols) < a.data.len());
    match level.min(Level::detect()) {
        // SAFETY: the machine can run this level.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 if b.n <= 16 => unsafe { x86::avx512_narrow(a, b, &mut c) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::avx512(a, b, &mut c) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::avx2(a, b, &mut c) },
        _ => tiles(a, b, &mut c, portable_tile::<4, 8>),
    }
    c
}

/// Covers C with tiles of `MR` × `NR`, `NR` dividing the width of a panel. `tile(data, starts, cols, panel)`
/// gives `Σ_k data[starts[i] + cols[k]] · panel[k · PANEL + j]`.
#[inline(always)]
fn tiles<const MR: usize, const NR: usize>(
    a: Gather<'_>,
    b: &Panels,
    c: &mut [f32],
    tile: impl Fn(&[f32], [usize; MR], &[u32], &[f32]) -> [[f32; NR]; MR],
) {
    for (p, panel) in b.data.chunks_exact(b.k * PANEL).enumerate() {
        for part in (0..PANEL).step_by(NR) {
            let first = p * PANEL + part;
            if first >= b.n {
                break;
            }
            let width = NR.min(b.n - first);
            for (t, rows) in a.rows.chunks(MR).enumerate() {
                // A tile at the edge repeats its last row; the repeats are not stored.
                let starts: [usize; MR] = std::array::from_fn(|i| rows[i.min(rows.len() - 1)] as usize);
                let sums = tile(a.data, starts, a.cols, &panel[part..]);
                for (i, sum) in sums.iter().enumerate().take(rows.len()) {
                    c[(t * MR + i) * b.n + first..][..width].copy_from_slice(&sum[..width]);
                }
            }
        }
    }
}

fn portable_tile<const MR: usize, const NR: usize>(
    data: &[f32],
    starts: [usize; MR],
    cols: &[u32],
    panel: &[f32],
) -> [[f32; NR]; MR] {
    let mut sums = [[0.0f32; NR]; MR];
    for (&col, row) in cols.iter().zip(panel.chunks(PANEL)) {
        let Some(b) = row.first_chunk::<NR>() else { break };
        for i in 0..MR {
            let x = data[starts[i] + col as usize];
            for j in 0..NR {
                sums[i][j] += x * b[j];
            }
        }
    }
    sums
}

/// Register tiles in intrinsics: left to itself the compiler spills the accumulators of the wide one.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Gather, PANEL, Panels, tiles};
    use std::arch::x86_64::*;

    macro_rules! kernel {
        ($name:ident, $features:literal, $mr:literal x $vectors:literal of $lanes:literal,
         $zero:ident, $load:ident, $splat:ident, $fma:ident, $store:ident) => {
            #[target_feature(enable = $features)]
            pub fn $name(a: Gather<'_>, b: &Panels, c: &mut [f32]) {
                tiles::<$mr, { $vectors * $lanes }>(a, b, c, |data, starts, cols, panel| {
                    let mut sums = [[$zero(); $vectors]; $mr];
                    for (k, &col) in cols.iter().enumerate() {
                        // SAFETY: the panel holds `cols.len()` rows of `PANEL` numbers and its start leaves
                        // room for a tile's width; `multiply` asserted that the largest row and column offset
                        // lie inside the data.
                        unsafe {
                            let row = panel.as_ptr().add(k * PANEL);
                            let b: [_; $vectors] = std::array::from_fn(|v| $load(row.add(v * $lanes)));
                            for i in 0..$mr {
                                let x = $splat(*data.get_unchecked(starts[i] + col as usize));
                                for v in 0..$vectors {
                                    sums[i][v] = $fma(x, b[v], sums[i][v]);
                                }
                            }
                        }
                    }
                    let mut out = [[0.0; $vectors * $lanes]; $mr];
                    for (out, sums) in out.iter_mut().zip(sums) {
                        for (out, sum) in out.chunks_exact_mut($lanes).zip(sums) {
                            // SAFETY: the chunk has the register's number of lanes.
                            unsafe { $store(out.as_mut_ptr(), sum) };
                        }
                    }
                    out
                });
            }
        };
    }

    kernel!(avx512, "avx512f", 8 x 2 of 16,
        _mm512_setzero_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_storeu_ps);
    kernel!(avx512_narrow, "avx512f", 8 x 1 of 16,
        _mm512_setzero_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_storeu_ps);
    kernel!(avx2, "avx2,fma", 6 x 2 of 8,
        _mm256_setzero_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_storeu_ps);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Streams;

    /// Against an f64 product, for sizes at and off the edges of tiles and panels: each of the k terms is at
    /// most a few units and rounds once or twice, so the error stays below 4 k ε Σ|a b| ≤ 1e-4 here. Vector
    /// levels agree bit by bit.
    #[test]
    fn every_level_against_f64() {
        for (m, k, n) in [(1, 1, 1), (7, 5, 3), (8, 9, 32), (13, 40, 33), (30, 17, 70)] {
            let mut stream = Streams::new(1, "gemm test").stream(m as u64);
            let mut fill = |len| {
                let mut out = vec![0.0; len];
                stream.fill_normal(&mut out);
                out
            };
            let (a, b): (Vec<f32>, Vec<f32>) = (fill(m * k), fill(k * n));
            let rows: Vec<u32> = (0..m as u32).map(|i| i * k as u32).collect();
            let cols: Vec<u32> = (0..k as u32).collect();
            let panels = Panels::pack(&b, k, n);
            let mut fused: Option<Vec<f32>> = None;
            for level in [Level::Portable, Level::Avx2, Level::Avx512] {
                if level.check().is_err() {
                    continue;
                }
                let c = multiply(level, Gather { data: &a, rows: &rows, cols: &cols }, &panels);
                for i in 0..m {
                    for j in 0..n {
                        let exact: f64 =
                            (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum();
                        assert!((f64::from(c[i * n + j]) - exact).abs() < 1e-4, "{level} {m}x{k}x{n}");
                    }
                }
                if level != Level::Portable {
                    assert_eq!(*fused.get_or_insert_with(|| c.clone()), c);
                }
            }
        }
    }

    /// The transpose is the same matrix with its tables exchanged.
    #[test]
    fn transpose_by_tables() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let panels = Panels::pack_strided(&[10.0, 1.0], 2, 1, 1, |k| k);
        let c = multiply(Level::current(), Gather { data: &a, rows: &[0, 1, 2], cols: &[0, 3] }, &panels);
        assert_eq!(c, [14.0, 25.0, 36.0]);
    }
}
