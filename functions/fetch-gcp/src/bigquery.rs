//! The REST API of BigQuery (v2), as far as asking a question goes: jobs.query and jobs.getQueryResults.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cloud::http::send;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::Url;

use crate::error::{GcpError, job_errors};
use crate::http::{Wire, body_of};
use crate::page::{JobReference, Page};
use crate::table::{Location, ProjectId};
use crate::token::Tokens;

/// How long the server may hold a request until the job is done, in milliseconds.
pub(crate) const WAIT_MS: u64 = 10_000;
/// Rows of one page; the server cuts a page earlier where it passes 10 MB.
pub(crate) const PAGE_ROWS: u32 = 10_000;

/// A client for one project.
pub(crate) struct BigQuery {
    pub(crate) wire: Wire,
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

    /// A GET, or a POST of this body, with retries of what may pass.
    async fn call(&self, url: &Url, body: Option<&Value>) -> Result<Bytes, GcpError> {
        let answer = self.wire.retry.run(|| self.call_once(url, body)).await;
        answer.map_err(|error| error.after(self.wire.retry.attempts()))
    }

    async fn call_once(&self, url: &Url, body: Option<&Value>) -> Result<Bytes, GcpError> {
        let mut renewed = false;
        loop {
            let token = self.tokens.get().await?;
            let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
                .map_err(|_| unexpected(url, "the token has characters that no header can carry"))?;
            bearer.set_sensitive(true);
            let request = match body {
                Some(body) => self.wire.client.post(url.clone()).json(body),
                None => self.wire.client.get(url.clone()),
            };
            let request = request.header(ACCEPT, "application/json").header(AUTHORIZATION, bearer);
            let (status, wait, answer) = body_of(send(request, &[]).await, url).await?;
            match status {
                200 => return Ok(answer),
                // it may have ended early: once more with a new one
                401 if !renewed => {
                    renewed = true;
                    self.tokens.refused(&token).await;
                }
                _ => return Err(GcpError::of_status(url.path(), status, wait, &answer)),
            }
        }
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
    GcpError::Unexpected { path: url.path().to_owned(), reason: reason.to_owned() }
}
