//! Who asks: by password (Basic), by token (Bearer) or by the session cookie of the pages.

mod address;
mod bearer;
mod password;
mod session;
mod throttle;

use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::App;
use crate::security::asked_by;

pub(crate) use address::ClientAddress;
pub(crate) use bearer::Bearer;
pub(crate) use password::{AdminPassword, AdminSecret};
pub use password::{PasswordHashError, admin_secret};
pub(crate) use session::{FORM_COOKIE, SESSION_COOKIE, SESSION_S, Session, random_token, same_token};
pub(crate) use throttle::Throttle;

/// Somebody who may use the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admin {
    /// The user's name, or the token's subject.
    pub(crate) name: String,
}

/// Why somebody may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// No credentials.
    #[error("credentials are needed: Basic, Bearer, or the cookie of a signed-in session")]
    Missing,
    /// Credentials that are not right, or not any more.
    #[error("the credentials are not right")]
    Wrong,
    /// Known, but no admin.
    #[error("this needs the role of an admin")]
    NotAdmin,
    /// Too many failures.
    #[error("too many failed attempts; try again in {retry_after_s} s")]
    Throttled {
        /// When to try again.
        retry_after_s: u64,
    },
    /// Nobody has set a password yet.
    #[error("no password is set; set one with: monthend admin set-password")]
    NoPassword,
    /// It cannot be told just now.
    #[error("credentials cannot be checked just now; the log says why, try again")]
    Unavailable,
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Missing | Self::Wrong => StatusCode::UNAUTHORIZED,
            Self::NotAdmin => StatusCode::FORBIDDEN,
            Self::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::NoPassword | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl App {
    /// Who asks, by the first kind of credentials that the request has.
    pub(crate) async fn admin(
        &self,
        headers: &HeaderMap,
        address: &ClientAddress,
        now: DateTime<Utc>,
    ) -> Result<Admin, Refusal> {
        if let Some(authorization) = headers.get(AUTHORIZATION) {
            let text = authorization.to_str().map_err(|_| Refusal::Wrong)?;
            let (scheme, credentials) = text.split_once(' ').ok_or(Refusal::Wrong)?;
            return match scheme.to_ascii_lowercase().as_str() {
                "basic" => {
                    let (user, password) = basic(credentials).ok_or(Refusal::Wrong)?;
                    self.sign_in(&user, password, address, now).await.map(|(name, _)| Admin { name })
                }
                "bearer" => self.bearer(credentials.trim().to_owned(), address, now).await,
                _ => Err(Refusal::Wrong),
            };
        }
        self.session(headers, now).await.map(|session| Admin { name: session.user })
    }

    /// The session that the pages' cookie says.
    pub(crate) async fn session(&self, headers: &HeaderMap, now: DateTime<Utc>) -> Result<Session, Refusal> {
        let cookie = cookie(headers, SESSION_COOKIE).ok_or(Refusal::Missing)?;
        let secret = self.password.secret(now).await?;
        let session = Session::verify(&cookie, secret.session_key(), now).ok_or(Refusal::Wrong)?;
        asked_by(&session.user);
        Ok(session)
    }

    /// Checks a user's password; answers the name and the secret that a session is signed with.
    pub(crate) async fn sign_in(
        &self,
        user: &str,
        password: SecretString,
        address: &ClientAddress,
        now: DateTime<Utc>,
    ) -> Result<(String, std::sync::Arc<AdminSecret>), Refusal> {
        let secret = self.password.secret(now).await?;
        let check = secret.clone().verify(user.to_owned(), password);
        self.throttle.attempt(address, now, check).await?;
        asked_by(secret.user());
        Ok((secret.user().to_owned(), secret))
    }

    async fn bearer(
        &self,
        token: String,
        address: &ClientAddress,
        now: DateTime<Utc>,
    ) -> Result<Admin, Refusal> {
        let bearer = self.bearer.clone().ok_or(Refusal::Wrong)?;
        let check = async move { bearer.check(&token, now).await };
        let name = self.throttle.attempt(address, now, check).await?;
        asked_by(&name);
        Ok(Admin { name })
    }
}

/// User and password of the Basic scheme.
fn basic(credentials: &str) -> Option<(String, SecretString)> {
    let decoded = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.into()))
}

/// The value of a cookie.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let texts = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn basic_credentials_may_have_colons_in_the_password() {
        let (user, password) = basic(&STANDARD.encode("admin:a:b é")).unwrap();
        assert_eq!((user.as_str(), password.expose_secret()), ("admin", "a:b é"));
        for bad in ["", "!!!", &STANDARD.encode("admin"), &STANDARD.encode([0xff, b':'])] {
            assert!(basic(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=1; session=x=y".parse().unwrap());
        headers.append(COOKIE, "b=2".parse().unwrap());
        assert_eq!(cookie(&headers, "session").unwrap(), "x=y");
        assert_eq!(cookie(&headers, "b").unwrap(), "2");
        assert_eq!(cookie(&headers, "sess"), None);
    }
}
