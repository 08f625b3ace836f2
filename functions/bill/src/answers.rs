//! Whether what a person answers about mails and uploads is about some that there are: a misspelt name would change nothing, and say nothing.

use std::collections::BTreeSet;

use billing::catalog::billing::parse;
use cloud::ledger::SendingState;

use crate::App;
use crate::error::MonthError;
use crate::event::MonthWish;

impl App {
    /// Refuses an answer about somebody who has no bill of the month, and no file of it.
    pub(crate) async fn check_answers(&self, wish: &MonthWish) -> Result<(), MonthError> {
        if wish.mails.is_empty() {
            return Ok(());
        }
        let month = wish.month;
        let chain = self.ledger.chain().await?.chain;
        let mut known = BTreeSet::new();
        for run in chain.of(month) {
            let document = self.reader.document(&run.document).await?;
            known.extend(document.bills.into_iter().map(|bill| bill.customer));
            known.extend(document.exports.into_iter().map(|export| export.key));
        }
        if known.is_empty() {
            // not billed yet: by this catalog it will be
            let catalog = self.reader.catalog(wish.catalog.as_ref(), None).await?;
            let catalog = catalog.and_then(|version| parse(&version.bytes).ok());
            let customers = catalog.into_iter().flat_map(|catalog| catalog.customers);
            known.extend(customers.map(|customer| customer.name));
        }
        let Some(unknown) = wish.mails.keys().find(|name| !known.contains(*name)) else { return Ok(()) };
        let waiting = self.waiting(wish).await?;
        let waiting = if waiting.is_empty() {
            "nothing of it waits for an answer".to_owned()
        } else {
            format!("what waits for an answer: {}", waiting.join(", "))
        };
        Err(MonthError::Refused(format!(
            "there is no mail to '{unknown}' for {month}, and no such file; {waiting}"
        )))
    }

    /// Mails and files of which nobody knows whether they went out, as an answer names them.
    async fn waiting(&self, wish: &MonthWish) -> Result<Vec<String>, MonthError> {
        let trial = self.mails.as_ref().and_then(|post| post.redirect.as_ref());
        let trial = trial.map(|trial| format!("#{}", trial.to_lowercase())).unwrap_or_default();
        let sendings = self.ledger.sendings(wish.month).await?;
        let waiting = sendings.into_values().filter(|sending| sending.state == SendingState::Sending);
        let name = |what: String| {
            let mail = what.strip_prefix("mail#").and_then(|name| name.strip_suffix(&trial));
            mail.or_else(|| what.strip_prefix("upload#")).map(str::to_owned)
        };
        Ok(waiting.filter_map(|sending| name(sending.what)).collect())
    }
}
