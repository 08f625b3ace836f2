//! The movements of a window in one currency, entered where they belong.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use rust_decimal::Decimal;

use super::account::Account;
use super::certificate::PaymentTotals;
use super::figures::{add, rounded};
use super::journal::Journal;
use super::json::Number;
use super::movement::{Direction, Invoice, Movement};
use super::report::Entry;
use super::window::Window;
use crate::catalog::Offer;
use crate::money::{MoneyError, minor_digits};
use crate::month::BillingMonth;

/// What moved in one currency.
pub(super) struct Book<'a> {
    /// By the place of the service.
    pub(super) entries: Vec<Vec<Entry<'a>>>,
    /// Net refunds of what was paid before the window, by the place of the service: they take nothing back of what is paid in it.
    pub(super) earlier_refunds: BTreeMap<usize, Decimal>,
    /// Items that are refunded in the window, by service, invoice and item.
    refunds: HashMap<ItemKey<'a>, Refunded>,
    /// By the place of the client.
    pub(super) credit: Vec<Credit>,
    /// Items of no service, by client and type.
    pub(super) others: BTreeMap<(usize, Cow<'a, str>), Others>,
    /// Movements without opening balances: how many, and how much.
    pub(super) pairs: BTreeMap<(Account, Account), (u64, Decimal)>,
    pub(super) payments: PaymentTotals,
    pub(super) paid: u64,
    pub(super) refunded: u64,
    pub(super) openings: u64,
}

/// An invoice item of a service: the service, the invoice, the item.
type ItemKey<'a> = (usize, Cow<'a, str>, Cow<'a, str>);

/// What is refunded of an item in the window, and what is paid for it there, net.
#[derive(Clone, Copy, Debug, Default)]
struct Refunded {
    refunded: Decimal,
    paid: Decimal,
}

impl Refunded {
    /// The part that gives back what was paid before the window. Of a discount, both are negative.
    fn earlier(self) -> Result<Decimal, MoneyError> {
        let (least, most) = (self.paid.min(Decimal::ZERO), self.paid.max(Decimal::ZERO));
        add(self.refunded, -self.refunded.clamp(least, most))
    }
}

/// A client's credit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Credit {
    /// Whether the client appears in the currency at all.
    pub(super) moved: bool,
    pub(super) opening: Decimal,
    pub(super) gone_in: Decimal,
    pub(super) gone_out: Decimal,
}

impl Credit {
    pub(super) fn available(&self) -> Result<Decimal, MoneyError> {
        add(add(self.opening, self.gone_in)?, -self.gone_out)
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Others {
    pub(super) items: u64,
    pub(super) net: Decimal,
    pub(super) taxes: Decimal,
}

/// The books of a window, by currency.
pub(super) fn books<'a>(
    journal: &Journal<'a>,
    window: &Window,
    offer: &Offer,
) -> Result<BTreeMap<&'static str, Book<'a>>, MoneyError> {
    let first = BillingMonth::containing(window.start());
    let mut books: BTreeMap<&'static str, Book<'a>> = BTreeMap::new();
    for movement in journal.movements().filter(|movement| window.contains(movement.date)) {
        let book = books.entry(movement.currency.code()).or_insert_with(|| Book::new(offer));
        book.enter(movement, first)?;
    }
    if books.values().any(|book| !book.refunds.is_empty()) {
        for movement in journal.movements().filter(|movement| window.contains(movement.date)) {
            if let Some(book) = books.get_mut(movement.currency.code()) {
                book.set_off(movement)?;
            }
        }
    }
    for book in books.values_mut() {
        for ((service, ..), refunded) in book.refunds.drain() {
            let earlier = book.earlier_refunds.entry(service).or_default();
            *earlier = add(*earlier, refunded.earlier()?)?;
        }
    }
    for entries in books.values_mut().flat_map(|book| &mut book.entries) {
        // items of one movement stay in its order
        entries.sort_by(|a, b| a.date.cmp(&b.date).then_with(|| a.id.cmp(&b.id)));
    }
    Ok(books)
}

impl<'a> Book<'a> {
    pub(super) fn new(offer: &Offer) -> Self {
        Self {
            entries: offer.services.iter().map(|_| Vec::new()).collect(),
            earlier_refunds: BTreeMap::new(),
            refunds: HashMap::new(),
            credit: vec![Credit::default(); offer.clients.len()],
            others: BTreeMap::new(),
            pairs: BTreeMap::new(),
            payments: PaymentTotals::default(),
            paid: 0,
            refunded: 0,
            openings: 0,
        }
    }

