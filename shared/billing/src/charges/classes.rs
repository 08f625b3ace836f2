//! Which kind of row a row is, whose, of which service and with which tags: each looked at once for each distinct text.
//!
//! A bill has few kinds of rows, some accounts, some services and some sets of tags, but many combinations of them. So they are
//! remembered apart: a row is four numbers, and its amounts are added up four times.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::batch::{ClassTexts, Dictionary};
use super::mapping::{Class, Mapping};
use super::totals::{Selection, Whose};

/// Nodes of one tree that are remembered before they are given up.
pub(super) const REMEMBERED: usize = 100_000;

/// A row, as four places in [`Classes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: usize,
    pub(super) account: usize,
    pub(super) service: usize,
    pub(super) tags: usize,
}

/// What is known so far.
pub(super) struct Classes {
    by_kind: Places,
    by_account: Places,
    by_service: Places,
    by_tags: Places,
    /// The classes of rows of a kind; only what makes the kind is true of all its rows.
    pub(super) kinds: Vec<Vec<(Class, Whose)>>,
    pub(super) accounts: Vec<Account>,
    pub(super) services: Vec<(&'static str, String)>,
    pub(super) tags: Vec<Tags>,
}

/// A sub account.
pub(super) struct Account {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
}

/// A set of tags, and as a JSON object.
pub(super) struct Tags {
    pub(super) pairs: Vec<(String, String)>,
    pub(super) json: Option<String>,
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
    known: HashMap<(u32, u32), u32, RandomState>,
    /// The last step: neighbours are mostly alike.
    last: ((u32, u32), u32),
}

impl Places {
    fn new(columns: &[usize]) -> Self {
        let step = |&column: &usize| Step { column, known: HashMap::default(), last: ((0, 0), 0) };
        Self { steps: columns.iter().map(step).collect(), places: vec![None] }
    }

    /// The node of a row, and its place if it has one.
    #[inline]
    fn find(&mut self, codes: &[u32]) -> (usize, Option<usize>) {
        let mut node = 0;
        for step in &mut self.steps {
            let code = codes[step.column];
            let key = (node, code);
            if code == 0 {
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
    pub(super) fn new(mapping: &dyn Mapping) -> Self {
        let columns = mapping.columns();
        Self {
            by_kind: Places::new(columns.kind),
            by_account: Places::new(columns.account),
            by_service: Places::new(columns.service),
            by_tags: Places::new(columns.tags),
            kinds: Vec::new(),
            accounts: Vec::new(),
            services: Vec::new(),
            tags: Vec::new(),
        }
    }

    /// The places of a row with these codes.
    ///
    /// # Errors
    /// What the mapping says of rows like this; nothing is remembered of them.
    pub(super) fn find(
        &mut self,
        mapping: &dyn Mapping,
        selection: &Selection,
        dictionaries: &[Dictionary],
        codes: &[u32],
    ) -> Result<Found, String> {
        let kind = self.by_kind.find(codes);
        let account = self.by_account.find(codes);
        let service = self.by_service.find(codes);
        let tags = self.by_tags.find(codes);
        if let (Some(kind), Some(account), Some(service), Some(tags)) = (kind.1, account.1, service.1, tags.1)
        {
            return Ok(Found { kind, account, service, tags });
        }
        let classes = mapping.classes(&ClassTexts { dictionaries, codes })?;
        let first = classes.first().ok_or("rows like this are no charge")?;
        Ok(Found {
            account: account.1.unwrap_or_else(|| {
                let (id, name) = (first.sub_account_id.clone(), first.sub_account_name.clone());
                self.accounts.push(Account { id, name });
                self.by_account.remember(account.0, self.accounts.len() - 1)
            }),
            service: service.1.unwrap_or_else(|| {
                self.services.push((first.service_category, first.service_name.clone()));
                self.by_service.remember(service.0, self.services.len() - 1)
            }),
            tags: tags.1.unwrap_or_else(|| {
                self.tags.push(Tags { pairs: first.tags.clone(), json: first.tags_json.clone() });
                self.by_tags.remember(tags.0, self.tags.len() - 1)
            }),
            kind: kind.1.unwrap_or_else(|| {
                let with_owner = |class: Class| {
                    let whose = selection.whose(&class);
                    (class, whose)
                };
                self.kinds.push(classes.into_iter().map(with_owner).collect());
                self.by_kind.remember(kind.0, self.kinds.len() - 1)
            }),
        })
    }

    /// Whether so much is remembered that it should be given up.
    pub(super) fn is_full(&self) -> bool {
        let trees = [&self.by_kind, &self.by_account, &self.by_service, &self.by_tags];
        trees.into_iter().any(|tree| tree.places.len() > REMEMBERED)
    }
}
