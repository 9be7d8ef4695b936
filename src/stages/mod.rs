//! The stage kinds: thin files that join the science below to the engine.

pub mod action_law;
pub mod choice;
pub mod classifier;
pub mod columns;
pub mod command;
pub mod context;
#[cfg(test)]
mod data_tests;
pub mod dataset;
pub mod exact_score;
pub mod figure;
pub mod fingerprints;
pub mod guided_model;
pub mod langevin;
pub mod law_tables;
pub mod likelihood;
#[cfg(test)]
mod likelihood_tests;
pub mod linear_score;
pub mod merge_shards;
pub mod motion_parameters;
pub mod motion_tables;
#[cfg(test)]
mod motion_tests;
pub mod numbers;
pub mod path_entropy;
#[cfg(test)]
mod path_law_tests;
pub mod potential;
pub mod processes;
pub mod propagator;
pub mod random_motion;
pub mod registry;
pub mod report;
pub mod rounds;
pub mod sample;
pub mod sample_quality;
pub mod sampler_law;
pub mod sandbox;
pub mod score_density;
pub mod score_likelihood;
pub mod score_sample;
#[cfg(test)]
mod score_tests;
pub mod score_train;
pub mod spawn;
pub mod stage;
pub mod table;
pub mod train;
#[cfg(test)]
mod train_tests;
pub mod transition_paths;
pub mod tube_fit;
pub mod width_extrapolation;

use fingerprints::of;
use registry::Registry;

/// The kinds that onsager ships. A kind is one file here and one line below.
pub fn builtin() -> Registry {
    let mut registry = Registry::empty();
    registry.add::<dataset::DatasetStage>(of("dataset"));
    registry.add::<random_motion::RandomMotion>(of("random-motion"));
    registry.add::<merge_shards::MergeShards>(of("merge-shards"));
    registry.add::<action_law::ActionLaw>(of("action-law"));
    registry.add::<width_extrapolation::WidthExtrapolation>(of("width-extrapolation"));
    registry.add::<langevin::Langevin>(of("langevin"));
    registry.add::<transition_paths::TransitionPaths>(of("transition-paths"));
    registry.add::<propagator::Propagator>(of("propagator"));
    registry.add::<path_entropy::PathEntropy>(of("path-entropy"));
    registry.add::<train::Train>(of("train"));
    registry.add::<sample::Sample>(of("sample"));
    registry.add::<sampler_law::SamplerLaw>(of("sampler-law"));
    registry.add::<likelihood::Likelihood>(of("likelihood"));
    registry.add::<score_train::ScoreTrain>(of("score-train"));
    registry.add::<exact_score::ExactScore>(of("exact-score"));
    registry.add::<score_sample::ScoreSample>(of("score-sample"));
    registry.add::<score_likelihood::ScoreLikelihood>(of("score-likelihood"));
    registry.add::<score_density::ScoreDensity>(of("score-density"));
    registry.add::<linear_score::LinearScore>(of("linear-score"));
    registry.add::<classifier::Classifier>(of("classifier"));
    registry.add::<sample_quality::SampleQuality>(of("sample-quality"));
    registry.add::<figure::FigureStage>(of("figure"));
    registry.add::<table::TableStage>(of("table"));
    registry.add::<report::ReportStage>(of("report"));
    registry.add::<command::CommandStage>(of("command"));
    registry
}
