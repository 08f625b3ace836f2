//! Which columns of a document are read, by their place in it.

use std::collections::BTreeMap;

use super::Priced;
use super::dialect::{Dialect, with_point};
use super::mapping::Columns;
use crate::money::{Amount, AmountError};
use crate::text::{clean, shown};

/// The columns of a document that a format reads. Each list of places is in the order in which they are looked at.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    /// The names of the document's columns.
    pub(super) header: Vec<String>,
    pub(super) class: Vec<Vec<usize>>,
    /// Columns of a text document that are one class together: the class, and the place and key of each.
    pub(super) gathered: Gathered,
    pub(super) amounts: Vec<Vec<usize>>,
    /// An amount and the columns of its currency, as pairs; see [`Columns::priced`].
    pub(super) pairs: Vec<Pair>,
    /// The class that is the currency of the pairs, and the amount.
    pub(super) currency: Option<usize>,
    pub(super) priced: Option<usize>,
    pub(super) texts: Vec<Vec<usize>>,
    pub(super) prose: &'static [usize],
    pub(super) kept: &'static [usize],
    pub(super) numbers: Vec<Vec<usize>>,
    /// Which of `numbers` are money.
    pub(super) costs: &'static [usize],
    /// Which of `class` are tags.
    pub(super) tags: &'static [usize],
    pub(super) nulls: &'static [&'static str],
    /// Places whose numbers have a decimal comma.
    commas: Vec<bool>,
}

/// One of [`Columns::priced`] that the document has.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) amount: usize,
    pub(super) currencies: Vec<usize>,
}

/// A document whose columns are not those of its format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// One that cannot be done without.
    #[error("the document has no column {column}: is it an export of this format? Seen: {seen}")]
    Missing {
        /// Its names.
        column: String,
        /// What the document has.
        seen: String,
    },
    /// One that stands twice: which of them counts is not decided by their order.
    #[error(
        "the document has two columns {name}, at the places {first} and {second}: which one counts? Leave one of them out"
    )]
    Twice {
        /// The name.
        name: String,
        /// From 1.
        first: usize,
        /// From 1.
        second: usize,
    },
}

/// The columns of classes that are found by the beginning of their names: the class, and the place and the rest of the name of each.
type Gathered = Vec<(usize, Vec<(usize, String)>)>;

/// The names of columns as they are looked for: cleaned, and where they are localised, the English name in parentheses.
struct Header<'h> {
    names: &'h [String],
    places: BTreeMap<String, Vec<usize>>,
}

impl<'h> Header<'h> {
    fn of(names: &'h [String]) -> Self {
        let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, name) in names.iter().enumerate() {
            let name = clean(name);
            places.entry(name.to_lowercase()).or_default().push(at);
            if let Some(english) = in_parentheses(&name) {
                places.entry(english.to_lowercase()).or_default().push(at);
            }
        }
        Self { names, places }
    }

    /// The place of a column.
    fn place(&self, name: &str) -> Result<Option<usize>, HeaderError> {
        match self.places.get(&name.to_lowercase()).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some([place]) => Ok(Some(*place)),
            Some([first, second, ..]) => {
                let name = clean(&self.names[*first]).into_owned();
                Err(HeaderError::Twice { name, first: first + 1, second: second + 1 })
            }
        }
    }

    fn all(&self, wanted: &[&[&str]]) -> Result<Vec<Vec<usize>>, HeaderError> {
        let places = |names: &&[&str]| {
            let found = names.iter().map(|name| self.place(name));
            found.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()
        };
        wanted.iter().map(places).collect()
    }

    fn pairs(&self, priced: &Priced) -> Result<Vec<Pair>, HeaderError> {
        let mut pairs = Vec::new();
        for (amount, currencies) in priced.pairs {
            if let Some(amount) = self.place(amount)? {
                let currencies = self.all(&[currencies])?.into_iter().flatten().collect();
                pairs.push(Pair { amount, currencies });
            }
        }
        Ok(pairs)
    }
}

/// `Date` of `Fecha (Date)`.
fn in_parentheses(name: &str) -> Option<&str> {
    let (_, english) = name.strip_suffix(')')?.rsplit_once('(')?;
    Some(english.trim()).filter(|english| !english.is_empty())
}

/// Whether a header has a column of this name.
pub(crate) fn has_column(header: &[String], name: &str) -> bool {
    header.iter().any(|column| {
        let column = clean(column);
        column.eq_ignore_ascii_case(name)
            || in_parentheses(&column).is_some_and(|english| english.eq_ignore_ascii_case(name))
    })
}

/// Columns for a message: the first few.
pub(super) fn columns_seen(header: &[String]) -> String {
    let named: Vec<String> = header.iter().take(8).map(|name| format!("'{}'", shown(name))).collect();
    match header.len() {
        0..=8 => format!("columns {}", named.join(", ")),
        count => format!("{count} columns, first {}", named.join(", ")),
    }
}

