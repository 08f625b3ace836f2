//! A stand-in for Amazon SES (API v2, `SendEmail`): takes mails that are signed and from a verified address, and keeps each as files
//! that a person can open.

use std::path::{Path, PathBuf};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::MAIL_FROM;
use super::faults::status;
use super::provider::{Provider, Sandbox};
use crate::credentials::Credentials;
use crate::files;
use crate::signature::{self, Refusal};

const PATH: &str = "/v2/email/outbound-emails";

/// The sandbox of SES.
pub type SesSandbox = Sandbox<Ses>;

/// The mails that went out.
#[derive(Clone, Debug, Default)]
pub struct Ses {
    /// Where mails stand as files.
    folder: Option<PathBuf>,
    sent: Vec<SentMail>,
}

/// A mail that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMail {
    /// SES's name for it.
    pub id: String,
    /// Who it is from.
    pub from: String,
    /// To whom it goes.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// The same in HTML.
    pub html: String,
    /// The names and bytes of its files.
    pub attachments: Vec<(String, Vec<u8>)>,
}

/// How only SES fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SesFault {
    /// The recipient is not verified: 400.
    Rejected,
    /// Too many mails a second: 429.
    TooMany,
    /// The mail goes out, and the answer is this status.
    SentThen(u16),
}

impl SesSandbox {
    /// One that also keeps mails in a folder, each in a folder of its own.
    #[must_use]
    pub fn in_folder(folder: PathBuf) -> Self {
        let sandbox = Self::default();
        sandbox.with(|state| state.folder = Some(folder));
        sandbox
    }

    /// All mails that went out since it started.
    #[must_use]
    pub fn sent(&self) -> Vec<SentMail> {
        self.with(|state| state.sent.clone())
    }

    fn keep(&self, mut mail: SentMail) -> std::io::Result<String> {
        self.with(|state| {
            mail.id = format!("0102019a{:08}-monthend-000000", state.sent.len() + 1);
            if let Some(folder) = &state.folder {
                write(folder, &mail)?;
            }
            state.sent.push(mail.clone());
            Ok(mail.id)
        })
    }
}

impl Provider for Ses {
    type Fault = SesFault;

    fn routes(_: &SesSandbox) -> Router<SesSandbox> {
        Router::new().route(PATH, post(send))
    }

    fn refuse(status: StatusCode) -> Response {
        refuse(status, "InternalFailure", "the sandbox fails on request")
    }

    async fn fail(fault: SesFault, answer: impl Future<Output = Response> + Send) -> Response {
        match fault {
            SesFault::Rejected => answer.await,
            SesFault::TooMany => {
                let message = "Maximum sending rate exceeded.";
                refuse(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", message)
            }
            SesFault::SentThen(code) => {
                let answer = answer.await;
                if answer.status().is_success() { Self::refuse(status(code)) } else { answer }
            }
        }
    }
}

/// A mail as files: a page with its head, its text, and what came with it.
fn write(folder: &Path, mail: &SentMail) -> std::io::Result<()> {
    let plain = |text: &str| -> String {
        let safe = |c: char| if c.is_ascii_alphanumeric() || ".-@".contains(c) { c } else { '_' };
        text.chars().map(safe).take(80).collect::<String>().trim_start_matches('.').to_owned()
    };
    files::make_folders(folder)?;
    let number = std::fs::read_dir(folder)?.count() + 1;
    let place = folder.join(format!("{number:04}-{}", plain(&mail.to)));
    files::make_folders(&place)?;
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let head = [("From", &mail.from), ("To", &mail.to), ("Subject", &mail.subject)];
    let page: String =
        head.iter().map(|(name, text)| format!("<b>{name}:</b> {}<br>\n", escaped(text))).collect();
    let html = format!("<meta charset=\"utf-8\">\n{page}<hr>\n{}", mail.html);
    files::write(&place.join("mail.html"), html.as_bytes())?;
    let lines: String = head.iter().map(|(name, text)| format!("{name}: {text}\n")).collect();
    files::write(&place.join("mail.txt"), format!("{lines}\n{}", mail.text).as_bytes())?;
    for (name, bytes) in &mail.attachments {
        files::write(&place.join(plain(name)), bytes)?;
    }
    Ok(())
}

fn read(request: &Value) -> Result<SentMail, &'static str> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let simple = &request["Content"]["Simple"];
    let to = request["Destination"]["ToAddresses"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [to] = to else { return Err("one recipient is expected") };
    let files = simple["Attachments"].as_array().into_iter().flatten();
    let files = files.map(|file| {
        let bytes = STANDARD.decode(file["RawContent"].as_str()?).ok()?;
        Some((text(&file["FileName"])?, bytes))
    });
    Ok(SentMail {
        id: String::new(),
        from: text(&request["FromEmailAddress"]).ok_or("FromEmailAddress is missing")?,
        to: text(to).ok_or("ToAddresses must be texts")?,
        subject: text(&simple["Subject"]["Data"]).ok_or("Subject is missing")?,
        text: text(&simple["Body"]["Text"]["Data"]).ok_or("Body.Text is missing")?,
        html: text(&simple["Body"]["Html"]["Data"]).ok_or("Body.Html is missing")?,
        attachments: files.collect::<Option<_>>().ok_or("an attachment is none")?,
    })
}

async fn send(
    State(sandbox): State<SesSandbox>,
    Extension(credentials): Extension<Credentials>,
    fault: Option<Extension<SesFault>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(Refusal(status, kind, message)) = signature::verify(&credentials, &headers, &body, "ses", PATH)
    {
        return refuse(status, kind, &message);
    }
    let bad = |message: &str| refuse(StatusCode::BAD_REQUEST, "BadRequestException", message);
    let mail = match serde_json::from_slice::<Value>(&body)
        .map_err(|_| "no JSON")
        .and_then(|request| read(&request))
    {
        Ok(mail) => mail,
        Err(why) => return bad(why),
    };
    let rejected = |address: &str| {
        let message = format!(
            "Email address is not verified. The following identities failed the check in region US-EAST-1: {address}"
        );
        refuse(StatusCode::BAD_REQUEST, "MessageRejected", &message)
    };
    if mail.from != MAIL_FROM {
        return rejected(&mail.from);
    }
    if let Some(Extension(SesFault::Rejected)) = fault {
        return rejected(&mail.to);
    }
    match sandbox.keep(mail) {
        Ok(id) => axum::Json(json!({"MessageId": id})).into_response(),
        Err(error) => refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalFailure",
            &format!("the mail is not kept: {error}"),
        ),
    }
}

fn refuse(status: StatusCode, kind: &str, message: &str) -> Response {
    (status, [("x-amzn-errortype", kind.to_owned())], axum::Json(json!({"message": message}))).into_response()
}
