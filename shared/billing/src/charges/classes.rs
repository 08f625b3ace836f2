//! Which kind of row a row is, whose, of which service and with which tags: each looked at once for each distinct text.
//!
//! A bill has few kinds of rows, some accounts, some services and some sets of tags, but many combinations of them. So they are
//! remembered apart: a row is four numbers, and its amounts are added up four times.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::batch::{ClassTexts, Dictionary};
use super::mapping::{Class, Mapping};
use super::totals::{Selection, Whose};

/// Distinct entries of one kind that are remembered before they are given up.
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
    last: Option<(Vec<u32>, Found)>,
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

/// From codes to places.
struct Places {
    columns: &'static [usize],
    known: HashMap<Box<[u32]>, usize, RandomState>,
    key: Vec<u32>,
}

impl Places {
    fn new(columns: &'static [usize]) -> Self {
        Self { columns, known: HashMap::default(), key: Vec::new() }
    }

    fn find(&mut self, codes: &[u32]) -> Option<usize> {
        self.key.clear();
        self.key.extend(self.columns.iter().map(|&column| codes[column]));
        self.known.get(self.key.as_slice()).copied()
    }

    /// Remembers the place of what [`Self::find`] did not find.
    fn remember(&mut self, place: usize) -> usize {
        self.known.insert(self.key.as_slice().into(), place);
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
            last: None,
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
        if let Some((_, found)) = self.last.as_ref().filter(|(last, _)| last == codes) {
            return Ok(*found);
        }
        let known = (
            self.by_kind.find(codes),
            self.by_account.find(codes),
            self.by_service.find(codes),
            self.by_tags.find(codes),
        );
        let found = match known {
            (Some(kind), Some(account), Some(service), Some(tags)) => Found { kind, account, service, tags },
            (kind, account, service, tags) => {
                let classes = mapping.classes(&ClassTexts { dictionaries, codes })?;
                let first = classes.first().ok_or("rows like this are no charge")?;
                Found {
                    account: account.unwrap_or_else(|| {
                        let (id, name) = (first.sub_account_id.clone(), first.sub_account_name.clone());
                        self.accounts.push(Account { id, name });
                        self.by_account.remember(self.accounts.len() - 1)
                    }),
                    service: service.unwrap_or_else(|| {
                        self.services.push((first.service_category, first.service_name.clone()));
                        self.by_service.remember(self.services.len() - 1)
                    }),
                    tags: tags.unwrap_or_else(|| {
                        self.tags.push(Tags { pairs: first.tags.clone(), json: first.tags_json.clone() });
                        self.by_tags.remember(self.tags.len() - 1)
                    }),
                    kind: kind.unwrap_or_else(|| {
                        let with_owner = |class: Class| {
                            let whose = selection.whose(&class);
                            (class, whose)
                        };
                        self.kinds.push(classes.into_iter().map(with_owner).collect());
                        self.by_kind.remember(self.kinds.len() - 1)
                    }),
                }
            }
        };
        match &mut self.last {
            Some((last, place)) => {
                last.copy_from_slice(codes);
                *place = found;
            }
            None => self.last = Some((codes.to_vec(), found)),
        }
        Ok(found)
    }

    /// Whether so much is remembered that it should be given up.
    pub(super) fn is_full(&self) -> bool {
        let lengths = [self.kinds.len(), self.accounts.len(), self.services.len(), self.tags.len()];
        lengths.into_iter().any(|length| length > REMEMBERED)
    }
}
