//! The request to Clazar: one contract's records of one month.

use billing::metering::{Asked, Line, Marketplace};
use billing::money::Exact;
use billing::month::BillingMonth;
use chrono::{Duration, SecondsFormat};
use serde::{Deserialize, Serialize};

/// The body of `POST /metering/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeteringRequest {
    /// The records, all of one contract.
    pub request: Vec<MeteringRecord>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeteringRecord {
    /// Where the contract was made.
    pub cloud: Marketplace,
    /// The contract.
    pub contract_id: String,
    /// The dimension.
    pub dimension: String,
    /// First second of the month.
    pub start_time: String,
    /// Last second of the month.
    pub end_time: String,
    /// A positive integer, as text: memory in byte-hours passes what a JSON number holds exactly.
    pub quantity: String,
}

impl MeteringRequest {
    /// The request for these lines of a month.
    pub(crate) fn of<'l>(
        cloud: Marketplace,
        month: BillingMonth,
        lines: impl IntoIterator<Item = (&'l Line, Exact)>,
    ) -> Self {
        let text = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        let record = |(line, quantity): (&Line, Exact)| MeteringRecord {
            cloud,
            contract_id: line.contract.to_string(),
            dimension: line.dimension.to_string(),
            start_time: text(month.start()),
            end_time: text(month.end() - Duration::seconds(1)),
            quantity: quantity.to_string(),
        };
        Self { request: lines.into_iter().map(record).collect() }
    }
}

/// What a reply is compared with.
pub(crate) fn asked(month: BillingMonth, line: &Line, quantity: Exact) -> Asked {
    Asked { line: line.clone(), start: month.start(), quantity }
}

#[cfg(test)]
mod tests {
    use billing::ids::{ContractId, Dimension};

    use super::*;

    #[test]
    fn a_request_covers_its_month_to_the_last_second() {
        let line = Line {
            contract: ContractId::new("ae641bd1-edf8-4038-bfed-d2ff556c729e").unwrap(),
            dimension: Dimension::new("memory_byte_hours").unwrap(),
        };
        let quantity = "36028797018963970".parse().unwrap();
        let request = MeteringRequest::of(Marketplace::Aws, "2024-02".parse().unwrap(), [(&line, quantity)]);
        assert_eq!(
            serde_json::to_string(&request).unwrap(),
            r#"{"request":[{"cloud":"aws","contract_id":"ae641bd1-edf8-4038-bfed-d2ff556c729e","dimension":"memory_byte_hours","start_time":"2024-02-01T00:00:00Z","end_time":"2024-02-29T23:59:59Z","quantity":"36028797018963970"}]}"#
        );
    }
}
