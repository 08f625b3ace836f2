//! Identifiers that providers give, as types: one cannot be passed where another is meant.

use std::fmt;

use crate::identity::known_provider;
use crate::text::{clean, is_invisible, shown};

/// An identifier that cannot be one: empty, longer than 200 bytes, or with characters that nobody sees.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} '{text}' must have 1 to 200 bytes and no invisible characters")]
pub struct InvalidId {
    kind: &'static str,
    text: String,
}

fn check(kind: &'static str, text: String) -> Result<String, InvalidId> {
    if text.is_empty() || text.len() > 200 || text.chars().any(is_invisible) {
        return Err(InvalidId { kind, text: shown(&text) });
    }
    Ok(text)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is.
            ///
            /// # Errors
            /// [`InvalidId`] if it is empty, too long or has invisible characters.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                check($kind, text.into()).map(Self)
            }

            /// The text as the provider gave it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// Who sends the invoice, in lower case: `atlas`, `aws`, `azure`, `gcp`, ...
    Provider,
    "provider"
);
id!(
    /// Who is invoiced (FOCUS `BillingAccountId`): for Atlas the organisation.
    BillingAccountId,
    "billing account"
);
id!(
    /// One invoice of a billing account (FOCUS `InvoiceId`), unique within the provider.
    InvoiceId,
    "invoice id"
);

id!(
    /// Whom a metered product is sold to: the contract's id at Clazar, Omnistrate's `externalPayerId`.
    ContractId,
    "contract"
);
id!(
    /// What is metered, as it is registered with the marketplace: `cpu_core_hours`, ...
    Dimension,
    "dimension"
);

id!(
    /// Whom services are sold to, in the journal of money movements.
    ClientId,
    "client"
);
id!(
    /// One service of a client, in the journal of money movements.
    ServiceId,
    "service"
);

impl Provider {
    /// The provider that exports name like this: a known one by any of its names (see [`crate::identity`]), else the name in lower
    /// case, with `-` for what is neither letter nor digit.
    ///
    /// # Errors
    /// [`InvalidId`] if the name is empty or too long.
    pub fn named(name: &str) -> Result<Self, InvalidId> {
        if let Some(known) = known_provider(name) {
            return Self::new(known);
        }
        let plain = |c: char| if c.is_alphanumeric() { c } else { '-' };
        Self::new(clean(name).chars().map(plain).collect::<String>().to_lowercase())
    }

    /// MongoDB Atlas.
    #[must_use]
    pub fn atlas() -> Self {
        Self("atlas".into())
    }

    /// Amazon Web Services.
    #[must_use]
    pub fn aws() -> Self {
        Self("aws".into())
    }

    /// Microsoft Azure.
    #[must_use]
    pub fn azure() -> Self {
        Self("azure".into())
    }

    /// Google Cloud.
    #[must_use]
    pub fn gcp() -> Self {
        Self("gcp".into())
    }

    /// A CCX server, databases as a service.
    #[must_use]
    pub fn ccx() -> Self {
        Self("ccx".into())
    }

    /// A Prometheus server: no provider of costs, but of what they are shared by.
    #[must_use]
    pub fn prometheus() -> Self {
        Self("prometheus".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_filed_under_one_word_whatever_exports_call_them() {
        let named = |name: &str| Provider::named(name).unwrap().to_string();
        assert_eq!(["AWS", "Amazon Web Services"].map(named), ["aws", "aws"]);
        assert_eq!(["Oracle Cloud", "MongoDB, Inc.", "日本"].map(named), ["oracle-cloud", "atlas", "日本"]);
        assert!(Provider::named("").is_err());
    }

    #[test]
    fn identifiers_are_taken_as_they_are_or_refused() {
        assert_eq!(InvoiceId::new("../x y").unwrap().as_str(), "../x y");
        let error = InvoiceId::new("").unwrap_err();
        assert_eq!(error.to_string(), "invoice id '' must have 1 to 200 bytes and no invisible characters");
        assert!(BillingAccountId::new("acc-1\u{200b}").is_err());
        assert!(BillingAccountId::new("a\nb").is_err());
        assert!(BillingAccountId::new("x".repeat(201)).is_err());
    }
}
