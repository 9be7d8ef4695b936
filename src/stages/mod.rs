//! The stage kinds: thin files that join the science below to the engine.

pub mod context;
pub mod figure;
pub mod registry;
pub mod report;
pub mod stage;
pub mod table;

use registry::Registry;

/// The kinds that onsager ships. A kind is one file here and one line below.
pub fn builtin() -> Registry {
    let mut registry = Registry::empty();
    registry.add::<figure::FigureStage>("dev");
    registry.add::<table::TableStage>("dev");
    registry.add::<report::ReportStage>("dev");
    registry
}
