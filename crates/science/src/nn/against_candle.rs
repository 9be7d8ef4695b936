//! For tests: the networks again in candle's own operations and its autograd, on images [n, channels, h, w]. Results and
//! all gradients must agree.
//!
//! Upsampling is a broadcast, because the reverse pass of candle's own assigns where it should add.

use super::classifier::{Classifier, ClassifierConfig, TimeConfig};
use super::gradient_check::{moved, normal};
use super::mlp::{Mlp, MlpConfig};
use super::network::Head;
use super::operation::Conditions;
use super::parameters::{Packed, Parameters};
use super::raw;
use super::time_embedding::time_embedding;
use super::unet::{Unet, UnetConfig};
use candle_core::{Result, Tensor, Var};
use std::collections::BTreeMap;

/// The parameters of a network by name.
struct Stock(BTreeMap<String, Var>);

fn tensor(values: Vec<f32>, shape: &[usize]) -> Tensor {
    raw::tensor(values, shape).unwrap()
}

impl Stock {
    fn of(packed: &Packed) -> Stock {
        let values = raw::values(packed.tensor()).unwrap();
        let var = |entry: &super::parameters::Entry| {
            Var::from_tensor(&tensor(entry.slot.of(&values).to_vec(), &entry.shape)).unwrap()
        };
        Stock(packed.entries().iter().map(|entry| (entry.name.clone(), var(entry))).collect())
    }

