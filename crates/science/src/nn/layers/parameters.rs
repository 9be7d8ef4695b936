//! Parameters, as candle's `VarBuilder` gives them to a network: all of a block in one variable, with a name and a shape
//! for each part of it.
//!
//! A custom operation of candle's takes three tensors at most, and a block has a dozen parameters, so they lie one after the
//! other in a single variable, the block's pack. The names and shapes of its parts are those of the network's file.

use crate::nn::error::NnError;
use crate::nn::kernels::conv3x3::{Conv3x3, Filters};
use crate::nn::kernels::matrix::Matrix;
use crate::nn::kernels::raw;
use crate::nn::training::weights::{Weight, Weights};
use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::VarMap;
use candle_nn::var_builder::{Backend, VarBuilderArgs};
use onsager_numerics::random::Streams;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

/// candle's builder over our parameters: `vb.pp("name")` goes to a part of the network.
pub type VarBuilder = VarBuilderArgs<'static, Parameters>;

/// How a parameter begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    Zeros,
    Ones,
    /// Normal numbers of variance 1 / fan-in, for this fan-in.
    FanIn(usize),
}

/// The place of a parameter in its block's pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    part: usize,
    start: usize,
    len: usize,
}

impl Slot {
    /// Where its numbers lie.
    pub fn range(self) -> Range<usize> {
        self.start..self.start + self.len
    }

    /// The parameter's numbers.
    pub fn of(self, pack: &[f32]) -> &[f32] {
        &pack[self.range()]
    }

    /// The parameter's numbers, to change them.
    pub fn of_mut(self, pack: &mut [f32]) -> &mut [f32] {
        &mut pack[self.range()]
    }
}

/// A parameter of a block.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Its name in the network's file.
    pub name: String,
    pub shape: Vec<usize>,
    pub slot: Slot,
    init: Init,
}

/// The filters of a convolution: a parameter and its prepared forms.
#[derive(Debug, Clone, Copy)]
pub struct FilterSlot {
    pub slot: Slot,
    prepared: usize,
}

/// The matrix of a dense layer: a parameter and its prepared forms.
#[derive(Debug, Clone, Copy)]
pub struct MatrixSlot {
    pub slot: Slot,
    prepared: usize,
}

/// What lies in a pack, and the prepared forms of its numbers.
#[derive(Debug, Default)]
pub struct Layout {
    parts: Vec<Part>,
    convs: Vec<(Slot, Conv3x3)>,
    /// With inputs and outputs.
    matrices: Vec<(Slot, usize, usize)>,
    path: OnceLock<Path>,
    prepared: RwLock<Arc<Prepared>>,
}

/// Which operations a network runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Blocks of our own, on the CPU.
    Fused,
    /// candle's operations, on any device.
    Generic,
}

/// The numbers of a pack as a block's own operations read them.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub values: &'a [f32],
    prepared: &'a Prepared,
}

/// Filters and matrices in the forms that the products need.
#[derive(Debug, Default)]
pub struct Prepared {
    filters: Vec<Filters>,
    matrices: Vec<Matrix>,
}

impl Prepared {
    /// These forms beside the numbers that they were made of.
    pub fn view<'a>(&'a self, values: &'a [f32]) -> View<'a> {
        View { values, prepared: self }
    }
}

impl FilterSlot {
    /// The prepared forms.
    pub fn of(self, p: View<'_>) -> &Filters {
        &p.prepared.filters[self.prepared]
    }
}

impl MatrixSlot {
    /// The prepared forms.
    pub fn of(self, p: View<'_>) -> &Matrix {
        &p.prepared.matrices[self.prepared]
    }
}

impl Layout {
    /// How many numbers.
    pub fn count(&self) -> usize {
        self.parts.last().map_or(0, |part| part.slot.range().end)
    }

