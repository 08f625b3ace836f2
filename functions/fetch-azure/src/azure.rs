//! Azure's management API as one app registration sees it.

use std::time::Duration;

use cloud::peer::{Call, Peer, PeerError, TokenEndpoint, Tokens};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::error::AzureError;
use crate::scope::Scope;

/// The clients, and what they are for.
pub(crate) struct Azure {
    pub(crate) peer: Peer,
    /// Of the management API.
    pub(crate) tokens: Tokens,
    pub(crate) base: Url,
    pub(crate) scope: Scope,
    /// How long the reports of a month may take together.
    pub(crate) report_timeout: Duration,
}

/// An app registration.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// `https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token`.
    url: Url,
    client_id: SecretString,
    client_secret: SecretString,
}

impl Credentials {
    /// Those of a tenant.
    pub(crate) fn new(
        login: &Url,
        tenant: &str,
        client_id: SecretString,
        client_secret: SecretString,
    ) -> Self {
        let mut url = login.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend([tenant, "oauth2", "v2.0", "token"]);
        }
        Self { url, client_id, client_secret }
    }

    /// Tokens for a resource, which is named with `/.default`.
    pub(crate) fn tokens(&self, scope: String) -> Tokens {
        let Self { url, client_id, client_secret } = self.clone();
        let endpoint = TokenEndpoint {
            name: "Microsoft Entra",
            url,
            address: "AZURE_LOGIN_URL",
            credentials: "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
        };
        Tokens::new(endpoint, move |call: Call<'_>| {
            let form = [
                ("client_id", client_id.expose_secret()),
                ("client_secret", client_secret.expose_secret()),
                ("grant_type", "client_credentials"),
                ("scope", scope.as_str()),
            ];
            Ok(call.form(form).hiding([&client_secret]))
        })
    }
}

impl Azure {
    /// Gets a token, so that wrong credentials are told at once and not by every month.
    pub(crate) async fn sign_in(&self) -> Result<(), PeerError> {
        self.peer.attempts(|| self.tokens.token(&self.peer)).await.map(|_| ())
    }

    /// A link that Azure gives to a place of its own.
    pub(crate) fn own(&self, link: &str, what: &'static str) -> Result<Url, AzureError> {
        match Url::parse(link) {
            Ok(url) if url.origin() == self.base.origin() => Ok(url),
            Ok(url) => {
                Err(AzureError::Elsewhere { what, host: url.host_str().unwrap_or_default().to_owned() })
            }
            Err(_) => Err(AzureError::Elsewhere { what, host: "no URL".to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_endpoint_is_the_tenants() {
        let url = |login: &str| {
            let login = Url::parse(login).unwrap();
            Credentials::new(&login, "contoso.example", "id".to_owned().into(), "s".to_owned().into()).url
        };
        assert_eq!(
            url("https://login.microsoftonline.com").as_str(),
            "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token"
        );
        assert_eq!(
            url("http://127.0.0.1:1/login").as_str(),
            "http://127.0.0.1:1/login/contoso.example/oauth2/v2.0/token"
        );
    }
}
