//! The multilayer perceptron of score-based models in the plane: (x, t) through hidden layers with swish to a vector of
//! the size of x, in `f64`, with exact derivatives by x.
//!
//! Parameters, by name: `0.{w,b}`, `1.{w,b}` … for the hidden layers, w [in, out], and `out.{w,b}`; the inputs of the first
//! layer are the coordinates, then t.

use crate::nn::error::NnError;
use crate::nn::kernels::jet::Jet;
use crate::nn::kernels::lane::Lane;
use crate::nn::training::weights::Weights;
use onsager_numerics::kernel::Level;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;

/// The size of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SwishMlpConfig {
    /// Width of the hidden layers.
    pub width: usize,
    /// Number of hidden layers.
    pub layers: usize,
}

impl Default for SwishMlpConfig {
    fn default() -> SwishMlpConfig {
        SwishMlpConfig { width: 128, layers: 3 }
    }
}

impl SwishMlpConfig {
    /// The (outputs, inputs) of each layer for points of `size` coordinates.
    pub fn shapes(&self, size: usize) -> Vec<(usize, usize)> {
        let mut shapes = Vec::new();
        let mut inputs = size + 1;
        for _ in 0..self.layers {
            shapes.push((self.width, inputs));
            inputs = self.width;
        }
        shapes.push((size, inputs));
        shapes
    }
}

/// Rows of a weight that stand together, input by input, so that a product reads them in order.
const BAND: usize = 8;
/// The same for the rows after the last whole band; an odd one is followed by zeros.
const PAIR: usize = 2;

/// y = W x + b, W [outputs, inputs] in bands of rows.
#[derive(Debug, Clone)]
struct Layer {
    outputs: usize,
    inputs: usize,
    w: Vec<f64>,
    b: Vec<f64>,
}

/// The network.
#[derive(Debug, Clone)]
pub struct SwishMlp {
    layers: Vec<Layer>,
}

/// The name of layer `i` of `layers` hidden ones.
pub fn layer_name(i: usize, layers: usize) -> String {
    if i < layers { i.to_string() } else { "out".to_owned() }
}

/// The kernel levels as constants. Both vector levels fuse multiplication and addition, so they give the same numbers.
const PORTABLE: u8 = 0;
const AVX2: u8 = 1;
const AVX512: u8 = 2;

