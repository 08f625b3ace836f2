//! What stands in the buckets of a home, and which notifications wait.
//!
//! One SQLite file is the truth: names, ETags, metadata and notifications change in one transaction, and what it says is on disk. The bytes
//! are files, which people find under their keys. A file is written under a name of its own first, then the transaction says that it is
//! the object, then it is renamed to its place. Whoever dies between the two leaves a line in `moves`, which the next start follows.
//!
//! Small objects stand in that line too until their file is known to be on disk, so that nobody waits for the disk twice.
//!
//! Files that somebody else has written into the folder of a bucket are objects too: they are taken in ([`take_in`]).

mod database;
mod place;
mod schema;
mod take_in;
mod takeover;
#[cfg(test)]
mod tests;
mod uploads;

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use tokio::sync::{Notify, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::BUCKET;
use crate::files::{self, is_gone};
use crate::home::Home;
use crate::queue::Message;
use crate::template::Template;

pub use self::database::StoreError;
pub(crate) use self::database::{DISK_IS_FULL, Database};
use self::place::Place;
pub(crate) use self::schema::Head;
pub(crate) use self::take_in::{after, hex};
pub(crate) use self::uploads::{Part, Upload};

/// Objects up to this size stand in the database until their file is on disk.
const SMALL: usize = 64 * 1024;
/// After this time a file that was renamed is on disk anyway, so that asking for it costs nothing.
const SETTLED: Duration = Duration::from_secs(60);
/// Files of one look after them.
const SETTLED_AT_ONCE: usize = 500;
/// Files that the end waits for.
const SETTLED_AT_CLOSE: usize = 200;
const LOCKS: usize = 64;

/// The objects of a home. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The folders of the buckets.
    root: PathBuf,
    /// Files that are no object yet.
    new: PathBuf,
    database: Arc<Database>,
    /// Says which function an object starts.
    template: Template,
    /// Writes to one key come one after the other, and nobody reads between a transaction and its rename: one lock for each key (or
    /// several that share it).
    locks: Vec<RwLock<()>>,
    /// Keys whose files are about to change.
    moving: Mutex<HashSet<(String, String)>>,
    /// Makes names.
    counter: AtomicU64,
    /// Wakes whoever delivers notifications.
    due: Arc<Notify>,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) size: u64,
    pub(crate) etag: String,
    /// Of its bytes, in hexadecimal.
    pub(crate) md5: String,
    /// When it was written, in milliseconds since 1970.
    pub(crate) modified: i64,
    pub(crate) head: Head,
    place: Place,
    /// The modification time of its file in nanoseconds since 1970; 0 if the file may have changed within one tick of that clock.
    stamp: i64,
}

/// Bytes that are to become an object.
#[derive(Debug)]
pub(crate) struct NewFile {
    name: String,
    path: PathBuf,
    /// All of them, if they are few.
    small: Option<Vec<u8>>,
    /// The database may name it from now on, or it stands in its place.
    is_kept: bool,
}

/// What becomes of an object.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) etag: String,
    pub(crate) md5: String,
    pub(crate) size: u64,
    pub(crate) head: Head,
}

/// Only one at a time changes what stands under a key.
pub(crate) struct Writing<'s> {
    _guard: RwLockWriteGuard<'s, ()>,
}

impl Store {
    /// Opens the store of a home, and ends what an earlier process has begun. What an older version of this program has kept is taken over.
    pub(crate) fn open(home: &Home, template: Template) -> Result<Self, StoreError> {
        let (root, file, new) = (home.s3(), home.store(), home.new_files());
        for folder in [&root, &new] {
            files::make_folders(folder).map_err(|error| StoreError::io(folder, &error))?;
        }
        if !file.exists() {
            takeover::make(home)?;
        }
        let database = Arc::new(Database::open(&file)?);
        schema::check(&database)?;
        let store = Self(Arc::new(Inner {
            root,
            new,
            database,
            template,
            locks: (0..LOCKS).map(|_| RwLock::new(())).collect(),
            moving: Mutex::default(),
            counter: AtomicU64::new(0),
            due: Arc::default(),
        }));
        store.finish_moves()?;
        store.remove_unnamed()?;
        takeover::remove_leftovers(home);
        Ok(store)
    }

