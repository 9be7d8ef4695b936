//! The stage kind `values`, which reads Parquet files, too.

use onsager_report::tables::presentation::PolarsParquet;
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Inputs, Issue, Output, Stage, StageError};
use onsager_runner::values::params::Params;
use onsager_runner::values::{self, Values};

/// Writes what the pipeline's metrics say, and figures and tables, for a text.
pub struct ValuesStage;

impl Stage for ValuesStage {
    type Params = Params;

    const KIND: &'static str = "values";
    const SUMMARY: &'static str = Values::SUMMARY;
    const METRICS: bool = true;
    const PARALLEL: bool = false;

    fn inputs() -> Inputs {
        Inputs::any()
    }

    fn outputs(_: &Params) -> Vec<Output> {
        values::outputs()
    }

    fn check(params: &Params) -> Vec<Issue> {
        values::check(params)
    }

    fn run(params: &Params, ctx: &Context) -> Result<(), StageError> {
        values::run(params, ctx, Some(&PolarsParquet))
    }
}
