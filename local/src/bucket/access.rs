//! Who may ask: whoever has signed the request, all of it that counts, with the key of the home.

use http::{HeaderMap, Uri};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

use crate::credentials::Credentials;

/// The one pair of keys that there is.
pub(crate) struct OneKey(pub(crate) Credentials);

#[async_trait::async_trait]
impl S3Auth for OneKey {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.0.access_key_id {
            return Ok(self.0.secret_access_key.clone().into());
        }
        Err(s3_error!(InvalidAccessKeyId, "this is not the access key of this home: `monthend env` says it"))
    }
}

/// Refuses requests without a signature, and headers that somebody has added to a signed one.
pub(crate) struct AllSigned;

#[async_trait::async_trait]
impl S3Access for AllSigned {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "requests must be signed: `monthend env` says the keys"));
        }
        let Some(signed) = signed_headers(context.uri(), context.headers()) else { return Ok(()) };
        let counts = |name: &&str| name.starts_with("x-amz-") && *name != "x-amz-content-sha256";
        let mut counted = context.headers().keys().map(http::HeaderName::as_str).filter(counts);
        match counted.find(|name| !signed.iter().any(|signed| signed == name)) {
            Some(name) => Err(s3_error!(AccessDenied, "the header {name} is not signed")),
            None => Ok(()),
        }
    }
}

/// The names of the headers that the signature is about; nothing for a signature of the older kind, which is about all of them.
fn signed_headers(uri: &Uri, headers: &HeaderMap) -> Option<Vec<String>> {
    let names = |text: &str| text.split(';').map(|name| name.trim().to_ascii_lowercase()).collect::<Vec<_>>();
    let header = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(header) = header {
        return header.split("SignedHeaders=").nth(1)?.split(',').next().map(names);
    }
    let mut query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let stated = query.find(|(name, _)| name.eq_ignore_ascii_case("x-amz-signedheaders"));
    stated.map(|(_, text)| names(&text))
}
