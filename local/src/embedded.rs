//! The embedded cloud: servers, functions and the delivery of notifications in one process.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use cloud::vars::Vars;
use dynoxide::Database;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::bucket::{AllSigned, EmbeddedS3, OneKey};
use crate::dispatcher::Dispatcher;
use crate::dynamodb::{self, LedgerFileError};
use crate::functions::Functions;
use crate::gate::Gate;
use crate::home::{Endpoints, Exported, GcpEndpoint, Home, HomeError};
use crate::queue::Queue;
use crate::sandbox::{
    self, AtlasSandbox, AwsSandbox, AzureSandbox, CcxSandbox, ClazarSandbox, GcpSandbox, OmnistrateExport,
    PrometheusSandbox, SesSandbox, VaultSandbox, secrets,
};
use crate::serve::{Door, listen, serve};
use crate::store::{Store, StoreError};
use crate::template::{Template, TemplateError};
use crate::wire::{self, Server, Wire};
use crate::{BUCKET, EXPORT_BUCKET, REGION, TABLE};

/// How often files are looked after that were written a while ago.
const SETTLE: Duration = Duration::from_secs(60);

/// How to run an embedded cloud.
#[derive(Debug)]
pub struct Options {
    /// Address to listen on: loopback unless somebody asks for more.
    pub address: IpAddr,
    /// First of the ports; the others follow. 0 takes free ones.
    pub port_base: u16,
    /// Listen for other processes, and for the console's pages. Without, all of its servers answer in this
    /// process only, and there is no console.
    pub ports: bool,
    /// Keep the ledger in memory only, where it begins with what stands in the home: for tests.
    pub ledger_in_memory: bool,
    /// Deliver notifications; without, they stay queued.
    pub follow: bool,
    /// Wait before a failed notification is delivered again, doubled once.
    pub retry_delay: Duration,
    /// Notifications delivered at once.
    pub concurrency: usize,
    /// Sandbox providers to run with it.
    pub sandboxes: Option<Sandboxes>,
    /// Further variables of the functions.
    pub vars: Vars,
}

/// The sandbox providers.
#[derive(Clone, Debug)]
pub struct Sandboxes {
    /// MongoDB Atlas.
    pub atlas: AtlasSandbox,
    /// Clazar; nothing for one that keeps what it holds in the home.
    pub clazar: Option<ClazarSandbox>,
    /// Azure.
    pub azure: AzureSandbox,
    /// CCX.
    pub ccx: CcxSandbox,
    /// AWS, as far as it bills.
    pub aws: AwsSandbox,
    /// Google Cloud.
    pub gcp: GcpSandbox,
    /// SES; nothing for one that keeps mails as files in the home.
    pub ses: Option<SesSandbox>,
    /// Prometheus.
    pub prometheus: PrometheusSandbox,
    /// What Omnistrate has exported.
    pub omnistrate: OmnistrateExport,
    /// Whether their exports stand in the home already, of a cloud that was saved.
    pub have_exported: bool,
}

impl Sandboxes {
    /// Others that are as these are now, for a cloud that goes on with what stands in the home.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self {
            atlas: self.atlas.copy(),
            clazar: self.clazar.as_ref().map(ClazarSandbox::copy),
            azure: self.azure.copy(),
            ccx: self.ccx.copy(),
            aws: self.aws.copy(),
            gcp: self.gcp.copy(),
            ses: self.ses.as_ref().map(SesSandbox::copy),
            prometheus: self.prometheus.copy(),
            omnistrate: self.omnistrate.clone(),
            have_exported: true,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            port_base: 0,
            ports: true,
            ledger_in_memory: false,
            follow: true,
            retry_delay: Duration::from_secs(1),
            concurrency: 4,
            sandboxes: None,
            vars: Vars::default(),
        }
    }
}

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EmbeddedError {
    #[error("failed to listen on {address} port {port}: {source}; choose other ports with --port-base")]
    Listen { address: IpAddr, port: u16, source: std::io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] LedgerFileError),
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("the sandbox cannot use its files: {0}")]
    Sandbox(std::io::Error),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Console(#[from] console::StartError),
}

/// A running embedded cloud. Dropping it stops it.
pub struct Embedded {
    endpoints: Endpoints,
    vars: Vars,
    wire: Wire,
    functions: Arc<Functions>,
    queue: Queue,
    sandboxes: Option<Sandboxes>,
    vault: Option<VaultSandbox>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    database: Database,
    store: Store,
}

