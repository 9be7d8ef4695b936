//! Changes of shape: down- and upsampling of channels-last images, concatenation of channels, and the way in and out of
//! that layout.

use super::buffer::Buffer;
use super::pointwise::vectorised;

/// Images as rows, [n, channels·height·width] in the order of a file, and as the padded channels-last [n, h,
/// w, c] that the convolutions use, with zeros below and to the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    /// Height and width are padded to a multiple of this.
    pub multiple: usize,
}

impl ImageShape {
    /// From rows to channels-last.
    pub fn enter(self, x: &[f32]) -> Buffer {
        let (h, w) = self.padded();
        let n = x.len() / (self.channels * self.height * self.width);
        let mut out = Buffer::zeros(n * h * w * self.channels);
        self.pairs(n, |row, padded| out[padded] = x[row]);
        out
    }

    /// From channels-last back to rows, dropping the padding.
    pub fn leave(self, x: &[f32]) -> Buffer {
        let (h, w) = self.padded();
        let n = x.len() / (self.channels * h * w);
        let mut out = Buffer::stale(n * self.channels * self.height * self.width);
        self.pairs(n, |row, padded| out[row] = x[padded]);
        out
    }

    /// The numbers of one image, without the padding.
    pub fn size(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Height and width with the padding.
    pub fn padded(self) -> (usize, usize) {
        (self.height.next_multiple_of(self.multiple), self.width.next_multiple_of(self.multiple))
    }

    /// Visits the offset of each number in both layouts.
    fn pairs(self, n: usize, mut visit: impl FnMut(usize, usize)) {
        let (h, w) = self.padded();
        let mut row = 0;
        for i in 0..n {
            for c in 0..self.channels {
                for y in 0..self.height {
                    for x in 0..self.width {
                        visit(row, ((i * h + y) * w + x) * self.channels + c);
                        row += 1;
                    }
                }
            }
        }
    }
}

vectorised! {
    fn sum_quads(x: &[f32], width: usize, channels: usize, scale: f32, out: &mut [f32]) {
        let row = width * channels;
        for (two, out) in x.chunks_exact(4 * row).zip(out.chunks_exact_mut(row)) {
            let (upper, lower) = two.split_at(2 * row);
            let quads = upper.chunks_exact(2 * channels).zip(lower.chunks_exact(2 * channels));
            for ((a, b), out) in quads.zip(out.chunks_exact_mut(channels)) {
                let ((a, a2), (b, b2)) = (a.split_at(channels), b.split_at(channels));
                for c in 0..channels {
                    out[c] = scale * ((a[c] + a2[c]) + (b[c] + b2[c]));
                }
            }
        }
    }
}

vectorised! {
    fn repeat_pixels(x: &[f32], width: usize, channels: usize, scale: f32, out: &mut [f32]) {
        let row = width * channels;
        for (x, out) in x.chunks_exact(row).zip(out.chunks_exact_mut(4 * row)) {
            let (upper, lower) = out.split_at_mut(2 * row);
            for (pixel, out) in x.chunks_exact(channels).zip(upper.chunks_exact_mut(2 * channels)) {
                for out in out.chunks_exact_mut(channels) {
                    for (out, x) in out.iter_mut().zip(pixel) {
                        *out = scale * x;
                    }
                }
            }
            lower.copy_from_slice(upper);
        }
    }
}

/// Sums of 2×2 pixels, times `scale`: from [n, 2h, 2·`width`, channels] to [n, h, `width`, channels]. A scale of 1/4 gives
/// means.
pub fn downsample(x: &[f32], width: usize, channels: usize, scale: f32) -> Buffer {
    let mut out = Buffer::stale(x.len() / 4);
    sum_quads(x, width, channels, scale, &mut out);
    out
}

/// Each pixel four times, times `scale`: from [n, h, `width`, channels] to [n, 2h, 2·`width`, channels]; the transpose of
/// [`downsample`].
pub fn upsample(x: &[f32], width: usize, channels: usize, scale: f32) -> Buffer {
    let mut out = Buffer::stale(x.len() * 4);
    repeat_pixels(x, width, channels, scale, &mut out);
    out
}

/// Concatenates channels: pixels of `a` and of `b` channels to pixels of a + b.
pub fn concat(x: &[f32], a: usize, y: &[f32], b: usize) -> Buffer {
    let mut out = Buffer::stale(x.len() + y.len());
    for ((out, x), y) in out.chunks_exact_mut(a + b).zip(x.chunks_exact(a)).zip(y.chunks_exact(b)) {
        out[..a].copy_from_slice(x);
        out[a..].copy_from_slice(y);
    }
    out
}

/// Splits what [`concat`](fn@concat) put together.
pub fn split(both: &[f32], a: usize, b: usize) -> (Buffer, Buffer) {
    let pixels = both.len() / (a + b);
    let (mut x, mut y) = (Buffer::stale(pixels * a), Buffer::stale(pixels * b));
    for ((both, x), y) in both.chunks_exact(a + b).zip(x.chunks_exact_mut(a)).zip(y.chunks_exact_mut(b)) {
        x.copy_from_slice(&both[..a]);
        y.copy_from_slice(&both[a..]);
    }
    (x, y)
}

vectorised! {
    fn interleave(x: &[f32], width: usize, a: usize, skip: &[f32], b: usize, out: &mut [f32]) {
        let rows = x.chunks_exact(width * a).flat_map(|row| [row, row]);
        let skips = skip.chunks_exact(2 * width * b).zip(out.chunks_exact_mut(2 * width * (a + b)));
        for (row, (skip, out)) in rows.zip(skips) {
            let pixels = row.chunks_exact(a).flat_map(|pixel| [pixel, pixel]).zip(skip.chunks_exact(b));
            for ((pixel, skip), out) in pixels.zip(out.chunks_exact_mut(a + b)) {
                out[..a].copy_from_slice(pixel);
                out[a..].copy_from_slice(skip);
            }
        }
    }
}

vectorised! {
    fn sum_quads_of_both(both: &[f32], width: usize, a: usize, b: usize, x: &mut [f32], skip: &mut [f32]) {
        let row = 2 * width * (a + b);
        let rows = both.chunks_exact(2 * row).zip(x.chunks_exact_mut(width * a));
        for ((two, x), skip) in rows.zip(skip.chunks_exact_mut(4 * width * b)) {
            let (upper, lower) = two.split_at(row);
            let quads = upper.chunks_exact(2 * (a + b)).zip(lower.chunks_exact(2 * (a + b)));
            for ((upper, lower), x) in quads.zip(x.chunks_exact_mut(a)) {
                let ((u, v), (l, m)) = (upper.split_at(a + b), lower.split_at(a + b));
                for c in 0..a {
                    x[c] = (u[c] + v[c]) + (l[c] + m[c]);
                }
            }
            let pixels = upper.chunks_exact(a + b).chain(lower.chunks_exact(a + b));
            for (skip, both) in skip.chunks_exact_mut(b).zip(pixels) {
                skip.copy_from_slice(&both[a..]);
            }
        }
    }
}

/// [`upsample`] of x and then [`concat`](fn@concat) with `skip`: from [n, h, `width`, a] and [n, 2h, 2·`width`, b] to
/// [n, 2h, 2·`width`, a + b].
pub fn upsample_concat(x: &[f32], width: usize, a: usize, skip: &[f32], b: usize) -> Buffer {
    let mut out = Buffer::stale(4 * x.len() + skip.len());
    interleave(x, width, a, skip, b, &mut out);
    out
}

/// The transpose of [`upsample_concat`]: what belongs to x and to `skip`.
pub fn split_downsample(both: &[f32], width: usize, a: usize, b: usize) -> (Buffer, Buffer) {
    let pixels = both.len() / (a + b);
    let (mut x, mut skip) = (Buffer::stale(pixels / 4 * a), Buffer::stale(pixels * b));
    sum_quads_of_both(both, width, a, b, &mut x, &mut skip);
    (x, skip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::check;

    const SHAPE: ImageShape = ImageShape { channels: 2, height: 3, width: 5, multiple: 4 };

    /// Each is the other's transpose, up to a scale.
    #[test]
    fn against_differences() {
        check(
            0.01,
            &[2 * 4 * 6 * 3],
            |a| downsample(&a[0], 3, 3, 0.25).to_vec(),
            |_, dy| vec![upsample(dy, 3, 3, 0.25).to_vec()],
        );
        check(
            0.01,
            &[2 * 2 * 3 * 3],
            |a| upsample(&a[0], 3, 3, 1.0).to_vec(),
            |_, dy| vec![downsample(dy, 3, 3, 1.0).to_vec()],
        );
        check(
            0.01,
            &[12 * 3, 12 * 4],
            |a| concat(&a[0], 3, &a[1], 4).to_vec(),
            |_, dy| {
                let (x, y) = split(dy, 3, 4);
                vec![x.to_vec(), y.to_vec()]
            },
        );
        check(
            0.01,
            &[2 * 2 * 3 * 3, 2 * 4 * 6 * 2],
            |a| {
                let both = upsample_concat(&a[0], 3, 3, &a[1], 2);
                assert_eq!(both[..], concat(&upsample(&a[0], 3, 3, 1.0), 3, &a[1], 2)[..]);
                both.to_vec()
            },
            |_, dy| {
                let (x, skip) = split_downsample(dy, 3, 3, 2);
                vec![x.to_vec(), skip.to_vec()]
            },
        );
        check(0.01, &[60], |a| SHAPE.enter(&a[0]).to_vec(), |_, dy| vec![SHAPE.leave(dy).to_vec()]);
        check(
            0.01,
            &[2 * 4 * 8 * 2],
            |a| SHAPE.leave(&a[0]).to_vec(),
            |_, dy| vec![SHAPE.enter(dy).to_vec()],
        );
    }

    #[test]
    fn values() {
        let half = downsample(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 2, 1, 0.25);
        assert_eq!(half[..], [2.5, 4.5]);
        assert_eq!(upsample(&half, 2, 1, 1.0)[..], [2.5, 2.5, 4.5, 4.5, 2.5, 2.5, 4.5, 4.5]);
        let rows: Vec<f32> = (0..60).map(|i| i as f32).collect();
        let inside = SHAPE.enter(&rows);
        assert_eq!(inside.len(), 2 * 4 * 8 * 2);
        assert_eq!(inside[..4], [0.0, 15.0, 1.0, 16.0]);
        assert_eq!(SHAPE.leave(&inside)[..], rows[..]);
    }
}
