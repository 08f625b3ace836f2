//! Names of what is billed: `bills/{YYYY-MM}/...`.

use super::encode;
use crate::month::BillingMonth;
use crate::revision::{Revision, sha256_hex};

/// Where charges stand, by provider.
pub const CHARGES: &str = "charges/";

/// What says of each run, of all months, that it was posted: `bills/posted/{YYYY-MM}/{number}-{hash}.json`.
pub const POSTED: &str = "bills/posted/";

/// What says that the run of this document was posted; nothing if that is no document of a run.
#[must_use]
pub fn posted_mark(document: &str) -> Option<String> {
    let (month, file) = document.strip_prefix("bills/")?.split_once("/runs/")?;
    Some(format!("{POSTED}{month}/{file}"))
}

/// The document of a run of which this says that it was posted.
#[must_use]
pub fn posted_document(mark: &str) -> Option<String> {
    let (month, file) = mark.strip_prefix(POSTED)?.split_once('/')?;
    Some(format!("bills/{month}/runs/{file}"))
}

/// Longer names of customers end with a hash instead.
const LONGEST_NAME: usize = 60;

/// The bills of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BillsKey {
    /// The month.
    pub month: BillingMonth,
}

impl BillsKey {
    /// The document of a run with these bytes.
    #[must_use]
    pub fn run(self, number: u32, bytes: &[u8]) -> String {
        format!("bills/{}/runs/{number}-{}.json", self.month, Revision::of(bytes))
    }

    /// Where the documents of runs stand.
    #[must_use]
    pub fn runs(self) -> String {
        format!("bills/{}/runs/", self.month)
    }

    /// An export of a run.
    #[must_use]
    pub fn export(self, name: &str, number: u32) -> String {
        self.numbered(&short(name), number, "csv")
    }

    /// The certificate of a run.
    #[must_use]
    pub fn certificate(self, number: u32) -> String {
        self.numbered("certificate", number, "json")
    }

    /// The documents of the first run stand in the month's folder, those of later ones in a folder each: no name of a provider
    /// can be theirs.
    fn numbered(self, name: &str, number: u32, extension: &str) -> String {
        match number {
            0 | 1 => format!("bills/{}/{name}.{extension}", self.month),
            _ => format!("bills/{}/{number}/{name}.{extension}", self.month),
        }
    }

    /// A customer's statement.
    #[must_use]
    pub fn statement(self, customer: &str) -> String {
        format!("bills/{}/statements/{}.html", self.month, short(customer))
    }

    /// A table of the charges of a run: `by-account`, ... as `csv` or `parquet`.
    #[must_use]
    pub fn table(self, table: &str, number: u32, extension: &str) -> String {
        self.numbered(&format!("aggregates/{table}"), number, extension)
    }

    /// How a run shared pools.
    #[must_use]
    pub fn shares(self, number: u32) -> String {
        self.numbered("shares", number, "csv")
    }

    /// What came back of a run's costs.
    #[must_use]
    pub fn recovery(self, number: u32) -> String {
        self.numbered("recovery", number, "csv")
    }

    /// Where a table of a run with these bytes waits until the run is posted.
    #[must_use]
    pub fn waiting(self, bytes: &[u8], extension: &str) -> String {
        format!("bills/{}/runs/table-{}.{extension}", self.month, Revision::of(bytes))
    }

    /// Why the month, or a bill of it, is held.
    #[must_use]
    pub fn held(self) -> String {
        format!("held/bills/{}.reason.json", self.month)
    }

    /// The folder of a provider's charges; `provider` as it stands in the folder's name.
    #[must_use]
    pub fn charges_of(self, provider: &str) -> String {
        format!("{CHARGES}provider={provider}/month={}/", self.month)
    }
}

fn short(name: &str) -> String {
    let encoded = encode(name);
    match encoded.get(..LONGEST_NAME) {
        Some(beginning) if encoded.len() > LONGEST_NAME => {
            let hash = sha256_hex(name.as_bytes());
            format!("{beginning}-{}", hash.get(..Revision::LENGTH).unwrap_or(&hash))
        }
        _ => encoded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_in_their_place_and_short() {
        let key = BillsKey { month: "2026-10".parse().unwrap() };
        assert_eq!(key.export("aws", 1), "bills/2026-10/aws.csv");
        assert_eq!(key.export("services", 2), "bills/2026-10/2/services.csv");
        assert_eq!(key.certificate(1), "bills/2026-10/certificate.json");
        assert_eq!(key.statement("Team Blue/../x"), "bills/2026-10/statements/Team!20Blue!2F..!2Fx.html");
        let [one, other] = ["a", "b"].map(|last| key.statement(&format!("{}{last}", "é".repeat(100))));
        assert!(one.len() < 150 && one != other);
        let document = key.run(2, b"{}");
        let mark = posted_mark(&document).unwrap();
        assert_eq!(mark, "bills/posted/2026-10/2-44136fa355b3678a.json");
        assert_eq!(posted_document(&mark), Some(document));
        assert_eq!((posted_mark(&key.certificate(1)), posted_document("bills/posted/x")), (None, None));
    }
}
