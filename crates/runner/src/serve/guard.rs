//! Who may ask: a browser on this machine that was given the token, by this server's own name.
//!
//! - Another site cannot read anything: it has no token, and what it embeds is refused by what browsers say of where it is.
//! - A site whose name was made to lead to 127.0.0.1 (DNS rebinding) calls this server by that name, which is refused.
//! - What is shown may come from strangers: no page runs a script but those of this program, and none loads anything from elsewhere.

use crate::serve::ask::Fault;
use crate::serve::looking::Looking;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// What a page may do.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The name of the cookie; with the port, since cookies know none.
fn cookie_name(headers: &HeaderMap) -> String {
    let port =
        headers.get(header::HOST).and_then(|host| host.to_str().ok()?.rsplit_once(':').map(|(_, port)| port));
    format!("onsager-{}", port.filter(|port| port.bytes().all(|b| b.is_ascii_digit())).unwrap_or("80"))
}

/// Lets a request through, or refuses it; every answer is told how little it may do.
pub async fn guard(State(looking): State<Arc<Looking>>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&looking, request.method(), request.uri(), request.headers()) {
        Some(refused) => refused,
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    let own: [(HeaderName, &str); 6] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in own {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // An artifact has a stricter one of its own.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    response
}

/// The answer to a request that is not let through.
fn refusal(looking: &Looking, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
    if method != Method::GET {
        let wrong = Fault {
            status: StatusCode::METHOD_NOT_ALLOWED,
            message: "nothing can be changed here: only GET".into(),
        };
        return Some(wrong.into_response());
    }
    let refuse =
        |message: &str| Fault { status: StatusCode::FORBIDDEN, message: message.into() }.into_response();
    if !named_rightly(uri, headers) {
        return Some(refuse("this server is called `127.0.0.1` or `localhost`, and by no other name"));
    }
    let says = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let embedded = says("sec-fetch-mode") != "navigate" || says("sec-fetch-dest") != "document";
    if matches!(says("sec-fetch-site"), "cross-site" | "same-site") && embedded {
        return Some(refuse("another site may show nothing of this server"));
    }
    let mut given = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    if let Some((_, token)) = given.find(|(name, _)| name == "token") {
        return Some(match is_token(looking, &token) {
            true => enter(looking, uri, headers),
            false => no_token(),
        });
    }
    let bearer =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let name = cookie_name(headers);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut cookies =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    let mut shown = bearer
        .into_iter()
        .chain(cookies.by_ref().filter(|(known, _)| *known == name).map(|(_, value)| value));
    match shown.any(|token| is_token(looking, token)) {
        true => None,
        false => Some(no_token()),
    }
}

/// Whether the server is called by a name that nobody else can have. Any port will do: it may be reached through a tunnel.
fn named_rightly(uri: &Uri, headers: &HeaderMap) -> bool {
    let own = |host: &str| {
        let name = host.rsplit_once(':').map_or(host, |(name, port)| {
            match port.bytes().all(|b| b.is_ascii_digit()) {
                true => name,
                false => host,
            }
        });
        name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost")
    };
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    host.is_some_and(own)
        && hosts.next().is_none()
        && uri.authority().is_none_or(|authority| own(authority.as_str()))
}

/// Takes as long for a wrong one as for a right one.
fn is_token(looking: &Looking, given: &str) -> bool {
    looking.token.as_bytes().ct_eq(given.as_bytes()).into()
}

/// The browser keeps the token from now on, and its address bar does not.
fn enter(looking: &Looking, uri: &Uri, headers: &HeaderMap) -> Response {
    let mut rest = form_urlencoded::Serializer::new(String::new());
    let given = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    given.filter(|(name, _)| name != "token").for_each(|(name, value)| _ = rest.append_pair(&name, &value));
    let rest = rest.finish();
    // A path that begins with two slashes would be another server.
    let path = format!("/{}", uri.path().trim_start_matches('/'));
    let to = if rest.is_empty() { path } else { format!("{path}?{rest}") };
    let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", cookie_name(headers), looking.token);
    (StatusCode::SEE_OTHER, [(header::LOCATION, to), (header::SET_COOKIE, cookie)]).into_response()
}

fn no_token() -> Response {
    let message = "open the address that `onsager serve` printed: it has the token".into();
    Fault { status: StatusCode::UNAUTHORIZED, message }.into_response()
}