    /// The forms of a forward pass and, when `backward`, of the reverse pass, which else makes them when it needs them.
    pub fn prepare(&self, values: &[f32], backward: bool) -> Prepared {
        let filters = self.convs.par_iter().map(|(slot, conv)| conv.filters(slot.of(values), backward));
        let matrices = self
            .matrices
            .par_iter()
            .map(|&(slot, inputs, outputs)| Matrix::new(slot.of(values), inputs, outputs, backward));
        Prepared { filters: filters.collect(), matrices: matrices.collect() }
    }

    /// Prepares the forms anew, after the numbers have changed.
    fn refresh(&self, values: &[f32], backward: bool) {
        if self.path() == Path::Fused {
            let prepared = Arc::new(self.prepare(values, backward));
            *self.prepared.write().unwrap_or_else(PoisonError::into_inner) = prepared;
        }
    }

    fn path(&self) -> Path {
        self.path.get().copied().unwrap_or(Path::Fused)
    }
}

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
        let name = layout.parts.first().map_or(String::new(), |part| part.name.clone());
        let tensor = vb.root().get_with_hints(layout.count(), &name, layout.clone())?;
        Ok(Pack { tensor, layout })
    }
}

#[cfg(test)]
impl PackBuilder {
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

    /// Which operations the block runs on.
    pub fn path(&self) -> Path {
        self.layout.path()
    }

    /// The filters and matrices in the forms that the products need.
    pub fn prepared(&self) -> Arc<Prepared> {
        self.layout.prepared.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The parameters of a network: made at random for training, or read from a file. A clone is the same parameters.
#[derive(Clone)]
pub struct Parameters(Arc<Store>);

struct Store {
    source: Source,
    path: Path,
    device: Device,
    /// The packs under the name of their first part, when they are trainable.
    vars: VarMap,
    packs: Mutex<Vec<Pack>>,
    /// What was wrong with a file, which candle's errors do not hold.
    wrong: Mutex<Option<NnError>>,
}

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
        let path = if device.is_cpu() { Path::Fused } else { Path::Generic };
        Parameters(Arc::new(Store {
            source,
            path,
            device: device.clone(),
            vars: VarMap::new(),
            packs: Mutex::default(),
            wrong: Mutex::default(),
        }))
    }

    /// The same, before a network is built, for a network of candle's operations alone; on the CPU that is for comparison.
    pub fn generic(self) -> Parameters {
        match Arc::try_unwrap(self.0) {
            Ok(store) => Parameters(Arc::new(Store { path: Path::Generic, ..store })),
            Err(shared) => Parameters(shared),
        }
    }

    /// Builds a network from these parameters.
    pub fn build<N>(&self, network: impl FnOnce(VarBuilder) -> Result<N, NnError>) -> Result<N, NnError> {
        let vb = VarBuilder::new_with_args(self.clone(), DType::F32, &self.0.device);
        network(vb).map_err(|error| lock(&self.0.wrong).take().unwrap_or(error))
    }

    /// The variables, by the name of the first of their parts.
    pub fn vars(&self) -> &VarMap {
        &self.0.vars
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
            // The variable itself, which shares its storage.
            let var = Var::from_tensor(&pack.tensor)?;
            if self.0.device.is_cpu() {
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

/// Where the reverse pass of a block adds up the gradient of its pack: nowhere when that is fixed.
#[derive(Debug)]
pub struct PackGradient<'a>(Option<&'a mut [f32]>);

impl<'a> PackGradient<'a> {
    /// Adds to these numbers, one for each of the pack; to none for fixed parameters.
    pub fn of(sum: Option<&'a mut [f32]>) -> PackGradient<'a> {
        PackGradient(sum)
    }

    /// Whether there is anything to add to.
    pub fn wanted(&self) -> bool {
        self.0.is_some()
    }

    /// The gradient of this parameter so far, to add to.
    pub fn at(&mut self, slot: Slot) -> Option<&mut [f32]> {
        self.0.as_mut().map(|sum| slot.of_mut(sum))
    }
}