/// The servers of a cloud that starts.
struct Servers<'o> {
    options: &'o Options,
    wire: Wire,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Servers<'_> {
    async fn bind(&self, offset: u16) -> Result<(TcpListener, String), EmbeddedError> {
        let Options { address, port_base, .. } = *self.options;
        let port = if port_base == 0 { 0 } else { port_base.saturating_add(offset) };
        listen(address, port).await.map_err(|source| EmbeddedError::Listen { address, port, source })
    }

    fn serve(&mut self, listener: TcpListener, door: Door, server: Server) {
        self.tasks.push(tokio::spawn(serve(listener, door, server, self.stop.clone())));
    }

    /// A server that is reached over its port.
    async fn on_port(&mut self, offset: u16, server: Server) -> Result<String, EmbeddedError> {
        let (listener, url) = self.bind(offset).await?;
        self.wire.connect(&url, server.clone());
        self.serve(listener, Door::Programs, server);
        Ok(url)
    }

    /// A server that is asked by functions: in this process, and by others over its port.
    async fn reachable(&mut self, name: &str, offset: u16, server: Server) -> Result<String, EmbeddedError> {
        if self.options.ports {
            return self.on_port(offset, server).await;
        }
        Ok(self.wire.add(name, server))
    }
}

impl Embedded {
    /// Starts it on a home. The caller holds the home's lock.
    ///
    /// # Errors
    /// [`EmbeddedError`].
    pub async fn start(home: &Home, options: Options) -> Result<Self, EmbeddedError> {
        let (template, credentials) = (Template::built_in()?, home.credentials()?);
        let store = Store::open(home, template)?;
        for bucket in buckets(&options.vars) {
            store.make_bucket(bucket).await?;
        }
        let queue = Queue::of(&store);
        let stop = CancellationToken::new();
        let mut servers =
            Servers { options: &options, wire: Wire::default(), stop: stop.clone(), tasks: Vec::new() };

        let mut service = S3ServiceBuilder::new(EmbeddedS3::new(store.clone()));
        service.set_auth(OneKey(credentials.clone()));
        service.set_access(AllSigned);
        let s3 = servers.reachable("s3", 1, Server::new(service.build())).await?;

        let database = if options.ledger_in_memory {
            dynamodb::copy(&home.dynamodb())?
        } else {
            dynamodb::open(&home.dynamodb())?
        };
        let ledger = dynamodb::router(database.clone(), credentials.clone());
        let dynamodb = servers.reachable("dynamodb", 2, ledger.into()).await?;
        let secrets = secrets::router(home.admin(), credentials.clone());
        let secrets = servers.reachable("secretsmanager", 3, secrets.into()).await?;

        let (mut atlas, mut clazar, mut ccx, mut omnistrate) = (None, None, None, None);
        let (mut aws, mut azure, mut gcp, mut ses) = (None, None, None, None);
        let (mut prometheus, mut vault, mut vault_url) = (None, None, None);
        let mut sandboxes = options.sandboxes.clone();
        if let Some(sandboxes) = &mut sandboxes {
            let url = servers.reachable("atlas", 4, sandboxes.atlas.clone().router().into()).await?;
            atlas = Some(format!("{url}/api/atlas/v2"));
            let sandbox = match sandboxes.clazar.take() {
                Some(sandbox) => sandbox,
                None => ClazarSandbox::in_file(home.clazar()).map_err(EmbeddedError::Sandbox)?,
            };
            let url = servers.reachable("clazar", 5, sandbox.clone().router().into()).await?;
            clazar = Some(format!("{url}/metering/"));
            sandboxes.clazar = Some(sandbox);
            ccx = Some(servers.reachable("ccx", 6, sandboxes.ccx.clone().router().into()).await?);
            let exports = home.s3().join(sandbox::AWS_EXPORT_BUCKET);
            let written = sandboxes.aws.write_to(&exports, !sandboxes.have_exported);
            written.map_err(EmbeddedError::Sandbox)?;
            let billing = sandboxes.aws.clone().router().layer(axum::Extension(credentials.clone()));
            aws = Some(servers.reachable("aws", 7, billing.into()).await?);
            let url = servers.reachable("gcp", 9, sandboxes.gcp.clone().router().into()).await?;
            gcp = Some(GcpEndpoint { url, service_account_key: GcpSandbox::service_account_key() });
            azure = Some(servers.reachable("azure", 8, sandboxes.azure.clone().router().into()).await?);
            let sandbox = sandboxes.ses.take().unwrap_or_else(|| SesSandbox::in_folder(home.mails()));
            let mails = sandbox.clone().router().layer(axum::Extension(credentials.clone()));
            ses = Some(servers.reachable("ses", 12, mails.into()).await?);
            sandboxes.ses = Some(sandbox);
            prometheus = Some(
                servers.reachable("prometheus", 10, sandboxes.prometheus.clone().router().into()).await?,
            );
            let sandbox = vault.insert(VaultSandbox::example());
            vault_url = Some(servers.reachable("vault", 11, sandbox.clone().router().into()).await?);
            if !sandboxes.have_exported {
                let written = sandboxes.omnistrate.write_to(&home.s3().join(EXPORT_BUCKET));
                written.map_err(EmbeddedError::Sandbox)?;
            }
            omnistrate = Some(exported(&sandboxes.omnistrate));
        }
        let console = if options.ports { Some(servers.bind(0).await?) } else { None };

        let endpoints = Endpoints {
            s3,
            dynamodb,
            console: console.as_ref().map(|(_, url)| url.clone()).unwrap_or_default(),
            secrets,
            atlas,
            clazar,
            ccx,
            aws,
            gcp,
            azure,
            ses,
            prometheus,
            vault: vault_url,
            omnistrate,
            bucket: BUCKET.into(),
            table: TABLE.into(),
            credentials,
            pid: std::process::id(),
        };
        let vars = vars_for(&endpoints, &options.vars).within(Arc::new(servers.wire.clone()));
        let functions = Arc::new(Functions::new(vars.clone()));
        if let Some((listener, _)) = console {
            let router = console::router(console::App::connect(&console_vars(&vars)).await?);
            servers.serve(listener, Door::Pages, router.into());
        }
        let Servers { wire, mut tasks, .. } = servers;
        if options.follow {
            let dispatcher =
                Dispatcher::new(queue.clone(), functions.clone(), options.retry_delay, options.concurrency);
            tasks.push(tokio::spawn(dispatcher.run()));
        }
        // what was written into the data bucket's folder since, also while nothing ran
        store.take_in(BUCKET, "").await?;
        tasks.push(tokio::spawn(settle(store.clone())));
        Ok(Self { endpoints, vars, wire, functions, queue, sandboxes, vault, stop, tasks, database, store })
    }

