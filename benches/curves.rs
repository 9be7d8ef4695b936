//! What curves cost a training: one training whose steps write their points, and do not, in turns.
//!
//! `cargo bench --bench curves -- [STEPS] [BATCH] [WIDTH]` trains the smallest network that the kinds have, the one whose steps are
//! shortest, as `score-train` does. Turns of 50 steps alternate, so that both sides have the same machine. It prints the time of a step
//! on each side, and how much longer it takes with curves, in the median of pairs of turns; and, which a machine with other work disturbs
//! least, the mean time that keeping points takes in a step, beside the median step.

use onsager_numerics::random::Streams;
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::StageError;
use onsager_runner::kind::trial::Trial;
use onsager_science::nn::error::NnError;
use onsager_science::nn::layers::parameters::Parameters;
use onsager_science::nn::networks::score_net::{BLOCK, Examples, ScoreNet};
use onsager_science::nn::networks::swish_mlp::SwishMlpConfig;
use onsager_science::nn::training::adamw::AdamWConfig;
use onsager_science::nn::training::fit::{Host, Plan, Step, Task, fit};
use onsager_science::nn::training::trainer::Trainer;
use std::cell::RefCell;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The steps of a turn.
const TURN: u64 = 50;

/// Keeps the points of every other turn, and the time that each turn took.
struct Turns<'a> {
    ctx: &'a Context,
    times: RefCell<Vec<f64>>,
    since: RefCell<Instant>,
    /// How long it took to keep points, each time.
    calls: RefCell<Vec<f64>>,
}

impl Host for Turns<'_> {
    type Error = StageError;

    fn latest_checkpoint(&self) -> Result<Option<(PathBuf, u64)>, StageError> {
        Ok(None)
    }

    fn save_checkpoint(&self, _: u64, _: &dyn Fn(&Path) -> Result<(), NnError>) -> Result<(), StageError> {
        Ok(())
    }

    fn progress(&self, step: u64, _: u64) {
        if step.is_multiple_of(TURN) {
            let now = Instant::now();
            let since = self.since.replace(now);
            self.times.borrow_mut().push(now.duration_since(since).as_secs_f64());
        }
    }

    fn metrics(&self, step: u64, values: &[(&str, f64)]) -> Result<(), StageError> {
        if ((step - 1) / TURN).is_multiple_of(2) {
            return Ok(());
        }
        let called = Instant::now();
        let kept = self.ctx.metrics(step, values);
        self.calls.borrow_mut().push(called.elapsed().as_secs_f64());
        kept
    }

    fn cancelled(&self) -> bool {
        false
    }

    fn stopped(&self) -> StageError {
        StageError::Cancelled
    }
}

struct Regression {
    network: ScoreNet,
    batch: usize,
}

impl Task for Regression {
    type State = ();

    fn step(&mut self, trainer: &Trainer, (): &mut ()) -> Result<Step, NnError> {
        let mut inputs = vec![0.0; 3 * self.batch];
        Streams::new(1, "curves bench").stream(trainer.step()).fill_normal(&mut inputs);
        let targets = inputs.chunks(3).flat_map(|x| [x[1], x[0] * x[2]]).collect();
        let examples = Examples { inputs, targets, weights: vec![1.0; self.batch] };
        let scale = 1.0 / self.batch as f64;
        let (loss, gradient) = trainer.gradient(self.batch.div_ceil(BLOCK), |b| {
            self.network.loss(&examples, b * BLOCK..(b * BLOCK + BLOCK).min(self.batch), scale)
        })?;
        Ok(Step { loss, gradient, more: Vec::new() })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let number = |at: usize, default: u64| numbers.get(at).copied().unwrap_or(default);
    let (steps, batch, width) = (number(0, 10_000), number(1, 256), number(2, 64));
    let folder = tempfile::tempdir()?;
    let context = Trial::new(folder.path()).context([]).map_err(|error| error.to_string())?;
    let parameters = Parameters::random(1, &candle_core::Device::Cpu);
    let network = ScoreNet::new(SwishMlpConfig { width: width as usize, layers: 3 }, 2, &parameters)?;
    let adam = AdamWConfig { learning_rate: 1e-3, warmup: 0, weight_decay: 0.0, clip: 0.0 };
    let mut trainer = Trainer::new(parameters, adam, 0.0)?;
    let mut task = Regression { network, batch: batch as usize };
    let host = Turns {
        ctx: &context,
        times: RefCell::default(),
        since: RefCell::new(Instant::now()),
        calls: RefCell::default(),
    };
    let plan = Plan { steps, checkpoint_every: steps, validate_every: None };
    fit(&host, plan, &mut trainer, &mut task, ()).map_err(|error| error.to_string())?;

    let times = host.times.into_inner();
    // The first pair warms up.
    let pairs: Vec<[f64; 2]> = times.chunks_exact(2).skip(1).map(|pair| [pair[0], pair[1]]).collect();
    let per_step = |side: usize| median(pairs.iter().map(|pair| pair[side] / TURN as f64 * 1e6));
    let (off, on) = (per_step(0), per_step(1));
    // Half of the steps may keep points.
    let call = host.calls.into_inner().iter().sum::<f64>() / (steps as f64 / 2.0) * 1e6;
    writeln!(
        stdout(),
        "{} pairs of {TURN} steps: {off:.1} µs a step without curves, {on:.1} µs with; {:+.2} % in the median pair; \
         keeping points takes {call:.1} µs a step, {:.2} % of it",
        pairs.len(),
        100.0 * median(pairs.iter().map(|[off, on]| on / off - 1.0)),
        100.0 * call / off
    )?;
    Ok(())
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
