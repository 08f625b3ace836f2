//! The report API, in both of its spellings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use billing::usage::{InvalidWindow, Window};
use chrono::{DateTime, NaiveDate, Utc};
use cloud::datastores::{Report, ReportFormat};
use futures::StreamExt as _;
use tokio::sync::Semaphore;

use crate::App;
use crate::auth::ClientAddress;
use crate::failure::Failure;

/// Which files are held, so that their events are not in a report.
const HELD_FILES: &str = "monthend-held-files";
/// How many datastores are not in a report because they were deleted too long ago, and the last day, looking back, that is complete.
const FORGOTTEN: &str = "monthend-forgotten-datastores";
const COMPLETE_FROM: &str = "monthend-complete-from";

/// Reports made at once, by this process: each takes some megabytes, and as much of a processor as there is.
static REPORTS: Semaphore = Semaphore::const_new(6);
/// How long a report waits for its turn.
const TURN: Duration = Duration::from_secs(60);

/// How the days of a report are spelt in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// `start` and `end`: both must be given.
    StartAndEnd,
    /// `from` and `to`: both may be left out.
    FromAndTo,
}

impl Spelling {
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::StartAndEnd => ["start", "end"],
            Self::FromAndTo => ["from", "to"],
        }
    }
}

/// `GET /api/admin/datastores/billing/{json|csv}?start=&end=` and `GET /api/admin/datastores/billing/usage/{json|csv}?from=&to=`.
pub(crate) async fn usage_report(
    State(app): State<Arc<App>>,
    Extension(spelling): Extension<Spelling>,
    address: ClientAddress,
    headers: HeaderMap,
    format: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let now = Utc::now();
    app.admin(&headers, &address, now).await?;
    let Path(format) = format
        .map_err(|_| Failure::BadRequest("the type of report cannot be read, use json or csv".into()))?;
    let asked = Asked::new(spelling, query.as_deref())?;
    app.report(&asked, &format, now).await
}

/// `GET /api/openapi.json`: for everybody.
pub(crate) async fn open_api() -> Response {
    ([(CONTENT_TYPE, "application/json")], include_str!("../openapi.json")).into_response()
}

/// The first and the last day, as the query says.
pub(crate) struct Asked {
    names: [&'static str; 2],
    days: BTreeMap<&'static str, NaiveDate>,
}

impl Asked {
    /// Reads a query of two days. A parameter of another name would be a day that is silently not looked at.
    pub(crate) fn new(spelling: Spelling, query: Option<&str>) -> Result<Self, Failure> {
        let (names, mut days) = (spelling.names(), BTreeMap::new());
        for (name, text) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let Some(known) = names.into_iter().find(|known| *known == name) else {
                let [first, last] = names;
                let name: String = name.chars().take(40).collect();
                return Err(Failure::BadRequest(format!(
                    "'{name}' is no parameter here, give {first} and {last}"
                )));
            };
            if days.insert(known, Window::day(known, &text)?).is_some() {
                return Err(Failure::BadRequest(format!("'{known}' is given twice")));
            }
        }
        let missing = names.into_iter().find(|name| !days.contains_key(name));
        if let (Spelling::StartAndEnd, Some(name)) = (spelling, missing) {
            let why = format!("'{name}' is missing: give start=YYYY-MM-DD&end=YYYY-MM-DD");
            return Err(Failure::BadRequest(why));
        }
        Ok(Self { names, days })
    }

    fn window(&self, now: DateTime<Utc>) -> Result<Window, InvalidWindow> {
        let [first, last] = self.names.map(|name| self.days.get(name).copied());
        Window::days(first, last, now)
    }
}

impl From<InvalidWindow> for Failure {
    fn from(error: InvalidWindow) -> Self {
        Self::BadRequest(error.to_string())
    }
}

impl App {
    /// The report, streamed. That it ends well is proof that it is whole.
    pub(crate) async fn report(
        &self,
        asked: &Asked,
        format: &str,
        now: DateTime<Utc>,
    ) -> Result<Response, Failure> {
        let window = asked.window(now)?;
        let (format, content_type) = match format {
            "json" => (ReportFormat::Json, "application/json"),
            "csv" => (ReportFormat::Csv, "text/csv; charset=utf-8; header=present"),
            other => {
                let other: String = other.chars().take(40).collect();
                return Err(Failure::BadRequest(format!("'{other}' is no type of report, use json or csv")));
            }
        };
        let busy = |_| Failure::Busy("too many reports are being made, try again".into());
        let turn = tokio::time::timeout(TURN, REPORTS.acquire()).await.map_err(busy)?;
        let report = Report::new(window, self.retention, now, format).begin(&self.datastores).await?;
        let told = report.pieces.inspect(move |piece| {
            let _ = &turn; // until all of it is sent
            if let Err(error) = piece {
                tracing::error!("a report broke off: {error}");
            }
        });
        let mut response = Body::from_stream(told).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let last_day = window.to_ms() - 1;
        let day = |ms| DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default().date_naive();
        let extension = if format == ReportFormat::Json { "json" } else { "csv" };
        let name = format!("datastore-usage_{}_{}.{extension}", day(window.from_ms()), day(last_day));
        if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
            headers.insert(CONTENT_DISPOSITION, disposition);
        }
        headers.insert(HELD_FILES, report.held.len().into());
        if let Some(forgotten) = report.forgotten {
            headers.insert(FORGOTTEN, forgotten.datastores.into());
            if let Ok(day) = HeaderValue::from_str(&forgotten.complete_from.to_string()) {
                headers.insert(COMPLETE_FROM, day);
            }
        }
        Ok(response)
    }
}
