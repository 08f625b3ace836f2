//! What the variables say.

use billing::ids::BillingAccountId;
use cloud::vars::{VarError, Vars};

/// How the function is configured; see [`crate`] for the variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) account: BillingAccountId,
    /// Where an export is delivered; nothing for Cost Explorer.
    pub(crate) place: Option<Place>,
    pub(crate) invoicing: bool,
    pub(crate) account_names: bool,
    /// Ended months to look at.
    pub(crate) months: usize,
}

/// Where exports are delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) bucket: String,
    pub(crate) region: Option<String>,
    /// Empty, or with a slash at the end.
    pub(crate) prefix: String,
    pub(crate) name: Option<String>,
}

impl Config {
    pub(crate) fn from_vars(vars: &Vars) -> Result<Self, VarError> {
        let account =
            vars.require("AWS_BILLING_ACCOUNT", "the id of the account that is billed, 12 digits")?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let invalid = || VarError::Invalid {
            name: "AWS_BILLING_ACCOUNT",
            value: account.to_owned(),
            expected: "the id of an AWS account, 12 digits".into(),
        };
        let account =
            is_account.then(|| BillingAccountId::new(account).ok()).flatten().ok_or_else(invalid)?;
        Ok(Self {
            account,
            place: vars.get("AWS_EXPORT_BUCKET").map(|bucket| Place::from_vars(bucket, vars)).transpose()?,
            invoicing: switch(vars, "AWS_INVOICING")?,
            account_names: switch(vars, "AWS_ACCOUNT_NAMES")?,
            months: vars.number("AWS_MONTHS", 2usize)?.max(1),
        })
    }
}

impl Place {
    fn from_vars(bucket: &str, vars: &Vars) -> Result<Self, VarError> {
        let name = vars.get("AWS_EXPORT_NAME");
        if let Some(value) = name.filter(|name| name.contains([',', '/', ' '])) {
            return Err(VarError::Invalid {
                name: "AWS_EXPORT_NAME",
                value: value.to_owned(),
                expected: "the name of one export: each export of an account is the whole bill, and two would count it twice"
                    .into(),
            });
        }
        let prefix = vars.get("AWS_EXPORT_PREFIX").unwrap_or_default().trim_matches('/');
        Ok(Self {
            bucket: bucket.to_owned(),
            region: vars.get("AWS_EXPORT_REGION").map(str::to_owned),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            name: name.map(str::to_owned),
        })
    }
}

/// `on` unless the variable says `off`.
fn switch(vars: &Vars, name: &'static str) -> Result<bool, VarError> {
    match vars.get(name) {
        None | Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(value) => Err(VarError::Invalid { name, value: value.to_owned(), expected: "on or off".into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(vars: &[(&str, &str)]) -> Result<Config, String> {
        Config::from_vars(&Vars::from_iter(vars.iter().copied())).map_err(|error| error.to_string())
    }

    #[test]
    fn an_account_is_enough_and_the_rest_has_defaults() {
        let plain = config(&[("AWS_BILLING_ACCOUNT", "111122223333")]).unwrap();
        assert_eq!((plain.place, plain.invoicing, plain.account_names, plain.months), (None, true, true, 2));
        let full = config(&[
            ("AWS_BILLING_ACCOUNT", "111122223333"),
            ("AWS_EXPORT_BUCKET", "exports"),
            ("AWS_EXPORT_REGION", "eu-west-1"),
            ("AWS_EXPORT_PREFIX", "/data/exports/"),
            ("AWS_EXPORT_NAME", "cur2"),
            ("AWS_INVOICING", "off"),
        ]);
        let full = full.unwrap();
        let place = full.place.unwrap();
        assert_eq!((place.prefix.as_str(), place.name.as_deref()), ("data/exports/", Some("cur2")));
        assert_eq!((place.region.as_deref(), full.invoicing), (Some("eu-west-1"), false));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |vars| config(vars).unwrap_err();
        assert_eq!(
            error(&[]),
            "the variable AWS_BILLING_ACCOUNT is missing: set it to the id of the account that is billed, 12 digits"
        );
        assert!(error(&[("AWS_BILLING_ACCOUNT", "payer")]).contains("expected the id of an AWS account"));
        let two = [
            ("AWS_BILLING_ACCOUNT", "111122223333"),
            ("AWS_EXPORT_BUCKET", "b"),
            ("AWS_EXPORT_NAME", "cur2,focus"),
        ];
        assert!(error(&two).contains("two would count it twice"));
        let switch = [("AWS_BILLING_ACCOUNT", "111122223333"), ("AWS_INVOICING", "no")];
        assert_eq!(error(&switch), "the variable AWS_INVOICING is 'no', expected on or off");
    }
}
