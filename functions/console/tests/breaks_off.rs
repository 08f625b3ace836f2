//! The program that runs on Lambda, when the source of a report breaks off: its reader must not take the beginning for the whole.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::convert::Infallible;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use futures::stream::{StreamExt as _, iter};
use http_body_util::BodyExt as _;
use secrecy::SecretString;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const PASSWORD: &str = "correct horse battery staple";
const LINE: &str = "{\"datastore\":\"d\",\"customer_id\":\"c\",\"events\":[{\"time\":\"2026-10-01T00:00:00Z\",\"type\":\"datastore.created\",\
                    \"event_id\":\"e\",\"datastore_type\":\"t\",\"vendor\":\"v\"}]}\n";

/// So many that a good part of the report is sent before the source breaks off.
const LINES: usize = 20_000;

/// What came of an answer: its bytes, and whether it was ended as if it were whole.
struct Answer {
    text: String,
    is_whole: bool,
}

/// Lambda's runtime API, S3 and DynamoDB in one: just enough for one report.
#[derive(Clone)]
struct Outside {
    /// Whether the base breaks off half-way.
    breaks: bool,
    answers: UnboundedSender<Answer>,
    /// One event; after it, nobody asks any more.
    asked: Arc<Mutex<bool>>,
}

async fn outside(State(outside): State<Outside>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    match path.as_str() {
        "/2018-06-01/runtime/invocation/next" => outside.next().await,
        _ if path.starts_with("/2018-06-01/runtime/") => outside.take(request).await,
        "/" => plain("{}"), // DynamoDB: nobody has failed yet
        _ if query.contains("list-type=2") => {
            plain("<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated></ListBucketResult>")
        }
        _ if path.ends_with("current.json") => plain(
            &json!({"generation": 1, "base": "base", "datastores": 2, "events": 2, "purged_before": ""})
                .to_string(),
        ),
        _ => outside.base(),
    }
}

fn plain(text: &str) -> Response<Body> {
    Response::new(Body::from(text.to_owned()))
}

impl Outside {
    async fn next(&self) -> Response<Body> {
        if std::mem::replace(&mut *self.asked.lock().await, true) {
            std::future::pending::<()>().await;
        }
        let mut event: serde_json::Value =
            serde_json::from_str(include_str!("../../../events/console-usage-report-csv.json")).unwrap();
        let credentials =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("admin:{PASSWORD}"));
        event["headers"]["authorization"] = json!(format!("Basic {credentials}"));
        Response::builder()
            .header("lambda-runtime-aws-request-id", "3f2b1c00-0000-4000-8000-000000000000")
            .header("lambda-runtime-deadline-ms", "4000000000000")
            .header(
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:us-east-1:000000000000:function:console",
            )
            .body(Body::from(event.to_string()))
            .unwrap()
    }

    async fn take(&self, request: Request) -> Response<Body> {
        let (mut bytes, mut is_whole, mut body) = (Vec::new(), true, request.into_body());
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(_) => is_whole = false,
            }
            if !is_whole {
                break;
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let _ = self.answers.send(Answer { text, is_whole });
        Response::builder().status(StatusCode::ACCEPTED).body(Body::empty()).unwrap()
    }

    /// All lines, or all but the last and then the end of the connection.
    fn base(&self) -> Response<Body> {
        let lines: Vec<String> =
            (0..LINES).map(|number| LINE.replace("\"d\"", &format!("\"{number:05}\""))).collect();
        let length: usize = lines.iter().map(String::len).sum();
        let sent = if self.breaks { LINES - 1 } else { LINES };
        let pieces: Vec<String> = lines[..sent].chunks(500).map(<[String]>::concat).collect();
        let pieces = iter(pieces).map(Ok::<_, Infallible>);
        Response::builder().header("content-length", length).body(Body::from_stream(pieces)).unwrap()
    }
}

async fn run(breaks: bool) -> (Answer, Option<i32>) {
    let (answers, mut answered): (_, UnboundedReceiver<Answer>) = unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let state = Outside { breaks, answers, asked: Arc::default() };
    let router = axum::Router::new().fallback(outside).with_state(state);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let secret = console::admin_secret(&SecretString::from(PASSWORD)).unwrap();
    let (url, text) = (format!("http://{address}"), |name: &str| secret[name].as_str().unwrap().to_owned());
    let mut function = Command::new(env!("CARGO_BIN_EXE_console"))
        .env_clear()
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", address.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", "console".into()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1".into()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".into()),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "s".into()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "g".into()),
            ("AWS_ENDPOINT_URL", url),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ACCESS_KEY_ID", "k".into()),
            ("AWS_SECRET_ACCESS_KEY", "s".into()),
            ("AWS_MAX_ATTEMPTS", "1".into()),
            ("DATA_BUCKET", "b".into()),
            ("STATE_TABLE", "t".into()),
            ("ADMIN_PASSWORD_HASH", text("ADMIN_PASSWORD_HASH")),
            ("SESSION_KEY", text("SESSION_KEY")),
        ])
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(60), answered.recv()).await.unwrap().unwrap();
    // one that goes on is looked at for a moment only
    let patience = Duration::from_millis(if breaks { 20_000 } else { 300 });
    let ended = tokio::time::timeout(patience, function.wait()).await;
    (answer, ended.ok().and_then(|status| status.unwrap().code()))
}

#[tokio::test]
async fn a_whole_report_ends_and_the_process_goes_on() {
    let (answer, ended) = run(false).await;
    assert!(answer.is_whole && answer.text.contains("\"statusCode\":200"));
    assert_eq!(answer.text.matches(",2026-10-01T00:00:00Z,").count(), LINES);
    assert_eq!(ended, None);
}

#[tokio::test]
async fn a_report_that_breaks_off_ends_the_process_and_never_looks_whole() {
    let (answer, ended) = run(true).await;
    let head: String = answer.text.chars().take(300).collect();
    assert!(!answer.is_whole && head.contains("\"statusCode\":200"), "{head}");
    assert!(!answer.text.contains("Error-Type"), "the error is not written into the report");
    assert_eq!(ended, Some(74));
}