    /// Keeps all that stands here in another home, which is empty. Nothing may be written meanwhile.
    pub(crate) fn save(&self, home: &Home) -> Result<(), StoreError> {
        for (from, to) in [(&self.0.root, home.s3()), (&self.0.new, home.new_files())] {
            files::copy_tree(from, &to).map_err(|error| StoreError::io(&to, &error))?;
        }
        let path = home.store().to_string_lossy().into_owned();
        self.0.database.read(|database| database.execute("VACUUM INTO ?", [path]).map(drop))
    }

    /// Ends all writing. What was written is on disk then, so that the next start has nothing to look after.
    pub(crate) fn close(&self) {
        if let Err(error) = self.settle_all() {
            tracing::warn!("{error}"); // the next start looks after it
        }
        self.0.database.close();
    }

    /// Few files are looked after at once; many would keep whoever waits for the end.
    fn settle_all(&self) -> Result<(), StoreError> {
        let open = self.moves(i64::MAX, SETTLED_AT_CLOSE + 1)?;
        if open.len() <= SETTLED_AT_CLOSE { self.settle(open).map(drop) } else { Ok(()) }
    }

    pub(crate) fn database(&self) -> &Arc<Database> {
        &self.0.database
    }

    /// That an object was written, if that starts a function: those of the data bucket do.
    fn notification(&self, bucket: &str, key: &str) -> Option<Message> {
        let function = self.0.template.started_by(key).filter(|_| bucket == BUCKET)?;
        Some(Message::created(function, bucket, key))
    }

    /// Woken when a notification may be due.
    pub(crate) fn due(&self) -> Arc<Notify> {
        self.0.due.clone()
    }

    /// A bucket: true if it was made, false if it was there.
    pub(crate) async fn make_bucket(&self, bucket: &str) -> Result<bool, StoreError> {
        let (folder, name) = (self.0.root.join(bucket), bucket.to_owned());
        files::make_folders(&folder).map_err(|error| StoreError::io(&folder, &error))?;
        let now = now_ms();
        let sql = "INSERT INTO buckets (name, made) VALUES (?, ?) ON CONFLICT DO NOTHING";
        self.0.database.write(move |change| Ok(change.execute(sql, params![name, now])? == 1)).await
    }

    /// All buckets and when they were made.
    pub(crate) async fn buckets(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let failed = |error: io::Error| StoreError::io(&self.0.root, &error);
        for entry in fs::read_dir(&self.0.root).map_err(failed)? {
            if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
                self.has_bucket(&name).await?; // a folder becomes one
            }
        }
        self.0.database.read(|database| {
            let mut statement = database.prepare_cached("SELECT name, made FROM buckets ORDER BY name")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    /// A folder that somebody has made among those of the buckets is one, too.
    pub(crate) async fn has_bucket(&self, bucket: &str) -> Result<bool, StoreError> {
        let known = self.0.database.read(|database| {
            database.prepare_cached("SELECT 1 FROM buckets WHERE name = ?")?.exists([bucket])
        });
        if known? {
            return Ok(true);
        }
        let is_folder = !bucket.starts_with('.') && self.0.root.join(bucket).is_dir();
        if is_folder {
            self.make_bucket(bucket).await?;
        }
        Ok(is_folder)
    }

    /// Removes a bucket: false if something stands in it.
    pub(crate) async fn remove_bucket(&self, bucket: &str) -> Result<bool, StoreError> {
        self.take_in(bucket, "").await?;
        let name = bucket.to_owned();
        let removed = self.0.database.write(move |change| {
            let sql = "DELETE FROM buckets WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM objects WHERE bucket = ?1)";
            Ok(change.execute(sql, [&name])? == 1)
        });
        let removed = removed.await?;
        if removed {
            let _ = fs::remove_dir_all(self.0.root.join(bucket)); // folders without files
        }
        Ok(removed)
    }

    fn lock(&self, bucket: &str, key: &str) -> &RwLock<()> {
        let mut hasher = DefaultHasher::new();
        (bucket, key).hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or_default();
        &self.0.locks[index]
    }

    /// From here on what stands under the key stays as it is.
    pub(crate) async fn reading(&self, bucket: &str, key: &str) -> RwLockReadGuard<'_, ()> {
        self.lock(bucket, key).read().await
    }

    /// From here on nobody else changes what stands under the key, or reads it.
    pub(crate) async fn writing(&self, bucket: &str, key: &str) -> Writing<'_> {
        Writing { _guard: self.lock(bucket, key).write().await }
    }

