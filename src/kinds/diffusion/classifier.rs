//! The `classifier` kind.

use crate::kinds::training::TrainingHost;
use onsager_numerics::random::{Stream, Streams};
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError};
use onsager_science::data::dataset::Dataset;
use onsager_science::diffusion::discrete::schedule::{Schedule, ScheduleKind};
use onsager_science::nn::device::DeviceClass;
use onsager_science::nn::error::NnError;
use onsager_science::nn::kernels::raw;
use onsager_science::nn::layers::conditions::Conditions;
use onsager_science::nn::layers::parameters::Parameters;
use onsager_science::nn::networks::classifier::{Classifier as Network, ClassifierConfig, TimeConfig};
use onsager_science::nn::networks::rows::block_size;
use onsager_science::nn::training::adamw::AdamWConfig;
use onsager_science::nn::training::fit::{Plan, Step, Task, fit};
use onsager_science::nn::training::loss::cross_entropy;
use onsager_science::nn::training::trainer::Trainer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Trains a classifier of images.
pub struct Classifier;

/// Parameters of `classifier`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Channels of the convolutions, a multiple of 8.
    pub channels: usize,
    /// Width of the penultimate layer, whose values are the features.
    pub features: usize,
    /// Number of optimiser steps.
    pub steps: u64,
    /// Images in a step.
    pub batch: usize,
    /// AdamW's learning rate.
    pub learning_rate: f64,
    /// Steps over which the learning rate grows from zero.
    pub warmup: u64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Decay of the moving average of the weights, 0 to below 1; the average is the classifier.
    pub ema: f64,
    /// Standard deviation of the normal noise that is added to the training images; with `diffusion`, which has its own,
    /// none is.
    pub noise: f64,
    /// The diffusion process that this classifier is to guide: it is trained on its noisy images, and told their times.
    pub diffusion: Option<Diffusion>,
    /// Where the network runs: `auto`, `cpu`, `cuda` or `metal`.
    #[schemars(extend("default" = "auto"))]
    pub device: DeviceClass,
    /// Selects the random streams: initial weights, choice of images, noise.
    pub seed: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
}

/// The process whose noisy images a classifier is trained on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Diffusion {
    /// The noise schedule of the models that it is to guide.
    pub schedule: ScheduleKind,
    /// T: the steps of the process; an image's t is uniform on 0, 1, …, T, 0 being the clean image.
    pub timesteps: usize,
    /// Width of the time embedding, even.
    pub embedding: usize,
}

impl Default for Diffusion {
    fn default() -> Diffusion {
        Diffusion { schedule: ScheduleKind::Cosine, timesteps: 200, embedding: 64 }
    }
}

impl Default for Params {
    fn default() -> Params {
        Params {
            channels: 32,
            features: 32,
            steps: 600,
            batch: 64,
            learning_rate: 2e-3,
            warmup: 50,
            weight_decay: 0.01,
            ema: 0.99,
            noise: 0.1,
            diffusion: None,
            device: DeviceClass::default(),
            seed: 0,
            checkpoint_every: 500,
        }
    }
}

#[derive(Serialize)]
struct Accuracy {
    /// The fraction of the test images whose class is right.
    accuracy: f64,
    right: usize,
    test_images: usize,
    train_accuracy: f64,
    train_images: usize,
    parameters: usize,
    features: usize,
    steps: u64,
    /// For a classifier of noisy images.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_time: Option<Vec<AtTimes>>,
}

/// The accuracy on test images with the noise of times in a range.
#[derive(Serialize)]
struct AtTimes {
    from: usize,
    to: usize,
    accuracy: f64,
    right: usize,
}

/// A schedule with the function from a clean image to x_t.
struct Noising {
    schedule: Schedule,
}

impl Noising {
    fn new(d: &Diffusion) -> Noising {
        Noising { schedule: Schedule::new(&d.schedule, d.timesteps) }
    }

