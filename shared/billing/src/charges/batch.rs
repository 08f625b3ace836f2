//! Some thousand rows of a bill in columns, as the readers hand them on.

use std::collections::HashMap;
use std::str::Utf8Error;

use foldhash::fast::RandomState;

use super::binding::{Binding, HeaderError, Pair};
use super::dates::AmbiguousDates;
use super::dialect::{AmbiguousDecimals, Dialect};
use super::mapping::Texts;
use super::tags::UNREADABLE;
use crate::money::{Amount, MoneyError};
use crate::text::{clean, clean_bytes, clean_prose};

/// Rows that are handed on at once.
pub(super) const BATCH_ROWS: usize = 8_192;
/// Bytes of distinct texts of one column that are remembered; more begin anew, so memory is bounded whatever the bill holds.
const DICTIONARY_BYTES: usize = 4 * 1024 * 1024;

/// The distinct texts of one class column; 0 is nothing.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    codes: HashMap<Box<[u8]>, u32, RandomState>,
    texts: Vec<Box<str>>,
    bytes: usize,
    /// How often it was emptied.
    generation: u64,
    /// The last text and its code: neighbours are mostly alike.
    last: u32,
}

impl Dictionary {
    pub(super) fn code(&mut self, text: &str) -> u32 {
        self.known(text.as_bytes()).unwrap_or_else(|| self.remember(text))
    }

    /// The code of bytes that are a text.
    pub(super) fn code_of_bytes(&mut self, bytes: &[u8]) -> Result<u32, Utf8Error> {
        // what is known was looked at before
        self.known(bytes).map_or_else(|| std::str::from_utf8(bytes).map(|text| self.remember(text)), Ok)
    }

    fn known(&mut self, bytes: &[u8]) -> Option<u32> {
        if self.last > 0 && self.texts[self.last as usize - 1].as_bytes() == bytes {
            return Some(self.last);
        }
        self.last = *self.codes.get(bytes)?;
        Some(self.last)
    }

    fn remember(&mut self, text: &str) -> u32 {
        self.texts.push(text.into());
        // a dictionary is emptied long before it has 2^32 texts
        let code = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.codes.insert(text.as_bytes().into(), code);
        self.bytes += text.len() + 64;
        self.last = code;
        code
    }

    pub(super) fn text(&self, code: u32) -> Option<&str> {
        let at = usize::try_from(code).ok()?.checked_sub(1)?;
        self.texts.get(at).map(AsRef::as_ref)
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes > DICTIONARY_BYTES
    }

    /// Grows whenever codes lose their meaning.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn clear(&mut self) {
        *self = Self { generation: self.generation + 1, ..Self::default() };
    }
}

/// The texts of a column that differ from row to row, one after the other.
#[derive(Debug, Default)]
pub(super) struct PlainTexts {
    bytes: String,
    ends: Vec<(usize, bool)>,
}

impl PlainTexts {
    pub(super) fn push(&mut self, text: Option<&str>) {
        self.bytes.push_str(text.unwrap_or_default());
        self.ends.push((self.bytes.len(), text.is_some()));
    }

    pub(super) fn text(&self, row: usize) -> Option<&str> {
        let &(end, present) = self.ends.get(row)?;
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before].0);
        present.then(|| &self.bytes[start..end])
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// Why a row cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowProblem {
    /// Its place in the batch.
    pub(super) row: usize,
    pub(super) why: String,
}

/// Some thousand rows. Columns that the document does not have are empty.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The number of its first row in the document, from 1 (a header does not count).
    pub(super) first: u64,
    pub(super) rows: usize,
    pub(super) class: Vec<Vec<u32>>,
    /// Which of `class` the document has: all codes of the others are 0.
    pub(super) bound: Vec<usize>,
    pub(super) amounts: Vec<Vec<Option<Amount>>>,
    pub(super) texts: Vec<PlainTexts>,
    pub(super) numbers: Vec<Vec<Option<Amount>>>,
    pub(super) problems: Vec<RowProblem>,
    /// The rows of quantities and prices that cannot be read, in order; each as often as it has some.
    pub(super) unread: Vec<usize>,
    /// Which of `amounts` the document has.
    pub(super) has_amounts: Vec<bool>,
    /// How many rows took their cell from a column where they had a choice, by its place in the document.
    pub(super) chosen: Vec<u64>,
}

