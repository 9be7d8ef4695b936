//! `onsager key`: keys that sign results, and whom the project trusts.

use crate::cli::common::{self, CliError, root};
use crate::cli::documents::{KeyList, OwnKey, TrustedKey};
use crate::cli::exit;
use crate::config::trust::{self, MAIN, Trusted};
use crate::config::{self, Config};
use crate::trust::key::{NotAKey, PublicKey};
use crate::trust::keyring::{self, DEFAULT, KeyringError};
use clap::{Args, Subcommand};
use jiff::civil::Date;
use std::io::ErrorKind;

/// Make keys that sign results, and say whom the project trusts
///
/// Results from elsewhere (a remote store, an archive) count only when somebody signed them whom the project trusts.
///
/// Examples:
///   onsager key new
///   onsager key trust onsager-ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo= --name anna
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    New(New),
    Show(Show),
    Trust(Add),
    List(List),
}

/// Make a key: its secret part stays in the folder of your configuration
///
/// The secret part is written to `~/.config/onsager/keys/NAME`, which only you can read. It is never printed, and never in a project or a
/// store. For CI give a key of its own: make it under another name, and put the content of the file into the variable ONSAGER_KEY.
///
/// Examples:
///   onsager key new
///   onsager key new --name ci
#[derive(Args)]
#[command(verbatim_doc_comment)]
struct New {
    /// What the key is called here; `default` signs where no other is given
    #[arg(long, value_name = "NAME", default_value = DEFAULT)]
    name: String,
}

/// Print the public part of a key, for others to trust
///
/// Example: onsager key show
#[derive(Args)]
#[command(verbatim_doc_comment)]
struct Show {
    /// Which of your keys [default: the one that signs here]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Trust a key in this project: write it into `onsager.toml`
///
/// Example: onsager key trust onsager-ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo= --name ci --scope 'pr-*' --until 2027-12-31
#[derive(Args)]
#[command(verbatim_doc_comment)]
struct Add {
    /// The public key, as `onsager key show` prints it
    // Read by us: the error of a wrong one must not print it, for it may be a secret key.
    key: String,
    /// What the project calls it
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The last day on which what it signs counts
    #[arg(long, value_name = "DATE")]
    until: Option<Date>,
    /// A scope that it may sign for, like `main` or `pr-*`; may be repeated [default: main]
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
}

/// List your keys, and those that the project trusts
///
/// Example: onsager key list
#[derive(Args)]
#[command(verbatim_doc_comment)]
struct List {
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl Key {
    pub fn execute(&self) -> Result<u8, CliError> {
        match &self.command {
            Command::New(command) => command.execute(),
            Command::Show(command) => command.execute(),
            Command::Trust(command) => command.execute(),
            Command::List(command) => command.execute(),
        }
    }
}

impl New {
    fn execute(&self) -> Result<u8, CliError> {
        let held = keyring::new(&self.name)?;
        common::print(&format!("{}\n", held.key));
        common::print_error(&format!(
            "the secret part is in `{}`: whoever has it can sign as you\n\
             others trust it by `onsager key trust {} --name NAME`",
            held.path.display(),
            held.key
        ));
        Ok(exit::DONE)
    }
}

impl Show {
    fn execute(&self) -> Result<u8, CliError> {
        let key = match &self.name {
            Some(name) => keyring::get(name)?,
            None => keyring::signing()?.ok_or(KeyringError::Missing { name: DEFAULT.to_owned() })?,
        };
        common::print(&format!("{}\n", key.public()));
        Ok(exit::DONE)
    }
}

impl Add {
    fn execute(&self) -> Result<u8, CliError> {
        let root = root()?;
        let path = root.join(config::FILE);
        let scopes = if self.scopes.is_empty() { vec![MAIN.to_owned()] } else { self.scopes.clone() };
        let key: PublicKey =
            self.key.parse().map_err(|error: NotAKey| CliError::Request(error.to_string()))?;
        let trusted = Trusted { key, until: self.until, scopes };
        let known = Config::of(&root)?.trust;
        known.with(&self.name, &trusted).map_err(|fault| CliError::Request(fault.to_string()))?;
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            text => text.map_err(|source| CliError::Target { path: path.clone(), source })?,
        };
        let added = trust::add(&text, &self.name, &trusted).ok_or_else(|| {
            let message = format!(
                "cannot add a table to `{}`: write `[trust.keys.{}]` into it",
                path.display(),
                self.name
            );
            CliError::Request(message)
        })?;
        common::write_to(&path, &added)?;
        common::print(&format!("`{}` is trusted by `{}`\n", self.name, path.display()));
        Ok(exit::DONE)
    }
}

impl List {
    fn execute(&self) -> Result<u8, CliError> {
        let root = root()?;
        let trust = Config::of(&root)?.trust;
        let own: Vec<OwnKey> = keyring::all()?
            .into_iter()
            .map(|held| OwnKey { name: held.name, key: held.key.to_string() })
            .collect();
        let trusted: Vec<TrustedKey> = trust
            .keys
            .iter()
            .map(|(name, trusted)| TrustedKey {
                name: name.clone(),
                key: trusted.key.to_string(),
                until: trusted.until.map(|until| until.to_string()),
                scopes: trusted.scopes.clone(),
            })
            .collect();
        let signing = keyring::signing()?.map(|key| key.public().to_string());
        let read = trust.read_scopes().into_iter().map(str::to_owned).collect();
        let list = KeyList { own, signing, trusted, read, write: trust.write_scope().to_owned() };
        if self.json {
            common::print_json(&list);
        } else {
            common::print(&text(&list));
        }
        Ok(exit::DONE)
    }
}

fn text(list: &KeyList) -> String {
    let mut lines = Vec::new();
    let name_of = |key: &str| list.trusted.iter().find(|trusted| trusted.key == key);
    match &list.signing {
        Some(key) => {
            let known = match name_of(key) {
                Some(trusted) => format!("which the project trusts as `{}`", trusted.name),
                None => "which counts here, too".to_owned(),
            };
            lines.push(format!("signs for `{}`: {key}, {known}", list.write));
        }
        None => lines.push("nothing is signed here: `onsager key new` makes a key".to_owned()),
    }
    lines.extend(list.own.iter().map(|own| format!("own key `{}`: {}", own.name, own.key)));
    for trusted in &list.trusted {
        let until = trusted.until.as_ref().map_or(String::new(), |until| format!(", until {until}"));
        let scopes = trusted.scopes.join(", ");
        lines.push(format!("trusted `{}`: {}, for {scopes}{until}", trusted.name, trusted.key));
    }
    if list.trusted.is_empty() {
        lines.push("the project names no key: what others made does not count, until `onsager key trust` names theirs".to_owned());
    }
    lines.push(format!("takes results of {}", list.read.join(", ")));
    lines.join("\n") + "\n"
}
