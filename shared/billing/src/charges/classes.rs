//! Which kind of row a row is, whose, of which service and with which tags: each looked at once for each distinct text.
//!
//! A bill has few kinds of rows, some accounts, some services and some sets of tags, but many combinations of them. So they are
//! remembered apart: a row is four numbers, and its amounts are added up four times. A document may hold several bills: the kind of a
//! row says of which one it is.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::batch::{Batch, ClassTexts, Dictionary};
use super::mapping::{Class, Columns, Mapping};
use super::selection::{Selection, Whose};
use super::tags::RowTags;

/// Nodes of one tree that are remembered before they are given up.
pub(super) const REMEMBERED: usize = 100_000;

/// A row, as places in [`Classes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: usize,
    /// Whose the row is: the place of its bill in the selection, or the one after the last for all others.
    pub(super) bill: usize,
    pub(super) account: usize,
    pub(super) service: usize,
    pub(super) tags: usize,
}

/// What is known so far.
pub(super) struct Classes {
    by_kind: Places,
    pub(super) kinds: Vec<Kind>,
    /// Of each bill of the selection, and of all others together.
    pub(super) bills: Vec<Parts>,
}

/// The classes of rows of a kind; only what makes the kind is true of all its rows.
pub(super) struct Kind {
    pub(super) classes: Vec<(Class, Whose)>,
    bill: usize,
}

/// Accounts, services and tags of a bill: by what is read, and what they are.
pub(super) struct Parts {
    by_account: Places,
    by_service: Places,
    by_tags: Places,
    pub(super) accounts: Vec<Account>,
    pub(super) services: Vec<(&'static str, String)>,
    pub(super) tags: Vec<RowTags>,
}

/// A sub account.
pub(super) struct Account {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
}

impl Parts {
    fn new(columns: &Columns) -> Self {
        Self {
            by_account: Places::new(columns.account, &[]),
            by_service: Places::new(columns.service, &[]),
            by_tags: Places::new(columns.tags, &[]),
            accounts: Vec::new(),
            services: Vec::new(),
            tags: Vec::new(),
        }
    }
}

/// From codes to places: a tree whose steps are the codes of one column after the other. Missing texts, which have the code 0, are
/// no step, so columns that a document does not have cost nothing.
struct Places {
    steps: Vec<Step>,
    /// The place of each node, once it is known.
    places: Vec<Option<usize>>,
}

/// One column of the tree.
struct Step {
    column: usize,
    /// It is looked at only where all of these are missing.
    instead_of: &'static [usize],
    known: HashMap<(u32, u32), u32, RandomState>,
    /// The last step: neighbours are mostly alike.
    last: ((u32, u32), u32),
}

impl Places {
    fn new(columns: &[usize], instead: &[(usize, &'static [usize])]) -> Self {
        let instead_of = |column: usize| {
            instead.iter().find(|(of, _)| *of == column).map_or(&[][..], |(_, others)| others)
        };
        let step = |&column: &usize| Step {
            column,
            instead_of: instead_of(column),
            known: HashMap::default(),
            last: ((0, 0), 0),
        };
        Self { steps: columns.iter().map(step).collect(), places: vec![None] }
    }

    /// The node of a row, and its place if it has one.
    #[inline]
    fn find(&mut self, codes: &[u32]) -> (usize, Option<usize>) {
        let mut node = 0;
        for step in &mut self.steps {
            let code = codes[step.column];
            let key = (node, code);
            if code == 0 || step.instead_of.iter().any(|other| codes[*other] != 0) {
                continue;
            }
            if step.last.0 != key {
                let next = step.known.entry(key).or_insert_with(|| {
                    self.places.push(None);
                    // given up long before there are 2^32
                    u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
                });
                step.last = (key, *next);
            }
            node = step.last.1;
        }
        let node = node as usize;
        (node, self.places[node])
    }

    fn remember(&mut self, node: usize, place: usize) -> usize {
        self.places[node] = Some(place);
        place
    }
}

impl Classes {
    pub(super) fn new(mapping: &dyn Mapping, selection: &Selection) -> Self {
        let columns = mapping.columns();
        let bills = (0..=selection.bills()).map(|_| Parts::new(columns));
        Self {
            by_kind: Places::new(columns.kind, columns.instead),
            kinds: Vec::new(),
            bills: bills.collect(),
        }
    }

    /// The places of a row of a batch with these codes.
    ///
    /// # Errors
    /// What the mapping says of rows like this; nothing is remembered of them.
    pub(super) fn find(
        &mut self,
        mapping: &dyn Mapping,
        selection: &Selection,
        batch: &Batch,
        dictionaries: &[Dictionary],
        codes: &[u32],
    ) -> Result<Found, String> {
        let (node, kind) = self.by_kind.find(codes);
        if let Some(kind) = kind {
            let bill = self.kinds[kind].bill;
            let parts = &mut self.bills[bill];
            let places =
                (parts.by_account.find(codes).1, parts.by_service.find(codes).1, parts.by_tags.find(codes).1);
            if let (Some(account), Some(service), Some(tags)) = places {
                return Ok(Found { kind, bill, account, service, tags });
            }
        }
        let classes = mapping.classes(&ClassTexts { dictionaries, codes })?;
        let first = classes.first().ok_or("rows like this are no charge")?;
        let others = self.bills.len() - 1;
        let bill = match kind {
            Some(kind) => self.kinds[kind].bill,
            None => selection.whose(first).bill().unwrap_or(others),
        };
        let parts = &mut self.bills[bill];
        let (account, service, tags) = parts.remember(codes, first);
        let kind = kind.unwrap_or_else(|| {
            let with_owner = |class: Class| {
                let effective =
                    class.effective.of_document(mapping.columns(), &batch.has_amounts, &batch.bound);
                let class = Class { effective, ..class };
                let whose = selection.whose(&class);
                (class, whose)
            };
            self.kinds.push(Kind { classes: classes.into_iter().map(with_owner).collect(), bill });
            self.by_kind.remember(node, self.kinds.len() - 1)
        });
        Ok(Found { kind, bill, account, service, tags })
    }

    /// Whether so much is remembered that it should be given up.
    pub(super) fn is_full(&self) -> bool {
        let of = |tree: fn(&Parts) -> &Places| {
            self.bills.iter().map(|parts| tree(parts).places.len()).sum::<usize>()
        };
        let most = [of(|parts| &parts.by_account), of(|parts| &parts.by_service), of(|parts| &parts.by_tags)];
        // each bill has the beginning of each tree
        most.into_iter().any(|places| places > REMEMBERED + self.bills.len())
            || self.by_kind.places.len() > REMEMBERED
    }
}

impl Parts {
    fn remember(&mut self, codes: &[u32], class: &Class) -> (usize, usize, usize) {
        let (account, service, tags) =
            (self.by_account.find(codes), self.by_service.find(codes), self.by_tags.find(codes));
        let account = account.1.unwrap_or_else(|| {
            self.accounts
                .push(Account { id: class.sub_account_id.clone(), name: class.sub_account_name.clone() });
            self.by_account.remember(account.0, self.accounts.len() - 1)
        });
        let service = service.1.unwrap_or_else(|| {
            self.services.push((class.service_category, class.service_name.clone()));
            self.by_service.remember(service.0, self.services.len() - 1)
        });
        let tags = tags.1.unwrap_or_else(|| {
            self.tags.push(class.tags.clone());
            self.by_tags.remember(tags.0, self.tags.len() - 1)
        });
        (account, service, tags)
    }
}
