//! Mails to customers: each once for a month and an address, whatever fails.
//!
//! SES knows no sending that may be repeated. So it is noted in the ledger that a mail is being sent before it is, and that it was
//! sent after. Who finds the first note alone does not know whether the mail went out: it is not sent again, the month is held, and a
//! person who looked says `"mails": {"Team Blue": "sent"}` or `"send"`.

use askama::Template;
use billing::bills::{RunDocument, StatedBill};
use billing::money::{Currency, format_amount};
use billing::spreadsheet::neutralise;
use chrono::{DateTime, Utc};
use cloud::bucket::Written;
use cloud::ledger::{Sending, SendingState};
use cloud::mail::{Mail, MailError, MailFile, Mailer};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use crate::App;
use crate::chart::History;
use crate::error::MonthError;
use crate::event::MailAnswer;
use crate::report::{MailReport, MailState};
use crate::statement::{Shown, statement};

/// How mails are sent.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) mailer: Mailer,
    pub(crate) from: String,
    /// Where all mails go for a trial.
    pub(crate) redirect: Option<String>,
}

struct Bar {
    month: String,
    amount: String,
    percent: u32,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct Html<'m> {
    shown: &'m Shown,
    bars: &'m [Bar],
}

#[derive(Template)]
#[template(path = "mail.txt")]
struct Text<'m> {
    shown: &'m Shown,
    bars: &'m [Bar],
}

/// The name of a mail in the ledger. Another address is another mail, so a trial takes nobody's away.
pub(crate) fn name(customer: &str, to: &str) -> String {
    format!("mail#{customer}#{}", to.to_lowercase())
}

impl App {
    /// Sends the mail of a bill, unless it was sent before.
    pub(crate) async fn mail(
        &self,
        post: &Post,
        document: &RunDocument,
        bill: &StatedBill,
        history: &History,
        answer: Option<MailAnswer>,
        now: DateTime<Utc>,
    ) -> Result<Option<MailReport>, MonthError> {
        let Some(own) = &bill.email else { return Ok(None) };
        let to = post.redirect.as_ref().unwrap_or(own).clone();
        let month = document.month();
        let report = |state, reason: String| {
            Ok(Some(MailReport { customer: bill.customer.clone(), to: to.clone(), state, reason }))
        };
        let what = name(&bill.customer, &to);
        let note = |state, note: String| Sending { what: what.clone(), state, note, since: now };
        let known = self.ledger.sendings(month).await?.remove(&what);
        let mut seen = known.as_ref().map(|known| known.state);
        if let (Some(SendingState::Sending), Some(answer)) = (seen, answer) {
            let state = match answer {
                MailAnswer::Sent => SendingState::Sent,
                MailAnswer::Send => SendingState::Refused,
            };
            let said = note(state, "a person looked".to_owned());
            if self.ledger.note_sending(month, &said, seen).await? == Written::Refused {
                return Err(MonthError::Contention);
            }
            seen = Some(state);
        }
        match seen {
            Some(SendingState::Sent) => return report(MailState::Sent, String::new()),
            Some(SendingState::Sending) => return report(MailState::Unsure, unsure(&bill.customer, month)),
            Some(SendingState::Refused) | None => {}
        }
        let mail = letter(post, document, bill, history, &to)?;
        let begun =
            self.ledger.note_sending(month, &note(SendingState::Sending, String::new()), seen).await?;
        if begun == Written::Refused {
            return Err(MonthError::Contention);
        }
        let (state, text) = match post.mailer.send(&mail).await {
            Ok(id) => (SendingState::Sent, id),
            Err(MailError::Unsure { reason, .. }) => {
                return report(MailState::Unsure, format!("{reason}; {}", unsure(&bill.customer, month)));
            }
            Err(refused @ MailError::Refused { .. }) => (SendingState::Refused, refused.to_string()),
        };
        let seen = Some(SendingState::Sending);
        self.ledger.note_sending(month, &note(state, text.clone()), seen).await?;
        match state {
            SendingState::Sent => report(MailState::New, String::new()),
            _ => report(MailState::Refused, text),
        }
    }
}

