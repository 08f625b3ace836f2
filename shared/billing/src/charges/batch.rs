//! Some thousand rows of a bill in columns, as the readers hand them on.

use std::collections::HashMap;
use std::str::Utf8Error;

use foldhash::fast::RandomState;

use super::Amount;
use super::mapping::{Columns, Texts};
use crate::money::MoneyError;

/// Rows that are handed on at once.
pub(super) const BATCH_ROWS: usize = 8_192;
/// Bytes of distinct texts of one column that are remembered; more begin anew, so memory is bounded whatever the bill holds.
const DICTIONARY_BYTES: usize = 4 * 1024 * 1024;

/// Which columns of a document are read, by their place in it.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub(super) class: Vec<Option<usize>>,
    /// Columns of a text document that are one class together: the class, and the place and key of each.
    pub(super) gathered: Vec<(usize, Vec<(usize, String)>)>,
    pub(super) amounts: Vec<Option<usize>>,
    pub(super) texts: Vec<Option<usize>>,
    pub(super) numbers: Vec<Option<usize>>,
    /// Which of `numbers` are money.
    pub(super) costs: &'static [usize],
    pub(super) nulls: &'static [&'static str],
}

/// A document without a column that cannot be done without.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the document has no column {0}: is it an export of this format?")]
pub struct MissingColumn(pub(super) String);

impl Binding {
    /// Finds the columns in a header. Without `details` only those that add up a bill are read.
    ///
    /// # Errors
    /// [`MissingColumn`].
    pub(super) fn new(columns: &Columns, header: &[String], details: bool) -> Result<Self, MissingColumn> {
        let find = |names: &&[&str]| {
            let of = |name: &&str| header.iter().position(|column| column.eq_ignore_ascii_case(name));
            names.iter().find_map(of)
        };
        let find_all = |wanted: &[&[&str]]| wanted.iter().map(find).collect::<Vec<_>>();
        let binding = Self {
            class: find_all(columns.class),
            gathered: gathered(columns.class, header),
            amounts: find_all(columns.amounts),
            texts: if details { find_all(columns.texts) } else { Vec::new() },
            numbers: if details { find_all(columns.numbers) } else { Vec::new() },
            costs: columns.costs,
            nulls: columns.nulls,
        };
        let required_class = columns.required_class.iter().map(|&at| (columns.class[at], binding.class[at]));
        let required_amounts =
            columns.required_amounts.iter().map(|&at| (columns.amounts[at], binding.amounts[at]));
        match required_class.chain(required_amounts).find(|(_, found)| found.is_none()) {
            Some((names, _)) => Err(MissingColumn(names.join(" or "))),
            None => Ok(binding),
        }
    }

    /// The JSON object of the columns that are a class together, without the empty ones; nothing if all are.
    fn gather<'c>(&self, class: usize, cell: impl Fn(usize) -> Option<&'c [u8]>) -> Option<String> {
        let (_, columns) = self.gathered.iter().find(|(of, _)| *of == class)?;
        let cells = columns.iter().filter_map(|(place, key)| {
            let text = cell(*place).map(<[u8]>::trim_ascii).filter(|text| !self.is_null(text))?;
            Some((key.clone(), serde_json::Value::from(String::from_utf8_lossy(text))))
        });
        let object: serde_json::Map<_, _> = cells.collect();
        (!object.is_empty()).then(|| serde_json::Value::Object(object).to_string())
    }

    /// Whether a text means "nothing".
    pub(super) fn is_null(&self, text: &[u8]) -> bool {
        text.is_empty() || self.nulls.iter().any(|null| null.as_bytes() == text)
    }

    /// All columns that are read, in the order of the document.
    pub(super) fn places(&self) -> Vec<usize> {
        let all = [&self.class, &self.amounts, &self.texts, &self.numbers];
        let mut places: Vec<usize> = all.into_iter().flatten().copied().flatten().collect();
        places.sort_unstable();
        places.dedup();
        places
    }
}

/// The columns of each class that is found by the beginning of their names.
fn gathered(classes: &[&[&str]], header: &[String]) -> Vec<(usize, Vec<(usize, String)>)> {
    let columns = |names: &[&str]| -> Vec<(usize, String)> {
        let prefixes = names.iter().filter_map(|name| name.strip_suffix('*'));
        let of = |prefix: &str| {
            let rest = |(at, column): (usize, &String)| Some((at, column.strip_prefix(prefix)?.to_owned()));
            header.iter().enumerate().filter_map(rest).collect::<Vec<_>>()
        };
        prefixes.flat_map(of).collect()
    };
    let all = classes.iter().enumerate().map(|(class, names)| (class, columns(names)));
    all.filter(|(_, columns)| !columns.is_empty()).collect()
}

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

    fn text(&self, row: usize) -> Option<&str> {
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
}

impl Batch {
    pub(super) fn new(binding: &Binding) -> Self {
        let texts = binding.texts.iter().map(|_| PlainTexts::default()).collect();
        let is_bound = |class: &usize| {
            binding.class[*class].is_some() || binding.gathered.iter().any(|(of, _)| of == class)
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
        let cell = |place: &Option<usize>| {
            place.and_then(raw).map(<[u8]>::trim_ascii).filter(|text| !binding.is_null(text))
        };
        let columns = binding.class.iter().zip(&mut self.class).zip(dictionaries);
        for (class, ((place, codes), dictionary)) in columns.enumerate() {
            if place.is_none() && !binding.gathered.is_empty() {
                codes.push(binding.gather(class, raw).map_or(0, |object| dictionary.code(&object)));
                continue;
            }
            match cell(place).map(|bytes| dictionary.code_of_bytes(bytes)) {
                None => codes.push(0),
                Some(Ok(code)) => codes.push(code),
                Some(Err(_)) => {
                    codes.push(0);
                    problem = Some("a cell is not UTF-8".to_owned());
                }
            }
        }
        for (place, texts) in binding.texts.iter().zip(&mut self.texts) {
            let text = cell(place).map(|text| String::from_utf8_lossy(text));
            texts.push(text.as_deref());
        }
        let amounts = binding.amounts.iter().zip(&mut self.amounts).map(|column| (true, column));
        let numbers = binding.numbers.iter().zip(&mut self.numbers).enumerate();
        let numbers = numbers.map(|(at, column)| (binding.costs.contains(&at), column));
        for (is_money, (place, column)) in amounts.chain(numbers) {
            match cell(place).map(Amount::parse).transpose() {
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
    Column(#[from] MissingColumn),
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
        sink.batch(batch, dictionaries)?;
        batch.advance();
    }
    if dictionaries.iter().any(Dictionary::is_full) {
        sink.forget();
        dictionaries.iter_mut().for_each(Dictionary::clear);
    }
    Ok(())
}
