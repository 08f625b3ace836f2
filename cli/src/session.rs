//! What a command works on: the embedded cloud of the home, started here or reached in the process that runs
//! it, or a deployed stack.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use billing::month::BillingMonth;
use chrono::{DateTime, TimeDelta, Utc};
use cloud::aws::Aws;
use cloud::bucket::Bucket;
use cloud::ledger::Ledger;
use cloud::vars::Vars;
use local::sandbox::{
    AtlasSandbox, AwsSandbox, AzureSandbox, CcxSandbox, GcpSandbox, OmnistrateExport, Organisation,
    PrometheusSandbox,
};
use local::{
    DeadLetter, Embedded, Endpoints, Functions, Home, HomeError, HomeKind, HomeLock, Options, Queue,
    Sandboxes,
};

use crate::args::{Args, Cloud};
use crate::dotenv;
use crate::output::Output;

pub(crate) struct Session {
    pub(crate) bucket: Bucket,
    pub(crate) ledger: Ledger,
    pub(crate) functions: Arc<Functions>,
    /// Nothing on AWS.
    pub(crate) embedded: Option<EmbeddedSession>,
    /// What the functions are configured with.
    pub(crate) vars: Vars,
    pub(crate) aws: Aws,
}

pub(crate) struct EmbeddedSession {
    pub(crate) home: Home,
    pub(crate) queue: Queue,
    /// The number of the last one that was given up before this session.
    last_dead_letter: i64,
    /// Nothing if another process runs it. Dropped before the lock.
    pub(crate) running: Option<Embedded>,
    _lock: Option<HomeLock>,
}

/// The folder that `MONTHEND_HOME` names, else `.monthend`.
pub(crate) fn home_folder() -> PathBuf {
    std::env::var_os("MONTHEND_HOME")
        .filter(|path| !path.is_empty())
        .map_or_else(|| ".monthend".into(), PathBuf::from)
}

/// Before the second attempt at a provider, doubling: somebody waits here, unlike on Lambda.
const BACKOFF_MS: &str = "2000";

/// The environment, and what a file `.env` in this folder adds to it.
pub(crate) fn variables() -> anyhow::Result<Vars> {
    let file = dotenv::read(Path::new(".env"))?;
    Ok(Vars::from_process().or(&file).or(&Vars::from_iter([("HTTP_BACKOFF_MS", BACKOFF_MS)])))
}

/// After these days of a month the bills of the one before are final, of every provider.
const FINAL_AFTER: TimeDelta = TimeDelta::days(10);

/// The month that invented data close unless somebody says another: the last one that is final, so that everything comes to an end on any day.
pub(crate) fn last_final(now: DateTime<Utc>) -> BillingMonth {
    BillingMonth::containing(now - FINAL_AFTER).previous()
}

/// The sandbox providers, closing that month or the last one that is final.
pub(crate) fn sandbox(month: Option<BillingMonth>) -> Sandboxes {
    let closing = month.unwrap_or_else(|| last_final(Utc::now()));
    Sandboxes {
        atlas: AtlasSandbox::new(Organisation::example(closing)),
        clazar: None,
        azure: AzureSandbox::example(closing),
        ccx: CcxSandbox::example(closing),
        aws: AwsSandbox::example(closing),
        gcp: GcpSandbox::example(closing),
        ses: None,
        prometheus: PrometheusSandbox::example(closing),
        omnistrate: OmnistrateExport::example(closing),
        have_exported: false,
    }
}

/// What a command does with a home, which holds own data or the sandbox's, never both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// It looks at what is there.
    Look,
    /// It brings data, or works on what was brought.
    Bring,
    /// It asks providers: the user's own, or those of the sandbox, as the option says.
    Fetch { sandbox: bool },
}

impl Session {
    /// What looks at what is there; nothing that waits is delivered.
    pub(crate) async fn look(args: &Args, output: &Output) -> anyhow::Result<Self> {
        Self::open(args, Use::Look, false, output).await
    }