impl Batch {
    pub(super) fn new(binding: &Binding) -> Self {
        let texts = binding.texts.iter().map(|_| PlainTexts::default()).collect();
        let is_bound = |class: &usize| {
            !binding.class[*class].is_empty()
                || binding.currency == Some(*class)
                || binding.gathered.iter().any(|(of, _)| of == class)
        };
        Self {
            bound: (0..binding.class.len()).filter(is_bound).collect(),
            first: 1,
            rows: 0,
            class: vec![Vec::new(); binding.class.len()],
            amounts: vec![Vec::new(); binding.amounts.len()],
            texts,
            numbers: vec![Vec::new(); binding.numbers.len()],
            problems: Vec::new(),
            unread: Vec::new(),
            has_amounts: (0..binding.amounts.len()).map(|amount| binding.has_amount(amount)).collect(),
            chosen: vec![0; binding.header.len()],
        }
    }

    /// Empties it for the rows that follow.
    pub(super) fn advance(&mut self) {
        self.first += self.rows as u64;
        self.rows = 0;
        self.class.iter_mut().for_each(Vec::clear);
        self.amounts.iter_mut().for_each(Vec::clear);
        self.texts.iter_mut().for_each(PlainTexts::clear);
        self.numbers.iter_mut().for_each(Vec::clear);
        self.problems.clear();
        self.unread.clear();
        self.chosen.fill(0);
    }

    pub(super) fn problem(&mut self, row: usize, why: String) {
        self.problems.push(RowProblem { row, why });
    }

    /// The texts of a row that differ from row to row.
    pub(super) fn row_texts(&self, row: usize) -> RowTexts<'_> {
        RowTexts { batch: self, row }
    }

    /// The amounts of a row in `columns`, into a buffer.
    pub(super) fn row_numbers(columns: &[Vec<Option<Amount>>], row: usize, into: &mut Vec<Option<Amount>>) {
        into.clear();
        into.extend(columns.iter().map(|column| column.get(row).copied().flatten()));
    }

    /// Adds a row whose cells are texts: `cell` gives the one at a place of the document.
    pub(super) fn push<'c>(
        &mut self,
        binding: &Binding,
        dictionaries: &mut [Dictionary],
        cell: impl Fn(usize) -> Option<&'c [u8]>,
    ) {
        let row = self.rows;
        let mut problem = None;
        let raw = &cell;
        let filled = |place: usize| raw(place).map(<[u8]>::trim_ascii).filter(|text| !binding.is_null(text));
        let pair = binding.pairs.iter().position(|pair| filled(pair.amount).is_some());
        if let Some((before, [taken, ..])) = pair.and_then(|pair| binding.pairs.split_at_checked(pair)) {
            let currency =
                |pair: &Pair| pair.currencies.iter().find_map(|place| clean_bytes(filled(*place)?));
            let own = currency(taken);
            let is_other = |first: &&Pair| currency(first).is_some_and(|currency| Some(currency) != own);
            problem = before.iter().find(is_other).map(|first| binding.other_currency(first, taken));
        }
        let currency = binding.pairs.get(pair.unwrap_or_default()).map(|pair| &pair.currencies);
        let columns = binding.class.iter().zip(&mut self.class).zip(dictionaries);
        for (class, ((places, codes), dictionary)) in columns.enumerate() {
            if places.is_empty() && !binding.gathered.is_empty() {
                codes.push(binding.gather(class, raw).map_or(0, |object| dictionary.code(&object)));
                continue;
            }
            let places = if binding.currency == Some(class) { currency.unwrap_or(places) } else { places };
            let chosen = places.iter().find_map(|place| Some((*place, filled(*place)?)));
            let Some((place, bytes)) = chosen else {
                codes.push(0);
                continue;
            };
            if places.len() > 1 {
                self.chosen[place] += 1;
            }
            match clean_bytes(bytes) {
                Some(text) if binding.is_null(&text) => codes.push(0),
                // cleaned bytes are UTF-8
                Some(text) => codes.push(dictionary.code_of_bytes(&text).unwrap_or_default()),
                // tags are no money: what is not UTF-8 is no tag, and told as such
                None if binding.tags.contains(&class) => {
                    codes.push(dictionary.code(&format!("{UNREADABLE}{}", String::from_utf8_lossy(bytes))));
                }
                None => {
                    codes.push(0);
                    problem = Some(format!("{} is not UTF-8", binding.name(place)));
                }
            }
        }
        for (at, (places, texts)) in binding.texts.iter().zip(&mut self.texts).enumerate() {
            let text = places.iter().find_map(|place| filled(*place)).map(String::from_utf8_lossy);
            let text = text
                .as_deref()
                .map(|text| if binding.prose.contains(&at) { clean_prose(text) } else { clean(text) });
            texts.push(text.as_deref().filter(|text| !text.is_empty()));
        }
        let amounts = binding.amounts.iter().zip(&mut self.amounts).enumerate();
        let amounts = amounts.map(|(at, column)| (true, binding.priced == Some(at), column));
        let numbers = binding.numbers.iter().zip(&mut self.numbers).enumerate();
        let numbers = numbers.map(|(at, column)| (binding.costs.contains(&at), false, column));
        for (is_money, is_priced, (places, column)) in amounts.chain(numbers) {
            let place = match is_priced {
                true => pair.map(|pair| binding.pairs[pair].amount),
                false => places.iter().copied().find(|place| filled(*place).is_some()),
            };
            if let Some(place) = place.filter(|_| places.len() > 1 || (is_priced && binding.pairs.len() > 1))
            {
                self.chosen[place] += 1;
            }
            match place.and_then(|place| binding.number(place, filled(place)?)).transpose() {
                Ok(amount) => column.push(amount),
                Err(error) => {
                    column.push(None);
                    if is_money {
                        problem = Some(error.to_string());
                    } else {
                        self.unread.push(row);
                    }
                }
            }
        }
        self.rows += 1;
        if let Some(why) = problem {
            self.problem(row, why);
        }
    }
}

