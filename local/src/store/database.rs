//! The file that says what stands in the buckets: one writer, whose waiting jobs become one transaction, and readers beside it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

/// Jobs of one transaction: whoever waits for the disk waits together.
const TOGETHER: usize = 128;
/// Another process of the same home may be writing: the program in a second terminal.
const BUSY: Duration = Duration::from_secs(30);

/// How every error begins that room on the disk mends.
pub(crate) const DISK_IS_FULL: &str = "the disk is full";

/// Why what stands in the buckets cannot be read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// No room on the disk.
    #[error("{DISK_IS_FULL}: {path} cannot be written; make room, and do it again")]
    Full {
        /// What was written.
        path: PathBuf,
    },
    /// A file cannot be opened or written, and nobody says why.
    #[error("{DISK_IS_FULL} or fails, or {path} is not ours ({error}): make room, and do it again")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the library says.
        error: String,
    },
    /// The file is not what was written.
    #[error(
        "{path} is damaged ({error}): put a copy from before in its place; without one, remove it, and what stands below s3 is taken in anew"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
    /// Anything else.
    #[error("failed to use {path}: {error}")]
    Other {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        error: String,
    },
}

impl StoreError {
    pub(crate) fn io(path: &Path, error: &io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Other { path, error: error.to_string() },
        }
    }

    pub(crate) fn sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { path, error: error.to_string() }
            }
            // the library does not say why: for want of room, mostly
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => {
                Self::Unusable { path, error: error.to_string() }
            }
            _ => Self::Other { path, error: error.to_string() },
        }
    }
}

/// The file, open.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    jobs: Mutex<Option<Sender<Box<dyn Job>>>>,
    writer: Mutex<Option<std::thread::JoinHandle<()>>>,
    readers: Mutex<Vec<Connection>>,
}

/// Something to do in a transaction, perhaps twice: if another job of the same one fails.
trait Job: Send {
    fn run(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<()>;
    fn done(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Typed<F, T, R> {
    work: F,
    result: Option<T>,
    reply: R,
}

impl<F, T, R> Job for Typed<F, T, R>
where
    F: FnMut(&Transaction<'_>) -> rusqlite::Result<T> + Send,
    T: Send,
    R: FnOnce(Result<T, StoreError>) + Send,
{
    fn run(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        self.result = Some((self.work)(transaction)?);
        Ok(())
    }

    fn done(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        if let Some(result) = outcome.map(|()| result).transpose() {
            reply(result);
        }
    }
}

impl Database {
    /// Opens the file, which is there.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = connect(path).map_err(|error| StoreError::sqlite(path, &error))?;
        let (jobs, waiting) = channel();
        let file = path.to_owned();
        let writer = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || write(connection, &waiting, &file))
            .map_err(|error| StoreError::io(path, &error))?;
        let (jobs, writer) = (Mutex::new(Some(jobs)), Mutex::new(Some(writer)));
        Ok(Self { path: path.to_owned(), jobs, writer, readers: Mutex::default() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Does it in a transaction; once this answers, it is on disk.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        // nobody may wait for it any more
        self.send(Box::new(Typed { work, result: None, reply: move |result| drop(reply.send(result)) }))?;
        answer.await.unwrap_or_else(|_| Err(self.ended()))
    }

    /// The same where nothing can be awaited.
    pub(crate) fn write_now<T: Send + 'static>(
        &self,
        work: impl FnMut(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = channel();
        self.send(Box::new(Typed { work, result: None, reply: move |result| drop(reply.send(result)) }))?;
        answer.recv().unwrap_or_else(|_| Err(self.ended()))
    }

    fn send(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or_else(|| self.ended())
    }

    fn ended(&self) -> StoreError {
        StoreError::Other { path: self.path.clone(), error: "the embedded cloud has ended".into() }
    }

    /// Reads; sees everything that was written before.
    pub(crate) fn read<T>(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let failed = |error| StoreError::sqlite(&self.path, &error);
        let idle = self.readers().pop();
        let connection = idle.map_or_else(|| connect(&self.path), Ok).map_err(failed)?;
        let looked = look(&connection).map_err(failed)?;
        self.readers().push(connection);
        Ok(looked)
    }

    fn readers(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the writer once it has done what it was asked for.
    pub(super) fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.readers().clear();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // the last that holds it may be a job of the writer's
        let writer = writer.filter(|writer| writer.thread().id() != std::thread::current().id());
        let _ = writer.map(std::thread::JoinHandle::join); // a panic was told where it happened
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.close();
    }
}

/// A connection as all of this house: what is committed is on disk.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn write(mut connection: Connection, waiting: &Receiver<Box<dyn Job>>, path: &Path) {
    while let Ok(first) = waiting.recv() {
        let mut jobs = vec![first];
        jobs.extend(waiting.try_iter().take(TOGETHER - 1));
        if together(&mut connection, &mut jobs).is_ok() {
            jobs.into_iter().for_each(|job| job.done(Ok(())));
            continue;
        }
        // one of them failed: each by itself
        for job in jobs {
            let mut alone = [job];
            let outcome = together(&mut connection, &mut alone);
            let [job] = alone;
            job.done(outcome.map_err(|error| StoreError::sqlite(path, &error)));
        }
    }
}

fn together(connection: &mut Connection, jobs: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in jobs {
        job.run(&transaction)?;
    }
    transaction.commit()
}