    fn enter(&mut self, movement: &Movement<'a>, first: BillingMonth) -> Result<(), MoneyError> {
        let credit = &mut self.credit[movement.client];
        credit.moved = true;
        if movement.opening {
            // later openings are what the movements before them have come to already
            if first == BillingMonth::containing(movement.date) {
                let gone_in = movement.destination == Account::Credit;
                credit.opening =
                    add(credit.opening, if gone_in { movement.amount } else { -movement.amount })?;
                self.openings += 1;
            }
            return Ok(());
        }
        if movement.destination == Account::Credit {
            credit.gone_in = add(credit.gone_in, movement.amount)?;
        }
        if movement.source == Account::Credit {
            credit.gone_out = add(credit.gone_out, movement.amount)?;
        }
        let (count, amount) = self.pairs.entry((movement.source, movement.destination)).or_default();
        (*count, *amount) = (*count + 1, add(*amount, movement.amount)?);
        match (movement.direction(), &movement.invoice) {
            (Some(direction), Some(invoice)) => self.pay(movement, invoice, direction),
            _ => Ok(()),
        }
    }

    fn pay(
        &mut self,
        movement: &Movement<'a>,
        invoice: &Invoice<'a>,
        direction: Direction,
    ) -> Result<(), MoneyError> {
        let signed = |amount: Decimal| if direction == Direction::Refund { -amount } else { amount };
        *(if direction == Direction::Refund { &mut self.refunded } else { &mut self.paid }) += 1;
        let totals = &mut self.payments;
        totals.gross = add(totals.gross, signed(movement.amount))?;
        let from_credit = movement.source == Account::Credit;
        for item in &invoice.items {
            let (net, taxes) = (signed(item.net), signed(item.taxes));
            if let Some(service) = item.service {
                if direction == Direction::Refund {
                    let key = (service, invoice.id.clone(), item.id.clone());
                    let refunded = &mut self.refunds.entry(key).or_default().refunded;
                    *refunded = add(*refunded, item.net)?;
                }
                totals.services_net = add(totals.services_net, net)?;
                totals.services_taxes = add(totals.services_taxes, taxes)?;
                self.entries[service].push(Entry {
                    amount: Number(net),
                    item_type: item.item_type.clone(),
                    from_credit,
                    taxes_amount: Number(taxes),
                    taxes_percent: Number(rounded(
                        item.taxes_percent,
                        minor_digits(movement.currency).max(2),
                    )),
                    source: movement.source,
                    date: movement.date,
                    id: movement.id.clone(),
                });
            } else {
                totals.other_net = add(totals.other_net, net)?;
                totals.other_taxes = add(totals.other_taxes, taxes)?;
                let key = (movement.client, item.item_type.clone());
                let others = self.others.entry(key).or_default();
                let (net, taxes) = (add(others.net, net)?, add(others.taxes, taxes)?);
                *others = Others { items: others.items + 1, net, taxes };
            }
        }
        Ok(())
    }

    /// Notes what a payment brought of items that are refunded in the window.
    fn set_off(&mut self, movement: &Movement<'a>) -> Result<(), MoneyError> {
        let (Some(Direction::Payment), Some(invoice)) = (movement.direction(), &movement.invoice) else {
            return Ok(());
        };
        for item in &invoice.items {
            let key = item.service.map(|service| (service, invoice.id.clone(), item.id.clone()));
            if let Some(refunded) = key.and_then(|key| self.refunds.get_mut(&key)) {
                refunded.paid = add(refunded.paid, item.net)?;
            }
        }
        Ok(())
    }

    /// Whether the client has anything in this currency.
    pub(super) fn knows(&self, client: usize) -> bool {
        self.credit[client].moved
    }
}
