//! The kinds of random motion as a pipeline runs them.

use crate::kinds::columns::Table;
use crate::kinds::motion::action_law::{self, ActionLaw};
use crate::kinds::motion::merge_shards::{self, MergeShards};
use crate::kinds::motion::parameters::{Estimator, Params, Population, Shard, Units};
use crate::kinds::motion::potential::PotentialName;
use crate::kinds::motion::random_motion::RandomMotion;
use crate::kinds::motion::width_extrapolation::{self, WidthExtrapolation};
use onsager_runner::kind::context::{Context, Item};
use onsager_runner::kind::stage::{Stage, StageError};
use onsager_runner::kind::trial::Trial;
use std::fs;
use std::path::Path;

pub(super) fn context(folder: &Path, outputs: &[&str], after: u64) -> (Context, Trial) {
    let trial = Trial::new(folder).threads(2).interrupted_after(after);
    (trial.context(outputs.iter().map(|name| (*name, *name))).unwrap(), trial)
}

fn fed(folder: &Path, outputs: &[&str], input: &str, items: Vec<Item>) -> Context {
    let trial = items.into_iter().fold(Trial::new(folder).threads(2), |trial, item| trial.input(input, item));
    trial.context(outputs.iter().map(|name| (*name, *name))).unwrap()
}

fn threads(count: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap()
}

const MOTION: [&str; 3] = ["tubes", "paths", "summary"];

fn run(params: &Params, folder: &Path, count: usize) -> Vec<Vec<u8>> {
    let (context, _) = context(folder, &MOTION, u64::MAX);
    threads(count).install(|| RandomMotion::run(params, &context)).unwrap();
    bytes(folder)
}

fn bytes(folder: &Path) -> Vec<Vec<u8>> {
    MOTION.iter().map(|name| fs::read(folder.join(name)).unwrap()).collect()
}

/// An ensemble with every estimator.
fn every_estimator() -> Params {
    Params {
        particles: (1 << 22) + 5,
        width: 2.0,
        tubes: 20,
        splitting: Population { walkers: 64, repeats: 4 },
        estimators: vec![Estimator::Counting, Estimator::Splitting, Estimator::Quadrature],
        ..Params::default()
    }
}

/// The same bytes with one thread and two, and after an interruption of the counting and one of the splitting.
#[test]
fn same_bytes_however_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let params = every_estimator();
    let one = run(&params, &folder.path().join("one"), 1);
    assert_eq!(run(&params, &folder.path().join("two"), 2), one);

    let broken = folder.path().join("broken");
    let (first, _) = context(&broken, &MOTION, 1);
    assert!(matches!(RandomMotion::run(&params, &first), Err(StageError::Cancelled)));
    let (second, trial) = context(&broken, &MOTION, u64::MAX);
    RandomMotion::run(&params, &second).unwrap();
    assert!(trial.resumed() >= 1 << 22);
    assert_eq!(bytes(&broken), one);

    // Splitting alone reports tubes, so this one stops among them.
    let params = Params { estimators: vec![Estimator::Splitting], ..params };
    let one = run(&params, &folder.path().join("splitting"), 1);
    let broken = folder.path().join("broken splitting");
    let (first, _) = context(&broken, &MOTION, 9);
    assert!(matches!(RandomMotion::run(&params, &first), Err(StageError::Cancelled)));
    let (second, trial) = context(&broken, &MOTION, u64::MAX);
    RandomMotion::run(&params, &second).unwrap();
    assert_eq!(trial.resumed(), 16);
    assert_eq!(bytes(&broken), one);
}

/// Runs the shards into files of this folder: the input of `merge-shards`.
fn shards(params: &Params, of: u64, folder: &Path) -> Vec<Item> {
    let part = |index: u64| {
        let out = folder.join(format!("{index} of {of}"));
        let params = Params { shard: Some(Shard { index, of }), ..params.clone() };
        let (context, _) = context(&out, &["counts"], u64::MAX);
        threads(1 + index as usize % 2).install(|| RandomMotion::run(&params, &context)).unwrap();
        Item { path: out.join("counts"), name: format!("motion[shard={index}].counts"), labels: Vec::new() }
    };
    (0..of).map(part).collect()
}

fn merge(items: Vec<Item>, folder: &Path, count: usize) -> Result<Vec<Vec<u8>>, StageError> {
    let merging = fed(folder, &MOTION, "shards", items);
    threads(count).install(|| MergeShards::run(&merge_shards::Params {}, &merging))?;
    Ok(bytes(folder))
}

