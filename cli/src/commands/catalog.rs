//! `monthend catalog`: check, put in force, look at, compare.

use std::io::{Read, stdin};
use std::path::Path;

use anyhow::{Context, bail};
use billing::catalog::billing::{Catalog, Mark, Problem, Problems, differences, parse, to_json};
use billing::catalog::{metered_plans, offer};
use billing::revision::sha256_hex;
use cloud::catalog::StoredCatalog;

use crate::Ended;
use crate::args::{Args, Catalog as Command};
use crate::output::{Format, Listing, Output};
use crate::session::{Session, Use};

pub(crate) async fn catalog(command: &Command, args: &Args, output: &Output) -> anyhow::Result<Ended> {
    match command {
        Command::Check { file } => match read_checked(file)? {
            Ok((bytes, catalog)) => summary(&bytes, &catalog, output),
            Err(problems) => show_problems(&problems, output),
        },
        Command::Apply { file } => {
            let (bytes, catalog) = match read_checked(file)? {
                Ok(checked) => checked,
                Err(problems) => return show_problems(&problems, output),
            };
            let session = Session::open(args, Use::Bring, false, output).await?;
            apply(&bytes, &catalog, &session, output).await
        }
        Command::Show { version } => {
            show(version.as_deref(), &Session::look(args, output).await?, output).await
        }
        Command::Diff { before, after } => {
            // two files need no cloud
            let files = (Path::new(before), after.as_deref().map(Path::new));
            if let (before, Some(after)) = files
                && before.is_file()
                && after.is_file()
            {
                return compare(&read(before)?, &read(after)?, output);
            }
            let session = Session::look(args, output).await?;
            let (before, after) = match after {
                None => (in_force(&session).await?.bytes, either(before, &session).await?),
                Some(after) => (either(before, &session).await?, either(after, &session).await?),
            };
            compare(&before, &after, output)
        }
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        stdin().read_to_end(&mut bytes).context("failed to read standard input")?;
        return Ok(bytes);
    }
    std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))
}

/// The bytes of a file and what they say, or all that is wrong with them: also in the sections that other functions read.
fn read_checked(file: &Path) -> anyhow::Result<Result<(Vec<u8>, Catalog), Problems>> {
    let bytes = read(file)?;
    let content = match to_json(&bytes) {
        Ok(content) => content,
        Err(problems) => return Ok(Err(problems)),
    };
    // those of other functions say themselves where they are
    let whole = |message: String| Problem { mark: Mark { line: 1, column: 1 }, path: String::new(), message };
    if content.is_null() || content.as_object().is_some_and(serde_json::Map::is_empty) {
        return Ok(Err(Problems(vec![whole(
            "the document has no content: a catalog has customers, accounts, services, ... (docs/catalog.md)"
                .to_owned(),
        )])));
    }
    let others = [metered_plans(&bytes).err(), offer(&bytes).err()];
    let others: Vec<Problem> = others.into_iter().flatten().map(|error| whole(error.to_string())).collect();
    Ok(match parse(&bytes) {
        Ok(catalog) if others.is_empty() => Ok((bytes, catalog)),
        Ok(_) => Err(Problems(others)),
        Err(Problems(problems)) => Err(Problems(problems.into_iter().chain(others).collect())),
    })
}

fn show_problems(problems: &Problems, output: &Output) -> anyhow::Result<Ended> {
    let mut listing = Listing::new(&["line>", "column>", "field", "problem"]);
    for Problem { mark, path, message } in &problems.0 {
        listing.row(vec![mark.line.to_string(), mark.column.to_string(), path.clone(), message.clone()]);
    }
    output.listing(&listing)?;
    let count = problems.0.len();
    output.note(&format!("{count} {}; nothing was changed", if count == 1 { "problem" } else { "problems" }));
    Ok(Ended::Failed)
}

