//! Lists that come in pages: all of them, each as it came.

use std::collections::BTreeSet;
use std::future::Future;

use billing::strict;
use bytes::Bytes;
use cloud::billing_apis::Page;
use cloud::peer::{Fault, PeerError};
use serde::Deserialize;

use crate::error::{AnswerError, MonthError};

/// An answer as it came that has something in it which is another every time (a token, an execution). It is kept with each
/// revision of the bill, under its own hash, and is no part of what the bill is.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) extension: &'static str,
    pub(crate) source: String,
    pub(crate) bytes: Bytes,
}

/// All pages of a list. If AWS does not take its own token any more, the list is begun again, once.
pub(crate) async fn all<F>(
    action: &'static str,
    ask: impl Fn(Option<String>) -> F,
) -> Result<Vec<Bytes>, MonthError>
where
    F: Future<Output = Result<Page, PeerError>>,
{
    match once(action, &ask).await {
        Err(MonthError::Call(error)) if error.fault == Fault::StalePage => {
            tracing::warn!("{error}; the list is begun again");
            once(action, &ask).await
        }
        pages => pages,
    }
}

async fn once<F>(action: &'static str, ask: &impl Fn(Option<String>) -> F) -> Result<Vec<Bytes>, MonthError>
where
    F: Future<Output = Result<Page, PeerError>>,
{
    let (mut pages, mut tokens, mut next) = (Vec::new(), BTreeSet::new(), None);
    loop {
        let page = ask(next).await?;
        pages.push(page.body);
        match page.next {
            None => return Ok(pages),
            Some(token) if !tokens.insert(token.clone()) => return Err(AnswerError::Circle { action }.into()),
            token => next = token,
        }
    }
}

/// Reads a page as far as it is needed.
pub(crate) fn read<'p, T: Deserialize<'p>>(action: &'static str, page: &'p [u8]) -> Result<T, AnswerError> {
    strict::from_slice(page).map_err(|error| AnswerError::Malformed { action, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &'static str, next: Option<&str>) -> Page {
        Page { body: Bytes::from_static(body.as_bytes()), next: next.map(str::to_owned) }
    }

    #[test]
    fn a_page_that_says_something_twice_is_refused() {
        let page =
            br#"{"InvoiceSummaries": [{"BaseCurrencyAmount": {"TotalAmount": "1", "TotalAmount": "2"}}]}"#;
        let error = read::<serde_json::Value>("ListInvoiceSummaries", page).unwrap_err().to_string();
        assert!(
            error.contains("'TotalAmount' stands twice in InvoiceSummaries[0].BaseCurrencyAmount"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn pages_are_followed_also_through_empty_ones() {
        let pages = all("list", |token| async move {
            Ok(match token.as_deref() {
                None => page("", Some("a")),
                Some("a") => page("1", Some("b")),
                _ => page("2", None),
            })
        });
        assert_eq!(pages.await.unwrap(), ["", "1", "2"]);
        let circle = all("list", |_| async { Ok(page("", Some("a"))) }).await.unwrap_err();
        assert_eq!(circle.to_string(), "the answer to list names the same next page again and again");
    }
}
