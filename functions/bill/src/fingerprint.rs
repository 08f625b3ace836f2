//! What a run follows from, as one hash: a run that would follow from the same is not posted again.

use billing::bills::{Drivers, LatePositions, Release, RunDocument, RunId};
use billing::canonical;
use billing::catalog::billing::Catalog;
use billing::revision::sha256_hex;
use serde_json::{Value, json};

use crate::inputs::Sources;

/// Everything that a run follows from. The software's version is no part of it: an upgrade changes no bill.
pub(crate) struct MadeFrom(Value);

impl MadeFrom {
    pub(crate) fn of(
        catalog: &Catalog,
        took: &[RunId],
        released: Option<&Release>,
        sources: &Sources,
        drivers: &Drivers,
        late: &LatePositions,
    ) -> Self {
        let charges = sources
            .sources
            .iter()
            .map(|source| json!([source.invoice.charges(), source.revision.to_string(), source.etag]));
        let drivers = drivers.0.iter().map(|(name, driver)| {
            let quantities =
                driver.quantities.iter().map(|(target, quantity)| json!([target, quantity.to_string()]));
            json!([name, quantities.collect::<Vec<_>>()])
        });
        let mut all = json!({
            "catalog": catalog.version, "took": took, "released": released,
            "charges": charges.collect::<Vec<_>>(), "drivers": drivers.collect::<Vec<_>>(),
        });
        if !(late.here.is_empty() && late.elsewhere.is_empty()) {
            all["late_positions"] = json!([late.here, late.elsewhere]);
        }
        Self(all)
    }

    pub(crate) fn fingerprint(&self) -> Result<String, serde_json::Error> {
        Ok(sha256_hex(&canonical::to_json(&self.0)?))
    }

    /// Whether a posted run was made from the same, whichever version of the software made it.
    pub(crate) fn is_of(&self, run: &RunDocument) -> Result<bool, serde_json::Error> {
        self.has(&run.fingerprint, &run.certificate.software)
    }

    /// Earlier versions counted themselves in: theirs is the hash with the version that the run's certificate states.
    fn has(&self, fingerprint: &str, software: &str) -> Result<bool, serde_json::Error> {
        if fingerprint == self.fingerprint()? {
            return Ok(true);
        }
        let mut earlier = self.0.clone();
        earlier["software"] = json!(software);
        Ok(fingerprint == Self(earlier).fingerprint()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_from(catalog: &str) -> Value {
        json!({"catalog": catalog, "took": [], "released": null, "charges": [["charges/a.parquet", "r", "etag"]], "drivers": []})
    }

    #[test]
    fn a_run_of_another_version_of_the_software_is_the_same_run() {
        let now = MadeFrom(made_from("c1"));
        let fingerprint = now.fingerprint().unwrap();
        for software in ["monthend 0.1.0", "monthend 7.0.0", billing::SOFTWARE] {
            assert!(now.has(&fingerprint, software).unwrap());
            // as versions posted it that counted themselves in
            let mut all = made_from("c1");
            all["software"] = json!(software);
            let earlier = sha256_hex(&canonical::to_json(&all).unwrap());
            assert_ne!(earlier, fingerprint);
            assert!(now.has(&earlier, software).unwrap());
            assert!(!MadeFrom(made_from("c2")).has(&earlier, software).unwrap(), "another catalog");
        }
        assert!(!MadeFrom(made_from("c2")).has(&fingerprint, billing::SOFTWARE).unwrap());
    }
}