    /// What stands under a key, with its file open if it is to be read. A file that somebody else wrote is taken in first.
    pub(crate) async fn find(&self, bucket: &str, key: &str) -> Result<Option<(Object, File)>, StoreError> {
        for looks in 0..3 {
            if let Some(object) = self.object(bucket, key)? {
                if let Some(file) = self.open_file(bucket, key, &object, looks > 0)? {
                    return Ok(Some((object, file)));
                }
            } else if !place::is_path(key) || !self.0.root.join(bucket).join(key).is_file() {
                return Ok(None);
            }
            self.take_in_one(bucket, key).await?;
        }
        match self.object(bucket, key)? {
            // nobody is to write there, so nothing is taken in
            Some(Object { place: place @ Place::Other(_), .. }) => {
                let path = place.path(&self.0.root, bucket, key);
                let error = format!("the bytes of {bucket}/{key} are gone or were changed");
                Err(StoreError::Damaged { path, error })
            }
            // it changes faster than it can be read
            _ => Ok(None),
        }
    }

    /// What the database says of a key.
    fn object(&self, bucket: &str, key: &str) -> Result<Option<Object>, StoreError> {
        self.0.database.read(|database| object(database, bucket, key))
    }

    /// The file of an object, if it is what it was when the object was written; one that is so new that its time tells nothing only if it
    /// was looked at just now.
    fn open_file(
        &self,
        bucket: &str,
        key: &str,
        object: &Object,
        is_looked_at: bool,
    ) -> Result<Option<File>, StoreError> {
        let is_it = |file: &File| {
            file.metadata().is_ok_and(|found| {
                let same = stamp(&found) == object.stamp || (object.stamp == 0 && is_looked_at);
                found.is_file() && found.len() == object.size && same
            })
        };
        let path = object.place.path(&self.0.root, bucket, key);
        match path
            .metadata()
            .and_then(|found| if found.is_file() { File::open(&path).map(Some) } else { Ok(None) })
        {
            Ok(Some(file)) if is_it(&file) => return Ok(Some(file)),
            Ok(_) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(StoreError::io(&path, &error)),
        }
        let unplaced = self.unplaced(bucket, key)?;
        Ok(unplaced.and_then(|path| File::open(path).ok()).filter(is_it))
    }

    /// The file of an object that could not be renamed to its place when it was written.
    fn unplaced(&self, bucket: &str, key: &str) -> Result<Option<PathBuf>, StoreError> {
        let moved = self.0.database.read(|database| {
            let sql = "SELECT file FROM moves WHERE bucket = ? AND key = ?";
            let moved =
                database.prepare_cached(sql)?.query_row([bucket, key], |row| row.get::<_, Option<String>>(0));
            moved.optional().map(Option::flatten)
        })?;
        Ok(moved.map(|name| self.0.new.join(name)).filter(|path| path.exists()))
    }

