//! Exports as small as a story needs them, and ways to look at a plan.

use std::collections::BTreeMap;

use billing::metering::{MeteringCertificate, Plan, SubmissionState};
use billing::month::BillingMonth;
use chrono::{DateTime, Utc};
use cloud::invocation::Failure;
use cloud::vars::Vars;
use local::Functions;
use local::sandbox::{OmnistrateExport, Organisation};
use serde_json::{Value, json};

use crate::world::{World, quick};
use billing::certificate::Certified;

pub(crate) const FOLDER: &str = "omnistrate-metering/Postgres/PROD/pt-HJSv20iWX0";

pub(crate) fn month(text: &str) -> BillingMonth {
    text.parse().unwrap()
}

pub(crate) fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn plan() -> Plan {
    "Postgres:PROD:pt-HJSv20iWX0".parse().unwrap()
}

/// Another plan of the same service and environment, after [`plan`] in the order of plans.
pub(crate) fn second() -> Plan {
    "Postgres:PROD:pt-b".parse().unwrap()
}

/// Time-outs that a test does not wait for, and one attempt a call unless said otherwise.
pub(crate) fn impatient() -> Vars {
    Vars::from_iter([("CLAZAR_TIMEOUT_MS", "500"), ("METER_LEASE_WAIT_MS", "20000")]).or(&quick())
}

/// A cloud whose export bucket holds nothing but a marker that says that everything is there.
pub(crate) async fn metered(follow: bool) -> World {
    metered_with(follow, &[]).await
}

pub(crate) async fn metered_with(follow: bool, vars: &[(&str, &str)]) -> World {
    let vars = Vars::from_iter(vars.iter().copied()).or(&impatient());
    let nothing = OmnistrateExport::sized(vec![month("2026-09"), month("2026-10")], 0);
    World::exporting(nothing, Organisation::recorded([]), follow, vars).await
}

/// A catalog that lists [`plan`] and these, written as `service:environment:plan` with further members.
pub(crate) fn catalog_of(others: &[(&str, &str)]) -> String {
    let entry = |(plan, more): &(&str, &str)| {
        let plan: Plan = plan.parse().unwrap();
        let [service, environment, plan] = plan.names();
        format!("    - {{service: {service}, environment: {environment}, plan: {plan}{more}}}\n")
    };
    let own = plan().to_string();
    let entries: String = [(own.as_str(), "")].iter().chain(others).map(entry).collect();
    format!("metering:\n  plans:\n{entries}")
}

/// Two plans of one service and environment, whose exports are complete.
pub(crate) async fn two_plans(follow: bool, vars: &[(&str, &str)]) -> World {
    let world = metered_with(follow, vars).await;
    world.plans(&[(&second().to_string(), "")]).await;
    world
}

impl World {
    /// A file of the export: records of contract, dimension and value.
    pub(crate) async fn usage(&self, path: &str, records: &[(&str, &str, &str)]) {
        self.usage_of(&plan(), path, records).await;
    }

    /// The same of another plan.
    pub(crate) async fn usage_of(&self, plan: &Plan, path: &str, records: &[(&str, &str, &str)]) {
        let record = |(contract, dimension, value): &(&str, &str, &str)| json!({"externalPayerId": contract, "dimension": dimension, "value": value, "timestamp": "2026-10-01T00:00:00Z"});
        let records: Value = records.iter().map(record).collect();
        let key = format!("omnistrate-metering/{}/{path}", plan.names().join("/"));
        self.export.overwrite(&key, records.to_string().into_bytes(), "application/json").await.unwrap();
    }

    /// Puts a catalog in force that lists these plans beside [`plan`]; the exports of all are complete.
    pub(crate) async fn plans(&self, others: &[(&str, &str)]) {
        self.put("catalog/current.yaml", &catalog_of(others)).await;
        let complete = |plan: &str| (plan.to_owned(), json!({"last_processed_to": "2026-10-31T23:59:59Z"}));
        let own = plan().to_string();
        let marker: serde_json::Map<String, Value> =
            others.iter().map(|(plan, _)| *plan).chain([own.as_str()]).map(complete).collect();
        let marker = Value::Object(marker).to_string().into_bytes();
        self.export.overwrite(OmnistrateExport::MARKER, marker, "application/json").await.unwrap();
    }

