//! Names of drivers' documents.

use super::encode;
use crate::month::BillingMonth;

/// Where drivers stand: `drivers/{name}/{YYYY-MM}.{extension}`, CSV of a person or JSON of a function.
pub const DRIVERS: &str = "drivers/";

/// The document of a driver of a month, as `csv` or `json`.
#[must_use]
pub fn driver(name: &str, month: BillingMonth, extension: &str) -> String {
    format!("{DRIVERS}{}/{month}.{extension}", encode(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_stands_by_name_and_month() {
        let month = "2026-10".parse().unwrap();
        assert_eq!(driver("cpu-share", month, "json"), "drivers/cpu-share/2026-10.json");
        assert_eq!(driver("../x", month, "csv"), "drivers/!2E.!2Fx/2026-10.csv");
    }
}
