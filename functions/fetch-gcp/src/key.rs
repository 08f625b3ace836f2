//! The key file of a service account, and the assertions that it signs (RFC 7523).

use chrono::{DateTime, Utc};
use cloud::peer::{Call, Fault, PeerError, TokenEndpoint, Tokens};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

/// What BigQuery's jobs.query and getQueryResults accept; `bigquery.readonly` is not among them.
const SCOPE: &str = "https://www.googleapis.com/auth/bigquery";
/// Where Google gives tokens for assertions, unless the key file says otherwise.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// The longest that Google takes.
const LIFETIME_S: i64 = 3600;

/// A service account with its private key.
pub(crate) struct ServiceAccountKey {
    client_email: String,
    private_key_id: Option<String>,
    private_key: EncodingKey,
    /// Whom assertions are for, as the key file says it.
    pub(crate) token_uri: Url,
}

/// A secret that is no key file. What it says is never quoted: it may hold the private key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    #[error(
        "GCP_SERVICE_ACCOUNT_KEY is no JSON key file of a service account (line {line}, column {column}): put the whole \
         file there, as it was downloaded"
    )]
    Json { line: usize, column: usize },
    #[error(
        "GCP_SERVICE_ACCOUNT_KEY has no usable {0}: put the whole key file of a service account there, as it was downloaded"
    )]
    Member(&'static str),
    #[error(
        "the assertion cannot be signed with the private_key in GCP_SERVICE_ACCOUNT_KEY: is it an RSA key?"
    )]
    Signature,
}

#[derive(Deserialize)]
struct KeyFile {
    #[serde(rename = "type")]
    kind: Option<String>,
    client_email: Option<String>,
    private_key_id: Option<String>,
    private_key: Option<SecretString>,
    token_uri: Option<String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'static str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

impl ServiceAccountKey {
    /// Reads a key file.
    pub(crate) fn parse(text: &SecretString) -> Result<Self, InvalidKey> {
        let file: KeyFile = serde_json::from_str(text.expose_secret())
            .map_err(|error| InvalidKey::Json { line: error.line(), column: error.column() })?;
        if file.kind.is_some_and(|kind| kind != "service_account") {
            return Err(InvalidKey::Member("type: it must be service_account"));
        }
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let client_email = filled(file.client_email).ok_or(InvalidKey::Member("client_email"))?;
        let pem = file.private_key.ok_or(InvalidKey::Member("private_key"))?;
        let private_key = EncodingKey::from_rsa_pem(pem.expose_secret().as_bytes())
            .map_err(|_| InvalidKey::Member("private_key: it must be an RSA key, PKCS #8 in PEM"))?;
        let token_uri = filled(file.token_uri).unwrap_or_else(|| TOKEN_URI.to_owned());
        let token_uri = Url::parse(&token_uri).map_err(|_| InvalidKey::Member("token_uri"))?;
        Ok(Self { client_email, private_key_id: filled(file.private_key_id), private_key, token_uri })
    }

    /// An assertion that asks for a token.
    pub(crate) fn assertion(&self, now: DateTime<Utc>) -> Result<SecretString, InvalidKey> {
        let header = Header { kid: self.private_key_id.clone(), ..Header::new(Algorithm::RS256) };
        let iat = now.timestamp();
        let aud = self.token_uri.as_str();
        let claims = Claims { iss: &self.client_email, scope: SCOPE, aud, iat, exp: iat + LIFETIME_S };
        let signed = jsonwebtoken::encode(&header, &claims, &self.private_key);
        signed.map(SecretString::from).map_err(|_| InvalidKey::Signature)
    }
}

/// Tokens for this key, asked for at this place.
pub(crate) fn tokens(key: ServiceAccountKey, url: Url) -> Tokens {
    let endpoint = TokenEndpoint {
        name: "Google",
        url,
        address: "GCP_TOKEN_URL",
        credentials: "GCP_SERVICE_ACCOUNT_KEY; was the key deleted or disabled, is this machine's clock right",
    };
    Tokens::new(endpoint, move |call: Call<'_>| {
        // whoever checks it goes by the clock, not by the time of the schedule
        let assertion = key.assertion(Utc::now());
        let assertion =
            assertion.map_err(|error| PeerError::new(Fault::Credentials, error.to_string(), ""))?;
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion.expose_secret()),
        ];
        Ok(call.form(form).hiding([&assertion]))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rsa::{KeyPair, KeySize, PublicKeyComponents};
    use aws_lc_rs::signature::KeyPair as _;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use jsonwebtoken::{DecodingKey, Validation};
    use serde_json::{Value, json};

    use super::*;

    /// A key pair of this run: its private half as PEM, its public half.
    pub(crate) fn pair() -> (String, DecodingKey) {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(der.as_ref())
        );
        let public: PublicKeyComponents<Vec<u8>> = pair.public_key().into();
        let [n, e] = [public.n, public.e].map(|part| URL_SAFE_NO_PAD.encode(part));
        (pem, DecodingKey::from_rsa_components(&n, &e).unwrap())
    }

    pub(crate) fn file(pem: &str) -> Value {
        json!({
            "type": "service_account", "client_email": "monthend@p.iam.gserviceaccount.com",
            "private_key_id": "k1", "private_key": pem, "token_uri": TOKEN_URI,
        })
    }

    fn parse(file: &Value) -> Result<ServiceAccountKey, InvalidKey> {
        ServiceAccountKey::parse(&file.to_string().into())
    }

    #[test]
    fn an_assertion_is_what_google_asks_for() {
        let (pem, public) = pair();
        let key = parse(&file(&pem)).unwrap();
        let now = Utc::now();
        let assertion = key.assertion(now).unwrap();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[TOKEN_URI]);
        let token = jsonwebtoken::decode::<Value>(assertion.expose_secret(), &public, &validation).unwrap();
        assert_eq!((token.header.kid.as_deref(), token.header.typ.as_deref()), (Some("k1"), Some("JWT")));
        let expected = json!({
            "iss": "monthend@p.iam.gserviceaccount.com", "scope": SCOPE, "aud": TOKEN_URI,
            "iat": now.timestamp(), "exp": now.timestamp() + 3600,
        });
        assert_eq!(token.claims, expected);
    }

    #[test]
    fn what_is_no_key_file_is_named_and_never_quoted() {
        let (pem, _) = pair();
        let broken = |change: fn(&mut Value)| {
            let mut file = file(&pem);
            change(&mut file);
            parse(&file).err().unwrap().to_string()
        };
        for (change, part) in [
            (
                (|file| file["type"] = json!("authorized_user")) as fn(&mut Value),
                "no usable type: it must be",
            ),
            (|file| file["client_email"] = json!(" "), "no usable client_email"),
            (|file| file["private_key"] = Value::Null, "no usable private_key"),
            (|file| file["private_key"] = json!("hunter2"), "it must be an RSA key, PKCS #8 in PEM"),
            (|file| file["token_uri"] = json!("token"), "no usable token_uri"),
            (|file| *file = json!("hunter2"), "is no JSON key file of a service account (line 1"),
        ] {
            let message = broken(change);
            assert!(message.contains(part) && !message.contains("hunter2"), "{message}");
        }
        let without = parse(&json!({"client_email": "a@b", "private_key": pem})).unwrap();
        assert_eq!(without.token_uri.as_str(), TOKEN_URI);
    }
}
