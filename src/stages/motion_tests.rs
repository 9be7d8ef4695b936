//! The kinds `random-motion` and `action-law` as a pipeline runs them.

use super::action_law::{self, ActionLaw};
use super::columns::Table;
use super::context::{Context, Item, Reporter};
use super::random_motion::{Params, RandomMotion, SystemName, Units};
use super::stage::{Stage, StageError};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Asks for an interruption once this many units are done, and remembers where the task went on.
pub(super) struct Interrupter {
    after: u64,
    flag: Arc<AtomicBool>,
    pub(super) resumed: AtomicU64,
}

impl Reporter for Interrupter {
    fn progress(&self, done: u64, _: u64, _: &str) {
        if done >= self.after {
            self.flag.store(true, Ordering::Relaxed);
        }
    }
    fn checkpoint(&self, _: u64) {}
    fn resumed(&self, step: u64) {
        self.resumed.store(step, Ordering::Relaxed);
    }
}

pub(super) fn context(folder: &Path, outputs: &[&str], after: u64) -> (Context, Arc<Interrupter>) {
    fs::create_dir_all(folder).unwrap();
    let flag = Arc::new(AtomicBool::new(false));
    let reporter = Arc::new(Interrupter { after, flag: flag.clone(), resumed: AtomicU64::new(0) });
    let context = Context {
        inputs: BTreeMap::new(),
        outputs: outputs.iter().map(|name| ((*name).to_owned(), folder.join(name))).collect(),
        checkpoints: folder.join("checkpoints"),
        root: PathBuf::new(),
        log: PathBuf::new(),
        threads: 2,
        sandbox: None,
        cancelled: flag,
        reporter: reporter.clone(),
    };
    (context, reporter)
}

const MOTION: [&str; 3] = ["tubes", "paths", "summary"];

fn run(params: &Params, folder: &Path, threads: usize) -> Vec<Vec<u8>> {
    let (context, _) = context(folder, &MOTION, u64::MAX);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| RandomMotion::run(params, &context)).unwrap();
    bytes(folder)
}

fn bytes(folder: &Path) -> Vec<Vec<u8>> {
    MOTION.iter().map(|name| fs::read(folder.join(name)).unwrap()).collect()
}

/// The same bytes with one thread and two, and after an interruption.
#[test]
fn same_bytes_however_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let params = Params { particles: (1 << 22) + 5, width: 2.0, tubes: 20, ..Params::default() };
    let one = run(&params, &folder.path().join("one"), 1);
    assert_eq!(run(&params, &folder.path().join("two"), 2), one);

    let broken = folder.path().join("broken");
    let (first, _) = context(&broken, &MOTION, 1);
    assert!(matches!(RandomMotion::run(&params, &first), Err(StageError::Cancelled)));
    let (second, reporter) = context(&broken, &MOTION, u64::MAX);
    RandomMotion::run(&params, &second).unwrap();
    assert!(reporter.resumed.load(Ordering::Relaxed) >= 1 << 22);
    assert_eq!(bytes(&broken), one);
}

/// Two systems and two noise strengths through both kinds, in dimensionless and in SI units: the law, the control of the
/// counts, the slope against 1/D.
#[test]
fn the_law_from_end_to_end() {
    let folder = tempfile::tempdir().unwrap();
    for units in [Units::Dimensionless, Units::Water1um] {
        let (mut law, _) = context(&folder.path().join("law"), &["fit", "points", "slopes"], u64::MAX);
        let mut items = Vec::new();
        for system in [SystemName::Free, SystemName::Harmonic] {
            for diffusion in [0.5, 2.0] {
                let name = format!("{system:?} {diffusion}");
                let out = folder.path().join(&name);
                let params = Params {
                    system,
                    diffusion,
                    units,
                    particles: 2_000_000,
                    width: 2.0,
                    ..Params::default()
                };
                run(&params, &out, 2);
                let labels = vec![("system".to_owned(), "x".into()), ("noise".to_owned(), diffusion.into())];
                items.push(Item { path: out.join("tubes"), name, labels });
            }
        }
        law.inputs.insert("tubes".to_owned(), items);
        ActionLaw::run(&action_law::Params::default(), &law).unwrap();

        let table = |name: &str| Table::read(law.output(name).unwrap(), name).unwrap();
        let fit = table("fit");
        let column = |name: &str| fit.numbers(name).unwrap();
        let (estimator, system) = (fit.texts("estimator").unwrap(), fit.texts("system").unwrap());
        assert_eq!(fit.rows(), 12);
        assert_eq!(column("noise")[11], Some(2.0));
        for i in 0..12 {
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
        }
        let slopes = table("slopes");
        assert_eq!(slopes.rows(), 6);
        let free = slopes.texts("estimator").unwrap().iter().position(|name| name == "quadrature").unwrap();
        assert!((slopes.numbers("slope_2m").unwrap()[free].unwrap() - 1.0).abs() < 0.01);
        assert!(table("points").rows() > 4 * 280);
    }
}

/// Wrong values are refused by name.
#[test]
fn parameters_are_checked() {
    let bad = Params { mass: -1.0, width: 9.0, steps: 1, estimators: Vec::new(), ..Params::default() };
    let fields: Vec<String> = RandomMotion::check(&bad).into_iter().map(|issue| issue.field).collect();
    assert_eq!(fields, ["mass", "width", "steps", "estimators"]);
    assert!(RandomMotion::check(&Params::default()).is_empty());
}
