//! DynamoDB on a file: the operations on items that the product and people who look need, each signed as on AWS.
//!
//! The library behind it has a server of its own, but that answers everybody, web pages too. So this is its only door.

use std::path::Path;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use dynoxide::{Database, DynoxideError};
use serde_json::json;

use crate::TABLE;
use crate::credentials::Credentials;
use crate::files;
use crate::signature::{self, Refusal};
use crate::store::DISK_IS_FULL;

/// What DynamoDB takes.
const LARGEST_BODY: usize = 16 * 1024 * 1024;
const TARGET: &str = "DynamoDB_20120810.";

/// Why the ledger's file cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum LedgerFileError {
    #[error(
        "the ledger {path} cannot be read ({error}): put a copy from before in its place, and what the bucket has will be compared with it; \
         a home of invented data starts anew after `monthend reset`"
    )]
    Damaged { path: String, error: String },
    #[error("{DISK_IS_FULL} or fails, or {path} is not ours ({error}): make room, and do it again")]
    Unusable { path: String, error: String },
}

impl LedgerFileError {
    fn of(path: &Path, error: String) -> Self {
        let path = path.display().to_string();
        if !is_damaged(&error) {
            return Self::Unusable { path, error };
        }
        // the library's advice is for programmers
        let is_none = error.contains("not a valid SQLite");
        Self::Damaged { path, error: if is_none { "it is no SQLite file".to_owned() } else { error } }
    }
}

/// What SQLite says of a file that is not what it has written.
fn is_damaged(error: &str) -> bool {
    ["malformed", "not a database", "not a valid SQLite database"].iter().any(|said| error.contains(said))
}

/// What it says where there is no room, or where it cannot tell.
fn is_for_want_of_room(error: &str) -> bool {
    ["disk is full", "disk I/O error", "unable to open database file"].iter().any(|said| error.contains(said))
}

/// The ledger of a home, which is made if it is not there.
pub(crate) fn open(path: &Path) -> Result<Database, LedgerFileError> {
    if path.exists() {
        let damaged = |error: DynoxideError| LedgerFileError::of(path, error.to_string());
        let database = Database::new(&path.to_string_lossy()).map_err(damaged)?;
        if has_table(&database).map_err(damaged)? {
            return Ok(database);
        }
        // of a start that died before it had made the table: nothing was ever in it
        drop(database);
    }
    make(path).map_err(|error| LedgerFileError::of(path, error))?;
    Database::new(&path.to_string_lossy()).map_err(|error| LedgerFileError::of(path, error.to_string()))
}

/// A ledger that ends with the process, for tests.
fn in_memory() -> Result<Database, LedgerFileError> {
    let made = Database::memory().and_then(|database| {
        create_table(&database)?;
        Ok(database)
    });
    made.map_err(|error| LedgerFileError::of(Path::new("in memory"), error.to_string()))
}

/// The same with what a file holds, if there is one.
pub(crate) fn copy(path: &Path) -> Result<Database, LedgerFileError> {
    if !path.exists() {
        return in_memory();
    }
    let copied = Database::memory().and_then(|database| {
        database.restore_from(&path.to_string_lossy())?;
        Ok(database)
    });
    copied.map_err(|error| LedgerFileError::of(path, error.to_string()))
}

/// Writes all that a ledger holds into a file, which is new.
pub(crate) fn save(database: &Database, path: &Path) -> Result<(), LedgerFileError> {
    let saved = database.vacuum_into(&path.to_string_lossy());
    saved.map_err(|error| LedgerFileError::of(path, error.to_string()))
}

/// Makes the file whole under another name first: whoever dies on the way leaves nothing that looks like a ledger.
fn make(path: &Path) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let new = path.with_extension("new");
    let [_, log, shared] = files::of_database(path);
    [&new, &log, &shared].into_iter().try_for_each(|left| files::remove(left)).map_err(text)?;
    let database = in_memory().map_err(|error| error.to_string())?;
    save(&database, &new).map_err(|error| error.to_string())?;
    files::close(&new).map_err(text)?;
    files::put_in_place(&new, path).map_err(text)
}

