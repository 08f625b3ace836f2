//! Which names are of one provider, and which of its identifiers are the same.
//!
//! Providers write one thing in several ways: `Amazon Web Services, Inc.` is `aws`; Azure's ids are equal whatever their case, a
//! subscription also with or without the path before it. Whatever compares identifiers compares their keys ([`Rule::key`]); what is
//! shown keeps its spelling.

use std::borrow::Cow;

use crate::text::clean;

/// The providers that are known by several names, each by the word that it is filed under.
const NAMES: &[(&str, &[&str])] = &[
    ("aws", &["aws", "amazon web services", "amazon"]),
    ("azure", &["azure", "microsoft", "microsoft azure"]),
    ("gcp", &["gcp", "google", "google cloud", "google cloud platform"]),
    ("atlas", &["atlas", "mongodb", "mongodb atlas"]),
];

/// Words that tell a legal entity from another: no part of the name.
const OF_ENTITIES: &[&str] = &[
    "ag",
    "bv",
    "co",
    "company",
    "corp",
    "corporation",
    "gmbh",
    "inc",
    "incorporated",
    "limited",
    "llc",
    "ltd",
    "plc",
    "private",
    "pty",
    "pte",
    "pvt",
    "sa",
    "sarl",
    "sas",
    "emea",
    "ireland",
    "operations",
    "luxembourg",
    "india",
    "australia",
    "japan",
    "korea",
    "singapore",
    "brasil",
    "canada",
    "uk",
    "the",
];

/// The word that a known provider is filed under, by any of its names, in any case, or by one of its legal entities; nothing of
/// others.
#[must_use]
pub fn known_provider(name: &str) -> Option<&'static str> {
    let words = clean(name).to_lowercase().replace("s.a.r.l", "sarl").replace(['.', ','], " ");
    let is_named =
        |words: &str| NAMES.iter().find(|(_, names)| names.contains(&words)).map(|(word, _)| *word);
    let all = words.split_whitespace().collect::<Vec<_>>();
    is_named(&all.join(" ")).or_else(|| {
        let mut named = all.as_slice();
        while let Some((last, rest)) = named.split_last().filter(|(last, _)| OF_ENTITIES.contains(last)) {
            debug_assert!(!last.is_empty());
            named = rest;
        }
        is_named(&named.join(" "))
    })
}

/// What an identifier is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Id {
    /// FOCUS `BillingAccountId`.
    BillingAccount,
    /// FOCUS `SubAccountId`: account, subscription, project.
    SubAccount,
    /// FOCUS `ResourceId`.
    Resource,
    /// FOCUS `ServiceName`.
    Service,
    /// FOCUS `RegionId`.
    Region,
    /// The key of a tag; its value counts as it is.
    TagKey,
}

/// A provider's rule of equality for its identifiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// Letter by letter.
    #[default]
    Exact,
    /// Azure's: in any case; subscriptions and billing accounts with or without the path before them.
    Azure,
}

impl Rule {
    /// The rule of a provider, by the word that it is filed under.
    #[must_use]
    pub fn of(provider: &str) -> Self {
        if provider == "azure" { Self::Azure } else { Self::Exact }
    }

    /// The rule of a provider, by any of its names.
    #[must_use]
    pub fn named(provider: &str) -> Self {
        Self::of(known_provider(provider).unwrap_or(provider))
    }

    /// What two identifiers have in common if, and only if, they are the same.
    #[must_use]
    pub fn key(self, id: Id, text: &str) -> Cow<'_, str> {
        let text = clean(text);
        if self == Self::Exact {
            return text;
        }
        let is_lower = !text.chars().any(char::is_uppercase);
        match text {
            Cow::Borrowed(text) if is_lower => Cow::Borrowed(without_path(id, text)),
            text => Cow::Owned(without_path(id, &text).to_lowercase()),
        }
    }

    /// The identifier as it was written, without the path before it where it has one.
    #[must_use]
    pub fn name(self, id: Id, text: &str) -> String {
        let text = clean(text);
        match self {
            Self::Exact => text.into_owned(),
            Self::Azure => without_path(id, &text).to_owned(),
        }
    }

    /// Whether two identifiers are the same.
    #[must_use]
    pub fn same(self, id: Id, one: &str, other: &str) -> bool {
        one == other || self.key(id, one) == self.key(id, other)
    }
}

fn is_segment(text: &str) -> bool {
    !text.is_empty() && !text.contains('/')
}

/// Azure's identifiers without the path before them and slashes around them.
fn without_path(id: Id, text: &str) -> &str {
    let inner = text.trim_matches('/');
    match id {
        Id::SubAccount => below("subscriptions/", inner).filter(|id| is_segment(id)).unwrap_or(inner),
        Id::BillingAccount => after_path(inner).unwrap_or(inner),
        _ => text,
    }
}

/// What stands after the beginning of a path, in any case.
fn below<'t>(path: &str, text: &'t str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(path.len())?;
    start.eq_ignore_ascii_case(path).then_some(rest)
}