    /// √ᾱ_t x + √(1 − ᾱ_t) ε onto `out`, and the time that the classifier is told.
    fn add(&self, image: &[f32], t: usize, stream: &mut Stream, out: &mut Vec<f32>) -> f32 {
        let alpha_bar = self.schedule.alpha_bar(t);
        let (signal, noise) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());
        out.extend(image.iter().map(|x| (signal * f64::from(*x) + noise * stream.normal()) as f32));
        (1000.0 * t as f64 / self.schedule.timesteps() as f64) as f32
    }
}

impl Stage for Classifier {
    type Params = Params;
    const KIND: &'static str = "classifier";
    const SUMMARY: &'static str =
        "Trains a small convolutional classifier, whose features and classes `sample-quality` uses.";
    const NUMERIC: bool = true;

    fn inputs() -> Inputs {
        Inputs::of(vec![
            Input::one("train", "labelled images to train on"),
            Input::one("test", "labelled images to measure the accuracy on"),
        ])
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file(
                "model",
                "model.safetensors",
                "the averaged weights, with the classifier's description",
            ),
            Output::file("accuracy", "accuracy.json", "accuracy on both sets"),
        ]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        checks.ensure(p.channels >= 8 && p.channels.is_multiple_of(8), "channels", || {
            format!("must be a positive multiple of 8, but is {}", p.channels)
        });
        checks.ensure(p.features >= 1, "features", || "must be at least 1".into());
        checks.ensure(p.steps >= 1, "steps", || "must be at least 1".into());
        checks.ensure(p.batch >= 1, "batch", || "must be at least 1".into());
        checks.positive(&[("learning_rate", p.learning_rate)]);
        checks.not_negative(&[("weight_decay", p.weight_decay)]);
        checks.ensure((0.0..1.0).contains(&p.ema), "ema", || {
            format!("must be from 0 to below 1, but is {}", p.ema)
        });
        checks.not_negative(&[("noise", p.noise)]);
        if let Some(d) = &p.diffusion {
            checks.range("diffusion.timesteps", d.timesteps as u64, 1..=100_000);
            checks.ensure(d.embedding >= 2 && d.embedding.is_multiple_of(2), "diffusion.embedding", || {
                format!("must be even and positive, but is {}", d.embedding)
            });
        }
        checks.ensure(p.checkpoint_every >= 1, "checkpoint_every", || "must be at least 1".into());
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let (train, train_labels) = labelled(ctx, "train")?;
        let (test, test_labels) = labelled(ctx, "test")?;
        if test.shape[1..] != train.shape[1..] {
            let (found, wanted) = (&test.shape[1..], &train.shape[1..]);
            return Err(format!("`test` has images of shape {found:?}, `train` of {wanted:?}").into());
        }
        let seen = train_labels.iter().chain(&test_labels).max().map_or(0, |&y| y as usize + 1);
        let config = ClassifierConfig {
            data: train.name.clone(),
            shape: train.shape[1..].to_vec(),
            classes: train.classes.map_or(seen, |classes| seen.max(classes as usize)),
            channels: p.channels,
            features: p.features,
            time: p
                .diffusion
                .as_ref()
                .map(|d| TimeConfig { embedding: d.embedding, schedule: d.schedule.to_string() }),
        };
        let device = p.device.device()?;
        let parameters = Parameters::random(p.seed, &device);
        let network = Network::new(config, &parameters)?;
        let adamw = AdamWConfig {
            learning_rate: p.learning_rate,
            warmup: p.warmup,
            weight_decay: p.weight_decay,
            clip: 1.0,
        };
        let mut trainer = Trainer::new(parameters, adamw, p.ema)?;
        let plan = Plan { steps: p.steps, checkpoint_every: p.checkpoint_every, validate_every: None };
        let noising = p.diffusion.as_ref().map(Noising::new);
        let mut task = Classes { p, network: &network, data: &train, labels: &train_labels, noising };
        fit(&TrainingHost(ctx), plan, &mut trainer, &mut task, ())?;

