//! The charges of a month of all providers as tables: by account, by service, by tag (each key by itself). Each adds up to the charges, exactly.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;

use super::rows::ChargeRow;
use crate::aggregate::{Aggregate, AggregateError, Table, check};
use crate::bill::tag_rows;
use crate::bills::facts::Tags;
use crate::charges::{Figures, TagSums, parse_tags};
use crate::identity::Rule;
use crate::money::{Currency, MoneyError};
use crate::month::BillingMonth;

/// Few currencies each.
type Sums = Vec<(Currency, Figures)>;
type Named = HashMap<String, Sums, RandomState>;

#[derive(Debug, Default)]
struct Account {
    name: Option<String>,
    sums: Sums,
}

/// What the charges of one provider come to.
#[derive(Debug, Default)]
struct OfProvider {
    /// By billing account, then by sub account; an empty text where there is none.
    accounts: HashMap<String, HashMap<String, Account, RandomState>, RandomState>,
    services: Named,
}

/// What the charges of a month come to. Memory grows with accounts and services, not with charges or tags.
#[derive(Debug, Default)]
pub struct MonthTotals {
    providers: BTreeMap<String, OfProvider>,
    tags: Vec<(Currency, TagSums)>,
    /// By the JSON object of all tags of a charge, because most charges share theirs with others: not in `tags` yet.
    untold_tags: Named,
    all: Sums,
}

/// Sets of tags that are waited for before they are added up.
const SETS_OF_TAGS: usize = 10_000;

fn add(sums: &mut Sums, currency: Currency, figures: &Figures) -> Result<(), MoneyError> {
    if let Some((_, sum)) = sums.iter_mut().find(|(known, _)| *known == currency) {
        return sum.add(figures);
    }
    sums.push((currency, *figures));
    Ok(())
}

fn add_named(map: &mut Named, key: &str, currency: Currency, figures: &Figures) -> Result<(), MoneyError> {
    match map.get_mut(key) {
        Some(sums) => add(sums, currency, figures),
        None => add(map.entry(key.to_owned()).or_default(), currency, figures),
    }
}

