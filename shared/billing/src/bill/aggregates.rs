//! The sums of a bill as tables: by account, by service, by tag. Each adds up to the charges of the bill, exactly.

use crate::aggregate::{Aggregate, AggregateError, Table, check};
use crate::certificate::Certificate;
use crate::charges::{Figures, SubAccount, TagSums, Totals};

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
    let mut accounts: Vec<_> = totals.sub_accounts.values().collect();
    accounts.sort_by_key(|account| &account.id);
    for SubAccount { id, figures, .. } in accounts {
        let target = certificate.targets.iter().find(|target| Some(&target.id) == id.as_ref());
        table.push(vec![id.clone(), target.map(|target| target.name.clone())], *figures);
    }
    check("by account", table.figures(), &totals.all)?;
    Ok(table)
}

fn by_service(totals: &Totals) -> Result<Table, AggregateError> {
    let mut table = Table::new("by-service", &["service_category", "service_name"]);
    let services =
        totals.services.iter().map(|((category, _), (service, figures))| (*category, service, figures));
    let mut services: Vec<_> = services.collect();
    services.sort_by_key(|(category, service, _)| (*category, *service));
    for (category, service, figures) in services {
        table.push(vec![Some(category.to_owned()), Some(service.clone())], *figures);
    }
    check("by service", table.figures(), &totals.all)?;
    Ok(table)
}

/// A row of a table by tag.
pub(crate) struct TagRow {
    /// Nothing: of whatever key.
    pub(crate) key: Option<String>,
    /// Nothing: of no value, or of whatever.
    pub(crate) value: Option<String>,
    /// Whether its charges have the tag.
    pub(crate) tagged: bool,
    pub(crate) figures: Figures,
}

impl TagRow {
    /// Its cells: key, value, tagged.
    pub(crate) fn cells(self) -> Vec<Option<String>> {
        vec![self.key, self.value, Some(self.tagged.to_string())]
    }
}

/// For each key its values, and what has no such tag; before them, under no key, what has any tag and what has none. Each key adds up
/// to all charges, and so does no key.
pub(crate) fn tag_rows(sums: &TagSums, all: &Figures) -> Result<Vec<TagRow>, AggregateError> {
    let mut rows = Vec::new();
    let tagged = all.without(&sums.untagged())?;
    let any = (tagged.charges > 0).then_some((None, tagged));
    add_key(&mut rows, sums.crowd(), any, all)?;
    for (key, values) in sums.rows() {
        let values = values.into_iter().map(|(value, figures)| (Some(value), figures));
        add_key(&mut rows, Some(key.to_owned()), values, all)?;
    }
    Ok(rows)
}

fn add_key(
    rows: &mut Vec<TagRow>,
    key: Option<String>,
    values: impl IntoIterator<Item = (Option<String>, Figures)>,
    all: &Figures,
) -> Result<(), AggregateError> {
    let (first, mut rest) = (rows.len(), *all);
    for (value, figures) in values {
        rest = rest.without(&figures)?;
        rows.push(TagRow { key: key.clone(), value, tagged: true, figures });
    }
    if rest.charges > 0 {
        rows.push(TagRow { key: key.clone(), value: None, tagged: false, figures: rest });
    }
    let stated: Vec<Figures> = rows[first..].iter().map(|row| row.figures).collect();
    check(&format!("by tag {}", key.unwrap_or_default()), &stated, all)
}

fn by_tag(totals: &Totals) -> Result<Table, AggregateError> {
    let mut table = Table::new("by-tag", &["tag_key", "tag_value", "tagged"]);
    for row in tag_rows(&totals.tags, &totals.all)? {
        let figures = row.figures;
        table.push(row.cells(), figures);
    }
    Ok(table)
}
