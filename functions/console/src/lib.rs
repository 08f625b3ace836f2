//! The console: the report API and the admin pages, over HTTP.
//!
//! On AWS it stands behind a Function URL, on a laptop `monthend up` serves the same router.
//!
//! | variable | meaning |
//! |---|---|
//! | `DATA_BUCKET`, `STATE_TABLE` | the data bucket and the ledger's table |
//! | `ADMIN_SECRET_ARN` | the secret with `ADMIN_PASSWORD_HASH` (Argon2, as `monthend admin set-password` writes it) and `SESSION_KEY`; with `SECRETS=env` these are variables, with `SECRETS=vault` it stands at `ADMIN_VAULT_PATH`, see [`cloud::secrets`] |
//! | `RETENTION_PERIOD` | how long deleted datastores are reported, default `6 months` |
//! | `EVENT_TOLERANCE` | how far apart events of datastores may be that crossed on their way, default `2 s` |
//! | `OIDC_ISSUER`, `OIDC_AUDIENCE` | whose tokens are accepted, and for whom they must be made; none without |
//! | `OIDC_JWKS_URL` | the issuer's keys, default `{OIDC_ISSUER}/.well-known/jwks.json` |
//! | `OIDC_ROLES_CLAIM`, `OIDC_ADMIN_ROLE` | the claim with the roles, default `roles`, and the one that is needed, default `admin` |

mod api;
mod assets;
mod auth;
mod failure;
mod lambda;
mod pages;
mod security;

use std::sync::Arc;

use axum::middleware::{from_fn, map_response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use billing::usage::Retention;
use cloud::aws::Aws;
use cloud::bucket::BucketReader;
use cloud::datastores::Datastores;
use cloud::http::{ClientError, InvalidBaseUrl};
use cloud::ledger::Ledger;
use cloud::vars::{VarError, Vars};

use crate::api::Spelling;
use crate::auth::{AdminPassword, Bearer, Throttle};

pub use auth::{PasswordHashError, admin_secret};
pub use lambda::{InvokeError, invoke, whole_or_nothing};

/// The name of the function.
pub const NAME: &str = "console";

/// The function with its clients.
pub struct App {
    datastores: Datastores,
    password: AdminPassword,
    bearer: Option<Arc<Bearer>>,
    throttle: Throttle,
    retention: Retention,
}

/// Why it cannot start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each wraps one error that says it all")]
pub enum StartError {
    #[error(transparent)]
    Var(#[from] VarError),
    #[error(transparent)]
    BaseUrl(#[from] InvalidBaseUrl),
    #[error(transparent)]
    Http(#[from] ClientError),
}

impl App {
    /// Reads the configuration and builds the clients. Secrets and keys are read when they are first needed, and again from time to time.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn connect(vars: &Vars) -> Result<Self, StartError> {
        let bucket = vars.require("DATA_BUCKET", "the name of the data bucket")?;
        let table = vars.require("STATE_TABLE", "the name of the ledger's table")?;
        let retention = vars.parsed("RETENTION_PERIOD", Retention::default())?;
        let aws = Aws::connect(vars).await?;
        Ok(Self {
            datastores: Datastores::new(BucketReader::new(&aws, bucket, "DATA_BUCKET")).tolerant(vars)?,
            throttle: Throttle::new(Ledger::new(&aws, table)),
            password: AdminPassword::new(vars.clone(), aws),
            bearer: Bearer::from_vars(vars)?.map(Arc::new),
            retention,
        })
    }
}

/// Everything that the console answers to.
pub fn router(app: App) -> Router {
    let report = |spelling| get(api::usage_report).layer(Extension(spelling));
    Router::new()
        .route("/", get(pages::home))
        .route("/auth/admin/", get(pages::admin))
        .route("/auth/admin/sign-in", get(pages::sign_in_form).post(pages::sign_in))
        .route("/auth/admin/sign-out", post(pages::sign_out))
        .route("/auth/admin/billing-report", get(pages::billing_report))
        .route("/auth/admin/billing-report/download", get(pages::download))
        .route("/auth/admin/assets/{name}", get(assets::asset))
        .route("/api/admin/datastores/billing/{format}", report(Spelling::StartAndEnd))
        .route("/api/admin/datastores/billing/usage/{format}", report(Spelling::FromAndTo))
        .route("/api/openapi.json", get(api::open_api))
        .fallback(failure::not_found)
        .method_not_allowed_fallback(failure::method_not_allowed)
        .layer(from_fn(security::log))
        .layer(map_response(security::headers))
        .with_state(Arc::new(app))
}
