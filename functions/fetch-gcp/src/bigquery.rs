//! The REST API of BigQuery (v2), as far as asking a question goes: jobs.query and jobs.getQueryResults.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cloud::peer::{Call, Peer, PeerError, Tokens};
use serde_json::{Value, json};
use url::Url;

use crate::error::{BigQueryApi, GcpError, job_errors};
use crate::page::{JobReference, Page};
use crate::table::{Location, ProjectId};

/// How long the server may hold a request until the job is done, in milliseconds.
pub(crate) const WAIT_MS: u64 = 10_000;
/// Rows of one page; the server cuts a page earlier where it passes 10 MB.
pub(crate) const PAGE_ROWS: u32 = 10_000;

/// A client for one project.
pub(crate) struct BigQuery {
    pub(crate) peer: Peer,
    pub(crate) base: Url,
    pub(crate) tokens: Tokens,
    pub(crate) project: ProjectId,
    pub(crate) location: Location,
    /// How long a job may take.
    pub(crate) timeout: Duration,
    /// Pause before a job is looked at again that the server did not wait for.
    pub(crate) pause: Duration,
}

/// A job that has ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) id: String,
    location: String,
}

impl BigQuery {
    /// Starts a query and waits until it is done: the job, and the answer with the first page.
    pub(crate) async fn query(&self, request: &Value) -> Result<(Job, Bytes), GcpError> {
        let started = Instant::now();
        let url = self.url(&[]);
        let mut body = self.call(&url, Some(request)).await?;
        let page = read(&body, &url)?;
        let job = self.job(&page.job_reference, &url)?;
        let mut done = page.job_complete;
        check_errors(&page, &job)?;
        while !done {
            let left = self.timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(GcpError::NotDone { job: job.id, waited_s: self.timeout.as_secs() });
            }
            tokio::time::sleep(self.pause.min(left)).await;
            let url = self.results_url(&job, None);
            body = self.call(&url, None).await?;
            let page = read(&body, &url)?;
            check_errors(&page, &job)?;
            done = page.job_complete;
        }
        Ok((job, body))
    }

    /// A further page of a job's result.
    pub(crate) async fn page(&self, job: &Job, token: &str) -> Result<Bytes, GcpError> {
        let url = self.results_url(job, Some(token));
        let body = self.call(&url, None).await?;
        let page = read(&body, &url)?;
        check_errors(&page, job)?;
        if page.job_complete {
            Ok(body)
        } else {
            Err(unexpected(&url, "the job has ended, and a page of it says that it has not"))
        }
    }

    /// How many bytes a query would read; nothing runs and nothing is paid for.
    pub(crate) async fn bytes_to_read(&self, request: &Value) -> Result<u64, GcpError> {
        let url = self.url(&[]);
        let mut request = request.clone();
        request["dryRun"] = json!(true);
        let body = self.call(&url, Some(&request)).await?;
        let bytes = read(&body, &url)?.bytes_processed();
        bytes.ok_or_else(|| unexpected(&url, "a dry run says no totalBytesProcessed"))
    }

    fn job(&self, reference: &JobReference, url: &Url) -> Result<Job, GcpError> {
        let id = reference.job_id.clone();
        let id = id.ok_or_else(|| unexpected(url, "there is no jobReference.jobId"))?;
        let location = reference.location.clone().unwrap_or_else(|| self.location.as_str().to_owned());
        Ok(Job { id, location })
    }

    /// `.../projects/{project}/queries` and what comes after it.
    fn url(&self, more: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            let project = self.project.as_str();
            path.pop_if_empty().extend(["bigquery", "v2", "projects", project, "queries"]).extend(more);
        }
        url.query_pairs_mut().append_pair("prettyPrint", "false");
        url
    }

    fn results_url(&self, job: &Job, page_token: Option<&str>) -> Url {
        let mut url = self.url(&[&job.id]);
        let mut query = url.query_pairs_mut();
        query.append_pair("location", &job.location).append_pair("maxResults", &PAGE_ROWS.to_string());
        query.append_pair("timeoutMs", &WAIT_MS.to_string());
        query.append_pair("formatOptions.timestampOutputFormat", "ISO8601_STRING");
        if let Some(token) = page_token {
            query.append_pair("pageToken", token);
        }
        drop(query);
        url
    }

    /// A GET, or a POST of this body.
    async fn call(&self, url: &Url, body: Option<&Value>) -> Result<Bytes, PeerError> {
        let call = match body {
            Some(body) => Call::post(&BigQueryApi, url.clone()).json(body),
            None => Call::get(&BigQueryApi, url.clone()),
        };
        Ok(self.peer.ask(&call.with(&self.tokens)).await?.body)
    }
}

/// Reads an answer; one that was cut short is no JSON.
pub(crate) fn read<'b>(body: &'b [u8], url: &Url) -> Result<Page<'b>, GcpError> {
    Page::read(body).map_err(|error| unexpected(url, &error.to_string()))
}

/// A job may end with errors without an HTTP status that says so.
fn check_errors(page: &Page<'_>, job: &Job) -> Result<(), GcpError> {
    match page.errors() {
        [] => Ok(()),
        errors => Err(GcpError::JobFailed { job: job.id.clone(), detail: job_errors(errors) }),
    }
}

fn unexpected(url: &Url, reason: &str) -> GcpError {
    PeerError::unexpected(url.path(), reason).into()
}