/// One, four and sixteen shards, in any order, merged with one thread and two: the bytes of the whole. Parameters that decimal numbers
/// would round are among them.
#[test]
fn shards_are_merged_into_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let params = Params { diffusion: 0.1 + 0.2, gravity: f64::MIN_POSITIVE / 3.0, ..every_estimator() };
    let whole = run(&params, &folder.path().join("whole"), 2);
    for of in [1, 4, 16] {
        let mut parts = shards(&params, of, folder.path());
        parts.reverse();
        let merged = merge(parts, &folder.path().join(format!("merged {of}")), 1 + of as usize % 2);
        assert!(merged.unwrap() == whole, "{of} shards");
    }
}

/// What is no whole is refused, with the reason.
#[test]
fn incomplete_shards_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let params = Params { particles: 1000, tubes: 3, ..Params::default() };
    let parts = shards(&params, 3, &folder.path().join("one"));
    let others = shards(&Params { seed: 1, ..params }, 3, &folder.path().join("other"));
    let refused = |items: Vec<Item>| merge(items, &folder.path().join("merged"), 1).unwrap_err().to_string();
    assert_eq!(
        refused(vec![parts[0].clone(), parts[2].clone()]),
        "there are 2 shards where 3 make the whole, each once; number 1 is missing"
    );
    assert_eq!(
        refused(vec![parts[0].clone(), parts[0].clone(), parts[1].clone()]),
        "shard number 0 comes more than once, as in `motion[shard=0].counts`"
    );
    assert_eq!(
        refused(vec![parts[0].clone(), others[1].clone(), parts[2].clone()]),
        "`motion[shard=0].counts` and `motion[shard=1].counts` are shards of different ensembles"
    );
    let text = Item { path: folder.path().join("text"), name: "text".into(), labels: Vec::new() };
    fs::write(&text.path, "no shard").unwrap();
    assert!(refused(vec![text]).starts_with("`text` is no shard of a `random-motion` stage: "));
}

/// Splitting and quadrature at four widths: γ · 2mD for zero width is 1 within 0.5 %, for a harmonic potential once its curvature is taken
/// into account, where the residual has slope 1 within 3 %; the labels that tell the widths apart are gone.
#[test]
fn widths_are_extrapolated_from_end_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut items = Vec::new();
    for system in [PotentialName::ConstantForce, PotentialName::Harmonic] {
        for width in [1.0, 0.25, 0.75, 0.5] {
            let name = format!("{system:?} {width}");
            let out = folder.path().join(&name);
            let estimators = vec![Estimator::Splitting, Estimator::Quadrature];
            let splitting = Population { walkers: 64, repeats: 16 };
            run(
                &Params { system, width, splitting, estimators, units: Units::Water1um, ..Params::default() },
                &out,
                2,
            );
            let labels = vec![("noise".to_owned(), 1.into()), ("width".to_owned(), width.into())];
            items.push(Item { path: out.join("tubes"), name, labels });
        }
    }
    let widths = fed(&folder.path().join("widths"), &["gamma", "fit", "tubes"], "tubes", items);
    WidthExtrapolation::run(&width_extrapolation::Params {}, &widths).unwrap();

    let table = |name: &str| Table::read(widths.output(name).unwrap(), name).unwrap();
    let (fit, gamma) = (table("fit"), table("gamma"));
    assert_eq!((fit.rows(), gamma.rows(), table("tubes").rows()), (4, 4 * 5, 400));
    assert_eq!(fit.texts("estimator").unwrap(), ["splitting", "quadrature", "splitting", "quadrature"]);
    assert_eq!(gamma.numbers("width").unwrap()[..5], [0.0, 0.25, 0.5, 0.75, 1.0].map(Some));
    assert_eq!(fit.numbers("noise").unwrap(), [Some(1.0); 4]);
    for i in 0..4 {
        let of = |name: &str| fit.numbers(name).unwrap()[i];
        let (limit, corrected) = (of("gamma_2md").unwrap(), of("gamma_corrected_2md").unwrap());
        assert!((corrected - 1.0).abs() < 0.005, "{i}: {corrected}");
        assert!(of("r_corrected").unwrap() < -0.9999);
        if i < 2 {
            assert_eq!(limit, corrected);
            assert!(of("residual_slope").is_none());
        } else {
            assert!(limit > 1.02 && (of("residual_slope").unwrap() - 1.0).abs() < 0.03);
        }
        let (lower, upper) =
            (of("gamma_corrected_2md_lower").unwrap(), of("gamma_corrected_2md_upper").unwrap());
        assert_eq!(of("corrected_covers_1"), Some(f64::from(u8::from((lower..=upper).contains(&1.0)))));
    }
}