impl Binding {
    /// Finds the columns in a header. Without `details` only those that add up a bill are read.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub(super) fn new(
        columns: &Columns,
        header: &[String],
        details: bool,
        dialect: &Dialect,
    ) -> Result<Self, HeaderError> {
        let names = Header::of(header);
        let with_details = |wanted| if details { names.all(wanted) } else { Ok(Vec::new()) };
        let pairs = columns.priced.map_or(Ok(Vec::new()), |priced| names.pairs(&priced))?;
        let binding = Self {
            class: names.all(columns.class)?,
            gathered: gathered(columns.class, header)?,
            amounts: names.all(columns.amounts)?,
            pairs,
            currency: columns.priced.map(|priced| priced.currency),
            priced: columns.priced.map(|priced| priced.amount),
            texts: with_details(columns.texts)?,
            prose: columns.prose,
            kept: columns.kept,
            numbers: with_details(columns.numbers)?,
            costs: columns.costs,
            tags: columns.tags,
            nulls: columns.nulls,
            commas: header.iter().map(|name| dialect.decimal_commas.contains(name)).collect(),
            header: header.to_vec(),
        };
        let missing = |column: String| {
            Err(HeaderError::Missing { column, seen: format!("{dialect}, {}", columns_seen(header)) })
        };
        let is_there = |class: &usize| match binding.currency == Some(*class) {
            true => binding.pairs.iter().any(|pair| !pair.currencies.is_empty()),
            false => !binding.class[*class].is_empty(),
        };
        if let Some(class) = columns.required_class.iter().find(|class| !is_there(class)) {
            return missing(columns.class_names(*class));
        }
        match columns.required_amounts.iter().find(|amount| !binding.has_amount(**amount)) {
            Some(amount) => missing(columns.amount_names(*amount)),
            None => Ok(binding),
        }
    }

    /// Whether the document has an amount.
    pub(super) fn has_amount(&self, amount: usize) -> bool {
        match self.priced == Some(amount) {
            true => !self.pairs.is_empty(),
            false => self.amounts.get(amount).is_some_and(|places| !places.is_empty()),
        }
    }

    /// The JSON object of the columns that are a class together, without the empty ones; nothing if all are.
    pub(super) fn gather<'c>(
        &self,
        class: usize,
        cell: impl Fn(usize) -> Option<&'c [u8]>,
    ) -> Option<String> {
        let (_, columns) = self.gathered.iter().find(|(of, _)| *of == class)?;
        let cells = columns.iter().filter_map(|(place, key)| {
            let text = cell(*place).map(<[u8]>::trim_ascii).filter(|text| !self.is_null(text))?;
            Some((key.clone(), serde_json::Value::from(String::from_utf8_lossy(text))))
        });
        let object: serde_json::Map<_, _> = cells.collect();
        (!object.is_empty()).then(|| serde_json::Value::Object(object).to_string())
    }

    /// Why a row is held that has no amount in its first column, and one of another currency in a later one.
    pub(super) fn other_currency(&self, first: &Pair, taken: &Pair) -> String {
        let currency = first.currencies.first().map_or("", |place| self.name(*place));
        let (first, taken) = (self.name(first.amount), self.name(taken.amount));
        format!("{first} is empty, and {taken} is in another currency than {currency} says")
    }

    /// Whether a text means "nothing".
    pub(super) fn is_null(&self, text: &[u8]) -> bool {
        text.is_empty() || self.nulls.iter().any(|null| null.as_bytes() == text)
    }

    /// The name of a column.
    pub(super) fn name(&self, place: usize) -> &str {
        self.header.get(place).map_or("", String::as_str)
    }

    /// The number in a cell.
    pub(super) fn number(&self, place: usize, text: &[u8]) -> Option<Result<Amount, AmountError>> {
        if text.iter().all(|byte| matches!(byte, b' '..=b'~')) && !self.has_comma(place) {
            return Some(Amount::parse(text));
        }
        let text = String::from_utf8_lossy(text);
        let text = clean(&text);
        if self.is_null(text.as_bytes()) {
            return None;
        }
        let pointed = self.has_comma(place).then(|| with_point(&text)).flatten();
        Some(Amount::parse(pointed.as_deref().unwrap_or(&text).as_bytes()))
    }

    fn has_comma(&self, place: usize) -> bool {
        self.commas.get(place).copied().unwrap_or_default()
    }

    /// All columns that are read, in the order of the document.
    pub(super) fn places(&self) -> Vec<usize> {
        let all = [&self.class, &self.amounts, &self.texts, &self.numbers];
        let pairs = self.pairs.iter().flat_map(|pair| pair.currencies.iter().chain([&pair.amount]));
        let mut places: Vec<usize> = all.into_iter().flatten().flatten().chain(pairs).copied().collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Whether a column is one of texts of the class.
    pub(super) fn is_class(&self, place: usize) -> bool {
        self.class
            .iter()
            .flatten()
            .chain(self.pairs.iter().flat_map(|pair| &pair.currencies))
            .any(|at| *at == place)
    }

    /// Columns of numbers, and whether they are money.
    pub(super) fn number_places(&self) -> impl Iterator<Item = (usize, bool)> {
        let amounts = self.amounts.iter().flatten().chain(self.pairs.iter().map(|pair| &pair.amount));
        let numbers = self.numbers.iter().enumerate();
        let numbers = numbers
            .flat_map(move |(at, places)| places.iter().map(move |place| (*place, self.costs.contains(&at))));
        amounts.map(|place| (*place, true)).chain(numbers)
    }
}

/// The columns of each class that is found by the beginning of their names.
fn gathered(classes: &[&[&str]], header: &[String]) -> Result<Gathered, HeaderError> {
    let mut all = Vec::new();
    for (class, names) in classes.iter().enumerate() {
        let mut columns: Vec<(usize, String)> = Vec::new();
        for prefix in names.iter().filter_map(|name| name.strip_suffix('*')) {
            for (at, name) in header.iter().enumerate() {
                let Some(key) = name.strip_prefix(prefix) else { continue };
                if let Some((first, _)) = columns.iter().find(|(_, known)| known == key) {
                    return Err(HeaderError::Twice { name: name.clone(), first: first + 1, second: at + 1 });
                }
                columns.push((at, key.to_owned()));
            }
        }
        if !columns.is_empty() {
            all.push((class, columns));
        }
    }
    Ok(all)
}
