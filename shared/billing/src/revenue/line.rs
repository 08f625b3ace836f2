//! One line of a journal: a movement of money, or what a service used. Fields that are not known here are passed over, because
//! journals grow; those that are needed must be there and be what they should. Texts borrow from the file.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::account::Account;
use super::figures::{bounded, rounded};
use super::moment::read_time;
use super::movement::{Invoice, Item, Movement, direction};
use super::plugin::{UsagePlugin, names, plugin};
use super::problem::Problem;
use crate::catalog::Offer;
use crate::money::{self, Currency, minor_digits};
use crate::month::BillingMonth;
use crate::strict::{self, Object};

/// What a line says.
pub(super) enum Line<'a> {
    Movement(Movement<'a>),
    Usage(Usage<'a>),
}

/// What a service used in a month.
pub(super) struct Usage<'a> {
    /// Tells several documents of one service and month apart.
    pub(super) id: Cow<'a, str>,
    /// Place of the service in the offer.
    pub(super) service: usize,
    pub(super) plugin: &'static dyn UsagePlugin,
    pub(super) month: BillingMonth,
    pub(super) details: &'a RawValue,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    date: Option<&'a RawValue>,
    #[serde(borrow)]
    client: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    destination: Option<&'a RawValue>,
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
    #[serde(borrow)]
    currency: Option<&'a RawValue>,
    #[serde(borrow)]
    opening: Option<&'a RawValue>,
    #[serde(borrow)]
    invoice: Option<Object<WireInvoice<'a>>>,
    #[serde(borrow)]
    service: Option<&'a RawValue>,
    #[serde(borrow)]
    plugin: Option<&'a RawValue>,
    #[serde(borrow)]
    month: Option<&'a RawValue>,
    #[serde(borrow)]
    details: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireInvoice<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    items: Option<Vec<Object<WireItem<'a>>>>,
}

#[derive(Deserialize)]
struct WireItem<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    service: Option<&'a RawValue>,
    #[serde(borrow)]
    item_type: Option<&'a RawValue>,
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
    #[serde(borrow)]
    gross: Option<&'a RawValue>,
    #[serde(borrow)]
    taxes_amount: Option<&'a RawValue>,
    #[serde(borrow)]
    taxes_percent: Option<&'a RawValue>,
}

/// Reads a line that stands in the folder of a month.
pub(super) fn read<'a>(text: &'a str, folder: BillingMonth, offer: &Offer) -> Result<Line<'a>, Problem> {
    let Object(wire): Object<Wire<'a>> = strict::from_str(text)
        .map_err(|error| Problem::Json(error.to_string().replacen(" at line 1 column ", " at column ", 1)))?;
    match wire.kind.map(|kind| (kind, kind.get())) {
        None | Some((_, "\"movement\"")) => Ok(Line::Movement(movement(wire, folder, offer)?)),
        Some((_, "\"usage\"")) => Ok(Line::Usage(usage(&wire, folder, offer)?)),
        Some((kind, _)) => Err(wrong("kind", kind, "movement or usage")),
    }
}

