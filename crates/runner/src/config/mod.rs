//! `onsager.toml`: what a project or a user sets once for all runs. Nothing of it enters a key.
//!
//! It is read from two places: the user's (`~/.config/onsager/onsager.toml`) and the project's root. What has a name, like a profile,
//! is the project's where both have it.

pub mod profiles;
pub mod remotes;
pub mod trust;

use crate::pipeline::yaml::diagnostics::{self, Diagnostic, Diagnostics};
use crate::store::remote::place::Place;
use crate::trust::key;
use onsager_tables::names::{advice, did_you_mean};
use profiles::Profile;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use trust::Trust;

/// The name of the file, in both places.
pub const FILE: &str = "onsager.toml";

/// The variable with the scope that results are signed for, instead of the one in the file: `pr-17` in the CI of a pull request.
pub const SCOPE_VARIABLE: &str = "ONSAGER_SCOPE";

/// What the files say together.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where tasks may run: `[on.cluster]`.
    #[serde(default)]
    pub on: BTreeMap<String, Profile>,
    /// Where results are shared: `[remote.lab]`.
    #[serde(default)]
    pub remote: BTreeMap<String, Place>,
    /// Whose results count: `[trust]`.
    #[serde(default)]
    pub trust: Trust,
}

/// There is no profile of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no profile `{name}`{}", advice(.help))]
pub struct NoProfile {
    pub name: String,
    pub help: Option<String>,
}

impl Config {
    /// The configuration of the project with this root folder.
    pub fn of(root: &Path) -> Result<Config, Diagnostics> {
        let mut config = match user_folder() {
            Some(folder) => match Config::read(&folder.join(FILE)) {
                // Another user's, as `sudo -u` may leave it: it is not this one's configuration.
                Err(_) if is_forbidden(&folder.join(FILE)) => Config::default(),
                read => read?,
            },
            None => Config::default(),
        };
        let Config { on, remote, trust } = Config::read(&root.join(FILE))?;
        config.on.extend(on);
        // A project's default stands above the user's.
        if remote.values().any(|remote| remote.default) {
            config.remote.values_mut().for_each(|remote| remote.default = false);
        }
        config.remote.extend(remote);
        let scope = std::env::var(SCOPE_VARIABLE).ok().filter(|scope| !scope.is_empty());
        config.trust = config.trust.over(trust).for_scope(scope).map_err(|fault| {
            Diagnostics::whole(root.join(FILE), format!("{SCOPE_VARIABLE}: {fault}"), None)
        })?;
        Ok(config)
    }

    /// The profile of this name.
    pub fn profile(&self, name: &str) -> Result<&Profile, NoProfile> {
        self.on.get(name).ok_or_else(|| NoProfile {
            name: name.to_owned(),
            help: match self.on.is_empty() {
                true => Some(format!(
                    "write `[on.{name}]` with `engine = \"slurm\"` into `{FILE}` of the project"
                )),
                false => did_you_mean(name, self.on.keys().map(String::as_str), "there are"),
            },
        })
    }

    /// One file; nothing is set where there is none.
    fn read(path: &Path) -> Result<Config, Diagnostics> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Config::default()),
            Err(error) => {
                let message = format!("cannot read `{}`: {error}", path.display());
                return Err(Diagnostics::whole(path.to_owned(), message, None));
            }
        };
        let read = toml::from_str(&text);
        // What is wrong is shown with its line: a secret key that stands there by mistake is not.
        let text = key::hide(&text);
        let config: Config = read.map_err(|error: toml::de::Error| {
            let help = error
                .message()
                .starts_with("unknown field")
                .then(|| "docs/cluster.md and docs/remote.md list the fields".to_owned());
            wrong(path, &text, error.span(), error.message().to_owned(), help)
        })?;
        for (name, profile) in &config.on {
            profile.check().map_err(|fault| {
                let message = format!("profile `{name}`: {fault}");
                wrong(path, &text, header(&text, &format!("on.{name}")), message, None)
            })?;
        }
        if let Some((name, fault)) = remotes::fault(&config.remote) {
            // The header alone is shown: the URL may hold what must not be told.
            let (message, place) =
                (format!("remote `{name}`: {fault}"), header(&text, &format!("remote.{name}")));
            return Err(wrong(path, &text, place, message, None));
        }
        config
            .trust
            .check()
            .map_err(|fault| wrong(path, &text, header(&text, "trust"), format!("[trust]: {fault}"), None))?;
        Ok(config)
    }
}

/// Whether this user may not read it.
fn is_forbidden(path: &Path) -> bool {
    std::fs::File::open(path).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// The folder of the user's own configuration.
pub fn user_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(base.join("onsager"))
}

/// Where the table of this name begins.
pub(crate) fn header(text: &str, table: &str) -> Option<Range<usize>> {
    let header = format!("[{table}]");
    text.find(&header).map(|start| start..start + header.len())
}

/// Something that is wrong in a file.
pub(crate) fn wrong(
    path: &Path,
    text: &str,
    span: Option<Range<usize>>,
    message: String,
    help: Option<String>,
) -> Diagnostics {
    let place = span.map(|span| {
        let before = &text[..span.start];
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        diagnostics::Place {
            file: path.display().to_string(),
            line: before.matches('\n').count() + 1,
            column: text[line..span.start].chars().count() + 1,
            text: text[line..].lines().next().unwrap_or_default().to_owned(),
            width: text[span].lines().next().unwrap_or_default().chars().count().max(1),
            argument: false,
        }
    });
    let all = vec![Diagnostic { message, place, help }];
    Diagnostics { file: path.to_owned(), source: text.to_owned(), all }
}
