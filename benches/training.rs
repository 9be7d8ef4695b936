//! The side of `benches/peers/training.py` that runs this crate: one training, driven by lines on the standard input.
//!
//! `training <unet|unet-all|mlp-128|mlp-256> <ours|candle> <threads> <batch>` answers each line with one, `candle` by the same
//! network on candle's own operations: `step N` and `forward N` do that N times; `save PATH` writes the averaged weights;
//! `predict MODEL IN OUT` gives a saved network's noise, all numbers as little-endian f32, IN being the samples and then
//! their times; `peak` measures the processor's fused multiply-adds in GFLOP/s; `count` is the number of parameters.

use candle_core::{Device, Tensor};
use onsager_numerics::kernel::Level;
use onsager_numerics::random::Streams;
use onsager_science::nn::error::NnError;
use onsager_science::nn::kernels::raw;
use onsager_science::nn::layers::conditions::Conditions;
use onsager_science::nn::layers::parameters::Parameters;
use onsager_science::nn::networks::head::Head;
use onsager_science::nn::networks::mlp::MlpConfig;
use onsager_science::nn::networks::network::{Network, NetworkConfig};
use onsager_science::nn::networks::rows::block_size;
use onsager_science::nn::networks::unet::UnetConfig;
use onsager_science::nn::training::adamw::AdamWConfig;
use onsager_science::nn::training::loss::weighted_squares;
use onsager_science::nn::training::trainer::Trainer;
use onsager_science::nn::training::weights::Weights;
use rayon::prelude::*;
use serde_json::json;
use std::error::Error;
use std::fs;
use std::io::{Write, stdin, stdout};
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

struct Bench {
    config: NetworkConfig,
    head: Head,
    shape: Vec<usize>,
    batch: usize,
    network: Network,
    trainer: Trainer,
    /// Whether it runs on candle's own operations.
    generic: bool,
    x: Vec<f32>,
    times: Vec<f32>,
}

impl Bench {
    fn new(network: &str, generic: bool, batch: usize) -> Outcome<Bench> {
        let all = network == "unet-all";
        let (config, shape) = match network {
            "mlp-128" => {
                (NetworkConfig::Mlp(MlpConfig { width: 128, layers: 3, ..MlpConfig::default() }), vec![2])
            }
            "mlp-256" => {
                (NetworkConfig::Mlp(MlpConfig { width: 256, layers: 4, ..MlpConfig::default() }), vec![2])
            }
            _ => {
                let mut c = UnetConfig { multipliers: vec![1, 2, 4], ..UnetConfig::default() };
                if all {
                    c = UnetConfig { attention: vec![1, 2], heads: 4, scale_shift: true, dropout: 0.1, ..c };
                }
                (NetworkConfig::Unet(c), vec![1, 32, 32])
            }
        };
        // With every kind of layer.
        let head = if all { Head { variance: true, classes: 10 } } else { Head::default() };
        let parameters = path(Parameters::random(1, &Device::Cpu), generic);
        let net = Network::new(&config, &shape, head, &parameters)?;
        let adamw = AdamWConfig { learning_rate: 1e-3, warmup: 1, weight_decay: 0.01, clip: 1.0 };
        let trainer = Trainer::new(parameters, adamw, 0.9)?;
        let mut x = vec![0.0; batch * shape.iter().product::<usize>()];
        Streams::new(1, "training bench").stream(0).fill_normal(&mut x);
        let times = (0..batch).map(|i| 1000.0 * i as f32 / batch as f32).collect();
        Ok(Bench { config, head, shape, batch, network: net, trainer, generic, x, times })
    }

    /// The rows of each block of the batch.
    fn blocks(&self) -> Vec<Range<usize>> {
        let block = block_size(&self.shape, self.batch);
        (0..self.batch).step_by(block).map(|first| first..(first + block).min(self.batch)).collect()
    }

    fn step(&mut self) -> Outcome<f64> {
        let (blocks, size) = (self.blocks(), self.x.len() / self.batch);
        let (scale, head) = (1.0 / self.x.len() as f32, self.head);
        let (loss, gradient) = self.trainer.gradient(blocks.len(), |b| {
            let rows = blocks[b].clone();
            let x = raw::tensor(self.x[rows.start * size..rows.end * size].to_vec(), (rows.len(), size))?;
            let on = conditions(head, rows.clone(), &self.times, true);
            // Both parts of a result with a variance are to be x, which gives each of them a gradient.
            let wanted = if head.variance { Tensor::cat(&[&x, &x], 1)? } else { x.clone() };
            let missed = (self.network.forward(&x, &on)? - wanted)?;
            Ok(weighted_squares(&missed, &vec![scale; rows.len()])?)
        })?;
        self.trainer.update(&gradient)?;
        Ok(loss)
    }

