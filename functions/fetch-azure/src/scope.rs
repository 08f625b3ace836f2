//! What is billed: a billing account, a billing profile or a subscription.

use std::str::FromStr;

use url::Url;

/// The path of a billing scope, without a slash at either end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope(String);

/// A text that is no billing scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "providers/Microsoft.Billing/billingAccounts/{{account}}, .../billingProfiles/{{profile}} or subscriptions/{{id}}"
)]
pub(crate) struct InvalidScope;

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        let path = text.trim().trim_matches('/');
        let is_known = path.starts_with("subscriptions/")
            || path.to_ascii_lowercase().starts_with("providers/microsoft.billing/billingaccounts/");
        let segments = || path.split('/');
        let is_plain = segments().all(|segment| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
            !segment.is_empty() && segment != ".." && segment.bytes().all(plain)
        });
        let is_whole = segments().count().is_multiple_of(2); // names and values take turns
        (is_known && is_plain && is_whole).then(|| Self(path.to_owned())).ok_or(InvalidScope)
    }
}

impl Scope {
    /// The last part, by which bills are filed unless they are given a name.
    pub(crate) fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// A URL under the scope.
    pub(crate) fn url(&self, base: &Url, path: &[&str]) -> Url {
        join(base, self.0.split('/').chain(path.iter().copied()))
    }

    /// Whether it is of an Enterprise Agreement: enrollments have plain numbers.
    pub(crate) fn is_enrollment(&self) -> bool {
        let account = self.0.split('/').nth(3);
        !self.0.starts_with("subscriptions/")
            && account.is_some_and(|account| account.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// Where its invoices are listed; nothing for scopes that have no invoices of their own, and for enrollments, whose rows
    /// name no invoice.
    pub(crate) fn invoices(&self, base: &Url) -> Option<Url> {
        let segments: Vec<&str> = self.0.split('/').collect();
        match segments[..] {
            ["subscriptions", id] => {
                let path = "providers/Microsoft.Billing/billingAccounts/default/billingSubscriptions";
                Some(join(base, path.split('/').chain([id, "invoices"])))
            }
            _ if self.is_enrollment() => None,
            [_, _, _, _] => Some(self.url(base, &["invoices"])),
            [_, _, _, _, kind, _] if kind.eq_ignore_ascii_case("billingProfiles") => {
                Some(self.url(base, &["invoices"]))
            }
            _ => None,
        }
    }
}

fn join<'s>(base: &Url, path: impl Iterator<Item = &'s str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str =
        "/providers/Microsoft.Billing/billingAccounts/1-2:3-4_2019-05-31/billingProfiles/AAAA-BBBB-CCC-DDD/";

    fn invoices(scope: &str) -> Option<String> {
        let base = Url::parse("https://management.azure.com").unwrap();
        Some(scope.parse::<Scope>().unwrap().invoices(&base)?.path().to_owned())
    }

    #[test]
    fn a_scope_is_named_by_its_last_part_and_lists_invoices_if_it_has_any() {
        assert_eq!(PROFILE.parse::<Scope>().unwrap().name(), "AAAA-BBBB-CCC-DDD");
        assert_eq!(invoices(PROFILE).unwrap(), format!("{PROFILE}invoices"));
        let account = "providers/Microsoft.Billing/billingAccounts/1-2:3-4_2019-05-31";
        assert_eq!(invoices(account).unwrap(), format!("/{account}/invoices"));
        let enrollment = "providers/Microsoft.Billing/billingAccounts/1234567";
        assert!(enrollment.parse::<Scope>().unwrap().is_enrollment());
        assert_eq!(invoices(enrollment), None);
        assert_eq!(
            invoices("subscriptions/00000000-0000-0000-0000-0000000000a1").unwrap(),
            "/providers/Microsoft.Billing/billingAccounts/default/billingSubscriptions/\
             00000000-0000-0000-0000-0000000000a1/invoices"
        );
        assert_eq!(invoices(&format!("{account}/customers/c1")), None);
    }

    #[test]
    fn other_texts_are_no_scopes() {
        for bad in [
            "",
            "1234567",
            "subscriptions",
            "subscriptions/",
            "subscriptions/a/../b",
            "subscriptions/a?x=1",
            "subscriptions/a/resourceGroups",
            "providers/Microsoft.Billing/billingAccounts/",
            "providers/Microsoft.Billing/billingAccounts/1/billingProfiles",
            "providers/Microsoft.Management/managementGroups/x",
        ] {
            assert_eq!(bad.parse::<Scope>(), Err(InvalidScope), "{bad}");
        }
    }
}