fn summary(bytes: &[u8], catalog: &Catalog, output: &Output) -> anyhow::Result<Ended> {
    let mut listing = Listing::new(&["section", "entries>"]);
    for (section, entries) in [
        ("customers", catalog.customers.len()),
        ("accounts", catalog.accounts.len()),
        ("allocations", catalog.allocations.len()),
        ("services", catalog.services.len()),
        ("components", catalog.components.len()),
        ("positions", catalog.positions.len()),
        ("pools", catalog.pools.len()),
        ("metering.plans", metered_plans(bytes)?.len()),
    ] {
        listing.row(vec![section.to_owned(), entries.to_string()]);
    }
    output.listing(&listing)?;
    output.note(&format!("no problems; version {}", catalog.version));
    Ok(Ended::Done)
}

async fn apply(bytes: &[u8], catalog: &Catalog, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let standing = session.bucket.catalog().await?;
    if let Some(standing) = standing.as_ref().filter(|standing| standing.version == catalog.version) {
        // one that was put there by hand is a version from now on
        session.bucket.keep_catalog(standing).await?;
        output.note(&format!("version {} is in force already", standing.version));
        return Ok(Ended::Done);
    }
    if let Some(standing) = &standing
        && let Err(error) = compare(&standing.bytes, bytes, output)
    {
        output.note(&format!("the catalog in force cannot be compared: {error:#}"));
    }
    let version = session.bucket.apply_catalog(bytes, standing.as_ref()).await?;
    let before = standing.map_or_else(|| "there was none".to_owned(), |standing| standing.version);
    output.note(&format!("version {version} is in force; before: {before}"));
    Ok(Ended::Done)
}

async fn show(version: Option<&str>, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let bytes = match version {
        None => in_force(session).await?.bytes,
        Some(version) => stored(version, session).await?,
    };
    if output.format == Format::Table {
        output.bytes(&bytes);
        output.note(&format!("version {}", sha256_hex(&bytes)));
        return Ok(Ended::Done);
    }
    if output.format == Format::Json {
        output.json(&to_json(&bytes)?);
        output.note(&format!("version {}", sha256_hex(&bytes)));
        return Ok(Ended::Done);
    }
    let catalog = parse(&bytes)?;
    summary(&bytes, &catalog, output)
}

async fn in_force(session: &Session) -> anyhow::Result<StoredCatalog> {
    let standing = session.bucket.catalog().await?;
    standing.context("no catalog is in force; put one there with: monthend catalog apply FILE")
}

async fn stored(version: &str, session: &Session) -> anyhow::Result<Vec<u8>> {
    let known = session.bucket.catalog_versions(version).await?;
    match &known[..] {
        [version] => {
            let bytes = session.bucket.catalog_version(version).await?;
            bytes.with_context(|| format!("version {version} was removed"))
        }
        [] => bail!("no version begins with '{version}'; monthend ls catalog/versions/ lists them"),
        _ => bail!("{} versions begin with '{version}': write more of it", known.len()),
    }
}

/// A file, or else a version.
async fn either(name: &str, session: &Session) -> anyhow::Result<Vec<u8>> {
    let path = Path::new(name);
    if path.is_file() || name == "-" {
        return read(path);
    }
    if !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        bail!("there is no file {name}, and it is no version of a catalog either");
    }
    stored(name, session).await
}

fn compare(before: &[u8], after: &[u8], output: &Output) -> anyhow::Result<Ended> {
    for (which, bytes) in [("older", before), ("newer", after)] {
        differences(bytes, &[]).with_context(|| format!("the {which} of the two cannot be read"))?;
    }
    let differences = differences(before, after)?;
    let mut listing = Listing::new(&["section", "entry", "field", "before", "after"]);
    for difference in &differences {
        listing.row(vec![
            difference.section.clone(),
            difference.entry.clone(),
            difference.field.clone(),
            difference.before.clone().unwrap_or_default(),
            difference.after.clone().unwrap_or_default(),
        ]);
    }
    output.listing(&listing)?;
    output.note(&match differences.len() {
        0 => "nothing differs but comments, writing, or an order that decides nothing".to_owned(),
        1 => "1 field differs".to_owned(),
        count => format!("{count} fields differ"),
    });
    Ok(Ended::Done)
}
