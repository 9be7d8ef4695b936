//! One deterministic `f32` matrix product for every layer.
//!
//! Each element of the result is one chain of multiply-adds in the order of k, so it depends neither on the number of
//! rows computed together nor on threads; `avx2` and `avx512` fuse each multiply-add and give the same bits, `portable`
//! rounds twice.

#![allow(clippy::needless_range_loop, reason = "loops over registers share their index")]

use super::buffer::Buffer;
use super::vector::Vector;
use onsager_numerics::kernel::Level;

/// The width of a panel of B: two AVX-512 registers, four AVX2 registers.
pub const PANEL: usize = 32;

/// Products are taken over so many k at a time, which keeps their part of a panel in the first cache, also where two
/// threads share one.
const DEPTH: usize = 128;

/// The left matrix: A(i, k) = `data[i · row + k · col]`, so a transpose costs nothing.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a> {
    pub data: &'a [f32],
    pub row: usize,
    pub col: usize,
}

/// The right matrix: B(k, j) = `data[j / PANEL · panel + k · row + j % PANEL]`: row-major, or in packed panels.
#[derive(Debug, Clone, Copy)]
pub struct Right<'a> {
    pub data: &'a [f32],
    row: usize,
    panel: usize,
}

impl<'a> Right<'a> {
    /// A row-major matrix of `n` columns.
    pub fn rows(data: &'a [f32], n: usize) -> Right<'a> {
        Right { data, row: n, panel: PANEL }
    }

    /// Panels of 32 columns of `k` rows each, one after the other, the last padded with zeros.
    pub fn panels(data: &'a [f32], k: usize) -> Right<'a> {
        Right { data, row: PANEL, panel: k * PANEL }
    }
}

/// The sizes of a product: C is `m` × `n`, the sums run over `k`.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub m: usize,
    pub k: usize,
    pub n: usize,
}

/// The transpose of a row-major matrix of `columns` columns.
pub fn transpose(matrix: &[f32], columns: usize, out: &mut [f32]) {
    let rows = matrix.len() / columns.max(1);
    const TILE: usize = 16;
    for i in (0..rows).step_by(TILE) {
        for j in (0..columns).step_by(TILE) {
            for j in j..columns.min(j + TILE) {
                for i in i..rows.min(i + TILE) {
                    out[j * rows + i] = matrix[i * columns + j];
                }
            }
        }
    }
}

/// The transpose of a row-major matrix of `columns` columns, in packed panels; `out` has `panels_len` numbers.
pub fn transpose_to_panels(matrix: &[f32], columns: usize, out: &mut [f32]) {
    let (rows, wide) = (matrix.len() / columns.max(1), columns);
    #[cfg(target_arch = "x86_64")]
    if Level::current() == Level::Avx512 && rows.is_multiple_of(PANEL) && columns.is_multiple_of(16) {
        // SAFETY: the machine can run this level, and the sizes are multiples of those of a square.
        return unsafe { x86::transpose_to_panels(matrix, columns, out) };
    }
    for (p, panel) in out.chunks_exact_mut(wide * PANEL).enumerate() {
        let width = PANEL.min(rows - p * PANEL);
        for (j, row) in matrix[p * PANEL * wide..].chunks_exact(wide).take(width).enumerate() {
            for (out, x) in panel[j..].iter_mut().step_by(PANEL).zip(row) {
                *out = *x;
            }
        }
        for out in panel.chunks_exact_mut(PANEL) {
            out[width..].fill(0.0);
        }
    }
}

/// A row-major matrix of `columns` columns, in packed panels; `out` has `panels_len` numbers.
pub fn rows_to_panels(matrix: &[f32], columns: usize, out: &mut [f32]) {
    let rows = matrix.len() / columns.max(1);
    for (p, panel) in out.chunks_exact_mut(rows * PANEL).enumerate() {
        let width = PANEL.min(columns - p * PANEL);
        for (row, line) in matrix.chunks_exact(columns).zip(panel.chunks_exact_mut(PANEL)) {
            copy_line(&row[p * PANEL..], width, line);
        }
    }
}

/// The numbers of a matrix of `k` rows and `n` columns in packed panels.
pub fn panels_len(k: usize, n: usize) -> usize {
    k * n.next_multiple_of(PANEL)
}

/// C = A·B, or C += A·B, for a row-major C.
///
/// # Panics
/// When a matrix is too short for the size.
pub fn multiply(size: Size, a: Left<'_>, b: Right<'_>, c: &mut [f32], add: bool) {
    multiply_at(Level::current(), size, a, b, c, add);
}

fn multiply_at(level: Level, size: Size, a: Left<'_>, b: Right<'_>, c: &mut [f32], add: bool) {
    let Size { m, k, n } = size;
    if m == 0 || n == 0 {
        return;
    }
    assert_eq!(c.len(), m * n);
    if k == 0 {
        if !add {
            c.fill(0.0);
        }
        return;
    }
    assert!((m - 1) * a.row + (k - 1) * a.col < a.data.len());
    assert!((n - 1) / PANEL * b.panel + (k - 1) * b.row + (n - 1) % PANEL < b.data.len());
    match level.min(Level::detect()) {
        // SAFETY: the machine can run this level.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::avx512(size, a, b, c, add) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::avx2(size, a, b, c, add) },
        _ => product::<[f32; 8], 4>(size, a, b, c, add),
    }
}

/// Covers C with tiles of `MR` rows and two registers, or one where that is enough.
///
/// What is read with a stride many times over is first copied to where it lies together: rows of B that are no panels,
/// and the columns of a transposed A. (Strides of a power of two also fall on few lines of the first cache.)
#[inline(always)]
fn product<V: Vector, const MR: usize>(size: Size, a: Left<'_>, b: Right<'_>, c: &mut [f32], add: bool) {
    let mut copy = [0.0; DEPTH * PANEL];
    let tiles = size.m.div_ceil(MR);
    let mut turned = (a.col != 1 && size.n > PANEL).then(|| Buffer::stale(tiles * MR * DEPTH.min(size.k)));
    for first in (0..size.k).step_by(DEPTH) {
        let depth = DEPTH.min(size.k - first);
        let add = add || first > 0;
        let whole = Left { data: &a.data[first * a.col..], ..a };
        let (a, tile) = match &mut turned {
            Some(turned) => {
                turn::<MR>(whole, size.m, depth, turned);
                (Left { data: &turned[..], row: 1, col: MR }, depth * MR)
            }
            None => (whole, MR * a.row),
        };
        for column in (0..size.n).step_by(PANEL) {
            let width = PANEL.min(size.n - column);
            let start = column / PANEL * b.panel + first * b.row;
            let (panel, row) = if b.row != PANEL && (width < PANEL || size.m >= 32) {
                for k in 0..depth {
                    let line = &mut copy[k * PANEL..][..PANEL];
                    copy_line(&b.data[start + k * b.row..], width, line);
                }
                (&copy[..], PANEL)
            } else {
                (&b.data[start..], b.row)
            };
            let mut part = 0;
            while part < width {
                let (rows, columns) = (size.m, size.n);
                let strip = Strip {
                    depth,
                    a,
                    tile,
                    b: &panel[part..],
                    row,
                    column: column + part,
                    rows,
                    columns,
                    add,
                };
                if width - part > V::LANES {
                    strip.fill::<V, MR, 2>(c);
                    part += 2 * V::LANES;
                } else {
                    strip.fill::<V, MR, 1>(c);
                    part += V::LANES;
                }
            }
        }
    }
}

/// The first `width` numbers of a row, and zeros.
#[inline(always)]
fn copy_line(row: &[f32], width: usize, line: &mut [f32]) {
    if width == PANEL {
        // A copy of known length is a few instructions, not a call.
        line[..PANEL].copy_from_slice(&row[..PANEL]);
    } else {
        line[..width].copy_from_slice(&row[..width]);
        line[width..].fill(0.0);
    }
}

/// Copies `depth` columns of A to tiles of `MR` rows, column by column; the last tile repeats its last row.
#[inline(always)]
fn turn<const MR: usize>(a: Left<'_>, m: usize, depth: usize, out: &mut [f32]) {
    for (first, out) in (0..m).step_by(MR).zip(out.chunks_exact_mut(depth * MR)) {
        for (k, out) in out.chunks_exact_mut(MR).enumerate() {
            let column = &a.data[first * a.row + k * a.col..];
            if a.row == 1 && first + MR <= m {
                out.copy_from_slice(&column[..MR]);
            } else {
                for (i, out) in out.iter_mut().enumerate() {
                    *out = column[i.min(m - 1 - first) * a.row];
                }
            }
        }
    }
}

/// The columns of C that one or two registers hold.
struct Strip<'a> {
    depth: usize,
    a: Left<'a>,
    /// From one tile of A to the next.
    tile: usize,
    /// The rows of B, from the strip's first column on, `row` numbers apart.
    b: &'a [f32],
    row: usize,
    /// The strip's first column in C, which has `rows` and `columns`.
    column: usize,
    rows: usize,
    columns: usize,
    add: bool,
}