        let path = ctx.output("model")?;
        trainer.averaged(serde_json::to_string(&network.config)?).save(path)?;
        let averaged = Network::load(path, &device)?;
        let right = |data: &Dataset, labels: &[u32]| -> Result<usize, StageError> {
            let predictions = averaged.evaluate(&data.x, &data.shape)?.predictions();
            Ok(predictions.iter().zip(labels).filter(|(a, b)| a == b).count())
        };
        let (right_test, right_train) = (right(&test, &test_labels)?, right(&train, &train_labels)?);
        let accuracy = Accuracy {
            accuracy: right_test as f64 / test_labels.len() as f64,
            right: right_test,
            test_images: test_labels.len(),
            train_accuracy: right_train as f64 / train_labels.len() as f64,
            train_images: train_labels.len(),
            parameters: trainer.parameter_count(),
            features: p.features,
            steps: p.steps,
            by_time: match &p.diffusion {
                Some(d) => Some(by_time(p, d, &averaged, &test, &test_labels)?),
                None => None,
            },
        };
        std::fs::write(ctx.output("accuracy")?, serde_json::to_string_pretty(&accuracy)? + "\n")?;
        Ok(())
    }
}

/// The accuracy on noisy test images, each once in each tenth of the times 1 … T.
fn by_time(
    p: &Params,
    d: &Diffusion,
    classifier: &Network,
    data: &Dataset,
    labels: &[u32],
) -> Result<Vec<AtTimes>, StageError> {
    let noising = Noising::new(d);
    let mut found = Vec::new();
    for tenth in 0..10 {
        let (from, to) = (d.timesteps * tenth / 10 + 1, d.timesteps * (tenth + 1) / 10);
        if from > to {
            continue;
        }
        let streams = Streams::new(p.seed, &format!("classifier test noise {tenth}"));
        let (mut x, mut times) = (Vec::with_capacity(data.x.len()), Vec::with_capacity(labels.len()));
        for i in 0..labels.len() {
            let mut stream = streams.stream(i as u64);
            let t = from + stream.below((to - from + 1) as u64) as usize;
            times.push(noising.add(data.item(i), t, &mut stream, &mut x));
        }
        let predictions = classifier.evaluate_at(&x, &data.shape, &times)?.predictions();
        let right = predictions.iter().zip(labels).filter(|(a, b)| a == b).count();
        found.push(AtTimes { from, to, accuracy: right as f64 / labels.len() as f64, right });
    }
    Ok(found)
}

/// The data set of an input and its labels.
fn labelled(ctx: &Context, input: &str) -> Result<(Dataset, Vec<u32>), StageError> {
    let item = ctx.input(input)?;
    let data = Dataset::load(&item.path)?;
    match &data.y {
        Some(labels) if !labels.is_empty() && data.is_images() => {
            let labels = labels.clone();
            Ok((data, labels))
        }
        _ => Err(format!("input `{input}` needs labelled images, and `{}` has none", item.name).into()),
    }
}

/// The training of a classifier.
struct Classes<'a> {
    p: &'a Params,
    network: &'a Network,
    data: &'a Dataset,
    labels: &'a [u32],
    /// For a classifier of noisy images.
    noising: Option<Noising>,
}

