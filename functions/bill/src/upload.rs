//! Exports to the invoicing system, by HTTPS: each once.
//!
//! With `PUT` (the default) a file stands under its own address, so sending it again changes nothing, and what is not known to have
//! arrived is sent again. With `POST` it is like a mail: what may have arrived is not sent again unless a person says so. Every request names the
//! hash of its key and its bytes as `Idempotency-Key`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use billing::bills::{RunDocument, StatedExport};
use billing::revision::sha256_hex;
use cloud::bucket::Written;
use cloud::ledger::{Sending, SendingState};
use cloud::peer::{Api, Call, Fault, Fixed, Peer};
use reqwest::Method;
use reqwest::header::HeaderValue;

use crate::App;
use crate::error::MonthError;
use crate::mail::{Next, doubt, next};
use crate::publish::Round;
use crate::report::{MailState, UploadReport};

/// Of an answer, that much is read.
const LONGEST_ANSWER_BYTES: usize = 64 * 1024;

/// Where exports go.
#[derive(Clone, Debug)]
pub(crate) struct Invoicing {
    pub(crate) peer: Peer,
    pub(crate) url: url::Url,
    pub(crate) method: Method,
    pub(crate) login: Fixed,
}

/// How an invoicing system says no; what it says is anybody's guess.
struct InvoicingApi;

impl Api for InvoicingApi {
    fn name(&self) -> &'static str {
        "the invoicing system"
    }

    fn address(&self) -> &'static str {
        "INVOICING_URL"
    }

    fn accept(&self) -> &'static str {
        "*/*"
    }

    fn limit_bytes(&self) -> usize {
        LONGEST_ANSWER_BYTES
    }

    fn said(&self, body: &[u8]) -> String {
        String::from_utf8_lossy(body).into_owned()
    }

    fn advice(&self, fault: Fault) -> String {
        let advice = match fault {
            Fault::Credentials | Fault::Denied => {
                "INVOICING_USER and INVOICING_PASSWORD, or INVOICING_TOKEN, must be those of an account that may import"
            }
            Fault::NotFound => "are INVOICING_URL and INVOICING_METHOD right?",
            Fault::Redirect => "INVOICING_URL must be the last address",
            _ => "",
        };
        advice.to_owned()
    }
}

/// Why an upload is not done.
enum UploadError {
    /// It was refused: it is not there.
    Refused(String),
    /// Nobody here knows.
    Unsure(String),
}

impl Invoicing {
    fn address(&self, key: &str) -> url::Url {
        let mut url = self.url.clone();
        if self.method == Method::PUT
            && let Ok(mut path) = url.path_segments_mut()
        {
            // bills/2026-10/services.csv: the month and the file
            path.pop_if_empty().extend(key.split('/').skip(1));
        }
        url
    }

    async fn send(&self, export: &StatedExport) -> Result<String, UploadError> {
        let bytes =
            STANDARD.decode(&export.base64).map_err(|error| UploadError::Refused(error.to_string()))?;
        // bills/2026-10/services.csv: the name alone would be that of every month
        let file = export.key.trim_start_matches("bills/").replace('/', "-");
        let once = sha256_hex(format!("{} {}", export.key, export.sha256).as_bytes());
        let header =
            |text: &str| HeaderValue::from_str(text).map_err(|error| UploadError::Refused(error.to_string()));
        let call = Call::new(&InvoicingApi, self.method.clone(), self.address(&export.key))
            .with(&self.login)
            .header("content-disposition", header(&format!("attachment; filename=\"{file}\""))?)
            .header("idempotency-key", header(&once)?)
            .body(HeaderValue::from_static("text/csv"), bytes);
        match self.peer.open_once(&call).await {
            Ok(answer) => Ok(answer.status().to_string()),
            Err(error) if error.may_be_done() => Err(UploadError::Unsure(error.to_string())),
            Err(error) => Err(UploadError::Refused(error.to_string())),
        }
    }
}

impl App {
    /// Uploads the exports of a run that are not known to be there.
    pub(crate) async fn upload(
        &self,
        invoicing: &Invoicing,
        document: &RunDocument,
        is_wanted: bool,
        round: &Round<'_>,
    ) -> Result<Vec<UploadReport>, MonthError> {
        let month = document.month();
        let mut reports = Vec::new();
        for export in &document.exports {
            let what = format!("upload#{}", export.key);
            let known = round.known.get(&what);
            let report = |state, reason| UploadReport { key: export.key.clone(), state, reason };
            let ask = |attempt| doubt(&export.key, "whoever runs it", month, attempt);
            let (state, attempt) = match next(known, round.wish.mails.get(&export.key).copied(), is_wanted) {
                Next::Nothing => {
                    reports.push(report(MailState::Sent, String::new()));
                    continue;
                }
                Next::Skip => {
                    reports.push(report(MailState::Skipped, String::new()));
                    continue;
                }
                Next::Ask(attempt) if invoicing.method != Method::PUT => {
                    reports.push(report(MailState::Unsure, ask(attempt)));
                    continue;
                }
                // a file under an address of its own may come again
                Next::Ask(attempt) => (SendingState::Sending, attempt + 1),
                Next::Settle => (SendingState::Sent, known.map_or(1, |known| known.attempt)),
                Next::Send(attempt) => (SendingState::Sending, attempt),
            };
            let note =
                |state, note: String| Sending { what: what.clone(), state, attempt, note, since: round.now };
            let seen = known.map(|known| known.state);
            if self.ledger.note_sending(month, &note(state, String::new()), seen).await? == Written::Refused {
                return Err(MonthError::Overtaken(export.key.clone()));
            }
            if state == SendingState::Sent {
                reports.push(report(MailState::Sent, String::new()));
                continue;
            }
            let (state, text) = match invoicing.send(export).await {
                Ok(answer) => (SendingState::Sent, answer),
                Err(UploadError::Refused(why)) => (SendingState::Refused, why),
                Err(UploadError::Unsure(why)) => {
                    let why = match invoicing.method {
                        Method::PUT => format!("{why}; the next run sends it again"),
                        _ => format!("{why}; {}", ask(attempt)),
                    };
                    reports.push(report(MailState::Unsure, why));
                    break; // the others would fare no better
                }
            };
            self.ledger.note_sending(month, &note(state, text.clone()), Some(SendingState::Sending)).await?;
            reports.push(match state {
                SendingState::Sent => report(MailState::New, String::new()),
                _ => report(MailState::Refused, text),
            });
        }
        Ok(reports)
    }
}
