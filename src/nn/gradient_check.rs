//! For tests: gradients against central differences.

use super::raw;
use crate::random::Streams;
use candle_core::{Result, Tensor, Var};

/// Checks the gradients of Σ r·f(inputs), r being random, at some numbers of each input (normal, of these
/// shapes).
///
/// The difference quotient with step h = 0.01 errs by h²/6 of a third derivative and by rounding, about
/// 1e-7·Σ|r·f|/h: both below 2e-3·(1 + |gradient|) for the small shapes in use.
pub fn check(shapes: &[&[usize]], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let streams = Streams::new(1, "gradient check");
    let mut inputs: Vec<Vec<f32>> = Vec::new();
    for (i, shape) in shapes.iter().enumerate() {
        let mut values = vec![0.0; shape.iter().product()];
        streams.stream(i as u64).fill_normal(&mut values);
        inputs.push(values);
    }
    let vars: Vec<Var> = inputs
        .iter()
        .zip(shapes)
        .map(|(values, &shape)| Var::from_tensor(&raw::tensor(values.clone(), shape).unwrap()).unwrap())
        .collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let out = f(&tensors).unwrap();
    let mut weights = vec![0.0; out.elem_count()];
    streams.stream(100).fill_normal(&mut weights);
    let weighted = (&out * raw::tensor(weights.clone(), out.shape().clone()).unwrap()).unwrap();
    let gradients = weighted.sum_all().unwrap().backward().unwrap();
    let value = |inputs: &[Vec<f32>]| -> f64 {
        let tensors: Vec<Tensor> = inputs
            .iter()
            .zip(shapes)
            .map(|(values, &shape)| raw::tensor(values.clone(), shape).unwrap())
            .collect();
        let out = raw::values(&f(&tensors).unwrap()).unwrap();
        out.iter().zip(&weights).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum()
    };
    for (i, var) in vars.iter().enumerate() {
        let gradient = raw::values(gradients.get(var).unwrap()).unwrap();
        let mut choose = streams.stream(200 + i as u64);
        for _ in 0..12 {
            let at = choose.below(gradient.len() as u64) as usize;
            let (mut up, mut down) = (inputs.clone(), inputs.clone());
            up[i][at] += 0.01;
            down[i][at] -= 0.01;
            let step = f64::from(up[i][at]) - f64::from(down[i][at]);
            let expected = (value(&up) - value(&down)) / step;
            let error = (f64::from(gradient[at]) - expected).abs();
            let found = gradient[at];
            assert!(
                error < 2e-3 * (1.0 + expected.abs()),
                "input {i} at {at}: {found}, differences give {expected}"
            );
        }
    }
}
