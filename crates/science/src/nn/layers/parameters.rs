//! Parameters, as candle's `VarBuilder` gives them to a network: all of a block in one variable, with a name and a shape
//! for each part of it.
//!
//! A custom operation of candle's takes three tensors at most, and a block has a dozen parameters, so they lie one after the
//! other in a single variable, the block's pack. The names and shapes of its parts are those of the network's file.

pub use super::pack::{FilterSlot, Init, Layout, MatrixSlot, PackGradient, Part, Path, Prepared, Slot, View};

use crate::nn::error::NnError;
use crate::nn::kernels::conv3x3::Conv3x3;
use crate::nn::kernels::raw;
use crate::nn::training::weights::{Weight, Weights};
use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::VarMap;
use candle_nn::var_builder::{Backend, VarBuilderArgs};
use onsager_numerics::random::Streams;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// candle's builder over our parameters: `vb.pp("name")` goes to a part of the network.
pub type VarBuilder = VarBuilderArgs<'static, Parameters>;

/// Collects the parameters of a block while it is built.
#[derive(Debug, Default)]
pub struct PackBuilder(Layout);

impl PackBuilder {
    /// The parameter of this name.
    pub fn get(&mut self, name: &str, shape: &[usize], init: Init) -> Slot {
        let parts = &mut self.0.parts;
        let start = parts.last().map_or(0, |part| part.slot.range().end);
        let slot = Slot { part: parts.len(), start, len: shape.iter().product() };
        parts.push(Part { name: name.to_owned(), shape: shape.to_vec(), slot, init });
        slot
    }

    /// The filters [3, 3, inputs, outputs] of this name, for a convolution.
    pub fn filters(&mut self, name: &str, conv: Conv3x3, init: Init) -> FilterSlot {
        let slot = self.get(name, &[3, 3, conv.inputs, conv.outputs], init);
        self.0.convs.push((slot, conv));
        FilterSlot { slot, prepared: self.0.convs.len() - 1 }
    }

    /// The matrix [inputs, outputs] of this name, for a dense layer.
    pub fn matrix(&mut self, name: &str, inputs: usize, outputs: usize, init: Init) -> MatrixSlot {
        let slot = self.get(name, &[inputs, outputs], init);
        self.0.matrices.push((slot, inputs, outputs));
        MatrixSlot { slot, prepared: self.0.matrices.len() - 1 }
    }

    /// The pack of all parameters that were asked for, whose names begin with the builder's prefix.
    pub fn build(mut self, vb: &VarBuilder) -> Result<Pack, NnError> {
        let prefix = vb.prefix();
        if !prefix.is_empty() {
            self.0.parts.iter_mut().for_each(|part| part.name = format!("{prefix}.{}", part.name));
        }
        let layout = Arc::new(self.0);
        let tensor = vb.root().get_with_hints(layout.count(), layout.name(), layout.clone())?;
        Ok(Pack { tensor, layout })
    }
}

#[cfg(test)]
impl PackBuilder {
    /// The number of parameters that were asked for so far.
    pub(crate) fn parts(&self) -> usize {
        self.0.parts.len()
    }

    /// These numbers in the forms of the layers built so far.
    pub(crate) fn prepare(&self, values: &[f32]) -> Prepared {
        self.0.prepare(values, true)
    }
}

/// The parameters of a block in one variable.
#[derive(Debug, Clone)]
pub struct Pack {
    tensor: Tensor,
    layout: Arc<Layout>,
}

impl Pack {
    /// The numbers, `[count]`; they have a gradient when they are trainable.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// One parameter in its own shape, differentiable.
    pub fn named(&self, slot: Slot) -> candle_core::Result<Tensor> {
        self.tensor.narrow(0, slot.start, slot.len)?.reshape(&self.layout.parts[slot.part].shape[..])
    }

    /// What lies in it.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Which operations the block runs on.
    pub fn path(&self) -> Path {
        self.layout.path()
    }

    /// The filters and matrices in the forms that the products need.
    pub fn prepared(&self) -> Arc<Prepared> {
        self.layout.prepared()
    }
}

/// The parameters of a network: made at random for training, or read from a file. A clone is the same parameters.
#[derive(Clone)]
pub struct Parameters(Arc<Store>);

struct Store {
    source: Source,
    path: Path,
    device: Device,
    /// The variables of trainable packs, under the name of the pack's first part.
    vars: VarMap,
    packs: Mutex<Vec<Pack>>,
    /// What was wrong with a file, which candle's errors do not hold.
    wrong: Mutex<Option<NnError>>,
}

#[derive(Clone)]
enum Source {
    Random(u64),
    File(BTreeMap<String, Weight>),
}

impl Parameters {
    /// Trainable parameters. Each begins with numbers of its own stream, named after it.
    pub fn random(seed: u64, device: &Device) -> Parameters {
        Parameters::of(Source::Random(seed), device)
    }

    /// Fixed parameters for evaluation: no gradient is computed for them.
    pub fn fixed(weights: Weights, device: &Device) -> Parameters {
        Parameters::of(Source::File(weights.tensors), device)
    }

    fn of(source: Source, device: &Device) -> Parameters {
        Parameters::by(if device.is_cpu() { Path::Fused } else { Path::Generic }, source, device)
    }

    fn by(path: Path, source: Source, device: &Device) -> Parameters {
        Parameters(Arc::new(Store {
            source,
            path,
            device: device.clone(),
            vars: VarMap::new(),
            packs: Mutex::default(),
            wrong: Mutex::default(),
        }))
    }

