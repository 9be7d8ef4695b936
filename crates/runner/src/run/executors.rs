//! A run with the executors of its places.

use crate::config::profiles::Profile;
use crate::kind::registry::Registry;
use crate::pipeline::graph::Graph;
use crate::plan::error::EngineError;
use crate::plan::resolve::Resolver;
use crate::run::drive::{self, Ended, Outside};
use crate::run::events::Observer;
use crate::run::growth::Grow;
use crate::run::options::{Options, new_run_name};
use crate::run::workers;
use crate::store::Store;
use crate::store::remote::elsewhere::Elsewhere;
use crate::worker::cluster::inherited::Inherited;
use crate::worker::executor::Executor;
use crate::worker::fleet::Fleet;

/// What a run deals with besides its workers.
pub struct Ears<'a> {
    pub observer: &'a mut dyn Observer,
    pub grow: &'a mut dyn Grow,
    pub elsewhere: Option<&'a mut (dyn Elsewhere + 'static)>,
}

/// Runs the selected tasks of a graph where these profiles say; on this machine where there are none.
pub fn run_on(
    profiles: &[(Option<String>, Profile)],
    graph: &Graph,
    registry: &Registry,
    store: &Store,
    options: &Options,
    ears: Ears,
) -> Result<Ended, EngineError> {
    let resolver = Resolver::new(graph, registry, store, options.kernel)?;
    let name = new_run_name();
    let log_format = if options.json_logs { "json" } else { "text" };
    let local =
        || workers::local(store, options.kernel, log_format, store.runs().join(&name).join("workers.log"));
    let mut places: Vec<Box<dyn Executor>> = Vec::new();
    for (called, profile) in profiles {
        let called = called.as_deref().unwrap_or_default();
        places.push(match workers::cluster(store, (called, profile), &name, options.kernel, log_format)? {
            Some(cluster) => Box::new(cluster),
            None => Box::new(local()?),
        });
    }
    let executor = match Fleet::of(places) {
        Some(executor) => executor,
        None => Box::new(local()?),
    };
    let own: Vec<String> = profiles.iter().filter_map(|(name, _)| name.clone()).collect();
    let mut executor = Inherited::over(executor, store, &own)?;
    let Ears { observer, grow, elsewhere } = ears;
    let outside = Outside { executor: executor.as_mut(), observer, grow, elsewhere };
    drive::run(resolver, store, options, &name, outside)
}
