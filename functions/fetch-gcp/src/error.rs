//! What Google answers when it does not give what was asked for, and what to do about it.

use cloud::peer::{Answer, Api, Fault, PeerError, Verdict, quoted};
use serde::Deserialize;

/// BigQuery cuts pages at about 10 MB (20 MB once they are written out); a larger answer would end the function without a word.
const LARGEST_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Why there are no rows.
#[derive(Clone, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum GcpError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(
        "the query job {job} ended with errors ({detail}): nothing of it is kept; the next run asks again"
    )]
    JobFailed { job: String, detail: String },
    #[error(
        "the query job {job} was not done after {waited_s} s: the next run asks again; raise GCP_QUERY_TIMEOUT_S, or see in \
         the project's job history what holds it up"
    )]
    NotDone { job: String, waited_s: u64 },
    #[error(
        "the query job {job} has {expected} rows and {received} came: a page is missing or came twice, and nothing of this \
         answer counts; the next run asks again"
    )]
    RowsLost { job: String, expected: u64, received: u64 },
}

/// Google's error document.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    error: ErrorMember,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorMember {
    message: Option<String>,
    errors: Vec<ErrorProto>,
}

/// One of BigQuery's errors, in an error document or in the answer of a job.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorProto {
    pub(crate) reason: Option<String>,
    pub(crate) message: Option<String>,
}

impl ErrorBody {
    fn read(body: &[u8]) -> Self {
        // a proxy may have answered, with no document or another one
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// BigQuery's own reason.
    fn reason(&self) -> &str {
        self.error.errors.first().and_then(|error| error.reason.as_deref()).unwrap_or_default()
    }
}

/// How BigQuery says no.
pub(crate) struct BigQueryApi;

impl Api for BigQueryApi {
    fn name(&self) -> &'static str {
        "BigQuery"
    }

    fn address(&self) -> &'static str {
        "GCP_API_URL, GCP_TOKEN_URL"
    }

    fn limit_bytes(&self) -> usize {
        LARGEST_ANSWER_BYTES
    }

    fn said(&self, body: &[u8]) -> String {
        let body = ErrorBody::read(body);
        let first = body.error.errors.first().and_then(|error| error.message.as_deref());
        joined([Some(body.reason()), body.error.message.as_deref().or(first)])
    }

    /// The meaning of an answer, by BigQuery's own `reason` where there is one.
    fn judge(&self, answer: &Answer) -> Option<Verdict> {
        if answer.status == 200 {
            return None;
        }
        let body = ErrorBody::read(&answer.body);
        let verdict = match body.reason() {
            "rateLimitExceeded" | "jobRateLimitExceeded" => Fault::Throttled.into(),
            "backendError" | "internalError" | "jobBackendError" | "jobInternalError" => Fault::Server.into(),
            "quotaExceeded" => Verdict::stated(
                Fault::Refused,
                "a quota of BigQuery is used up",
                "the next schedule tries again; raise the quota of the project GCP_PROJECT if it happens again",
            ),
            "bytesBilledLimitExceeded" => Verdict::stated(
                Fault::Refused,
                "the query would read more than GCP_MAX_BYTES_BILLED allows",
                "raise it if that is right",
            ),
            "billingNotEnabled" => Verdict::stated(
                Fault::Refused,
                "billing is not enabled for the project that queries run in",
                "enable it, or set GCP_PROJECT",
            ),
            "invalidQuery" => Verdict::stated(
                Fault::Refused,
                "BigQuery does not take the query",
                "is GCP_BILLING_TABLE the table of a standard or detailed export of billing data",
            ),
            _ => Verdict::of_status(answer.status),
        };
        Some(verdict)
    }

    fn advice(&self, fault: Fault) -> String {
        let advice = match fault {
            Fault::Credentials => "was the service account disabled; is GCP_API_URL right",
            Fault::Denied => {
                "the service account needs the role BigQuery Job User in the project GCP_PROJECT and BigQuery Data Viewer on the \
                 dataset of GCP_BILLING_TABLE"
            }
            Fault::NotFound => "check GCP_BILLING_TABLE, GCP_PROJECT and GCP_LOCATION",
            _ => "",
        };
        advice.to_owned()
    }
}

/// What there is of a reason and a message.
fn joined(parts: [Option<&str>; 2]) -> String {
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}

/// The errors that a job's answer lists, in one line.
pub(crate) fn job_errors(errors: &[ErrorProto]) -> String {
    let said = errors.iter().map(|error| joined([error.reason.as_deref(), error.message.as_deref()]));
    quoted(&said.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;
    use serde_json::json;

    use super::*;

    fn judged(status: u16, body: &str) -> (Verdict, String) {
        let body = body.as_bytes().to_vec().into();
        let answer = Answer { status, headers: HeaderMap::new(), body };
        (BigQueryApi.judge(&answer).unwrap(), BigQueryApi.said(&answer.body))
    }

    #[test]
    fn the_reason_counts_more_than_the_status() {
        for (status, reason, fault) in [
            (403, "rateLimitExceeded", Fault::Throttled),
            (403, "quotaExceeded", Fault::Refused),
            (403, "accessDenied", Fault::Denied),
            (403, "billingNotEnabled", Fault::Refused),
            (404, "notFound", Fault::NotFound),
            (400, "invalidQuery", Fault::Refused),
            (400, "bytesBilledLimitExceeded", Fault::Refused),
            (400, "jobBackendError", Fault::Server),
            (503, "backendError", Fault::Server),
            (409, "duplicate", Fault::Refused),
        ] {
            let body =
                json!({"error": {"code": status, "message": "on request", "errors": [{"reason": reason}]}});
            let (verdict, said) = judged(status, &body.to_string());
            assert_eq!(verdict.fault(), fault, "{reason}");
            assert_eq!(said, format!("{reason}: on request"));
        }
    }

    #[test]
    fn a_document_may_be_missing() {
        for (status, body, fault) in [
            (502, "", Fault::Server),
            (503, "<html>", Fault::Server),
            (429, "{}", Fault::Throttled),
            (418, "[1]", Fault::Refused),
        ] {
            assert_eq!(judged(status, body), (fault.into(), String::new()));
        }
    }
}
