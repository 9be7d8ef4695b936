//! Buffers that are used again: activations of the same few sizes come and go at every step, and fresh memory from the
//! system costs a page fault for every 4 KiB.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Numbers that go back to the pool when they are dropped.
#[derive(Debug)]
pub struct Buffer(Vec<f32>);

/// What there is of one size.
#[derive(Debug, Default)]
struct Class {
    free: Vec<Vec<f32>>,
    /// How many times there was none when one was asked for. No more are kept: where nothing asks, as for gradients that
    /// come from another device, what is dropped would only pile up.
    missed: usize,
}

type Pool = Mutex<HashMap<usize, Class>>;

fn pool() -> &'static Pool {
    static POOL: OnceLock<Pool> = OnceLock::new();
    POOL.get_or_init(Pool::default)
}

/// Has memory that is freed kept for what comes next, until [`release`]: candle makes each tensor anew, and the page faults
/// of fresh memory took an eighth of a training step.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        // Above these sizes memory goes back to the system, the first being the largest that glibc takes (`mallopt(3)`); and
        // this much more is taken than is asked for.
        let settings = [
            (libc::M_MMAP_THRESHOLD, 1 << 25),
            (libc::M_TRIM_THRESHOLD, i32::MAX),
            (libc::M_TOP_PAD, 1 << 26),
        ];
        ONCE.call_once(|| {
            for (what, value) in settings {
                // SAFETY: it may be called at any time, and a value that it does not like changes nothing.
                unsafe { libc::mallopt(what, value) };
            }
        });
    }
}

/// Gives the pool's memory, and what else is free, back to the system; buffers in use are not touched.
pub fn release() {
    pool().lock().unwrap_or_else(PoisonError::into_inner).clear();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

impl Buffer {
    /// `len` numbers of an earlier use, or zeros: for what is overwritten anyway.
    pub fn stale(len: usize) -> Buffer {
        Buffer::pooled(len).unwrap_or_else(|| Buffer(vec![0.0; len]))
    }

    fn pooled(len: usize) -> Option<Buffer> {
        let mut pool = pool().lock().unwrap_or_else(PoisonError::into_inner);
        let class = pool.entry(len).or_default();
        let found = class.free.pop().map(Buffer);
        class.missed += usize::from(found.is_none());
        found
    }

    /// `len` zeros.
    pub fn zeros(len: usize) -> Buffer {
        let mut buffer = Buffer::stale(len);
        buffer.fill(0.0);
        buffer
    }

    /// A copy.
    pub fn of(values: &[f32]) -> Buffer {
        match Buffer::pooled(values.len()) {
            Some(mut buffer) => {
                buffer.copy_from_slice(values);
                buffer
            }
            None => Buffer(values.to_vec()),
        }
    }

    /// These numbers, which the pool gets when they are dropped, if it can use them.
    pub fn from_vec(numbers: Vec<f32>) -> Buffer {
        Buffer(numbers)
    }

    /// The numbers, for good.
    pub fn into_vec(mut self) -> Vec<f32> {
        std::mem::take(&mut self.0)
    }
}

/// How many buffers of this size are free.
#[cfg(test)]
pub(crate) fn free(len: usize) -> usize {
    pool().lock().unwrap_or_else(PoisonError::into_inner).get(&len).map_or(0, |class| class.free.len())
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            let values = std::mem::take(&mut self.0);
            let mut pool = pool().lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(class) = pool.get_mut(&values.len()).filter(|class| class.free.len() < class.missed) {
                class.free.push(values);
            }
        }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}
