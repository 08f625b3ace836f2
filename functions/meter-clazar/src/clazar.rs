//! Clazar's metering API: a token, and requests whose end is known, or known to be unknown.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cloud::aws::Aws;
use cloud::http::{base_url, shown};
use cloud::peer::{Call, Peer, PeerError, TokenEndpoint, Tokens};
use cloud::secrets::Secrets;
use cloud::vars::Vars;
use secrecy::ExposeSecret;
use serde_json::json;
use url::Url;

use crate::error::{CREDENTIALS, ClazarApi, ClazarError};
use crate::request::MeteringRequest;

/// A client with credentials: what a dry run does not have.
pub(crate) struct Clazar {
    peer: Peer,
    metering: Url,
    tokens: Tokens,
    timeout: Duration,
    /// Requests and the time they took, for the log.
    requests: AtomicU64,
    latency_ms: AtomicU64,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Submitted {
    /// The service answered. `ambiguous`: an attempt before this one may have been accepted.
    Answered { status: u16, body: Bytes, ambiguous: bool },
    /// It may have arrived, or not.
    Unknown(PeerError),
    /// It certainly did nothing.
    NotSent(PeerError),
}

impl Clazar {
    /// Reads the secrets and builds the client.
    pub(crate) async fn connect(vars: &Vars, aws: &Aws) -> Result<Self, ClazarError> {
        let metering = vars.get("CLAZAR_API_URL").unwrap_or("https://api.clazar.io/metering/");
        let metering = base_url("CLAZAR_API_URL", metering, vars)?;
        let wrong = |reason: url::ParseError| ClazarError::WrongBase {
            url: shown(&metering),
            reason: reason.to_string(),
        };
        // its sibling; both end with a slash, without which the service does not know them
        let authenticate = metering.join("authenticate/").map_err(wrong)?;
        let metering = Url::parse(&format!("{metering}/")).map_err(wrong)?;
        let secrets = Secrets::load(vars, aws, "CLAZAR_SECRET_ARN").await?;
        let client_id = secrets.require("CLAZAR_CLIENT_ID", "the client id of the Clazar API")?;
        let client_secret = secrets.require("CLAZAR_CLIENT_SECRET", "the client secret of the Clazar API")?;
        let timeout = Duration::from_millis(vars.number("CLAZAR_TIMEOUT_MS", 30_000)?);
        let (name, address, credentials) = ("Clazar", "CLAZAR_API_URL", CREDENTIALS);
        let endpoint = TokenEndpoint { name, url: authenticate, address, credentials };
        let tokens = Tokens::new(endpoint, move |call: Call<'_>| {
            let (id, secret) = (client_id.expose_secret(), client_secret.expose_secret());
            let call = call.json(&json!({"client_id": id, "client_secret": secret}));
            Ok(call.hiding([&client_secret]).within(timeout))
        });
        Ok(Self {
            peer: Peer::from_vars(vars)?,
            metering,
            tokens,
            timeout,
            requests: AtomicU64::new(0),
            latency_ms: AtomicU64::new(0),
        })
    }

    /// Makes sure that there is a token: before anything is recorded as sent.
    pub(crate) async fn authenticate(&self) -> Result<(), ClazarError> {
        self.peer.attempts(|| self.tokens.token(&self.peer)).await?;
        Ok(())
    }

    /// Requests since the last call, and how long the average one took.
    pub(crate) fn latency(&self) -> (u64, u64) {
        let requests = self.requests.swap(0, Ordering::Relaxed);
        (requests, self.latency_ms.swap(0, Ordering::Relaxed) / requests.max(1))
    }

