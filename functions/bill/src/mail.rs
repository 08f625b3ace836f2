//! Mails to customers: each once for a month and an address, whatever fails.
//!
//! SES knows no sending that may be repeated. So it is noted in the ledger that a mail is being sent before it is, and that it was
//! sent after. Who finds the first note alone does not know whether the mail went out: it is not sent again, the month is held, and a
//! person who looked says `"mails": {"Team Blue": "sent"}` or `"send"`.

use askama::Template;
use billing::bills::{RunDocument, StatedBill};
use billing::money::{Currency, format_amount};
use billing::month::BillingMonth;
use billing::shell::{command, quoted};
use billing::spreadsheet::neutralise;
use cloud::bucket::Written;
use cloud::ledger::{Sending, SendingState};
use cloud::mail::{Mail, MailError, MailFile, Mailer};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use crate::App;
use crate::chart::History;
use crate::error::MonthError;
use crate::event::MailAnswer;
use crate::publish::Round;
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

/// The name of a mail in the ledger. That of a trial is another one, so it takes nobody's mail away; another address is not.
fn name(post: &Post, customer: &str) -> String {
    match &post.redirect {
        Some(trial) => format!("mail#{customer}#{}", trial.to_lowercase()),
        None => format!("mail#{customer}"),
    }
}

/// A bill to be mailed.
pub(crate) struct Letter<'l> {
    pub(crate) document: &'l RunDocument,
    pub(crate) bill: &'l StatedBill,
    pub(crate) address: &'l str,
    pub(crate) history: &'l History,
}

impl App {
    /// Sends the mail of a bill, unless it was sent before. What was published while there were no mails waits for a person to ask.
    pub(crate) async fn mail(
        &self,
        post: &Post,
        letter: &Letter<'_>,
        is_wanted: bool,
        round: &Round<'_>,
    ) -> Result<MailReport, MonthError> {
        let (month, customer) = (letter.document.month(), &letter.bill.customer);
        let to = post.redirect.clone().unwrap_or_else(|| letter.address.to_owned());
        let what = name(post, customer);
        let known = round.known.get(&what);
        let answer = round.wish.mails.get(customer).copied();
        let report =
            |state, is_new_doubt, reason| MailReport::new(customer, &to, state, reason, is_new_doubt);
        let doing = match next(known, answer, is_wanted) {
            Next::Nothing => return Ok(report(MailState::Sent, false, String::new())),
            Next::Skip => return Ok(report(MailState::Skipped, false, String::new())),
            Next::Ask(attempt) => {
                return Ok(report(MailState::Unsure, false, doubt(customer, customer, month, attempt)));
            }
            Next::Settle => {
                Doing { state: SendingState::Sent, attempt: known.map_or(1, |known| known.attempt) }
            }
            Next::Send(attempt) => Doing { state: SendingState::Sending, attempt },
        };
        // before anything is noted: a mail that cannot be written leaves no doubt
        let mail = match doing.state {
            SendingState::Sending => Some(written(post, letter, &to)?),
            _ => None,
        };
        let seen = known.map(|known| known.state);
        let note = |state, note: String| Sending {
            what: what.clone(),
            state,
            attempt: doing.attempt,
            note,
            since: round.now,
        };
        if self.ledger.note_sending(month, &note(doing.state, String::new()), seen).await? == Written::Refused
        {
            return Err(MonthError::Overtaken(format!("the mail to {customer}")));
        }
        let Some(mail) = mail else { return Ok(report(MailState::Sent, false, String::new())) };
        let mut is_down = false;
        let (state, text) = match post.mailer.send(&mail).await {
            Ok(id) => (SendingState::Sent, id),
            Err(MailError::Unsure { reason, .. }) => {
                let reason = format!("{reason}; {}", doubt(customer, customer, month, doing.attempt));
                return Ok(report(MailState::Unsure, true, reason));
            }
            Err(error) => {
                is_down = matches!(error, MailError::Unreached { .. });
                (SendingState::Refused, error.to_string())
            }
        };
        self.ledger.note_sending(month, &note(state, text.clone()), Some(SendingState::Sending)).await?;
        Ok(match state {
            SendingState::Sent => report(MailState::New, false, String::new()),
            _ => report(MailState::Refused, is_down, text),
        })
    }
}

