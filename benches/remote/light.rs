//! A server of S3's protocol that takes next to no CPU, so that a measurement on one machine is of its clients.
//!
//!     cargo bench -p onsager-runner --features remote,serve --bench light-s3 -- /dev/shm/s3 7490
//!
//! It prints its process's number and the variables to log in with, as `ceph.sh` does, and serves 127.0.0.1 until it is
//! killed. Objects are files below the folder, which is made, with the bucket `onsager`. One thread does everything: in
//! memory a read or a write is no more than a copy. Nothing is hashed: an ETag is made of the file's number, time and
//! size. **No signature is checked**: every process of the machine can read and write there. An object cannot also be a
//! folder of others, the only delimiter is `/`, and uploads in parts end with the server.

#[path = "light/listing.rs"]
mod listing;
#[path = "light/objects.rs"]
mod objects;
#[path = "light/wire.rs"]
mod wire;

use crate::listing::list;
use crate::objects::Server;
use crate::wire::{Answer, Problem, query, text, xml};
use axum::Router;
use axum::extract::{Path as Named, Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::any;
use axum::serve::ListenerExt;
use std::error::Error;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

async fn bucket(State(server): State<Arc<Server>>, Named(bucket): Named<String>, request: Request) -> Answer {
    let query = query(&request);
    match request.method().as_str() {
        "PUT" if query.is_empty() => server.make(&bucket).map(|()| StatusCode::OK.into_response()),
        "HEAD" => server.bucket(&bucket).map(|_| StatusCode::OK.into_response()),
        "GET" if query.contains_key("location") => {
            server.bucket(&bucket).map(|_| xml("LocationConstraint", ""))
        }
        "GET" => list(&server, &bucket, &query),
        "POST" if query.contains_key("delete") => server.delete_all(&bucket, &text(request).await?),
        _ => Err(Problem::NotImplemented),
    }
}

async fn object(
    State(server): State<Arc<Server>>,
    Named((bucket, key)): Named<(String, String)>,
    request: Request,
) -> Answer {
    let (query, headers) = (query(&request), request.headers().clone());
    match (request.method().as_str(), query.get("uploadId"), query.get("partNumber")) {
        ("GET" | "HEAD", None, None) => server.get(&bucket, &key, &request),
        (_, _, _) if headers.contains_key("x-amz-copy-source") => Err(Problem::NotImplemented),
        ("PUT", None, None) => server.put(&bucket, &key, request).await,
        ("PUT", Some(id), Some(number)) => server.part(id, number, request).await,
        ("POST", None, None) if query.contains_key("uploads") => server.begin(&bucket, &key).await,
        ("POST", Some(id), None) => server.complete(&bucket, &key, id, &headers, &text(request).await?).await,
        ("DELETE", None, None) => {
            server.delete(&bucket, &key).map(|()| StatusCode::NO_CONTENT.into_response())
        }
        ("DELETE", Some(id), None) => server.abort(id).await.map(|()| StatusCode::NO_CONTENT.into_response()),
        _ => Err(Problem::NotImplemented),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo bench` adds a word of its own.
    let words: Vec<_> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [folder, port] = words.as_slice() else {
        return Err("say a folder and a port, such as `/dev/shm/s3 7490`".into());
    };
    let server = Server::new(PathBuf::from(folder))?;
    let router = Router::new()
        .route("/{bucket}", any(bucket))
        .route("/{bucket}/", any(bucket))
        .route("/{bucket}/{*key}", any(object))
        .with_state(Arc::new(server));
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse()?)).await?;
        let login = "AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_DEFAULT_REGION=us-east-1";
        println!("process {}", std::process::id());
        println!("export {login} AWS_ENDPOINT_URL=http://{}", listener.local_addr()?);
        axum::serve(listener.tap_io(|line| drop(line.set_nodelay(true))), router).await?;
        Ok(())
    })
}
