//! Which engine a profile has.

use crate::config::profiles::{self, Profile};
use crate::worker::cluster::commands::Commands;
use crate::worker::cluster::engine::Engine;
use crate::worker::cluster::slurm::Slurm;

/// The engine of a profile; none for this machine.
pub fn of(profile: &Profile) -> Option<Box<dyn Engine>> {
    match profile.engine {
        profiles::Engine::Local => None,
        profiles::Engine::Slurm => Some(Box::new(Slurm::new(profile.clone()))),
        profiles::Engine::Command => Some(Box::new(Commands::new(profile.clone()))),
    }
}