impl Strip<'_> {
    #[inline(always)]
    fn fill<V: Vector, const MR: usize, const NV: usize>(&self, c: &mut [f32]) {
        assert!((self.depth - 1) * self.row + NV * V::LANES <= self.b.len());
        let width = (NV * V::LANES).min(self.columns - self.column);
        let whole = width == NV * V::LANES;
        for first in (0..self.rows).step_by(MR) {
            let rows = MR.min(self.rows - first);
            let at = first * self.columns + self.column;
            if whole && rows == MR {
                let c = &mut c[at..];
                assert!((MR - 1) * self.columns + width <= c.len());
                // SAFETY: `multiply_at` and the assertions checked the ends of A, B and C, and the level.
                unsafe { self.tile::<V, MR, NV>(first, c.as_mut_ptr(), self.columns) };
            } else {
                // At the edges the tile is a copy; it repeats the last row, which is not stored.
                let mut tile = [[0.0f32; 32]; MR];
                if self.add {
                    for i in 0..rows {
                        tile[i][..width].copy_from_slice(&c[at + i * self.columns..][..width]);
                    }
                }
                // SAFETY: as above; the copy's rows are 32 numbers, at least two registers.
                unsafe { self.tile::<V, MR, NV>(first, tile.as_mut_ptr().cast(), 32) };
                for i in 0..rows {
                    c[at + i * self.columns..][..width].copy_from_slice(&tile[i][..width]);
                }
            }
        }
    }

    /// # Safety
    /// `c` has `MR` rows of `stride` numbers, the last of `NV` registers; B has `depth` rows of that length; A has
    /// row `first` and column `depth` − 1; the machine has the vector's instructions.
    #[inline(always)]
    unsafe fn tile<V: Vector, const MR: usize, const NV: usize>(
        &self,
        first: usize,
        c: *mut f32,
        stride: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            // Loops, not closures: those are compiled without the vector instructions where they are not inlined.
            let mut rows = [self.a.data.as_ptr().add(first / MR * self.tile); MR];
            for i in 0..MR {
                rows[i] = rows[i].add(i.min(self.rows - 1 - first) * self.a.row);
            }
            let mut sums = [[V::splat(0.0); NV]; MR];
            if self.add {
                for i in 0..MR {
                    for v in 0..NV {
                        sums[i][v] = V::load(c.add(i * stride + v * V::LANES));
                    }
                }
            }
            let mut b = self.b.as_ptr();
            for k in 0..self.depth {
                let mut line = [V::splat(0.0); NV];
                for v in 0..NV {
                    line[v] = V::load(b.add(v * V::LANES));
                }
                for i in 0..MR {
                    let x = V::splat(*rows[i].add(k * self.a.col));
                    for v in 0..NV {
                        sums[i][v] = sums[i][v].multiply_add(x, line[v]);
                    }
                }
                b = b.wrapping_add(self.row);
            }
            for i in 0..MR {
                for v in 0..NV {
                    sums[i][v].store(c.add(i * stride + v * V::LANES));
                }
            }
        }
    }
}

