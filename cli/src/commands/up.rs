//! `monthend up`

use std::collections::BTreeMap;

use anyhow::Context;
use local::{Embedded, Home, HomeError, Options};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::Ended;
use crate::args;
use crate::output::{Format, Listing, Output};
use crate::session::{Use, home_folder, is_sandboxed, sandbox, variables};

pub(crate) async fn up(up: &args::Up, output: &Output) -> anyhow::Result<Ended> {
    // before anything starts, so that no signal comes too early
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;

    let home = Home::open(home_folder())?;
    let lock = home.lock()?.ok_or_else(|| HomeError::Busy(home.root().to_owned()))?;
    let vars = variables()?;
    let sandboxed = is_sandboxed(&home, Use::Fetch { sandbox: up.sandbox }, &vars, output)?;
    let options = Options {
        address: up.listen,
        port_base: up.port_base,
        sandboxes: sandboxed.then(|| sandbox(up.month)),
        vars,
        ..Options::default()
    };
    let embedded = Embedded::start(&home, options).await?;
    let endpoints = embedded.endpoints();
    lock.announce(endpoints)?;

    let mut shown = BTreeMap::from([
        ("s3", endpoints.s3.clone()),
        ("dynamodb", endpoints.dynamodb.clone()),
        ("secrets", endpoints.secrets.clone()),
        ("console", endpoints.console.clone()),
        ("bucket", endpoints.bucket.clone()),
        ("table", endpoints.table.clone()),
        ("access_key_id", endpoints.credentials.access_key_id.clone()),
        ("secret_access_key", endpoints.credentials.secret_access_key.clone()),
    ]);
    let exported = endpoints.omnistrate.as_ref().map(|exported| exported.bucket.clone());
    let sandboxes = [
        ("atlas", endpoints.atlas.clone()),
        ("clazar", endpoints.clazar.clone()),
        ("ccx", endpoints.ccx.clone()),
        ("aws", endpoints.aws.clone()),
        ("gcp", endpoints.gcp.as_ref().map(|gcp| gcp.url.clone())),
        ("azure", endpoints.azure.clone()),
        ("ses", endpoints.ses.clone()),
        ("prometheus", endpoints.prometheus.clone()),
        ("vault", endpoints.vault.clone()),
        ("export_bucket", exported),
    ];
    shown.extend(sandboxes.into_iter().filter_map(|(what, place)| Some((what, place?))));
    if output.format == Format::Json {
        output.line(&json!(shown).to_string());
    } else {
        let mut listing = Listing::new(&["what", "where"]);
        for (what, place) in shown {
            listing.row(vec![what.into(), place]);
        }
        output.listing(&listing)?;
        output.note(&format!(
            "State in {}. `eval \"$(monthend env)\"` points AWS' tools here. Ctrl-C ends it.",
            home.root().display()
        ));
    }

    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    embedded.stop().await;
    drop(lock);
    Ok(Ended::Done)
}
