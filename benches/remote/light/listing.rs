//! Listings of a bucket.

use crate::objects::{Server, etag, time};
use crate::wire::{Answer, Problem, Query, escaped, xml};
use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

/// What the query of a listing may hold.
const WORDS: [&str; 9] = [
    "list-type",
    "prefix",
    "delimiter",
    "max-keys",
    "continuation-token",
    "start-after",
    "marker",
    "encoding-type",
    "fetch-owner",
];

/// Lists a bucket in either version.
pub fn list(server: &Server, bucket: &str, query: &Query) -> Answer {
    let of = |name: &str| query.get(name).map_or("", String::as_str);
    if !matches!(of("delimiter"), "" | "/") || query.keys().any(|name| !WORDS.contains(&name.as_str())) {
        return Err(Problem::NotImplemented);
    }
    let after =
        ["continuation-token", "start-after", "marker"].into_iter().map(of).find(|name| !name.is_empty());
    let (prefix, after, folders) = (of("prefix"), after.unwrap_or(""), of("delimiter") == "/");
    let most = of("max-keys").parse().unwrap_or(1000).clamp(1, 1000);
    let mut listing = Listing { prefix, after, folders, most, found: Vec::new() };
    match prefix.rsplit_once('/') {
        None => listing.walk(&server.bucket(bucket)?, "")?,
        Some((above, _)) => match server.path(bucket, above) {
            Ok(folder) if folder.is_dir() => listing.walk(&folder, &format!("{above}/"))?,
            Ok(_) | Err(Problem::NoSuchKey) => {}
            Err(problem) => return Err(problem),
        },
    }
    let more = listing.found.len() > most;
    listing.found.truncate(most);
    let mut content = format!("<Name>{bucket}</Name><Prefix>{}</Prefix>", escaped(prefix));
    content += &format!("<KeyCount>{}</KeyCount><IsTruncated>{more}</IsTruncated>", listing.found.len());
    if let (true, Some((last, _))) = (more, listing.found.last()) {
        for name in ["NextContinuationToken", "NextMarker"] {
            content += &format!("<{name}>{}</{name}>", escaped(last));
        }
    }
    for (name, object) in &listing.found {
        let name = escaped(name);
        content += &match object {
            None => format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"),
            Some(object) => format!(
                "<Contents><Key>{name}</Key><LastModified>{:.3}</LastModified><ETag>{}</ETag>\
                 <Size>{}</Size></Contents>",
                time(object),
                etag(object),
                object.len()
            ),
        };
    }
    Ok(xml("ListBucketResult", &content))
}

/// The names below a folder, in order: keys, and folders that stand for all that they hold.
struct Listing<'a> {
    prefix: &'a str,
    after: &'a str,
    folders: bool,
    most: usize,
    found: Vec<(String, Option<Metadata>)>,
}

impl Listing<'_> {
    /// Finds one name more than is shown, which tells that there are more.
    fn walk(&mut self, folder: &Path, above: &str) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let end = if entry.file_type()?.is_dir() { "/" } else { "" };
            let name = format!("{above}{}{end}", entry.file_name().to_string_lossy());
            if name.starts_with(self.prefix) && (name.as_str() > self.after || self.after.starts_with(&name))
            {
                entries.push((name, entry));
            }
        }
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        for (name, entry) in entries {
            if self.found.len() > self.most {
                break;
            } else if name.ends_with('/') && !self.folders {
                self.walk(&entry.path(), &name)?;
            } else if name.as_str() > self.after {
                let object = if name.ends_with('/') { None } else { Some(entry.metadata()?) };
                self.found.push((name, object));
            }
        }
        Ok(())
    }
}
