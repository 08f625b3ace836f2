//! Who may ask: tokens for one resource each, by client credentials.

use std::collections::HashMap;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::error;
use crate::sandbox::AZURE_CREDENTIALS;
use crate::sandbox::access::bearer;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Management,
    Storage,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Access {
    tokens: HashMap<String, Resource>,
    given: u64,
}

impl Access {
    /// All tokens end.
    pub(super) fn end_tokens(&mut self) {
        self.tokens.clear();
    }

    /// `POST /{tenant}/oauth2/v2.0/token`.
    pub(super) fn sign_in(&mut self, tenant: &str, form: &[u8]) -> Response {
        let [(_, known_tenant), (_, id), (_, secret)] = AZURE_CREDENTIALS;
        let form: HashMap<_, _> = form_urlencoded::parse(form).into_owned().collect();
        let said = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if tenant != known_tenant {
            return refuse(400, "invalid_request", 90002, &format!("Tenant '{tenant}' not found."));
        }
        if said("grant_type") != "client_credentials" {
            return refuse(400, "unsupported_grant_type", 70003, "The grant type is not supported.");
        }
        if (said("client_id"), said("client_secret")) != (id, secret) {
            return refuse(401, "invalid_client", 7_000_215, "Invalid client secret provided.");
        }
        let resource = match said("scope") {
            "https://management.azure.com/.default" => Resource::Management,
            "https://storage.azure.com/.default" => Resource::Storage,
            _ => return refuse(400, "invalid_scope", 70011, "The provided value for scope is not valid."),
        };
        self.given += 1;
        let token = format!("eyJ0eXAiOiJKV1QifQ.sandbox.{}", self.given);
        self.tokens.insert(token.clone(), resource);
        let body = json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token});
        axum::Json(body).into_response()
    }

    /// Nothing if the request may pass.
    pub(super) fn check(&self, headers: &HeaderMap, resource: Resource) -> Option<Response> {
        if self.tokens.get(bearer(headers)) == Some(&resource) {
            return None;
        }
        let challenge =
            "Bearer authorization_uri=\"https://login.microsoftonline.com/\", error=\"invalid_token\"";
        let mut response = error(
            StatusCode::UNAUTHORIZED,
            "ExpiredAuthenticationToken",
            "The access token expiry UTC time is earlier than current UTC time.",
        );
        if let Ok(challenge) = challenge.parse() {
            response.headers_mut().insert("www-authenticate", challenge);
        }
        Some(response)
    }
}

fn refuse(status: u16, code: &str, number: u32, why: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let trace = "00000003-1111-4222-8333-000000000003";
    let body = json!({
        "error": code,
        "error_description": format!("AADSTS{number}: {why}\r\nTrace ID: {trace}\r\nTimestamp: 2025-07-05 06:00:00Z"),
        "error_codes": [number],
        "trace_id": trace,
    });
    (status, axum::Json(body)).into_response()
}