/// The registers and the sizes of tiles that leave room for them.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Left, PANEL, Right, Size, Vector, product};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f")]
    pub fn avx512(size: Size, a: Left<'_>, b: Right<'_>, c: &mut [f32], add: bool) {
        product::<__m512, 8>(size, a, b, c, add);
    }

    /// [`super::transpose_to_panels`] by squares of 16×16.
    #[target_feature(enable = "avx512f")]
    pub fn transpose_to_panels(matrix: &[f32], columns: usize, out: &mut [f32]) {
        let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        let bands = matrix.chunks_exact(16 * columns);
        for (b, band) in bands.enumerate() {
            let panel = &mut out[b / 2 * PANEL * columns..][..PANEL * columns];
            for column in (0..columns).step_by(16) {
                let mut square = [_mm512_setzero_ps(); 16];
                for i in 0..16 {
                    square[i] = Vector::read(&band[i * columns + column..], 16);
                }
                // Four perfect shuffles of the rows turn a square by its diagonal.
                for _ in 0..4 {
                    let old = square;
                    for i in 0..8 {
                        square[2 * i] = _mm512_permutex2var_ps(old[i], low, old[i + 8]);
                        square[2 * i + 1] = _mm512_permutex2var_ps(old[i], high, old[i + 8]);
                    }
                }
                for i in 0..16 {
                    square[i].write(&mut panel[(column + i) * PANEL + b % 2 * 16..], 16);
                }
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn avx2(size: Size, a: Left<'_>, b: Right<'_>, c: &mut [f32], add: bool) {
        product::<__m256, 6>(size, a, b, c, add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onsager_numerics::random::Streams;

    /// Against an f64 product, for sizes at and off the edges of tiles, panels and depths: each of the k terms is at
    /// most a few units and rounds once or twice, so the error stays below 4 k ε max|a b| ≤ 1e-3 here. A transposed
    /// left matrix, packed panels and a sum onto what is there are the same product. Vector levels agree bit by bit.
    #[test]
    fn every_level_against_f64() {
        for (m, k, n) in
            [(1, 1, 1), (7, 5, 3), (8, 9, 32), (13, 40, 33), (30, 17, 70), (9, 300, 24), (10, 48, 96)]
        {
            let mut stream = Streams::new(1, "gemm test").stream(m as u64);
            let mut fill = |len| {
                let mut out = vec![0.0; len];
                stream.fill_normal(&mut out);
                out
            };
            let (a, b, before): (Vec<f32>, Vec<f32>, Vec<f32>) = (fill(m * k), fill(k * n), fill(m * n));
            let mut turned = vec![0.0; m * k];
            transpose(&a, k, &mut turned);
            let mut panels = vec![0.0; n.div_ceil(PANEL) * PANEL * k];
            for (i, x) in b.iter().enumerate() {
                let (row, column) = (i / n, i % n);
                panels[(column / PANEL * k + row) * PANEL + column % PANEL] = *x;
            }
            let mut again = vec![1.0; panels_len(k, n)];
            let mut columns = vec![0.0; k * n];
            transpose(&b, n, &mut columns);
            transpose_to_panels(&columns, k, &mut again);
            assert_eq!(again, panels);
            again.fill(1.0);
            rows_to_panels(&b, n, &mut again);
            assert_eq!(again, panels);
            let size = Size { m, k, n };
            let mut fused: Option<Vec<f32>> = None;
            for level in [Level::Portable, Level::Avx2, Level::Avx512] {
                if level.check().is_err() {
                    continue;
                }
                let mut c = before.clone();
                multiply_at(level, size, Left { data: &a, row: k, col: 1 }, Right::rows(&b, n), &mut c, true);
                let mut other = before.clone();
                let (left, right) = (Left { data: &turned, row: 1, col: m }, Right::panels(&panels, k));
                multiply_at(level, size, left, right, &mut other, true);
                assert_eq!(c, other);
                multiply_at(level, size, left, right, &mut other, false);
                for i in 0..m {
                    for j in 0..n {
                        let exact: f64 =
                            (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum();
                        let sum = exact + f64::from(before[i * n + j]);
                        assert!((f64::from(c[i * n + j]) - sum).abs() < 1e-3, "{level} {m}x{k}x{n}");
                        assert!((f64::from(other[i * n + j]) - exact).abs() < 1e-3, "{level} {m}x{k}x{n}");
                    }
                }
                if level != Level::Portable {
                    assert_eq!(*fused.get_or_insert_with(|| c.clone()), c);
                }
            }
        }
    }
}
