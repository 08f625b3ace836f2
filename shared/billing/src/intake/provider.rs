//! Whose a bill is: decided once for all rows of an account and month.

use std::collections::BTreeSet;
use std::fmt;

use crate::charges::Claims;
use crate::identity::known_provider;
use crate::ids::{InvalidId, Provider};
use crate::text::shown;

/// Whose a bill is, and what says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Whose.
    pub provider: Provider,
    /// `ProviderName`, `InvoiceIssuerName` or `ServiceProviderName`.
    pub from: &'static str,
}

/// Rows of one account and month that do not agree on whose they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// They name several, or only some.
    #[error("its rows do not agree on the provider: {names}; rows of one account and month are one bill")]
    Several {
        /// What they say, by column.
        names: String,
    },
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] InvalidId),
}

/// Whose a bill is whose rows say this; nothing if none of them says anything.
///
/// It is `ProviderName` if those that are filled agree; else the issuer, if all agree and it is a known provider (a reseller's name is
/// none); else `ServiceProviderName` if all agree: of a marketplace it names the seller. Names are compared by what they are filed under.
///
/// # Errors
/// [`Undecided`]: a person must say it.
pub fn provider_of<'c>(claims: impl IntoIterator<Item = &'c Claims>) -> Result<Option<Decided>, Undecided> {
    let claims: Vec<&Claims> = claims.into_iter().collect();
    let (all, filled) = (true, false);
    if let Some(provider) = agreed(&claims, |claims| claims.provider.as_deref(), filled)? {
        return Ok(Some(Decided { provider, from: "ProviderName" }));
    }
    let issuer = agreed(&claims, |claims| claims.issuer.as_deref(), all)?;
    if let Some(provider) = issuer.filter(|issuer| known_provider(issuer.as_str()).is_some()) {
        return Ok(Some(Decided { provider, from: "InvoiceIssuerName" }));
    }
    if let Some(provider) = agreed(&claims, |claims| claims.service_provider.as_deref(), all)? {
        return Ok(Some(Decided { provider, from: "ServiceProviderName" }));
    }
    let names_nobody = |claims: &&Claims| claims.provider.is_none() && claims.service_provider.is_none();
    if claims.iter().all(names_nobody) {
        return Ok(None);
    }
    Err(Undecided::Several { names: Said(&claims).to_string() })
}

/// The provider that all rows name, or all that name one.
fn agreed<'c>(
    claims: &[&'c Claims],
    name: impl Fn(&'c Claims) -> Option<&'c str>,
    all: bool,
) -> Result<Option<Provider>, InvalidId> {
    let mut providers = BTreeSet::new();
    for claims in claims {
        match name(claims) {
            Some(name) => drop(providers.insert(Provider::named(name)?)),
            None if all => return Ok(None),
            None => {}
        }
    }
    let first = providers.pop_first();
    Ok(if providers.is_empty() { first } else { None })
}

struct Said<'a, 'c>(&'a [&'c Claims]);

impl fmt::Display for Said<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        type Column = (&'static str, fn(&Claims) -> Option<&str>);
        let columns: [Column; 3] = [
            ("ProviderName", |claims| claims.provider.as_deref()),
            ("InvoiceIssuerName", |claims| claims.issuer.as_deref()),
            ("ServiceProviderName", |claims| claims.service_provider.as_deref()),
        ];
        let mut first = true;
        for (column, name) in columns {
            let names: BTreeSet<Option<&str>> = self.0.iter().map(|claims| name(claims)).collect();
            if names.iter().all(Option::is_none) {
                continue;
            }
            let shown = |name: &Option<&str>| {
                name.map_or_else(|| "(empty)".to_owned(), |name| format!("'{}'", shown(name)))
            };
            let names = names.iter().take(5).map(shown).collect::<Vec<_>>().join(", ");
            write!(f, "{}{column} {names}", if first { "" } else { "; " })?;
            first = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claims(provider: &str, issuer: &str, service_provider: &str) -> Claims {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Claims { provider: text(provider), issuer: text(issuer), service_provider: text(service_provider) }
    }

    fn decide(rows: &[[&str; 3]]) -> Option<String> {
        let rows: Vec<Claims> = rows.iter().map(|[a, b, c]| claims(a, b, c)).collect();
        let decided = provider_of(&rows).unwrap();
        decided.map(|decided| format!("{} by {}", decided.provider, decided.from))
    }

    #[test]
    fn a_bill_is_of_one_provider() {
        let by = |text: &str| Some(text.to_owned());
        assert_eq!(
            decide(&[["", "", "Nordwind Cloud"], ["", "", "Nordwind Cloud"]]),
            by("nordwind-cloud by ServiceProviderName")
        );
        assert_eq!(decide(&[["AWS", "", ""], ["", "", ""]]), by("aws by ProviderName"));
        assert_eq!(
            decide(&[["AWS", "", ""], ["Amazon Web Services, Inc.", "", ""]]),
            by("aws by ProviderName")
        );
        // a marketplace: the seller's rows stay in the invoice that they came with
        let marketplace = [["", "AWS", "AWS"], ["", "Amazon Web Services EMEA SARL", "MongoDB"]];
        assert_eq!(decide(&marketplace), by("aws by InvoiceIssuerName"));
        assert_eq!(
            decide(&[["AWS", "AWS", "AWS"], ["MongoDB", "AWS", "MongoDB"]]),
            by("aws by InvoiceIssuerName")
        );
        // a reseller is no provider
        assert_eq!(decide(&[["", "Reseller AG", "AWS"]]), by("aws by ServiceProviderName"));
        assert_eq!(decide(&[["", "", ""]]), None);
        assert_eq!(decide(&[["", "Reseller AG", ""]]), None);
    }

    #[test]
    fn what_does_not_agree_is_asked_about_with_all_that_it_says() {
        let rows = [claims("AWS", "", ""), claims("Databricks", "", "")];
        let error = provider_of(&rows).unwrap_err().to_string();
        assert!(
            error.starts_with("its rows do not agree on the provider: ProviderName 'AWS', 'Databricks';"),
            "{error}"
        );
        assert!(provider_of(&[claims("", "", "AWS"), claims("", "Reseller AG", "")]).is_err());
    }

    proptest! {
        #[test]
        fn the_order_of_rows_and_how_often_they_say_it_decide_nothing(
            rows in prop::collection::vec(("(AWS|aws|Acme|)", "(AWS|Reseller|)", "(AWS|Acme|)"), 1..5), seed in 0usize..7,
        ) {
            let rows: Vec<Claims> = rows.iter().map(|(a, b, c)| claims(a, b, c)).collect();
            let mut turned = rows.clone();
            turned.rotate_left(seed % rows.len());
            turned.push(rows[seed % rows.len()].clone());
            prop_assert_eq!(provider_of(&rows), provider_of(&turned));
        }
    }
}
