//! Signature Version 4, checked as AWS does: the signature is made again from the request and the secret that belongs to the key.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use billing::revision::sha256_hex;
use chrono::{NaiveDateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::REGION;
use crate::credentials::Credentials;

/// How far the clock of a request may be off.
const LONGEST_SKEW_MINUTES: i64 = 15;

/// An error as AWS answers it: status, type and message.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) StatusCode, pub(crate) &'static str, pub(crate) String);

/// The parts of the header `Authorization`.
struct Authorization<'h> {
    key: &'h str,
    date: &'h str,
    region: &'h str,
    service: &'h str,
    signed_headers: &'h str,
    signature: &'h str,
}

/// How long a body may take.
const BODY: Duration = Duration::from_secs(30);

/// The head and the body of a POST to a path, if it is signed for that service with these credentials. Of one that names another key, the body
/// is not even read.
pub(crate) async fn signed_body(
    credentials: &Credentials,
    request: Request,
    service: &str,
    largest: usize,
) -> Result<(HeaderMap, Bytes), Refusal> {
    let (parts, body) = request.into_parts();
    authorization(credentials, &parts.headers)?;
    let read = tokio::time::timeout(BODY, axum::body::to_bytes(body, largest)).await;
    let body = read.ok().and_then(Result::ok).ok_or_else(|| {
        let message = format!("The body did not come, or has more than {largest} bytes.");
        Refusal(StatusCode::BAD_REQUEST, "SerializationException", message)
    })?;
    verify(credentials, &parts.headers, &body, service, parts.uri.path())?;
    Ok((parts.headers, body))
}

/// What the request says of who signs it, which is whoever has these credentials.
fn authorization<'h>(
    credentials: &Credentials,
    headers: &'h HeaderMap,
) -> Result<Authorization<'h>, Refusal> {
    let header = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    match parse(header) {
        Some(authorization) if authorization.key == credentials.access_key_id => Ok(authorization),
        Some(_) => {
            let message = "The security token included in the request is invalid.".to_owned();
            Err(Refusal(StatusCode::BAD_REQUEST, "UnrecognizedClientException", message))
        }
        None => {
            let message = "Missing Authentication Token".to_owned();
            Err(Refusal(StatusCode::FORBIDDEN, "MissingAuthenticationTokenException", message))
        }
    }
}

/// Whether a POST to a path is signed for that service with these credentials.
pub(crate) fn verify(
    credentials: &Credentials,
    headers: &HeaderMap,
    body: &[u8],
    service: &str,
    path: &str,
) -> Result<(), Refusal> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let authorization = authorization(credentials, headers)?;
    let invalid = |message: String| Refusal(StatusCode::FORBIDDEN, "InvalidSignatureException", message);
    if (authorization.region, authorization.service) != (REGION, service) {
        let (region, given) = (authorization.region, authorization.service);
        return Err(invalid(format!(
            "Credential should be scoped to {REGION} and {service}, not {region} and {given}"
        )));
    }
    let time = header("x-amz-date");
    let moment = NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%SZ").map(|time| time.and_utc());
    let is_now = moment.is_ok_and(|moment| (Utc::now() - moment).num_minutes().abs() <= LONGEST_SKEW_MINUTES);
    if !is_now || !time.starts_with(authorization.date) {
        return Err(invalid("Signature expired".to_owned()));
    }
    let names: Vec<&str> = authorization.signed_headers.split(';').collect();
    let needed = ["host", "x-amz-date"]
        .into_iter()
        .chain(headers.contains_key("x-amz-target").then_some("x-amz-target"));
    if let Some(unsigned) = needed.into_iter().find(|name| !names.contains(name)) {
        return Err(invalid(format!("{unsigned} must be signed")));
    }
    let lines: String = names.iter().map(|name| format!("{name}:{}\n", header(name).trim())).collect();
    let request = format!("POST\n{path}\n\n{lines}\n{}\n{}", authorization.signed_headers, sha256_hex(body));
    let scope = format!("{}/{REGION}/{service}/aws4_request", authorization.date);
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256_hex(request.as_bytes()));
    let mut mac = keyed(&key(credentials, authorization.date, service));
    mac.update(text.as_bytes());
    // in constant time
    if unhex(authorization.signature).is_some_and(|given| mac.verify_slice(&given).is_ok()) {
        return Ok(());
    }
    Err(invalid("The request signature we calculated does not match the signature you provided.".to_owned()))
}

/// `AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/ce/aws4_request, SignedHeaders=a;b, Signature=0123...`
fn parse(header: &str) -> Option<Authorization<'_>> {
    let fields = header.strip_prefix("AWS4-HMAC-SHA256 ")?;
    let field =
        |name: &str| fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
    let mut scope = field("Credential")?.splitn(5, '/');
    let [key, date, region, service] = [scope.next()?, scope.next()?, scope.next()?, scope.next()?];
    (scope.next()? == "aws4_request").then_some(())?;
    let (signed_headers, signature) = (field("SignedHeaders")?, field("Signature")?);
    Some(Authorization { key, date, region, service, signed_headers, signature })
}

/// The key of a day, region and service.
fn key(credentials: &Credentials, date: &str, service: &str) -> Vec<u8> {
    let secret = format!("AWS4{}", credentials.secret_access_key).into_bytes();
    [date, REGION, service, "aws4_request"].iter().fold(secret, |key, part| {
        let mut mac = keyed(&key);
        mac.update(part.as_bytes());
        mac.finalize().into_bytes().to_vec()
    })
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length
    Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!("a key of any length is one"))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
