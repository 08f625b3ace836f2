//! What concerns the whole catalog: currency, rounding, rates, cost centres, the export.

use std::collections::BTreeMap;

use super::export::{self, ExportTemplate};
use super::reader::{Field, Members, Reader};
use super::types::{CostBasis, Fx, Rate, Rounding};
use crate::money::{self, Currency};
use crate::month::BillingMonth;

pub(super) const FX: [&str; 2] = ["source", "rates"];

/// A regular expression that a whole cost centre must fit.
#[derive(Clone, Debug)]
pub struct CostCenterPattern {
    text: String,
    compiled: regex_lite::Regex,
}

impl CostCenterPattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// Says why it is none.
    pub fn new(text: &str) -> Result<Self, String> {
        let compiled = regex_lite::RegexBuilder::new(&format!("^(?:{text})$")).size_limit(1 << 20).build();
        let compiled = compiled.map_err(|error| format!("'{text}' is no regular expression: {error}"))?;
        Ok(Self { text: text.to_owned(), compiled })
    }

    /// The pattern as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole text fits.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        self.compiled.is_match(text)
    }
}

impl PartialEq for CostCenterPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// See [`super::Catalog`].
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) currency: Currency,
    pub(super) rounding: Rounding,
    pub(super) basis: CostBasis,
    pub(super) fx: Fx,
    pub(super) cost_center_pattern: Option<CostCenterPattern>,
    pub(super) cost_center_tag: Option<String>,
    pub(super) export: ExportTemplate,
}

/// Reads them; `billed` says whether the catalog bills anything, so that it needs a currency.
pub(super) fn settings(reader: &mut Reader, root: &Members<'_>, billed: bool) -> Settings {
    let field = if billed { reader.required(root, "currency") } else { root.get("currency") };
    let currency = field.and_then(|field| as_currency(reader, &field)).unwrap_or(Currency::XXX);
    let rounding = root.get("rounding").and_then(|field| {
        reader.as_word(&field, &[("cents", Rounding::Cents), ("unit-up", Rounding::UnitUp)])
    });
    let cost_center_pattern = root.get("cost_center_pattern").and_then(|field| {
        let text = reader.as_text(&field)?;
        let pattern = CostCenterPattern::new(&text);
        pattern.map_err(|why| reader.problem(&field, why)).ok()
    });
    Settings {
        currency,
        rounding: rounding.unwrap_or_default(),
        basis: reader.basis(root).unwrap_or_default(),
        fx: root.get("fx").map(|field| fx(reader, &field, currency)).unwrap_or_default(),
        cost_center_pattern,
        cost_center_tag: reader.text(root, "cost_center_tag"),
        export: root.get("export").map(|field| export::read(reader, &field)).unwrap_or_default(),
    }
}

fn as_currency(reader: &mut Reader, field: &Field<'_>) -> Option<Currency> {
    let code = reader.as_text(field)?;
    money::currency(&code).map_err(|error| reader.problem(field, format!("{error}, write it as CHF"))).ok()
}

fn fx(reader: &mut Reader, field: &Field<'_>, own: Currency) -> Fx {
    let Some(members) = reader.members(field, &FX) else { return Fx::default() };
    let mut fx = Fx { source: reader.text(&members, "source"), rates: BTreeMap::new() };
    let months = members.get("rates").and_then(|field| reader.any_members(&field));
    for (name, mark, field) in months.iter().flat_map(Members::all) {
        let month = match name.parse::<BillingMonth>() {
            Ok(month) => month,
            Err(error) => {
                reader.problem_at(mark, &field.path, error.to_string());
                continue;
            }
        };
        let currencies = reader.any_members(&field);
        for (code, mark, field) in currencies.iter().flat_map(Members::all) {
            let currency = match money::currency(code) {
                Ok(currency) => currency,
                Err(error) => {
                    reader.problem_at(mark, &field.path, format!("{error}, write it as USD"));
                    continue;
                }
            };
            let Some(rate) = reader.as_share(&field) else { continue };
            if rate.is_zero() {
                reader.problem(
                    &field,
                    "a rate of zero would make costs disappear, write what one unit is worth",
                );
            } else if currency == own && rate != rust_decimal::Decimal::ONE {
                reader.problem(&field, format!("{code} is the catalog's own currency, its rate is 1"));
            } else {
                let rate = Rate { rate, mark: field.mark() };
                // two spellings that look alike
                if fx.rates.entry(month).or_default().insert(currency.code(), rate).is_some() {
                    reader.problem(
                        &field,
                        format!("{currency} stands twice in {month}, keep one", currency = currency.code()),
                    );
                }
            }
        }
    }
    fx
}
