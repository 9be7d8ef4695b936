//! The transforms of Winograd's F(4×4, 3×3): a 3×3 correlation by 36 products where the definition takes 144 (Winograd
//! 1980; Lavin and Gray 2016, interpolation points 0, ±1, ±2, ∞).
//!
//! For a tile d of 6×6 pixels and a filter g, the 4×4 results are Aᵀ((G g Gᵀ) ⊙ (Bᵀ d B))A; the sum over channels turns
//! each of the 36 products into a matrix product. The gradient of g is Gᵀ((Bᵀ d B) ⊙ (A dy Aᵀ))G. The transforms use no
//! fused operation, so they have the same bits at every kernel level.

#![allow(clippy::needless_range_loop, reason = "loops over registers share their index")]

use super::gemm::PANEL;
use super::vector::{Vector, by_level};

/// The positions of a transformed tile.
pub const POSITIONS: usize = 36;

/// A transform of columns of `N` numbers to columns of `M`, in each lane of a register.
trait Transform<const N: usize, const M: usize> {
    fn column<V: Vector>(d: [V; N]) -> [V; M];

    /// The transform of the columns and then of the rows of a square.
    #[inline(always)]
    fn square<V: Vector>(d: &[[V; N]; N]) -> [[V; M]; M] {
        let mut half = [[V::splat(0.0); N]; M];
        for x in 0..N {
            let mut column = [V::splat(0.0); N];
            for y in 0..N {
                column[y] = d[y][x];
            }
            let column = Self::column(column);
            for y in 0..M {
                half[y][x] = column[y];
            }
        }
        let mut out = [[V::splat(0.0); M]; M];
        for y in 0..M {
            out[y] = Self::column(half[y]);
        }
        out
    }
}

/// Bᵀ d.
struct Image;
/// Aᵀ m.
struct Result;
/// A y.
struct Spread;
/// G g.
struct Filter;
/// Gᵀ u.
struct FilterGradient;

impl Transform<6, 6> for Image {
    #[inline(always)]
    fn column<V: Vector>(d: [V; 6]) -> [V; 6] {
        let (even, odd) = (d[4].sub(d[2].scale(4.0)), d[3].sub(d[1].scale(4.0)));
        let (near, far) = (d[4].sub(d[2]), d[3].sub(d[1]).scale(2.0));
        [
            d[0].sub(d[2]).scale(4.0).add(near),
            even.add(odd),
            even.sub(odd),
            near.add(far),
            near.sub(far),
            d[1].sub(d[3]).scale(4.0).add(d[5].sub(d[3])),
        ]
    }
}

impl Transform<6, 4> for Result {
    #[inline(always)]
    fn column<V: Vector>(m: [V; 6]) -> [V; 4] {
        let (one, one_odd) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (two, two_odd) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            m[0].add(one).add(two),
            one_odd.add(two_odd.scale(2.0)),
            one.add(two.scale(4.0)),
            one_odd.add(two_odd.scale(8.0)).add(m[5]),
        ]
    }
}

impl Transform<4, 6> for Spread {
    #[inline(always)]
    fn column<V: Vector>(y: [V; 4]) -> [V; 6] {
        let (even, odd) = (y[0].add(y[2]), y[1].add(y[3]));
        let (far, far_odd) = (y[0].add(y[2].scale(4.0)), y[1].scale(2.0).add(y[3].scale(8.0)));
        [y[0], even.add(odd), even.sub(odd), far.add(far_odd), far.sub(far_odd), y[3]]
    }
}

impl Transform<3, 6> for Filter {
    #[inline(always)]
    fn column<V: Vector>(g: [V; 3]) -> [V; 6] {
        let even = g[0].add(g[2]).scale(-1.0 / 6.0);
        let odd = g[1].scale(1.0 / 6.0);
        let far = g[0].scale(1.0 / 24.0).add(g[2].scale(1.0 / 6.0));
        let far_odd = g[1].scale(1.0 / 12.0);
        [g[0].scale(0.25), even.sub(odd), even.add(odd), far.add(far_odd), far.sub(far_odd), g[2]]
    }
}

impl Transform<6, 3> for FilterGradient {
    #[inline(always)]
    fn column<V: Vector>(u: [V; 6]) -> [V; 3] {
        let (one, two) = (u[1].add(u[2]), u[3].add(u[4]));
        [
            u[0].scale(0.25).add(one.scale(-1.0 / 6.0)).add(two.scale(1.0 / 24.0)),
            u[2].sub(u[1]).scale(1.0 / 6.0).add(u[3].sub(u[4]).scale(1.0 / 12.0)),
            two.sub(one).scale(1.0 / 6.0).add(u[5]),
        ]
    }
}

/// Images [n, h, w, channels] cut into tiles of 4×4 pixels, the last ones reaching over the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiles {
    pub h: usize,
    pub w: usize,
    pub channels: usize,
}

impl Tiles {
    /// The number of tiles of n images.
    pub fn count(self, n: usize) -> usize {
        n * self.h.div_ceil(4) * self.w.div_ceil(4)
    }

    /// The image of a tile, and the row and column of its first pixel.
    #[inline(always)]
    fn corner(self, tile: usize) -> (usize, usize, usize) {
        let (down, across) = (self.h.div_ceil(4), self.w.div_ceil(4));
        (tile / (down * across), tile / across % down * 4, tile % across * 4)
    }

    /// Where each pixel of the `N`×`N` square around a tile begins in the images; `OUTSIDE` for those that lie outside.
    /// `border` is how far the square reaches beyond the tile.
    #[inline(always)]
    fn pixels<const N: usize>(self, tile: usize, border: usize) -> [[usize; N]; N] {
        let (image, top, left) = self.corner(tile);
        let mut pixels = [[OUTSIDE; N]; N];
        for y in 0..N {
            for x in 0..N {
                let (down, across) = ((top + y).wrapping_sub(border), (left + x).wrapping_sub(border));
                if down < self.h && across < self.w {
                    pixels[y][x] = ((image * self.h + down) * self.w + across) * self.channels;
                }
            }
        }
        pixels
    }

