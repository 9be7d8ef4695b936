//! The training loop: steps, the table of losses, validation, checkpoints and what follows an interruption.

use super::trainer::{Gradient, Trainer};
use crate::nn::error::NnError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where a training runs: what keeps its checkpoints, shows its progress and may interrupt it.
pub trait Host {
    type Error: From<NnError>;

    /// The latest checkpoint, and the steps that had been done.
    fn latest_checkpoint(&self) -> Result<Option<(PathBuf, u64)>, Self::Error>;

    /// Keeps the file that `write` writes as the checkpoint after `step` steps.
    fn save_checkpoint(
        &self,
        step: u64,
        write: &dyn Fn(&Path) -> Result<(), NnError>,
    ) -> Result<(), Self::Error>;

    /// `step` of `steps` are done.
    fn progress(&self, step: u64, steps: u64);

    /// Keeps numbers of these names, measured after `step` steps.
    fn metrics(&self, step: u64, values: &[(&str, f64)]) -> Result<(), Self::Error>;

    /// Whether the training is to stop now.
    fn cancelled(&self) -> bool;

    /// What a training returns that has stopped before its end.
    fn stopped(&self) -> Self::Error;
}

/// What is learned.
pub trait Task {
    /// What the next step depends on beside the trainer's state.
    type State: Serialize + DeserializeOwned;

    /// The loss of the batch of the trainer's next step.
    fn step(&mut self, trainer: &Trainer, state: &mut Self::State) -> Result<Step, NnError>;

    /// The validation loss, where there is one.
    fn validation(&self, _trainer: &Trainer) -> Result<Option<f64>, NnError> {
        Ok(None)
    }
}

/// The loss of a batch.
#[derive(Debug)]
pub struct Step {
    pub loss: f64,
    pub gradient: Gradient,
    /// Other numbers whose means stand in the table of losses.
    pub more: Vec<f64>,
}

/// How long a training is.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub steps: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Steps between rows of the table of losses; none: there is no table.
    pub validate_every: Option<u64>,
}

/// A row of the table of losses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub step: u64,
    /// The mean training loss since the last row.
    pub train: f64,
    pub validation: Option<f64>,
    /// The means of the other numbers since the last row.
    pub more: Vec<f64>,
}

/// What a checkpoint holds beside the trainer's state.
#[derive(Debug, Serialize, Deserialize)]
pub struct History<S> {
    pub rows: Vec<Row>,
    /// The sums since the last row: of the losses, then of the other numbers.
    pending: Vec<f64>,
    pub state: S,
}

/// How many points the curves of a training have at most, but for those of its validation. Which steps they stand at depends on the plan
/// alone, so an interruption leaves no trace.
const POINTS: u64 = 1000;

/// Tells how many steps a second a training makes.
struct Speed {
    since: Instant,
    step: u64,
}

impl Speed {
    /// The speed since it was asked last.
    fn at(&mut self, step: u64) -> f64 {
        let now = Instant::now();
        let seconds = now.duration_since(self.since).as_secs_f64();
        let speed = (step - self.step) as f64 / seconds;
        (self.since, self.step) = (now, step);
        speed
    }
}

/// Trains from the latest checkpoint, or from the beginning in this state, to the end.
pub fn fit<H: Host, T: Task>(
    host: &H,
    plan: Plan,
    trainer: &mut Trainer,
    task: &mut T,
    state: T::State,
) -> Result<History<T::State>, H::Error> {
    let mut history = History { rows: Vec::new(), pending: Vec::new(), state };
    if let Some((path, step)) = host.latest_checkpoint()? {
        history = History::read(&trainer.resume(&path, step)?)
            .map_err(|source| NnError::Checkpoint { path, source })?;
    }
    let every = plan.steps.div_ceil(POINTS);
    let mut speed = Speed { since: Instant::now(), step: trainer.step() };
    while trainer.step() < plan.steps {
        let Step { loss, gradient, more } = task.step(trainer, &mut history.state)?;
        let norm = trainer.update(&gradient)?;
        let step = trainer.step();
        if !loss.is_finite() {
            return Err(NnError::Diverged { step }.into());
        }
        history.add(loss, &more);
        if step.is_multiple_of(every) || step == plan.steps {
            host.metrics(
                step,
                &[
                    ("loss", loss),
                    ("gradient_norm", norm),
                    ("learning_rate", trainer.learning_rate()),
                    ("steps_per_second", speed.at(step)),
                ],
            )?;
        }
        if plan.validate_every.is_some_and(|every| step.is_multiple_of(every) || step == plan.steps) {
            let validation = task.validation(trainer)?;
            if let Some(loss) = validation {
                host.metrics(step, &[("validation_loss", loss)])?;
            }
            history.row(step, validation);
        }
        host.progress(step, plan.steps);
        let cancelled = host.cancelled();
        if step < plan.steps && (cancelled || step.is_multiple_of(plan.checkpoint_every)) {
            let description = history.text().map_err(NnError::History)?;
            host.save_checkpoint(step, &|path| trainer.save(path, description.clone()))?;
        }
        if cancelled && step < plan.steps {
            return Err(host.stopped());
        }
    }
    Ok(history)
}

