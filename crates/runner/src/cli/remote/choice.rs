//! Which remote store a command uses: the one that is named, or the default of `onsager.toml`.

use crate::cli::common::CliError;
use crate::config::Config;
use crate::config::trust::Trust;
use crate::pipeline::files::project_root;
use crate::run::session::Session;
use crate::store::Store;
#[cfg(not(feature = "remote"))]
use crate::store::actions::Action;
#[cfg(not(feature = "remote"))]
use crate::store::digest::Digest;
#[cfg(not(feature = "remote"))]
use crate::store::objects::Content;
#[cfg(not(feature = "remote"))]
use crate::store::remote::elsewhere::Notice;
use crate::store::remote::place::Place;
use clap::Args;
use std::path::Path;

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
        self.find_in(&project_root(file))
    }

    /// The same for a project.
    fn find_in(&self, root: &Path) -> Result<Option<Chosen>, CliError> {
        if self.no_remote {
            return Ok(None);
        }
        let config = Config::of(root)?;
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

    /// That of a project, for a command that needs one.
    pub fn need(&self, root: &Path) -> Result<Chosen, CliError> {
        self.find_in(root)?.ok_or_else(|| {
            CliError::Request(
                "no remote store is named: give `--remote NAME`, or make one the default; `onsager remote add` adds one".to_owned(),
            )
        })
    }
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
    use crate::store::remote::ask::Asker;
    use crate::store::remote::error::RemoteError;
    use crate::store::remote::link::Link;
    use crate::store::remote::opened::Remote;
    use crate::store::remote::place::Unsigned;
    use crate::store::remote::record::Policy;
    use crate::trust::sign::Signer;
    use std::sync::Arc;

    impl Chosen {
        /// Whose records count here, and who signs those that go out.
        fn policy(&self) -> Result<Policy, CliError> {
            let signer = Signer::of(&self.trust, jiff::Timestamp::now().as_second())?.map(Arc::new);
            let trust = self.trust.clone().with_own(signer.as_ref().map(|signer| signer.public()));
            let trust = match self.place.unsigned {
                Unsigned::Refuse => trust,
                Unsigned::Accept => trust.accepting_unsigned(),
            };
            Ok(Policy { trust, signer })
        }

        pub fn open(&self) -> Result<Remote, CliError> {
            Ok(Remote::open(&self.name, &self.place, self.policy()?)?)
        }

        /// What looks at records there, and into their contents.
        pub fn asker(&self, store: &Store) -> Result<Asker, CliError> {
            Ok(Asker::open(self.open()?, store)?)
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
                error @ (RemoteError::Place { .. }
                | RemoteError::ReadOnly { .. }
                | RemoteError::NoKey { .. }
                | RemoteError::NoRun { .. }) => CliError::Request(error.to_string()),
                error @ RemoteError::Interrupted => CliError::Interrupted(error.to_string()),
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
    pub fn records(&self, _: &[Digest]) -> Result<(Vec<Action>, Option<Notice>), CliError> {
        Err(without())
    }

    pub fn fetch(&self, _: &[Content]) -> Result<bool, CliError> {
        Err(without())
    }
}

#[cfg(not(feature = "remote"))]
impl Chosen {
    pub fn asker(&self, _: &Store) -> Result<Asker, CliError> {
        Err(without())
    }

    /// What a build without remote stores says.
    pub fn link(&self, _: &Session, _: bool) -> Result<(), CliError> {
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