fn movement<'a>(wire: Wire<'a>, folder: BillingMonth, offer: &Offer) -> Result<Movement<'a>, Problem> {
    let id = identifier("id", wire.id)?;
    let raw = present("date", wire.date)?;
    let date = read_time(&text("date", raw)?);
    let date = date.ok_or_else(|| wrong("date", raw, "a time, RFC 3339 with an offset"))?;
    let month = BillingMonth::containing(date);
    if month != folder {
        let date = super::show_moment(date);
        return Err(Problem::OtherMonth { date, month: month.to_string() });
    }
    let client = client(&identifier("client", wire.client)?, offer)?;
    let source = account("source", wire.source)?;
    let destination = account("destination", wire.destination)?;
    if source == destination {
        return Err(Problem::SameAccount(source.code()));
    }
    let raw = present("currency", wire.currency)?;
    let currency = money::currency(&text("currency", raw)?)?;
    let raw = present("amount", wire.amount)?;
    let amount =
        decimal(raw).filter(|amount| *amount >= Decimal::ZERO && amount.scale() <= minor_digits(currency));
    let amount = amount.ok_or_else(|| {
        wrong(
            "amount",
            raw,
            "an amount from 0 up to 10^15 in minor units of its currency (what goes back has source and destination the other way round)",
        )
    })?;
    let opening = match wire.opening.map(|raw| (raw, raw.get())) {
        None | Some((_, "false")) => false,
        Some((_, "true")) if source == Account::Credit || destination == Account::Credit => true,
        Some((_, "true")) => return Err(Problem::Opening),
        Some((raw, _)) => return Err(wrong("opening", raw, "true or false")),
    };
    let invoice = match direction(source, destination) {
        Some(_) if opening => return Err(Problem::Opening),
        None => None,
        Some(_) => {
            let mut invoice = invoice(wire.invoice.ok_or(Problem::NoInvoice)?.0, client, currency, offer)?;
            invoice.cover(amount, currency).map_err(|problem| problem.paid_from(source))?;
            Some(invoice)
        }
    };
    Ok(Movement { id, date, client, source, destination, amount, currency, invoice, opening })
}

fn invoice<'a>(
    wire: WireInvoice<'a>,
    client: usize,
    currency: Currency,
    offer: &Offer,
) -> Result<Invoice<'a>, Problem> {
    let id = identifier("invoice.id", wire.id)?;
    let wire_items = wire.items.ok_or(Problem::NoInvoice)?;
    // exactly: most invoices have one item, and a vector that grows begins with room for four
    let mut items: Vec<Item<'a>> = Vec::with_capacity(wire_items.len());
    for (index, Object(item)) in wire_items.into_iter().enumerate() {
        let item = self::item(item, client, currency, offer).map_err(|problem| within(index, problem))?;
        items.push(item);
    }
    if items.is_empty() {
        return Err(Problem::NoInvoice);
    }
    if let Some(twice) = repeated(&items) {
        return Err(Problem::SameItem(twice));
    }
    Ok(Invoice { id, items })
}

/// An id that two items have: then nothing would tell them apart.
fn repeated(items: &[Item<'_>]) -> Option<String> {
    if items.len() < 2 {
        return None;
    }
    let mut ids: Vec<&str> = items.iter().map(|item| item.id.as_ref()).collect();
    ids.sort_unstable();
    ids.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].to_owned())
}

fn item<'a>(
    wire: WireItem<'a>,
    client: usize,
    currency: Currency,
    offer: &Offer,
) -> Result<Item<'a>, Problem> {
    let service = wire.service.map(|raw| identifier("service", Some(raw))).transpose()?;
    let service = service.map(|id| service_of(&id, client, offer)).transpose()?;
    let figure = |field: &str, raw: Option<&RawValue>| {
        let figure = raw.map(|raw| {
            decimal(raw).ok_or_else(|| wrong(field, raw, "an amount below 10^15 with at most 9 decimals"))
        });
        figure.transpose()
    };
    let percent = wire.taxes_percent.map(|raw| {
        let percent =
            decimal(raw).filter(|percent| (Decimal::ZERO..=Decimal::ONE_THOUSAND).contains(percent));
        percent.ok_or_else(|| wrong("taxes_percent", raw, "a percentage from 0 to 1000"))
    });
    let percent = percent.transpose()?;
    let price = Price {
        net: figure("amount", wire.amount)?,
        gross: figure("gross", wire.gross)?,
        taxes: figure("taxes_amount", wire.taxes_amount)?,
        percent,
    };
    let (amount, taxes) = price.divided(minor_digits(currency))?;
    Ok(Item {
        id: identifier("id", wire.id)?,
        service,
        item_type: text("item_type", present("item_type", wire.item_type)?)?,
        amount,
        taxes_amount: taxes,
        taxes_percent: percent.or_else(|| in_percent(taxes, amount)).unwrap_or_default(),
        net: Decimal::ZERO,
        taxes: Decimal::ZERO,
    })
}