    /// Sends a request, again after what may pass, and says how it ended.
    pub(crate) async fn submit(&self, request: &MeteringRequest) -> Submitted {
        let call = Call::post(&ClazarApi, self.metering.clone()).named(shown(&self.metering));
        let call = call.json(request).with(&self.tokens).within(self.timeout);
        let maybe_accepted = AtomicBool::new(false);
        let attempt = async || {
            let started = Instant::now();
            let answer = self.peer.ask_once(&call).await;
            self.requests.fetch_add(1, Ordering::Relaxed);
            let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.latency_ms.fetch_add(took, Ordering::Relaxed);
            if answer.as_ref().is_err_and(PeerError::may_be_done) {
                maybe_accepted.store(true, Ordering::Relaxed);
            }
            answer
        };
        let answer = self.peer.attempts(attempt).await;
        let ambiguous = maybe_accepted.load(Ordering::Relaxed);
        match answer {
            Ok(answer) => Submitted::Answered { status: answer.status, body: answer.body, ambiguous },
            Err(error) if ambiguous => Submitted::Unknown(error),
            Err(error) => Submitted::NotSent(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use aws_smithy_runtime_api::client::http::SharedHttpClient;
    use billing::ids::{ContractId, Dimension};
    use billing::metering::{Line, Marketplace};
    use cloud::http::{BoxError, Service};
    use cloud::peer::Fault;
    use cloud::vars::InProcess;
    use futures::future::BoxFuture;

    use super::*;

    /// How the service answers a request for metering, in turn, the last for ever; `None` breaks the connection.
    type Answers = VecDeque<Option<(u16, &'static str)>>;

    /// The service in this process. It gives the tokens `t1`, `t2` and so on, and notes what was asked.
    #[derive(Clone)]
    struct Server {
        answers: Arc<Mutex<Answers>>,
        asked: Arc<Mutex<Vec<String>>>,
        admits: bool,
    }

    impl InProcess for Server {
        fn client(&self, _: &str) -> Option<SharedHttpClient> {
            None
        }

        fn service(&self, _: &str) -> Option<Arc<dyn Service>> {
            Some(Arc::new(self.clone()))
        }
    }

    impl Service for Server {
        fn answer(
            &self,
            request: http::Request<reqwest::Body>,
        ) -> BoxFuture<'static, Result<http::Response<reqwest::Body>, BoxError>> {
            let token = request.headers().get("authorization").and_then(|value| value.to_str().ok());
            let path = request.uri().path().to_owned();
            self.asked.lock().unwrap().push(format!("{path} {}", token.unwrap_or("-")));
            let answer = if path.ends_with("/authenticate/") { Some(self.token()) } else { self.next() };
            Box::pin(async move {
                let (status, body) = answer.ok_or("the line broke")?;
                let answer =
                    http::Response::builder().status(status).header("content-type", "application/json");
                Ok(answer.body(body.into())?)
            })
        }
    }

    impl Server {
        fn new(answers: impl IntoIterator<Item = Option<(u16, &'static str)>>) -> Self {
            let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
            Self { answers, asked: Arc::default(), admits: true }
        }

        fn next(&self) -> Option<(u16, String)> {
            let mut answers = self.answers.lock().unwrap();
            let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() };
            next.unwrap().map(|(status, body)| (status, body.to_owned()))
        }

        fn token(&self) -> (u16, String) {
            let asked = self.asked.lock().unwrap();
            let number = asked.iter().filter(|asked| asked.contains("/authenticate/")).count();
            match self.admits {
                true => (200, format!(r#"{{"access_token": "t{number}"}}"#)),
                false => (400, r#"{"message": "planted is no secret of ours"}"#.to_owned()),
            }
        }

        async fn client(&self) -> Clazar {
            let vars = Vars::from_iter([
                ("CLAZAR_API_URL", "http://clazar.invalid/v1/metering"),
                ("CLAZAR_CLIENT_ID", "us"),
                ("CLAZAR_CLIENT_SECRET", "planted"),
                ("HTTP_ATTEMPTS", "3"),
                ("HTTP_BACKOFF_MS", "1"),
                ("AWS_REGION", "us-east-1"),
            ]);
            let vars = vars.within(Arc::new(self.clone()));
            Clazar::connect(&vars, &Aws::connect(&vars).await.unwrap()).await.unwrap()
        }

        async fn submit(&self) -> Submitted {
            let clazar = self.client().await;
            clazar.authenticate().await.unwrap();
            clazar.submit(&request()).await
        }

        fn asked(&self) -> Vec<String> {
            self.asked.lock().unwrap().clone()
        }
    }

    fn request() -> MeteringRequest {
        let line =
            Line { contract: ContractId::new("c1").unwrap(), dimension: Dimension::new("cpu").unwrap() };
        MeteringRequest::of(Marketplace::Aws, "2026-10".parse().unwrap(), [(&line, "5".parse().unwrap())])
    }

    const DONE: (u16, &str) = (200, r#"{"results": []}"#);

    #[tokio::test]
    async fn one_token_opens_all_requests_and_stands_beside_them() {
        let server = Server::new([Some(DONE)]);
        let clazar = server.client().await;
        for _ in 0..2 {
            clazar.authenticate().await.unwrap();
            clazar.submit(&request()).await;
        }
        let metering = "/v1/metering/ Bearer t1";
        assert_eq!(server.asked(), ["/v1/authenticate/ -", metering, metering]);
        assert_eq!(clazar.latency().0, 2);
        assert_eq!(clazar.latency().0, 0, "those since the last look");
    }

    #[tokio::test]
    async fn a_token_that_is_refused_is_renewed_and_the_request_certainly_did_nothing_before() {
        let server = Server::new([Some((401, "{}")), Some(DONE)]);
        let answer = server.submit().await;
        assert!(matches!(answer, Submitted::Answered { status: 200, ambiguous: false, .. }), "{answer:?}");
        assert_eq!(server.asked().last().unwrap(), "/v1/metering/ Bearer t2");
    }

    #[tokio::test]
    async fn an_answer_after_one_that_was_lost_may_be_about_our_own_record() {
        for lost in [None, Some((500, "{}")), Some((503, "{}"))] {
            let answer = Server::new([lost, Some(DONE)]).submit().await;
            assert!(matches!(answer, Submitted::Answered { ambiguous: true, .. }), "{lost:?}: {answer:?}");
        }
        // nothing is done by whoever asks to slow down
        let answer = Server::new([Some((429, "{}")), Some(DONE)]).submit().await;
        assert!(matches!(answer, Submitted::Answered { ambiguous: false, .. }), "{answer:?}");
    }

    #[tokio::test]
    async fn a_request_without_an_answer_may_have_arrived() {
        for (lost, fault) in [(None, Fault::NoAnswer), (Some((500, "{}")), Fault::Server)] {
            let server = Server::new([lost]);
            match server.submit().await {
                Submitted::Unknown(error) => assert_eq!(error.fault, fault),
                other => panic!("{other:?}"),
            }
            assert_eq!(server.asked().len(), 1 + 3, "a token and three attempts");
        }
    }

    #[tokio::test]
    async fn a_request_that_was_refused_as_such_did_nothing() {
        for (status, fault) in [(401, Fault::Credentials), (404, Fault::NotFound), (429, Fault::Throttled)] {
            match Server::new([Some((status, "{}"))]).submit().await {
                Submitted::NotSent(error) => assert_eq!(error.fault, fault),
                other => panic!("{status}: {other:?}"),
            }
        }
        // what is said of records is for whoever knows them
        let answer = Server::new([Some((400, r#"{"results": []}"#))]).submit().await;
        assert!(matches!(answer, Submitted::Answered { status: 400, ambiguous: false, .. }), "{answer:?}");
    }

    #[tokio::test]
    async fn credentials_that_are_refused_end_it_before_anything_is_sent_and_are_not_shown() {
        let server = Server { admits: false, ..Server::new([Some(DONE)]) };
        let error = server.client().await.authenticate().await.unwrap_err().to_string();
        assert!(error.contains("CLAZAR_CLIENT_SECRET") && !error.contains("planted"), "{error}");
        assert!(server.asked().iter().all(|asked| asked == "/v1/authenticate/ -"), "{:?}", server.asked());
    }
}
