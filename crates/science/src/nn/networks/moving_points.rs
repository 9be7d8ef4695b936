//! Points that move, for the rate of a function along their motion.

/// Points `x: [n, d]`, their velocities `v: [n, d]` and their `times: [n]`, while time passes at `rate`.
#[derive(Debug, Clone, Copy)]
pub struct MovingPoints<'a> {
    pub x: &'a [f32],
    pub v: &'a [f32],
    pub times: &'a [f32],
    pub rate: f64,
}

impl<'a> MovingPoints<'a> {
    /// Each point with its velocity.
    pub fn rows(self) -> impl Iterator<Item = (&'a [f32], &'a [f32])> {
        let size = (self.x.len() / self.times.len().max(1)).max(1);
        self.x.chunks_exact(size).zip(self.v.chunks_exact(size))
    }
}