/// See [`Batch::row_texts`].
pub(super) struct RowTexts<'b> {
    batch: &'b Batch,
    row: usize,
}

impl Texts for RowTexts<'_> {
    fn text(&self, column: usize) -> Option<&str> {
        self.batch.texts.get(column)?.text(self.row)
    }
}

/// The texts of a class.
pub(super) struct ClassTexts<'b> {
    pub(super) dictionaries: &'b [Dictionary],
    pub(super) codes: &'b [u32],
}

impl Texts for ClassTexts<'_> {
    fn text(&self, column: usize) -> Option<&str> {
        self.dictionaries.get(column)?.text(*self.codes.get(column)?)
    }
}

/// Why a document cannot be read any further.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Its columns are not those of the format.
    #[error(transparent)]
    Column(#[from] HeaderError),
    /// Its amounts are written in more than one way.
    #[error(transparent)]
    Decimals(#[from] AmbiguousDecimals),
    /// Its days can be read in two ways.
    #[error(transparent)]
    Dates(#[from] AmbiguousDates),
    /// The bytes break off or are not what the extension says.
    #[error("the document cannot be read after row {after}: {why}")]
    Broken {
        /// Rows read so far.
        after: u64,
        /// What the library says.
        why: String,
    },
    /// Its amounts cannot be added up.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// The extension is not one that can be read.
    #[error("'{0}' is no extension of a bill: expected csv, csv.gz, csv.zip, parquet or json")]
    Extension(String),
}

/// Takes batches as they are read.
pub(super) trait Sink {
    /// How the document is written, and the names of its columns; before its first batch.
    fn begin(&mut self, _dialect: &Dialect, _header: &[String]) {}
    /// May change a batch before it is taken.
    fn prepare(&mut self, _batch: &mut Batch, _dictionaries: &[Dictionary]) {}
    fn batch(&mut self, batch: &Batch, dictionaries: &[Dictionary]) -> Result<(), ReadError>;
    /// The dictionaries will be emptied: codes mean nothing any more.
    fn forget(&mut self);
}

/// Hands a batch on and empties dictionaries that have grown too large.
pub(super) fn hand_on(
    batch: &mut Batch,
    dictionaries: &mut [Dictionary],
    sink: &mut dyn Sink,
) -> Result<(), ReadError> {
    if batch.rows > 0 || !batch.problems.is_empty() {
        sink.prepare(batch, dictionaries);
        sink.batch(batch, dictionaries)?;
        batch.advance();
    }
    if dictionaries.iter().any(Dictionary::is_full) {
        sink.forget();
        dictionaries.iter_mut().for_each(Dictionary::clear);
    }
    Ok(())
}
