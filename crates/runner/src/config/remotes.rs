//! Remote stores: places where results are shared, `[remote.NAME]` of `onsager.toml`.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// A place where results are shared. How to log in there is never written down: it comes from the environment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// `s3://bucket/prefix`, `gs://…`, `az://…`, `https://…` or `file:///folder`.
    pub url: String,
    /// Whether it is the one that commands use when none is named.
    #[serde(default)]
    pub default: bool,
    /// The address of the server, where it is not the provider's own: `https://minio.example.org`.
    pub endpoint: Option<String>,
    /// Of S3.
    pub region: Option<String>,
    /// The storage account of Azure.
    pub account: Option<String>,
    /// The records that are read and written: `records/<scope>/`.
    #[serde(default = "main")]
    pub scope: String,
}

fn main() -> String {
    "main".to_owned()
}

/// How a place is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    S3,
    Google,
    Azure,
    /// For reading only.
    Http,
    File,
}

/// The parts of a remote's URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub scheme: Scheme,
    /// The bucket, the container or the server; nothing for a folder.
    pub host: String,
    /// Without a slash at its ends; of a folder the path.
    pub path: String,
}

/// What is wrong with a remote. Nothing of the URL is told: it may hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteFault {
    #[error("`url` must begin with `s3://`, `gs://`, `az://`, `https://`, `http://` or `file:///`")]
    Scheme,
    #[error(
        "`url` must hold no user, password or token: they come from the environment, as docs/remote.md tells"
    )]
    Secret,
    #[error("`url` must name a bucket or a server: `s3://bucket/prefix`")]
    NoHost,
    #[error("`url` of a folder needs three slashes and an absolute path: `file:///srv/results`")]
    NoFolder,
    #[error("`url` must hold no empty part, `.`, `..`, space or control character in its path")]
    Path,
    #[error("`{field}` must be an address like `https://minio.example.org`, without user and password")]
    Endpoint { field: &'static str },
    #[error("`scope` must be of letters, digits, `-`, `_` and `.`, like `main` or `pr-12`")]
    Scope,
    #[error("a name must be of letters, digits, `-` and `_`")]
    Name,
    #[error("`{other}` is the default, too: only one can be")]
    Defaults { other: String },
}

impl Remote {
    pub fn new(url: &str) -> Remote {
        let url = url.to_owned();
        Remote { url, default: false, endpoint: None, region: None, account: None, scope: main() }
    }

    /// Whether its fields are right.
    pub fn check(&self) -> Result<(), RemoteFault> {
        self.location()?;
        if let Some(endpoint) = &self.endpoint {
            let rest = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
            let plain = |rest: &str| !rest.is_empty() && !rest.contains(['@', '?', '#', ' ']);
            if !rest.is_some_and(plain) {
                return Err(RemoteFault::Endpoint { field: "endpoint" });
            }
        }
        if is_scope(&self.scope) { Ok(()) } else { Err(RemoteFault::Scope) }
    }

