//! The files that are named, and those of the folders that are.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use billing::intake::{BroughtFile, is_known};
use cloud::bucket::Spool;

use crate::output::Output;

/// Files that an export has beside its data: what their bytes are is looked at.
const OTHERS: [&str; 7] = [".json", ".md", ".txt", ".html", ".xml", "_success", "_metadata"];

/// Every file named, and every file of a folder named, in the order of their names; each is taken in whole, so that what is looked
/// at is what is brought. What an export has beside its data is left out, and so are hidden files.
pub(super) async fn take_in(paths: &[PathBuf], output: &Output) -> anyhow::Result<Vec<BroughtFile>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut found = Found::default();
            below(path, &mut found)?;
            let mut data = Vec::new();
            for path in found.files {
                if is_other(&path) && !has_costs(&path)? {
                    output.note(&format!("left out: {} (it has no costs)", path.display()));
                } else {
                    data.push(path);
                }
            }
            for path in found.hidden {
                output.note(&format!("left out: {} (hidden)", path.display()));
            }
            ensure!(!data.is_empty(), "there is no file with costs in {}", path.display());
            files.extend(data);
        } else {
            files.push(path.clone());
        }
    }
    let mut taken = Vec::with_capacity(files.len());
    for path in &files {
        taken.push(one(path).await.with_context(|| format!("failed to read {}", path.display()))?);
    }
    Ok(taken)
}

/// What is in a folder.
#[derive(Default)]
struct Found {
    files: Vec<PathBuf>,
    hidden: Vec<PathBuf>,
}

fn below(folder: &Path, into: &mut Found) -> anyhow::Result<()> {
    let failed = || format!("failed to read the folder {}", folder.display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        entries.push(entry.with_context(failed)?.path());
    }
    entries.sort();
    for path in entries {
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        match path.is_dir() {
            _ if is_hidden => into.hidden.push(path),
            true => below(&path, into)?,
            false => into.files.push(path),
        }
    }
    Ok(())
}

fn is_other(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    OTHERS.iter().any(|end| name.ends_with(end))
}

fn has_costs(path: &Path) -> anyhow::Result<bool> {
    let file = File::open(path).with_context(|| format!("failed to read {}", path.display()))?;
    Ok(is_known(&Arc::new(file)))
}

async fn one(path: &Path) -> anyhow::Result<BroughtFile> {
    let name = path.file_name().and_then(|name| name.to_str()).context("the file has no usable name")?;
    let folder = path.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
    let mut spool = Spool::new()?;
    spool.write_file(File::open(path)?).await?;
    let spooled = spool.finish().await?;
    Ok(BroughtFile {
        name: name.to_owned(),
        folder,
        sha256: spooled.sha256,
        bytes: spooled.bytes,
        file: Arc::new(spooled.file),
    })
}
