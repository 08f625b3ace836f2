//! `monthend ls`, `cat`, `get`, `put`

use anyhow::Context;
use billing::keys::{JOURNAL, RAW, USAGE};
use billing::revision::Revision;
use chrono::{SecondsFormat, Utc};
use cloud::datastores::EVENTS;
use local::Template;

use crate::Ended;
use crate::args;
use crate::commands::invoices::report_dead_letters;
use crate::output::{Listing, Output};
use crate::session::Session;

/// Folders in which arriving documents start functions.
const STARTING: [&str; 4] = [RAW, USAGE, JOURNAL, EVENTS];

pub(crate) async fn ls(ls: &args::Ls, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let mut listing = Listing::new(&["key", "size>", "modified"]);
    for object in session.bucket_named(ls.bucket.as_deref()).list(&ls.prefix).await? {
        let modified = object.last_modified.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true));
        listing.row(vec![object.key, object.size_bytes.to_string(), modified.unwrap_or_default()]);
    }
    output.listing(&listing)?;
    Ok(Ended::Done)
}

async fn read(session: &Session, bucket: Option<&str>, key: &str) -> anyhow::Result<bytes::Bytes> {
    let bucket = session.bucket_named(bucket);
    let object = bucket.get(key, None).await?;
    let object = object
        .with_context(|| format!("there is no object s3://{}/{key}; see `monthend ls`", bucket.name()))?;
    Ok(object.bytes)
}

pub(crate) async fn cat(cat: &args::Cat, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let bytes = read(session, cat.bucket.as_deref(), &cat.key).await?;
    output.bytes(&bytes);
    Ok(Ended::Done)
}

pub(crate) async fn get(get: &args::Get, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let bytes = read(session, get.bucket.as_deref(), &get.key).await?;
    std::fs::write(&get.file, &bytes).with_context(|| format!("failed to write {}", get.file.display()))?;
    output.note(&format!("{} bytes to {}", bytes.len(), get.file.display()));
    Ok(Ended::Done)
}

pub(crate) async fn put(put: &args::Put, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let bytes = std::fs::read(&put.file).with_context(|| format!("failed to read {}", put.file.display()))?;
    let mut key = put.key.clone();
    if key.ends_with('/') {
        let name = put.file.file_name().unwrap_or_default().to_string_lossy();
        key = if key.starts_with(RAW) {
            let extension = name.split_once('.').map_or("json", |(_, extension)| extension);
            format!("{key}{}.{extension}", Revision::of(&bytes))
        } else {
            format!("{key}{name}")
        };
    }
    let content_type = if key.ends_with(".json") { "application/json" } else { "application/octet-stream" };
    if put.bucket.is_none() && key.starts_with(RAW) {
        // which of two documents is the newer is told by when they came, and S3 knows only seconds
        let mut upload = session.bucket.upload(key.clone(), content_type).fetched_at(Utc::now());
        upload.write(&bytes).await?;
        upload.finish().await?;
    } else {
        session.bucket_named(put.bucket.as_deref()).overwrite(&key, bytes, content_type).await?;
    }
    output.line(&key);
    if put.bucket.is_none() && STARTING.iter().any(|folder| key.starts_with(folder)) {
        let template = Template::built_in()?;
        if template.started_by(&key).is_none() {
            output.note(&format!(
                "nothing is started by {key}: no function takes documents of this name (docs/operations.md)"
            ));
        }
    }
    if put.no_follow {
        return Ok(Ended::Done);
    }
    session.follow(output, "allocating").await?;
    report_dead_letters(session, output)
}
