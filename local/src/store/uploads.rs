//! Uploads in parts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension as _, Row, params};
use s3s::crypto::{Checksum as _, Md5};

use super::database::StoreError;
use super::take_in::hex;
use super::{Head, NewFile, Store, now_ms};
use crate::files;

/// An upload that nobody has completed or ended is forgotten after this time.
const LONGEST_UPLOAD_MS: i64 = 7 * 24 * 60 * 60 * 1000;
const CHUNK: usize = 1024 * 1024;

/// An upload that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upload {
    pub(crate) id: String,
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) head: Head,
    /// In milliseconds since 1970.
    pub(crate) begun: i64,
}

/// A part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) number: i32,
    pub(crate) size: u64,
    pub(crate) md5: String,
    pub(crate) modified: i64,
    /// By algorithm, in Base64.
    pub(crate) checksums: BTreeMap<String, String>,
    file: String,
}

impl Store {
    /// Begins an upload; answers its id.
    pub(crate) async fn begin_upload(
        &self,
        bucket: &str,
        key: &str,
        head: &Head,
    ) -> Result<String, StoreError> {
        let id = format!("{:032x}", rand::random::<u128>());
        let folder = self.upload_folder(&id);
        files::make_folders(&folder).map_err(|error| StoreError::io(&folder, &error))?;
        let row = (id.clone(), bucket.to_owned(), key.to_owned(), head.text(), now_ms());
        let sql = "INSERT INTO uploads (id, bucket, key, head, begun) VALUES (?, ?, ?, ?, ?)";
        self.database()
            .write(move |change| change.execute(sql, params![row.0, row.1, row.2, row.3, row.4]))
            .await?;
        Ok(id)
    }

    /// An upload to a key.
    pub(crate) fn upload(&self, id: &str, bucket: &str, key: &str) -> Result<Option<Upload>, StoreError> {
        self.database().read(|database| {
            let sql =
                "SELECT id, bucket, key, head, begun FROM uploads WHERE id = ? AND bucket = ? AND key = ?";
            database.prepare_cached(sql)?.query_row([id, bucket, key], read_upload).optional()
        })
    }

    /// The uploads to a bucket that are under way, in the order of their keys.
    pub(crate) fn uploads(&self, bucket: &str, prefix: &str) -> Result<Vec<Upload>, StoreError> {
        let mut uploads: Vec<Upload> = self.database().read(|database| {
            let sql = "SELECT id, bucket, key, head, begun FROM uploads WHERE bucket = ? ORDER BY key, begun";
            database.prepare_cached(sql)?.query_map([bucket], read_upload)?.collect()
        })?;
        uploads.retain(|upload| upload.key.starts_with(prefix));
        Ok(uploads)
    }

    /// Keeps a part; one of the same number goes.
    pub(crate) async fn put_part(
        &self,
        upload: &Upload,
        number: i32,
        mut file: NewFile,
        (size, md5, checksums): (u64, String, BTreeMap<String, String>),
    ) -> Result<(), StoreError> {
        let name = format!("{number}-{}", file.name);
        let path = self.upload_folder(&upload.id).join(&name);
        let synced = match file.small {
            Some(_) => File::open(&file.path).and_then(|file| file.sync_all()),
            None => Ok(()),
        };
        let moved = synced
            .and_then(|()| fs::rename(&file.path, &path))
            .map_err(|error| StoreError::io(&path, &error));
        moved?;
        file.is_kept = true;
        let (id, size) = (upload.id.clone(), i64::try_from(size).unwrap_or(i64::MAX));
        let checksums = serde_json::to_string(&checksums).unwrap_or_default(); // texts always serialise
        let before = self.database().write(move |change| {
            let sql = "SELECT file FROM parts WHERE upload = ? AND number = ?";
            let before: Option<String> =
                change.prepare_cached(sql)?.query_row(params![id, number], |row| row.get(0)).optional()?;
            let sql = "INSERT OR REPLACE INTO parts (upload, number, size, md5, modified, checksums, file) VALUES (?, ?, ?, ?, ?, ?, ?)";
            change.prepare_cached(sql)?.execute(params![id, number, size, md5, now_ms(), checksums, name])?;
            Ok(before)
        });
        if let Some(before) = before.await? {
            let _ = fs::remove_file(self.upload_folder(&upload.id).join(before)); // goes with its folder else
        }
        Ok(())
    }

