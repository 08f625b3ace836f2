//! Versions of one invoice: named by content, ordered by time.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest, Sha256};

/// SHA-256 of some bytes, 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One version of an invoice: the first 16 hexadecimal digits of its raw document's SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Revision(String);

/// A text that is no revision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no revision, which is 16 hexadecimal digits of the document's SHA-256")]
pub struct InvalidRevision(String);

impl Revision {
    /// Digits of a revision.
    pub const LENGTH: usize = 16;

    /// The revision that these bytes are.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_sha256(&sha256_hex(bytes))
    }

    /// The revision of bytes whose hash, as [`sha256_hex`] gives it, is known already.
    #[must_use]
    pub fn of_sha256(sha256: &str) -> Self {
        Self(sha256.chars().take(Self::LENGTH).collect())
    }

    /// Reads a revision from a key or a record.
    ///
    /// # Errors
    /// [`InvalidRevision`] unless it is 16 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, InvalidRevision> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == Self::LENGTH && text.bytes().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRevision(text.chars().take(60).collect()))
        }
    }

    /// The 16 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Revision {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The place of a revision among its invoice's revisions: the provider's own updated time, then the time
/// it was fetched, then its name. Written as text of fixed width, so that texts compare as the orders do
/// (a ledger can hold a condition on it).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct RevisionOrder(String);

impl RevisionOrder {
    /// The order of a revision; an unknown updated time stands before every known one.
    #[must_use]
    pub fn new(updated: Option<DateTime<Utc>>, fetched_at: DateTime<Utc>, revision: &Revision) -> Self {
        let text = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let unknown = || "0000-00-00T00:00:00.000Z".to_owned();
        Self(format!("{}|{}|{revision}", updated.map_or_else(unknown, text), text(fetched_at)))
    }

    /// The order of a revision that counts after another one, whatever clocks say.
    #[must_use]
    pub fn after(other: &Self, fetched_at: DateTime<Utc>, revision: &Revision) -> Self {
        let updated = other.0.split('|').next().unwrap_or_default();
        let next = other.fetched_at().parse::<DateTime<Utc>>().ok();
        let next = next.and_then(|time| time.checked_add_signed(chrono::TimeDelta::milliseconds(1)));
        let at = next.map_or(fetched_at, |next| next.max(fetched_at));
        Self(format!("{updated}|{}|{revision}", at.to_rfc3339_opts(SecondsFormat::Millis, true)))
    }

    /// When it was fetched, as sortable text.
    #[must_use]
    pub fn fetched_at(&self) -> &str {
        self.0.split('|').nth(1).unwrap_or_default()
    }

    /// The order as sortable text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_the_start_of_the_contents_hash() {
        let revision = Revision::of(b"{}");
        assert_eq!(revision.as_str(), "44136fa355b3678a");
        assert_eq!(Revision::parse("44136fa355b3678a"), Ok(revision));
        for bad in ["", "44136FA355B3678A", "44136fa355b3678", "../../etc/passwd"] {
            assert!(Revision::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_providers_updated_time_decides_then_the_fetch_time() {
        let time = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let order = |updated: Option<&str>, fetched: &str, content: &[u8]| {
            RevisionOrder::new(updated.map(time), time(fetched), &Revision::of(content))
        };
        let early = order(Some("2026-10-02T00:00:00Z"), "2026-10-09T00:00:00Z", b"a");
        let late = order(Some("2026-10-03T00:00:00Z"), "2026-10-08T00:00:00Z", b"b");
        assert!(early < late && early.as_str() < late.as_str());
        assert!(order(None, "2026-10-09T00:00:00Z", b"a") < early);
        let behind = RevisionOrder::after(&late, time("2020-01-01T00:00:00Z"), &Revision::of(b"0"));
        assert!(
            late < behind && behind < order(Some("2026-10-03T00:00:00Z"), "2026-10-08T00:00:00.002Z", b"c")
        );
        assert!(early < RevisionOrder::after(&early, time("2026-12-01T00:00:00Z"), &Revision::of(b"0")));
        let again = order(Some("2026-10-02T00:00:00Z"), "2026-10-09T00:00:00.001Z", b"0");
        assert!(early < again);
    }
}