fn has_table(database: &Database) -> Result<bool, DynoxideError> {
    if database.get_table_metadata(TABLE)?.is_none() {
        return Ok(false);
    }
    // the table may be announced and not be there
    let request = json!({"TableName": TABLE, "Key": {"pk": {"S": "-"}, "sk": {"S": "-"}}});
    let request = serde_json::from_value(request).map_err(internal)?;
    match database.get_item(request) {
        Ok(_) => Ok(true),
        Err(error) if error.to_string().contains("no such table") => Ok(false),
        Err(error) => Err(error),
    }
}

fn create_table(database: &Database) -> Result<(), DynoxideError> {
    let table = json!({
        "TableName": TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "S"},
        ],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    });
    database.create_table(serde_json::from_value(table).map_err(internal)?).map(drop)
}

fn internal(error: impl ToString) -> DynoxideError {
    DynoxideError::InternalServerError(error.to_string())
}

/// The service.
pub(crate) fn router(database: Database, credentials: Credentials) -> Router {
    Router::new().route("/", post(answer)).layer(Extension(credentials)).with_state(database)
}

async fn answer(
    State(database): State<Database>,
    Extension(credentials): Extension<Credentials>,
    request: Request,
) -> Response {
    let signed = signature::signed_body(&credentials, request, "dynamodb", LARGEST_BODY).await;
    let (headers, body) = match signed {
        Ok(signed) => signed,
        Err(Refusal(status, kind, message)) => return refuse(status, kind, &message),
    };
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.strip_prefix(TARGET).unwrap_or_default().to_owned();
    // a write waits for the disk
    let done = tokio::task::spawn_blocking(move || run(&database, &operation, &body)).await;
    match done.unwrap_or_else(|error| Err(internal(error))) {
        Ok(Some(document)) => amz_json(StatusCode::OK, document),
        Ok(None) => refuse(StatusCode::BAD_REQUEST, "UnknownOperationException", OPERATIONS),
        Err(error) => failed(&error),
    }
}

/// An error as DynamoDB says it. What the disk or the file does is none of its own, and trying again mends neither.
fn failed(error: &DynoxideError) -> Response {
    let text = error.to_string();
    let of_file = |what: &str| {
        refuse(
            StatusCode::INSUFFICIENT_STORAGE,
            "LedgerFile",
            &format!("{what} (dynamodb.sqlite in the home: {text})"),
        )
    };
    if is_for_want_of_room(&text) {
        return of_file(&format!("{DISK_IS_FULL}: the ledger cannot be written; make room, and do it again"));
    }
    if is_damaged(&text) {
        return of_file("the ledger is damaged: put a copy from before in its place");
    }
    let status = StatusCode::from_u16(error.status_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    amz_json(status, error.to_json())
}

macro_rules! operations {
    ($($name:literal => $call:ident,)*) => {
        /// Which there are.
        const OPERATIONS: &str = concat!("the embedded cloud knows", $(" ", $name,)*);

        /// Does what is asked; nothing if it is none of the operations.
        fn run(database: &Database, operation: &str, body: &[u8]) -> Result<Option<String>, DynoxideError> {
            match operation {
                $($name => {
                    let request = serde_json::from_slice(body)
                        .map_err(|error| DynoxideError::SerializationException(error.to_string()))?;
                    let answer = database.$call(request)?;
                    serde_json::to_string(&answer).map(Some).map_err(internal)
                })*
                _ => Ok(None),
            }
        }
    };
}

operations! {
    "GetItem" => get_item,
    "PutItem" => put_item,
    "UpdateItem" => update_item,
    "DeleteItem" => delete_item,
    "Query" => query,
    "Scan" => scan,
    "BatchGetItem" => batch_get_item,
    "BatchWriteItem" => batch_write_item,
    "TransactGetItems" => transact_get_items,
    "TransactWriteItems" => transact_write_items,
    "DescribeTable" => describe_table,
    "ListTables" => list_tables,
}

fn refuse(status: StatusCode, kind: &str, message: &str) -> Response {
    let kind = format!("com.amazon.coral.service#{kind}");
    amz_json(status, json!({"__type": kind, "message": message}).to_string())
}

fn amz_json(status: StatusCode, document: String) -> Response {
    (status, [("content-type", "application/x-amz-json-1.0")], document).into_response()
}
