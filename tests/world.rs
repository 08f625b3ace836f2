//! A fresh embedded cloud for one test, and ways to look at what is in it.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;
use std::time::Duration;

use billing::certificate::{Certificate, Certified};
use billing::keys::{InvoiceKey, METERING_STATE, RawDocumentKey};
use billing::revision::sha256_hex;
use chrono::{DateTime, Utc};
use cloud::aws::Aws;
use cloud::bucket::Bucket;
use cloud::invocation::Failure;
use cloud::ledger::Ledger;
use cloud::vars::Vars;
use local::sandbox::{
    AtlasSandbox, AwsSandbox, AzureSandbox, CcxSandbox, ClazarSandbox, GcpSandbox, HeldRecord,
    OmnistrateExport, Organisation, PrometheusSandbox, SesSandbox,
};
use local::{Embedded, Functions, Home, Options, Sandboxes};
use serde_json::Value;

pub(crate) struct World {
    /// Boxed, so that futures that hold a world stay small.
    pub(crate) cloud: Box<Embedded>,
    pub(crate) atlas: AtlasSandbox,
    pub(crate) clazar: ClazarSandbox,
    pub(crate) azure: AzureSandbox,
    pub(crate) ccx: CcxSandbox,
    pub(crate) billing: AwsSandbox,
    /// What AWS exports costs to.
    pub(crate) costs: Bucket,
    pub(crate) gcp: GcpSandbox,
    pub(crate) ses: SesSandbox,
    pub(crate) prometheus: PrometheusSandbox,
    pub(crate) bucket: Bucket,
    /// What usage is exported to.
    pub(crate) export: Bucket,
    pub(crate) ledger: Ledger,
    pub(crate) aws: Aws,
    vars: Vars,
    _folder: tempfile::TempDir,
}

/// A world as it was.
pub(crate) struct Saved {
    home: Home,
    sandboxes: Sandboxes,
    vars: Vars,
    _folder: tempfile::TempDir,
}

/// The providers of October 2026, worked out once.
static EXAMPLES: LazyLock<Sandboxes> = LazyLock::new(|| {
    let closing = "2026-10".parse().unwrap();
    Sandboxes {
        atlas: AtlasSandbox::new(Organisation::recorded([])),
        clazar: Some(ClazarSandbox::new()),
        azure: AzureSandbox::example(closing),
        ccx: CcxSandbox::example(closing),
        aws: AwsSandbox::example(closing),
        gcp: GcpSandbox::example(closing),
        ses: Some(SesSandbox::default()),
        prometheus: PrometheusSandbox::example(closing),
        omnistrate: no_usage(),
        have_exported: false,
    }
});

/// The time that counts as now in every test.
pub(crate) fn now() -> DateTime<Utc> {
    "2026-11-02T06:00:00Z".parse().unwrap()
}

/// The organisation that closes October 2026.
pub(crate) fn example() -> Organisation {
    Organisation::example("2026-10".parse().unwrap())
}

/// Retries that do not wait.
pub(crate) fn quick() -> Vars {
    Vars::from_iter([("HTTP_BACKOFF_MS", "1"), ("HTTP_CONNECT_TIMEOUT_MS", "2000")])
}

/// What the functions log in all stories, which `tools/scan-logs` looks through.
fn keep_logs() {
    static STARTED: std::sync::Once = std::sync::Once::new();
    STARTED.call_once(|| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-logs");
        std::fs::create_dir_all(&folder).unwrap();
        let file = std::fs::File::options().create(true).append(true).open(folder.join("functions.log"));
        cloud::telemetry::init_file(file.unwrap());
    });
}

/// An export that nobody has metered, and whose months have no files.
fn no_usage() -> OmnistrateExport {
    OmnistrateExport::sized(vec!["2026-10".parse().unwrap()], 0)
}

impl World {
    /// A cloud that delivers its notifications itself.
    pub(crate) async fn new(organisation: Organisation) -> Self {
        Self::with(organisation, true, quick()).await
    }

    pub(crate) async fn with(organisation: Organisation, follow: bool, vars: Vars) -> Self {
        Self::exporting(no_usage(), organisation, follow, vars).await
    }

    /// A cloud that listens on ports, as `monthend up` runs it: for stories of sockets and pages.
    pub(crate) async fn listening(organisation: Organisation, follow: bool, vars: Vars) -> Self {
        let options = Options { ports: true, follow, vars, ..Options::default() };
        Self::start(no_usage(), organisation, options).await
    }

    /// A cloud with that export of usage.
    pub(crate) async fn exporting(
        export: OmnistrateExport,
        organisation: Organisation,
        follow: bool,
        vars: Vars,
    ) -> Self {
        let options = Options { ports: false, follow, vars, ..Options::default() };
        Self::start(export, organisation, options).await
    }