struct Doing {
    state: SendingState,
    attempt: u32,
}

/// What to do about something that goes out once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It went out.
    Nothing,
    /// It was published before it could go out, and nobody asked for it since.
    Skip,
    /// A person must say what became of this attempt.
    Ask(u32),
    /// A person says that it arrived, or needs not go out any more.
    Settle,
    /// This attempt goes out.
    Send(u32),
}

/// Decides by what is noted, and by what a person says.
pub(crate) fn next(known: Option<&Sending>, answer: Option<MailAnswer>, is_wanted: bool) -> Next {
    let attempt = known.map_or(0, |known| known.attempt);
    match (known.map(|known| known.state), answer) {
        (Some(SendingState::Sent), _) => Next::Nothing,
        (Some(_), Some(MailAnswer::Sent)) => Next::Settle,
        (Some(SendingState::Sending), Some(MailAnswer::Send(of))) if of == attempt => Next::Send(attempt + 1),
        (Some(SendingState::Sending), _) => Next::Ask(attempt),
        (Some(SendingState::Refused), _) => Next::Send(attempt + 1),
        (None, Some(MailAnswer::Sent)) => Next::Settle,
        (None, answer) if is_wanted || answer.is_some() => Next::Send(1),
        (None, _) => Next::Skip,
    }
}

/// What to ask a person; `name` is how the answer names it.
pub(crate) fn doubt(name: &str, whom: &str, month: BillingMonth, attempt: u32) -> String {
    let send = if attempt == 1 { "send".to_owned() } else { format!("send-{attempt}") };
    let command = command(["bill", "--month", &month.to_string(), "--mail", &format!("{name}=sent")]);
    let (other, key) = (quoted(&format!("{name}={send}")), serde_json::Value::from(name));
    format!(
        "nobody here knows whether it went out: look where it goes or ask {whom}, then {command}, or {other}; as an event \
         {{\"month\": \"{month}\", \"mails\": {{{key}: \"sent\"}}}}, or \"{send}\""
    )
}

fn written(post: &Post, letter: &Letter<'_>, to: &str) -> Result<Mail, MonthError> {
    let Letter { document, bill, address, history } = letter;
    let shown = Shown::of(document, bill, history).map_err(MonthError::held)?;
    let bars = bars(document, bill, history);
    let redirected = match &post.redirect {
        Some(_) => format!("[for {address}] "),
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
    let bar = |(month, amount): (BillingMonth, Decimal)| Bar {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_about_one_attempt_only() {
        let known = |state, attempt| {
            let since = chrono::DateTime::UNIX_EPOCH;
            Some(Sending { what: String::new(), state, attempt, note: String::new(), since })
        };
        let (send, sent) = (Some(MailAnswer::Send(1)), Some(MailAnswer::Sent));
        for (known, answer, is_wanted, expected) in [
            (None, None, true, Next::Send(1)),
            (None, None, false, Next::Skip),
            (None, send, false, Next::Send(1)),
            (known(SendingState::Sending, 1), None, true, Next::Ask(1)),
            (known(SendingState::Sending, 1), send, true, Next::Send(2)),
            // the same event, delivered again
            (known(SendingState::Sending, 2), send, true, Next::Ask(2)),
            (known(SendingState::Sending, 2), Some(MailAnswer::Send(2)), true, Next::Send(3)),
            (known(SendingState::Refused, 1), None, true, Next::Send(2)),
            (known(SendingState::Refused, 1), sent, true, Next::Settle),
            (known(SendingState::Sending, 1), sent, true, Next::Settle),
            (known(SendingState::Sent, 1), send, true, Next::Nothing),
        ] {
            assert_eq!(next(known.as_ref(), answer, is_wanted), expected, "{known:?} {answer:?}");
        }
    }
}
