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
use cloud::http::{innermost_cause, read_body, send, was_never_sent};
use cloud::ledger::{Sending, SendingState};
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};

use crate::App;
use crate::error::MonthError;
use crate::mail::{Next, doubt, next};
use crate::publish::Round;
use crate::report::{MailState, UploadReport};

/// Of an answer, that much is read.
const LONGEST_ANSWER_BYTES: usize = 64 * 1024;

/// What opens the invoicing system.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    Basic { user: SecretString, password: SecretString },
    Bearer(SecretString),
}

/// Where exports go.
#[derive(Clone, Debug)]
pub(crate) struct Invoicing {
    pub(crate) http: reqwest::Client,
    pub(crate) url: url::Url,
    pub(crate) method: Method,
    pub(crate) access: Access,
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
        let request = self.http.request(self.method.clone(), self.address(&export.key));
        let request = match &self.access {
            Access::Basic { user, password } => {
                request.basic_auth(user.expose_secret(), Some(password.expose_secret()))
            }
            Access::Bearer(token) => request.bearer_auth(token.expose_secret()),
        };
        let request = request
            .header(CONTENT_TYPE, "text/csv")
            .header(CONTENT_DISPOSITION, format!("attachment; filename=\"{file}\""))
            .header("Idempotency-Key", once)
            .body(bytes);
        let answer = send(request, &[]).await.map_err(|error| {
            let cause = innermost_cause(&error);
            if was_never_sent(&error) { UploadError::Refused(cause) } else { UploadError::Unsure(cause) }
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(status.to_string());
        }
        let said = match read_body(answer, LONGEST_ANSWER_BYTES).await {
            Ok(body) => {
                String::from_utf8_lossy(&body).chars().filter(|c| !c.is_control()).take(200).collect()
            }
            Err(error) => error.to_string(),
        };
        let advice = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "; INVOICING_USER and INVOICING_PASSWORD, or INVOICING_TOKEN, must be those of an account that may import"
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                "; are INVOICING_URL and INVOICING_METHOD right?"
            }
            status if status.is_redirection() => {
                "; INVOICING_URL must be the last address, redirects are not followed"
            }
            _ => "",
        };
        let why = format!("{status}: {said}{advice}");
        Err(if status.is_server_error() { UploadError::Unsure(why) } else { UploadError::Refused(why) })
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
