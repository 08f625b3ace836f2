//! Every way in which a peer may fail, told once for all providers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use futures::future::BoxFuture;
use futures::stream;
use reqwest::Body;
use secrecy::ExposeSecret as _;

use super::*;
use crate::http::{BoxError, Service};
use crate::vars::InProcess;

struct Example;

impl Api for Example {
    fn name(&self) -> &'static str {
        "Example"
    }

    fn address(&self) -> &'static str {
        "EXAMPLE_URL"
    }

    fn limit_bytes(&self) -> usize {
        64
    }

    fn said(&self, body: &[u8]) -> String {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        body["error"].as_str().unwrap_or_default().to_owned()
    }

    fn advice(&self, fault: Fault) -> String {
        if fault == Fault::Credentials { "check EXAMPLE_KEY".to_owned() } else { String::new() }
    }
}

/// How a server of these tests answers one request.
#[derive(Clone, Debug)]
enum Reaction {
    Answer(u16, &'static [(&'static str, &'static str)], &'static str),
    /// The body breaks off after this.
    Half(u16, &'static str),
    Break,
    Silence,
}

use Reaction::{Answer as Says, Break, Half, Silence};

/// Answers in turn, the last for ever, and notes what was asked.
#[derive(Clone)]
struct Server {
    reactions: Arc<Mutex<VecDeque<Reaction>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const URL: &str = "http://example.invalid/v1/things?sig=planted";

impl InProcess for Server {
    fn client(&self, _: &str) -> Option<SharedHttpClient> {
        None
    }

    fn service(&self, url: &str) -> Option<Arc<dyn Service>> {
        url.starts_with("http://example.invalid").then(|| -> Arc<dyn Service> { Arc::new(self.clone()) })
    }
}

impl Service for Server {
    fn answer(
        &self,
        request: ::http::Request<Body>,
    ) -> BoxFuture<'static, Result<::http::Response<Body>, BoxError>> {
        let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        let line = format!("{} {}", request.method(), request.uri().path());
        self.asked.lock().unwrap().push(format!("{line} {}", authorization.unwrap_or("-")));
        let mut reactions = self.reactions.lock().unwrap();
        let reaction = if reactions.len() > 1 { reactions.pop_front() } else { reactions.front().cloned() };
        Box::pin(async move {
            let (status, headers, body) = match reaction.unwrap() {
                Says(status, headers, body) => (status, headers, Body::from(body)),
                Half(status, part) => {
                    let broken: BoxError = "the line broke".into();
                    (status, JSON, Body::wrap_stream(stream::iter([Ok(part), Err(broken)])))
                }
                Break => return Err("the line broke".into()),
                Silence => std::future::pending().await,
            };
            let mut answer = ::http::Response::builder().status(status);
            for (name, value) in headers {
                answer = answer.header(*name, *value);
            }
            Ok(answer.body(body).unwrap())
        })
    }
}

impl Server {
    fn new(reactions: impl IntoIterator<Item = Reaction>) -> Self {
        Self { reactions: Arc::new(Mutex::new(reactions.into_iter().collect())), asked: Arc::default() }
    }