/// The price of an item as its line states it.
struct Price {
    net: Option<Decimal>,
    /// With its taxes.
    gross: Option<Decimal>,
    taxes: Option<Decimal>,
    percent: Option<Decimal>,
}

impl Price {
    /// Net and taxes. A price that includes its taxes is divided so that both add up to it; what is rounded is the net amount.
    fn divided(&self, digits: u32) -> Result<(Decimal, Decimal), Problem> {
        let (net, gross) = match (self.net, self.gross) {
            (None, None) => return Err(Problem::Missing("amount".into())),
            (Some(net), None) => return Ok((net, self.taxes_on(net, digits).ok_or(Problem::TooLarge)?)),
            (None, Some(gross)) => {
                let net = self.within(gross, digits.max(gross.scale()));
                (net.ok_or(Problem::TooLarge)?, gross)
            }
            (Some(net), Some(gross)) => (net, gross),
        };
        let taxes = money::sub(gross, net).map_err(|_| Problem::TooLarge)?;
        if self.net.is_some() {
            self.check(gross, net, taxes, digits)?;
        }
        Ok((net, taxes))
    }

    /// Whether a net amount and a price with taxes are those of the taxes that are stated. A percentage says them as exactly as the net amount
    /// is rounded.
    fn check(&self, gross: Decimal, net: Decimal, taxes: Decimal, digits: u32) -> Result<(), Problem> {
        let percent = self.percent.filter(|_| self.taxes.is_none());
        let whole = percent.unwrap_or_default() + Decimal::ONE_HUNDRED;
        let slack = percent.map_or(Decimal::ZERO, |_| Decimal::new(1, digits + 2) * whole);
        let stated = match (self.taxes, percent) {
            (None, None) => taxes,
            _ => self.taxes_on(net, digits).ok_or(Problem::TooLarge)?,
        };
        let is_reversed = !taxes.is_zero() && taxes.is_sign_negative() != net.is_sign_negative();
        if !is_reversed && (stated - taxes).abs() <= slack {
            return Ok(());
        }
        let stated = if is_reversed { Decimal::ZERO } else { stated };
        let sum = money::add(net, stated).map_err(|_| Problem::TooLarge)?;
        Err(Problem::Gross { field: "gross".into(), gross, sum })
    }

    /// The taxes on a net amount.
    fn taxes_on(&self, net: Decimal, digits: u32) -> Option<Decimal> {
        match (self.taxes, self.percent) {
            (Some(taxes), _) => Some(taxes),
            (None, Some(percent)) => of_percent(net, percent, digits),
            (None, None) => Some(Decimal::ZERO),
        }
    }

    /// The net amount within a price that includes its taxes.
    fn within(&self, gross: Decimal, digits: u32) -> Option<Decimal> {
        match (self.taxes, self.percent) {
            (Some(taxes), _) => gross.checked_sub(taxes),
            (None, Some(percent)) => {
                let whole = percent.checked_add(Decimal::ONE_HUNDRED)?;
                Some(rounded(gross.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(whole)?, digits))
            }
            (None, None) => Some(gross),
        }
    }
}

fn of_percent(amount: Decimal, percent: Decimal, digits: u32) -> Option<Decimal> {
    Some(rounded(amount.checked_mul(percent)?.checked_div(Decimal::ONE_HUNDRED)?, digits))
}

fn in_percent(taxes: Decimal, amount: Decimal) -> Option<Decimal> {
    if taxes.is_zero() {
        return None;
    }
    Some(rounded(taxes.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(amount)?, 2))
}