    pub(crate) async fn export_file(&self, path: &str, bytes: &[u8]) {
        let key = format!("{FOLDER}/{path}");
        self.export.overwrite(&key, bytes.to_vec(), "application/json").await.unwrap();
    }

    /// Until when the export is complete.
    pub(crate) async fn exported_to(&self, moment: &str) {
        let marker = json!({plan().to_string(): {"last_processed_to": moment}}).to_string();
        self.export
            .overwrite(OmnistrateExport::MARKER, marker.into_bytes(), "application/json")
            .await
            .unwrap();
    }

    pub(crate) async fn invoke_at(
        &self,
        moment: &str,
        function: &str,
        event: Value,
    ) -> Result<Value, Failure> {
        self.cloud.functions().invoke(function, &event, "test", time(moment)).await
    }

    pub(crate) async fn count(&self) -> Value {
        self.invoke("fetch-omnistrate", json!({})).await.unwrap()
    }

    /// Counts and meters, once, with other variables.
    pub(crate) async fn meter_with(&self, vars: &[(&str, &str)]) -> Result<Value, Failure> {
        self.count().await;
        self.invoke_with(vars, "meter-clazar", json!({})).await
    }

    pub(crate) async fn meter(&self) -> Result<Value, Failure> {
        self.meter_with(&[]).await
    }

    /// As another process would: nothing kept in memory.
    pub(crate) async fn meter_afresh(&self) -> Result<Value, Failure> {
        let functions = Functions::new(self.cloud.vars().clone());
        functions.invoke("meter-clazar", &json!({}), "test", crate::world::now()).await
    }

    pub(crate) async fn closed_through(&self) -> String {
        self.closed_through_of(&plan()).await
    }

    pub(crate) async fn closed_through_of(&self, plan: &Plan) -> String {
        let cursor = self.ledger.cursor(plan).await.unwrap();
        cursor.map(|cursor| cursor.last_processed_month.to_string()).unwrap_or_default()
    }

    /// `contract dimension` to `state quantity`, of a month.
    pub(crate) async fn standing(&self, of: &str) -> BTreeMap<String, String> {
        self.standing_of(&plan(), of).await
    }

    pub(crate) async fn standing_of(&self, plan: &Plan, of: &str) -> BTreeMap<String, String> {
        let submissions = self.ledger.submissions(plan, month(of)).await.unwrap();
        let shown = |(line, stored): (billing::metering::Line, cloud::ledger::Stored)| {
            (line.to_string(), format!("{} {}", stored.submission.state, stored.submission.quantity))
        };
        submissions.into_iter().map(shown).collect()
    }

    pub(crate) async fn states(&self, of: &str) -> Vec<SubmissionState> {
        let submissions = self.ledger.submissions(&plan(), month(of)).await.unwrap();
        submissions.into_values().map(|stored| stored.submission.state).collect()
    }

    /// The certificate of a month by its newest usage.
    pub(crate) async fn metering_certificate(&self, of: &str) -> MeteringCertificate {
        self.metering_certificate_of(&plan(), of).await
    }

    pub(crate) async fn metering_certificate_of(&self, plan: &Plan, of: &str) -> MeteringCertificate {
        let usage = self.ledger.usage(plan).await.unwrap();
        let usage = usage.into_iter().find(|usage| usage.month == month(of)).unwrap();
        let keys = self.keys(&format!("certificates/omnistrate/{}/", plan.names().join("/"))).await;
        let key = keys.iter().find(|key| key.ends_with(&format!("{of}-{}.json", usage.revision))).unwrap();
        MeteringCertificate::from_json(&self.read(key).await).unwrap()
    }

    /// Quantities that Clazar holds for a month, by `contract dimension`.
    pub(crate) fn billed_for(&self, of: &str) -> BTreeMap<String, String> {
        let of_month = self.billed().into_iter().filter(|((_, _, hour), _)| hour.starts_with(of));
        of_month
            .map(|((contract, dimension, _), quantity)| (format!("{contract} {dimension}"), quantity))
            .collect()
    }
}

/// A table of texts.
pub(crate) fn table(rows: &[(&str, &str)]) -> BTreeMap<String, String> {
    rows.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
