//! One question, one answer.

use std::sync::Arc;

use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, HeaderValue, VARY};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::body::Body;
use super::connections::Busy;
use super::daemon::{DaemonClient, NoAnswer};
use super::exposition::{self, Format};
use super::host::AllowedHosts;
use super::page::{self, ASSETS, LivePage};
use super::ready;
use super::route::{HttpRoute, route};

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const EVENTS: &str = "text/event-stream";
const TEXT: &str = "text/plain; charset=utf-8";

/// On every answer: it may not be kept, sniffed, framed, or load anything from elsewhere.
const SAFETY: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (hyper::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (hyper::header::REFERRER_POLICY, "no-referrer"),
    (
        hyper::header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

pub(super) struct AnswerContext {
    daemon: Arc<DaemonClient>,
    live: Arc<LivePage>,
    hosts: AllowedHosts,
}

impl AnswerContext {
    pub(super) fn new(daemon: Arc<DaemonClient>, hosts: AllowedHosts) -> Self {
        Self { live: LivePage::new(daemon.clone()), daemon, hosts }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>, busy: Busy) -> Response<Body> {
        let mut response = self.respond(&request, busy).await;
        for (name, value) in SAFETY {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }

    async fn respond(&self, request: &Request<Incoming>, busy: Busy) -> Response<Body> {
        let found = route(request.uri().path());
        let host = host(request);
        let permitted = match found {
            Some(route) if route.is_for_scrapers() => self.hosts.permit_scraper(host),
            Some(_) | None => self.hosts.permit(host),
        };
        if !permitted {
            let hint =
                "this server is not known by that name: use its address, localhost, or this machine's own name\n";
            return text(StatusCode::MISDIRECTED_REQUEST, hint);
        }
        let Some(found) = found else {
            let hint = "there is nothing here: /, /metrics, /ready, /ready/NAME and /status are\n";
            return text(StatusCode::NOT_FOUND, hint);
        };
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response =
                text(StatusCode::METHOD_NOT_ALLOWED, "this server only answers questions: GET and HEAD\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match found {
            HttpRoute::Page => self.page().await,
            HttpRoute::Asset(at) => asset(at),
            HttpRoute::Events => self.events(request.method(), busy),
            HttpRoute::Ready(name) => self.ready(name).await.unwrap_or_else(|error| unavailable(&error)),
            HttpRoute::Status => self.status().await.unwrap_or_else(|error| unavailable(&error)),
            HttpRoute::Metrics => {
                let accept = request.headers().get(ACCEPT).map(|value| value.to_str().unwrap_or_default());
                self.metrics(Format::of(accept)).await.unwrap_or_else(|error| unavailable(&error))
            }
        }
    }

    async fn page(&self) -> Response<Body> {
        match self.live.model().await {
            Ok(model) => apart(move || response(StatusCode::OK, HTML, page::page(&model).into())).await,
            Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("{error}\n")),
        }
    }

    fn events(&self, method: &Method, busy: Busy) -> Response<Body> {
        let mut response = response(StatusCode::OK, EVENTS, Bytes::new());
        // A web server in front is not to collect them.
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        if method == Method::GET {
            let Some(stream) = page::events(&self.live, busy) else {
                return text(StatusCode::SERVICE_UNAVAILABLE, "too many pages follow at once\n");
            };
            *response.body_mut() = Body::Stream(stream);
        }
        response
    }

    async fn ready(&self, name: Option<&str>) -> Result<Response<Body>, NoAnswer> {
        let status = self.daemon.status().await?;
        let readiness = match name {
            None => Some(ready::of_all(&status)),
            Some(name) => ready::of_one(&status, name),
        };
        let Some(readiness) = readiness else {
            let error = self.daemon.unknown(name.unwrap_or_default()).await;
            return Ok(json(StatusCode::NOT_FOUND, &ReadyRefusal { ready: false, error }));
        };
        let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        Ok(json(code, &readiness))
    }

    async fn metrics(&self, format: Format) -> Result<Response<Body>, NoAnswer> {
        let status = self.daemon.status().await?;
        let write = move || match exposition::write(status, format) {
            Ok(written) => {
                let mut response = response(StatusCode::OK, format.content_type(), written.into());
                response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
                response
            }
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        };
        Ok(apart(write).await)
    }

    async fn status(&self) -> Result<Response<Body>, NoAnswer> {
        let status = self.daemon.status().await?;
        Ok(apart(move || json(StatusCode::OK, &*status)).await)
    }
}

fn asset(at: usize) -> Response<Body> {
    match ASSETS.get(at) {
        Some((_, content_type, content)) => {
            response(StatusCode::OK, content_type, Bytes::from_static(content.as_bytes()))
        }
        None => text(StatusCode::NOT_FOUND, "there is no such file\n"),
    }
}

/// An answer about readiness that cannot be given.
#[derive(Serialize)]
struct ReadyRefusal {
    ready: bool,
    error: String,
}

/// The name that the request came by.
fn host(request: &Request<Incoming>) -> Option<&str> {
    let header = request.headers().get(HOST).map(|value| value.to_str().unwrap_or_default());
    request.uri().authority().map(|authority| authority.as_str()).or(header)
}

/// Makes an answer on another thread: what hundreds of tunnels have to say takes milliseconds to write, for which the
/// bytes of their users are not to wait.
async fn apart(make: impl FnOnce() -> Response<Body> + Send + 'static) -> Response<Body> {
    tokio::task::spawn_blocking(make).await.unwrap_or_else(|error| {
        tracing::error!(%error, "an answer over HTTP could not be made");
        text(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be made: see the log\n")
    })
}

fn unavailable(error: &NoAnswer) -> Response<Body> {
    json(StatusCode::SERVICE_UNAVAILABLE, &ReadyRefusal { ready: false, error: error.to_string() })
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec_pretty(value) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            response(status, JSON, bytes.into())
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    response(status, TEXT, Bytes::copy_from_slice(text.as_bytes()))
}

fn response(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
