//! An answer of jobs.query or getQueryResults, read as far as it must be: rows stay the bytes that came.

use billing::strict;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::ErrorProto;

/// One page of a result, or word that there is none yet.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<'a> {
    #[serde(borrow)]
    pub(crate) schema: Option<&'a RawValue>,
    #[serde(default)]
    pub(crate) job_reference: JobReference,
    #[serde(default)]
    pub(crate) job_complete: bool,
    #[serde(borrow)]
    total_rows: Option<&'a RawValue>,
    #[serde(borrow)]
    total_bytes_processed: Option<&'a RawValue>,
    pub(crate) page_token: Option<String>,
    /// Absent where there are none.
    #[serde(borrow)]
    rows: Option<Vec<&'a RawValue>>,
    errors: Option<Vec<ErrorProto>>,
}

/// Which job, and where it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct JobReference {
    pub(crate) job_id: Option<String>,
    pub(crate) location: Option<String>,
}

impl<'a> Page<'a> {
    /// Reads an answer.
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, serde_json::Error> {
        strict::from_slice(body)
    }

    /// How many rows the whole result has.
    pub(crate) fn total_rows(&self) -> Option<u64> {
        count(self.total_rows?)
    }

    /// How many bytes the query reads.
    pub(crate) fn bytes_processed(&self) -> Option<u64> {
        count(self.total_bytes_processed?)
    }

    pub(crate) fn rows(&self) -> &[&'a RawValue] {
        self.rows.as_deref().unwrap_or_default()
    }

    pub(crate) fn errors(&self) -> &[ErrorProto] {
        self.errors.as_deref().unwrap_or_default()
    }
}

/// A 64-bit number, which Google writes as a text.
fn count(value: &RawValue) -> Option<u64> {
    value.get().trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_the_bytes_that_came() {
        let body = br#"{"jobComplete": true, "totalRows": "2", "pageToken": "t", "surprise": [],
            "jobReference": {"projectId": "p", "jobId": "j", "location": "EU"}, "schema": {"fields":[ ]},
            "rows": [{"f": [ {"v": "1.04E-4"}]}, {"f":[{"v":null}]}]}"#;
        let page = Page::read(body).unwrap();
        let rows: Vec<&str> = page.rows().iter().map(|row| row.get()).collect();
        assert_eq!(rows, [r#"{"f": [ {"v": "1.04E-4"}]}"#, r#"{"f":[{"v":null}]}"#]);
        assert_eq!(page.schema.unwrap().get(), r#"{"fields":[ ]}"#);
        assert_eq!((page.total_rows(), page.page_token.as_deref()), (Some(2), Some("t")));
        assert_eq!(page.job_reference.job_id.as_deref(), Some("j"));
    }

    #[test]
    fn a_row_that_says_something_twice_is_refused() {
        let body =
            br#"{"jobComplete": true, "schema": {"fields": []}, "rows": [{"f": [{"v": "1", "v": "2"}]}]}"#;
        let error = Page::read(body).err().unwrap().to_string();
        assert!(error.starts_with("'v' stands twice in rows[0].f[0]"), "{error}");
    }

    #[test]
    fn a_job_that_runs_and_a_result_without_rows() {
        let running = Page::read(br#"{"jobReference": {"jobId": "j"}, "jobComplete": false}"#).unwrap();
        assert!(!running.job_complete && running.rows().is_empty() && running.total_rows().is_none());
        let empty = Page::read(br#"{"jobComplete": true, "totalRows": 0, "schema": {}}"#).unwrap();
        assert_eq!((empty.total_rows(), empty.rows().len()), (Some(0), 0));
        assert!(Page::read(br#"{"jobComplete": true, "rows": ["#).is_err());
    }
}
