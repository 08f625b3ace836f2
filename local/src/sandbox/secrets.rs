//! Secrets Manager, as far as it is needed: the credentials of the sandbox providers, to read, and the password of the console's admin,
//! which is kept in the home.

use std::path::PathBuf;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use serde_json::{Value, json};

use super::access::header;
use super::{
    ATLAS_CREDENTIALS, AZURE_CREDENTIALS, CCX_CREDENTIALS, CLAZAR_CREDENTIALS, GcpSandbox,
    PROMETHEUS_CREDENTIALS, VAULT_CREDENTIALS,
};
use crate::credentials::Credentials;
use crate::files;
use crate::signature::{self, Refusal};

/// A secret has 64 KB at most.
const LARGEST_BODY: usize = 256 * 1024;

/// The secret with the sandbox's Atlas credentials.
pub const ATLAS_SECRET_ARN: &str =
    "arn:aws:secretsmanager:us-east-1:000000000000:secret:monthend/atlas-AbCdEf";

/// The secret with the sandbox's Clazar credentials.
pub const CLAZAR_SECRET_ARN: &str =
    "arn:aws:secretsmanager:us-east-1:000000000000:secret:monthend/clazar-AbCdEf";

/// The secret with the sandbox's CCX credentials.
pub const CCX_SECRET_ARN: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:monthend/ccx-AbCdEf";

/// The secret with the sandbox's Prometheus credentials.
pub const PROMETHEUS_SECRET_ARN: &str =
    "arn:aws:secretsmanager:us-east-1:000000000000:secret:monthend/prometheus-AbCdEf";

/// The secret with the key of the sandbox of Google Cloud.
pub const GCP_SECRET_ARN: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:monthend/gcp-AbCdEf";

/// The secret with the sandbox's Azure credentials.
pub const AZURE_SECRET_ARN: &str =
    "arn:aws:secretsmanager:us-east-1:000000000000:secret:monthend/azure-AbCdEf";

/// The secret with what opens the sandbox of Vault.
pub const VAULT_SECRET_ARN: &str =
    "arn:aws:secretsmanager:us-east-1:000000000000:secret:monthend/vault-AbCdEf";

/// The secret with the admin's password.
pub const ADMIN_SECRET_ARN: &str =
    "arn:aws:secretsmanager:us-east-1:000000000000:secret:admin-basic-auth-AbCdEf";

/// The service; `admin` is the file with the admin's secret.
pub(crate) fn router(admin: PathBuf, credentials: Credentials) -> Router {
    Router::new().route("/", post(answer)).layer(Extension(credentials)).with_state(admin)
}

async fn answer(
    State(admin): State<PathBuf>,
    Extension(credentials): Extension<Credentials>,
    request: Request,
) -> Response {
    let signed = signature::signed_body(&credentials, request, "secretsmanager", LARGEST_BODY).await;
    let (headers, body) = match signed {
        Ok(signed) => signed,
        Err(Refusal(status, kind, message)) => {
            return amz_json(status, &json!({"__type": kind, "Message": message}));
        }
    };
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let is_admin = matches!(request["SecretId"].as_str(), Some(ADMIN_SECRET_ARN | "admin-basic-auth"));
    match (header(&headers, "x-amz-target").unwrap_or_default(), is_admin) {
        ("secretsmanager.GetSecretValue", true) => {
            // an empty secret until somebody sets a password
            let secret = std::fs::read_to_string(&admin).unwrap_or_else(|_| "{}".into());
            return found(ADMIN_SECRET_ARN, "admin-basic-auth", &secret);
        }
        ("secretsmanager.GetSecretValue", false) => {}
        ("secretsmanager.PutSecretValue", true) => {
            let secret = request["SecretString"].as_str().unwrap_or_default();
            return match files::replace(&admin, secret.as_bytes()) {
                Ok(()) => found(ADMIN_SECRET_ARN, "admin-basic-auth", ""),
                Err(error) => refuse("InternalServiceError", &error.to_string()),
            };
        }
        _ => {
            return refuse(
                "UnknownOperationException",
                "only GetSecretValue is here, and PutSecretValue for admin-basic-auth",
            );
        }
    }
    let asked = request["SecretId"].as_str().unwrap_or_default();
    let login = (VAULT_SECRET_ARN, "monthend/vault", texts(&VAULT_CREDENTIALS));
    let found_there =
        of_providers().into_iter().chain([login]).find(|(arn, name, _)| [*arn, *name].contains(&asked));
    match found_there {
        Some((arn, name, secret)) => found(arn, name, &secret.to_string()),
        None => refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
    }
}

/// The credentials of the sandbox providers: ARN, name and document of each secret.
pub(super) fn of_providers() -> [(&'static str, &'static str, Value); 6] {
    let gcp = json!({"GCP_SERVICE_ACCOUNT_KEY": GcpSandbox::service_account_key()});
    [
        (ATLAS_SECRET_ARN, "monthend/atlas", texts(&ATLAS_CREDENTIALS)),
        (CLAZAR_SECRET_ARN, "monthend/clazar", texts(&CLAZAR_CREDENTIALS)),
        (AZURE_SECRET_ARN, "monthend/azure", texts(&AZURE_CREDENTIALS)),
        (CCX_SECRET_ARN, "monthend/ccx", texts(&CCX_CREDENTIALS)),
        (PROMETHEUS_SECRET_ARN, "monthend/prometheus", texts(&PROMETHEUS_CREDENTIALS)),
        (GCP_SECRET_ARN, "monthend/gcp", gcp),
    ]
}

fn texts(members: &[(&str, &str)]) -> Value {
    Value::Object(members.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect())
}

fn found(arn: &str, name: &str, secret: &str) -> Response {
    let secret = json!({
        "ARN": arn,
        "Name": name,
        "SecretString": secret,
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
