//! For tests: gradients against central differences.

use super::kernels::raw;
use super::layers::parameters::Parameters;
use super::training::weights::{Weight, Weights};
use candle_core::{Device, Tensor, Var};
use onsager_numerics::random::Streams;

/// Normal numbers that differ from one `index` to another.
pub fn normal(index: u64, len: usize) -> Vec<f32> {
    let mut out = vec![0.0; len];
    Streams::new(1, "gradient check").stream(index).fill_normal(&mut out);
    out
}

/// Checks the gradients of Σ r·f(inputs), r being random, at some numbers of each input (normal, of these lengths).
/// `gradients` gives them for the inputs and r.
///
/// The difference quotient with step h errs by h²/6 of a third derivative and by rounding, about 1e-7·Σ|r·f|/h: both, with
/// h = 0.01 or, for what is linear, 0.5, below 2e-3·(1 + |gradient|) for the small sizes in use.
pub fn check(
    step: f32,
    lengths: &[usize],
    f: impl Fn(&[Vec<f32>]) -> Vec<f32>,
    gradients: impl Fn(&[Vec<f32>], &[f32]) -> Vec<Vec<f32>>,
) {
    let inputs: Vec<Vec<f32>> = lengths.iter().enumerate().map(|(i, &len)| normal(i as u64, len)).collect();
    let weights = normal(100, f(&inputs).len());
    let value = |inputs: &[Vec<f32>]| -> f64 {
        f(inputs).iter().zip(&weights).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum()
    };
    for (i, gradient) in gradients(&inputs, &weights).iter().enumerate() {
        assert_eq!(gradient.len(), inputs[i].len());
        let mut choose = Streams::new(1, "gradient check").stream(200 + i as u64);
        for _ in 0..12 {
            let at = choose.below(gradient.len() as u64) as usize;
            let (mut up, mut down) = (inputs.clone(), inputs.clone());
            up[i][at] += step;
            down[i][at] -= step;
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

/// Makes random what begins at zero, so that every path counts; returns the parameters of each pack.
pub fn moved(parameters: &Parameters) -> Vec<Vec<f32>> {
    let mut packs = parameters.values().unwrap();
    let mut index = 300;
    for (values, parts) in packs.iter_mut().zip(parameters.parts()) {
        for part in parts {
            let numbers = part.slot.of_mut(values);
            if numbers.iter().all(|x| *x == 0.0) {
                let noise = normal(index, numbers.len());
                numbers.iter_mut().zip(noise).for_each(|(x, r)| *x = 0.2 * r);
            }
            index += 1;
        }
    }
    parameters.change(|pack, to| to.copy_from_slice(&packs[pack])).unwrap();
    packs
}

/// The parameters as their file has them.
pub fn weights(parameters: &Parameters) -> Weights {
    let values = parameters.values().unwrap();
    let packs = parameters.parts().into_iter().zip(values);
    let parts = packs.flat_map(|(parts, values)| {
        parts.into_iter().map(move |part| {
            let weight = Weight { shape: part.shape.clone(), values: part.slot.of(&values).to_vec() };
            (part.name, weight)
        })
    });
    Weights { tensors: parts.collect(), description: String::new() }
}

/// The same parameters, fixed.
pub fn fixed(parameters: &Parameters) -> Parameters {
    Parameters::fixed(weights(parameters), &Device::Cpu)
}

/// The gradient of Σ r·f(x), r being random, at a random x [n, d].
fn input_gradient(n: usize, d: usize, f: &dyn Fn(&Tensor) -> Tensor) -> Vec<f32> {
    let x = Var::from_tensor(&raw::tensor(normal(0, n * d), (n, d)).unwrap()).unwrap();
    let out = f(&x);
    let weights = raw::tensor(normal(100, out.elem_count()), out.shape().clone()).unwrap();
    let gradients = (out * weights).unwrap().sum_all().unwrap().backward().unwrap();
    raw::values(gradients.get(&x).unwrap()).unwrap()
}

/// Checks that a network in training and a fixed one with the same parameters have the same gradient of their input.
pub fn check_fixed(
    n: usize,
    d: usize,
    trained: impl Fn(&Tensor) -> Tensor,
    fixed: impl Fn(&Tensor) -> Tensor,
) {
    let gradient = input_gradient(n, d, &fixed);
    assert!(gradient.iter().all(|g| g.is_finite()) && gradient.iter().any(|g| g.abs() > 1e-3));
    assert_eq!(gradient, input_gradient(n, d, &trained));
}

/// Checks the gradient of Σ r·f(x) of a whole network in its input [n, d] and in each of its parameters, along its own
/// direction, against a central difference of step 0.01 (relative truncation and rounding below 1 %).
///
/// Parameters that begin at zero are made random, so that every path counts.
pub fn check_network(parameters: &Parameters, n: usize, d: usize, f: impl Fn(&Tensor) -> Tensor) {
    let before = moved(parameters);
    let start = normal(0, n * d);
    let x = Var::from_tensor(&raw::tensor(start.clone(), (n, d)).unwrap()).unwrap();
    let out = f(&x);
    let weights = normal(100, out.elem_count());
    let value = || -> f64 {
        let out = raw::values(&f(&x)).unwrap();
        out.iter().zip(&weights).map(|(&y, &w)| f64::from(y) * f64::from(w)).sum()
    };
    let weighted = (&out * raw::tensor(weights.clone(), out.shape().clone()).unwrap()).unwrap();
    let gradients = weighted.sum_all().unwrap().backward().unwrap();
    let norm = |g: &[f32]| g.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
    let close = |name: &str, slope: f64, size: f64| {
        assert!((slope - size).abs() < 0.01 * size + 2e-3, "{name}: {size}, differences give {slope}");
    };

    for (i, (pack, parts)) in parameters.packs().iter().zip(parameters.parts()).enumerate() {
        let gradient = raw::values(gradients.get(pack.tensor()).unwrap()).unwrap();
        for part in parts {
            let gradient = part.slot.of(&gradient);
            let size = norm(gradient);
            let step_along = |sign: f32| {
                let step = sign * 0.01 / size.max(1e-12) as f32;
                parameters
                    .change(|pack, to| {
                        to.copy_from_slice(&before[pack]);
                        if pack == i {
                            part.slot.of_mut(to).iter_mut().zip(gradient).for_each(|(x, g)| *x += step * g);
                        }
                    })
                    .unwrap();
                value()
            };
            close(&part.name, (step_along(1.0) - step_along(-1.0)) / 0.02, size);
        }
    }
    parameters.change(|pack, to| to.copy_from_slice(&before[pack])).unwrap();

    let gradient = raw::values(gradients.get(&x).unwrap()).unwrap();
    let size = norm(&gradient);
    let step_along = |sign: f32| {
        let step = sign * 0.01 / size as f32;
        let values = start.iter().zip(&gradient).map(|(x, g)| x + step * g).collect();
        x.set(&raw::tensor(values, (n, d)).unwrap()).unwrap();
        value()
    };
    close("the input", (step_along(1.0) - step_along(-1.0)) / 0.02, size);
}
