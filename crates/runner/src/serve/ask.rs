//! What is asked for and what is answered. Everything that is asked for stands behind the `?`; nothing of it becomes a path of a file
//! before it was found in the store.

use crate::compare::history::{self, Past};
use crate::serve::frame;
use crate::serve::looking::Looking;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::{Store, names};
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use maud::html;
use std::fmt::Display;
use std::sync::Arc;

/// What stands behind the `?`.
#[derive(Debug, Clone, Default)]
pub struct Ask(Vec<(String, String)>);

/// Why there is no answer.
#[derive(Debug)]
pub struct Fault {
    pub status: StatusCode,
    pub message: String,
}

impl Ask {
    pub fn of(uri: &Uri) -> Ask {
        let given = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Ask(given.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The value of a name, unless it is empty: a form sends all its fields.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let of = self.0.iter().filter(move |(known, value)| known == name && !value.is_empty());
        of.map(|(_, value)| value.as_str())
    }

    fn need(&self, name: &str) -> Result<&str, Fault> {
        self.get(name).ok_or_else(|| Fault::wrong(format!("the address lacks `{name}=…`")))
    }

    /// A run that is there, by its name.
    pub fn run(&self, store: &Store) -> Result<String, Fault> {
        Ok(named_run(store, self.need("run")?)?.to_owned())
    }

    /// The name of a task; nothing is known of it.
    pub fn task(&self) -> Result<&str, Fault> {
        self.need("task")
    }

    /// The digest of an object.
    pub fn digest(&self, name: &str) -> Result<Digest, Fault> {
        let text = self.need(name)?;
        text.parse().map_err(|_| Fault::wrong(format!("`{name}` is no digest")))
    }

    /// The same with other values of some names: what a link leads to.
    pub fn with(&self, path: &str, changes: &[(&str, &str)]) -> String {
        let kept = self.0.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        link(path, &kept.chain(changes.iter().copied()).collect::<Vec<_>>())
    }
}

/// Checks the name of a run before it becomes a path.
pub fn named_run<'n>(store: &Store, name: &'n str) -> Result<&'n str, Fault> {
    match names::is_plain(name) && store.record(name).is_file() {
        true => Ok(name),
        false => Err(Fault::missing(format!("there is no run `{name}`"))),
    }
}

/// The run with its first line.
pub fn past_of(store: &Store, run: &str) -> Result<Past, Fault> {
    let found = history::runs(store, None)?.into_iter().find(|past| past.run == run);
    found.ok_or_else(|| Fault::missing(format!("the record of run `{run}` cannot be read")))
}

/// An address of this server.
pub fn link(path: &str, given: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    given
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .for_each(|(name, value)| _ = query.append_pair(name, value));
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

impl Fault {
    pub fn missing(message: impl Display) -> Fault {
        Fault { status: StatusCode::NOT_FOUND, message: message.to_string() }
    }

    pub fn wrong(message: impl Display) -> Fault {
        Fault { status: StatusCode::BAD_REQUEST, message: message.to_string() }
    }

    pub fn failed(message: impl Display) -> Fault {
        Fault { status: StatusCode::INTERNAL_SERVER_ERROR, message: message.to_string() }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault::failed(error)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = html! { h1 { (title) } p { (crate::pages::shell::stranger(&self.message)) } };
        (self.status, Html(frame::page(title, false, body))).into_response()
    }
}

/// A page that is made by reading files, beside those that wait.
pub fn blocking(make: fn(&Looking, &Ask) -> Result<String, Fault>) -> MethodRouter<Arc<Looking>> {
    get(move |State(looking): State<Arc<Looking>>, request: Request| async move {
        let ask = Ask::of(request.uri());
        match tokio::task::spawn_blocking(move || make(&looking, &ask)).await {
            Ok(Ok(page)) => Html(page).into_response(),
            Ok(Err(fault)) => fault.into_response(),
            Err(error) => Fault::failed(error).into_response(),
        }
    })
}

pub async fn nothing_here() -> Response {
    Fault::missing("there is no such page").into_response()
}