    /// The transform `T` of squares of images: out is [36, tiles, channels].
    #[inline(always)]
    fn transform<V: Vector, T: Transform<N, 6>, const N: usize>(
        self,
        x: &[f32],
        first: usize,
        border: usize,
        out: &mut [f32],
    ) {
        let c = self.channels;
        let plane = out.len() / POSITIONS;
        for tile in 0..plane / c {
            let pixels = self.pixels::<N>(first + tile, border);
            for lane in (0..c).step_by(V::LANES) {
                let width = V::LANES.min(c - lane);
                let mut square = [[V::splat(0.0); N]; N];
                for row in 0..N {
                    for column in 0..N {
                        if pixels[row][column] != OUTSIDE {
                            square[row][column] = V::read(&x[pixels[row][column] + lane..], width);
                        }
                    }
                }
                let square = T::square(&square);
                for y in 0..6 {
                    for x in 0..6 {
                        square[y][x].write(&mut out[(y * 6 + x) * plane + tile * c + lane..], width);
                    }
                }
            }
        }
    }
}

/// No pixel.
const OUTSIDE: usize = usize::MAX;

by_level! {
    /// Bᵀ d B of the tiles from `first` on; out is [36, tiles, channels].
    pub fn transform_images<V>(x: &[f32], t: Tiles, first: usize, out: &mut [f32]) {
        t.transform::<V, Image, 6>(x, first, 1, out);
    }
}

by_level! {
    /// A dy Aᵀ of the tiles from `first` on; out is [36, tiles, channels].
    pub fn transform_gradients<V>(dy: &[f32], t: Tiles, first: usize, out: &mut [f32]) {
        t.transform::<V, Spread, 4>(dy, first, 0, out);
    }
}

by_level! {
    /// Aᵀ m A of the tiles from `first` on, m being [36, tiles, channels], and a bias, one row for each image or one for
    /// all (or none), into images y or, with `add`, onto them.
    pub fn transform_results<V>(m: &[f32], t: Tiles, first: usize, bias: &[f32], add: bool, y: &mut [f32]) {
        let c = t.channels;
        let plane = m.len() / POSITIONS;
        for tile in 0..plane / c {
            let pixels = t.pixels::<4>(first + tile, 0);
            let (image, _, _) = t.corner(first + tile);
            let bias = if bias.len() > c { &bias[image * c..][..c] } else { bias };
            for lane in (0..c).step_by(V::LANES) {
                let width = V::LANES.min(c - lane);
                let b = if bias.is_empty() { V::splat(0.0) } else { V::read(&bias[lane..], width) };
                let mut square = [[V::splat(0.0); 6]; 6];
                for y in 0..6 {
                    for x in 0..6 {
                        square[y][x] = V::read(&m[(y * 6 + x) * plane + tile * c + lane..], width);
                    }
                }
                let results = Result::square(&square);
                for row in 0..4 {
                    for column in 0..4 {
                        if pixels[row][column] != OUTSIDE {
                            let y = &mut y[pixels[row][column] + lane..];
                            let value = results[row][column].add(b);
                            if add { V::read(y, width).add(value) } else { value }.write(y, width);
                        }
                    }
                }
            }
        }
    }
}

/// The length of the transform of filters [3, 3, `inputs`, `outputs`].
pub fn filter_len(inputs: usize, outputs: usize) -> usize {
    POSITIONS * inputs * outputs.next_multiple_of(PANEL)
}

by_level! {
    /// G g Gᵀ of filters w [3, 3, `inputs`, `outputs`]; out is 36 matrices in panels of 32 outputs.
    pub fn transform_filters<V>(w: &[f32], inputs: usize, outputs: usize, out: &mut [f32]) {
        let plane = out.len() / POSITIONS;
        for input in 0..inputs {
            for lane in (0..outputs.next_multiple_of(PANEL)).step_by(V::LANES) {
                let width = V::LANES.min(outputs.saturating_sub(lane));
                let mut g = [[V::splat(0.0); 3]; 3];
                for y in 0..3 {
                    for x in 0..3 {
                        let at = ((y * 3 + x) * inputs + input) * outputs + lane;
                        if width > 0 {
                            g[y][x] = V::read(&w[at..], width);
                        }
                    }
                }
                let square = Filter::square(&g);
                let at = (lane / PANEL * inputs + input) * PANEL + lane % PANEL;
                for y in 0..6 {
                    for x in 0..6 {
                        square[y][x].write(&mut out[(y * 6 + x) * plane + at..], V::LANES);
                    }
                }
            }
        }
    }
}

by_level! {
    /// Adds Gᵀ u G to the gradient dw [3, 3, inputs · outputs] of filters, u being [36, inputs · outputs].
    pub fn add_filter_gradients<V>(u: &[f32], dw: &mut [f32]) {
        let plane = u.len() / POSITIONS;
        for lane in (0..plane).step_by(V::LANES) {
            let width = V::LANES.min(plane - lane);
            let mut square = [[V::splat(0.0); 6]; 6];
            for y in 0..6 {
                for x in 0..6 {
                    square[y][x] = V::read(&u[(y * 6 + x) * plane + lane..], width);
                }
            }
            let square = FilterGradient::square(&square);
            for y in 0..3 {
                for x in 0..3 {
                    let dw = &mut dw[(y * 3 + x) * plane + lane..];
                    V::read(dw, width).add(square[y][x]).write(dw, width);
                }
            }
        }
    }
}
