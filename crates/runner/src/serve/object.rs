//! The bytes of an object. What a browser would run is never given as what it is.

use crate::serve::ask::{Ask, Fault};
use crate::serve::looking::Looking;
use crate::serve::preview::{self, Sort};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use std::sync::Arc;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

/// Whatever it is, it may do nothing: an image as SVG may hold a script.
const POLICY: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:";
/// How much is read at once.
const BLOCK: usize = 64 << 10;

pub async fn bytes(State(looking): State<Arc<Looking>>, request: Request) -> Response {
    let ask = Ask::of(request.uri());
    match answer(&looking, &ask).await {
        Ok(response) => response,
        Err(fault) => fault.into_response(),
    }
}

async fn answer(looking: &Looking, ask: &Ask) -> Result<Response, Fault> {
    let digest = ask.digest("digest")?;
    let path = looking.store.objects().path(&digest);
    let gone = |_| Fault::missing(format!("object {} is not in the store", digest.short()));
    let kind = match preview::sort(&path).map_err(gone)? {
        _ if ask.get("download").is_some() => "application/octet-stream",
        Sort::Image(kind) => kind,
        Sort::Text | Sort::Html => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };
    let file = File::open(&path).await.map_err(gone)?;
    let length = file.metadata().await.map_err(gone)?.len();
    let how = match ask.get("download") {
        Some(name) => format!("attachment; filename=\"{}\"", file_name(name)),
        None if kind == "application/octet-stream" => format!("attachment; filename=\"{}\"", digest.short()),
        None => "inline".to_owned(),
    };
    let blocks = stream::unfold(file, |mut file| async move {
        let mut block = vec![0; BLOCK];
        match file.read(&mut block).await {
            Ok(0) => None,
            Ok(read) => {
                block.truncate(read);
                Some((Ok(Bytes::from(block)), file))
            }
            Err(error) => Some((Err(error), file)),
        }
    });
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, how),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
    ];
    Ok((headers, Body::from_stream(blocks)).into_response())
}

/// A name that a header can hold and that names no folder.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = name.rsplit('/').next().unwrap_or_default().chars().map(plain).take(120).collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() { "artifact".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_path_and_breaks_no_header() {
        for (name, expected) in [
            ("weights.safetensors", "weights.safetensors"),
            ("../../etc/passwd", "passwd"),
            ("a\"b\r\nSet-Cookie: x", "a_b__Set-Cookie__x"),
            ("..", "artifact"),
            ("", "artifact"),
        ] {
            assert_eq!(file_name(name), expected);
        }
    }
}
