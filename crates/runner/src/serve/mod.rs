//! `onsager serve`: what the records of a store tell, as pages for a browser on this machine.
//!
//! It reads records, logs, curves and objects, and asks no run for anything: so it works beside any run, also one whose tasks are on a
//! cluster, and slows none. It answers only on 127.0.0.1 and only to who has the token (`guard`); it takes nothing in (`ask`).

mod artifact;
mod ask;
mod compare;
mod curves;
mod experiments;
mod folds;
mod frame;
mod guard;
mod live;
mod log;
pub mod looking;
mod object;
mod preview;
mod report;
mod rows;
mod run;
mod runs;
mod task;

use crate::pages::assets;
use ask::blocking;
use axum::Router;
use axum::http::header;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get};
use looking::Looking;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

/// Our part of the pages' style and script.
const STYLE: &str = include_str!("../../assets/serve.css");
const SCRIPT: &str = include_str!("../../assets/serve.js");
/// How often it looks whether it is to end.
const PERIOD: Duration = Duration::from_millis(100);

/// Serves until an interrupt. `ready` is given the address to open, once it answers there.
pub fn serve(
    looking: Looking,
    port: u16,
    interrupts: &AtomicUsize,
    ready: impl FnOnce(&str),
) -> io::Result<()> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let served = runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let address = listener.local_addr()?;
        let url = format!("http://{address}/?token={}", looking.token);
        let server = tokio::spawn(axum::serve(listener, router(Arc::new(looking))).into_future());
        ready(&url);
        while interrupts.load(Ordering::Relaxed) == 0 && !server.is_finished() {
            tokio::time::sleep(PERIOD).await;
        }
        match server.is_finished() {
            true => server.await.unwrap_or_else(|error| Err(io::Error::other(error))),
            false => Ok(()),
        }
    });
    // What a page still follows is no reason to stay.
    runtime.shutdown_background();
    served
}

fn router(looking: Arc<Looking>) -> Router {
    Router::new()
        .route("/", blocking(runs::page))
        .route("/run", blocking(run::page))
        .route("/run/live", get(live::run))
        .route("/report", blocking(report::page))
        .route("/task", blocking(task::page))
        .route("/log", blocking(log::page))
        .route("/log/live", get(live::log))
        .route("/curves", blocking(curves::page))
        .route("/curves/live", get(live::curves))
        .route("/experiments", blocking(experiments::list))
        .route("/experiment", blocking(experiments::page))
        .route("/compare", blocking(compare::page))
        .route("/artifact", blocking(artifact::page))
        .route("/object", get(object::bytes))
        .route("/assets/page.css", asset(assets::STYLE, "text/css"))
        .route("/assets/page.js", asset(assets::SCRIPT, "text/javascript"))
        .route("/assets/uPlot.min.css", asset(assets::UPLOT_STYLE, "text/css"))
        .route("/assets/uPlot.iife.min.js", asset(assets::UPLOT_SCRIPT, "text/javascript"))
        .route("/assets/serve.css", asset(STYLE, "text/css"))
        .route("/assets/serve.js", asset(SCRIPT, "text/javascript"))
        .fallback(ask::nothing_here)
        .layer(middleware::from_fn_with_state(looking.clone(), guard::guard))
        .with_state(looking)
}

fn asset(text: &'static str, kind: &'static str) -> MethodRouter<Arc<Looking>> {
    get(
        move || async move { ([(header::CONTENT_TYPE, format!("{kind}; charset=utf-8"))], text).into_response() },
    )
}
