//! A container, by podman, docker or apptainer.

use crate::command::environment::{Call, first_of};
use crate::command::error::CommandError;
use crate::kind::context::Context;
use crate::kind::stage::StageError;
use crate::store::digest::Digest;
use rustix::process::{getgid, getuid};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Runs the command in a container of the image. It sees the project and the task's own folders under the paths that they have here;
/// where it is confined, only its inputs and its own folders.
pub fn enter(image: &str, kept: Option<&Path>, mut call: Call, ctx: &Context) -> Result<Call, StageError> {
    let work = ctx.work();
    let (name, path) = first_of(&["podman", "docker", "apptainer"], &call.env, ctx)?;
    let mut places = BTreeMap::from([(work.to_owned(), true)]);
    places.extend(kept.map(|kept| (kept.to_owned(), true)));
    if ctx.sandbox().is_none() {
        places.insert(ctx.root().to_owned(), true);
    }
    let script = ctx.log().with_extension("sh");
    for file in ctx
        .inputs()
        .values()
        .flatten()
        .map(|item| item.path.clone())
        .chain([script])
        .filter(|file| file.exists())
    {
        // A link leads to an object of the store.
        for file in [fs::canonicalize(&file)?, file] {
            if !places.iter().any(|(place, _)| file.starts_with(place)) {
                places.insert(file, false);
            }
        }
    }
    let folder = if ctx.sandbox().is_none() { ctx.root() } else { work };
    let own = std::mem::take(&mut call.env);
    let arguments = std::mem::take(&mut call.arguments);
    let mut words: Vec<OsString> = vec![path.into()];
    if name == "apptainer" {
        words.extend(["exec", "--cleanenv", "--no-home"].map(OsString::from));
        for (place, writes) in &places {
            words.extend(["--bind".into(), bind(place, *writes)?]);
        }
        words.extend(["--pwd".into(), folder.into(), OsString::from(format!("docker://{image}"))]);
        // Values may have commas, which its option for variables takes for itself.
        call.env = own
            .into_iter()
            .map(|(name, value)| (joined(&[OsStr::new("APPTAINERENV_"), &name]), value))
            .collect();
    } else {
        let id = format!("onsager-{}", &Digest::of(work.as_os_str().as_bytes()).to_string()[..16]);
        words.extend(["run", "--rm", "--init", "--name", &id].map(OsString::from));
        let user = match name {
            "podman" => "--userns=keep-id".to_owned(),
            _ => format!("--user={}:{}", getuid().as_raw(), getgid().as_raw()),
        };
        words.push(user.into());
        for (place, writes) in &places {
            words.extend(["--volume".into(), bind(place, *writes)?]);
        }
        words.extend(["--workdir".into(), folder.into()]);
        for (name, value) in &own {
            words.extend(["--env".into(), joined(&[name, OsStr::new("="), value])]);
        }
        words.push(image.into());
        call.cleanup = Some(vec![words[0].clone(), "rm".into(), "--force".into(), id.into()]);
    }
    call.arguments = words.into_iter().chain(arguments).collect();
    Ok(call)
}

/// A place as the container sees it: under its own path.
fn bind(place: &Path, writes: bool) -> Result<OsString, StageError> {
    let bytes = place.as_os_str().as_bytes();
    if bytes.contains(&b':') || bytes.contains(&b',') {
        return Err(CommandError::Unmountable { path: place.to_owned() }.advised());
    }
    let mode = if writes { ":rw" } else { ":ro" };
    Ok(joined(&[place.as_os_str(), OsStr::new(":"), place.as_os_str(), OsStr::new(mode)]))
}

fn joined(parts: &[&OsStr]) -> OsString {
    parts.iter().fold(OsString::new(), |mut whole, part| {
        whole.push(part);
        whole
    })
}
