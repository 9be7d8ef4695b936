//! The kinds `langevin`, `transition-paths`, `propagator` and `path-entropy` as a pipeline runs them.

use crate::kinds::columns::Table;
use crate::kinds::motion::langevin::{self, Equation, Langevin};
use crate::kinds::motion::path_entropy::{self, PathEntropy};
use crate::kinds::motion::potential::Potential;
use crate::kinds::motion::propagator::{self, Propagator};
use crate::kinds::motion::tests::context;
use crate::kinds::motion::transition_paths::{self, TransitionPaths};
use onsager_runner::kind::stage::{Stage, StageError};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Runs a kind in its own pool; the outputs' bytes by name.
fn run<S: Stage>(params: &S::Params, folder: &Path, threads: usize) -> BTreeMap<String, Vec<u8>>
where
    S::Params: Sync,
{
    let names: Vec<String> = S::outputs(params).into_iter().map(|output| output.name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (context, _) = context(folder, &names, u64::MAX);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| S::run(params, &context)).unwrap();
    names.iter().map(|name| ((*name).to_owned(), fs::read(folder.join(name)).unwrap())).collect()
}

/// The same bytes with one thread and two, and after an interruption.
fn same_bytes<S: Stage>(params: &S::Params)
where
    S::Params: Sync,
{
    let folder = tempfile::tempdir().unwrap();
    let one = run::<S>(params, &folder.path().join("one"), 1);
    assert_eq!(run::<S>(params, &folder.path().join("two"), 2), one);

    let broken = folder.path().join("broken");
    let names: Vec<&str> = one.keys().map(String::as_str).collect();
    let (first, _) = context(&broken, &names, 2);
    assert!(matches!(S::run(params, &first), Err(StageError::Cancelled)));
    let (second, trial) = context(&broken, &names, u64::MAX);
    S::run(params, &second).unwrap();
    assert_eq!(trial.resumed(), 2);
    for (name, bytes) in &one {
        assert!(fs::read(broken.join(name)).unwrap() == *bytes, "{name}");
    }
}

#[test]
fn langevin_is_reproducible() {
    same_bytes::<Langevin>(&langevin::Params { particles: 600_000, paths: 5, ..langevin::Params::default() });
}

#[test]
fn transition_paths_are_reproducible() {
    let params = transition_paths::Params { steps: 8, pairs: 140_000, ..transition_paths::Params::default() };
    same_bytes::<TransitionPaths>(&params);
}

#[test]
fn propagator_is_reproducible() {
    same_bytes::<Propagator>(&propagator::Params {
        times: vec![0.5, 1.0],
        populations: 12,
        walkers: 333,
        tubes: 4,
        bridges: 600_000,
        ..propagator::Params::default()
    });
}

#[test]
fn path_entropy_is_reproducible() {
    let params =
        path_entropy::Params { paths: 600, diffusions: vec![0.5, 1.0], ..path_entropy::Params::default() };
    same_bytes::<PathEntropy>(&params);
}

/// With dissipation −ln P of narrow tubes has the slope 1 against the action, for both equations; counts agree with the exact
/// probabilities at their width within 4.5 standard errors.
#[test]
fn dissipation() {
    let folder = tempfile::tempdir().unwrap();
    let under = Equation::Underdamped { mass: 1.0, friction: 2.0, thermal_energy: 0.5 };
    for dynamics in [langevin::Params::default().dynamics, under] {
        let params =
            langevin::Params { dynamics, steps: 6, particles: 300_000, ..langevin::Params::default() };
        run::<Langevin>(&params, folder.path(), 2);
        let fit = Table::read(&folder.path().join("fit"), "fit").unwrap();
        let column = |name: &str| fit.numbers(name).unwrap()[0].unwrap();
        assert!((column("slope") - 1.0).abs() < 0.01 && column("r") < -0.9999);
        assert!(column("r_without_force") > -0.99);
        let tubes = Table::read(&folder.path().join("tubes"), "tubes").unwrap();
        let (expected, z) = (tubes.numbers("expected_count").unwrap(), tubes.numbers("z_score").unwrap());
        let compared: Vec<f64> =
            expected.iter().zip(z).filter(|(n, _)| n.unwrap() > 20.0).map(|(_, z)| z.unwrap()).collect();
        assert!(compared.len() > 50 && compared.iter().all(|z| z.abs() < 4.5), "{compared:?}");
    }
}

/// Instanton against closed form; the sampled difference from it against the exact one; and its line towards D = 0.
#[test]
fn transitions() {
    let folder = tempfile::tempdir().unwrap();
    let params = transition_paths::Params { pairs: 40_000, ..transition_paths::Params::default() };
    run::<TransitionPaths>(&params, folder.path(), 2);
    let difference = Table::read(&folder.path().join("difference"), "difference").unwrap();
    let column = |name: &str| -> Vec<f64> {
        difference.numbers(name).unwrap().into_iter().map(Option::unwrap).collect()
    };
    assert!(column("action_error").iter().all(|error| error.abs() < 1e-3));
    assert!(column("z_score").iter().all(|z| z.abs() < 4.5), "{:?}", column("z_score"));
    let fit = Table::read(&folder.path().join("fit"), "fit").unwrap();
    assert_eq!(fit.texts("curve").unwrap(), ["line", "parabola"]);
    let parabola = |name: &str| fit.numbers(name).unwrap()[1].unwrap();
    assert!(parabola("intercept_z").abs() < 4.5);
    let slope_z = (parabola("slope") - parabola("slope_one_loop")) / parabola("slope_error");
    assert!(slope_z.abs() < 4.5, "{slope_z}");
}

