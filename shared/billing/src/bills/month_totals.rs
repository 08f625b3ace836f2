//! The charges of a month of all providers as tables: by account, by service, by tag. Each adds up to the charges, exactly.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;

use super::rows::ChargeRow;
use crate::aggregate::{Aggregate, AggregateError, Table, check};
use crate::bills::facts::Tags;
use crate::charges::{Figures, parse_tags};
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
    /// By the JSON object of all tags of a charge.
    tags: Named,
}

/// What the charges of a month come to. Memory grows with what is distinct.
#[derive(Debug, Default)]
pub struct MonthTotals {
    providers: BTreeMap<String, OfProvider>,
    all: Sums,
}

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
        match facts.tags {
            Tags::Json(json) => add_named(&mut provider.tags, json, currency, &figures),
            Tags::None | Tags::Pairs(_) => Ok(()),
        }
    }

    /// The tables `by-account`, `by-service` and `by-tag` of a month.
    ///
    /// # Errors
    /// [`AggregateError`], above all if a table does not add up to the charges.
    pub fn tables(&self, month: BillingMonth) -> Result<Vec<Aggregate>, AggregateError> {
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

    /// For each key and currency its values, and what has no such tag: each key adds up to the charges.
    fn by_tag(&self) -> Result<Table, AggregateError> {
        let mut tags: BTreeMap<(String, &str), BTreeMap<String, Figures>> = BTreeMap::new();
        for (json, sums) in self.providers.values().flat_map(|of| &of.tags) {
            // a text that is no object was refused where the charge was placed
            let parsed = parse_tags(Some(json)).unwrap_or_default();
            for (key, value) in parsed {
                for (currency, figures) in sums {
                    let values = tags.entry((key.clone(), currency.code())).or_default();
                    values.entry(value.clone()).or_default().add(figures)?;
                }
            }
        }
        let keys = &["tag_key", "tag_value", "tagged", "billing_currency"];
        let mut table = Table::new("by-tag", keys);
        let text = |text: &str| Some(text.to_owned());
        for ((key, code), values) in tags {
            let all = self.all.iter().find(|(currency, _)| currency.code() == code);
            let all = all.map(|(_, figures)| *figures).unwrap_or_default();
            let (first, mut untagged) = (table.len(), all);
            for (value, figures) in values {
                table.push(vec![text(&key), Some(value), text("true"), text(code)], figures);
                untagged.billed = untagged.billed.checked_add(-figures.billed)?;
                untagged.effective = untagged.effective.checked_add(-figures.effective)?;
                untagged.charges = untagged.charges.saturating_sub(figures.charges);
            }
            if untagged.charges > 0 {
                table.push(vec![text(&key), None, text("false"), text(code)], untagged);
            }
            check(&format!("by tag {key}"), &table.figures()[first..], &all)?;
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