    /// A file for bytes that become an object once they are all there.
    pub(crate) fn new_file(&self) -> Result<(NewFile, File), StoreError> {
        let number = self.0.counter.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:x}-{:x}-{number:x}", now_ms(), std::process::id());
        let path = self.0.new.join(&name);
        let file = files::create(&path).map_err(|error| StoreError::io(&path, &error))?;
        Ok((NewFile { name, path, small: None, is_kept: false }, file))
    }

    /// Puts a file under a key. Afterwards it stands there, whatever happens to this machine, and its notification waits.
    pub(crate) async fn put(
        &self,
        _: &Writing<'_>,
        (bucket, key): (&str, &str),
        mut file: NewFile,
        written: Written,
    ) -> Result<Object, StoreError> {
        let found = fs::metadata(&file.path).map_err(|error| StoreError::io(&file.path, &error))?;
        let place = match self.object(bucket, key)? {
            // it stays where it is: its place under the key may have become a folder of others
            Some(Object { place: place @ Place::Other(_), .. }) => place,
            _ => Place::choose(&self.0.root, bucket, key),
        };
        let object = Object {
            size: written.size,
            etag: written.etag,
            md5: written.md5,
            modified: now_ms(),
            head: written.head,
            place,
            stamp: stamp(&found),
        };
        let moving = Moving::begin(&self.0.moving, bucket, key);
        let notification = self.notification(bucket, key);
        let is_due = notification.is_some();
        let (row, names) = (object.clone(), (bucket.to_owned(), key.to_owned(), file.name.clone()));
        let small = file.small.take();
        let committed = self.0.database.write(move |change| {
            let (bucket, key, name) = &names;
            let sql = "INSERT INTO moves (bucket, key, file, bytes, place, begun) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET \
                       file = excluded.file, bytes = excluded.bytes, place = excluded.place, begun = excluded.begun";
            change.prepare_cached(sql)?.execute(params![bucket, key, name, small, row.place.record(), row.modified])?;
            insert(change, bucket, key, &row)?;
            notification.as_ref().map_or(Ok(()), |message| message.insert(change))
        });
        // whoever stops waiting does not know whether it was committed
        file.is_kept = true;
        if let Err(error) = committed.await {
            file.is_kept = false;
            return Err(error);
        }
        let path = object.place.path(&self.0.root, bucket, key);
        if let Err(error) = rename(&file.path, &path) {
            tracing::warn!(
                "{} cannot be put to its place, it is read from where it is: {error}",
                path.display()
            );
        }
        drop(moving);
        if is_due {
            self.0.due.notify_one();
        }
        Ok(object)
    }

    /// Removes what stands under a key.
    pub(crate) async fn remove(&self, _: &Writing<'_>, bucket: &str, key: &str) -> Result<(), StoreError> {
        let Some(object) = self.object(bucket, key)? else { return Ok(()) };
        let moving = Moving::begin(&self.0.moving, bucket, key);
        let (names, place) = ((bucket.to_owned(), key.to_owned()), object.place.clone());
        let path = object.place.path(&self.0.root, bucket, key);
        let inode = path.symlink_metadata().map_or(0, |found| inode(&found));
        let committed = self.0.database.write(move |change| {
            let (bucket, key) = &names;
            let sql = "INSERT INTO moves (bucket, key, file, bytes, place, inode, begun) VALUES (?, ?, NULL, NULL, ?, ?, ?) ON CONFLICT DO UPDATE \
                       SET file = NULL, bytes = NULL, place = excluded.place, inode = excluded.inode, begun = excluded.begun";
            change.prepare_cached(sql)?.execute(params![bucket, key, place.record(), inode, now_ms()])?;
            delete(change, bucket, key)
        });
        committed.await?;
        if let Err(error) = files::remove(&path) {
            tracing::warn!("{} cannot be removed yet: {error}", path.display());
        }
        prune(&path, &self.0.root.join(bucket));
        drop(moving);
        Ok(())
    }

    /// Ends the moves that an earlier process began: its files that are not renamed, or not removed, or did not come to the disk before the power
    /// was cut.
    fn finish_moves(&self) -> Result<(), StoreError> {
        for moved in self.moves(i64::MAX, usize::MAX)? {
            let is_it = |found: &fs::Metadata| moved.stands == Some((found.len(), stamp(found)));
            let path = moved.place.path(&self.0.root, &moved.bucket, &moved.key);
            let is_done = moved.file.is_some() && path.symlink_metadata().is_ok_and(|found| is_it(&found));
            if !is_done {
                self.finish(&moved)?;
            }
        }
        self.settle_moves().map(drop)
    }

    /// Forgets some of the moves whose files are on disk by now; asks the disk for each, which then answers at once. Answers how many.
    pub(crate) fn settle_moves(&self) -> Result<usize, StoreError> {
        let before = now_ms() - i64::try_from(SETTLED.as_millis()).unwrap_or_default();
        self.settle(self.moves(before, SETTLED_AT_ONCE)?)
    }

    /// Waits until the files of moves are on disk, with their folders, and forgets the moves.
    fn settle(&self, settled: Vec<Moved>) -> Result<usize, StoreError> {
        if settled.is_empty() {
            return Ok(0);
        }
        let mut folders = HashSet::new();
        for moved in &settled {
            let path = moved.place.path(&self.0.root, &moved.bucket, &moved.key);
            let synced = File::open(&path).and_then(|file| file.sync_all());
            match synced {
                Err(error) if !is_gone(&error) => return Err(StoreError::io(&path, &error)),
                _ => folders.extend(
                    path.ancestors()
                        .skip(1)
                        .take_while(|above| above.starts_with(&self.0.root))
                        .map(Path::to_owned),
                ),
            }
        }
        for folder in folders {
            match File::open(&folder).and_then(|folder| folder.sync_all()) {
                Err(error) if !is_gone(&error) => return Err(StoreError::io(&folder, &error)),
                _ => {}
            }
        }
        let new = self.0.new.clone();
        self.0.database.write_now(move |change| {
            let mut statement =
                change.prepare_cached("DELETE FROM moves WHERE bucket = ? AND key = ? AND begun = ?")?;
            // one whose file could not be renamed keeps its line
            let done = settled
                .iter()
                .filter(|moved| moved.file.as_ref().is_none_or(|file| !new.join(file).exists()));
            let mut count = 0;
            for moved in done {
                count += statement.execute(params![moved.bucket, moved.key, moved.begun])?;
            }
            Ok(count)
        })
    }

    fn moves(&self, before: i64, most: usize) -> Result<Vec<Moved>, StoreError> {
        self.0.database.read(|database| {
            let sql = "SELECT m.bucket, m.key, m.file, m.place, m.begun, m.inode, o.size, o.stamp FROM moves m LEFT JOIN objects o \
                       ON o.bucket = m.bucket AND o.key = m.key WHERE m.begun < ? LIMIT ?";
            let mut statement = database.prepare_cached(sql)?;
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let rows = statement.query_map([before, most], |row| {
                let stands = match row.get::<_, Option<i64>>(6)? {
                    Some(size) => Some((size.try_into().unwrap_or_default(), row.get(7)?)),
                    None => None,
                };
                Ok(Moved {
                    bucket: row.get(0)?,
                    key: row.get(1)?,
                    file: row.get(2)?,
                    place: Place::recorded(row.get(3)?),
                    begun: row.get(4)?,
                    inode: row.get(5)?,
                    stands,
                })
            })?;
            rows.collect()
        })
    }

    fn finish(&self, moved: &Moved) -> Result<(), StoreError> {
        let (bucket, key) = (moved.bucket.as_str(), moved.key.as_str());
        let path = moved.place.path(&self.0.root, bucket, key);
        let failed = |error: io::Error| StoreError::io(&path, &error);
        let Some(name) = &moved.file else {
            // an object that was removed: its file goes, unless somebody has put another there since
            let is_it = path.symlink_metadata().is_ok_and(|found| inode(&found) == moved.inode);
            let is_left = is_it && self.object(bucket, key)?.is_none();
            return if is_left { files::remove(&path).map_err(failed) } else { Ok(()) };
        };
        let new = self.0.new.join(name);
        let Some(object) = self.object(bucket, key)? else { return Ok(()) };
        let is_it = |found: &fs::Metadata| found.len() == object.size && stamp(found) == object.stamp;
        if new.metadata().is_ok_and(|found| is_it(&found)) {
            return match rename(&new, &path) {
                Ok(()) => Ok(()),
                // its place was taken meanwhile
                Err(_) if object.place == Place::Key => self.move_aside(bucket, key, &object, &new),
                Err(error) => Err(failed(error)),
            };
        }
        if path.symlink_metadata().is_ok_and(|found| stamp(&found) > object.stamp) {
            return Ok(()); // somebody else has written it since
        }
        // the file did not come to the disk in time, but its bytes are here if they are few
        let bytes = self.0.database.read(|database| {
            let sql = "SELECT bytes FROM moves WHERE bucket = ? AND key = ?";
            database.query_row(sql, [bucket, key], |row| row.get::<_, Option<Vec<u8>>>(0)).optional()
        })?;
        let Some(bytes) = bytes.flatten() else { return Ok(()) };
        let (mut file, mut open) = self.new_file()?;
        let written = io::Write::write_all(&mut open, &bytes).and_then(|()| set_stamp(&open, object.stamp));
        written.map_err(|error| StoreError::io(&file.path, &error))?;
        rename(&file.path, &path).map_err(failed)?;
        file.is_kept = true;
        Ok(())
    }

    /// Puts an object among those whose keys are no paths.
    fn move_aside(&self, bucket: &str, key: &str, object: &Object, new: &Path) -> Result<(), StoreError> {
        let moved = Object { place: Place::other(bucket, key), ..object.clone() };
        let path = moved.place.path(&self.0.root, bucket, key);
        rename(new, &path).map_err(|error| StoreError::io(&path, &error))?;
        let names = (bucket.to_owned(), key.to_owned());
        self.0.database.write_now(move |change| {
            let (bucket, key) = &names;
            change.execute(
                "UPDATE moves SET place = ? WHERE bucket = ? AND key = ?",
                params![moved.place.record(), bucket, key],
            )?;
            insert(change, bucket, key, &moved)
        })
    }

    /// Removes files of writes that came to nothing.
    fn remove_unnamed(&self) -> Result<(), StoreError> {
        let failed = |error: io::Error| StoreError::io(&self.0.new, &error);
        let entries = fs::read_dir(&self.0.new).map_err(failed)?;
        let entries = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut left: Vec<String> = entries.collect::<io::Result<_>>().map_err(failed)?;
        left.retain(|name| is_ours(name));
        if left.is_empty() {
            return Ok(()); // as most starts find it
        }
        let named: HashSet<String> =
            self.moves(i64::MAX, usize::MAX)?.into_iter().filter_map(|moved| moved.file).collect();
        for path in left.iter().filter(|name| !named.contains(*name)).map(|name| self.0.new.join(name)) {
            let removed = if path.is_dir() { self.remove_upload_folder(&path) } else { files::remove(&path) };
            removed.map_err(failed)?;
        }
        Ok(())
    }

    /// What stands under every key of every bucket, without when it was written.
    pub(crate) fn objects(&self) -> Result<BTreeMap<String, String>, StoreError> {
        self.0.database.read(|database| {
            let sql = "SELECT bucket || '/' || key, size || ' ' || etag || ' ' || head FROM objects";
            database.prepare_cached(sql)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    /// Objects of a bucket in the order of their keys, from `from` on (that included, or not), at most so many.
    pub(crate) fn page(
        &self,
        bucket: &str,
        from: (&str, bool),
        before: Option<&str>,
        most: usize,
    ) -> Result<Vec<(String, Object)>, StoreError> {
        let (from, included) = from;
        self.0.database.read(|database| {
            let sql = format!(
                "SELECT {}, key FROM objects WHERE bucket = ?1 AND key {} ?2 AND (?3 IS NULL OR key < ?3) ORDER BY key LIMIT ?4",
                schema::COLUMNS,
                if included { ">=" } else { ">" },
            );
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let mut statement = database.prepare_cached(&sql)?;
            let rows = statement.query_map(params![bucket, from, before, most], |row| {
                Ok((row.get::<_, String>(schema::COLUMN_COUNT)?, read_object(row)?))
            })?;
            rows.collect()
        })
    }
}

impl NewFile {
    /// The bytes are all written. Few of them are kept until their file is on disk; else they are on disk when this returns.
    pub(crate) fn whole(&mut self, file: &File, small: Option<Vec<u8>>) -> Result<(), StoreError> {
        self.small = small.filter(|bytes| bytes.len() <= SMALL);
        match self.small {
            Some(_) => Ok(()),
            None => {
                let synced = file.sync_all().and_then(|()| files::sync_folder_of(&self.path));
                synced.map_err(|error| StoreError::io(&self.path, &error))
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// What became no object goes.
impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_file(&self.path); // the next start would
        }
    }
}

/// Whether we name files so that are no object yet.
fn is_ours(name: &str) -> bool {
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<&str> = name.split('-').collect();
    match parts.as_slice() {
        ["upload", id] => id.len() == 32 && is_hex(id),
        [time, process, number] => [time, process, number].into_iter().all(|part| is_hex(part)),
        _ => false,
    }
}

/// A file on its way to its place, or away.
struct Moved {
    bucket: String,
    key: String,
    file: Option<String>,
    place: Place,
    begun: i64,
    /// Of the file that is to go.
    inode: i64,
    /// Size and time of the object that stands under the key.
    stands: Option<(u64, i64)>,
}

/// Notes that the file of a key is about to change, as long as it lives.
struct Moving<'s> {
    moving: &'s Mutex<HashSet<(String, String)>>,
    key: (String, String),
}

impl<'s> Moving<'s> {
    fn begin(moving: &'s Mutex<HashSet<(String, String)>>, bucket: &str, key: &str) -> Self {
        let key = (bucket.to_owned(), key.to_owned());
        moving.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        Self { moving, key }
    }
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

fn object(database: &Connection, bucket: &str, key: &str) -> rusqlite::Result<Option<Object>> {
    let sql = format!("SELECT {} FROM objects WHERE bucket = ? AND key = ?", schema::COLUMNS);
    database.prepare_cached(&sql)?.query_row([bucket, key], read_object).optional()
}

fn read_object(row: &Row<'_>) -> rusqlite::Result<Object> {
    let size: i64 = row.get(0)?;
    Ok(Object {
        size: u64::try_from(size).unwrap_or_default(),
        etag: row.get(1)?,
        md5: row.get(2)?,
        modified: row.get(3)?,
        head: Head::read(&row.get::<_, String>(4)?),
        place: Place::recorded(row.get(5)?),
        stamp: row.get(6)?,
    })
}

fn insert(change: &Transaction<'_>, bucket: &str, key: &str, object: &Object) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT OR REPLACE INTO objects ({}, bucket, key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        schema::COLUMNS
    );
    let size = i64::try_from(object.size).unwrap_or(i64::MAX);
    let values = params![
        size,
        object.etag,
        object.md5,
        object.modified,
        object.head.text(),
        object.place.record(),
        object.stamp,
        bucket,
        key
    ];
    change.prepare_cached(&sql)?.execute(values).map(drop)
}

fn delete(change: &Transaction<'_>, bucket: &str, key: &str) -> rusqlite::Result<()> {
    change
        .prepare_cached("DELETE FROM objects WHERE bucket = ? AND key = ?")?
        .execute([bucket, key])
        .map(drop)
}

/// Renames, and makes the folders above. Somebody may remove an empty one at this moment.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    for _ in 0..10 {
        to.parent().map_or(Ok(()), files::make_folders)?;
        match fs::rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && from.exists() => {}
            done => return done,
        }
    }
    fs::rename(from, to)
}

/// Removes the folders above a file that have nothing in them, up to that of the bucket.
fn prune(path: &Path, bucket: &Path) {
    let above = path.ancestors().skip(1).take_while(|folder| folder.starts_with(bucket) && *folder != bucket);
    for folder in above {
        if fs::remove_dir(folder).is_err() {
            return;
        }
    }
}

pub(crate) fn now_ms() -> i64 {
    since_1970(SystemTime::now()).as_millis().try_into().unwrap_or(i64::MAX)
}

fn stamp(found: &fs::Metadata) -> i64 {
    found.modified().map_or(0, |time| since_1970(time).as_nanos().try_into().unwrap_or(i64::MAX))
}

/// What tells a file from another of the same name.
fn inode(found: &fs::Metadata) -> i64 {
    i64::from_ne_bytes(std::os::unix::fs::MetadataExt::ino(found).to_ne_bytes())
}

fn set_stamp(file: &File, stamp: i64) -> io::Result<()> {
    file.set_modified(UNIX_EPOCH + Duration::from_nanos(stamp.try_into().unwrap_or_default()))
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
