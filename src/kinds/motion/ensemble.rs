//! The tubes of one ensemble of `random-motion`, and the law fitted to them by each estimator.

use crate::kinds::motion::tube_table::TubeTable;
use onsager_runner::kind::context::Item;
use onsager_runner::kind::stage::StageError;
use onsager_science::motion::law::{Counts, Law, Sample, Scores};
use serde_json::Value;

/// The estimators in the order of the outputs.
pub const ESTIMATORS: [&str; 4] = ["counting", "splitting", "quadrature-at-width", "quadrature"];
/// The one that is exact at the width of counting and splitting: their control.
const CONTROL: usize = 2;

/// One table of tubes.
pub struct Ensemble {
    labels: Vec<(String, Value)>,
    system: String,
    units: String,
    diffusion: f64,
    mass: f64,
    tube: Vec<f64>,
    action: Vec<f64>,
    action_hamiltonian: Vec<f64>,
    kinetic: Vec<f64>,
    deviation: Vec<f64>,
    action_least: f64,
    width: Option<f64>,
    quadrature_width: Option<f64>,
    arrived: Option<u64>,
    omega_t: f64,
    count: Vec<Option<u64>>,
    expected: Vec<Option<f64>>,
    counting: Scored,
    splitting: Scored,
    /// −ln P by each of [`ESTIMATORS`].
    neg_ln_p: [Vec<Option<f64>>; 4],
}

/// The 95 % intervals of a sampled −ln P, and its distance from the exact value in standard errors.
struct Scored {
    lower: Vec<Option<f64>>,
    upper: Vec<Option<f64>>,
    z_score: Vec<Option<f64>>,
}

/// The tubes of one ensemble by one estimator, with the law where it could be fitted.
pub struct Fit {
    pub labels: Vec<(String, Value)>,
    pub estimator: &'static str,
    pub system: String,
    pub units: String,
    pub diffusion: f64,
    pub mass: f64,
    pub omega_t: f64,
    pub width: f64,
    pub action_least: f64,
    pub sample: Sample,
    pub law: Option<Law>,
    pub rows: Vec<Row>,
    /// The part of the tubes whose interval holds the exact value, and the number of tubes compared.
    pub coverage: Option<f64>,
    pub coverage_tubes: Option<usize>,
    pub scores: Option<Scores>,
}

/// One tube in the table of points.
pub struct Row {
    pub tube: f64,
    pub kinetic: f64,
    pub count: Option<u64>,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub z_score: Option<f64>,
    /// −ln P by quadrature at the same width.
    pub exact: Option<f64>,
    pub used: bool,
}

impl Ensemble {
    /// Reads the `tubes` of a `random-motion` task.
    pub fn read(item: &Item) -> Result<Ensemble, StageError> {
        let tubes = TubeTable::read(item)?;
        Ok(Ensemble {
            labels: item.labels.clone(),
            system: tubes.text("system")?,
            units: tubes.text("units")?,
            diffusion: tubes.first("diffusion")?,
            mass: tubes.first("mass")?,
            tube: tubes.all("tube")?,
            action: tubes.all("action")?,
            action_hamiltonian: tubes.all("action_hamiltonian")?,
            kinetic: tubes.all("kinetic")?,
            deviation: tubes.all("deviation")?,
            action_least: tubes.first("action_least")?,
            width: tubes.maybe("width")?,
            quadrature_width: tubes.maybe("quadrature_width")?,
            arrived: tubes.maybe("arrived")?.map(|arrived| arrived as u64),
            omega_t: tubes.first("omega_t")?,
            count: tubes.numbers("count")?.into_iter().map(|count| count.map(|count| count as u64)).collect(),
            expected: tubes.numbers("expected_count")?,
            counting: Scored {
                lower: tubes.numbers("neg_ln_p_lower")?,
                upper: tubes.numbers("neg_ln_p_upper")?,
                z_score: tubes.numbers("z_score")?,
            },
            splitting: Scored {
                lower: tubes.numbers("splitting_lower")?,
                upper: tubes.numbers("splitting_upper")?,
                z_score: tubes.numbers("splitting_z_score")?,
            },
            neg_ln_p: [
                tubes.numbers("neg_ln_p")?,
                tubes.numbers("splitting_neg_ln_p")?,
                tubes.numbers("quadrature_neg_ln_p_at_width")?,
                tubes.numbers("quadrature_neg_ln_p")?,
            ],
        })
    }