impl MonthTotals {
    /// Adds a charge.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn add(&mut self, row: &ChargeRow<'_>) -> Result<(), MoneyError> {
        let (facts, currency) = (&row.facts, row.currency);
        let figures = Figures { billed: row.billed, effective: row.effective, charges: 1 };
        add(&mut self.all, currency, &figures)?;
        let provider = match self.providers.get_mut(facts.provider) {
            Some(provider) => provider,
            None => self.providers.entry(facts.provider.to_owned()).or_default(),
        };
        let key = facts.sub_account_id.or(facts.sub_account_name).unwrap_or_default();
        let known = provider.accounts.get_mut(facts.billing_account).and_then(|of| of.get_mut(key));
        let account = match known {
            Some(account) => account,
            None => {
                let of = provider.accounts.entry(facts.billing_account.to_owned()).or_default();
                of.entry(key.to_owned()).or_default()
            }
        };
        // whichever comes first, so that the order of charges does not matter
        if let Some(name) = facts.sub_account_name
            && account.name.as_deref().is_none_or(|known| name < known)
        {
            account.name = Some(name.to_owned());
        }
        add(&mut account.sums, currency, &figures)?;
        add_named(&mut provider.services, facts.service, currency, &figures)?;
        let tags = if let Tags::Json(json) = facts.tags { json } else { "" };
        add_named(&mut self.untold_tags, tags, currency, &figures)?;
        if self.untold_tags.len() > SETS_OF_TAGS { self.tell_tags() } else { Ok(()) }
    }

    fn tell_tags(&mut self) -> Result<(), MoneyError> {
        for (json, sums) in self.untold_tags.drain() {
            // a text that is no object was refused where the charge was placed
            let tags = parse_tags(Some(&json).filter(|json| !json.is_empty()).map(String::as_str))
                .unwrap_or_default();
            for (currency, figures) in sums {
                let at = self.tags.iter().position(|(known, _)| *known == currency);
                let at = at.unwrap_or_else(|| {
                    self.tags.push((currency, TagSums::default()));
                    self.tags.len() - 1
                });
                self.tags[at].1.add(&tags, Rule::Exact, &figures)?;
            }
        }
        Ok(())
    }

    /// The tables `by-account`, `by-service` and `by-tag` of a month.
    ///
    /// # Errors
    /// [`AggregateError`], above all if a table does not add up to the charges.
    pub fn tables(&mut self, month: BillingMonth) -> Result<Vec<Aggregate>, AggregateError> {
        self.tell_tags()?;
        let head = [("billing_period", month.to_string())];
        let tables = [self.by_account()?, self.by_service()?, self.by_tag()?];
        tables.into_iter().map(|table| table.finish(&head)).collect()
    }

    fn by_account(&self) -> Result<Table, AggregateError> {
        let keys = &["provider", "billing_account", "sub_account_id", "sub_account_name", "billing_currency"];
        let mut rows = Vec::new();
        for (provider, of) in &self.providers {
            for (payer, accounts) in &of.accounts {
                for (id, account) in accounts {
                    let id = (!id.is_empty()).then(|| id.clone());
                    for (currency, figures) in &account.sums {
                        let [provider, payer, code] =
                            [provider, payer, currency.code()].map(|text| Some(text.to_owned()));
                        rows.push((vec![provider, payer, id.clone(), account.name.clone(), code], *figures));
                    }
                }
            }
        }
        self.table("by-account", keys, rows)
    }

    fn by_service(&self) -> Result<Table, AggregateError> {
        let mut rows = Vec::new();
        for (provider, of) in &self.providers {
            for (service, sums) in &of.services {
                for (currency, figures) in sums {
                    let row = [provider, service, currency.code()].map(|text| Some(text.to_owned()));
                    rows.push((row.to_vec(), *figures));
                }
            }
        }
        self.table("by-service", &["provider", "service_name", "billing_currency"], rows)
    }

    /// For each currency and key its values, and what has no such tag: each key adds up to the charges.
    fn by_tag(&self) -> Result<Table, AggregateError> {
        let mut table = Table::new("by-tag", &["tag_key", "tag_value", "tagged", "billing_currency"]);
        let mut currencies: Vec<&(Currency, Figures)> = self.all.iter().collect();
        currencies.sort_by_key(|(currency, _)| currency.code());
        let none = TagSums::default();
        for (currency, all) in currencies {
            let sums = self.tags.iter().find(|(known, _)| known == currency).map_or(&none, |(_, sums)| sums);
            for row in tag_rows(sums, all)? {
                let figures = row.figures;
                let mut cells = row.cells();
                cells.push(Some(currency.code().to_owned()));
                table.push(cells, figures);
            }
        }
        Ok(table)
    }

    /// The rows in order, if they add up.
    fn table(
        &self,
        name: &'static str,
        keys: &'static [&'static str],
        mut rows: Vec<(Vec<Option<String>>, Figures)>,
    ) -> Result<Table, AggregateError> {
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        for (currency, all) in &self.all {
            let code = currency.code();
            let of =
                rows.iter().filter(|(row, _)| row.last().is_some_and(|last| last.as_deref() == Some(code)));
            let of: Vec<Figures> = of.map(|(_, figures)| *figures).collect();
            check(&format!("{name} in {code}"), &of, all)?;
        }
        let mut table = Table::new(name, keys);
        rows.into_iter().for_each(|(row, figures)| table.push(row, figures));
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bills::tests::{charge, october};
    use crate::charges::Amount;

    #[test]
    fn a_month_whose_tags_are_all_different_has_a_table_of_bounded_size() {
        let mut totals = MonthTotals::default();
        let mut add = |tags: &str| {
            let charge = charge("aws/one", "1");
            let facts = crate::bills::facts::Facts { tags: Tags::Json(tags), ..charge.facts() };
            let (billed, detail) = (Amount::parse(b"1").unwrap(), Default::default());
            let row = ChargeRow { facts, currency: charge.currency, billed, effective: billed, detail };
            totals.add(&row).unwrap();
        };
        (0..12_000).for_each(|pod| add(&format!(r#"{{"pod": "pod-{pod}", "team": "blue"}}"#)));
        assert!(totals.untold_tags.len() <= SETS_OF_TAGS);
        let tables = totals.tables(october()).unwrap();
        let by_tag = String::from_utf8(tables.into_iter().nth(2).unwrap().csv).unwrap().replace('\r', "");
        let rows: Vec<&str> = by_tag.lines().skip(1).collect();
        assert_eq!(
            rows,
            [
                "2026-10,,,true,CHF,12000,12000,12000",
                "2026-10,pod,(more than 10000 values),true,CHF,12000,12000,12000",
                "2026-10,team,blue,true,CHF,12000,12000,12000",
            ]
        );
    }

    #[test]
    fn tables_of_all_providers_add_up_whatever_the_order() {
        let charges = [
            charge("aws/one", "1.5").tagged("team", "blue"),
            charge("aws/two", "2").of_service("Storage"),
            charge("gcp/one", "-0.25").in_currency(Currency::EUR).tagged("team", "=red"),
            charge("aws/one", "4").tagged("team", "red"),
        ];
        let tables = |order: &[usize]| {
            let mut totals = MonthTotals::default();
            for at in order {
                let charge = &charges[*at];
                let amount = Amount::parse(charge.cost.as_bytes()).unwrap();
                let (facts, currency) = (charge.facts(), charge.currency);
                let detail = Default::default();
                totals
                    .add(&ChargeRow { facts, currency, billed: amount, effective: amount, detail })
                    .unwrap();
            }
            let tables = totals.tables(october()).unwrap();
            tables
                .into_iter()
                .map(|table| String::from_utf8(table.csv).unwrap())
                .collect::<Vec<_>>()
                .join("\n")
        };
        let text = tables(&[0, 1, 2, 3]);
        assert_eq!(text, tables(&[3, 1, 0, 2]));
        insta::assert_snapshot!(text);
    }
}
