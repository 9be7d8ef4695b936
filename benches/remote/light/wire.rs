//! What S3's protocol is made of: errors, XML, queries, ranges and bodies.

use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Why a request fails, in S3's words.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("there is no such bucket")]
    NoSuchBucket,
    #[error("there is no object of this name")]
    NoSuchKey,
    #[error("there is no such upload")]
    NoSuchUpload,
    #[error("a part was not sent")]
    InvalidPart,
    #[error("the object is not as the request's condition wants it")]
    PreconditionFailed,
    #[error("the range begins behind the object's last byte")]
    InvalidRange,
    #[error("a word of the request is missing or not understood")]
    InvalidArgument,
    #[error("the body is shorter or longer than it says")]
    IncompleteBody,
    #[error("this server does not do that")]
    NotImplemented,
    #[error("{0}")]
    InternalError(#[from] io::Error),
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = match self {
            Problem::NoSuchBucket | Problem::NoSuchKey | Problem::NoSuchUpload => StatusCode::NOT_FOUND,
            Problem::InvalidPart | Problem::InvalidArgument | Problem::IncompleteBody => {
                StatusCode::BAD_REQUEST
            }
            Problem::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Problem::InvalidRange => StatusCode::RANGE_NOT_SATISFIABLE,
            Problem::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Problem::InternalError(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let (name, text) = (format!("{self:?}"), escaped(&self.to_string()));
        let code = name.split('(').next().unwrap_or_default();
        (status, xml("Error", &format!("<Code>{code}</Code><Message>{text}</Message>"))).into_response()
    }
}

/// What a request gets.
pub type Answer = Result<Response, Problem>;
/// The query of a request.
pub type Query = HashMap<String, String>;

/// A body in chunks with signatures and trailers between them, which are passed over (`aws-chunked`).
#[derive(Default)]
struct Chunks {
    line: Vec<u8>,
    left: usize,
    last: bool,
}

impl Chunks {
    /// The next bytes of the object, as far as they came.
    fn next(&mut self, bytes: &mut Bytes) -> Result<Bytes, Problem> {
        while !bytes.is_empty() && !self.last && self.left == 0 {
            let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
            self.line.extend_from_slice(&bytes.split_to(end));
            // An empty line ends the bytes of the chunk before.
            if self.line.ends_with(b"\n") {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim().to_owned();
                if let Some(size) = line.split(';').next().filter(|size| !size.is_empty()) {
                    self.left = usize::from_str_radix(size, 16).map_err(|_| Problem::IncompleteBody)?;
                    self.last = self.left == 0;
                }
            }
        }
        let piece = bytes.split_to(self.left.min(bytes.len()));
        self.left -= piece.len();
        Ok(piece)
    }
}

/// Writes a request's body to a file from a place on, as it comes.
pub async fn receive(request: Request, file: &File, start: u64) -> Result<(), Problem> {
    let headers = request.headers();
    let hash = headers.get("x-amz-content-sha256").map_or(&b""[..], |hash| hash.as_bytes());
    let mut chunks = hash.starts_with(b"STREAMING-").then(Chunks::default);
    let (size, mut at) = (declared(headers), start);
    let mut body = request.into_body().into_data_stream();
    while let Some(bytes) = body.next().await {
        let mut bytes = bytes.map_err(io::Error::other)?;
        while !bytes.is_empty() {
            let piece = match &mut chunks {
                Some(chunks) if chunks.last => break,
                Some(chunks) => chunks.next(&mut bytes)?,
                None => std::mem::take(&mut bytes),
            };
            file.write_all_at(&piece, at)?;
            at += piece.len() as u64;
        }
    }
    let whole = chunks.is_none_or(|chunks| chunks.last) && size.is_none_or(|size| size == at - start);
    whole.then_some(()).ok_or(Problem::IncompleteBody)
}

/// How many bytes of an object a request says that it brings.
pub fn declared(headers: &HeaderMap) -> Option<u64> {
    let size = headers.get("x-amz-decoded-content-length").or(headers.get(header::CONTENT_LENGTH))?;
    size.to_str().ok()?.parse().ok()
}

/// The first byte of a range and the one behind its last.
pub fn within(range: &str, size: u64) -> Result<(u64, u64), Problem> {
    let (first, last) =
        range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).unwrap_or_default();
    let (first, end) = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) => (first, size.min(last.saturating_add(1))),
        (Ok(first), Err(_)) => (first, size),
        (Err(_), Ok(last)) => (size.saturating_sub(last), size),
        (Err(_), Err(_)) => return Err(Problem::InvalidArgument),
    };
    if first < end { Ok((first, end)) } else { Err(Problem::InvalidRange) }
}

/// Text as it stands in XML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What stands in each element of a name, in order.
pub fn texts<'a>(text: &'a str, name: &str) -> impl Iterator<Item = String> + use<'a> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let found: Vec<_> = text.split(&open).skip(1).filter_map(|rest| rest.split(&close).next()).collect();
    let plain = |text: &str| text.replace("&quot;", "\"").replace("&apos;", "'").replace("&lt;", "<");
    found.into_iter().map(move |text| plain(text).replace("&gt;", ">").replace("&amp;", "&"))
}

/// An answer in XML.
pub fn xml(root: &str, content: &str) -> Response {
    let text = format!("<{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{content}</{root}>");
    ([(header::CONTENT_TYPE, "application/xml")], text).into_response()
}

/// What a request's query holds.
pub fn query(request: &Request) -> Query {
    form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes()).into_owned().collect()
}

/// A body of XML: the names of a thousand objects, or ten thousand parts, at most.
pub async fn text(request: Request) -> Result<String, Problem> {
    let bytes = to_bytes(request.into_body(), 8 << 20).await.map_err(io::Error::other)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