    /// The fit by this estimator; nothing where the ensemble has none of its values.
    pub fn fit(&self, estimator: &'static str, minimum_count: u64) -> Option<Fit> {
        let position = ESTIMATORS.iter().position(|&name| name == estimator)?;
        let values = &self.neg_ln_p[position];
        let counting = estimator == "counting";
        let width = if estimator == "quadrature" { self.quadrature_width } else { self.width }?;
        // Points in the order of their action, so that the lines of a figure run from left to right.
        let mut tubes: Vec<usize> = (0..self.tube.len()).filter(|&k| values[k].is_some()).collect();
        tubes.sort_by(|&a, &b| self.action[a].total_cmp(&self.action[b]));
        if tubes.is_empty() {
            return None;
        }
        let used = |k: usize| !counting || self.count[k].is_some_and(|count| count >= minimum_count);
        let sample_of = |tubes: &[usize]| -> Option<Sample> {
            let counts = |arrived: u64| Counts {
                counts: tubes.iter().map(|&k| self.count[k].unwrap_or(0) as f64).collect(),
                arrived: arrived as f64,
                minimum: minimum_count as f64,
            };
            Some(Sample {
                action: tubes.iter().map(|&k| self.action[k]).collect(),
                action_hamiltonian: tubes.iter().map(|&k| self.action_hamiltonian[k]).collect(),
                deviation: tubes.iter().map(|&k| self.deviation[k]).collect(),
                neg_ln_p: tubes.iter().map(|&k| values[k].unwrap_or(f64::INFINITY)).collect(),
                counts: if counting { Some(counts(self.arrived?)) } else { None },
            })
        };
        // A tube in which nothing was counted has no value, and yet says something.
        let fitted: Vec<usize> = if counting { (0..self.tube.len()).collect() } else { tubes.clone() };
        let law = Law::fit(&sample_of(&fitted)?, 2.0 * self.mass * self.diffusion);
        // Against the exact values: all tubes by splitting; by counting those whose expected count is at least 20.
        let scored = match estimator {
            "counting" => Some(&self.counting),
            "splitting" => Some(&self.splitting),
            _ => None,
        };
        let control = &self.neg_ln_p[CONTROL];
        let compared: Vec<usize> = (0..self.tube.len())
            .filter(|&k| scored.is_some_and(|scored| scored.z_score[k].is_some()))
            .filter(|&k| !counting || self.expected[k].is_some_and(|expected| expected >= 20.0))
            .collect();
        // Both ends of a count's interval are missing at infinity.
        let covers = |&&k: &&usize| -> bool {
            let (Some(scored), Some(exact)) = (scored, control[k]) else { return false };
            let within = scored.lower[k].is_none_or(|lower| lower <= exact);
            within && scored.upper[k].is_none_or(|upper| exact <= upper)
        };
        let covered = compared.iter().filter(covers).count();
        let z: Vec<f64> =
            compared.iter().filter_map(|&k| scored.and_then(|scored| scored.z_score[k])).collect();
        let of_scores =
            |column: fn(&Scored) -> &Vec<Option<f64>>, k: usize| scored.and_then(|s| column(s)[k]);
        Some(Fit {
            labels: self.labels.clone(),
            estimator,
            system: self.system.clone(),
            units: self.units.clone(),
            diffusion: self.diffusion,
            mass: self.mass,
            omega_t: self.omega_t,
            width,
            action_least: self.action_least,
            sample: sample_of(&tubes)?,
            law,
            rows: tubes
                .iter()
                .map(|&k| Row {
                    tube: self.tube[k],
                    kinetic: self.kinetic[k],
                    count: self.count[k].filter(|_| counting),
                    lower: of_scores(|scored| &scored.lower, k),
                    upper: of_scores(|scored| &scored.upper, k),
                    z_score: of_scores(|scored| &scored.z_score, k),
                    exact: control[k].filter(|_| scored.is_some()),
                    used: used(k),
                })
                .collect(),
            coverage: (!compared.is_empty()).then(|| covered as f64 / compared.len() as f64),
            coverage_tubes: scored.map(|_| compared.len()),
            scores: Scores::of(&z),
        })
    }
}
