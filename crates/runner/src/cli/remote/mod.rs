//! `onsager remote`: the places where results are shared, and their upkeep.

pub mod choice;
#[cfg(feature = "remote")]
pub mod upkeep;

use crate::cli::common::{self, CliError, root};
use crate::cli::documents::{RemoteDocument, RemotesDocument};
use crate::cli::exit;
use crate::config::{self, Config, remotes};
use crate::store::remote::place::{self, Place, PlaceFault, Unsigned};
use clap::{Args, Subcommand};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Share results through S3, GCS, Azure, HTTP or a folder
///
/// Example: onsager remote add lab s3://our-bucket/onsager --default
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Remote {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Add(Add),
    List(List),
    Remove(Remove),
    #[cfg(feature = "remote")]
    Check(upkeep::Check),
    #[cfg(feature = "remote")]
    Du(upkeep::Du),
    #[cfg(feature = "remote")]
    Gc(upkeep::Gc),
    #[cfg(feature = "remote")]
    Verify(upkeep::Verify),
    #[cfg(not(feature = "remote"))]
    #[command(external_subcommand, hide = true)]
    #[expect(dead_code, reason = "what follows is taken, and not looked at")]
    Other(Vec<String>),
}

/// Add a remote store to the project's `onsager.toml`
///
/// How to log in is never written down: credentials come from the environment and from the providers' own files (AWS_ACCESS_KEY_ID,
/// AWS_PROFILE, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_KEY and the like).
///
/// Examples:
///   onsager remote add lab s3://our-bucket/onsager --default
///   onsager remote add disk file:///home/me/results --accept-unsigned
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Add {
    /// How it is called here
    name: String,
    /// `s3://bucket/prefix`, `gs://…`, `az://container/…`, `https://…` (for reading only) or `file:///folder`
    url: String,
    /// The address of the server, where it is not the provider's own
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The region of S3
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The storage account of Azure
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Use it whenever none is named
    #[arg(long)]
    default: bool,
    /// Take results from there that nobody signed whom the project trusts; only for a place where nobody else can write
    #[arg(long)]
    accept_unsigned: bool,
    /// Write to the user's `onsager.toml`, for all projects
    #[arg(long)]
    user: bool,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

/// List the remote stores of the project and the user
///
/// Example: onsager remote list
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct List {
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

/// Remove a remote store from `onsager.toml`; what lies there stays
///
/// Example: onsager remote remove lab
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Remove {
    name: String,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl Remote {
    pub fn execute(&self) -> Result<u8, CliError> {
        match &self.command {
            Command::Add(command) => command.execute(),
            Command::List(command) => command.execute(),
            Command::Remove(command) => command.execute(),
            #[cfg(feature = "remote")]
            Command::Check(command) => command.execute(),
            #[cfg(feature = "remote")]
            Command::Du(command) => command.execute(),
            #[cfg(feature = "remote")]
            Command::Gc(command) => command.execute(),
            #[cfg(feature = "remote")]
            Command::Verify(command) => command.execute(),
            #[cfg(not(feature = "remote"))]
            Command::Other(_) => Err(choice::without()),
        }
    }
}

/// The project's `onsager.toml`, and the user's.
fn files() -> Result<[Option<PathBuf>; 2], CliError> {
    let users = config::user_folder().map(|folder| folder.join(config::FILE));
    Ok([Some(root()?.join(config::FILE)), users])
}

/// The text of a file; nothing where there is none.
fn read(path: &Path) -> Result<String, CliError> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        text => text.map_err(|source| CliError::Target { path: path.to_owned(), source }),
    }
}

fn document(name: &str, place: &Place) -> RemoteDocument {
    let (name, url, endpoint) = (name.to_owned(), place.url.clone(), place.endpoint.clone());
    let (writable, accepts_unsigned) = (place.is_writable(), place.unsigned == Unsigned::Accept);
    RemoteDocument { name, url, endpoint, default: place.default, writable, accepts_unsigned }
}

impl Add {
    fn execute(&self) -> Result<u8, CliError> {
        let wrong = |fault: PlaceFault| CliError::Request(format!("remote `{}`: {fault}", self.name));
        if !place::is_name(&self.name) {
            return Err(wrong(PlaceFault::Name));
        }
        let place = Place {
            url: self.url.clone(),
            default: self.default,
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            account: self.account.clone(),
            unsigned: if self.accept_unsigned { Unsigned::Accept } else { Unsigned::Refuse },
        };
        place.check().map_err(wrong)?;
        let config = Config::of(&root()?)?;
        if config.remote.contains_key(&self.name) {
            let message = format!(
                "there is a remote store `{0}` already: take another name, or `onsager remote remove {0}` first",
                self.name
            );
            return Err(CliError::Request(message));
        }
        if self.default
            && let Some((other, _)) = config.remote.iter().find(|(_, place)| place.default)
        {
            return Err(wrong(PlaceFault::Defaults { other: other.clone() }));
        }
        let [project, users] = files()?;
        let no_home = || CliError::Request("there is no home folder to write `onsager.toml` to".to_owned());
        let path = if self.user { users } else { project }.ok_or_else(no_home)?;
        if let Some(folder) = path.parent().filter(|_| self.user) {
            std::fs::create_dir_all(folder)
                .map_err(|source| CliError::Target { path: folder.to_owned(), source })?;
        }
        common::write_to(&path, &remotes::add(&read(&path)?, &self.name, &place))?;
        if self.json {
            common::print_json(&document(&self.name, &place));
        } else {
            common::print(&format!(
                "added `{}` to `{}`; `onsager remote check {}` tells what the server can do\n",
                self.name,
                path.display(),
                self.name
            ));
        }
        Ok(exit::DONE)
    }
}

impl List {
    fn execute(&self) -> Result<u8, CliError> {
        let config = Config::of(&root()?)?;
        if self.json {
            let remotes = config.remote.iter().map(|(name, place)| document(name, place)).collect();
            common::print_json(&RemotesDocument { remotes });
            return Ok(exit::DONE);
        }
        let width = config.remote.keys().map(String::len).max().unwrap_or(0);
        for (name, place) in &config.remote {
            let mut line = format!("{name:width$}  {place}");
            if let Some(endpoint) = &place.endpoint {
                line += &format!(" at {endpoint}");
            }
            line += if place.default { ", default" } else { "" };
            line += if place.is_writable() { "" } else { ", for reading only" };
            line += if place.unsigned == Unsigned::Accept { ", unsigned results count" } else { "" };
            common::print(&(line + "\n"));
        }
        Ok(exit::DONE)
    }
}

impl Remove {
    fn execute(&self) -> Result<u8, CliError> {
        let config = Config::of(&root()?)?;
        let chosen = choice::named(&config, &self.name)?;
        for path in files()?.into_iter().flatten() {
            if let Some(text) = remotes::remove(&read(&path)?, &self.name) {
                common::write_to(&path, &text)?;
                if self.json {
                    common::print_json(&document(&self.name, &chosen.place));
                } else {
                    common::print(&format!(
                        "removed `{}` from `{}`; what lies there stays\n",
                        self.name,
                        path.display()
                    ));
                }
                return Ok(exit::DONE);
            }
        }
        Err(CliError::Request(format!(
            "`onsager.toml` has no table `[remote.{0}]` that stands by itself: remove `{0}` there by hand",
            self.name
        )))
    }
}
