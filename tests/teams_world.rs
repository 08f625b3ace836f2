//! Teams that are billed: a catalog, and charges of two providers that anybody could have exported.

use billing::bills::RunDocument;
use chrono::TimeDelta;
use cloud::invocation::Failure;
use cloud::vars::Vars;
use local::Functions;
use local::sandbox::Organisation;
use serde_json::{Value, json};

use crate::world::{World, now, quick};

/// Two teams, two accounts, a pool, a service, a discount.
pub(crate) const CATALOG: &str = r#"
currency: CHF
cost_center_pattern: "[0-9]{4}"
customers:
  - {name: Team Blue, email: blue@example.com, cost_center: "1000"}
  - {name: Team Red, email: red@example.com, cost_center: "2000"}
accounts:
  - {provider: acme, id: one, customer: Team Blue, percentage: 110, product: P-1}
  - {provider: acme, id: two, customer: Team Red, percentage: 100}
  - {provider: orbit, id: three, customer: Team Red, percentage: 100}
services:
  - name: database
    customer: Team Blue
    components: [{component: managed-db, quantity: 2}]
components:
  - {name: managed-db, price: {fixed_per_service: 40, per_unit: 150}}
pools:
  - {name: support, match: {provider: acme, service: Support}, split: {by: cost}, over: {provider: acme}}
positions:
  - {customer: Team Red, month: 2026-09, reason: migration, amount: "-3.00"}
fx: {source: manual, rates: {2026-09: {USD: "0.9"}, 2026-10: {USD: "0.9"}}}
"#;

/// What the functions are configured with beside the sandbox: these providers must be there.
pub(crate) fn inputs() -> Vars {
    Vars::from_iter([("BILL_INPUTS", "acme,orbit")])
}

/// A world with that catalog and the charges of September.
pub(crate) async fn billed(catalog: &str) -> World {
    let world = World::with(Organisation::recorded([]), false, quick().or(&inputs())).await;
    world.put("catalog/current.yaml", catalog).await;
    world.charge("acme", "2026-09", &ACME, 0).await;
    world.charge("orbit", "2026-09", &[("three", "Compute", "10")], 0).await;
    world
}

pub(crate) const ACME: [(&str, &str, &str); 3] =
    [("one", "Compute", "100.004"), ("two", "Storage", "50"), ("one", "Support", "15")];

impl World {
    /// Brings an export of a month and allocates it; a later one is a revision.
    pub(crate) async fn charge(
        &self,
        provider: &str,
        month: &str,
        rows: &[(&str, &str, &str)],
        minutes: i64,
    ) {
        let mut csv = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,SubAccountId\n"
            .to_owned();
        // one account id under two providers would be asked about
        let payer = if provider == "acme" { "payer".to_owned() } else { format!("{provider}payer") };
        for (account, service, cost) in rows {
            csv += &format!("{cost},{cost},USD,{payer},{month}-01,Usage,{service},{account}\n");
        }
        let key = format!("raw/focus/{provider}/{payer}/{month}/export/{month}.csv");
        let upload = self.bucket.upload(key.clone(), "text/csv");
        let mut upload = upload.fetched_at(now() + TimeDelta::minutes(minutes));
        upload.write(csv.as_bytes()).await.unwrap();
        upload.finish().await.unwrap();
        let at = now() + TimeDelta::minutes(minutes);
        self.cloud.functions().invoke("allocate", &json!({"key": key}), "test", at).await.unwrap();
    }

    pub(crate) async fn try_bill(&self, event: Value) -> Result<Value, Failure> {
        let vars = inputs().or(self.cloud.vars());
        Functions::new(vars).invoke("bill", &event, "test", now()).await
    }

    /// The report of a month that was billed, or was before.
    pub(crate) async fn bill(&self, event: Value) -> Value {
        self.try_bill(event).await.unwrap()["months"][0].clone()
    }

    /// The report of a month that is held.
    pub(crate) async fn held(&self, event: Value) -> Value {
        let failure = self.try_bill(event).await.unwrap_err();
        failure.report.unwrap_or_else(|| panic!("{}", failure.message))["months"][0].clone()
    }

    /// The documents of a month's runs, in their order.
    pub(crate) async fn runs(&self, month: &str) -> Vec<RunDocument> {
        let mut runs = Vec::new();
        for run in self.ledger.chain().await.unwrap().chain.of(month.parse().unwrap()) {
            runs.push(RunDocument::from_json(&self.read(&run.document).await).unwrap());
        }
        runs
    }

    pub(crate) async fn text(&self, key: &str) -> String {
        String::from_utf8(self.read(key).await).unwrap().replace('\r', "")
    }

    /// To whom mails went, with their subjects.
    pub(crate) fn mails(&self) -> Vec<String> {
        self.ses.sent().into_iter().map(|mail| format!("{}: {}", mail.to, mail.subject)).collect()
    }
}

/// What a report says of each bill: customer, total, and what was posted.
pub(crate) fn totals(month: &Value) -> Vec<String> {
    let bills = month["bills"].as_array().unwrap().iter();
    bills
        .map(|bill| format!("{} {} {}", bill["customer"], bill["total"], bill["difference"]).replace('"', ""))
        .collect()
}
