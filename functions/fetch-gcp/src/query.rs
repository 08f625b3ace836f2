//! What is asked of the export of billing data: a month of an invoice, summed to what allocation and reports need.
//!
//! One row for each project, service, SKU, day of usage, set of labels (of the resource and of its project) and so on; the
//! export itself has one for each hour and resource. Sums are exact, so the same rows give the same bytes whatever order BigQuery adds them in: `cost` is a
//! FLOAT64, and each amount is taken as its shortest text (0.1, not 0.1000000000000000055), as a BIGNUMERIC, because a
//! NUMERIC ends after nine decimals and would lose 1e-10 and the tail of 6.035e-07. 18 decimals stay, which is what charges
//! hold; they are cut off before summing, so the total is the same however rows are grouped.

use billing::month::BillingMonth;
use billing::revision::sha256_hex;
use chrono::{DateTime, Days, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::bigquery::{PAGE_ROWS, WAIT_MS};
use crate::months::invoice_month;
use crate::table::{BillingTable, Location, ProjectId};

/// How many decimals of an amount stay.
const DECIMALS: u32 = 18;
/// Of quantities, whose numbers are larger.
const QUANTITY_DECIMALS: u32 = 9;
/// Partitions are days of loading; rows of a month are loaded from its first day on, with a margin.
const PARTITION_MARGIN: Days = Days::new(5);

/// Columns that rows are grouped and ordered by: name and where it comes from.
const GROUPS: [(&str, &str); 15] = [
    ("invoice_month", "invoice.month"),
    ("project_id", "project.id"),
    ("service_id", "service.id"),
    ("sku_id", "sku.id"),
    ("cost_type", "cost_type"),
    ("currency", "currency"),
    (
        "labels",
        "TO_JSON_STRING(ARRAY(SELECT AS STRUCT l.key, l.value FROM UNNEST(labels) AS l ORDER BY 1, 2))",
    ),
    (
        "project_labels",
        "TO_JSON_STRING(ARRAY(SELECT AS STRUCT l.key, l.value FROM UNNEST(project.labels) AS l ORDER BY 1, 2))",
    ),
    ("region", "location.region"),
    ("usage_day", "DATE(usage_start_time)"),
    ("usage_unit", "usage.unit"),
    ("pricing_unit", "usage.pricing_unit"),
    ("adjustment_type", "adjustment_info.type"),
    ("adjustment_mode", "adjustment_info.mode"),
    ("adjustment_description", "adjustment_info.description"),
];

/// Names that go with an id; one that changed within the month counts once.
const NAMES: [(&str, &str); 3] =
    [("project_name", "project.name"), ("service", "service.description"), ("sku", "sku.description")];

/// Credits by kind: name and condition on the credit `c`. Together they are `credits`.
const CREDITS: [(&str, &str); 4] = [
    (
        "credits_commitment",
        "IFNULL(c.type, '') IN ('COMMITTED_USAGE_DISCOUNT', 'COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE', 'FEE_UTILIZATION_OFFSET')",
    ),
    ("credits_sustained_use", "IFNULL(c.type, '') = 'SUSTAINED_USAGE_DISCOUNT'"),
    ("credits_promotion", "IFNULL(c.type, '') IN ('PROMOTION', 'FREE_TIER')"),
    (
        "credits_other",
        "IFNULL(c.type, '') NOT IN ('COMMITTED_USAGE_DISCOUNT', 'COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE', \
         'FEE_UTILIZATION_OFFSET', 'SUSTAINED_USAGE_DISCOUNT', 'PROMOTION', 'FREE_TIER')",
    ),
];

/// What does not change from month to month.
pub(crate) struct Query {
    pub(crate) table: BillingTable,
    /// Where the job runs, and who pays for it.
    pub(crate) project: ProjectId,
    pub(crate) location: Location,
    pub(crate) max_bytes_billed: u64,
}

/// The question for one month.
pub(crate) struct MonthQuery {
    /// The body of jobs.query.
    pub(crate) body: Value,
    /// What was asked, without anything that another fetch would change.
    pub(crate) document: Vec<u8>,
    /// The same in one line.
    pub(crate) source: String,
}

/// A FLOAT64 as the exact decimal that its shortest text says.
fn exact(value: &str, decimals: u32) -> String {
    format!("ROUND(CAST(CAST({value} AS STRING) AS BIGNUMERIC), {decimals})")
}

impl Query {
    /// The SQL.
    fn text(&self) -> String {
        let credits = |condition: &str| {
            let amount = exact("c.amount", DECIMALS);
            format!("IFNULL((SELECT SUM({amount}) FROM UNNEST(credits) AS c{condition}), 0)")
        };
        let mut inner: Vec<(&str, String)> = Vec::new();
        inner.extend(GROUPS.iter().chain(&NAMES).map(|(name, source)| (*name, (*source).to_owned())));
        inner.push(("cost", exact("cost", DECIMALS)));
        inner.push(("credits", credits("")));
        inner.extend(CREDITS.iter().map(|(name, kind)| (*name, credits(&format!(" WHERE {kind}")))));
        inner.push(("usage_amount", exact("usage.amount", QUANTITY_DECIMALS)));
        inner.push(("pricing_amount", exact("usage.amount_in_pricing_units", QUANTITY_DECIMALS)));

        let sums = inner.iter().skip(GROUPS.len() + NAMES.len());
        let outer = GROUPS.iter().map(|(name, _)| (*name).to_owned());
        let outer = outer.chain(NAMES.iter().map(|(name, _)| format!("MAX({name}) AS {name}")));
        let outer = outer.chain(sums.map(|(name, _)| format!("SUM({name}) AS {name}")));
        let outer: Vec<String> = outer.collect();
        let inner: Vec<String> = inner.iter().map(|(name, source)| format!("{source} AS {name}")).collect();
        let ordinals: Vec<String> = (1..=GROUPS.len()).map(|ordinal| ordinal.to_string()).collect();
        let (outer, inner, ordinals) = (outer.join(", "), inner.join(",\n    "), ordinals.join(", "));
        format!(
            "SELECT {outer}\nFROM (\n  SELECT {inner}\n  FROM `{table}`\n  WHERE invoice.month = @month AND \
             DATE(_PARTITIONTIME) >= @lo\n)\nGROUP BY {ordinals}\nORDER BY {ordinals}",
            table = self.table,
        )
    }

    /// The question for one month, asked at a time: whoever repeats it then (a connection that broke) gets the same job.
    pub(crate) fn of(&self, month: BillingMonth, now: DateTime<Utc>) -> MonthQuery {
        let text = self.text();
        let first = month.start().date_naive();
        let lo = first.checked_sub_days(PARTITION_MARGIN).unwrap_or(first).to_string();
        let parameters =
            json!([parameter("month", "STRING", &invoice_month(month)), parameter("lo", "DATE", &lo),]);
        let asked = json!({
            "project": self.project.as_str(),
            "location": self.location.as_str(),
            "query": text,
            "queryParameters": parameters,
        });
        let moment = now.to_rfc3339_opts(SecondsFormat::Secs, true);
        let hash = sha256_hex(format!("{asked} {moment}").as_bytes());
        let body = json!({
            "query": text,
            "useLegacySql": false, // the default would be the other language
            "location": self.location.as_str(),
            "maxResults": PAGE_ROWS,
            "timeoutMs": WAIT_MS,
            "requestId": format!("monthend-{}", &hash[..24]),
            "maximumBytesBilled": self.max_bytes_billed.to_string(),
            "parameterMode": "NAMED",
            "queryParameters": parameters,
            "formatOptions": {"timestampOutputFormat": "ISO8601_STRING"},
        });
        MonthQuery {
            body,
            document: format!("{asked:#}\n").into_bytes(),
            source: format!("bigquery://{} invoice.month={}", self.table, invoice_month(month)),
        }
    }
}

fn parameter(name: &str, kind: &str, value: &str) -> Value {
    json!({"name": name, "parameterType": {"type": kind}, "parameterValue": {"value": value}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> Query {
        Query {
            table: "billing-proj.billing.gcp_billing_export_v1_012345_567890_ABCDEF".parse().unwrap(),
            project: "jobs-proj".parse().unwrap(),
            location: "EU".parse().unwrap(),
            max_bytes_billed: 7,
        }
    }

    #[test]
    fn amounts_are_exact_and_rows_in_one_order() {
        let text = query().text();
        for part in [
            "ROUND(CAST(CAST(cost AS STRING) AS BIGNUMERIC), 18) AS cost",
            "SUM(cost) AS cost, SUM(credits) AS credits, SUM(credits_commitment) AS credits_commitment",
            "FROM `billing-proj.billing.gcp_billing_export_v1_012345_567890_ABCDEF`",
            "WHERE invoice.month = @month AND DATE(_PARTITIONTIME) >= @lo\n)",
            "\nGROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\nORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "MAX(project_name) AS project_name",
            "FROM UNNEST(labels) AS l ORDER BY 1, 2)) AS labels",
            "FROM UNNEST(project.labels) AS l ORDER BY 1, 2)) AS project_labels",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert_eq!(text.matches('(').count(), text.matches(')').count());
        assert!(!text.contains("FLOAT64"), "nothing is summed as a float");
    }

    #[test]
    fn a_request_names_the_month_and_repeats_itself() {
        let ask = |month: &str, now: &str| query().of(month.parse().unwrap(), now.parse().unwrap());
        let first = ask("2025-06", "2025-07-02T05:00:00Z");
        let parameters = &first.body["queryParameters"];
        assert_eq!(parameters[0]["parameterValue"]["value"], "202506");
        assert_eq!(parameters[1], parameter("lo", "DATE", "2025-05-27"));
        assert_eq!(
            (&first.body["useLegacySql"], &first.body["location"], &first.body["maximumBytesBilled"]),
            (&json!(false), &json!("EU"), &json!("7"))
        );
        let id = |query: &MonthQuery| query.body["requestId"].as_str().unwrap().to_owned();
        assert!(id(&first).len() <= 36 && id(&first).is_ascii());
        assert_eq!(id(&first), id(&ask("2025-06", "2025-07-02T05:00:00.5Z")), "a repetition is the same job");
        let later = ask("2025-06", "2025-07-02T05:00:01Z");
        assert_ne!(id(&first), id(&later), "what was asked later may have another answer");
        assert_ne!(id(&first), id(&ask("2025-05", "2025-07-02T05:00:00Z")));
        assert_eq!(first.document, later.document, "what is kept does not change with the time");
        assert_eq!(
            first.source,
            "bigquery://billing-proj.billing.gcp_billing_export_v1_012345_567890_ABCDEF invoice.month=202506"
        );
    }
}