    /// Where it answers.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The variables of a function in it.
    #[must_use]
    pub fn vars(&self) -> &Vars {
        &self.vars
    }

    /// A gate before its servers.
    #[must_use]
    pub fn gate(&self) -> Gate {
        Gate::new(self.wire.clone())
    }

    /// Its functions.
    #[must_use]
    pub fn functions(&self) -> &Arc<Functions> {
        &self.functions
    }

    /// Its notifications.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Its sandbox of Atlas.
    #[must_use]
    pub fn atlas(&self) -> Option<&AtlasSandbox> {
        self.sandboxes.as_ref().map(|sandboxes| &sandboxes.atlas)
    }

    /// Its sandbox of Clazar.
    #[must_use]
    pub fn clazar(&self) -> Option<&ClazarSandbox> {
        self.sandboxes.as_ref().and_then(|sandboxes| sandboxes.clazar.as_ref())
    }

    /// Its sandbox of Azure.
    #[must_use]
    pub fn azure(&self) -> Option<&AzureSandbox> {
        self.sandboxes.as_ref().map(|sandboxes| &sandboxes.azure)
    }

    /// Its sandbox of CCX.
    #[must_use]
    pub fn ccx(&self) -> Option<&CcxSandbox> {
        self.sandboxes.as_ref().map(|sandboxes| &sandboxes.ccx)
    }

    /// Its sandbox of Prometheus.
    #[must_use]
    pub fn prometheus(&self) -> Option<&PrometheusSandbox> {
        self.sandboxes.as_ref().map(|sandboxes| &sandboxes.prometheus)
    }

    /// Its sandbox of Google Cloud.
    #[must_use]
    pub fn gcp(&self) -> Option<&GcpSandbox> {
        self.sandboxes.as_ref().map(|sandboxes| &sandboxes.gcp)
    }

    /// Its sandbox of SES.
    #[must_use]
    pub fn ses(&self) -> Option<&SesSandbox> {
        self.sandboxes.as_ref().and_then(|sandboxes| sandboxes.ses.as_ref())
    }

