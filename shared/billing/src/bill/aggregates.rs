//! The sums of a bill as tables: by account, by service, by tag. Each adds up to the charges of the bill, exactly.

use crate::aggregate::{Aggregate, AggregateError, Table, check};
use crate::certificate::Certificate;
use crate::charges::Totals;

/// The tables of a bill whose charges are `totals`. They name their revision, so tables of two revisions always differ.
///
/// # Errors
/// [`AggregateError`], above all if a table does not add up to the bill.
pub fn aggregates(certificate: &Certificate, totals: &Totals) -> Result<Vec<Aggregate>, AggregateError> {
    let subject = &certificate.subject;
    let head = [
        ("provider", subject.provider.as_str().to_owned()),
        ("billing_account", subject.billing_account.as_str().to_owned()),
        ("billing_period", subject.period.to_string()),
        ("invoice_id", subject.invoice_id.as_str().to_owned()),
        ("revision", subject.revision.to_string()),
        ("billing_currency", certificate.currency.clone()),
    ];
    let tables = [by_account(certificate, totals)?, by_service(totals)?, by_tag(totals)?];
    tables.into_iter().map(|table| table.finish(&head)).collect()
}

fn by_account(certificate: &Certificate, totals: &Totals) -> Result<Table, AggregateError> {
    let mut table = Table::new("by-account", &["sub_account_id", "sub_account_name"]);
    let mut accounts: Vec<_> = totals.sub_accounts.iter().collect();
    accounts.sort_by_key(|(id, _)| *id);
    for (id, (_, figures)) in accounts {
        let target = certificate.targets.iter().find(|target| Some(&target.id) == id.as_ref());
        table.push(vec![id.clone(), target.map(|target| target.name.clone())], *figures);
    }
    check("by account", table.figures(), &totals.all)?;
    Ok(table)
}

fn by_service(totals: &Totals) -> Result<Table, AggregateError> {
    let mut table = Table::new("by-service", &["service_category", "service_name"]);
    let mut services: Vec<_> = totals.services.iter().collect();
    services.sort_by_key(|(service, _)| *service);
    for ((category, service), figures) in services {
        table.push(vec![Some((*category).to_owned()), Some(service.clone())], *figures);
    }
    check("by service", table.figures(), &totals.all)?;
    Ok(table)
}

/// For each key its values, and what has no such tag: each key adds up to the bill.
fn by_tag(totals: &Totals) -> Result<Table, AggregateError> {
    let mut table = Table::new("by-tag", &["tag_key", "tag_value", "tagged"]);
    let mut keys: Vec<_> = totals.tags.iter().collect();
    keys.sort_by_key(|(key, _)| *key);
    for (key, values) in keys {
        let mut values: Vec<_> = values.iter().collect();
        values.sort_by_key(|(value, _)| *value);
        let first = table.len();
        let mut untagged = totals.all;
        for (value, figures) in values {
            table.push(vec![Some(key.clone()), Some(value.clone()), Some("true".to_owned())], *figures);
            untagged.billed = untagged.billed.checked_add(-figures.billed)?;
            untagged.effective = untagged.effective.checked_add(-figures.effective)?;
            untagged.charges = untagged.charges.saturating_sub(figures.charges);
        }
        if untagged.charges > 0 {
            table.push(vec![Some(key.clone()), None, Some("false".to_owned())], untagged);
        }
        check(&format!("by tag {key}"), &table.figures()[first..], &totals.all)?;
    }
    Ok(table)
}
