//! Where the embedded cloud keeps its state: `.monthend/`, or the folder that `MONTHEND_HOME` names.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::credentials::Credentials;
use crate::files;

/// The names of files and folders of a home.
const OURS: [&str; 18] = [
    "s3",
    "new",
    "store.sqlite",
    "store.sqlite-wal",
    "store.sqlite-shm",
    "store.new",
    "dynamodb.sqlite",
    "dynamodb.sqlite-wal",
    "dynamodb.sqlite-shm",
    "queue",
    "dead-letters",
    "admin.json",
    "clazar.jsonl",
    "credentials.json",
    "mails",
    "kind.json",
    "lock",
    "endpoints.json",
];

/// A folder of state.
#[derive(Clone, Debug)]
pub struct Home {
    root: PathBuf,
}

/// Whose data a home holds. The two are never mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HomeKind {
    /// Invented data of the sandbox providers.
    Sandbox,
    /// The user's own accounts.
    Own,
}

/// Where a running embedded cloud answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// S3.
    pub s3: String,
    /// DynamoDB.
    pub dynamodb: String,
    /// The console.
    pub console: String,
    /// Secrets Manager, with the credentials of the sandbox providers.
    pub secrets: String,
    /// The sandbox of MongoDB Atlas (base URL of its API), if it runs.
    pub atlas: Option<String>,
    /// The sandbox of Clazar (its metering endpoint), if it runs.
    pub clazar: Option<String>,
    /// The sandbox of CCX (base URL of the server), if it runs.
    #[serde(default)]
    pub ccx: Option<String>,
    /// The sandbox of AWS' billing APIs, if it runs.
    #[serde(default)]
    pub aws: Option<String>,
    /// The sandbox of Google Cloud, if it runs.
    #[serde(default)]
    pub gcp: Option<GcpEndpoint>,
    /// The sandbox of Azure (its login, its API and its storage), if it runs.
    #[serde(default)]
    pub azure: Option<String>,
    /// The sandbox of SES, if it runs.
    #[serde(default)]
    pub ses: Option<String>,
    /// The sandbox of Prometheus (base URL of the server), if it runs.
    #[serde(default)]
    pub prometheus: Option<String>,
    /// The sandbox of Vault, with the credentials of the sandbox providers, if it runs.
    #[serde(default)]
    pub vault: Option<String>,
    /// What the sandbox of Omnistrate has exported, if it runs.
    pub omnistrate: Option<Exported>,
    /// The data bucket.
    pub bucket: String,
    /// The ledger's table.
    pub table: String,
    /// What opens S3, DynamoDB, Secrets Manager and what else speaks as AWS does.
    pub credentials: Credentials,
    /// The process that runs it.
    pub pid: u32,
}

/// The sandbox of Google Cloud.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcpEndpoint {
    /// BigQuery's base URL; tokens are at `/token`.
    pub url: String,
    /// The key file that opens it. The key lives as long as the process that serves, so that other processes must be told.
    pub service_account_key: String,
}

/// Without the key.
impl std::fmt::Debug for GcpEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GcpEndpoint").field("url", &self.url).finish_non_exhaustive()
    }
}

/// An export of usage by the sandbox of Omnistrate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// Into which bucket.
    pub bucket: String,
    /// The service.
    pub service: String,
    /// Its environment.
    pub environment: String,
    /// Its plan.
    pub plan: String,
    /// The first month, `YYYY-MM`.
    pub start_month: String,
}

/// Held while a process runs the embedded cloud of a home; dropping it frees the home.
#[derive(Debug)]
pub struct HomeLock {
    endpoints: PathBuf,
    _file: File,
}

/// Why a home cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The file system refused.
    #[error(
        "failed to {action} {path}: {error}; MONTHEND_HOME names the folder of the embedded cloud's state"
    )]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// Another process runs the embedded cloud and is not (yet) reachable.
    #[error("another monthend works in {0}; wait until it ends, or set MONTHEND_HOME to another folder")]
    Busy(PathBuf),
    /// Invented and own data would be mixed.
    #[error(
        "{root} holds {held}, and this would add {wanted}: set MONTHEND_HOME to another folder, or `{reset}` first"
    )]
    Mixed {
        /// The home.
        root: PathBuf,
        /// What is there.
        held: &'static str,
        /// What would be added.
        wanted: &'static str,
        /// What removes what is there.
        reset: &'static str,
    },
}

impl HomeKind {
    fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "the sandbox's invented data",
            Self::Own => "your own data",
        }
    }

    fn reset(self) -> &'static str {
        match self {
            Self::Sandbox => "monthend reset",
            Self::Own => "monthend reset --yes",
        }
    }
}

impl Home {
    /// The home in that folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`HomeError::Io`].
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, HomeError> {
        let root = root.into();
        let home = Self { root };
        home.close_to_others();
        let path = home.s3();
        files::make_folders(&path).map_err(|source| io_error("create", path, source))?;
        Ok(home)
    }

