//! The operations that losses are made of: rows with their own coefficients, weighted squares, cross-entropy.
//! Sums run in f64, in order.

use crate::nn::kernels::pointwise::exp;
use crate::nn::kernels::raw;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

/// a_i·x_i + b_i·y_i for the rows of x and y, [n, d] both.
pub fn combine(x: &Tensor, a: &[f32], y: &Tensor, b: &[f32]) -> Result<Tensor> {
    x.apply_op2(y, Combine { a: a.to_vec(), b: b.to_vec() })
}

/// Σ_i w_i ‖x_i‖² for the rows of x [n, d], as a scalar.
pub fn weighted_squares(x: &Tensor, weights: &[f32]) -> Result<Tensor> {
    x.apply_op1(WeightedSquares { weights: weights.to_vec() })
}

/// Σ_i weights_i ‖predicted_i − target_i‖².
pub fn squared_error(predicted: &Tensor, target: &Tensor, weights: &[f32]) -> Result<Tensor> {
    let (plus, minus) = (vec![1.0; weights.len()], vec![-1.0; weights.len()]);
    weighted_squares(&combine(predicted, &plus, target, &minus)?, weights)
}

/// `−Σ_i ln softmax(x_i)[label_i]` for logits x [n, classes], as a scalar.
pub fn cross_entropy(x: &Tensor, labels: &[u32]) -> Result<Tensor> {
    x.apply_op1(CrossEntropy { labels: labels.to_vec() })
}

/// The softmax of a row of logits, in f64.
pub fn softmax(row: &[f32]) -> Vec<f64> {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = row.iter().map(|x| f64::from(exp(x - largest))).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

fn scaled_rows(x: &[f32], factors: &[f32]) -> Vec<f32> {
    let width = x.len() / factors.len();
    x.chunks_exact(width).zip(factors).flat_map(|(row, f)| row.iter().map(move |x| f * x)).collect()
}

struct Combine {
    a: Vec<f32>,
    b: Vec<f32>,
}

impl CustomOp2 for Combine {
    fn name(&self) -> &'static str {
        "combine"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        y: &CpuStorage,
        ly: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (n, width) = lx.shape().dims2()?;
        if lx.dims() != ly.dims() || self.a.len() != n || self.b.len() != n {
            candle_core::bail!("combine: {:?} and {:?}", lx.dims(), ly.dims());
        }
        let (x, y) = (raw::slice(x, lx)?, raw::slice(y, ly)?);
        let mut out = Vec::with_capacity(x.len());
        for (i, (x, y)) in x.chunks_exact(width).zip(y.chunks_exact(width)).enumerate() {
            out.extend(x.iter().zip(y).map(|(x, y)| self.a[i] * x + self.b[i] * y));
        }
        raw::result(out, lx.shape().clone())
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((
            raw::gradient(x, || raw::read(grad, |grad| scaled_rows(grad, &self.a)))?,
            raw::gradient(y, || raw::read(grad, |grad| scaled_rows(grad, &self.b)))?,
        ))
    }
}

struct WeightedSquares {
    weights: Vec<f32>,
}

impl CustomOp1 for WeightedSquares {
    fn name(&self) -> &'static str {
        "weighted_squares"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, width) = layout.shape().dims2()?;
        if n != self.weights.len() {
            candle_core::bail!("weighted_squares: {n} rows and {} weights", self.weights.len());
        }
        let mut total = 0.0;
        for (row, &w) in raw::slice(x, layout)?.chunks_exact(width).zip(&self.weights) {
            total += f64::from(w) * row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
        }
        raw::result(vec![total as f32], ())
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = raw::values(dy)?[0];
        let factors: Vec<f32> = self.weights.iter().map(|w| 2.0 * w * dy).collect();
        raw::gradient(x, || raw::read(x, |x| scaled_rows(x, &factors)))
    }
}

struct CrossEntropy {
    labels: Vec<u32>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (n, classes) = layout.shape().dims2()?;
        if n != self.labels.len() || self.labels.iter().any(|&y| y as usize >= classes) {
            candle_core::bail!("cross_entropy: {n} rows of {classes} classes, {} labels", self.labels.len());
        }
        let mut total = 0.0;
        for (row, &label) in raw::slice(x, layout)?.chunks_exact(classes).zip(&self.labels) {
            total -= libm::log(softmax(row)[label as usize].max(f64::MIN_POSITIVE));
        }
        raw::result(vec![total as f32], ())
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (_, classes) = x.dims2()?;
        let dy = f64::from(raw::values(dy)?[0]);
        raw::gradient(x, || {
            raw::read(x, |x| {
                let mut out = Vec::with_capacity(x.len());
                for (row, &label) in x.chunks_exact(classes).zip(&self.labels) {
                    out.extend(
                        softmax(row).iter().enumerate().map(|(class, p)| {
                            (dy * (p - f64::from(u8::from(class == label as usize)))) as f32
                        }),
                    );
                }
                out
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check;
    use candle_core::Var;

    /// Through candle's own reverse pass.
    fn check(shapes: &[(usize, usize)], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
        let vars = |a: &[Vec<f32>]| -> Vec<Var> {
            let tensors = a.iter().zip(shapes).map(|(a, &shape)| raw::tensor(a.clone(), shape).unwrap());
            tensors.map(|tensor| Var::from_tensor(&tensor).unwrap()).collect()
        };
        let result = |vars: &[Var]| {
            let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
            f(&tensors).unwrap()
        };
        let lengths: Vec<usize> = shapes.iter().map(|(rows, columns)| rows * columns).collect();
        gradient_check::check(
            0.01,
            &lengths,
            |a| raw::values(&result(&vars(a))).unwrap(),
            |a, dy| {
                let vars = vars(a);
                let out = result(&vars);
                let dy = raw::tensor(dy.to_vec(), out.shape().clone()).unwrap();
                let store = (out * dy).unwrap().sum_all().unwrap().backward().unwrap();
                vars.iter().map(|var| raw::values(store.get(var).unwrap()).unwrap()).collect()
            },
        );
    }

    #[test]
    fn gradients() {
        check(&[(3, 4), (3, 4)], |a| combine(&a[0], &[1.0, -2.0, 0.5], &a[1], &[0.0, 3.0, 1.0]));
        check(&[(3, 4)], |a| weighted_squares(&a[0], &[0.5, 0.0, 2.0]));
        check(&[(3, 4)], |a| cross_entropy(&a[0], &[0, 3, 1]));
    }

    /// Equal logits cost ln(classes); weighted squares are what they say.
    #[test]
    fn values() {
        let zeros = raw::tensor(vec![0.0; 10], (2, 5)).unwrap();
        let loss = raw::values(&cross_entropy(&zeros, &[1, 4]).unwrap()).unwrap();
        assert!((f64::from(loss[0]) - 2.0 * 5f64.ln()).abs() < 1e-6);
        let x = raw::tensor(vec![1.0, 2.0, 3.0, 4.0], (2, 2)).unwrap();
        assert_eq!(raw::values(&weighted_squares(&x, &[2.0, 1.0]).unwrap()).unwrap(), [35.0]);
    }
}
