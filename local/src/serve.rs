//! Listening on loopback, who is let in, and stopping cleanly.
//!
//! A port of this machine is open to every program on it, and to every page that a browser on it shows. So each request must name the
//! address that the port listens on (a page whose name was made to point here names its own), and no request that a page makes is
//! answered: browsers say of each which page makes it (`Origin`, `Sec-Fetch-Site`). Only the console answers pages, its own.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::wire::Server;

/// What a port bears.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Connections at once; others wait until one ends.
    connections: usize,
    /// How long a connection may take to send the head of its (next) request.
    head: Duration,
}

const LIMITS: Limits = Limits { connections: 512, head: Duration::from_secs(20) };

/// Whose requests a port answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Programs': nothing that a web page sends.
    Programs,
    /// Also those of its own pages.
    Pages,
}

/// A listener on a port, or on any free one for port 0.
pub(crate) async fn listen(address: IpAddr, port: u16) -> io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind(SocketAddr::new(address, port)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

/// Serves HTTP/1.1 connections until `stop`; connections that are open then are cut.
pub(crate) async fn serve(listener: TcpListener, door: Door, server: Server, stop: CancellationToken) {
    serve_within(listener, LIMITS, door, server, stop).await;
}

async fn serve_within(
    listener: TcpListener,
    limits: Limits,
    door: Door,
    server: Server,
    stop: CancellationToken,
) {
    let (connections, places) = (TaskTracker::new(), Arc::new(Semaphore::new(limits.connections)));
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            listener.accept().await.map(|(stream, peer)| (stream, peer, place))
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((stream, peer, place)) = accepted else {
            // out of file descriptors, say: that passes
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let Ok(here) = stream.local_addr() else { continue };
        let _ = stream.set_nodelay(true);
        let server = server.clone();
        let guarded = service_fn(move |mut request: Request<Incoming>| {
            let refused = refusal(door, here.ip(), request.uri(), request.headers());
            request.extensions_mut().insert(ConnectInfo(peer));
            let answer = refused.is_none().then(|| server.clone().answer(request.map(Body::new)));
            async move {
                match (answer, refused) {
                    (Some(answer), _) => answer.await.map(|answer| answer.map(Either::Left)),
                    (None, why) => Ok(forbidden(why.unwrap_or_default()).map(Either::Right)),
                }
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .serve_connection(TokioIo::new(stream), guarded);
        let stop = stop.clone();
        connections.spawn(async move {
            tokio::select! {
                _ = connection => {}
                () = stop.cancelled() => {}
            }
            drop(place);
        });
    }
}

fn forbidden(why: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("refused: {why}\n"))));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

/// Why a request is not answered that came to this address.
fn refusal(door: Door, here: IpAddr, uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(HOST.as_str());
    // a request with a whole URL names its server there, too
    let named = host.into_iter().chain(uri.authority().map(http::uri::Authority::as_str));
    if headers.get_all(HOST).iter().count() != 1 || !named.into_iter().all(|name| is_here(name, here)) {
        return Some(
            "the request is for another host; ask by the address that this listens on, or by localhost",
        );
    }
    match door {
        Door::Programs if headers.contains_key(ORIGIN) => Some("this answers programs, not web pages"),
        Door::Programs if text("sec-fetch-site").is_some_and(|site| site != "none") => {
            Some("this answers programs, not web pages")
        }
        Door::Pages if text(ORIGIN.as_str()).is_some_and(|origin| !is_own(origin, host)) => {
            Some("this answers its own pages, not those of others")
        }
        Door::Programs | Door::Pages => None,
    }
}

/// Whether `localhost:8787` or `127.0.0.1` means the address that a connection came to.
fn is_here(authority: &str, here: IpAddr) -> bool {
    let port = |text: &str| text.parse::<u16>().is_ok();
    let name = match authority.rsplit_once(':') {
        Some((name, after)) if port(after) && (!name.contains(':') || name.ends_with(']')) => name,
        _ => authority,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(address) => address == here || (address.is_loopback() && here.is_loopback()),
        Err(_) => here.is_loopback() && name.eq_ignore_ascii_case("localhost"),
    }
}

/// Whether a page's origin is the server that it asks.
fn is_own(origin: &str, host: Option<&str>) -> bool {
    let server = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    server.zip(host).is_some_and(|(server, host)| server.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(door: Door, here: &str, headers: &[(&'static str, &str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_str(value).unwrap())
        });
        refusal(door, here.parse().unwrap(), &Uri::from_static("/"), &headers.collect()).is_some()
    }

    #[test]
    fn a_request_names_the_address_that_it_came_to() {
        let programs = |here, host| refused(Door::Programs, here, &[("host", host)]);
        for host in ["127.0.0.1:8788", "127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:8788", "[::1]"] {
            assert!(!programs("127.0.0.1", host), "{host}");
        }
        for host in [
            "evil.example:8788",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "172.17.0.1",
            "",
            "127.0.0.1:x",
            "0.0.0.0:8788",
            "a:b:c",
            "localhost@evil.example",
        ] {
            assert!(programs("127.0.0.1", host), "{host}");
        }
        assert!(!programs("172.17.0.1", "172.17.0.1:8788"));
        for host in ["localhost:8788", "127.0.0.1", "bridge:8788", "172.17.0.2"] {
            assert!(programs("172.17.0.1", host), "{host}");
        }
        assert!(refused(Door::Programs, "127.0.0.1", &[]), "without a host");
        let whole = Uri::from_static("http://evil.example/");
        let headers = HeaderMap::from_iter([(HOST, http::HeaderValue::from_static("127.0.0.1"))]);
        assert!(refusal(Door::Programs, "127.0.0.1".parse().unwrap(), &whole, &headers).is_some());
    }

    #[tokio::test]
    async fn connections_are_bounded_and_those_that_ask_nothing_are_cut() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (listener, url) = listen("127.0.0.1".parse().unwrap(), 0).await.unwrap();
        let (address, stop) = (url.trim_start_matches("http://").to_owned(), CancellationToken::new());
        let limits = Limits { connections: 2, head: Duration::from_millis(100) };
        let server = Server::from(axum::Router::new().fallback(async || "hello"));
        let serving = tokio::spawn(serve_within(listener, limits, Door::Programs, server, stop.clone()));
        let connect = async |text: &str| {
            let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream
        };
        // four that never end their question, and one that is idle after its answer
        let slow = [
            connect("GET / HTTP/1.1\r\nHost: ").await,
            connect("").await,
            connect("G").await,
            connect("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await,
        ];
        let mut answer = String::new();
        let mut last = connect("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        last.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
        for mut stream in slow {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await; // ends, one way or the other
        }
        stop.cancel();
        serving.await.unwrap();
    }

    #[test]
    fn programs_are_answered_and_pages_only_by_their_own_server() {
        let host = ("host", "127.0.0.1:8787");
        let programs = |header| refused(Door::Programs, "127.0.0.1", &[host, header]);
        for origin in ["http://evil.example", "null", "http://127.0.0.1:8787", "http://localhost:9", ""] {
            assert!(programs(("origin", origin)), "{origin}");
        }
        assert!(programs(("sec-fetch-site", "cross-site")) && programs(("sec-fetch-site", "same-site")));
        assert!(!programs(("sec-fetch-site", "none")) && !programs(("accept", "*/*")));
        let pages = |header| refused(Door::Pages, "127.0.0.1", &[host, header]);
        assert!(!pages(("origin", "http://127.0.0.1:8787")));
        for origin in [
            "http://evil.example",
            "null",
            "http://127.0.0.1:8788",
            "http://localhost:8787",
            "127.0.0.1:8787",
        ] {
            assert!(pages(("origin", origin)), "{origin}");
        }
        assert!(!pages(("sec-fetch-site", "cross-site")), "a link leads there");
    }
}