fn unsure(customer: &str, month: billing::month::BillingMonth) -> String {
    format!(
        "nobody here knows whether it went out: look in SES or ask {customer}, then {{\"month\": \"{month}\", \"mails\": {{\"{customer}\": \
         \"sent\"}}}}, or \"send\""
    )
}

fn letter(
    post: &Post,
    document: &RunDocument,
    bill: &StatedBill,
    history: &History,
    to: &str,
) -> Result<Mail, MonthError> {
    let shown = Shown::of(document, bill, history).map_err(MonthError::held)?;
    let bars = bars(document, bill, history);
    let redirected = match &post.redirect {
        Some(_) => format!("[for {}] ", bill.email.as_deref().unwrap_or_default()),
        None => String::new(),
    };
    let subject =
        format!("{redirected}{}: {} {} for {}", shown.customer, shown.total, shown.currency, shown.month);
    let file = |name: &str, content_type, bytes| MailFile {
        name: format!("{}-{name}", shown.month),
        content_type,
        bytes,
    };
    let attachments = vec![
        file("statement.html", "text/html", statement(document, bill, history)?),
        file("lines.csv", "text/csv", lines_csv(document, bill)?),
    ];
    let tag = |text: &str| -> String {
        let plain = text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' });
        plain.take(200).collect()
    };
    let tags = vec![("month".to_owned(), tag(&shown.month)), ("customer".to_owned(), tag(&shown.customer))];
    let html = Html { shown: &shown, bars: &bars }.render()?;
    let text = Text { shown: &shown, bars: &bars }.render()?;
    Ok(Mail {
        from: post.from.clone(),
        to: to.to_owned(),
        // a line break would end the header
        subject: subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        text,
        html,
        attachments,
        tags,
    })
}

/// Widths are percents of the largest month.
fn bars(document: &RunDocument, bill: &StatedBill, history: &History) -> Vec<Bar> {
    let currency = Currency::from_code(&document.currency).unwrap_or(Currency::XXX);
    let months: Vec<_> = history.iter().copied().chain([(document.month(), bill.total)]).collect();
    let most = months.iter().map(|(_, amount)| *amount).max().unwrap_or_default();
    let percent = |amount: Decimal| {
        let part = amount.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(most)?;
        part.round().to_u32()
    };
    let bar = |(month, amount): (billing::month::BillingMonth, Decimal)| Bar {
        month: month.to_string(),
        amount: format_amount(amount, currency),
        percent: percent(amount).unwrap_or_default().min(100),
    };
    months.into_iter().map(bar).collect()
}

/// The lines of one bill.
fn lines_csv(document: &RunDocument, bill: &StatedBill) -> Result<Vec<u8>, MonthError> {
    let failed = |error: &dyn std::fmt::Display| MonthError::GivenUp(format!("lines.csv: {error}"));
    let currency = Currency::from_code(&document.currency).unwrap_or(Currency::XXX);
    let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let head = ["month", "customer", "kind", "name", "provider", "product", "amount", "currency", "comment"];
    csv.write_record(head).map_err(|error| failed(&error))?;
    for line in &bill.lines {
        let text = |text: &str| neutralise(text).into_owned();
        let optional = |text: &Option<String>| neutralise(text.as_deref().unwrap_or_default()).into_owned();
        let cells = [
            document.month().to_string(),
            text(&bill.customer),
            line.kind.clone(),
            text(&line.name),
            optional(&line.provider),
            optional(&line.product),
            format_amount(line.amount, currency),
            document.currency.clone(),
            text(&line.comment),
        ];
        csv.write_record(cells).map_err(|error| failed(&error))?;
    }
    csv.into_inner().map_err(|error| failed(&error.into_error()))
}