    /// The noise of all rows, by a network that is not in training.
    fn predict(&self, network: &Network, x: &[f32], times: &[f32]) -> Outcome<Vec<f32>> {
        let (size, head) = (x.len() / times.len(), self.head);
        let parts: Vec<Vec<f32>> = self
            .blocks()
            .into_par_iter()
            .map(|rows| {
                let x = raw::tensor(x[rows.start * size..rows.end * size].to_vec(), (rows.len(), size))?;
                Ok(raw::values(&network.forward(&x, &conditions(head, rows, times, false))?)?)
            })
            .collect::<Result<_, NnError>>()?;
        Ok(parts.concat())
    }

    fn fixed(&self, weights: Weights) -> Outcome<Network> {
        let parameters = path(Parameters::fixed(weights, &Device::Cpu), self.generic);
        Ok(Network::new(&self.config, &self.shape, self.head, &parameters)?)
    }

    fn answer(&mut self, line: &str) -> Outcome<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Ok(match words[..] {
            ["step", n] => {
                let mut loss = 0.0;
                for _ in 0..n.parse()? {
                    loss = self.step()?;
                }
                loss.to_string()
            }
            ["forward", n] => {
                let network = self.fixed(self.trainer.averaged(String::new()))?;
                let mut first = 0.0;
                for _ in 0..n.parse()? {
                    first = self.predict(&network, &self.x, &self.times)?[0];
                }
                first.to_string()
            }
            ["save", path] => {
                let model = json!({"shape": self.shape, "network": self.config, "head": self.head});
                self.trainer.averaged(model.to_string()).save(Path::new(path))?;
                "saved".into()
            }
            ["predict", model, from, to] => {
                let network = self.fixed(Weights::load(Path::new(model))?)?;
                let bytes = fs::read(from)?;
                let numbers: Vec<f32> =
                    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
                let (x, times) = numbers.split_at(self.x.len());
                let y = self.predict(&network, x, times)?;
                fs::write(to, y.iter().flat_map(|y| y.to_le_bytes()).collect::<Vec<u8>>())?;
                "predicted".into()
            }
            ["peak"] => peak().to_string(),
            ["count"] => self.trainer.parameter_count().to_string(),
            _ => return Err(format!("unknown request `{line}`").into()),
        })
    }
}

/// The parameters for a network of our operations or of candle's.
fn path(parameters: Parameters, generic: bool) -> Parameters {
    if generic { parameters.generic() } else { parameters }
}

/// What a network is given for these rows; dropout is for training.
fn conditions(head: Head, rows: Range<usize>, times: &[f32], training: bool) -> Conditions {
    let classes = head.classes as u32;
    Conditions {
        times: times[rows.clone()].to_vec(),
        classes: rows.clone().filter(|_| classes > 0).map(|i| i as u32 % (classes + 1)).collect(),
        dropout: rows.filter(|_| training).map(|i| i as u64).collect(),
    }
}

/// The best of some runs of independent fused multiply-adds at this process's kernel level, in GFLOP/s.
fn peak() -> f64 {
    (0..20).map(|_| fused_multiply_adds()).fold(0.0, f64::max)
}

#[cfg(target_arch = "x86_64")]
fn fused_multiply_adds() -> f64 {
    use std::arch::x86_64::*;
    const ROUNDS: usize = 1_000_000;
    #[target_feature(enable = "avx512f")]
    fn wide() -> f32 {
        let factor = _mm512_set1_ps(0.999);
        let mut sums = [factor; 16];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, factor, factor);
            }
        }
        sums.into_iter().map(|sum| _mm512_reduce_add_ps(sum)).sum()
    }
    #[target_feature(enable = "avx2,fma")]
    fn narrow() -> f32 {
        let factor = _mm256_set1_ps(0.999);
        let mut sums = [factor; 12];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, factor, factor);
            }
        }
        sums.into_iter().map(|sum| _mm256_cvtss_f32(sum)).sum()
    }
    let start = Instant::now();
    let (sum, lanes) = match Level::current() {
        // SAFETY: the machine can run this level.
        Level::Avx512 => (unsafe { wide() }, 16 * 16),
        // SAFETY: as above.
        Level::Avx2 => (unsafe { narrow() }, 12 * 8),
        Level::Portable => return 0.0,
    };
    std::hint::black_box(sum);
    2.0 * (ROUNDS * lanes) as f64 / start.elapsed().as_secs_f64() / 1e9
}

#[cfg(not(target_arch = "x86_64"))]
fn fused_multiply_adds() -> f64 {
    0.0
}

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [network, whose, threads, batch] = &args[..] else {
        // `cargo bench` without arguments: nothing to measure without the peers.
        println!("run it by benches/peers/training.py");
        return Ok(());
    };
    let (threads, batch) = (threads.parse()?, batch.parse()?);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    // On a thread of the pool: from outside, every parallel loop would wait until one of them wakes up.
    rayon::scope(|_| {
        let mut bench = Bench::new(network, whose == "candle", batch)?;
        for line in stdin().lines() {
            println!("{}", bench.answer(&line?)?);
            stdout().flush()?;
        }
        Ok(())
    })
}