fn usage<'a>(wire: &Wire<'a>, folder: BillingMonth, offer: &Offer) -> Result<Usage<'a>, Problem> {
    let id = wire.id.map(|raw| identifier("id", Some(raw))).transpose()?.unwrap_or_default();
    let service = identifier("service", wire.service)?;
    let service = offer.service(&service).ok_or_else(|| Problem::UnknownService(service.into_owned()))?;
    if let Some(raw) = wire.month {
        let month: Option<BillingMonth> = text("month", raw)?.parse().ok();
        if month != Some(folder) {
            return Err(wrong("month", raw, "the month of its folder"));
        }
    }
    let name = text("plugin", present("plugin", wire.plugin)?)?;
    let plugin = plugin(&name)
        .ok_or_else(|| Problem::UnknownPlugin { name: name.chars().take(60).collect(), known: names() })?;
    let client = offer.clients[offer.services[service].client].currency;
    if let Some(raw) = wire.currency {
        let currency = money::currency(&text("currency", raw)?)?;
        if currency != client {
            return Err(Problem::OtherCurrency { usage: currency.code(), client: client.code() });
        }
    }
    let details = present("details", wire.details)?;
    plugin.summarise(&offer.services[service].id, &[details], minor_digits(client))?;
    Ok(Usage { id, service, plugin, month: folder, details })
}

fn client(id: &str, offer: &Offer) -> Result<usize, Problem> {
    offer.client(id).ok_or_else(|| Problem::UnknownClient(id.to_owned()))
}

fn service_of(id: &str, client: usize, offer: &Offer) -> Result<usize, Problem> {
    let place = offer.service(id).ok_or_else(|| Problem::UnknownService(id.to_owned()))?;
    let owner = offer.services[place].client;
    if owner == client {
        return Ok(place);
    }
    let [owner, client] = [owner, client].map(|place| offer.clients[place].id.to_string());
    Err(Problem::OtherClient { service: id.to_owned(), owner, client })
}

fn account(field: &str, raw: Option<&RawValue>) -> Result<Account, Problem> {
    let raw = present(field, raw)?;
    let account = text(field, raw)?.parse();
    account.map_err(|_| wrong(field, raw, "an account: cr, tx, iv, tr, st, se or ex"))
}

fn present<'a>(field: &str, raw: Option<&'a RawValue>) -> Result<&'a RawValue, Problem> {
    raw.ok_or_else(|| Problem::Missing(field.to_owned()))
}

/// A JSON string.
fn text<'a>(field: &str, raw: &'a RawValue) -> Result<Cow<'a, str>, Problem> {
    let inner = raw.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
        Some(_) => {
            let owned = serde_json::from_str::<String>(raw.get());
            owned.map(Cow::Owned).map_err(|error| Problem::Json(error.to_string()))
        }
        None => Err(wrong(field, raw, "a text")),
    }
}

/// A number without a fraction, or a text.
fn identifier<'a>(field: &str, raw: Option<&'a RawValue>) -> Result<Cow<'a, str>, Problem> {
    let raw = present(field, raw)?;
    let number = raw.get();
    if number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Cow::Borrowed(number));
    }
    let expected = "an identifier: a whole number, or a text of 1 to 200 bytes without control characters";
    let id = text(field, raw).map_err(|_| wrong(field, raw, expected))?;
    if id.is_empty() || id.len() > 200 || id.chars().any(char::is_control) {
        return Err(wrong(field, raw, expected));
    }
    Ok(id)
}

/// A JSON number, or a text that is one.
fn decimal(raw: &RawValue) -> Option<Decimal> {
    let text = raw.get();
    bounded(text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text))
}

fn wrong(field: &str, raw: &RawValue, expected: &'static str) -> Problem {
    Problem::Field { field: field.to_owned(), text: raw.get().chars().take(60).collect(), expected }
}

/// The same problem, naming the item.
fn within(index: usize, problem: Problem) -> Problem {
    let place = |field: String| format!("invoice.items[{index}].{field}");
    match problem {
        Problem::Missing(field) => Problem::Missing(place(field)),
        Problem::Field { field, text, expected } => Problem::Field { field: place(field), text, expected },
        Problem::Gross { field, gross, sum } => Problem::Gross { field: place(field), gross, sum },
        other => other,
    }
}