impl<S: Serialize + DeserializeOwned> History<S> {
    /// As MessagePack, which keeps every number bit by bit, in hexadecimal digits: JSON has no numbers that are not finite.
    fn text(&self) -> Result<String, rmp_serde::encode::Error> {
        Ok(rmp_serde::to_vec(self)?.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn read(text: &str) -> Result<History<S>, Box<dyn std::error::Error + Send + Sync>> {
        let digits = |pair: &[u8]| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
        let bytes = text.as_bytes().chunks(2).map(digits);
        Ok(rmp_serde::from_slice(
            &bytes.collect::<Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>>()?,
        )?)
    }
}

impl<S> History<S> {
    fn add(&mut self, loss: f64, more: &[f64]) {
        self.pending.resize(1 + more.len(), 0.0);
        for (pending, x) in self.pending.iter_mut().zip([loss].iter().chain(more)) {
            *pending += x;
        }
    }

    /// Ends a row after `step` steps.
    fn row(&mut self, step: u64, validation: Option<f64>) {
        let since = step - self.rows.last().map_or(0, |row| row.step);
        let mut means = self.pending.drain(..).map(|sum| sum / since as f64);
        let train = means.next().unwrap_or_default();
        let more = means.collect();
        self.rows.push(Row { step, train, validation, more });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::kernels::raw;
    use crate::nn::layers::parameters::Parameters;
    use crate::nn::networks::score_net::{Examples, ScoreNet};
    use crate::nn::networks::swish_mlp::SwishMlpConfig;
    use crate::nn::training::adamw::AdamWConfig;
    use candle_core::{Device, Module};
    use onsager_numerics::random::Streams;
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;

    /// A host that keeps one checkpoint in a file and interrupts after some steps.
    struct OneFile {
        file: tempfile::NamedTempFile,
        saved: Cell<Option<u64>>,
        stop_after: u64,
        seen: RefCell<Vec<u64>>,
        /// The metrics, less the speed, which no two trainings share.
        curves: RefCell<BTreeMap<(String, u64), f64>>,
    }

    /// Why a training ended: none, it was stopped.
    type Ended = Option<NnError>;

    impl Host for OneFile {
        type Error = Ended;

        fn latest_checkpoint(&self) -> Result<Option<(PathBuf, u64)>, Ended> {
            Ok(self.saved.get().map(|step| (self.file.path().to_owned(), step)))
        }

        fn save_checkpoint(
            &self,
            step: u64,
            write: &dyn Fn(&Path) -> Result<(), NnError>,
        ) -> Result<(), Ended> {
            self.saved.set(Some(step));
            Ok(write(self.file.path())?)
        }

        fn progress(&self, step: u64, _: u64) {
            self.seen.borrow_mut().push(step);
        }

        fn metrics(&self, step: u64, values: &[(&str, f64)]) -> Result<(), Ended> {
            let same = values.iter().filter(|(name, _)| *name != "steps_per_second");
            self.curves.borrow_mut().extend(same.map(|(name, value)| (((*name).to_owned(), step), *value)));
            Ok(())
        }

        fn cancelled(&self) -> bool {
            self.seen.borrow().last() == Some(&self.stop_after)
        }

        fn stopped(&self) -> Ended {
            None
        }
    }

    struct Regression {
        network: ScoreNet,
    }

    impl Task for Regression {
        type State = f64;

        fn step(&mut self, trainer: &Trainer, state: &mut f64) -> Result<Step, NnError> {
            let mut inputs = vec![0.0; 30];
            Streams::new(1, "loop test").stream(trainer.step()).fill_normal(&mut inputs);
            let targets = inputs.chunks(3).flat_map(|x| [x[1], x[0] * x[2]]).collect();
            let examples = Examples { inputs, targets, weights: vec![1.0; 10] };
            let (loss, gradient) =
                trainer.gradient(2, |b| self.network.loss(&examples, 5 * b..5 * b + 5, 0.1))?;
            *state += loss / 3.0;
            Ok(Step { loss, gradient, more: vec![*state] })
        }

        fn validation(&self, _: &Trainer) -> Result<Option<f64>, NnError> {
            let x = raw::tensor(vec![0.1, 0.2, 0.3], (1, 3))?;
            Ok(Some(f64::from(raw::values(&self.network.forward(&x)?)?[0])))
        }
    }

    fn host(stop_after: u64) -> OneFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        OneFile {
            file,
            saved: Cell::new(None),
            stop_after,
            seen: RefCell::default(),
            curves: RefCell::default(),
        }
    }

    fn run(host: &OneFile) -> Result<(History<f64>, Trainer), Ended> {
        let parameters = Parameters::random(3, &Device::Cpu);
        let config = SwishMlpConfig { width: 16, layers: 2 };
        let network = ScoreNet::new(config, 2, &parameters).unwrap();
        let adamw = AdamWConfig { learning_rate: 0.01, warmup: 0, weight_decay: 0.0, clip: 0.0 };
        let mut trainer = Trainer::new(parameters, adamw, 0.0).unwrap();
        let plan = Plan { steps: 40, checkpoint_every: 15, validate_every: Some(7) };
        let history = fit(host, plan, &mut trainer, &mut Regression { network }, 0.0)?;
        Ok((history, trainer))
    }

    /// Losses that are not finite survive their way through a checkpoint, bit by bit; what is no history is told from it.
    #[test]
    fn numbers_that_are_not_finite() {
        let odd = f64::from_bits(0x7ff8_0000_0000_0123);
        let numbers = vec![f64::NAN, odd, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.1, 5e-324];
        let row = Row { step: 3, train: f64::NEG_INFINITY, validation: Some(odd), more: numbers.clone() };
        let history = History { rows: vec![row], pending: numbers.clone(), state: numbers.clone() };
        let again = History::<Vec<f64>>::read(&history.text().unwrap()).unwrap();
        let bits = |numbers: &[f64]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<u64>>();
        for found in [&again.rows[0].more, &again.pending, &again.state] {
            assert_eq!(bits(found), bits(&numbers));
        }
        assert_eq!(again.rows[0].train, f64::NEG_INFINITY);
        assert_eq!(again.rows[0].validation.map(f64::to_bits), Some(odd.to_bits()));
        for damaged in ["", "9", "xy", "{}", "93", "é9"] {
            assert!(History::<Vec<f64>>::read(damaged).is_err(), "{damaged}");
        }
    }

    /// An interrupted training ends with the same table, state and weights as another, and its last row holds what is left
    /// over; all numbers of the table survive their way through the checkpoint.
    #[test]
    fn resumed_training() {
        let undisturbed = host(u64::MAX);
        let (whole, trainer) = run(&undisturbed).unwrap();
        let interrupted = host(22);
        assert!(matches!(run(&interrupted), Err(None)));
        assert_eq!(interrupted.saved.get(), Some(22));
        let (resumed, again) = run(&interrupted).unwrap();
        assert_eq!((&resumed.rows, resumed.state), (&whole.rows, whole.state));
        assert_eq!(trainer.averaged(String::new()), again.averaged(String::new()));
        assert_eq!(whole.rows.iter().map(|row| row.step).collect::<Vec<_>>(), [7, 14, 21, 28, 35, 40]);
        assert_eq!(interrupted.seen.borrow().len(), 40);
        assert_eq!(*interrupted.curves.borrow(), *undisturbed.curves.borrow());
        assert_eq!(undisturbed.curves.borrow().len(), 3 * 40 + 6);
        assert!(whole.rows[5].train < whole.rows[0].train);
    }
}