    /// Others that begin with the same numbers, for a network of candle's operations alone; on the CPU that is for comparison.
    pub fn generic(&self) -> Parameters {
        Parameters::by(Path::Generic, self.0.source.clone(), &self.0.device)
    }

    /// Builds a network from these parameters.
    pub fn build<N>(&self, network: impl FnOnce(VarBuilder) -> Result<N, NnError>) -> Result<N, NnError> {
        let vb = VarBuilder::new_with_args(self.clone(), DType::F32, &self.0.device);
        network(vb).map_err(|error| lock(&self.0.wrong).take().unwrap_or(error))
    }

    /// Which operations a network of them runs on.
    pub fn path(&self) -> Path {
        self.0.path
    }

    /// Where they are.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// The packs in the order in which the network asked for them.
    pub fn packs(&self) -> Vec<Pack> {
        lock(&self.0.packs).clone()
    }

    /// The parts of each pack.
    pub fn parts(&self) -> Vec<Vec<Part>> {
        lock(&self.0.packs).iter().map(|pack| pack.layout.parts.clone()).collect()
    }

    /// How many numbers.
    pub fn count(&self) -> usize {
        lock(&self.0.packs).iter().map(|pack| pack.layout.count()).sum()
    }

    /// Changes trainable parameters: `f` gets the number of each pack and its values. An error where they are fixed.
    pub fn change(&self, f: impl Fn(usize, &mut [f32]) + Sync) -> Result<(), NnError> {
        let mut numbers: Vec<usize> = (0..self.packs().len()).collect();
        self.change_with(&mut numbers, |number, values| f(*number, values))
    }

    /// The same with a state for each pack.
    pub fn change_with<S: Send>(
        &self,
        states: &mut [S],
        f: impl Fn(&mut S, &mut [f32]) + Sync,
    ) -> Result<(), NnError> {
        if matches!(self.0.source, Source::File(_)) {
            return Err(NnError::Fixed);
        }
        self.packs().par_iter().zip(states).try_for_each(|(pack, state)| {
            let var = lock(self.0.vars.data()).get(pack.layout.name()).cloned().ok_or(NnError::Fixed)?;
            if self.0.path == Path::Fused {
                return Ok(raw::change(&var, |values| {
                    f(state, values);
                    pack.layout.refresh(values, true);
                })?);
            }
            let mut values = raw::values(&pack.tensor.to_device(&Device::Cpu)?)?;
            f(state, &mut values);
            let shape = pack.tensor.shape().clone();
            Ok(var.set(&raw::tensor(values, shape)?.to_device(&self.0.device)?)?)
        })
    }

    /// The values of each pack.
    pub fn values(&self) -> Result<Vec<Vec<f32>>, NnError> {
        let on_cpu = |pack: &Pack| Ok(raw::values(&pack.tensor.to_device(&Device::Cpu)?)?);
        self.packs().iter().map(on_cpu).collect()
    }

    /// The numbers that a part begins with.
    fn begin(&self, part: &Part, values: &mut [f32]) -> Result<(), NnError> {
        match &self.0.source {
            Source::Random(seed) => match part.init {
                Init::Zeros => values.fill(0.0),
                Init::Ones => values.fill(1.0),
                Init::FanIn(fan_in) => {
                    Streams::new(*seed, &format!("parameter {}", part.name)).stream(0).fill_normal(values);
                    let scale = 1.0 / (fan_in.max(1) as f32).sqrt();
                    values.iter_mut().for_each(|x| *x *= scale);
                }
            },
            Source::File(tensors) => match tensors.get(&part.name) {
                None => return Err(NnError::MissingWeight { name: part.name.clone() }),
                Some(weight) if weight.shape != part.shape => {
                    let (found, expected) = (weight.shape.clone(), part.shape.clone());
                    return Err(NnError::WeightShape { name: part.name.clone(), found, expected });
                }
                Some(weight) => values.copy_from_slice(&weight.values),
            },
        }
        Ok(())
    }
}

/// A pack, whose hints say what lies in it.
impl Backend for Parameters {
    type Hints = Arc<Layout>;

    fn get(
        &self,
        shape: Shape,
        name: &str,
        layout: Arc<Layout>,
        _: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let mut values = vec![0.0; layout.count()];
        for part in &layout.parts {
            self.begin(part, part.slot.of_mut(&mut values)).map_err(|error| {
                let message = error.to_string();
                *lock(&self.0.wrong) = Some(error);
                candle_core::Error::Msg(message)
            })?;
        }
        let trainable = matches!(self.0.source, Source::Random(_));
        layout.path.get_or_init(|| self.0.path);
        layout.refresh(&values, trainable);
        let mut tensor = raw::tensor(values, shape)?.to_device(device)?;
        if trainable {
            let var = Var::from_tensor(&tensor)?;
            tensor = var.as_tensor().clone();
            lock(self.0.vars.data()).insert(name.to_owned(), var);
        }
        lock(&self.0.packs).push(Pack { tensor: tensor.clone(), layout });
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("the shape of `{name}` is needed")
    }

    fn contains_tensor(&self, name: &str) -> bool {
        match &self.0.source {
            Source::Random(_) => true,
            Source::File(tensors) => tensors.contains_key(name),
        }
    }
}

impl std::fmt::Debug for Parameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parameters").field("path", &self.0.path).field("packs", &self.packs()).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