    /// `follow` delivers the notifications that wait.
    pub(crate) async fn open(args: &Args, used: Use, follow: bool, output: &Output) -> anyhow::Result<Self> {
        let vars = variables()?;
        let sandbox = used == Use::Fetch { sandbox: true };
        if args.cloud == Cloud::Aws {
            anyhow::ensure!(!sandbox, "--sandbox is for the embedded cloud, not for --cloud aws");
            return Self::connect(vars, None, None).await;
        }
        let home = Home::open(home_folder())?;
        match home.lock()? {
            Some(lock) => {
                let sandboxed = is_sandboxed(&home, used, &vars, output)?;
                let options = Options {
                    follow,
                    sandboxes: sandboxed.then(|| self::sandbox(None)),
                    vars,
                    ..Options::default()
                };
                let embedded = Box::pin(Embedded::start(&home, options)).await?;
                lock.announce(embedded.endpoints())?;
                let session = Box::pin(Self::of_embedded(home, embedded, lock)).await?;
                if follow {
                    // what an earlier command has begun comes to its end before this one looks
                    session.follow(output, "finishing what was begun").await?;
                }
                Ok(session)
            }
            None => {
                let endpoints = wait_for_endpoints(&home).await?;
                anyhow::ensure!(
                    !sandbox || endpoints.atlas.is_some(),
                    "`monthend up` runs on this home without its sandbox: start it with --sandbox"
                );
                is_sandboxed(&home, used, &vars, output)?;
                let queue = Queue::open(&home)?;
                let session = EmbeddedSession {
                    last_dead_letter: last_dead_letter(&queue)?,
                    home,
                    queue,
                    running: None,
                    _lock: None,
                };
                Box::pin(Self::connect(local::vars_for(&endpoints, &vars), Some(session), None)).await
            }
        }
    }

    /// A session in the process that runs the embedded cloud.
    pub(crate) async fn of_embedded(home: Home, embedded: Embedded, lock: HomeLock) -> anyhow::Result<Self> {
        let (vars, queue, functions) =
            (embedded.vars().clone(), embedded.queue().clone(), embedded.functions().clone());
        let last_dead_letter = last_dead_letter(&queue)?;
        let session =
            EmbeddedSession { home, queue, last_dead_letter, running: Some(embedded), _lock: Some(lock) };
        Self::connect(vars, Some(session), Some(functions)).await
    }

    async fn connect(
        vars: Vars,
        embedded: Option<EmbeddedSession>,
        functions: Option<Arc<Functions>>,
    ) -> anyhow::Result<Self> {
        let aws = Aws::connect(&vars).await?;
        let bucket =
            vars.require("DATA_BUCKET", "the name of the data bucket (output DataBucket of the stack)")?;
        let table =
            vars.require("STATE_TABLE", "the name of the ledger's table (output StateTable of the stack)")?;
        Ok(Self {
            bucket: Bucket::new(&aws, bucket),
            ledger: Ledger::new(&aws, table),
            functions: functions.unwrap_or_else(|| Arc::new(Functions::new(vars.clone()))),
            embedded,
            vars,
            aws,
        })
    }

    /// Another bucket, or the data bucket.
    pub(crate) fn bucket_named(&self, name: Option<&str>) -> Bucket {
        name.map_or_else(|| self.bucket.clone(), |name| Bucket::new(&self.aws, name))
    }