    /// Whoever else works on this machine has no business in it. A folder with other things in it stays as it is.
    fn close_to_others(&self) {
        let is_ours = |entry: io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| OURS.iter().any(|ours| entry.file_name() == **ours))
        };
        if fs::read_dir(&self.root).is_ok_and(|mut entries| entries.all(is_ours)) {
            let _ = fs::set_permissions(&self.root, fs::Permissions::from_mode(0o700)); // not ours, then: the next step says so
        }
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn s3(&self) -> PathBuf {
        self.root.join("s3")
    }

    pub(crate) fn dynamodb(&self) -> PathBuf {
        self.root.join("dynamodb.sqlite")
    }

    /// What stands in the buckets, and which notifications wait.
    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store.sqlite")
    }

    /// Files that are no object yet.
    pub(crate) fn new_files(&self) -> PathBuf {
        self.root.join("new")
    }

    /// What opens its cloud.
    fn credentials_file(&self) -> PathBuf {
        self.root.join("credentials.json")
    }

    /// The secret of the console's admin.
    pub(crate) fn admin(&self) -> PathBuf {
        self.root.join("admin.json")
    }

    /// What the sandbox of Clazar holds.
    pub(crate) fn clazar(&self) -> PathBuf {
        self.root.join("clazar.jsonl")
    }

    /// Where the mails stand that the sandbox of SES took, a folder each.
    #[must_use]
    pub fn mails(&self) -> PathBuf {
        self.root.join("mails")
    }

    /// Where an object of the data bucket stands as a file.
    #[must_use]
    pub fn object(&self, key: &str) -> PathBuf {
        self.s3().join(crate::BUCKET).join(key)
    }

    /// What opens its cloud, made when it is first asked for. The same from then on, so that tools keep what they were told.
    ///
    /// # Errors
    /// [`HomeError::Io`].
    pub fn credentials(&self) -> Result<Credentials, HomeError> {
        let path = self.credentials_file();
        match fs::read(&path) {
            Ok(bytes) => {
                let read = serde_json::from_slice(&bytes).map_err(io::Error::from);
                read.map_err(|error| io_error("read", path, error))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let credentials = Credentials::random();
                self.keep_credentials(&credentials)?;
                Ok(credentials)
            }
            Err(error) => Err(io_error("read", path, error)),
        }
    }

    /// A copy of it in another folder, while no cloud runs on it.
    ///
    /// # Errors
    /// [`HomeError::Io`].
    pub fn copy(&self, root: impl Into<PathBuf>) -> Result<Self, HomeError> {
        let root = root.into();
        files::copy_tree(&self.root, &root).map_err(|error| io_error("copy", root.clone(), error))?;
        Self::open(root)
    }

    /// From here on these open its cloud.
    pub(crate) fn keep_credentials(&self, credentials: &Credentials) -> Result<(), HomeError> {
        let path = self.credentials_file();
        let bytes = serde_json::to_vec(credentials).unwrap_or_default(); // texts always serialise
        files::replace(&path, &bytes).map_err(|error| io_error("write", path, error))
    }

    /// Takes the home for this process, or answers nothing if another has it.
    ///
    /// # Errors
    /// [`HomeError::Io`].
    pub fn lock(&self) -> Result<Option<HomeLock>, HomeError> {
        let path = self.root.join("lock");
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(|source| io_error("open", path.clone(), source))?;
        match file.try_lock() {
            Ok(()) => {
                let endpoints = self.root.join("endpoints.json");
                let _ = fs::remove_file(&endpoints); // of a process that was killed
                Ok(Some(HomeLock { endpoints, _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(io_error("lock", path, source)),
        }
    }

    /// Where the process that has the home answers, if it has said so.
    #[must_use]
    pub fn endpoints(&self) -> Option<Endpoints> {
        serde_json::from_slice(&fs::read(self.root.join("endpoints.json")).ok()?).ok()
    }

    /// Marks the home as holding this kind of data.
    ///
    /// # Errors
    /// [`HomeError::Mixed`] if it holds the other kind.
    pub fn claim(&self, wanted: HomeKind) -> Result<(), HomeError> {
        if let Some(held) = self.kind().filter(|held| *held != wanted) {
            let (root, reset) = (self.root.clone(), held.reset());
            return Err(HomeError::Mixed { root, held: held.name(), wanted: wanted.name(), reset });
        }
        if self.marked() == Some(wanted) {
            return Ok(());
        }
        let path = self.mark();
        let bytes = serde_json::to_vec(&wanted).unwrap_or_default(); // a word always serialises
        files::replace(&path, &bytes).map_err(|error| io_error("write", path, error))
    }

    /// Whose data it holds; nothing while it is new.
    ///
    /// What nobody has marked is the user's own as soon as anything is in it: the sandbox marks a home before it writes.
    #[must_use]
    pub fn kind(&self) -> Option<HomeKind> {
        self.marked().or_else(|| self.holds_something().then_some(HomeKind::Own))
    }

    fn mark(&self) -> PathBuf {
        self.root.join("kind.json")
    }

    fn marked(&self) -> Option<HomeKind> {
        serde_json::from_slice(&fs::read(self.mark()).ok()?).ok()
    }

    fn holds_something(&self) -> bool {
        // the console's password is neither invented nor own data
        // and of an older version's home
        [self.s3(), self.root.join("queue"), self.root.join("dead-letters")]
            .iter()
            .any(|folder| holds_a_file(folder))
    }

    /// Removes all state. The folder itself goes too, if nothing else is in it.
    ///
    /// # Errors
    /// [`HomeError::Busy`] while a process runs its cloud.
    pub fn reset(&self) -> Result<(), HomeError> {
        let lock = self.lock()?.ok_or_else(|| HomeError::Busy(self.root.clone()))?;
        let _ = fs::remove_file(self.root.join("queue")); // a folder in homes of older versions
        for folder in ["s3", "new", "queue", "dead-letters"].map(|folder| self.root.join(folder)) {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("remove", folder, error));
                }
                _ => {}
            }
        }
        for file in [self.dynamodb(), self.store()].iter().flat_map(|database| files::of_database(database)) {
            let _ = fs::remove_file(file); // not there in a home that was never used
        }
        let _ = fs::remove_file(self.admin()); // only there if a password was set
        let _ = fs::remove_file(self.clazar()); // only there with the sandbox
        let _ = fs::remove_dir_all(self.mails()); // the same
        let _ = fs::remove_file(self.mark());
        let _ = fs::remove_file(self.credentials_file());
        drop(lock);
        let _ = fs::remove_file(self.root.join("lock"));
        let _ = fs::remove_dir(&self.root);
        Ok(())
    }
}

