//! The servers of an embedded cloud, called in this process: whoever asks them, by the SDK or as a peer, serialises, signs, tries again and
//! parses as ever, and only the sockets between are left out.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use cloud::http::{BoxError, Service};
use cloud::vars::InProcess;
use futures::future::BoxFuture;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body::Frame;
use sync_wrapper::SyncWrapper;
use tower::util::BoxCloneSyncService;
use tower::{Service as TowerService, ServiceExt as _};

/// A server that does not answer: the connection breaks.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Broken(#[from] BoxError);

/// What answers requests.
#[derive(Clone, Debug)]
pub(crate) struct Server(BoxCloneSyncService<Request<Body>, Response<Body>, Broken>);

impl Server {
    pub(crate) fn new<S, B>(service: S) -> Self
    where
        S: TowerService<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let service = service
            .map_response(|answer: Response<B>| answer.map(Body::new))
            .map_err(|error: S::Error| Broken(error.into()));
        Self(BoxCloneSyncService::new(service))
    }

    pub(crate) async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Broken> {
        self.0.oneshot(request).await
    }
}

impl From<Router> for Server {
    fn from(router: Router) -> Self {
        Self::new(router)
    }
}

/// Servers by the authority of their URLs. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire(Arc<Mutex<HashMap<String, Server>>>);

/// Ends the names of servers that have no port. Names under it lead nowhere (RFC 6761).
const NOWHERE: &str = ".invalid";

/// Whether a URL is that of a server that has no port.
pub(crate) fn is_name(url: &str) -> bool {
    authority(url).ends_with(NOWHERE)
}

impl Wire {
    /// Adds a server that has no port; answers its URL.
    pub(crate) fn add(&self, service: &str, server: Server) -> String {
        let mut servers = self.servers();
        let authority = format!("{service}-{}{NOWHERE}", servers.len());
        let url = format!("http://{authority}");
        servers.insert(authority, server);
        url
    }

    /// From here on requests to that URL are answered by this server.
    pub(crate) fn connect(&self, url: &str, server: Server) {
        self.servers().insert(authority(url).to_owned(), server);
    }

    /// The server of a URL.
    pub(crate) fn server(&self, url: &str) -> Option<Server> {
        self.servers().get(authority(url)).cloned()
    }

    fn servers(&self) -> std::sync::MutexGuard<'_, HashMap<String, Server>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `127.0.0.1:8788` of `http://127.0.0.1:8788/path`.
fn authority(url: &str) -> &str {
    divided(url).0
}

/// `127.0.0.1:8788` and `/path` of `http://127.0.0.1:8788/path`.
pub(crate) fn divided(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

impl InProcess for Wire {
    fn client(&self, endpoint: &str) -> Option<SharedHttpClient> {
        self.server(endpoint).map(|server| SharedHttpClient::new(Line(server)))
    }

    fn service(&self, url: &str) -> Option<Arc<dyn Service>> {
        self.server(url).map(|server| -> Arc<dyn Service> { Arc::new(Line(server)) })
    }
}

/// The way to one of them, as the SDK and the client of other peers want it.
#[derive(Clone, Debug)]
struct Line(Server);

impl Line {
    /// What comes back over a socket: of a HEAD no body. What has arrived is done, also if nobody waits for the answer any more.
    async fn ask(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let is_head = request.method() == Method::HEAD;
        let answer = tokio::spawn(self.0.answer(as_received(request)?)).await??;
        Ok(answer.map(|body| if is_head { Body::empty() } else { body }))
    }
}

impl Service for Line {
    fn answer(
        &self,
        request: Request<reqwest::Body>,
    ) -> BoxFuture<'static, Result<Response<reqwest::Body>, BoxError>> {
        let line = self.clone();
        Box::pin(async move {
            let answer = line.ask(request.map(Body::new)).await?;
            Ok(answer.map(|body| reqwest::Body::wrap(InTurn(SyncWrapper::new(body)))))
        })
    }
}

impl HttpClient for Line {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Line {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let line = self.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let answer = line.ask(request.map(Body::new)).await.map_err(ConnectorError::io)?;
            HttpResponse::try_from(answer.map(|body| SdkBody::from_body_1_x(InTurn(SyncWrapper::new(body)))))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// A body that the SDK may hand to another thread; it is read by one at a time.
struct InTurn(SyncWrapper<Body>);

impl http_body::Body for InTurn {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(self.0.get_mut()).poll_frame(context)
    }
}

/// A request as it arrives at a server: with a path, and the name of the server as a header.
fn as_received(request: Request<Body>) -> Result<Request<Body>, BoxError> {
    let (mut parts, body) = request.into_parts();
    let named = parts.uri.authority().map(Authority::as_str).unwrap_or_default();
    parts.headers.insert(HOST, HeaderValue::from_str(named)?);
    parts.uri = parts.uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from);
    Ok(Request::from_parts(parts, body))
}