thread_local! {
    /// The activations of two layers; a fresh vector for each call would cost page faults.
    static ACTIVATIONS: RefCell<[Vec<Lane>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

impl SwishMlp {
    /// The network with these weights, for points of `size` coordinates.
    pub fn new(config: SwishMlpConfig, size: usize, weights: &Weights) -> Result<SwishMlp, NnError> {
        let mut layers = Vec::new();
        for (i, (outputs, inputs)) in config.shapes(size).into_iter().enumerate() {
            let name = layer_name(i, config.layers);
            let w = tensor(weights, &format!("{name}.w"), &[inputs, outputs])?;
            let b = tensor(weights, &format!("{name}.b"), &[outputs])?;
            layers.push(Layer::new(outputs, inputs, &w, b));
        }
        Ok(SwishMlp { layers })
    }

    /// The network at eight points x, each at its time t, with the derivatives by x.
    pub fn evaluate<const D: usize, const ORDER: usize>(&self, t: Lane, x: [Lane; D]) -> [Jet<D, ORDER>; D] {
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx512f")]
            fn avx512<const D: usize, const O: usize>(
                of: &SwishMlp,
                t: Lane,
                x: [Lane; D],
            ) -> [Jet<D, O>; D] {
                of.run::<D, O, AVX512>(t, x)
            }
            #[target_feature(enable = "avx2,fma")]
            fn avx2<const D: usize, const O: usize>(of: &SwishMlp, t: Lane, x: [Lane; D]) -> [Jet<D, O>; D] {
                of.run::<D, O, AVX2>(t, x)
            }
            match Level::current() {
                // SAFETY: `Level::current` is at most what the machine can run.
                Level::Avx512 => return unsafe { avx512(self, t, x) },
                // SAFETY: as above.
                Level::Avx2 => return unsafe { avx2(self, t, x) },
                Level::Portable => {}
            }
        }
        self.run::<D, ORDER, PORTABLE>(t, x)
    }

    #[inline(always)]
    fn run<const D: usize, const ORDER: usize, const LEVEL: u8>(
        &self,
        t: Lane,
        x: [Lane; D],
    ) -> [Jet<D, ORDER>; D] {
        let mut work = ACTIVATIONS.take();
        let [a, b] = &mut work;
        let columns = Jet::<D, ORDER>::COLUMNS;
        a.clear();
        for (i, &x) in x.iter().enumerate() {
            a.extend_from_slice(Jet::<D, ORDER>::variable(i, x).columns());
        }
        a.extend_from_slice(Jet::<D, ORDER>::constant(t).columns());
        for (i, layer) in self.layers.iter().enumerate() {
            layer.apply::<D, ORDER, LEVEL>(a, b);
            if i + 1 < self.layers.len() {
                for neuron in b.chunks_exact_mut(columns) {
                    let jet = Jet::<D, ORDER>::from_columns(neuron);
                    let jet = if LEVEL == PORTABLE { jet.swish::<false>() } else { jet.swish::<true>() };
                    neuron.copy_from_slice(jet.columns());
                }
            }
            std::mem::swap(a, b);
        }
        let out = std::array::from_fn(|i| Jet::from_columns(&a[i * columns..]));
        ACTIVATIONS.set(work);
        out
    }
}

/// The numbers of the weight `name`, which must have this shape.
fn tensor(weights: &Weights, name: &str, shape: &[usize]) -> Result<Vec<f64>, NnError> {
    match weights.tensors.get(name) {
        None => Err(NnError::MissingWeight { name: name.into() }),
        Some(weight) if weight.shape != shape => {
            let (found, expected) = (weight.shape.clone(), shape.to_vec());
            Err(NnError::WeightShape { name: name.into(), found, expected })
        }
        Some(weight) => Ok(weight.values.iter().map(|&x| f64::from(x)).collect()),
    }
}

impl Layer {
    /// From the weight [inputs, outputs].
    fn new(outputs: usize, inputs: usize, weight: &[f64], b: Vec<f64>) -> Layer {
        let whole = outputs / BAND * BAND;
        let mut w = Vec::new();
        let mut band = |first: usize, rows: usize| {
            for i in 0..inputs {
                let row = |row: usize| if row < outputs { weight[i * outputs + row] } else { 0.0 };
                w.extend((first..first + rows).map(row));
            }
        };
        (0..whole).step_by(BAND).for_each(|first| band(first, BAND));
        (whole..outputs).step_by(PAIR).for_each(|first| band(first, PAIR));
        Layer { outputs, inputs, w, b }
    }

    /// y = W x + b, a row of columns for each neuron, in tiles whose sums fit the registers.
    #[inline(always)]
    fn apply<const D: usize, const ORDER: usize, const LEVEL: u8>(&self, x: &[Lane], y: &mut Vec<Lane>) {
        y.resize(self.outputs.next_multiple_of(PAIR) * Jet::<D, ORDER>::COLUMNS, Lane::ZERO);
        // A register of AVX-512 holds eight numbers, and there are 32; elsewhere there is room for half as many sums or less.
        if LEVEL == AVX512 {
            match (D, ORDER) {
                (_, 0) => self.product::<1, 8, 1, LEVEL>(x, y),
                (1, 1) => self.product::<2, 8, 2, LEVEL>(x, y),
                (_, 1) => self.product::<3, 8, 3, LEVEL>(x, y),
                (1, _) => self.product::<4, 8, 2, LEVEL>(x, y),
                _ => self.product::<10, 8, 2, LEVEL>(x, y),
            }
        } else {
            match (D, ORDER) {
                (_, 0) => self.product::<1, 4, 1, LEVEL>(x, y),
                (1, 1) => self.product::<2, 4, 1, LEVEL>(x, y),
                (_, 1) => self.product::<3, 4, 1, LEVEL>(x, y),
                (1, _) => self.product::<4, 4, 1, LEVEL>(x, y),
                _ => self.product::<10, 4, 1, LEVEL>(x, y),
            }
        }
    }

    /// The product in tiles of J neurons and K of the C columns; K divides C, and J the rows of a band.
    #[inline(always)]
    fn product<const C: usize, const J: usize, const K: usize, const LEVEL: u8>(
        &self,
        x: &[Lane],
        y: &mut [Lane],
    ) {
        let whole = self.outputs / BAND * BAND;
        for column in (0..C).step_by(K) {
            for first in (0..whole).step_by(J) {
                self.tile::<C, J, K, BAND, LEVEL>(x, y, first, column);
            }
            for first in (whole..self.outputs).step_by(PAIR) {
                self.tile::<C, PAIR, K, PAIR, LEVEL>(x, y, first, column);
            }
        }
    }

    /// J neurons from `first`, in a band of ROWS rows.
    #[inline(always)]
    fn tile<const C: usize, const J: usize, const K: usize, const ROWS: usize, const LEVEL: u8>(
        &self,
        x: &[Lane],
        y: &mut [Lane],
        first: usize,
        column: usize,
    ) {
        // The bias is a constant: no derivatives.
        let mut sums: [[Lane; K]; J] = std::array::from_fn(|j| {
            let bias = self.b.get(first + j).copied().unwrap_or(0.0);
            std::array::from_fn(|k| if column + k == 0 { Lane::splat(bias) } else { Lane::ZERO })
        });
        let inside = first % ROWS;
        let band = &self.w[(first - inside) * self.inputs..][..ROWS * self.inputs];
        for (w, x) in band.chunks_exact(ROWS).zip(x.chunks_exact(C)) {
            let x: [Lane; K] = std::array::from_fn(|k| x[column + k]);
            for j in 0..J {
                let w = w[inside + j];
                for k in 0..K {
                    sums[j][k] =
                        if LEVEL == PORTABLE { sums[j][k] + w * x[k] } else { x[k].mul_add(w, sums[j][k]) };
                }
            }
        }
        for (j, sums) in sums.iter().enumerate() {
            y[(first + j) * C + column..][..K].copy_from_slice(sums);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::nn::training::weights::Weight;

    /// The small network of `benches/peers/wkb_reference.py`.
    pub(crate) fn reference() -> SwishMlp {
        let config = SwishMlpConfig { width: 4, layers: 2 };
        let rounded = |x: f64| (64.0 * x).round() / 64.0;
        let mut tensors = std::collections::BTreeMap::new();
        for (l, (outputs, inputs)) in config.shapes(2).into_iter().enumerate() {
            let w = (0..inputs * outputs).map(|n| {
                let (i, o) = (n / outputs, n % outputs);
                rounded(((7 * l + 3 * i + 5 * o + 1) as f64).sin()) as f32
            });
            let b = (0..outputs).map(|o| rounded(((2 * l + o) as f64).cos()) as f32 / 4.0);
            let name = layer_name(l, config.layers);
            let w = Weight { shape: vec![inputs, outputs], values: w.collect() };
            tensors.insert(format!("{name}.w"), w);
            tensors.insert(format!("{name}.b"), Weight { shape: vec![outputs], values: b.collect() });
        }
        SwishMlp::new(config, 2, &Weights { tensors, description: String::new() }).unwrap()
    }

    /// All derivatives against the 12 digits of an independent calculation, `benches/peers/wkb_reference.py`; those of lower order are
    /// the same numbers; each of eight different points is as if alone.
    #[test]
    fn derivatives_to_the_third_order() {
        let exact = [
            [
                0.218076785275,
                0.491104998599,
                -0.445843075869,
                0.22225898413,
                -0.202842664804,
                0.177802079769,
                -0.320662605528,
                0.294547609676,
                -0.272775533986,
                0.254336532879,
            ],
            [
                0.574864832345,
                0.683026955847,
                -0.620239917317,
                0.390727957836,
                -0.357227739012,
                0.316538436494,
                -0.434117502211,
                0.401266076118,
                -0.374528728873,
                0.35244122717,
            ],
        ];
        let network = reference();
        let t = Lane(std::array::from_fn(|i| if i == 3 { 0.4 } else { 0.1 * i as f64 }));
        let x = [0.3, -0.7].map(|x| Lane(std::array::from_fn(|i| if i == 3 { x } else { i as f64 - 2.0 })));
        let found = network.evaluate::<2, 3>(t, x);
        for (found, exact) in found.iter().zip(exact) {
            for (found, exact) in found.columns().iter().zip(exact) {
                assert!((found[3] / exact - 1.0).abs() < 1e-9, "{} {exact}", found[3]);
            }
        }
        let first = network.evaluate::<2, 1>(t, x);
        let alone = network.evaluate::<2, 3>(Lane::splat(0.4), [0.3, -0.7].map(Lane::splat));
        for k in 0..2 {
            assert_eq!(first[k].columns(), &found[k].columns()[..3]);
            assert!(alone[k].columns().iter().zip(found[k].columns()).all(|(a, b)| a[0] == b[3]));
        }
    }

    /// A weight that is missing or has another shape is named.
    #[test]
    fn wrong_weights() {
        let weights = Weights { tensors: Default::default(), description: String::new() };
        let error = SwishMlp::new(SwishMlpConfig::default(), 2, &weights).unwrap_err();
        assert!(error.to_string().contains("`0.w`"), "{error}");
    }
}