    /// Waits until no notification waits. On AWS there is nothing to wait for here.
    pub(crate) async fn follow(&self, output: &Output, what: &str) -> anyhow::Result<()> {
        let Some(embedded) = &self.embedded else { return Ok(()) };
        let mut progress = None;
        loop {
            let waiting = embedded.queue.waiting().context("failed to read the queue of notifications")?;
            if waiting == 0 {
                return Ok(());
            }
            if embedded.running.is_none() && embedded.home.lock()?.is_some() {
                anyhow::bail!(
                    "the cloud that ran here has ended, and {waiting} notifications wait: the next command delivers them"
                );
            }
            if let Some(trouble) = embedded.queue.trouble() {
                anyhow::bail!("{waiting} notifications wait, the next command delivers them: {trouble}");
            }
            progress.get_or_insert_with(|| output.progress(what)).waiting(waiting);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Events given up since this session began.
    pub(crate) fn new_dead_letters(&self) -> anyhow::Result<Vec<(i64, DeadLetter)>> {
        let Some(embedded) = &self.embedded else { return Ok(Vec::new()) };
        let mut letters = embedded.queue.dead_letters()?;
        letters.retain(|(id, _)| *id > embedded.last_dead_letter);
        Ok(letters)
    }
}

fn last_dead_letter(queue: &Queue) -> anyhow::Result<i64> {
    Ok(queue.dead_letters()?.last().map_or(0, |(id, _)| *id))
}

/// Whether the home is one of the sandbox. Own and invented data are not mixed: somebody who has credentials of
/// their own set does not get the sandbox's figures unasked, and is told whose figures they look at.
pub(crate) fn is_sandboxed(home: &Home, used: Use, vars: &Vars, output: &Output) -> anyhow::Result<bool> {
    if used == (Use::Fetch { sandbox: true }) {
        home.claim(HomeKind::Sandbox)?;
        return Ok(true);
    }
    let own = OWN.into_iter().find(|name| vars.get(name).is_some());
    if home.kind() != Some(HomeKind::Sandbox) {
        if own.is_some() && used != Use::Look {
            home.claim(HomeKind::Own)?;
        }
        return Ok(false);
    }
    let holds = format!("{} holds the sandbox's invented data", home.root().display());
    match (used, own) {
        (Use::Look, None) => {}
        (Use::Look, Some(_)) => output.note(&holds),
        (Use::Fetch { .. }, None) => output.note(&format!("{holds}: going on with the sandbox")),
        (Use::Bring, None) => output.note(&format!(
            "{holds}: what is added stands among it; for your own data, `monthend reset` or another MONTHEND_HOME"
        )),
        (Use::Fetch { .. }, Some(name)) => anyhow::bail!(
            "{holds}, and {name} is set, for an account of your own: `monthend reset` removes the invented data, \
             MONTHEND_HOME names another folder, --sandbox goes on with the sandbox"
        ),
        (Use::Bring, Some(name)) => anyhow::bail!(
            "{holds}, and {name} is set, for an account of your own: `monthend reset` removes the invented data, \
             MONTHEND_HOME names another folder; to add to the sandbox's data, leave {name} away"
        ),
    }
    Ok(true)
}

/// What nobody sets who has no account of their own.
const OWN: [&str; 24] = [
    "PUBLIC_KEY",
    "PRIVATE_KEY",
    "ORG_ID",
    "CLIENT_ID",
    "ATLAS_SECRET_ARN",
    "ATLAS_VAULT_PATH",
    "CLAZAR_CLIENT_ID",
    "CLAZAR_SECRET_ARN",
    "CLAZAR_VAULT_PATH",
    "S3_BUCKET_NAME",
    "CCX_API_URL",
    "CCX_USER",
    "CCX_SECRET_ARN",
    "PROMETHEUS_URL",
    "AWS_BILLING_ACCOUNT",
    "AWS_EXPORT_BUCKET",
    "GCP_BILLING_TABLE",
    "GCP_SERVICE_ACCOUNT_KEY",
    "GCP_SECRET_ARN",
    "AZURE_SCOPE",
    "AZURE_CLIENT_ID",
    "AZURE_SECRET_ARN",
    "MAIL_FROM",
    "INVOICING_URL",
];

/// Another process has the home: it says where it answers, or it is about to.
async fn wait_for_endpoints(home: &Home) -> Result<Endpoints, HomeError> {
    for _ in 0..100 {
        if let Some(endpoints) = home.endpoints() {
            return Ok(endpoints);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(HomeError::Busy(home.root().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::last_final;

    #[test]
    fn invented_data_close_a_month_that_is_final() {
        for (now, month) in [
            ("2026-12-01T00:00:00Z", "2026-10"),
            ("2026-12-10T23:59:59Z", "2026-10"),
            ("2026-12-11T00:00:00Z", "2026-11"),
            ("2027-01-31T12:00:00Z", "2026-12"),
        ] {
            assert_eq!(last_final(now.parse().unwrap()).to_string(), month, "{now}");
        }
    }
}
