//! The charges of a month of all providers as tables: by account, by service, by tag (each key by itself). Each adds up to the charges, exactly.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;

use super::facts::Tags;
use super::month_tags::{MonthTags, Named, Sums, add, add_named};
use super::rows::ChargeRow;
use crate::aggregate::{Aggregate, AggregateError, Table, check};
use crate::bill::tag_rows;
use crate::charges::Figures;
use crate::identity::{Id, Rule};
use crate::money::{Currency, MoneyError};
use crate::month::BillingMonth;

#[derive(Debug, Default)]
struct Account {
    name: Option<String>,
    sums: Sums,
}

/// What the charges of one provider come to.
#[derive(Debug, Default)]
struct OfProvider {
    rule: Rule,
    /// By billing account, then by sub account; an empty text where there is none.
    accounts: HashMap<String, HashMap<String, Account, RandomState>, RandomState>,
    services: Named,
}

/// What the charges of a month come to. Memory grows with accounts and services, not with charges or tags.
#[derive(Debug, Default)]
pub struct MonthTotals {
    providers: BTreeMap<String, OfProvider>,
    tags: MonthTags,
    all: Sums,
}

impl OfProvider {
    /// By their keys: ids that are the same are one account, under the last of their spellings in order.
    fn shown_accounts(&self) -> Result<BTreeMap<[String; 2], Shown<'_>>, MoneyError> {
        let payer_key = |payer| self.rule.key(Id::BillingAccount, payer).into_owned();
        let mut payers: BTreeMap<String, &str> = BTreeMap::new();
        for payer in self.accounts.keys() {
            let last = payers.entry(payer_key(payer)).or_default();
            *last = (*last).max(payer.as_str());
        }
        let mut accounts: BTreeMap<[String; 2], Shown<'_>> = BTreeMap::new();
        for (payer, of) in &self.accounts {
            let payer = payer_key(payer);
            for (id, account) in of {
                let key = [payer.clone(), self.rule.key(Id::SubAccount, id).into_owned()];
                let shown = accounts.entry(key).or_default();
                shown.payer = payers.get(&payer).copied().unwrap_or_default();
                shown.id = shown.id.max(id.as_str());
                shown.account.add(account)?;
            }
        }
        Ok(accounts)
    }

    /// The same of services.
    fn shown_services(&self) -> Result<BTreeMap<String, (&str, Sums)>, MoneyError> {
        let mut services: BTreeMap<String, (&str, Sums)> = BTreeMap::new();
        for (service, sums) in &self.services {
            let (shown, all) = services.entry(self.rule.key(Id::Service, service).into_owned()).or_default();
            *shown = (*shown).max(service.as_str());
            sums.iter().try_for_each(|(currency, figures)| add(all, *currency, figures))?;
        }
        Ok(services)
    }
}

/// An account as it is shown.
#[derive(Debug, Default)]
struct Shown<'a> {
    payer: &'a str,
    id: &'a str,
    account: Account,
}

impl Account {
    fn name(&mut self, name: &str) {
        // whichever comes first, so that the order of charges does not matter
        if self.name.as_deref().is_none_or(|known| name < known) {
            self.name = Some(name.to_owned());
        }
    }

    fn add(&mut self, other: &Self) -> Result<(), MoneyError> {
        other.name.iter().for_each(|name| self.name(name));
        other.sums.iter().try_for_each(|(currency, figures)| add(&mut self.sums, *currency, figures))
    }
}

impl MonthTotals {
    /// Adds a charge.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn add(&mut self, row: &ChargeRow<'_>) -> Result<(), MoneyError> {
        let (facts, currency) = (&row.facts, row.currency);
        let figures = Figures::of(row.billed, row.effective, 1);
        add(&mut self.all, currency, &figures)?;
        let provider = match self.providers.get_mut(facts.provider) {
            Some(provider) => provider,
            None => {
                let new = OfProvider { rule: Rule::named(facts.provider), ..OfProvider::default() };
                self.providers.entry(facts.provider.to_owned()).or_insert(new)
            }
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
        facts.sub_account_name.into_iter().for_each(|name| account.name(name));
        add(&mut account.sums, currency, &figures)?;
        add_named(&mut provider.services, facts.service, currency, &figures)?;
        let tags = if let Tags::Json(json) = facts.tags { json } else { "" };
        self.tags.add(provider.rule, tags, currency, &figures)
    }

    /// The tables `by-account`, `by-service` and `by-tag` of a month.
    ///
    /// # Errors
    /// [`AggregateError`], above all if a table does not add up to the charges.
    pub fn tables(&mut self, month: BillingMonth) -> Result<Vec<Aggregate>, AggregateError> {
        self.tags.tell()?;
        let head = [("billing_period", month.to_string())];
        let tables = [self.by_account()?, self.by_service()?, self.by_tag()?];
        tables.into_iter().map(|table| table.finish(&head)).collect()
    }