    async fn start(export: OmnistrateExport, organisation: Organisation, options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path().join("home")).unwrap();
        let atlas = AtlasSandbox::new(organisation);
        let sandboxes = Sandboxes { atlas, omnistrate: export, have_exported: false, ..EXAMPLES.copy() };
        Self::on(folder, &home, sandboxes, options).await
    }

    /// What stands now, to go on from more than once. Nothing may happen meanwhile.
    pub(crate) fn save(&self) -> Saved {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path().join("home")).unwrap();
        self.cloud.save(&home).unwrap();
        Saved {
            _folder: folder,
            home,
            sandboxes: self.cloud.sandboxes().unwrap().copy(),
            vars: self.vars.clone(),
        }
    }

    /// A world in which everything is as it was when it was saved; nothing follows by itself.
    pub(crate) async fn resumed(saved: &Saved) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = saved.home.copy(folder.path().join("home")).unwrap();
        let options = Options { ports: false, follow: false, vars: saved.vars.clone(), ..Options::default() };
        Self::on(folder, &home, saved.sandboxes.copy(), options).await
    }

    async fn on(folder: tempfile::TempDir, home: &Home, sandboxes: Sandboxes, options: Options) -> Self {
        keep_logs();
        let vars = options.vars.clone();
        let options = Options {
            ledger_in_memory: true,
            retry_delay: Duration::ZERO,
            sandboxes: Some(sandboxes.clone()),
            ..options
        };
        let cloud = Box::new(Box::pin(Embedded::start(home, options)).await.unwrap());
        let aws = Box::pin(Aws::connect(cloud.vars())).await.unwrap();
        let bucket = Bucket::new(&aws, local::BUCKET);
        let export = Bucket::new(&aws, local::EXPORT_BUCKET);
        let costs = Bucket::new(&aws, local::sandbox::AWS_EXPORT_BUCKET);
        let ledger = Ledger::new(&aws, local::TABLE);
        let Sandboxes { atlas, clazar, azure, ccx, aws: billing, gcp, ses, prometheus, .. } = sandboxes;
        Self {
            cloud,
            atlas,
            clazar: clazar.unwrap(),
            azure,
            ccx,
            gcp,
            ses: ses.unwrap(),
            prometheus,
            billing,
            costs,
            bucket,
            export,
            ledger,
            aws,
            vars,
            _folder: folder,
        }
    }

    pub(crate) async fn invoke(&self, function: &str, event: Value) -> Result<Value, Failure> {
        self.cloud.functions().invoke(function, &event, "test", now()).await
    }

    /// The same function with other variables.
    pub(crate) async fn invoke_with(
        &self,
        vars: &[(&str, &str)],
        function: &str,
        event: Value,
    ) -> Result<Value, Failure> {
        let vars = Vars::from_iter(vars.iter().copied()).or(self.cloud.vars());
        Functions::new(vars).invoke(function, &event, "test", now()).await
    }

    /// Fetches and waits until everything that followed is done.
    pub(crate) async fn fetch(&self, event: Value) -> Value {
        let report = self.invoke("fetch-atlas", event).await.unwrap();
        self.quiet().await;
        report
    }

    /// Waits until no notification waits.
    pub(crate) async fn quiet(&self) {
        for _ in 0..6000 {
            if self.cloud.queue().waiting().unwrap() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("notifications still wait after 30 s");
    }

    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        self.bucket.list(prefix).await.unwrap().into_iter().map(|object| object.key).collect()
    }

    pub(crate) async fn read(&self, key: &str) -> Vec<u8> {
        let object = self.bucket.get(key, None).await.unwrap();
        object.unwrap_or_else(|| panic!("there is no {key}")).bytes.to_vec()
    }

    pub(crate) async fn put_raw(&self, key: &str, bytes: &[u8], fetched_at: &str) {
        let metadata = [("fetched-at".to_owned(), fetched_at.to_owned())].into();
        self.bucket.put_new(key, bytes.to_vec(), "application/json", metadata).await.unwrap();
    }

    /// Invoices in the bucket, by id.
    pub(crate) async fn invoices(&self) -> BTreeMap<String, InvoiceKey> {
        let keys = self.keys("raw/").await;
        let invoices = keys.iter().map(|key| RawDocumentKey::parse(key).unwrap().invoice);
        invoices.map(|invoice| (invoice.invoice_id.to_string(), invoice)).collect()
    }

    /// The certificate of an invoice's newest revision.
    pub(crate) async fn certificate(&self, invoice: &InvoiceKey) -> Certificate {
        let latest = self.ledger.latest(invoice).await.unwrap().unwrap();
        Certificate::from_json(&self.read(&invoice.certificate(&latest)).await).unwrap()
    }

    /// Rows of an invoice's CSV.
    pub(crate) async fn rows(&self, invoice: &InvoiceKey) -> Vec<BTreeMap<String, String>> {
        let bytes = self.read(&invoice.allocations()).await;
        csv::Reader::from_reader(bytes.as_slice()).deserialize().map(Result::unwrap).collect()
    }

    /// Everything that stands at the end: objects by content, ledger items by attribute, and what Clazar holds. Runs
    /// are left out, how often something was tried may differ.
    pub(crate) async fn state(&self) -> BTreeMap<String, String> {
        let mut state = BTreeMap::new();
        for key in self.keys("").await {
            // an answer as it came has a token that differs every time
            if key.ends_with(".page.json") {
                continue;
            }
            let mut bytes = self.read(&key).await;
            // a note that something was held once, and is so no longer
            if key.starts_with("held/bills/") && String::from_utf8_lossy(&bytes).contains("\"released\"") {
                continue;
            }
            if key == METERING_STATE {
                bytes = without_times(&bytes);
            }
            state.insert(format!("s3 {key}"), sha256_hex(&bytes));
        }
        for text in self.ledger_items().await {
            let (pk, sk) = (text["pk"].clone(), text["sk"].clone());
            let history: &[&str] = match &pk {
                pk if pk.contains("METER#") => &METERING_HISTORY,
                pk if pk.contains("BILLS#") => &["since", "note", "attempt"],
                _ => &["recorded_at", "since"],
            };
            let text: BTreeMap<_, _> =
                text.into_iter().filter(|(name, _)| !history.contains(&name.as_str())).collect();
            state.insert(format!("ledger {pk} {sk}"), format!("{text:?}"));
        }
        self.add_what_went_out(&mut state);
        state
    }

    /// All that what happens next may depend on: what stands, what waits, and what providers were told, but for when and how often it was tried.
    pub(crate) async fn stands(&self) -> BTreeMap<String, String> {
        let mut stands = self.cloud.objects().unwrap();
        if stands.remove(&format!("{}/{METERING_STATE}", local::BUCKET)).is_some() {
            let state = without_times(&self.read(METERING_STATE).await);
            stands.insert(METERING_STATE.into(), sha256_hex(&state));
        }
        for mut item in self.ledger_items().await {
            item.retain(|name, _| !TRIED.contains(&name.as_str()));
            stands.insert(format!("ledger {} {}", item["pk"], item["sk"]), format!("{item:?}"));
        }
        for (place, (_, function, mut event)) in (1..).zip(self.cloud.queue().due().unwrap()) {
            for record in event["Records"].as_array_mut().into_iter().flatten() {
                record["eventTime"] = Value::Null;
                record["s3"]["object"]["sequencer"] = Value::Null;
            }
            stands.insert(format!("waits {place}"), format!("{function} {event}"));
        }
        self.add_what_went_out(&mut stands);
        stands
    }

    /// The items of the ledger by attribute, but for runs.
    async fn ledger_items(&self) -> Vec<BTreeMap<String, String>> {
        let scan = self.aws.dynamodb().scan().table_name(local::TABLE).send().await.unwrap();
        assert!(scan.last_evaluated_key.is_none(), "the ledger of a story fits into one page");
        let text = |item: &HashMap<String, _>| {
            item.iter().map(|(name, value)| (name.clone(), format!("{value:?}"))).collect()
        };
        let items = scan.items().iter().map(text);
        items.filter(|item: &BTreeMap<String, String>| !item["pk"].contains("RUN#")).collect()
    }

    fn add_what_went_out(&self, state: &mut BTreeMap<String, String>) {
        for mail in self.ses.sent() {
            let sent = format!("mail {} {}", mail.to, mail.subject);
            assert_eq!(state.insert(sent, sha256_hex(mail.html.as_bytes())), None, "a mail went out twice");
        }
        for record in self.clazar.records() {
            let slot = format!("clazar {} {} {}", record.contract_id, record.dimension, record.hour);
            let held =
                format!("{} {} {} {}", record.quantity, record.cloud, record.start_time, record.end_time);
            assert_eq!(state.insert(slot, held), None, "Clazar holds a record twice");
        }
    }

    /// What Clazar holds: contract, dimension, hour and quantity.
    pub(crate) fn billed(&self) -> BTreeMap<(String, String, String), String> {
        let slot =
            |record: HeldRecord| ((record.contract_id, record.dimension, record.hour), record.quantity);
        self.clazar.records().into_iter().map(slot).collect()
    }
}

