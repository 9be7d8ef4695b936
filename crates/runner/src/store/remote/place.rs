//! Where a remote store is, as `[remote.NAME]` of `onsager.toml` says.

use serde::Deserialize;
use std::fmt;

/// A place where results are shared. How to log in there is never written down: it comes from the environment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
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
    /// What is done with results that nobody signed whom the project trusts.
    #[serde(default)]
    pub unsigned: Unsigned,
}

/// What is done with results that nobody signed whom the project trusts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsigned {
    #[default]
    Refuse,
    /// They count all the same: only those whom the project trusts can write there.
    Accept,
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
pub enum PlaceFault {
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
    #[error("a name must be of letters, digits, `-` and `_`")]
    Name,
    #[error("`{other}` is the default, too: only one can be")]
    Defaults { other: String },
}

impl Place {
    pub fn new(url: &str) -> Place {
        let url = url.to_owned();
        let unsigned = Unsigned::default();
        Place { url, default: false, endpoint: None, region: None, account: None, unsigned }
    }

    /// Whether its fields are right.
    pub fn check(&self) -> Result<(), PlaceFault> {
        self.location()?;
        if let Some(endpoint) = &self.endpoint {
            let rest = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
            let plain = |rest: &str| !rest.is_empty() && !rest.contains(['@', '?', '#', ' ']);
            if !rest.is_some_and(plain) {
                return Err(PlaceFault::Endpoint { field: "endpoint" });
            }
        }
        Ok(())
    }

    /// The parts of its URL.
    pub fn location(&self) -> Result<Location, PlaceFault> {
        let schemes = [
            ("s3://", Scheme::S3),
            ("gs://", Scheme::Google),
            ("az://", Scheme::Azure),
            ("https://", Scheme::Http),
            ("http://", Scheme::Http),
            ("file://", Scheme::File),
        ];
        let found = schemes.iter().find_map(|(start, scheme)| Some((self.url.strip_prefix(start)?, *scheme)));
        let (rest, scheme) = found.ok_or(PlaceFault::Scheme)?;
        if scheme == Scheme::File {
            let plain = |part: &str| !matches!(part, "." | "..") && !part.chars().any(char::is_control);
            let path = rest.trim_end_matches('/');
            if !path.starts_with('/') || !path.split('/').all(plain) {
                return Err(PlaceFault::NoFolder);
            }
            return Ok(Location { scheme, host: String::new(), path: path.to_owned() });
        }
        if rest.contains(['@', '?', '#']) {
            return Err(PlaceFault::Secret);
        }
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if host.is_empty() {
            return Err(PlaceFault::NoHost);
        }
        let path = path.trim_end_matches('/');
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..") && !part.chars().any(|c| c.is_control() || c.is_whitespace())
        };
        if !plain(host) || !(path.is_empty() || path.split('/').all(plain)) {
            return Err(PlaceFault::Path);
        }
        Ok(Location { scheme, host: host.to_owned(), path: path.to_owned() })
    }

    /// Whether results can be written there.
    pub fn is_writable(&self) -> bool {
        self.location().is_ok_and(|location| location.scheme != Scheme::Http)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// Whether a text can be the name of a remote.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let location = |url: &str| Place::new(url).location();
        let found = |scheme, host: &str, path: &str| {
            Ok(Location { scheme, host: host.to_owned(), path: path.to_owned() })
        };
        for (url, expected) in [
            ("s3://bucket/a/b/", found(Scheme::S3, "bucket", "a/b")),
            ("gs://bucket", found(Scheme::Google, "bucket", "")),
            ("az://container/x", found(Scheme::Azure, "container", "x")),
            ("https://host:8080/x", found(Scheme::Http, "host:8080", "x")),
            ("file:///srv/my results/", found(Scheme::File, "", "/srv/my results")),
            ("s3:bucket", Err(PlaceFault::Scheme)),
            ("ftp://host", Err(PlaceFault::Scheme)),
            ("https://user:secret@host/x", Err(PlaceFault::Secret)),
            ("https://host/x?sig=secret", Err(PlaceFault::Secret)),
            ("s3:///x", Err(PlaceFault::NoHost)),
            ("s3://bucket/a/../b", Err(PlaceFault::Path)),
            ("s3://bucket//b", Err(PlaceFault::Path)),
            ("file://srv", Err(PlaceFault::NoFolder)),
            ("file:///srv/../etc", Err(PlaceFault::NoFolder)),
        ] {
            assert_eq!(location(url), expected, "{url}");
        }
    }
}