    fn by_account(&self) -> Result<Table, AggregateError> {
        let keys = &["provider", "billing_account", "sub_account_id", "sub_account_name", "billing_currency"];
        let mut rows = Vec::new();
        for (provider, of) in &self.providers {
            for Shown { payer, id, account } in of.shown_accounts()?.into_values() {
                let id = (!id.is_empty()).then(|| id.to_owned());
                for (currency, figures) in &account.sums {
                    let [provider, payer, code] =
                        [provider.as_str(), payer, currency.code()].map(|text| Some(text.to_owned()));
                    rows.push((vec![provider, payer, id.clone(), account.name.clone(), code], *figures));
                }
            }
        }
        self.table("by-account", keys, rows)
    }

    fn by_service(&self) -> Result<Table, AggregateError> {
        let mut rows = Vec::new();
        for (provider, of) in &self.providers {
            for (service, sums) in of.shown_services()?.into_values() {
                for (currency, figures) in &sums {
                    let row = [provider.as_str(), service, currency.code()].map(|text| Some(text.to_owned()));
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
        for (currency, all) in currencies {
            for row in tag_rows(self.tags.sums(*currency)?.as_ref(), all)? {
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
    use crate::bills::month_tags::SETS_OF_TAGS;
    use crate::bills::tests::{charge, october};
    use crate::money::Amount;

    #[test]
    fn a_month_whose_tags_are_all_different_has_a_table_of_bounded_size() {
        let mut totals = MonthTotals::default();
        let mut add = |tags: &str| {
            let charge = charge("aws/one", "1");
            let facts = crate::bills::facts::Facts { tags: Tags::Json(tags), ..charge.facts() };
            let (billed, detail) = (Amount::parse(b"1").unwrap(), Default::default());
            let row = ChargeRow { facts, currency: charge.currency, billed, effective: Some(billed), detail };
            totals.add(&row).unwrap();
        };
        (0..12_000).for_each(|pod| add(&format!(r#"{{"pod": "pod-{pod}", "team": "blue"}}"#)));
        assert!(totals.tags.untold() <= SETS_OF_TAGS);
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

    /// The tables of charges that come in this order.
    fn tables(charges: &[crate::bills::tests::Charge], order: &[usize]) -> String {
        let mut totals = MonthTotals::default();
        for charge in order.iter().map(|at| &charges[*at]) {
            let billed = Amount::parse(charge.cost.as_bytes()).unwrap();
            let (facts, currency, detail) = (charge.facts(), charge.currency, Default::default());
            totals.add(&ChargeRow { facts, currency, billed, effective: Some(billed), detail }).unwrap();
        }
        let tables = totals.tables(october()).unwrap().into_iter();
        tables.map(|table| String::from_utf8(table.csv).unwrap()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn tables_of_all_providers_add_up_whatever_the_order() {
        let charges = [
            charge("aws/one", "1.5").tagged("team", "blue"),
            charge("aws/two", "2").of_service("Storage"),
            charge("gcp/one", "-0.25").in_currency(Currency::EUR).tagged("team", "=red"),
            charge("aws/one", "4").tagged("team", "red"),
        ];
        let text = tables(&charges, &[0, 1, 2, 3]);
        assert_eq!(text, tables(&charges, &[3, 1, 0, 2]));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_azure_writes_in_several_ways_is_one_row_in_each_table() {
        let charges = [
            charge("azure/SUB-1", "1").of_service("Storage").tagged("Team", "red"),
            charge("azure//subscriptions/sub-1", "2").of_service("storage").tagged("team", "red"),
            charge("azure/sub-1", "4").tagged("TEAM", "blue").in_currency(Currency::EUR),
            charge("aws/A", "8").of_service("S3").tagged("Team", "red"),
            charge("aws/a", "16").of_service("s3").tagged("team", "red"),
            charge("aws/a", "32").of_service("s3").unread("team=?"),
            charge("azure/sub-1", "64").of_service("storage"),
        ];
        let text = tables(&charges, &[0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(text, tables(&charges, &[6, 2, 1, 5, 4, 0, 3]));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn two_tags_that_are_one_count_once() {
        let mut charge = charge("azure/one", "1");
        charge.tags = r#"{"Team": "red", "team": "blue"}"#.to_owned();
        let text = tables(&[charge], &[0]);
        assert!(text.contains("2026-10,team,red,true,CHF,1,1,1"), "{text}");
    }
}
