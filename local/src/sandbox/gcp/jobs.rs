//! Query jobs: what a query may ask, how long it takes, and its result in pages.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::export::{Export, GcpRow};
use super::{GCP_BILLING_TABLE, GCP_LOCATION, GCP_PROJECT};
use crate::sandbox::ids::id_of;

/// What a query reads: the whole export, as far as the sandbox goes.
const BYTES_READ: u64 = 10_485_760;

/// Columns and their types; amounts are of the type that the query casts to.
const COLUMNS: [(&str, &str); 28] = [
    ("invoice_month", "STRING"),
    ("project_key", "STRING"),
    ("project_id", "STRING"),
    ("project_name", "STRING"),
    ("service_id", "STRING"),
    ("service", "STRING"),
    ("sku_id", "STRING"),
    ("sku", "STRING"),
    ("cost_type", "STRING"),
    ("currency", "STRING"),
    ("labels", "STRING"),
    ("project_labels", "STRING"),
    ("region", "STRING"),
    ("usage_day", "DATE"),
    ("first_usage", "TIMESTAMP"),
    ("usage_unit", "STRING"),
    ("pricing_unit", "STRING"),
    ("adjustment_type", "STRING"),
    ("adjustment_mode", "STRING"),
    ("adjustment_description", "STRING"),
    ("cost", "NUMERIC"),
    ("credits", "NUMERIC"),
    ("credits_commitment", "NUMERIC"),
    ("credits_sustained_use", "NUMERIC"),
    ("credits_promotion", "NUMERIC"),
    ("credits_other", "NUMERIC"),
    ("usage_amount", "NUMERIC"),
    ("pricing_amount", "NUMERIC"),
];

#[derive(Clone, Debug)]
pub(super) struct Jobs {
    /// Rows after which a page is cut, whatever was asked for.
    pub(super) page_rows: usize,
    pub(super) answers_until_done: usize,
    jobs: Vec<Job>,
}

impl Default for Jobs {
    fn default() -> Self {
        Self { page_rows: 2, answers_until_done: 3, jobs: Vec::new() }
    }
}

#[derive(Clone, Debug)]
struct Job {
    id: String,
    request_id: Option<String>,
    schema: Value,
    rows: Vec<Value>,
    answers_left: usize,
    /// How often it was answered about.
    answers: u64,
}

/// Parameters of getQueryResults.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageQuery {
    location: Option<String>,
    max_results: Option<usize>,
    page_token: Option<String>,
}

/// An error document.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

fn refusal<T>(code: u16, reason: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { code, reason, message: message.into() })
}

impl Jobs {
    pub(super) fn count(&self) -> usize {
        self.jobs.len()
    }

    /// jobs.query. The same `requestId` again is the same job.
    pub(super) fn query(&mut self, request: &Value, export: &Export) -> Result<Value, Refusal> {
        let (schema, rows) = run(request, export)?;
        if request["dryRun"] == json!(true) {
            return Ok(json!({
                "kind": "bigquery#queryResponse",
                "schema": schema,
                "jobReference": {"projectId": GCP_PROJECT, "location": GCP_LOCATION},
                "totalBytesProcessed": BYTES_READ.to_string(),
                "jobComplete": true,
                "cacheHit": false,
            }));
        }
        let request_id = request["requestId"].as_str().map(str::to_owned);
        let known = self.jobs.iter().position(|job| request_id.is_some() && job.request_id == request_id);
        let index = known.unwrap_or(self.jobs.len());
        if known.is_none() {
            let id = format!("job_Sandbox{index:06}{}", self.answers_until_done);
            let answers_left = self.answers_until_done;
            self.jobs.push(Job { id, request_id, schema, rows, answers_left, answers: 0 });
        }
        let most = request["maxResults"].as_u64().and_then(|most| usize::try_from(most).ok());
        self.answer(index, 0, most, "bigquery#queryResponse")
    }

    /// jobs.getQueryResults.
    pub(super) fn results(&mut self, id: &str, query: &PageQuery) -> Result<Value, Refusal> {
        let found = self.jobs.iter().position(|job| job.id == id);
        // a job is not found without the location that it runs in
        let Some(index) = found.filter(|_| query.location.as_deref() == Some(GCP_LOCATION)) else {
            return refusal(404, "notFound", format!("Not found: Job {GCP_PROJECT}:{id}"));
        };
        let from = match &query.page_token {
            None => 0,
            Some(token) => match token.strip_prefix("BFTOKEN").and_then(|row| row.parse().ok()) {
                Some(row) => row,
                None => return refusal(400, "invalid", "Invalid page token"),
            },
        };
        self.answer(index, from, query.max_results, "bigquery#getQueryResultsResponse")
    }

