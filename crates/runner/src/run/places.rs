//! Where the tasks of a session run: on this machine, or where profiles of `onsager.toml` say.

use crate::config::Config;
use crate::config::profiles::{Engine, Profile};
use crate::pipeline::files::project_root;
use crate::pipeline::graph::Graph;
use crate::run::error::SessionError;
use crate::run::options::new_run_name;
use crate::run::session::Session;
use crate::run::workers;
use crate::worker::cluster::detach::{self, Detach, Detached};
use onsager_numerics::kernel::Level;
use std::collections::BTreeSet;
use std::ffi::OsString;

impl Session<'_> {
    /// The kernel level asked for, else that of the profile, else the machine's best.
    pub fn level(&self) -> Result<Level, SessionError> {
        let profile = self.settings.on.as_deref().map(|name| self.profile(name)).transpose()?;
        let pinned = self.settings.kernel.or_else(|| profile.as_ref()?.kernel);
        let level = pinned.unwrap_or_else(Level::detect);
        // The nodes of a cluster may have what this machine lacks.
        if profile.is_none_or(|profile| profile.engine == Engine::Local) {
            level.check()?;
        }
        Ok(level)
    }

    /// A profile of `onsager.toml`.
    fn profile(&self, name: &str) -> Result<Profile, SessionError> {
        let config = match self.config.get() {
            Some(config) => config,
            None => {
                let read = Config::of(&project_root(&self.file))?;
                self.config.get_or_init(|| read)
            }
        };
        Ok(config.profile(name)?.clone())
    }

    /// The profiles that a run takes: that of the tasks that name none first; none at all where everything runs here.
    pub(super) fn profiles(
        &self,
        graph: &Graph,
        selected: &[bool],
    ) -> Result<Vec<(Option<String>, Profile)>, SessionError> {
        let tasks = graph.tasks.iter().zip(selected).filter(|(_, selected)| **selected);
        let named: BTreeSet<&String> = tasks.filter_map(|(task, _)| task.resources.on.as_ref()).collect();
        if self.settings.on.is_none() && named.is_empty() {
            return Ok(Vec::new());
        }
        let default = match &self.settings.on {
            Some(name) => self.profile(name)?,
            None => Profile::here(),
        };
        let mut profiles = vec![(self.settings.on.clone(), default)];
        for name in named.into_iter().filter(|name| self.settings.on.as_ref() != Some(*name)) {
            profiles.push((Some(name.clone()), self.profile(name)?));
        }
        let level = self.level()?;
        for (name, profile) in &profiles {
            if let (Some(name), Some(pinned)) = (name, profile.kernel)
                && pinned != level
            {
                return Err(SessionError::OtherLevel { name: name.clone(), pinned, level });
            }
        }
        Ok(profiles)
    }

    /// Submits a run with these arguments as a job of the profile itself.
    pub fn detach(&self, arguments: Vec<OsString>) -> Result<Detached, SessionError> {
        let Some(name) = &self.settings.on else { return Err(SessionError::NowhereToDetach) };
        let profile = self.profile(name)?;
        // What is wrong with the pipeline is told here, and not in a job.
        self.graph_to_run()?;
        let folder = std::env::current_dir().unwrap_or_else(|_| project_root(&self.file));
        let detach = Detach {
            name,
            profile: &profile,
            run: new_run_name(),
            kernel: self.level()?,
            program: workers::kept_program(&self.store)?,
            arguments,
            folder: &folder,
        };
        Ok(detach::detach(&self.store, detach)?)
    }
}
