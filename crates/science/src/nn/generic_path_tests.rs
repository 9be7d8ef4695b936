//! For tests: every network by the operations of its own and by candle's. Results and all gradients must agree, to the
//! rounding of `f32`, and a file of the one is a file of the other.

use super::gradient_check::{fixed, moved, normal, weights};
use super::kernels::raw;
use super::layers::conditions::Conditions;
use super::layers::parameters::Parameters;
use super::networks::classifier::{Classifier, ClassifierConfig, TimeConfig};
use super::networks::head::Head;
use super::networks::mlp::MlpConfig;
use super::networks::network::{Network, NetworkConfig};
use super::networks::score_net::ScoreNet;
use super::networks::swish_mlp::SwishMlpConfig;
use super::networks::unet::UnetConfig;
use super::training::weights::Weights;
use candle_core::{Device, Module, Tensor, Var};

/// What is compared: the network of some parameters as a function of x.
type Forward = Box<dyn Fn(&Tensor) -> Tensor>;

/// Compares results and the gradients of Σ r·result in x [n, size] and in every parameter: the distance of the two to 1e-5
/// of their length, and each number to `tolerance` of the largest.
fn compare(n: usize, size: usize, tolerance: f32, network: impl Fn(&Parameters) -> Forward) {
    let fused = Parameters::random(3, &Device::Cpu);
    let generic = Parameters::random(3, &Device::Cpu).generic();
    let networks = [network(&fused), network(&generic)];
    let values = moved(&fused);
    generic.change(|pack, to| to.copy_from_slice(&values[pack])).unwrap();
    let x = Var::from_tensor(&raw::tensor(normal(1, n * size), (n, size)).unwrap()).unwrap();
    let results = networks.map(|network| network(&x));
    let r = raw::tensor(normal(2, results[0].elem_count()), results[0].dims()).unwrap();
    let gradients = results.each_ref().map(|y| (y * &r).unwrap().sum_all().unwrap().backward().unwrap());
    let close = |name: &str, a: &[f32], b: &[f32]| {
        let largest = b.iter().fold(0.0f32, |m, b| m.max(b.abs()));
        assert!(a.len() == b.len() && largest > 1e-3, "{name}: largest {largest}");
        for (a, b) in a.iter().zip(b) {
            let error = (a - b).abs() / largest;
            assert!(error < tolerance, "{name}: {a}, candle gives {b}, the largest is {largest}: {error:e}");
        }
        let norm =
            |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
        let apart = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
        let relative = apart / norm(&mut b.iter().map(|b| f64::from(*b)));
        assert!(relative < 1e-5, "{name}: {relative:e} apart, relative to the length of all its numbers");
    };
    let values = |tensor: &Tensor| raw::values(&tensor.contiguous().unwrap()).unwrap();
    close("the result", &values(&results[0]), &values(&results[1]));
    let of_x = gradients.each_ref().map(|store| values(store.get(&x).unwrap()));
    close("the input", &of_x[0], &of_x[1]);
    let packs = fused.packs().into_iter().zip(generic.packs());
    for ((a, b), parts) in packs.zip(fused.parts()) {
        let a = values(gradients[0].get(a.tensor()).unwrap());
        let b = values(gradients[1].get(b.tensor()).unwrap());
        for part in parts {
            close(&part.name, part.slot.of(&a), part.slot.of(&b));
        }
    }
    files_are_the_same(&fused, &generic, &x, network);
}

/// A file that one path wrote is read by the other, which then says the same as the one that wrote it would.
fn files_are_the_same(
    fused: &Parameters,
    generic: &Parameters,
    x: &Tensor,
    network: impl Fn(&Parameters) -> Forward,
) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let through_file = |parameters: &Parameters| {
        weights(parameters).save(file.path()).unwrap();
        Parameters::fixed(Weights::load(file.path()).unwrap(), &Device::Cpu)
    };
    let result = |parameters: &Parameters| raw::values(&network(parameters)(x)).unwrap();
    assert_eq!(result(&through_file(generic)), result(&fixed(fused)));
    assert_eq!(result(&through_file(fused).generic()), result(&fixed(generic).generic()));
}

