//! The secret keys of this user, a file for each in the folder of the user's configuration, or the one that the environment gives.

use crate::config;
use crate::config::trust::{Trust, TrustFault, check_name};
use crate::trust::key::{NotAKey, PublicKey, SecretKey};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The name of the key that signs where no other is given.
pub const DEFAULT: &str = "default";
/// The variable with a secret key, as a CI system gives it. No worker and no command sees it.
pub const SECRET_VARIABLE: &str = "ONSAGER_KEY";
/// The variable with the path of a file with a secret key.
pub const FILE_VARIABLE: &str = "ONSAGER_KEY_FILE";

/// The largest file that is read as a key.
const LARGEST: u64 = 4096;

/// Why there is no such key.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    #[error("there is no folder for keys: set HOME or XDG_CONFIG_HOME")]
    NoFolder,
    #[error(transparent)]
    Name(#[from] TrustFault),
    #[error("there is a key `{name}` already, in `{}`: give another name by `--name`, or move it away", path.display())]
    There { name: String, path: PathBuf },
    #[error("there is no key `{name}`: `onsager key new --name {name}` makes one")]
    Missing { name: String },
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("others may read the secret key in `{}`: `chmod 600` it, and make a new one if they may have read it", path.display())]
    Open { path: PathBuf },
    #[error("`{}`: {fault}", path.display())]
    File { path: PathBuf, fault: NotAKey },
    #[error("{variable}: {fault}")]
    Variable { variable: &'static str, fault: NotAKey },
    #[error(transparent)]
    New(NotAKey),
}

/// A key of the keyring.
#[derive(Debug)]
pub struct Held {
    pub name: String,
    pub path: PathBuf,
    pub key: PublicKey,
}

/// The folder of the user's keys.
fn folder() -> Result<PathBuf, KeyringError> {
    Ok(config::user_folder().ok_or(KeyringError::NoFolder)?.join("keys"))
}

/// Makes a key, and never in the place of another.
pub fn new(name: &str) -> Result<Held, KeyringError> {
    check_name(name)?;
    let folder = folder()?;
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| KeyringError::Io { action, path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(io("make the folder", &folder))?;
    let path = folder.join(name);
    let key = SecretKey::random().map_err(KeyringError::New)?;
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(KeyringError::There { name: name.to_owned(), path });
        }
        file => file.map_err(io("write", &path))?,
    };
    writeln!(file, "{}", key.reveal()).and_then(|()| file.sync_all()).map_err(io("write", &path))?;
    Ok(Held { name: name.to_owned(), path, key: key.public() })
}

/// The keys of this user, in the order of their names.
pub fn all() -> Result<Vec<Held>, KeyringError> {
    let folder = folder()?;
    let io = |source| KeyringError::Io { action: "read the folder", path: folder.clone(), source };
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io)?,
    };
    let mut held = Vec::new();
    for entry in entries {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if check_name(&name).is_ok() {
            held.push(Held { key: read(&path)?.public(), name, path });
        }
    }
    held.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(held)
}

/// The user's key of this name.
pub fn get(name: &str) -> Result<SecretKey, KeyringError> {
    check_name(name)?;
    match read(&folder()?.join(name)) {
        Err(KeyringError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            Err(KeyringError::Missing { name: name.to_owned() })
        }
        key => key,
    }
}

/// The secret key that stood in the environment.
static TAKEN: OnceLock<Option<OsString>> = OnceLock::new();

/// Takes the secret key out of this process's environment, so that no worker, command or tool that it starts gets to see it. To be
/// called while there is one thread only.
pub fn take_secret() {
    TAKEN.get_or_init(|| {
        let secret = std::env::var_os(SECRET_VARIABLE)?;
        // SAFETY: no other thread can read the environment meanwhile, for there is none.
        unsafe { std::env::remove_var(SECRET_VARIABLE) };
        Some(secret)
    });
}

/// The key that signs here, if there is one: that of the environment, or the user's own.
pub fn signing() -> Result<Option<SecretKey>, KeyringError> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let taken = TAKEN.get().cloned().flatten().filter(|value| !value.is_empty());
    if let Some(text) = taken.or_else(|| set(SECRET_VARIABLE)) {
        let key = text.to_str().unwrap_or_default().parse();
        return key.map(Some).map_err(|fault| KeyringError::Variable { variable: SECRET_VARIABLE, fault });
    }
    if let Some(path) = set(FILE_VARIABLE) {
        return read(Path::new(&path)).map(Some);
    }
    match get(DEFAULT) {
        Err(KeyringError::Missing { .. } | KeyringError::NoFolder) => Ok(None),
        // Another user's, as `sudo -u` may leave it: it is not this one's key.
        Err(KeyringError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => Ok(None),
        key => key.map(Some),
    }
}

/// Whom a project trusts, and whoever is here.
pub fn with_own(trust: Trust) -> Result<Trust, KeyringError> {
    Ok(trust.with_own(signing()?.map(|key| key.public())))
}

/// The secret key in a file that nobody else may read.
fn read(path: &Path) -> Result<SecretKey, KeyringError> {
    let io = |source| KeyringError::Io { action: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.permissions().mode() & 0o077 != 0 {
        return Err(KeyringError::Open { path: path.to_owned() });
    }
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text).map_err(io)?;
    text.parse().map_err(|fault| KeyringError::File { path: path.to_owned(), fault })
}
