//! `monthend withdraw`: takes back a bill that was brought by mistake.

use serde_json::{Value, json};

use crate::Ended;
use crate::args;
use crate::commands::bill::{list, text};
use crate::commands::invoices::report_dead_letters;
use crate::commands::invoke::report_of;
use crate::output::{Listing, Output};
use crate::session::Session;

pub(crate) async fn withdraw(
    withdraw: &args::Withdraw,
    session: &Session,
    output: &Output,
) -> anyhow::Result<Ended> {
    let mut event = json!({"withdraw": withdraw.bill, "reason": withdraw.reason});
    if withdraw.dry_run {
        event["dry_run"] = Value::Bool(true);
    }
    let (report, ended) = Box::pin(report_of(session, output, "allocate", &event)).await;
    session.follow(output, "allocating").await?;
    let report = report.unwrap_or_default();
    let mut listing = Listing::new(&["bill", "state", "currency", "charges>", "reason"]);
    for document in list(&report["documents"]) {
        let cells = ["bill", "state", "currency", "charges_total", "reason"];
        listing.row(cells.map(|cell| text(&document[cell])).to_vec());
    }
    output.listing(&listing)?;
    Ok(ended.max(report_dead_letters(session, output)?))
}