    /// The parts of its URL.
    pub fn location(&self) -> Result<Location, RemoteFault> {
        let schemes = [
            ("s3://", Scheme::S3),
            ("gs://", Scheme::Google),
            ("az://", Scheme::Azure),
            ("https://", Scheme::Http),
            ("http://", Scheme::Http),
            ("file://", Scheme::File),
        ];
        let found = schemes.iter().find_map(|(start, scheme)| Some((self.url.strip_prefix(start)?, *scheme)));
        let (rest, scheme) = found.ok_or(RemoteFault::Scheme)?;
        if scheme == Scheme::File {
            let plain = |part: &str| !matches!(part, "." | "..") && !part.chars().any(char::is_control);
            let path = rest.trim_end_matches('/');
            if !path.starts_with('/') || !path.split('/').all(plain) {
                return Err(RemoteFault::NoFolder);
            }
            return Ok(Location { scheme, host: String::new(), path: path.to_owned() });
        }
        if rest.contains(['@', '?', '#']) {
            return Err(RemoteFault::Secret);
        }
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() {
            return Err(RemoteFault::NoHost);
        }
        let path = path.trim_end_matches('/');
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..") && !part.chars().any(|c| c.is_control() || c.is_whitespace())
        };
        if !plain(host) || !(path.is_empty() || path.split('/').all(plain)) {
            return Err(RemoteFault::Path);
        }
        Ok(Location { scheme, host: host.to_owned(), path: path.to_owned() })
    }

    /// Whether results can be written there.
    pub fn is_writable(&self) -> bool {
        self.location().is_ok_and(|location| location.scheme != Scheme::Http)
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// Whether a text can be the name of a remote.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

/// Whether a text can be a scope: it is the name of a folder.
pub fn is_scope(scope: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !scope.is_empty() && !scope.starts_with('.') && scope.chars().all(plain)
}

/// What is wrong with one of these remotes, if something is: its name, and the fault.
pub fn fault(remotes: &BTreeMap<String, Remote>) -> Option<(&str, RemoteFault)> {
    for (name, remote) in remotes {
        if !is_name(name) {
            return Some((name, RemoteFault::Name));
        }
        if let Err(fault) = remote.check() {
            return Some((name, fault));
        }
    }
    let mut defaults = remotes.iter().filter(|(_, remote)| remote.default).map(|(name, _)| name);
    let (first, second) = (defaults.next()?, defaults.next()?);
    Some((second, RemoteFault::Defaults { other: first.clone() }))
}

/// The text of an `onsager.toml` with a remote more.
pub fn add(text: &str, name: &str, remote: &Remote) -> String {
    let mut text = text.trim_end().to_owned();
    if !text.is_empty() {
        text += "\n\n";
    }
    text += &format!("[remote.{name}]\nurl = {}\n", quoted(&remote.url));
    for (field, value) in
        [("endpoint", &remote.endpoint), ("region", &remote.region), ("account", &remote.account)]
    {
        if let Some(value) = value {
            text += &format!("{field} = {}\n", quoted(value));
        }
    }
    if remote.scope != main() {
        text += &format!("scope = {}\n", quoted(&remote.scope));
    }
    if remote.default {
        text += "default = true\n";
    }
    text
}

/// The text of an `onsager.toml` without this remote; none where it has no table `[remote.NAME]` that stands by itself.
pub fn remove(text: &str, name: &str) -> Option<String> {
    let header = format!("[remote.{name}]");
    let mut lines: Vec<&str> = text.lines().collect();
    let start = lines.iter().position(|line| line.trim() == header)?;
    let after = lines[start + 1..].iter().position(|line| line.trim_start().starts_with('['));
    let mut end = after.map_or(lines.len(), |after| start + 1 + after);
    // What stands right before the next table belongs to that.
    while after.is_some() && end > start + 1 && lines[end - 1].trim_start().starts_with('#') {
        end -= 1;
    }
    lines.drain(start..end);
    let rest = lines.join("\n");
    let rest = rest.trim_end();
    Some(if rest.is_empty() { String::new() } else { rest.to_owned() + "\n" })
}

/// A text of TOML, which takes the quotes and escapes of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let location = |url: &str| Remote::new(url).location();
        let found = |scheme, host: &str, path: &str| {
            Ok(Location { scheme, host: host.to_owned(), path: path.to_owned() })
        };
        for (url, expected) in [
            ("s3://bucket/a/b/", found(Scheme::S3, "bucket", "a/b")),
            ("gs://bucket", found(Scheme::Google, "bucket", "")),
            ("az://container/x", found(Scheme::Azure, "container", "x")),
            ("https://host:8080/x", found(Scheme::Http, "host:8080", "x")),
            ("file:///srv/my results/", found(Scheme::File, "", "/srv/my results")),
            ("s3:bucket", Err(RemoteFault::Scheme)),
            ("ftp://host", Err(RemoteFault::Scheme)),
            ("https://user:secret@host/x", Err(RemoteFault::Secret)),
            ("https://host/x?sig=secret", Err(RemoteFault::Secret)),
            ("s3:///x", Err(RemoteFault::NoHost)),
            ("s3://bucket/a/../b", Err(RemoteFault::Path)),
            ("s3://bucket//b", Err(RemoteFault::Path)),
            ("file://srv", Err(RemoteFault::NoFolder)),
            ("file:///srv/../etc", Err(RemoteFault::NoFolder)),
        ] {
            assert_eq!(location(url), expected, "{url}");
        }
    }

    #[test]
    fn a_fault_tells_nothing_of_the_url() {
        let remotes = BTreeMap::from([("lab".to_owned(), Remote::new("https://u:hunter2@host"))]);
        let (name, fault) = fault(&remotes).unwrap();
        assert_eq!(name, "lab");
        assert!(!fault.to_string().contains("hunter2"));
    }

    #[test]
    fn tables_are_added_and_removed() {
        let mut remote = Remote::new("s3://bucket/x");
        remote.default = true;
        remote.region = Some("eu-1".to_owned());
        let before = "# mine\n[on.cluster]\nengine = \"slurm\"\n";
        let with = add(before, "lab", &remote);
        let end = "\n[remote.lab]\nurl = \"s3://bucket/x\"\nregion = \"eu-1\"\ndefault = true\n";
        assert_eq!(with, format!("{before}{end}"));
        assert_eq!(remove(&with, "lab").as_deref(), Some(before));
        assert_eq!(remove(&with, "other"), None);
        let two = add(&add("", "a", &Remote::new("file:///a")), "b", &Remote::new("file:///b"));
        assert_eq!(remove(&two, "a").as_deref(), Some("[remote.b]\nurl = \"file:///b\"\n"));
    }
}
