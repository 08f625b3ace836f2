//! Secrets Manager, as far as reading goes: the credentials of the sandbox providers.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{ATLAS_CREDENTIALS, CLAZAR_CREDENTIALS};
use crate::ACCESS_KEY;

/// The secret with the sandbox's Atlas credentials.
pub const ATLAS_SECRET_ARN: &str =
    "arn:aws:secretsmanager:us-east-1:000000000000:secret:monthend/atlas-AbCdEf";

/// The secret with the sandbox's Clazar credentials.
pub const CLAZAR_SECRET_ARN: &str =
    "arn:aws:secretsmanager:us-east-1:000000000000:secret:monthend/clazar-AbCdEf";

pub(crate) async fn serve(listener: TcpListener, stop: CancellationToken) {
    let router = Router::new().route("/", post(answer));
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!("the sandbox of Secrets Manager ended: {error}");
    }
}

async fn answer(headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !header("authorization").starts_with(&format!("AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/")) {
        return refuse(
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        );
    }
    if header("x-amz-target") != "secretsmanager.GetSecretValue" {
        return refuse("UnknownOperationException", "only GetSecretValue is here");
    }
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (arn, name, members): (_, _, &[(&str, &str)]) = match request["SecretId"].as_str() {
        Some(ATLAS_SECRET_ARN | "monthend/atlas") => (ATLAS_SECRET_ARN, "monthend/atlas", &ATLAS_CREDENTIALS),
        Some(CLAZAR_SECRET_ARN | "monthend/clazar") => {
            (CLAZAR_SECRET_ARN, "monthend/clazar", &CLAZAR_CREDENTIALS)
        }
        _ => return refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
    };
    let members = members.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
    let secret = json!({
        "ARN": arn,
        "Name": name,
        "SecretString": Value::Object(members.collect()).to_string(),
        "VersionId": "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE",
        "VersionStages": ["AWSCURRENT"],
    });
    amz_json(StatusCode::OK, &secret)
}

fn refuse(kind: &str, message: &str) -> Response {
    amz_json(StatusCode::BAD_REQUEST, &json!({"__type": kind, "Message": message}))
}

fn amz_json(status: StatusCode, body: &Value) -> Response {
    (status, [("content-type", "application/x-amz-json-1.1")], body.to_string()).into_response()
}