impl Task for Classes<'_> {
    type State = ();

    fn step(&mut self, trainer: &Trainer, (): &mut ()) -> Result<Step, NnError> {
        let Classes { p, network, data, labels, noising } = self;
        let streams = Streams::new(p.seed, "classifier batches");
        let (block, size) = (trainer.block(block_size(&data.shape[1..], p.batch), p.batch), data.size());
        let first = trainer.step() * p.batch as u64;
        let (loss, gradient) = trainer.gradient(p.batch.div_ceil(block), |b| {
            let range = b * block..(b * block + block).min(p.batch);
            let mut x = Vec::with_capacity(block * size);
            let (mut y, mut times) = (Vec::with_capacity(block), Vec::with_capacity(block));
            for i in range {
                let mut stream = streams.stream(first + i as u64);
                let chosen = stream.below(data.count() as u64) as usize;
                y.push(labels[chosen]);
                let image = data.item(chosen);
                times.push(match &noising {
                    Some(noising) => {
                        let t = stream.below(noising.schedule.timesteps() as u64 + 1) as usize;
                        noising.add(image, t, &mut stream, &mut x)
                    }
                    None => {
                        x.extend(image.iter().map(|x| x + (p.noise * stream.normal()) as f32));
                        0.0
                    }
                });
            }
            let (_, logits) = network.forward(&raw::tensor(x, (y.len(), size))?, &Conditions::at(&times))?;
            Ok((cross_entropy(&logits, &y)? * (1.0 / p.batch as f64))?)
        })?;
        Ok(Step { loss, gradient, more: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::diffusion::train_tests::run;
    use serde_json::{Value, json};

    /// A classifier of noisy images, of two kinds that differ by their sign, knows them when there is little noise and
    /// guesses when there is nothing else; along its gradient the probability of the wanted class grows. It loses
    /// nothing by an interruption.
    #[test]
    fn noisy_images() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data.safetensors");
        let mut x = vec![0.0; 60 * 36];
        Streams::new(1, "noisy images").stream(0).fill_normal(&mut x);
        for (i, x) in x.iter_mut().enumerate() {
            *x = 0.2 * *x + if i / 36 % 2 == 0 { 0.5 } else { -0.5 };
        }
        let labels: Vec<u32> = (0..60).map(|i| i % 2).collect();
        let set = Dataset {
            name: "signs".into(),
            x: x.clone(),
            y: Some(labels.clone()),
            shape: vec![60, 1, 6, 6],
            classes: Some(2),
            levels: None,
        };
        set.save(&data).unwrap();
        let params = json!({
            "channels": 8, "features": 6, "steps": 60, "batch": 16, "ema": 0.5, "checkpoint_every": 20,
            "diffusion": {"timesteps": 40, "embedding": 8},
        });
        let inputs = [("train", data.as_path()), ("test", data.as_path())];
        let (whole, halved) = (folder.path().join("whole"), folder.path().join("halved"));
        run("classifier", &params, &inputs, &whole, u64::MAX).unwrap();
        assert!(matches!(run("classifier", &params, &inputs, &halved, 30), Err(StageError::Cancelled)));
        assert_eq!(run("classifier", &params, &inputs, &halved, u64::MAX).unwrap(), 30);
        for file in ["model.safetensors", "accuracy.json"] {
            let read = |folder: &std::path::Path| std::fs::read(folder.join(file)).unwrap();
            assert!(read(&whole) == read(&halved), "{file}");
        }

        let accuracy: Value =
            serde_json::from_slice(&std::fs::read(whole.join("accuracy.json")).unwrap()).unwrap();
        let by_time = accuracy["by_time"].as_array().unwrap();
        assert_eq!((by_time.len(), &by_time[0]["from"], &by_time[9]["to"]), (10, &json!(1), &json!(40)));
        // 36 pixels of signal 0.5 √ᾱ: no error in the first tenth; in the last the best guess is right with probability
        // Φ(3 √ᾱ_37) = 0.64 at most, 60 of them with a deviation of 0.06.
        assert!(accuracy["accuracy"].as_f64() == Some(1.0) && by_time[0]["accuracy"].as_f64() > Some(0.95));
        assert!(by_time[9]["accuracy"].as_f64() < Some(0.85));

        let network = Network::load(&whole.join("model.safetensors"), &candle_core::Device::Cpu).unwrap();
        assert_eq!(network.config.time.as_ref().unwrap().schedule, "cosine");
        let (times, wanted) = (vec![600.0; 60], vec![1; 60]);
        let gradient = network.log_probability_gradient(&x, &times, &wanted).unwrap();
        let moved: Vec<f32> = x.iter().zip(&gradient).map(|(x, g)| x + 0.01 * g).collect();
        let margin = |x: &[f32]| -> f32 {
            let logits = network.evaluate_at(x, &set.shape, &times).unwrap().logits;
            logits.chunks_exact(2).map(|row| row[1] - row[0]).sum()
        };
        assert!(margin(&moved) > margin(&x));
        assert!(gradient.chunks_exact(36).step_by(2).all(|row| row.iter().sum::<f32>() < 0.0));
    }
}
