//! Which remote store a command uses: the one that is named, or the default of `onsager.toml`.

use crate::cli::common::CliError;
use crate::config::Config;
use crate::config::trust::Trust;
use crate::pipeline::files::project_root;
use crate::pipeline::project;
use crate::run::session::Session;
#[cfg(not(feature = "remote"))]
use crate::store::actions::Action;
#[cfg(not(feature = "remote"))]
use crate::store::digest::Digest;
use crate::store::remote::place::Place;
use clap::Args;
use std::path::{Path, PathBuf};

/// Which remote store.
#[derive(Args)]
pub struct Choice {
    /// Use this remote store of `onsager.toml` [default: the one with `default = true`]
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
    /// Use no remote store
    #[arg(long, conflicts_with = "remote")]
    no_remote: bool,
}

/// A remote store of `onsager.toml`.
pub struct Chosen {
    pub name: String,
    pub place: Place,
    /// Whose records count.
    #[cfg_attr(
        not(feature = "remote"),
        expect(dead_code, reason = "a build without has no records to judge")
    )]
    trust: Trust,
}

impl Choice {
    /// The remote store for a pipeline's file; none where none is named and there is no default.
    pub fn find(&self, file: &Path) -> Result<Option<Chosen>, CliError> {
        if self.no_remote {
            return Ok(None);
        }
        let config = Config::of(&project_root(file))?;
        match &self.remote {
            Some(name) => named(&config, name).map(Some),
            None => {
                let mut all = config.remote.into_iter();
                Ok(all.find(|(_, place)| place.default).map(|(name, place)| Chosen {
                    name,
                    place,
                    trust: config.trust,
                }))
            }
        }
    }

    /// Whether one was named, rather than taken as the default.
    pub fn is_named(&self) -> bool {
        self.remote.is_some()
    }

    /// The same for a command that needs one.
    pub fn need(&self, file: &Path) -> Result<Chosen, CliError> {
        self.find(file)?.ok_or_else(|| {
            CliError::Request(
                "no remote store is named: give `--remote NAME`, or make one the default; `onsager remote add` adds one".to_owned(),
            )
        })
    }
}

/// The project that this folder lies in.
pub fn root() -> Result<PathBuf, CliError> {
    let here = std::env::current_dir()
        .map_err(|error| CliError::Request(format!("cannot find this folder: {error}")))?;
    Ok(project::find(&here))
}

/// The remote store of this name.
pub fn named(config: &Config, name: &str) -> Result<Chosen, CliError> {
    let place = config.remote.get(name).ok_or_else(|| {
        let known: Vec<&str> = config.remote.keys().map(String::as_str).collect();
        let there = match known.is_empty() {
            true => "there is none yet".to_owned(),
            false => format!("there are {}", known.join(", ")),
        };
        CliError::Request(format!(
            "there is no remote store `{name}` in `onsager.toml`; {there}: `onsager remote add` adds one"
        ))
    })?;
    Ok(Chosen { name: name.to_owned(), place: place.clone(), trust: config.trust.clone() })
}

#[cfg(feature = "remote")]
mod with {
    use super::*;
    use crate::store::Store;
    use crate::store::remote::ask::Asker;
    use crate::store::remote::error::RemoteError;
    use crate::store::remote::link::Link;
    use crate::store::remote::record::Policy;
    use crate::store::remote::remote::Remote;
    use crate::trust::sign::Signer;
    use std::sync::Arc;

    impl Chosen {
        /// Whose records count here, and who signs those that go out.
        fn policy(&self) -> Result<Policy, CliError> {
            let signer = Signer::of(&self.trust, jiff::Timestamp::now().as_second())?.map(Arc::new);
            Ok(Policy { trust: self.trust.clone(), signer })
        }

        pub fn open(&self) -> Result<Remote, CliError> {
            Ok(Remote::open(&self.name, &self.place, self.policy()?)?)
        }

        /// The records of these keys that are there and count.
        pub fn asker(&self) -> Result<Asker, CliError> {
            Ok(Asker::open(self.open()?)?)
        }

        /// Lets the runs of a session use it.
        pub fn link(&self, session: &Session, push: bool) -> Result<(), CliError> {
            let store: Store = session.store().clone();
            session.use_remote(Box::new(Link::new(&self.name, &self.place, self.policy()?, store, push)?));
            Ok(())
        }
    }

    impl From<RemoteError> for CliError {
        fn from(error: RemoteError) -> CliError {
            match error {
                RemoteError::Store(error) => error.into(),
                error @ (RemoteError::Place { .. } | RemoteError::ReadOnly { .. }) => {
                    CliError::Request(error.to_string())
                }
                error => CliError::Remote(error.to_string()),
            }
        }
    }
}

/// Stands for what looks at records, in a build without.
#[cfg(not(feature = "remote"))]
pub struct Asker;

#[cfg(not(feature = "remote"))]
impl Asker {
    pub fn records(&self, _: &[Digest]) -> Result<Vec<Action>, CliError> {
        Err(without())
    }
}

#[cfg(not(feature = "remote"))]
impl Chosen {
    pub fn asker(&self) -> Result<Asker, CliError> {
        Err(without())
    }

    /// What a build without remote stores says.
    pub fn link(&self, _: &Session, _: bool) -> Result<(), CliError> {
        Err(without())
    }
}

/// A command that this build leaves out.
#[cfg(not(feature = "remote"))]
#[derive(Args)]
pub struct LeftOut {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _words: Vec<String>,
}

#[cfg(not(feature = "remote"))]
impl LeftOut {
    pub fn execute(&self) -> Result<u8, CliError> {
        Err(without())
    }
}

/// What every command says that needs what this build leaves out.
#[cfg(not(feature = "remote"))]
pub fn without() -> CliError {
    CliError::Request(
        "this build of onsager has no remote stores: build it with the feature `remote`".to_owned(),
    )
}