fn network(config: NetworkConfig, shape: &[usize], head: Head, dropout: bool) {
    let size = shape.iter().product();
    let shape = shape.to_vec();
    // Sums of some hundred terms in `f32` in another order. Through the fifteen blocks of three levels, and by Winograd's
    // transforms, which wider convolutions go by, they differ more.
    let tolerance = match &config {
        NetworkConfig::Unet(c) if c.channels * c.multipliers.iter().max().unwrap_or(&1) >= 16 => 1e-4,
        NetworkConfig::Unet(c) if c.multipliers.len() * c.blocks > 4 => 2e-5,
        _ => 1e-5,
    };
    compare(3, size, tolerance, |parameters| {
        let network = Network::new(&config, &shape, head, parameters).unwrap();
        let on = Conditions {
            times: vec![20.0, 450.0, 990.0],
            classes: if head.classes > 0 { vec![1, 2, 0] } else { Vec::new() },
            dropout: if dropout { vec![4, 5, 6] } else { Vec::new() },
        };
        Box::new(move |x| network.forward(x, &on).unwrap())
    });
}

fn small_unet(channels: usize) -> UnetConfig {
    UnetConfig { channels, multipliers: vec![1, 2], groups: 2, embedding: 8, ..UnetConfig::default() }
}

/// With few channels and with Winograd's transform; one to three levels; sizes that the levels do not divide.
#[test]
fn plain_unets() {
    for channels in [4, 16] {
        network(NetworkConfig::Unet(small_unet(channels)), &[1, 8, 4], Head::default(), false);
        let deep = UnetConfig { multipliers: vec![1, 2, 1], blocks: 2, ..small_unet(channels) };
        network(NetworkConfig::Unet(deep), &[2, 7, 5], Head::default(), false);
    }
    let flat = UnetConfig { multipliers: vec![1], ..small_unet(4) };
    network(NetworkConfig::Unet(flat), &[1, 5, 3], Head::default(), false);
}

/// Attention, scale-shift norm, dropout, classes and a variance: each alone and all together.
#[test]
fn unets_with_everything() {
    let plain = small_unet(4);
    let everything = Head { variance: true, classes: 2 };
    let all = |channels| UnetConfig {
        attention: vec![0, 1],
        heads: 2,
        scale_shift: true,
        dropout: 0.3,
        blocks: 2,
        ..small_unet(channels)
    };
    let cases = [
        (UnetConfig { attention: vec![1], heads: 2, ..plain.clone() }, Head::default()),
        (UnetConfig { scale_shift: true, ..plain.clone() }, Head::default()),
        (UnetConfig { dropout: 0.2, ..plain.clone() }, Head::default()),
        (plain.clone(), Head { variance: true, classes: 0 }),
        (plain, Head { variance: false, classes: 2 }),
        (all(4), everything),
        (all(16), everything),
    ];
    for (config, head) in cases {
        let dropout = config.dropout > 0.0;
        network(NetworkConfig::Unet(config), &[1, 7, 6], head, dropout);
    }
}

#[test]
fn mlps() {
    for (layers, width) in [(1, 7), (3, 40), (4, 64)] {
        let plain = MlpConfig { width, layers, embedding: 6, dropout: 0.0 };
        network(NetworkConfig::Mlp(plain.clone()), &[2], Head::default(), false);
        network(NetworkConfig::Mlp(plain.clone()), &[3], Head { variance: true, classes: 2 }, false);
        let dropout = MlpConfig { dropout: 0.3, ..plain };
        network(NetworkConfig::Mlp(dropout), &[2], Head { variance: false, classes: 2 }, true);
    }
}

/// Of clean and of noisy images.
#[test]
fn classifiers() {
    for (time, shape) in [(false, vec![1, 8, 4]), (true, vec![1, 8, 4]), (true, vec![3, 7, 6])] {
        let config = ClassifierConfig {
            data: "noise".into(),
            shape: shape.clone(),
            classes: 3,
            channels: 16,
            features: 5,
            time: time.then(|| TimeConfig { embedding: 6, schedule: "cosine".into() }),
        };
        compare(3, shape.iter().product(), 1e-4, |parameters| {
            let network = Classifier::new(config.clone(), parameters).unwrap();
            Box::new(move |x| {
                let (features, logits) = network.forward(x, &Conditions::at(&[20.0, 450.0, 990.0])).unwrap();
                Tensor::cat(&[features, logits], 1).unwrap()
            })
        });
    }
}

#[test]
fn score_networks() {
    for (layers, width, size) in [(1, 5, 1), (3, 40, 2)] {
        compare(4, size + 1, 1e-5, |parameters| {
            let network = ScoreNet::new(SwishMlpConfig { width, layers }, size, parameters).unwrap();
            Box::new(move |x| network.forward(x).unwrap())
        });
    }
}