    /// Its sandbox of AWS.
    #[must_use]
    pub fn aws(&self) -> Option<&AwsSandbox> {
        self.sandboxes.as_ref().map(|sandboxes| &sandboxes.aws)
    }

    /// Its sandbox of Vault.
    #[must_use]
    pub fn vault(&self) -> Option<&VaultSandbox> {
        self.vault.as_ref()
    }

    /// Keeps all that stands in the home now in another one, which is empty; what the sandboxes know is theirs ([`Sandboxes::copy`]).
    /// Nothing may happen meanwhile.
    ///
    /// # Errors
    /// [`EmbeddedError`].
    pub fn save(&self, home: &Home) -> Result<(), EmbeddedError> {
        self.store.save(home)?;
        dynamodb::save(&self.database, &home.dynamodb())?;
        Ok(home.keep_credentials(&self.endpoints.credentials)?)
    }

    /// What stands under every key of every bucket: size, `ETag`, headers and metadata, not when it was written.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn objects(&self) -> Result<BTreeMap<String, String>, EmbeddedError> {
        Ok(self.store.objects()?)
    }

    /// Its sandboxes.
    #[must_use]
    pub fn sandboxes(&self) -> Option<&Sandboxes> {
        self.sandboxes.as_ref()
    }

    /// Stops everything and waits for it.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let tasks = std::mem::take(&mut self.tasks);
        // the dispatcher waits for notifications for ever, and an open connection may hold a server up
        tasks.iter().for_each(JoinHandle::abort);
        for task in tasks {
            let _ = task.await; // aborted
        }
        let _ = self.database.vacuum(); // folds the write-ahead log into the file
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop.cancel();
        for task in &self.tasks {
            task.abort();
        }
        self.store.close();
    }
}

/// Where the billing APIs of AWS are.
const BILLING_ENDPOINTS: [&str; 3] =
    ["AWS_ENDPOINT_URL_COST_EXPLORER", "AWS_ENDPOINT_URL_INVOICING", "AWS_ENDPOINT_URL_ORGANIZATIONS"];

/// Variables of fetch-aws that point nowhere: an export may be copied into an embedded cloud.
const ABOUT_BILLS: [&str; 7] = [
    "AWS_BILLING_ACCOUNT",
    "AWS_EXPORT_BUCKET",
    "AWS_EXPORT_PREFIX",
    "AWS_EXPORT_NAME",
    "AWS_INVOICING",
    "AWS_ACCOUNT_NAMES",
    "AWS_MONTHS",
];

