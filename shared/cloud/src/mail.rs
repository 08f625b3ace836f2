//! Mails by Amazon SES (API v2).
//!
//! Sending is not idempotent: an answer that got lost leaves open whether the mail went out. So nothing is sent twice here, and an
//! error says which of the two it is.

use aws_sdk_sesv2::error::SdkError;
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::primitives::Blob;
use aws_sdk_sesv2::types::{
    Attachment, AttachmentContentDisposition, Body, Content, Destination, EmailContent, Message, MessageTag,
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::aws::{Aws, explain};
use crate::http::was_never_sent;

/// A mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The address, or `Name <address>`, that it is from.
    pub from: String,
    /// The one address that it goes to.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// The same in HTML.
    pub html: String,
    /// Files that come with it.
    pub attachments: Vec<MailFile>,
    /// Names and values by which it is found again at SES: letters, digits, `_` and `-`.
    pub tags: Vec<(String, String)>,
}

/// A file that comes with a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailFile {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub content_type: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A mail that was not accepted, as far as anybody here knows.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MailError {
    /// SES refused it: it did not go out.
    #[error("SES refused the mail to {to}: {reason}{advice}")]
    Refused {
        /// Whom it was for.
        to: String,
        /// What SES said.
        reason: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// SES was not reached: it did not go out.
    #[error("SES was not reached, the mail to {to} did not go out: {reason}; the next run tries again")]
    Unreached {
        /// Whom it was for.
        to: String,
        /// Why not.
        reason: String,
    },
    /// Nobody here knows whether it went out.
    #[error("whether the mail to {to} went out is not known: {reason}")]
    Unsure {
        /// Whom it was for.
        to: String,
        /// What happened.
        reason: String,
    },
}

/// Sends mails.
#[derive(Clone, Debug)]
pub struct Mailer {
    client: aws_sdk_sesv2::Client,
}

impl Mailer {
    /// By the SES of these credentials and this region.
    #[must_use]
    pub fn new(aws: &Aws) -> Self {
        Self { client: aws.sesv2() }
    }

    /// Sends a mail, once; answers SES's name for it.
    ///
    /// # Errors
    /// [`MailError`].
    pub async fn send(&self, mail: &Mail) -> Result<String, MailError> {
        let built = message(mail).map_err(|error| MailError::Refused {
            to: mail.to.clone(),
            reason: error,
            advice: "",
        })?;
        let request = self.client.send_email().from_email_address(&mail.from);
        let request = request.destination(Destination::builder().to_addresses(&mail.to).build());
        let request = request.content(EmailContent::builder().simple(built).build());
        let tags = mail
            .tags
            .iter()
            .filter_map(|(name, value)| MessageTag::builder().name(name).value(value).build().ok());
        match request.set_email_tags(Some(tags.collect())).send().await {
            Ok(sent) => Ok(sent.message_id.unwrap_or_default()),
            Err(error) => Err(failed(&mail.to, &error)),
        }
    }
}

fn message(mail: &Mail) -> Result<Message, String> {
    let content = |text: &str| {
        let content = Content::builder().data(text).charset("UTF-8").build();
        content.map_err(|error| error.to_string())
    };
    let body = Body::builder().text(content(&mail.text)?).html(content(&mail.html)?).build();
    let mut message = Message::builder().subject(content(&mail.subject)?).body(body);
    for file in &mail.attachments {
        let attachment = Attachment::builder()
            .raw_content(Blob::new(file.bytes.clone()))
            .file_name(&file.name)
            .content_type(file.content_type)
            .content_disposition(AttachmentContentDisposition::Attachment)
            .build();
        message = message.attachments(attachment.map_err(|error| error.to_string())?);
    }
    Ok(message.build())
}

/// A mail did not go out where an answer says so, and where nobody was reached. After an error of the server (5xx), or without an answer to
/// what was sent, it may have.
fn failed(to: &str, error: &SdkError<SendEmailError>) -> MailError {
    let (to, reason) = (to.to_owned(), explain(error));
    let status = error.raw_response().map(|response| response.status().as_u16());
    if was_never_sent(error) {
        return MailError::Unreached { to, reason };
    }
    let is_refusal = status.is_some_and(|status| (400..500).contains(&status));
    if !is_refusal && !matches!(error, SdkError::ConstructionFailure(_)) {
        return MailError::Unsure { to, reason };
    }
    let advice = match error.code() {
        Some("MessageRejected" | "MailFromDomainNotVerifiedException") => {
            "; MAIL_FROM must be an address or domain that is verified in SES, and in the sandbox of SES the recipient too"
        }
        Some("AccessDeniedException") => "; the function's policy must allow ses:SendEmail",
        Some("TooManyRequestsException" | "LimitExceededException") => "; the next run tries again",
        Some("AccountSuspendedException" | "SendingPausedException") => "; look at the SES console",
        _ => "",
    };
    MailError::Refused { to, reason, advice }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vars::Vars;

    async fn sent_to(endpoint: &str) -> MailError {
        let vars = Vars::from_iter([
            ("AWS_ENDPOINT_URL_SESV2", endpoint),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "k"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
        ]);
        let mail = Mail {
            from: "from@example.com".into(),
            to: "to@example.com".into(),
            subject: "s".into(),
            text: "t".into(),
            html: "h".into(),
            attachments: Vec::new(),
            tags: Vec::new(),
        };
        Mailer::new(&Aws::connect(&vars).await.unwrap()).send(&mail).await.unwrap_err()
    }

    #[tokio::test]
    async fn where_nobody_was_reached_nothing_went_out() {
        // a port that was free a moment ago, and a name that there is nowhere
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for endpoint in [format!("http://{free}"), "http://ses.invalid".to_owned()] {
            let error = sent_to(&endpoint).await;
            assert!(!matches!(error, MailError::Unsure { .. }), "{endpoint}: {error}");
            assert!(error.to_string().contains("did not go out"), "{endpoint}: {error}");
        }
    }

    #[tokio::test]
    async fn where_somebody_was_reached_it_may_have_gone_out() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let hang_up = tokio::spawn(async move { drop(listener.accept().await.unwrap()) });
        let error = sent_to(&format!("http://{address}")).await;
        assert!(matches!(error, MailError::Unsure { .. }), "{error}");
        hang_up.await.unwrap();
    }
}
