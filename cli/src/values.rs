//! Values of options that are more than a type.

use billing::month::BillingMonth;
use chrono::Utc;

/// A month that has begun.
pub(crate) fn begun(text: &str) -> Result<BillingMonth, String> {
    let month: BillingMonth = text.parse().map_err(|error| format!("{error}"))?;
    month.begun(Utc::now()).map_err(|error| error.to_string())
}

/// A month that is over.
pub(crate) fn ended(text: &str) -> Result<BillingMonth, String> {
    let month = begun(text)?;
    if month.end() <= Utc::now() { Ok(month) } else { Err(format!("{month} is not over")) }
}

/// A catalog: the one in force, or the beginning of a version's hash.
pub(crate) fn version(text: &str) -> Result<String, String> {
    let is_hash = text.len() >= 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text == "current" || is_hash {
        true => Ok(text.to_owned()),
        false => Err("write current, or four digits of a version's hash or more".to_owned()),
    }
}

/// A reason, which a person is to read.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("say why".to_owned()) } else { Ok(text.to_owned()) }
}

/// An answer about a mail: whose, and what became of it.
pub(crate) fn answer(text: &str) -> Result<(String, String), String> {
    let known = |answer: &str| {
        answer == "sent"
            || answer == "send"
            || answer.strip_prefix("send-").is_some_and(|of| of.parse::<u32>().is_ok())
    };
    match text.rsplit_once('=') {
        Some((customer, answer)) if !customer.is_empty() && known(answer) => {
            Ok((customer.to_owned(), answer.to_owned()))
        }
        _ => Err("write CUSTOMER=sent or CUSTOMER=send".to_owned()),
    }
}