impl HomeLock {
    /// Tells other processes where this one answers.
    ///
    /// # Errors
    /// [`HomeError::Io`].
    pub fn announce(&self, endpoints: &Endpoints) -> Result<(), HomeError> {
        let bytes = serde_json::to_vec(endpoints).unwrap_or_default(); // texts and numbers always serialise
        files::replace(&self.endpoints, &bytes)
            .map_err(|source| io_error("write", self.endpoints.clone(), source))
    }
}

impl Drop for HomeLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.endpoints);
    }
}

pub(crate) fn io_error(action: &'static str, path: PathBuf, error: io::Error) -> HomeError {
    HomeError::Io { action, path, error }
}

/// Whether there is a file in the folder, however deep. What cannot be looked into counts as holding one.
fn holds_a_file(folder: &Path) -> bool {
    let holds = |entry: io::Result<fs::DirEntry>| {
        let Ok((path, kind)) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) else {
            return true;
        };
        !kind.is_dir() || holds_a_file(&path)
    };
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.any(holds),
        Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_never_two_kinds_of_data() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path().join("home")).unwrap();
        let lock = home.lock().unwrap().unwrap();
        assert!(home.lock().unwrap().is_none());
        assert!(matches!(home.reset(), Err(HomeError::Busy(_))));
        drop(lock);
        home.claim(HomeKind::Sandbox).unwrap();
        home.claim(HomeKind::Sandbox).unwrap();
        let error = home.claim(HomeKind::Own).unwrap_err().to_string();
        assert!(
            error.contains("holds the sandbox's invented data, and this would add your own data"),
            "{error}"
        );
        home.reset().unwrap();
        assert!(!home.root().exists());
    }

    #[test]
    fn what_nobody_marked_is_the_users_own_once_something_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path().join("home")).unwrap();
        fs::create_dir_all(home.object("bills")).unwrap();
        assert_eq!(home.kind(), None, "folders alone are nothing");
        fs::write(home.object("bills/a.csv"), "x").unwrap();
        assert_eq!(home.kind(), Some(HomeKind::Own));
        let error = home.claim(HomeKind::Sandbox).unwrap_err().to_string();
        assert!(
            error.contains("holds your own data") && error.contains("`monthend reset --yes` first"),
            "{error}"
        );
        fs::remove_file(home.object("bills/a.csv")).unwrap();
        fs::write(home.admin(), "{}").unwrap();
        assert_eq!(home.kind(), None, "a password is nobody's data");
        // what the sandbox has marked stays the sandbox's, whatever is in it
        fs::remove_file(home.admin()).unwrap();
        home.claim(HomeKind::Sandbox).unwrap();
        fs::write(home.admin(), "{}").unwrap();
        assert_eq!(home.kind(), Some(HomeKind::Sandbox));
    }
}
