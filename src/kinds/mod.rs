//! The stage kinds: thin files that join the science to the runner.

pub mod choice;
pub mod columns;
pub mod diffusion;
pub mod documents;
pub mod motion;
pub mod report;
pub mod rounds;
pub mod score;
pub mod training;

use fingerprints::of;
use onsager_runner::kind::registry::Registry;
use std::sync::Arc;

onsager_runner::fingerprints!();

/// The kinds that onsager ships. A kind is one file here and one line below.
pub fn builtin() -> Registry {
    let mut registry = Registry::empty();
    registry.read_parquet_with(Box::new(onsager_report::tables::presentation::PolarsParquet));
    registry.show_parquet_with(Arc::new(onsager_report::tables::head::ParquetHeads));
    registry.add::<diffusion::dataset::DatasetStage>(of("dataset"));
    registry.add::<motion::random_motion::RandomMotion>(of("random-motion"));
    registry.add::<motion::merge_shards::MergeShards>(of("merge-shards"));
    registry.add::<motion::action_law::ActionLaw>(of("action-law"));
    registry.add::<motion::width_extrapolation::WidthExtrapolation>(of("width-extrapolation"));
    registry.add::<motion::langevin::Langevin>(of("langevin"));
    registry.add::<motion::transition_paths::TransitionPaths>(of("transition-paths"));
    registry.add::<motion::propagator::Propagator>(of("propagator"));
    registry.add::<motion::path_entropy::PathEntropy>(of("path-entropy"));
    registry.add::<diffusion::train::Train>(of("train"));
    registry.add::<diffusion::sample::Sample>(of("sample"));
    registry.add::<diffusion::sampler_law::SamplerLaw>(of("sampler-law"));
    registry.add::<diffusion::likelihood::Likelihood>(of("likelihood"));
    registry.add::<score::score_train::ScoreTrain>(of("score-train"));
    registry.add::<score::exact_score::ExactScore>(of("exact-score"));
    registry.add::<score::score_sample::ScoreSample>(of("score-sample"));
    registry.add::<score::score_likelihood::ScoreLikelihood>(of("score-likelihood"));
    registry.add::<score::score_density::ScoreDensity>(of("score-density"));
    registry.add::<score::linear_score::LinearScore>(of("linear-score"));
    registry.add::<diffusion::classifier::Classifier>(of("classifier"));
    registry.add::<diffusion::sample_quality::SampleQuality>(of("sample-quality"));
    registry.add::<report::figure::FigureStage>(of("figure"));
    registry.add::<report::table::TableStage>(of("table"));
    registry.add::<report::page::ReportStage>(of("report"));
    registry.extend(onsager_runner::builtin());
    let features = [("science", true), ("cuda", cfg!(feature = "cuda")), ("metal", cfg!(feature = "metal"))];
    features.iter().filter(|(_, there)| *there).for_each(|(name, _)| _ = registry.built_with(name));
    // In the place of the runner's own, which reads no Parquet.
    registry.add::<report::values::ValuesStage>(of("values"));
    registry
}
