//! A tracking server of MLflow, by its REST interface.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::time::Duration;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a request may take.
const REQUEST: Duration = Duration::from_secs(120);
/// The largest answer that is read.
const LARGEST: u64 = 16 << 20;

/// Why a run is not on the server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("`{uri}` is no address of a server of MLflow: write it like `http://127.0.0.1:5000`")]
    Address { uri: String },
    #[error("cannot reach `{uri}`: {source}")]
    Unreachable { uri: String, source: Box<ureq::Error> },
    #[error("`{uri}` says no to `{call}` ({status}): {message}")]
    Refused { uri: String, call: &'static str, status: u16, message: String },
    #[error("`{uri}` answers `{call}` with something else than MLflow does")]
    Answer { uri: String, call: &'static str },
}

/// A server.
#[derive(Debug)]
pub struct Server {
    uri: String,
    agent: ureq::Agent,
    authorization: Option<String>,
}

impl Server {
    /// At this address. Who asks is told by `MLFLOW_TRACKING_TOKEN`, or by `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`.
    pub fn at(uri: &str) -> Result<Server, ServerError> {
        if !["http://", "https://"].iter().any(|scheme| uri.starts_with(scheme)) {
            return Err(ServerError::Address { uri: uri.to_owned() });
        }
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let authorization = match (set("MLFLOW_TRACKING_TOKEN"), set("MLFLOW_TRACKING_USERNAME")) {
            (Some(token), _) => Some(format!("Bearer {token}")),
            (None, Some(user)) => {
                let password = set("MLFLOW_TRACKING_PASSWORD").unwrap_or_default();
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            (None, None) => None,
        };
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(REQUEST))
            .http_status_as_error(false)
            .user_agent(concat!("onsager/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Server { uri: uri.trim_end_matches('/').to_owned(), agent, authorization })
    }

    /// Its address.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Calls the method `call`, like `runs/create`, with this document, and gives the answer.
    pub fn call(&self, call: &'static str, document: &Value) -> Result<Value, ServerError> {
        let (uri, failed) = (self.uri.clone(), |source| ServerError::Unreachable {
            uri: self.uri.clone(),
            source: Box::new(source),
        });
        let mut request = self
            .agent
            .post(format!("{uri}/api/2.0/mlflow/{call}"))
            .header("Content-Type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let mut answer = request.send(document.to_string()).map_err(failed)?;
        let text = answer.body_mut().with_config().limit(LARGEST).read_to_string().map_err(failed)?;
        let status = answer.status();
        let parsed = serde_json::from_str::<Value>(&text);
        if status.is_success() {
            return parsed.map_err(|_| ServerError::Answer { uri, call });
        }
        let said = parsed.ok().and_then(|document| Some(document.get("message")?.as_str()?.to_owned()));
        let message = said.unwrap_or_else(|| text.chars().take(200).collect());
        // It may be anything, and is to be printed.
        let message = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        Err(ServerError::Refused { uri, call, status: status.as_u16(), message })
    }
}
