//! `monthend withdraw`: takes back a bill that was brought by mistake.

use serde_json::json;

use crate::Ended;
use crate::args;
use crate::commands::invoices::report_dead_letters;
use crate::commands::invoke::report_of;
use crate::output::{Listing, Output, text};
use crate::session::Session;

pub(crate) async fn withdraw(
    withdraw: &args::Withdraw,
    session: &Session,
    output: &Output,
) -> anyhow::Result<Ended> {
    let event = json!({"withdraw": withdraw.bill, "reason": withdraw.reason, "dry_run": withdraw.dry_run});
    let (report, ended) = Box::pin(report_of::<allocate::App>(session, output, &event)).await;
    session.follow(output, "allocating").await?;
    let mut listing = Listing::new(&["bill", "state", "currency", "charges>", "reason"]);
    for document in report.into_iter().flat_map(|report| report.documents) {
        let [bill, currency, charges] =
            [document.bill, document.currency, document.charges_total].map(Option::unwrap_or_default);
        listing.row(vec![bill, text(&document.state), currency, charges, document.reason]);
    }
    output.listing(&listing)?;
    Ok(ended.max(report_dead_letters(session, output)?))
}