/// The variables of a function in an embedded cloud: those that point it there, and of `others` what has nothing
/// to do with AWS (a session token of the real one would spoil the credentials).
#[must_use]
pub fn vars_for(endpoints: &Endpoints, others: &Vars) -> Vars {
    let mut vars = Vars::from_iter([
        ("AWS_ENDPOINT_URL_S3", endpoints.s3.as_str()),
        ("AWS_ENDPOINT_URL_DYNAMODB", &endpoints.dynamodb),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &endpoints.secrets),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", &endpoints.credentials.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &endpoints.credentials.secret_access_key),
        ("DATA_BUCKET", &endpoints.bucket),
        ("STATE_TABLE", &endpoints.table),
        ("ADMIN_SECRET_ARN", secrets::ADMIN_SECRET_ARN),
    ]);
    if !endpoints.s3.starts_with("http://127.0.0.1:") && !wire::is_name(&endpoints.s3) {
        // it listens for the containers of `sam local`, and is reached at the private address that they know
        vars.set("AWS_SAM_LOCAL", "true");
    }
    if let Some(url) = &endpoints.atlas {
        vars.set("ATLAS_API_URL", url.as_str());
        vars.set("SECRETS", "env");
        vars.set("REPORTING_DEFAULT_LOCATION", crate::journal::DEFAULT_LOCATION);
        for (name, value) in sandbox::ATLAS_CREDENTIALS {
            vars.set(name, value);
        }
    }
    if let Some(url) = &endpoints.clazar {
        vars.set("CLAZAR_API_URL", url.as_str());
        for (name, value) in sandbox::CLAZAR_CREDENTIALS {
            vars.set(name, value);
        }
    }
    if let Some(url) = &endpoints.ccx {
        vars.set("CCX_API_URL", url.as_str());
        vars.set("CCX_ACCOUNT", sandbox::CCX_ACCOUNT);
        for (name, value) in sandbox::CCX_CREDENTIALS {
            vars.set(name, value);
        }
    }
    if let Some(url) = &endpoints.prometheus {
        vars.set("PROMETHEUS_URL", url.as_str());
        vars.set("PROMETHEUS_ACCOUNT", sandbox::PROMETHEUS_ACCOUNT);
        for (name, value) in sandbox::PROMETHEUS_CREDENTIALS {
            vars.set(name, value);
        }
    }
    if let Some(gcp) = &endpoints.gcp {
        vars.set("GCP_API_URL", gcp.url.as_str());
        vars.set("GCP_TOKEN_URL", format!("{}/token", gcp.url));
        vars.set("GCP_BILLING_TABLE", crate::sandbox::GCP_BILLING_TABLE);
        vars.set("GCP_LOCATION", crate::sandbox::GCP_LOCATION);
        vars.set("GCP_SERVICE_ACCOUNT_KEY", gcp.service_account_key.as_str());
        vars.set("GCP_POLL_MS", "10"); // its jobs take no time
    }
    if let Some(url) = &endpoints.azure {
        vars.set("AZURE_API_URL", url.as_str());
        vars.set("AZURE_LOGIN_URL", url.as_str());
        vars.set("AZURE_SCOPE", crate::sandbox::AZURE_SCOPE);
        for (name, value) in crate::sandbox::AZURE_CREDENTIALS {
            vars.set(name, value);
        }
    }
    if let Some(url) = &endpoints.aws {
        for name in BILLING_ENDPOINTS {
            vars.set(name, url.as_str());
        }
        vars.set("AWS_BILLING_ACCOUNT", sandbox::AWS_ACCOUNT);
        vars.set("AWS_EXPORT_BUCKET", sandbox::AWS_EXPORT_BUCKET);
        vars.set("AWS_EXPORT_PREFIX", sandbox::AWS_EXPORT_PREFIX);
        vars.set("AWS_EXPORT_NAME", sandbox::AWS_CUR2);
    }
    if let Some(url) = &endpoints.ses {
        vars.set("AWS_ENDPOINT_URL_SESV2", url.as_str());
        vars.set("MAIL_FROM", sandbox::MAIL_FROM);
        vars.set("BILL_INPUTS", "atlas,aws,azure,gcp");
    }
    if let Some(exported) = &endpoints.omnistrate {
        vars.set("S3_BUCKET_NAME", exported.bucket.as_str());
        vars.set("SERVICE_NAME", exported.service.as_str());
        vars.set("ENVIRONMENT_TYPE", exported.environment.as_str());
        vars.set("PLAN_ID", exported.plan.as_str());
        vars.set("START_MONTH", exported.start_month.as_str());
    }
    if let Some(location) = others.get("REPORTING_DEFAULT_LOCATION") {
        vars.set("REPORTING_DEFAULT_LOCATION", location);
    }
    // what says which bill is fetched is no access to AWS
    for name in ABOUT_BILLS {
        if let (None, Some(value)) = (vars.get(name), others.get(name)) {
            vars.set(name, value);
        }
    }
    vars.or(&others.clone().without("AWS_"))
}

/// The variables of the console: the admin's password stands in the embedded Secrets Manager, wherever other secrets come from.
#[must_use]
pub fn console_vars(vars: &Vars) -> Vars {
    let mut vars = vars.clone();
    vars.set("SECRETS", "secretsmanager");
    vars
}

/// An export in the bucket that it is written to.
fn exported(export: &OmnistrateExport) -> Exported {
    let start_month = export.months().first().map(ToString::to_string).unwrap_or_default();
    Exported {
        bucket: EXPORT_BUCKET.into(),
        service: export.service().into(),
        environment: export.environment().into(),
        plan: export.plan().into(),
        start_month,
    }
}

/// The buckets: the data bucket, and those that usage and costs are exported to if the variables name them.
fn buckets(vars: &Vars) -> impl Iterator<Item = &str> {
    [Some(BUCKET), vars.get("S3_BUCKET_NAME"), vars.get("AWS_EXPORT_BUCKET")].into_iter().flatten()
}

/// Forgets from time to time what the disk has by now.
async fn settle(store: Store) {
    loop {
        tokio::time::sleep(SETTLE).await;
        let settling = store.clone();
        let settled = tokio::task::spawn_blocking(move || {
            while settling.settle_moves()? > 0 {}
            Ok::<_, StoreError>(())
        });
        // a panic was told where it happened
        if let Ok(Err(error)) = settled.await {
            tracing::warn!("{error}");
        }
    }
}