    fn get(&self, name: &str) -> &Tensor {
        self.0.get(name).unwrap_or_else(|| panic!("a parameter `{name}`")).as_tensor()
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn dense(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        x.matmul(self.get(&format!("{name}.w")))?.broadcast_add(self.get(&format!("{name}.b")))
    }

    /// A 3×3 convolution, with its bias if it has one.
    fn conv(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let w = self.get(&format!("{name}.w")).permute((3, 2, 0, 1))?.contiguous()?;
        let y = x.conv2d(&w, 1, 1, 1, 1)?;
        let bias = format!("{name}.b");
        if self.has(&bias) { y.broadcast_add(&by_channel(self.get(&bias))?) } else { Ok(y) }
    }

    fn norm(&self, name: &str, x: &Tensor, groups: usize) -> Result<Tensor> {
        let (n, c, h, w) = x.dims4()?;
        let grouped = x.reshape((n, groups, c / groups * h * w))?;
        let centred = grouped.broadcast_sub(&grouped.mean_keepdim(2)?)?;
        let deviation = (centred.sqr()?.mean_keepdim(2)? + 1e-5)?.sqrt()?;
        let x = centred.broadcast_div(&deviation)?.reshape((n, c, h, w))?;
        let x = x.broadcast_mul(&by_channel(self.get(&format!("{name}.gamma")))?)?;
        x.broadcast_add(&by_channel(self.get(&format!("{name}.beta")))?)
    }

    /// The embedding of times and classes.
    fn embedded(&self, on: &Conditions, width: usize) -> Result<Tensor> {
        let n = on.times.len();
        let x = tensor(time_embedding(&on.times, width).to_vec(), &[n, width]);
        let mut x = self.dense("time.2", &silu(&self.dense("time.1", &x)?)?)?;
        if self.has("class.w") {
            x = (x + self.class(on)?)?;
        }
        silu(&x)
    }

    /// The row of each class, by a product with zeros and ones.
    fn class(&self, on: &Conditions) -> Result<Tensor> {
        let table = self.get("class.w");
        let (rows, n) = (table.dim(0)?, on.times.len());
        let mut chosen = vec![0.0; n * rows];
        on.classes.iter().enumerate().for_each(|(i, &class)| chosen[i * rows + class as usize] = 1.0);
        tensor(chosen, &[n, rows]).matmul(table)
    }

    fn block(&self, name: &str, x: &Tensor, embedded: &Tensor, c: &UnetConfig) -> Result<Tensor> {
        let at = |part: &str| format!("{name}.{part}");
        let h = self.conv(&at("conv1"), &silu(&self.norm(&at("norm1"), x, c.groups)?)?)?;
        let time = self.dense(&at("time"), embedded)?.unsqueeze(2)?.unsqueeze(3)?;
        let h = if c.scale_shift {
            let parts = time.chunk(2, 1)?;
            let normed = self.norm(&at("norm2"), &h, c.groups)?;
            normed.broadcast_mul(&(&parts[0] + 1.0)?)?.broadcast_add(&parts[1])?
        } else {
            self.norm(&at("norm2"), &h.broadcast_add(&time)?, c.groups)?
        };
        let mut y = self.conv(&at("conv2"), &silu(&h)?)?;
        y = (y + if self.has(&at("skip.w")) { self.pixelwise(&at("skip"), x)? } else { x.clone() })?;
        if self.has(&at("attention.out.w")) { self.attention(&at("attention"), &y, c) } else { Ok(y) }
    }

    /// A 1×1 convolution.
    fn pixelwise(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let (n, c, h, w) = x.dims4()?;
        let rows = x.permute((0, 2, 3, 1))?.reshape((n * h * w, c))?;
        let y = self.dense(name, &rows)?;
        let outputs = y.dim(1)?;
        y.reshape((n, h, w, outputs))?.permute((0, 3, 1, 2))?.contiguous()
    }

    fn attention(&self, name: &str, x: &Tensor, c: &UnetConfig) -> Result<Tensor> {
        let (n, channels, h, w) = x.dims4()?;
        let normed = self.norm(&format!("{name}.norm"), x, c.groups)?;
        let qkv = self.pixelwise(&format!("{name}.qkv"), &normed)?;
        let width = channels / c.heads;
        let qkv = qkv.reshape((n, 3, c.heads, width, h * w))?;
        let part = |i: usize| qkv.narrow(1, i, 1)?.squeeze(1)?.transpose(2, 3)?.contiguous();
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let scores = (q.matmul(&k.transpose(2, 3)?.contiguous()?)? / (width as f64).sqrt())?;
        let powers = scores.broadcast_sub(&scores.max_keepdim(3)?.detach())?.exp()?;
        let weights = powers.broadcast_div(&powers.sum_keepdim(3)?)?;
        let mixed = weights.matmul(&v)?.transpose(2, 3)?.contiguous()?.reshape((n, channels, h, w))?;
        x + self.pixelwise(&format!("{name}.out"), &mixed)?
    }

    fn unet(&self, c: &UnetConfig, x: &Tensor, on: &Conditions) -> Result<Tensor> {
        let embedded = self.embedded(on, c.embedding)?;
        let mut h = self.conv("in", x)?;
        let mut skips = Vec::new();
        for level in 0..c.multipliers.len() {
            if level > 0 {
                h = halve(&h)?;
            }
            for block in 0..c.blocks {
                h = self.block(&format!("d{level}.{block}"), &h, &embedded, c)?;
                skips.push(h.clone());
            }
        }
        for middle in ["m", "m2"].into_iter().filter(|name| self.has(&format!("{name}.conv1.w"))) {
            h = self.block(middle, &h, &embedded, c)?;
        }
        for level in (0..c.multipliers.len()).rev() {
            if level + 1 < c.multipliers.len() {
                h = double(&h)?;
            }
            for block in 0..c.blocks {
                h = Tensor::cat(&[&h, &skips.pop().expect("a skip for each block")], 1)?;
                h = self.block(&format!("u{level}.{block}"), &h, &embedded, c)?;
            }
        }
        self.conv("out", &silu(&self.norm("out.norm", &h, c.groups)?)?)?.flatten_from(1)
    }

    fn mlp(&self, c: &MlpConfig, x: &Tensor, on: &Conditions) -> Result<Tensor> {
        let n = on.times.len();
        let embedded = tensor(time_embedding(&on.times, c.embedding).to_vec(), &[n, c.embedding]);
        let embedded = (embedded + self.class(on)?)?;
        let mut h = x.clone();
        for i in 0..c.layers {
            let time = embedded.matmul(self.get(&format!("time.{i}.w")))?;
            h = silu(&(self.dense(&i.to_string(), &h)? + time)?)?;
        }
        self.dense("out", &h)
    }

    fn classifier(&self, c: &ClassifierConfig, x: &Tensor, on: &Conditions) -> Result<Tensor> {
        let width = c.time.as_ref().map_or(0, |time| time.embedding);
        let embedded = self.embedded(on, width)?;
        let mut h = x.clone();
        for i in 1..=3 {
            let time = embedded.matmul(self.get(&format!("conv{i}.time.w")))?.unsqueeze(2)?.unsqueeze(3)?;
            h = self.conv(&format!("conv{i}"), &h)?.broadcast_add(&time)?;
            h = silu(&self.norm(&format!("norm{i}"), &h, c.channels / 8)?)?;
            if i < 3 {
                h = halve(&h)?;
            }
        }
        // The flat order is that of channels-last images.
        let features = silu(&self.dense("features", &h.permute((0, 2, 3, 1))?.flatten_from(1)?)?)?;
        Tensor::cat(&[&features, &self.dense("out", &features)?], 1)
    }
}

/// A vector of the channels beside images.
fn by_channel(numbers: &Tensor) -> Result<Tensor> {
    numbers.reshape((1, numbers.elem_count(), 1, 1))
}

fn silu(x: &Tensor) -> Result<Tensor> {
    x / (x.neg()?.exp()? + 1.0)?
}

fn halve(x: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    x.reshape(&[n, c, h / 2, 2, w / 2, 2][..])?.mean(5)?.mean(3)
}

fn double(x: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    let six = x.reshape(&[n, c, h, 1, w, 1][..])?.broadcast_as(&[n, c, h, 2, w, 2][..])?;
    six.contiguous()?.reshape((n, c, 2 * h, 2 * w))
}

/// Compares results and the gradients of Σ r·result in x and in every parameter. Sums of up to some thousand terms of size
/// one in f32, and Winograd's transforms, leave errors of a few 1e-5 of the largest.
fn compare(
    packed: &Packed,
    shape: &[usize],
    ours: impl Fn(&Tensor) -> Tensor,
    theirs: impl Fn(&Stock, &Tensor) -> Result<Tensor>,
) {
    moved(packed);
    let (n, size) = (shape[0], shape[1..].iter().product::<usize>());
    let x = Var::from_tensor(&tensor(normal(1, n * size), &[n, size])).unwrap();
    let stock = Stock::of(packed);
    let (y, y_stock) = (ours(&x), theirs(&stock, &x.reshape(shape).unwrap()).unwrap());
    let r = tensor(normal(2, y.elem_count()), y.dims());
    let backward = |y: &Tensor| (y * &r).unwrap().sum_all().unwrap().backward().unwrap();
    let (gradients, stock_gradients) = (backward(&y), backward(&y_stock));
    let close = |name: &str, a: &[f32], b: &Tensor| {
        let b = raw::values(&b.contiguous().unwrap()).unwrap();
        let largest = b.iter().fold(0.0f32, |m, b| m.max(b.abs()));
        assert!(a.len() == b.len() && largest > 1e-3, "{name}: largest {largest}");
        for (a, b) in a.iter().zip(&b) {
            assert!(
                (a - b).abs() < 1e-4 * largest,
                "{name}: {a}, candle gives {b}, the largest is {largest}"
            );
        }
    };
    close("the result", &raw::values(&y).unwrap(), &y_stock);
    close("the input", &raw::values(gradients.get(&x).unwrap()).unwrap(), stock_gradients.get(&x).unwrap());
    let gradient = raw::values(gradients.get(packed.tensor()).unwrap()).unwrap();
    for entry in packed.entries() {
        let expected = stock_gradients.get(stock.get(&entry.name)).expect("a gradient");
        close(&entry.name, entry.slot.of(&gradient), expected);
    }
}

fn conditions() -> Conditions {
    Conditions { times: vec![20.0, 450.0, 990.0], classes: vec![1, 2, 0], dropout: vec![] }
}

/// Plain and with attention, scale-shift norm, classes and a variance; with few channels and with Winograd's transform.
#[test]
fn unets() {
    let plain = UnetConfig { multipliers: vec![1, 2], groups: 2, embedding: 8, ..UnetConfig::default() };
    for channels in [4, 16] {
        let plain = UnetConfig { channels, ..plain.clone() };
        let all =
            UnetConfig { attention: vec![0, 1], heads: 2, scale_shift: true, blocks: 2, ..plain.clone() };
        for (c, head) in [(plain, Head::default()), (all, Head { variance: true, classes: 2 })] {
            let unet = Unet::new(&c, &[1, 8, 4], head, &mut Parameters::random(3)).unwrap();
            let classes = if head.classes > 0 { conditions().classes } else { Vec::new() };
            let on = Conditions { classes, ..conditions() };
            let ours = |x: &Tensor| unet.forward(x, &on).unwrap();
            compare(unet.packed(), &[3, 1, 8, 4], ours, |stock, x| stock.unet(&c, x, &on));
        }
    }
}

#[test]
fn mlps() {
    let c = MlpConfig { width: 40, layers: 3, embedding: 6, ..MlpConfig::default() };
    let head = Head { variance: true, classes: 2 };
    let mlp = Mlp::new(&c, &[2], head, &mut Parameters::random(3)).unwrap();
    let ours = |x: &Tensor| mlp.forward(x, &conditions()).unwrap();
    compare(mlp.packed(), &[3, 2], ours, |stock, x| stock.mlp(&c, x, &conditions()));
}

#[test]
fn classifiers() {
    let c = ClassifierConfig {
        data: "noise".into(),
        shape: vec![1, 8, 4],
        classes: 3,
        channels: 16,
        features: 5,
        time: Some(TimeConfig { embedding: 6, schedule: "cosine".into() }),
    };
    let network = Classifier::new(c.clone(), &mut Parameters::random(3)).unwrap();
    let on = Conditions::at(&conditions().times);
    let ours = |x: &Tensor| {
        let (features, logits) = network.forward(x, &on).unwrap();
        Tensor::cat(&[features, logits], 1).unwrap()
    };
    compare(network.packed(), &[3, 1, 8, 4], ours, |stock, x| stock.classifier(&c, x, &on));
}