/// ln K within 4.5 standard errors of the exact value at the same δt, that within 0.5 % of the continuum, and the ground
/// state's energy within 4.5 of its own.
#[test]
fn propagators() {
    let folder = tempfile::tempdir().unwrap();
    for potential in [
        Potential::ConstantForce { force: 0.5 },
        Potential::Harmonic { stiffness: 1.0 },
        Potential::Quartic { coefficient: 4.0 },
    ] {
        let params = propagator::Params {
            potential,
            times: vec![0.5, 2.0, 3.0, 4.0],
            ground_from: 2.0,
            walkers: 2000,
            tubes: 20,
            bridges: 200_000,
            ..propagator::Params::default()
        };
        let outputs = run::<Propagator>(&params, folder.path(), 2);
        let kernels = Table::read(&folder.path().join("kernels"), "kernels").unwrap();
        for name in ["z_score", "discretisation"] {
            let limit = if name == "z_score" { 4.5 } else { 0.005 };
            let values = kernels.numbers(name).unwrap();
            assert!(values.iter().all(|value| value.unwrap().abs() < limit), "{potential:?} {values:?}");
        }
        let summary: serde_json::Value = serde_json::from_slice(&outputs["summary"]).unwrap();
        let slope = summary["fits"][0]["slope"].as_f64().unwrap();
        assert!((slope - 1.0).abs() < 0.003, "{slope}");
        let ground = &summary["ground"];
        match potential {
            Potential::ConstantForce { .. } => assert!(ground.is_null()),
            _ => assert!(ground["z_score"].as_f64().unwrap().abs() < 4.5, "{ground}"),
        }
    }
}

/// H of short cells is the normal law's within its error and the cells' width (Sheppard's correction, below 0.1 at
/// ℓ = σ/4 and ten steps), the multiplier is γ within the same width's 2 %, and no distribution over the sampled set has
/// more entropy than the exponential one.
#[test]
fn information() {
    let folder = tempfile::tempdir().unwrap();
    let params = path_entropy::Params {
        diffusions: vec![0.01, 0.5, 2.0, 8.0],
        paths: 1000,
        ..path_entropy::Params::default()
    };
    run::<PathEntropy>(&params, folder.path(), 2);
    let table = Table::read(&folder.path().join("entropy"), "entropy").unwrap();
    let column =
        |name: &str| -> Vec<f64> { table.numbers(name).unwrap().into_iter().map(Option::unwrap).collect() };
    for k in 1..4 {
        let gap = column("entropy")[k] - column("entropy_fine")[k];
        assert!(gap.abs() < 0.1 + 4.5 * column("entropy_error")[k], "{gap}");
        assert!((column("multiplier_2md")[k] - 1.0).abs() < 0.02);
        assert!(column("set_entropy")[k] <= column("maximum_entropy")[k] + 1e-12);
        // ⟨A − A_f⟩ = (N − 1) m D, the equipartition of nine modes: an error of √(2/9/1000).
        let modes = column("action_excess")[k] / column("diffusion")[k];
        assert!((modes / 9.0 - 1.0).abs() < 0.02 + 4.5 * (2.0f64 / 9000.0).sqrt(), "{modes}");
    }
    let entropy = column("entropy");
    assert!(entropy.windows(2).all(|pair| pair[0] < pair[1]) && entropy[0] > 0.0);
}

/// Wrong values are refused by name.
#[test]
fn parameters_are_checked() {
    let fields = |issues: Vec<onsager_runner::kind::stage::Issue>| -> Vec<String> {
        issues.into_iter().map(|issue| issue.field).collect()
    };
    let bad = langevin::Params {
        potential: Potential::Harmonic { stiffness: f64::NAN },
        dynamics: Equation::Overdamped { mobility: 1.0, diffusion: 0.0 },
        steps: 1,
        ..langevin::Params::default()
    };
    assert_eq!(
        fields(Langevin::check(&bad)),
        ["potential.harmonic.stiffness", "dynamics.overdamped.diffusion", "steps"]
    );
    let bad = transition_paths::Params {
        potential: Potential::Morse { depth: 1.0, alpha: 1.0 },
        diffusions: vec![0.1, -1.0, 0.1],
        ..transition_paths::Params::default()
    };
    assert_eq!(fields(TransitionPaths::check(&bad)), ["potential", "diffusions[1]", "diffusions[2]"]);
    let bad = propagator::Params {
        potential: Potential::Cubic { coefficient: 1.0 },
        times: vec![1.0, 0.52],
        ..propagator::Params::default()
    };
    assert_eq!(fields(Propagator::check(&bad)), ["potential", "times[1]", "times[1]"]);
    for (coefficients, right) in
        [(vec![0.0, 0.0, 1.0], true), (vec![0.0, 0.0, -1.0], false), (vec![0.0, 0.0, 1.0, 0.5], false)]
    {
        let potential = Potential::Polynomial { coefficients: coefficients.try_into().unwrap() };
        let p = propagator::Params { potential, ..propagator::Params::default() };
        assert_eq!(Propagator::check(&p).is_empty(), right, "{potential:?}");
    }
    let bad =
        path_entropy::Params { cell: 10.0, diffusions: vec![1.0, 1.0], ..path_entropy::Params::default() };
    let found = fields(PathEntropy::check(&bad));
    assert!(found.contains(&"diffusions[1]".to_owned()), "{found:?}");
    assert!(Langevin::check(&langevin::Params::default()).is_empty());
    assert!(TransitionPaths::check(&transition_paths::Params::default()).is_empty());
    assert!(Propagator::check(&propagator::Params::default()).is_empty());
    assert!(PathEntropy::check(&path_entropy::Params::default()).is_empty());
}