    /// The parts of an upload, in their order.
    pub(crate) fn parts(&self, id: &str) -> Result<Vec<Part>, StoreError> {
        self.database().read(|database| {
            let sql = "SELECT number, size, md5, modified, checksums, file FROM parts WHERE upload = ? ORDER BY number";
            let mut statement = database.prepare_cached(sql)?;
            let rows = statement.query_map([id], |row| {
                let size: i64 = row.get(1)?;
                Ok(Part {
                    number: row.get(0)?,
                    size: size.try_into().unwrap_or_default(),
                    md5: row.get(2)?,
                    modified: row.get(3)?,
                    checksums: serde_json::from_str(&row.get::<_, String>(4)?).unwrap_or_default(),
                    file: row.get(5)?,
                })
            })?;
            rows.collect()
        })
    }

    /// Puts parts together in one file; `see` is shown all bytes. Answers it with its size and MD5.
    pub(crate) fn join(
        &self,
        upload: &Upload,
        parts: &[Part],
        mut see: impl FnMut(&[u8]),
    ) -> Result<(NewFile, u64, String), StoreError> {
        let (mut new, mut to) = self.new_file()?;
        let (mut size, mut md5) = (0, Md5::new());
        for part in parts {
            let path = self.upload_folder(&upload.id).join(&part.file);
            let mut of_part = Md5::new();
            let copied = File::open(&path).and_then(|from| {
                files::read_through(from, CHUNK, |bytes| {
                    of_part.update(bytes);
                    md5.update(bytes);
                    see(bytes);
                    size += bytes.len() as u64;
                    to.write_all(bytes)
                })
            });
            copied.map_err(|error| StoreError::io(&path, &error))?;
            if hex(of_part.finalize().as_ref()) != part.md5 {
                let error = format!("it is not part {} as it came: upload that part again", part.number);
                return Err(StoreError::Other { path, error });
            }
        }
        new.whole(&to, None)?;
        Ok((new, size, hex(md5.finalize().as_ref())))
    }

    /// Forgets an upload and its parts.
    pub(crate) async fn end_upload(&self, id: &str) -> Result<(), StoreError> {
        let (folder, id) = (self.upload_folder(id), id.to_owned());
        self.database()
            .write(move |change| {
                change.execute("DELETE FROM parts WHERE upload = ?", [&id])?;
                change.execute("DELETE FROM uploads WHERE id = ?", [&id])
            })
            .await?;
        let _ = fs::remove_dir_all(folder); // the next start would
        Ok(())
    }

    fn upload_folder(&self, id: &str) -> PathBuf {
        self.0.new.join(format!("upload-{id}"))
    }

    /// Removes what is left of an upload that has ended, or that nobody will end.
    pub(super) fn remove_upload_folder(&self, folder: &Path) -> io::Result<()> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let id = name.strip_prefix("upload-").unwrap_or_default().to_owned();
        let oldest = now_ms() - LONGEST_UPLOAD_MS;
        let kept = self.database().write_now(move |change| {
            change.execute("DELETE FROM uploads WHERE begun < ?", [oldest])?;
            change.execute("DELETE FROM parts WHERE upload NOT IN (SELECT id FROM uploads)", [])?;
            change.prepare_cached("SELECT 1 FROM uploads WHERE id = ?")?.exists([&id])
        });
        if kept.map_err(io::Error::other)? {
            return Ok(());
        }
        match fs::remove_dir_all(folder) {
            Err(error) if !files::is_gone(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

fn read_upload(row: &Row<'_>) -> rusqlite::Result<Upload> {
    Ok(Upload {
        id: row.get(0)?,
        bucket: row.get(1)?,
        key: row.get(2)?,
        head: Head::read(&row.get::<_, String>(3)?),
        begun: row.get(4)?,
    })
}