    fn answer(
        &mut self,
        index: usize,
        from: usize,
        most: Option<usize>,
        kind: &str,
    ) -> Result<Value, Refusal> {
        let page_rows = self.page_rows;
        let Some(job) = self.jobs.get_mut(index) else { return refusal(404, "notFound", "Not found: Job") };
        job.answers_left = job.answers_left.saturating_sub(1);
        job.answers += 1;
        let reference = json!({"projectId": GCP_PROJECT, "jobId": job.id, "location": GCP_LOCATION});
        if job.answers_left > 0 {
            return Ok(json!({"kind": kind, "jobReference": reference, "jobComplete": false}));
        }
        let end = (from + most.unwrap_or(usize::MAX).clamp(1, page_rows)).min(job.rows.len());
        let mut answer = json!({
            "kind": kind,
            "schema": job.schema,
            "jobReference": reference,
            "totalRows": job.rows.len().to_string(),
            "totalBytesProcessed": BYTES_READ.to_string(),
            "jobComplete": true,
            "cacheHit": false,
            // another in every answer, as many things of BigQuery are
            "queryId": format!("q{}", id_of(&[&job.id, &job.answers.to_string()])),
        });
        if let Some(rows) = job.rows.get(from..end).filter(|rows| !rows.is_empty()) {
            answer["rows"] = json!(rows);
        }
        if end < job.rows.len() {
            answer["pageToken"] = json!(format!("BFTOKEN{end}"));
        }
        Ok(answer)
    }
}

/// Checks a query and answers its schema and its rows.
fn run(request: &Value, export: &Export) -> Result<(Value, Vec<Value>), Refusal> {
    if request["useLegacySql"] != json!(false) {
        return refusal(400, "invalidQuery", "Legacy SQL: encountered \"`\" at line 1");
    }
    let text = request["query"].as_str().unwrap_or_default();
    let table = text.split('`').nth(1).unwrap_or_default();
    let location = request["location"].as_str().unwrap_or("US");
    if table != GCP_BILLING_TABLE || location != GCP_LOCATION {
        let table = table.replacen('.', ":", 1);
        let message = format!("Not found: Table {table} was not found in location {location}");
        return refusal(404, "notFound", message);
    }
    let limit = request["maximumBytesBilled"].as_str().and_then(|text| text.parse::<u64>().ok());
    if limit.is_some_and(|limit| limit < BYTES_READ) {
        let message = format!("Query exceeded limit for bytes billed. {BYTES_READ} or higher required.");
        return refusal(400, "bytesBilledLimitExceeded", message);
    }
    for name in ["month", "lo"] {
        if parameter(request, name).is_none() {
            return refusal(400, "invalidQuery", format!("Query parameter '{name}' not found"));
        }
    }
    let columns = columns(text)?;
    let amounts = if text.contains("AS BIGNUMERIC)") { "BIGNUMERIC" } else { "NUMERIC" };
    let fields = columns.iter().map(|(name, kind)| {
        let kind = if *kind == "NUMERIC" { amounts } else { kind };
        json!({"name": name, "type": kind, "mode": "NULLABLE"})
    });
    let schema = json!({"fields": fields.collect::<Vec<_>>()});
    let month = parameter(request, "month").unwrap_or_default();
    let mut rows: Vec<Vec<Option<String>>> =
        export.rows(month).iter().map(|row| cells(row, &columns)).collect();
    let order = order(text);
    rows.sort_by_cached_key(|row| {
        order.iter().map(|index| row.get(*index).cloned().flatten()).collect::<Vec<_>>()
    });
    let cell = |cell: &Option<String>| json!({"v": cell});
    let rows = rows.iter().map(|row| json!({"f": row.iter().map(cell).collect::<Vec<_>>()}));
    Ok((schema, rows.collect()))
}

fn cells(row: &GcpRow, columns: &[(&str, &str)]) -> Vec<Option<String>> {
    columns.iter().map(|(name, _)| row.get(*name).cloned().flatten()).collect()
}

fn parameter<'r>(request: &'r Value, name: &str) -> Option<&'r str> {
    let parameters = request["queryParameters"].as_array()?;
    let parameter = parameters.iter().find(|parameter| parameter["name"] == json!(name))?;
    parameter["parameterValue"]["value"].as_str()
}

/// The columns that the outer SELECT names.
fn columns(text: &str) -> Result<Vec<(&'static str, &'static str)>, Refusal> {
    let mut seen = HashSet::new();
    let mut columns = Vec::new();
    for item in selected(text) {
        let name = item.rsplit([' ', '.']).next().unwrap_or_default();
        let known = COLUMNS.iter().find(|(known, _)| *known == name);
        match known {
            Some(column) if seen.insert(column.0) => columns.push(*column),
            _ => return refusal(400, "invalidQuery", format!("Unrecognized name: {name} at [1:8]")),
        }
    }
    Ok(columns)
}

/// The items between the first SELECT and its FROM; commas and FROMs within brackets belong to expressions.
fn selected(text: &str) -> Vec<&str> {
    let list = text.trim_start().strip_prefix("SELECT ").unwrap_or_default();
    let (mut depth, mut start, mut items) = (0usize, 0, Vec::new());
    for (index, c) in list.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                items.push(list[start..index].trim());
                start = index + 1;
            }
            'F' if depth == 0
                && list[index..].starts_with("FROM")
                && list[..index].ends_with([' ', '\n']) =>
            {
                items.push(list[start..index].trim());
                return items;
            }
            _ => {}
        }
    }
    items
}

/// Columns of the last ORDER BY, from 0; nothing if rows may come in any order.
fn order(text: &str) -> Vec<usize> {
    let Some((_, ordinals)) = text.rsplit_once("\nORDER BY ") else { return Vec::new() };
    let ordinals = ordinals.split(',').filter_map(|ordinal| ordinal.trim().parse::<usize>().ok());
    ordinals.filter_map(|ordinal| ordinal.checked_sub(1)).collect()
}