/// Two systems and two noise strengths through both kinds, in dimensionless and in SI units: the law, the control of the
/// counts, the slope against 1/D.
#[test]
fn the_law_from_end_to_end() {
    let folder = tempfile::tempdir().unwrap();
    for units in [Units::Dimensionless, Units::Water1um] {
        let mut items = Vec::new();
        for system in [PotentialName::Free, PotentialName::Harmonic] {
            for diffusion in [0.5, 2.0] {
                let name = format!("{system:?} {diffusion}");
                let out = folder.path().join(&name);
                let params = Params {
                    system,
                    diffusion,
                    units,
                    particles: 2_000_000,
                    width: 2.0,
                    splitting: Population { walkers: 32, repeats: 32 },
                    estimators: vec![Estimator::Counting, Estimator::Splitting, Estimator::Quadrature],
                    ..Params::default()
                };
                run(&params, &out, 2);
                let labels = vec![("system".to_owned(), "x".into()), ("noise".to_owned(), diffusion.into())];
                items.push(Item { path: out.join("tubes"), name, labels });
            }
        }
        let law = fed(&folder.path().join("law"), &["fit", "points", "slopes"], "tubes", items);
        ActionLaw::run(&action_law::Params::default(), &law).unwrap();

        let table = |name: &str| Table::read(law.output(name).unwrap(), name).unwrap();
        let fit = table("fit");
        let column = |name: &str| fit.numbers(name).unwrap();
        let (estimator, system) = (fit.texts("estimator").unwrap(), fit.texts("system").unwrap());
        assert_eq!(fit.rows(), 16);
        assert_eq!(column("noise")[15], Some(2.0));
        for i in 0..16 {
            let gamma = column("gamma_2md")[i].unwrap();
            let (free, r) = (system[i] == "free", column("r")[i].unwrap());
            match (estimator[i].as_str(), free) {
                ("quadrature", true) => assert!((gamma - 1.0).abs() < 0.01 && r < -0.9999, "{gamma} {r}"),
                // The curvature takes part of the kinetic action away: A is smaller, γ larger, by up to (ω T/π)² = 0.1.
                ("quadrature", false) => assert!((1.0..1.15).contains(&gamma) && r < -0.98, "{gamma} {r}"),
                // The width bias at δ = 2 σ, for the free particle 0.783 ± 0.016 from draw to draw of the tubes.
                (_, true) => assert!((gamma - 0.783).abs() < 5.0 * 0.016, "{gamma}"),
                (_, false) => assert!((gamma - 0.82).abs() < 0.12, "{gamma}"),
            }
            if estimator[i] == "quadrature" {
                // Corrected for the curvature, only the width bias of 0.996 ± 0.0004 is left.
                let (corrected, r) =
                    (column("gamma_corrected_2md")[i].unwrap(), column("r_corrected")[i].unwrap());
                assert!((corrected - 0.996).abs() < 5.0 * 0.0004 && r < -0.9999, "{corrected} {r}");
            }
            assert_eq!(column("residual_slope")[i].is_none(), free);
            if estimator[i] == "counting" {
                assert!(column("coverage")[i].unwrap() >= 0.88 && column("worst_z")[i].unwrap().abs() < 4.5);
            }
            if estimator[i] == "splitting" {
                // 100 independent scores, Student's t with 31 degrees of freedom: three of the standard errors away.
                assert!(column("z_mean")[i].unwrap().abs() < 0.31, "{:?}", column("z_mean"));
                assert!(
                    (column("z_deviation")[i].unwrap() - 1.03).abs() < 0.25,
                    "{:?}",
                    column("z_deviation")
                );
                assert_eq!(column("coverage_tubes")[i], Some(100.0));
            }
        }
        let slopes = table("slopes");
        assert_eq!(slopes.rows(), 8);
        let free = slopes.texts("estimator").unwrap().iter().position(|name| name == "quadrature").unwrap();
        assert!((slopes.numbers("slope_2m").unwrap()[free].unwrap() - 1.0).abs() < 0.01);
        assert!(table("points").rows() > 4 * 380);
    }
}

/// Wrong values are refused by name.
#[test]
fn parameters_are_checked() {
    let bad = Params { mass: -1.0, width: 9.0, steps: 1, estimators: Vec::new(), ..Params::default() };
    let fields: Vec<String> = RandomMotion::check(&bad).into_iter().map(|issue| issue.field).collect();
    assert_eq!(fields, ["mass", "width", "steps", "estimators"]);
    let bad = Params {
        system: PotentialName::Polynomial,
        amplitude: 0.0,
        splitting: Population { walkers: 1, repeats: 5000 },
        shard: Some(Shard { index: 4, of: 4 }),
        ..Params::default()
    };
    let fields: Vec<String> = RandomMotion::check(&bad).into_iter().map(|issue| issue.field).collect();
    assert_eq!(
        fields,
        ["coefficients", "amplitude", "splitting.walkers", "splitting.repeats", "shard.index"]
    );
    assert!(RandomMotion::check(&Params::default()).is_empty());
}