/// What names a billing account or profile in `providers/Microsoft.Billing/billingAccounts/.../billingProfiles/...`.
fn after_path(text: &str) -> Option<&str> {
    let rest = below("providers/microsoft.billing/billingaccounts/", text)?;
    let parts: Vec<&str> = rest.split('/').collect();
    match parts[..] {
        [account] if is_segment(account) => Some(account),
        [_, profiles, profile] if profiles.eq_ignore_ascii_case("billingprofiles") && is_segment(profile) => {
            Some(profile)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn providers_are_known_by_any_of_their_names() {
        for (names, word) in [
            (
                &[
                    "AWS",
                    "aws",
                    "Amazon Web Services",
                    "Amazon Web Services, Inc.",
                    "Amazon Web Services EMEA SARL",
                ][..],
                Some("aws"),
            ),
            (
                &[
                    "Amazon Web Services India Private Limited",
                    "\u{feff}AWS",
                    "Amazon Web Services EMEA S.a.r.l.",
                ],
                Some("aws"),
            ),
            (
                &[
                    "Microsoft",
                    "Azure",
                    "Microsoft Azure",
                    "Microsoft Corporation",
                    "Microsoft Ireland Operations Limited",
                ],
                Some("azure"),
            ),
            (
                &[
                    "Google",
                    "Google Cloud",
                    "GCP",
                    "Google Cloud EMEA Limited",
                    "Google LLC",
                    "google\u{a0}cloud",
                ],
                Some("gcp"),
            ),
            (&["MongoDB", "MongoDB Atlas", "atlas", "MongoDB, Inc.", "MongoDB Limited"], Some("atlas")),
            (&["Databricks", "Oracle Cloud", "AWS Reseller GmbH", "Limited", "", "Google Ads"], None),
        ] {
            for name in names {
                assert_eq!(known_provider(name), word, "{name}");
            }
        }
    }

    #[test]
    fn azures_identifiers_are_equal_in_any_case_and_with_their_path() {
        let azure = Rule::of("azure");
        assert!(azure.same(Id::SubAccount, "/subscriptions/AAAA-1111", "aaaa-1111"));
        assert!(azure.same(
            Id::BillingAccount,
            "8611537",
            "/providers/Microsoft.Billing/billingAccounts/8611537"
        ));
        for path in [
            "/providers/Microsoft.Billing/billingAccounts/77/",
            "providers/microsoft.billing/billingAccounts/77",
        ] {
            assert!(azure.same(Id::BillingAccount, path, "77"), "{path}");
        }
        assert!(azure.same(Id::SubAccount, "/subscriptions/ab/", "AB"));
        let profile =
            "/providers/Microsoft.Billing/billingAccounts/a1:b2_2019-05-31/billingProfiles/QWER-TYUI";
        assert!(azure.same(Id::BillingAccount, profile, "qwer-tyui"));
        assert!(!azure.same(Id::BillingAccount, profile, "a1:b2_2019-05-31"));
        assert_eq!(azure.name(Id::BillingAccount, profile), "QWER-TYUI");
        assert_eq!(azure.name(Id::BillingAccount, "Enrollment 7"), "Enrollment 7");
        // a resource is its whole path, and a subscription is none of its resources
        assert!(!azure.same(Id::Resource, "/subscriptions/a", "a"));
        assert!(!azure.same(Id::SubAccount, "/subscriptions/a/resourceGroups/b", "b"));
        assert!(azure.same(Id::TagKey, "Cost-Center", "cost-center"));
        for provider in ["aws", "gcp", "atlas", "nordwind-cloud"] {
            assert!(!Rule::of(provider).same(Id::TagKey, "Cost-Center", "cost-center"), "{provider}");
            assert!(Rule::of(provider).same(Id::SubAccount, "\u{feff}a", "a "));
        }
    }

    fn any_id() -> impl Strategy<Value = Id> {
        prop::sample::select(vec![
            Id::BillingAccount,
            Id::SubAccount,
            Id::Resource,
            Id::Service,
            Id::Region,
            Id::TagKey,
        ])
    }

    fn any_text() -> impl Strategy<Value = String> {
        let path = prop::sample::select(vec![
            "",
            "/subscriptions/",
            "/SUBSCRIPTIONS/",
            "/providers/Microsoft.Billing/billingAccounts/",
            "/x/",
            "/providers/microsoft.billing/billingaccounts/A/billingProfiles/",
        ]);
        (path, "[aAbÀé/\u{feff} ]{0,4}").prop_map(|(path, rest)| format!("{path}{rest}"))
    }

    proptest! {
        #[test]
        fn equality_is_one_of_keys(rule in prop::sample::select(vec![Rule::Exact, Rule::Azure]), id in any_id(), a in any_text(), b in any_text()) {
            let key = |text: &str| rule.key(id, text).into_owned();
            prop_assert!(rule.same(id, &a, &a));
            prop_assert_eq!(rule.same(id, &a, &b), rule.same(id, &b, &a));
            prop_assert_eq!(rule.same(id, &a, &b), key(&a) == key(&b));
            let marked = format!("{}{a} ", '\u{feff}');
            prop_assert!(rule.same(id, &a, &marked));
            if rule == Rule::Azure {
                prop_assert!(rule.same(id, &a, &a.to_uppercase().to_lowercase()));
            } else {
                prop_assert_eq!(rule.same(id, &a, &b), clean(&a) == clean(&b));
            }
        }

        #[test]
        fn any_text_is_no_provider_or_a_known_one(name in "\\PC{0,30}") {
            prop_assert!(known_provider(&name).is_none_or(|word| NAMES.iter().any(|(known, _)| *known == word)));
        }
    }
}