    fn peer(&self) -> Peer {
        let vars = Vars::from_iter([
            ("HTTP_ATTEMPTS", "3"),
            ("HTTP_BACKOFF_MS", "1"),
            ("HTTP_READ_TIMEOUT_MS", "20"),
        ]);
        Peer::from_vars(&vars.within(Arc::new(self.clone()))).unwrap()
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn url() -> Url {
    URL.parse().unwrap()
}

fn key() -> SecretString {
    "planted".to_owned().into()
}

async fn told(reaction: Reaction) -> (PeerError, usize) {
    let server = Server::new([reaction]);
    let login = Fixed::bearer(&key()).unwrap();
    let error = server.peer().ask(&Call::get(&Example, url()).with(&login)).await.unwrap_err();
    (error, server.asked().len())
}

#[tokio::test]
async fn each_failure_has_its_fault_its_words_and_as_many_attempts_as_may_help() {
    const HTML: &[(&str, &str)] = &[("content-type", "text/html")];
    const CSV: &[(&str, &str)] = &[("content-type", "text/csv")];
    const ELSEWHERE: &[(&str, &str)] = &[("location", "https://elsewhere.example/login?secret=x")];
    const NO: &str = r#"{"error": "on request, planted"}"#;
    for (reaction, fault, words, attempts) in [
        (Says(400, JSON, NO), Fault::Refused, "Example refused /v1/things (400 on request, [...])", 1),
        (
            Says(401, JSON, NO),
            Fault::Credentials,
            "Example refused the credentials (401 on request, [...]): check EXAMPLE_KEY",
            1,
        ),
        (Says(403, JSON, "{}"), Fault::Denied, "Example does not allow /v1/things (403)", 1),
        (Says(404, HTML, "<p>"), Fault::NotFound, "Example knows no /v1/things (404): check EXAMPLE_URL", 1),
        (Says(408, JSON, ""), Fault::Server, "Example failed at /v1/things (408) (after 3 attempts)", 3),
        (
            Says(429, JSON, NO),
            Fault::Throttled,
            "Example asked to slow down at /v1/things (429 on request, [...]) (after 3 attempts)",
            3,
        ),
        (Says(503, HTML, "<p>"), Fault::Server, "Example failed at /v1/things (503) (after 3 attempts)", 3),
        (
            Says(302, ELSEWHERE, ""),
            Fault::Redirect,
            "Example answers /v1/things with a redirect (302 to https://elsewhere.example), which is not followed, because \
             credentials would be sent on; check EXAMPLE_URL",
            1,
        ),
        (
            Says(200, HTML, ""),
            Fault::OtherContent,
            "the answer to /v1/things (200) is a web page, not Example's; check EXAMPLE_URL",
            1,
        ),
        (
            Says(200, CSV, "a,b"),
            Fault::OtherContent,
            "the answer to /v1/things is text/csv, not application/json; check EXAMPLE_URL",
            1,
        ),
        (
            Says(200, JSON, "[0123456789, 0123456789, 0123456789, 0123456789, 0123456789, 0123456789]"),
            Fault::TooLarge,
            "the answer to /v1/things is larger than 64 bytes",
            1,
        ),
        // what it goes on to say is not needed
        (
            Says(404, JSON, "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789"),
            Fault::NotFound,
            "Example knows no /v1/things (404): check EXAMPLE_URL",
            1,
        ),
        (
            Half(200, "[1, "),
            Fault::Interrupted,
            "the answer to /v1/things broke off: the line broke (after 3 attempts)",
            3,
        ),
        // it would have said whether that may pass
        (
            Half(403, "{\"err"),
            Fault::Interrupted,
            "the answer to /v1/things broke off: the line broke (after 3 attempts)",
            3,
        ),
        (
            Break,
            Fault::NoAnswer,
            "Example does not answer at http://example.invalid: the line broke; check EXAMPLE_URL and the network (after 3 \
             attempts)",
            3,
        ),
        (
            Silence,
            Fault::NoAnswer,
            "Example does not answer at http://example.invalid: time-out; check EXAMPLE_URL and the network (after 3 attempts)",
            3,
        ),
    ] {
        let shown = format!("{reaction:?}");
        let (error, asked) = told(reaction).await;
        assert_eq!((error.fault, error.to_string().as_str(), asked), (fault, words, attempts), "{shown}");
        assert!(!error.to_string().contains("planted"), "{error}");
    }
}

#[tokio::test]
async fn nobody_there_is_told_from_nobody_answering() {
    let nobody = "http://127.0.0.1:9/".parse().unwrap();
    let error = Server::new([Break]).peer().ask_once(&Call::get(&Example, nobody)).await.unwrap_err();
    assert_eq!(error.fault, Fault::Unreachable);
    assert!(error.to_string().starts_with("Example cannot be reached at http://127.0.0.1:9: "), "{error}");
    assert!(!error.may_be_done(), "nothing was sent");
    for (reaction, may) in [
        (Break, true),
        (Silence, true),
        (Half(200, "{"), true),
        (Says(500, JSON, ""), true),
        (Says(429, JSON, ""), false),
        (Says(400, JSON, ""), false),
    ] {
        assert_eq!(told(reaction.clone()).await.0.may_be_done(), may, "{reaction:?}");
    }
}

#[tokio::test]
async fn what_passes_is_no_error_and_the_wait_that_is_asked_for_is_kept() {
    const LATER: &[(&str, &str)] = &[("retry-after", "1")];
    const MUCH_LATER: &[(&str, &str)] = &[("retry-after", "3600")];
    let server = Server::new([Break, Says(503, LATER, ""), Says(200, JSON, "[1]")]);
    let started = std::time::Instant::now();
    let answer = server.peer().ask(&Call::get(&Example, url())).await.unwrap();
    assert_eq!((&*answer.body, server.asked().len()), (&b"[1]"[..], 3));
    assert!(started.elapsed() >= Duration::from_secs(1));
    // longer than an invocation lives: the next one comes sooner
    let (error, asked) = told(Says(429, MUCH_LATER, "")).await;
    assert_eq!((error.fault, asked), (Fault::Throttled, 1));
}

fn tokens() -> Tokens {
    let url = "http://example.invalid/token".parse().unwrap();
    let credentials = "EXAMPLE_ID and EXAMPLE_SECRET";
    let endpoint = TokenEndpoint { name: "Example", url, address: "EXAMPLE_LOGIN_URL", credentials };
    Tokens::new(endpoint, |call: Call<'_>| {
        let secret = key();
        Ok(call.form([("client_secret", secret.expose_secret())]).hiding([&secret]))
    })
}

const FIRST: Reaction = Says(200, JSON, r#"{"access_token": "one", "expires_in": 3600}"#);
const SECOND: Reaction = Says(200, JSON, r#"{"access_token": "two", "expires_in": 30}"#);
const FINE: Reaction = Says(200, JSON, "[]");
const EXPIRED: Reaction = Says(401, JSON, "{}");

#[tokio::test]
async fn a_token_is_asked_for_once_and_renewed_once_when_it_is_refused() {
    let server = Server::new([FIRST, FINE, FINE, EXPIRED, SECOND, FINE, FINE, EXPIRED, FIRST, EXPIRED]);
    let (peer, tokens) = (server.peer(), tokens());
    for _ in 0..4 {
        peer.ask(&Call::get(&Example, url()).with(&tokens)).await.unwrap();
    }
    let refused = peer.ask(&Call::get(&Example, url()).with(&tokens)).await.unwrap_err();
    assert_eq!(refused.fault, Fault::Credentials);
    let get = |token: &str| format!("GET /v1/things Bearer {token}");
    let post = "POST /token -".to_owned();
    let (one, two) = (get("one"), get("two"));
    // one that ends within a minute is used until it does
    let asked =
        [&post, &one, &one, &one, &post, &two, &two, &two, &post, &one].map(ToOwned::to_owned).to_vec();
    assert_eq!(server.asked(), asked);
}

#[tokio::test]
async fn a_login_that_fails_says_so_and_did_nothing() {
    const NO: &str = r#"{"error": "invalid_client", "error_description": "no planted\nTrace: 1"}"#;
    for (reaction, words) in [
        (
            Says(400, JSON, NO),
            "Example refused the credentials (400 invalid_client: no [...]): check EXAMPLE_ID and EXAMPLE_SECRET",
        ),
        (
            Says(404, JSON, ""),
            "Example knows no /token (404): there is no token endpoint there, check EXAMPLE_LOGIN_URL",
        ),
        (Says(503, JSON, ""), "Example failed at /token (503) (after 3 attempts)"),
        (
            Break,
            "Example does not answer at http://example.invalid: the line broke; check EXAMPLE_LOGIN_URL and the network (after \
             3 attempts)",
        ),
        (
            Says(200, JSON, "{}"),
            "the answer to /token is not what the API documents: it holds no access token",
        ),
    ] {
        let server = Server::new([reaction]);
        let tokens = tokens();
        let error = server.peer().ask(&Call::get(&Example, url()).with(&tokens)).await.unwrap_err();
        assert_eq!(error.to_string(), words);
        assert!(!error.may_be_done(), "{error}");
    }
}
