//! `monthend diff`: the bills of two months, of two runs, or by two catalogs.

use std::collections::{BTreeMap, BTreeSet};

use ::bill::BillState;
use anyhow::{Context, bail};
use billing::bills::{ChainRun, RunDocument, StatedBill, StatedLine};
use billing::money::{self, Decimal};
use billing::month::BillingMonth;
use chrono::Utc;
use serde_json::json;

use crate::args;
use crate::commands::invoke::read;
use crate::output::{Format, Listing, Output};
use crate::session::Session;
use crate::{Ended, WrongArgument};

/// One side: amounts and how they came about, by customer and line.
struct Side {
    title: String,
    currency: String,
    lines: BTreeMap<(String, String), (Decimal, String)>,
}

pub(crate) async fn diff(diff: &args::Diff, session: &Session, output: &Output) -> anyhow::Result<Ended> {
    let (from, to) = (side(&diff.from, diff, session).await?, side(&diff.to, diff, session).await?);
    anyhow::ensure!(
        from.currency == to.currency,
        "{} is in {} and {} in {}: amounts of two currencies are not compared",
        from.title,
        from.currency,
        to.title,
        to.currency
    );
    let keys: BTreeSet<&(String, String)> = from.lines.keys().chain(to.lines.keys()).collect();
    let mut listing =
        Listing::new(&["customer", "line", "from>", "to>", "difference>", "how it came about then", "now"]);
    let (mut totals, mut same) = ([Decimal::ZERO; 2], 0);
    for key in
        keys.into_iter().filter(|(customer, _)| diff.customer.as_ref().is_none_or(|only| only == customer))
    {
        let sides = [from.lines.get(key), to.lines.get(key)];
        let amounts = sides.map(|side| side.map(|(amount, _)| *amount).unwrap_or_default());
        for (total, amount) in totals.iter_mut().zip(amounts) {
            *total = money::add(*total, amount)?;
        }
        if amounts[0] == amounts[1] {
            same += 1;
            continue;
        }
        let comments = sides.map(|side| side.map(|(_, comment)| comment.clone()).unwrap_or_default());
        let shown = sides.map(|side| side.map(|(amount, _)| amount.to_string()).unwrap_or_default());
        let [then, now] = comments;
        let [before, after] = shown;
        let difference = money::sub(amounts[1], amounts[0])?.normalize().to_string();
        listing.row(vec![key.0.clone(), key.1.clone(), before, after, difference, then, now]);
    }
    let [before, after] = totals;
    let difference = money::sub(after, before)?.normalize().to_string();
    let none = String::new();
    listing.total(vec![
        "total".into(),
        none.clone(),
        before.normalize().to_string(),
        after.normalize().to_string(),
        difference,
        none.clone(),
        none,
    ]);
    if output.format == Format::Table {
        output.heading(&format!("From {} to {}, {}", from.title, to.title, from.currency));
    }
    output.listing(&listing)?;
    output.note(&format!("{same} lines are the same"));
    Ok(Ended::Done)
}

async fn side(text: &str, diff: &args::Diff, session: &Session) -> anyhow::Result<Side> {
    match diff.month {
        Some(month) => replayed(text, month, session).await,
        None => posted(text, session).await,
    }
}

/// What a run posted: of a month the newest.
async fn posted(text: &str, session: &Session) -> anyhow::Result<Side> {
    let chain = session.ledger.chain().await?.chain;
    let (month, number) = match text.split_once('#') {
        Some((month, number)) => {
            (month, Some(number.parse::<u32>().with_context(|| format!("'{text}' is no run"))?))
        }
        None => (text, None),
    };
    let month: BillingMonth = month.parse().map_err(|_| {
        WrongArgument(format!(
            "'{text}' is no month and no run; to bill a month by two catalogs, give --month, too"
        ))
    })?;
    month.begun(Utc::now()).map_err(|error| WrongArgument(error.to_string()))?;
    // a run for one customer says nothing of the others: an earlier one of the month does
    let wanted = |run: &&ChainRun| number.is_none_or(|number| number == run.run.number);
    let mut side: Option<Side> = None;
    for run in chain.of(month).filter(wanted) {
        let key = &run.document;
        let object = session.bucket.get(key, None).await?;
        let object = object.with_context(|| format!("there is no {key}, which the ledger names"))?;
        let document = RunDocument::read(key, &object.bytes).map_err(anyhow::Error::msg)?;
        let before = side.take().map(|side| side.lines).unwrap_or_default();
        let others = before.into_iter().filter(|((customer, _), _)| document.bill(customer).is_none());
        let mut new = Side::of(document.run.to_string(), document.currency.clone(), &document.bills);
        new.lines.extend(others);
        side = Some(new);
    }
    side.with_context(|| format!("{text} has no bills; see monthend bill --month {month}"))
}

/// What a month comes to by a catalog.
async fn replayed(version: &str, month: BillingMonth, session: &Session) -> anyhow::Result<Side> {
    let event = json!({"month": month, "dry_run": true, "catalog": version});
    let report = match read::<::bill::App>(session, &event).await {
        Ok(report) => report,
        Err(failure) => {
            let shown = failure.report.as_ref().and_then(|report| report.months.first());
            if let Some(refused) = shown.filter(|shown| shown.state == BillState::Refused) {
                bail!(WrongArgument(refused.reason.clone()));
            }
            bail!(failure);
        }
    };
    let shown = report.months.into_iter().next().context("the month is not reported on")?;
    let Some(currency) = shown.currency else {
        bail!("{month} by the catalog {version}: {}", shown.reason);
    };
    let mut side = Side::of(format!("{month} by catalog {version}"), currency, &[]);
    shown.bills.iter().for_each(|bill| side.add(&bill.customer, &bill.lines));
    Ok(side)
}

impl Side {
    fn of(title: String, currency: String, bills: &[StatedBill]) -> Self {
        let mut side = Self { title, currency, lines: BTreeMap::new() };
        let posted = bills.iter().filter(|bill| bill.held.is_none());
        posted.for_each(|bill| side.add(&bill.customer, &bill.lines));
        side
    }

    fn add(&mut self, customer: &str, lines: &[StatedLine]) {
        for line in lines {
            let key = (customer.to_owned(), line.key.clone());
            self.lines.insert(key, (line.amount, line.comment.clone()));
        }
    }
}