/// What a record says of how it came to be, not of what it is.
const METERING_HISTORY: [&str; 10] = [
    "since",
    "fetched_at",
    "order",
    "last_updated",
    "sent_at",
    "until",
    "owner",
    "version",
    "attempts",
    "reply",
];

/// What a record says of when and how often something was tried. What comes later asks of it only whether a submission was sent since its run began; at night,
/// when every trial is told to its end, nothing is left to this list.
const TRIED: [&str; 6] = ["since", "last_updated", "sent_at", "version", "attempts", "reply"];

fn without_times(state: &[u8]) -> Vec<u8> {
    let mut state: Value = serde_json::from_slice(state).unwrap();
    for plan in state.as_object_mut().unwrap().values_mut() {
        plan["last_updated"] = Value::Null;
    }
    state.to_string().into_bytes()
}

/// What differs between two states: nothing if they are the same.
pub(crate) fn differences(left: &BTreeMap<String, String>, right: &BTreeMap<String, String>) -> Vec<String> {
    let keys: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
    let differing = keys.into_iter().filter(|key| left.get(*key) != right.get(*key));
    differing.map(|key| format!("{key}:\n   {:?}\n   {:?}", left.get(key), right.get(key))).collect()
}

/// Two states are the same.
#[track_caller]
pub(crate) fn assert_same(left: &BTreeMap<String, String>, right: &BTreeMap<String, String>) {
    let differences = differences(left, right);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
