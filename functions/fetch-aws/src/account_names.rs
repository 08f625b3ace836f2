//! Names of the organisation's accounts, for rows that have ids only.

use std::collections::BTreeMap;

use bytes::Bytes;
use cloud::peer::Fault;
use serde::Deserialize;

use crate::error::{AnswerError, MonthError};
use crate::fetcher::Fetcher;
use crate::pages::{all, read};

const ACTION: &str = "organizations:ListAccounts";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    accounts: Vec<Account>,
}

/// The e-mail addresses beside are nobody's business here, and are not kept.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Account {
    id: String,
    name: Option<String>,
}

impl Fetcher {
    /// Names by account id. Only the management account (or one it delegates to) may ask: who may not goes on without.
    pub(crate) async fn account_names(&self) -> Result<BTreeMap<String, String>, MonthError> {
        if !self.config.account_names {
            return Ok(BTreeMap::new());
        }
        let ask = |page: Option<String>| async move { self.apis.accounts(page.as_deref()).await };
        match all(ACTION, ask).await {
            Ok(pages) => Ok(names(&pages)?),
            // an account on its own is in no organisation
            Err(MonthError::Call(error)) if matches!(error.fault, Fault::Denied | Fault::NotFound) => {
                tracing::warn!("accounts have no names: {error}");
                Ok(BTreeMap::new())
            }
            Err(error) => Err(error),
        }
    }
}

fn names(pages: &[Bytes]) -> Result<BTreeMap<String, String>, AnswerError> {
    let mut names = BTreeMap::new();
    for page in pages {
        let page: Page = read(ACTION, page)?;
        let named = page.accounts.into_iter().filter_map(|account| Some((account.id, account.name?)));
        names.extend(named.filter(|(_, name)| !name.is_empty()));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_all_pages() {
        let pages = [
            r#"{"Accounts": [], "NextToken": "AAAAempty-page-is-legal"}"#,
            r#"{"Accounts": [{"Id": "1", "Name": "payer", "State": "ACTIVE"}, {"Id": "2"}, {"Id": "3", "Name": ""}]}"#,
        ];
        let names = names(&pages.map(|page| Bytes::from_static(page.as_bytes()))).unwrap();
        assert_eq!(names, BTreeMap::from([("1".to_owned(), "payer".to_owned())]));
    }
}
