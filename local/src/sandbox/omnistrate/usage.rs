//! How much a subscription uses in an hour, and the document that says so.

use chrono::{DateTime, Datelike, SecondsFormat, Timelike, Utc};

/// A gibibyte for an hour, in thousandths of a byte hour.
const GIB: u128 = (1 << 30) * 1000;
/// A tebibyte for an hour, in thousandths of a byte hour.
const TIB: u128 = 1024 * GIB;

/// A customer's subscription.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) id: String,
    pub(super) contract: String,
    pub(super) usage: Usage,
}

/// How it uses the service.
#[derive(Clone, Copy, Debug)]
pub(super) enum Usage {
    /// The same each hour; the sum of 0.9 over a month is no integer, and not exact in binary.
    Steady,
    /// More bytes in a month than 2 to the power of 53, in texts.
    Big,
    /// Nothing before that hour, and records with fields that others do not have.
    From(DateTime<Utc>),
    /// Other quantities each hour, with decimals; in one hour a record says no payer.
    Varying { without_payer: DateTime<Utc> },
    /// One of many.
    Numbered(u64),
}

/// One record.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) dimension: &'static str,
    /// The value, exactly.
    pub(super) thousandths: u128,
    pub(super) has_payer: bool,
}

/// Dimension and price per unit.
const PRICES: [(&str, &str); 6] = [
    ("cpu_core_hours", "0.05"),
    ("memory_byte_hours", "0.0000000000046566"),
    ("storage_allocated_byte_hours", "0.00000000000012"),
    ("replica_hours", "0.02"),
    ("custom_api_calls", "0.000001"),
    ("custom_egress_gib", "0.09"),
];

/// Fields that only some records have.
const MORE_FIELDS: [(&str, &str); 3] = [
    ("instanceId", "\"instance-k3v9x2m1q\""),
    ("region", "\"eu-central-1\""),
    ("tags", "{\"team\":\"data\",\"tier\":null}"),
];

impl Subscription {
    /// Its records of an hour; none if there is no object for it.
    pub(super) fn readings(&self, hour: DateTime<Utc>) -> Vec<Reading> {
        let number = u128::from(hour.day0() * 24 + hour.hour());
        match self.usage {
            Usage::Steady => readings(&[
                ("cpu_core_hours", 900),
                ("memory_byte_hours", 8 * GIB),
                ("storage_allocated_byte_hours", 100 * GIB),
                ("custom_api_calls", (1_000 + number % 7) * 1000),
            ]),
            Usage::Big => readings(&[
                ("cpu_core_hours", 64_000),
                // a byte more in the first hour makes every month's sum an odd number
                ("memory_byte_hours", 16 * TIB + if number == 0 { 1000 } else { 0 }),
                ("storage_allocated_byte_hours", 48 * TIB + number * 1000),
            ]),
            Usage::From(begin) if hour < begin => Vec::new(),
            Usage::From(_) => readings(&[
                ("cpu_core_hours", 2_000),
                ("memory_byte_hours", 4 * GIB),
                ("storage_allocated_byte_hours", 20 * GIB),
            ]),
            Usage::Varying { without_payer } => varying(number, hour == without_payer),
            Usage::Numbered(own) => {
                let own = u128::from(own);
                readings(&[
                    ("cpu_core_hours", 500 + (own * 7 + number * 3) % 1500),
                    ("memory_byte_hours", (own % 16 + 1) * GIB),
                    ("storage_allocated_byte_hours", (own % 64 + 1) * 10 * GIB + number * 4_096_000),
                ])
            }
        }
    }

    /// The object of an hour: indented for a subscription that varies, else compact.
    pub(super) fn document(&self, hour: DateTime<Utc>, readings: &[Reading]) -> Vec<u8> {
        let (open, comma, close, colon, outer) = match self.usage {
            Usage::Varying { .. } => ("{\n    ", ",\n    ", "\n  }", ": ", ("[\n  ", ",\n  ", "\n]\n")),
            _ => ("{", ",", "}", ":", ("[", ",", "]")),
        };
        let records: Vec<String> = readings
            .iter()
            .map(|reading| {
                let fields = self.fields(hour, reading);
                let fields: Vec<String> =
                    fields.iter().map(|(name, value)| format!("\"{name}\"{colon}{value}")).collect();
                format!("{open}{}{close}", fields.join(comma))
            })
            .collect();
        format!("{}{}{}", outer.0, records.join(outer.1), outer.2).into_bytes()
    }

    /// The fields of a record, with their values as JSON. No text here needs escaping.
    fn fields(&self, hour: DateTime<Utc>, reading: &Reading) -> Vec<(&'static str, String)> {
        let price = PRICES.iter().find(|(dimension, _)| *dimension == reading.dimension);
        let price = price.map_or("0", |(_, price)| price);
        let value = decimal(reading.thousandths);
        let value = if matches!(self.usage, Usage::Big) { format!("\"{value}\"") } else { value };
        let mut fields = Vec::with_capacity(8);
        if reading.has_payer {
            fields.push(("externalPayerId", format!("\"{}\"", self.contract)));
        }
        fields.extend([
            ("dimension", format!("\"{}\"", reading.dimension)),
            ("value", value),
            ("pricePerUnit", price.to_owned()),
            ("timestamp", format!("\"{}\"", hour.to_rfc3339_opts(SecondsFormat::Secs, true))),
        ]);
        if matches!(self.usage, Usage::From(_)) {
            fields.extend(MORE_FIELDS.map(|(name, value)| (name, value.to_owned())));
        }
        fields
    }
}

fn varying(number: u128, without_payer: bool) -> Vec<Reading> {
    let mut readings = readings(&[
        ("cpu_core_hours", 250 + number * 37 % 1000),
        ("memory_byte_hours", (number % 4 + 1) * GIB + 500),
        ("storage_allocated_byte_hours", 50 * GIB + number * 8_192_000),
        ("replica_hours", if number.is_multiple_of(5) { 3_000 } else { 2_000 }),
        // nothing at all in some hours
        ("custom_egress_gib", number * 13 % 50 * 125),
    ]);
    if without_payer {
        readings.push(Reading { dimension: "cpu_core_hours", thousandths: 1_500, has_payer: false });
    }
    readings
}

fn readings(values: &[(&'static str, u128)]) -> Vec<Reading> {
    let reading = |&(dimension, thousandths)| Reading { dimension, thousandths, has_payer: true };
    values.iter().map(reading).collect()
}

/// Thousandths as a decimal number, without zeros at its end.
pub(super) fn decimal(thousandths: u128) -> String {
    let (whole, rest) = (thousandths / 1000, thousandths % 1000);
    if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:03}").trim_end_matches('0').to_owned() }
}
