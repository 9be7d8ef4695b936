//! Between the client of a provider and the network: requests are counted, and answers that say no become errors that hold nothing but
//! their status and their code.

use crate::store::remote::elsewhere::Traffic;
use crate::store::remote::error::TransportError;
use futures::StreamExt;
use futures::future::BoxFuture;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use object_store::{ClientOptions, RetryConfig};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How much of an answer that says no is read.
const BODY: usize = 64 << 10;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a request may take, with a part of a large file.
const REQUEST: Duration = Duration::from_secs(300);

/// What went over the line.
#[derive(Debug, Default)]
pub struct Counters {
    pub requests: AtomicU64,
    pub received: AtomicU64,
    pub to_receive: AtomicU64,
    pub sent: AtomicU64,
    pub to_send: AtomicU64,
}

impl Counters {
    /// How far everything is that was begun.
    pub fn traffic(&self) -> Traffic {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            received: of(&self.received),
            to_receive: of(&self.to_receive),
            sent: of(&self.sent),
            to_send: of(&self.to_send),
            requests: of(&self.requests),
        }
    }
}

/// The settings of every client.
pub fn options() -> ClientOptions {
    ClientOptions::new().with_connect_timeout(CONNECT).with_timeout(REQUEST)
}

/// Failures are tried again where all kinds of them are known.
pub fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// Makes clients that count, and read what servers say.
#[derive(Debug)]
pub struct Connector(pub Arc<Counters>);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Service { inner, counters: self.0.clone() }))
    }
}

#[derive(Debug)]
struct Service {
    inner: HttpClient,
    counters: Arc<Counters>,
}

/// A server said no.
#[derive(Debug, thiserror::Error)]
#[error("status {status}, code `{code}`")]
struct No {
    status: u16,
    code: String,
    after: Option<Duration>,
}

impl HttpService for Service {
    fn call<'a, 'f>(&'a self, request: HttpRequest) -> BoxFuture<'f, Result<HttpResponse, HttpError>>
    where
        'a: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            self.counters.requests.fetch_add(1, Ordering::Relaxed);
            let response = self.inner.execute(request).await?;
            let status = response.status().as_u16();
            // What the client itself has an answer to goes on to it: nothing is there, or something is there already.
            if status < 400 || matches!(status, 412 | 416) {
                return Ok(response);
            }
            let seconds =
                response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
            let header =
                ["x-ms-error-code"].iter().find_map(|name| response.headers().get(*name)?.to_str().ok());
            let header = header.map(str::to_owned);
            let (parts, body) = response.into_parts();
            let mut text = Vec::new();
            let mut body = body.bytes_stream();
            while text.len() < BODY
                && let Some(Ok(piece)) = body.next().await
            {
                text.extend_from_slice(&piece[..piece.len().min(BODY - text.len())]);
            }
            let code = header.unwrap_or_else(|| code(&String::from_utf8_lossy(&text)));
            let passes_on = match status {
                404 => !is_no_bucket(&code),
                409 => !matches!(code.as_str(), "ConditionalRequestConflict" | "OperationAborted"),
                _ => false,
            };
            if passes_on {
                return Ok(HttpResponse::from_parts(parts, Vec::new().into()));
            }
            let after = seconds.map(Duration::from_secs);
            Err(HttpError::new(HttpErrorKind::Unknown, No { status, code, after }))
        })
    }
}

fn is_no_bucket(code: &str) -> bool {
    matches!(code, "NoSuchBucket" | "ContainerNotFound" | "BucketNotFound")
}

/// The code in an answer, if it is one word: `<Code>SlowDown</Code>`.
fn code(text: &str) -> String {
    if text.contains("specified bucket does not exist") {
        return "NoSuchBucket".to_owned();
    }
    let code = text.split_once("<Code>").and_then(|(_, rest)| Some(rest.split_once("</Code>")?.0));
    let word = |code: &&str| code.len() < 64 && code.chars().all(|c| c.is_ascii_alphanumeric());
    code.filter(word).unwrap_or_default().to_owned()
}

/// What an error of the client says, without anything that a server or a URL may hold.
pub fn fault(error: &object_store::Error) -> TransportError {
    let mut causes: Vec<&(dyn Error + 'static)> = Vec::new();
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        causes.push(cause);
        next = cause.source();
    }
    let text = error.to_string();
    let asks_for_credentials = ["169.254.", "metadata.google.internal", "metadata/identity"];
    if let Some(no) = causes.iter().find_map(|cause| cause.downcast_ref::<No>()) {
        let (status, code) = (no.status, no.code.clone());
        return match status {
            _ if is_no_bucket(&code) => TransportError::NoBucket { code },
            _ if asks_for_credentials.iter().any(|part| text.contains(part)) => TransportError::NoCredentials,
            401 | 403 => TransportError::Denied { status, code },
            _ => TransportError::Answer { status, code, after: no.after },
        };
    }
    if asks_for_credentials.iter().any(|part| text.contains(part)) {
        return TransportError::NoCredentials;
    }
    if causes.iter().any(|cause| cause.downcast_ref::<HttpError>().is_some()) {
        let message = causes.last().map_or_else(String::new, |cause| cause.to_string());
        return TransportError::Unreachable { message };
    }
    match error {
        object_store::Error::NotImplemented { .. } => TransportError::ReadOnly,
        object_store::Error::Generic { .. } => {
            let message = causes.last().map_or_else(String::new, |cause| cause.to_string());
            // An answer that is no answer: an empty one, a broken document.
            TransportError::Length { message }
        }
        _ => TransportError::Other { message: "the request makes no sense to the server".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_answer_only_the_code_is_told() {
        let answer =
            "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIA1</AWSAccessKeyId></Error>";
        assert_eq!(code(answer), "SignatureDoesNotMatch");
        for none in ["", "<Code>", "<Code>a b</Code>", "{\"error\": 1}"] {
            assert_eq!(code(none), "", "{none}");
        }
    }
}
