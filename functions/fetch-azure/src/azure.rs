//! Azure's management API as one app registration sees it.

use std::time::Duration;

use url::Url;

use crate::error::AzureError;
use crate::scope::Scope;
use crate::token::Tokens;
use crate::wire::Wire;

/// The clients, and what they are for.
pub(crate) struct Azure {
    pub(crate) wire: Wire,
    /// Of the management API.
    pub(crate) tokens: Tokens,
    pub(crate) base: Url,
    pub(crate) scope: Scope,
    /// How long the reports of a month may take together.
    pub(crate) report_timeout: Duration,
}

impl Azure {
    /// Gets a token, so that wrong credentials are told at once and not by every month.
    pub(crate) async fn sign_in(&self) -> Result<(), AzureError> {
        self.tokens.token(&self.wire.http, &self.wire.retry).await.map(|_| ())
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
