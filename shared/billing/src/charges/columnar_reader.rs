//! Parquet into batches: texts keep their dictionaries, so a text is looked at once, not once a row.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, DictionaryArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use chrono::{DateTime, SecondsFormat, Utc};
use foldhash::fast::RandomState;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use super::batch::{BATCH_ROWS, Batch, Dictionary, PlainTexts, ReadError, RowProblem, Sink, hand_on};
use super::binding::{Binding, Pair};
use super::dialect::Dialect;
use super::file::FileReader;
use super::guard::guarded;
use super::mapping::Columns;
use super::tags::UNREADABLE;
use crate::money::Amount;
use crate::text::{clean, clean_prose};

/// A Parquet document, opened: its row groups may be read by several threads.
pub(super) struct Columnar {
    file: FileReader,
    metadata: ArrowReaderMetadata,
    binding: Binding,
    /// For each column that is read, its place among the columns that come out.
    projected: Vec<usize>,
    /// The number of rows before each row group.
    before: Vec<u64>,
}

impl Columnar {
    pub(super) fn open(file: FileReader, columns: &Columns, details: bool) -> Result<Self, ReadError> {
        guarded(|| Self::open_unguarded(file, columns, details)).map_err(damaged(0))?
    }

    fn open_unguarded(file: FileReader, columns: &Columns, details: bool) -> Result<Self, ReadError> {
        let broken =
            |error: parquet::errors::ParquetError| ReadError::Broken { after: 0, why: error.to_string() };
        let plain = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(broken)?;
        let names: Vec<String> =
            plain.schema().fields().iter().map(|field| clean(field.name()).into_owned()).collect();
        let binding = Binding::new(columns, &names, details, &Dialect::default())?;
        let is_class = |at: usize| binding.is_class(at);
        let is_text =
            |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let fields = plain.schema().fields().iter().enumerate().map(|(at, field)| {
            let kind = field.data_type();
            let is_coded = matches!(kind, DataType::Dictionary(_, value) if is_text(value));
            let kind = match is_class(at) {
                true if is_text(kind) || is_coded => {
                    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
                }
                false if is_coded => DataType::Utf8,
                _ => return field.clone(),
            };
            Arc::new(Field::new(field.name(), kind, field.is_nullable()))
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = ArrowReaderOptions::new().with_schema(schema);
        let metadata = ArrowReaderMetadata::try_new(plain.metadata().clone(), options).map_err(broken)?;
        let mut before = Vec::new();
        let mut rows = 0;
        for group in metadata.metadata().row_groups() {
            before.push(rows);
            rows += u64::try_from(group.num_rows()).unwrap_or_default();
        }
        before.push(rows);
        Ok(Self { file, metadata, projected: binding.places(), binding, before })
    }

    pub(super) fn row_groups(&self) -> usize {
        self.before.len() - 1
    }

    /// The names of its columns.
    pub(super) fn header(&self) -> &[String] {
        &self.binding.header
    }

    /// Reads one row group, beside other threads that read others.
    pub(super) fn read(&self, group: usize, sink: &mut dyn Sink) -> Result<(), ReadError> {
        let first = self.before[group];
        guarded(|| self.read_unguarded(group, first, sink)).map_err(damaged(first))?
    }

    fn read_unguarded(&self, group: usize, first: u64, sink: &mut dyn Sink) -> Result<(), ReadError> {
        let broken = |after: u64, why: String| ReadError::Broken { after, why };
        let mask = ProjectionMask::roots(
            self.metadata.metadata().file_metadata().schema_descr(),
            self.projected.iter().copied(),
        );
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.metadata.clone())
                .with_projection(mask)
                .with_row_groups(vec![group])
                .with_batch_size(BATCH_ROWS);
        let reader = builder.build().map_err(|error| broken(first, error.to_string()))?;
        let mut batch = Batch::new(&self.binding);
        batch.first = first + 1;
        let mut dictionaries: Vec<_> = self.binding.class.iter().map(|_| Dictionary::default()).collect();
        let mut coders: Vec<Vec<Coder>> = self.binding.class.iter().map(|_| Vec::new()).collect();
        for read in reader {
            let read = read.map_err(|error| broken(batch.first - 1, error.to_string()))?;
            self.fill(&read, &mut batch, &mut dictionaries, &mut coders)
                .map_err(|why| broken(batch.first - 1, why))?;
            hand_on(&mut batch, &mut dictionaries, sink)?;
        }
        sink.forget();
        Ok(())
    }

    fn fill(
        &self,
        read: &RecordBatch,
        batch: &mut Batch,
        dictionaries: &mut [Dictionary],
        coders: &mut [Vec<Coder>],
    ) -> Result<(), String> {
        let column = |place: usize| {
            let at = self.projected.iter().position(|projected| *projected == place)?;
            Some(read.column(at))
        };
        let named = |place: usize, why: String| format!("column {}: {why}", self.binding.name(place));
        let rows = read.num_rows();
        batch.rows = rows;
        let pair = self.pairs(batch, rows, &column)?;
        for (class, places) in self.binding.class.iter().enumerate() {
            let (dictionary, coders) = (&mut dictionaries[class], &mut coders[class]);
            let by_pair = pair.as_ref().filter(|_| self.binding.currency == Some(class));
            let candidates: Vec<usize> = match by_pair {
                Some(_) => {
                    self.binding.pairs.iter().flat_map(|pair| pair.currencies.iter().copied()).collect()
                }
                None => places.clone(),
            };
            let mut codes = Vec::with_capacity(candidates.len());
            for (at, place) in candidates.iter().enumerate() {
                let mut of = Vec::with_capacity(rows);
                let Some(array) = column(*place) else { continue };
                if coders.len() <= at {
                    coders.resize_with(at + 1, Coder::default);
                }
                let tags = self.binding.tags.contains(&class);
                coders[at]
                    .codes(array, dictionary, &self.binding, tags, &mut of)
                    .map_err(|why| named(*place, why))?;
                codes.push(of);
            }
            let into = &mut batch.class[class];
            match (codes.len(), by_pair) {
                (0, _) => into.resize(rows, 0),
                (1, None) => *into = codes.remove(0),
                (_, None) => {
                    for row in 0..rows {
                        let chosen = codes.iter().position(|codes| codes[row] != 0);
                        into.push(chosen.map_or(0, |chosen| codes[chosen][row]));
                        if let Some(chosen) = chosen {
                            batch.chosen[candidates[chosen]] += 1;
                        }
                    }
                }
                (_, Some(pair)) => {
                    for (row, pair) in pair.iter().enumerate() {
                        let code = |pair: &Pair| {
                            candidates.iter().zip(&codes).find_map(|(place, codes)| {
                                (pair.currencies.contains(place) && codes[row] != 0).then_some(codes[row])
                            })
                        };
                        let (before, taken) = (&self.binding.pairs[..*pair], &self.binding.pairs[*pair]);
                        let own = code(taken);
                        into.push(own.unwrap_or_default());
                        let is_other = |first: &&Pair| code(first).is_some_and(|code| Some(code) != own);
                        if let Some(first) = before.iter().find(is_other) {
                            let why = self.binding.other_currency(first, taken);
                            batch.problems.push(RowProblem { row, why });
                        }
                    }
                }
            }
        }
        for (at, places) in self.binding.texts.iter().enumerate() {
            let arrays: Vec<(usize, &ArrayRef)> =
                places.iter().filter_map(|place| Some((*place, column(*place)?))).collect();
            let unread = plain_texts(at, &arrays, rows, &self.binding, &mut batch.texts[at])
                .map_err(|(place, why)| named(place, why))?;
            batch.unread.extend(unread);
        }
        for (at, places) in self.binding.amounts.iter().enumerate() {
            if self.binding.priced != Some(at) {
                let read = self.numbers(places, rows, &column, &mut batch.chosen)?;
                batch.amounts[at] = read.numbers;
                batch.problems.extend(read.problems);
            }
        }
        for (at, places) in self.binding.numbers.iter().enumerate() {
            let read = self.numbers(places, rows, &column, &mut batch.chosen)?;
            batch.numbers[at] = read.numbers;
            match self.binding.costs.contains(&at) {
                true => batch.problems.extend(read.problems),
                false => batch.unread.extend(read.problems.into_iter().map(|problem| problem.row)),
            }
        }
        // found column by column, looked for row by row
        batch.problems.sort_by_key(|problem| problem.row);
        batch.unread.sort_unstable();
        Ok(())
    }

    /// The amounts of [`Columns::priced`]; which pair of columns each row takes.
    fn pairs<'a>(
        &self,
        batch: &mut Batch,
        rows: usize,
        column: &impl Fn(usize) -> Option<&'a ArrayRef>,
    ) -> Result<Option<Vec<usize>>, String> {
        let Some(priced) = self.binding.priced else { return Ok(None) };
        let places: Vec<usize> = self.binding.pairs.iter().map(|pair| pair.amount).collect();
        let read = self.numbers(&places, rows, column, &mut batch.chosen)?;
        batch.amounts[priced] = read.numbers;
        batch.problems.extend(read.problems);
        Ok(Some(read.from))
    }

    /// Numbers of the first of some columns that is filled.
    fn numbers<'a>(
        &self,
        places: &[usize],
        rows: usize,
        column: &impl Fn(usize) -> Option<&'a ArrayRef>,
        chosen: &mut [u64],
    ) -> Result<Numbers, String> {
        let mut all = Vec::with_capacity(places.len());
        for place in places {
            let Some(array) = column(*place) else { continue };
            let read = read_numbers(array, &self.binding)
                .map_err(|why| format!("column {}: {why}", self.binding.name(*place)))?;
            all.push((*place, read));
        }
        if let [(_, read)] = all.as_mut_slice() {
            return Ok(std::mem::take(read));
        }
        let mut numbers = Numbers { numbers: vec![None; rows], problems: Vec::new(), from: vec![0; rows] };
        for row in 0..rows {
            let problem = |read: &Numbers| read.problems.iter().find(|problem| problem.row == row).cloned();
            let first = all.iter().enumerate().find_map(|(at, (place, read))| {
                let problem = problem(read);
                (problem.is_some() || read.numbers[row].is_some()).then_some((
                    at,
                    *place,
                    read.numbers[row],
                    problem,
                ))
            });
            if let Some((at, place, number, problem)) = first {
                chosen[place] += 1;
                (numbers.numbers[row], numbers.from[row]) = (number, at);
                numbers.problems.extend(problem);
            }
        }
        Ok(numbers)
    }
}

/// Numbers of one column.
#[derive(Default)]
struct Numbers {
    numbers: Vec<Option<Amount>>,
    /// Rows with what is none.
    problems: Vec<RowProblem>,
    /// Which of several columns each row takes.
    from: Vec<usize>,
}

/// What the library of Parquet does not find wrong before it gives up: damaged bytes.
fn damaged(after: u64) -> impl Fn(String) -> ReadError {
    move |why| ReadError::Broken { after, why: format!("the file is damaged ({why})") }
}

/// The names of a document's columns.
pub(super) fn column_names(file: &FileReader) -> Result<Vec<String>, ReadError> {
    let metadata =
        guarded(|| ArrowReaderMetadata::load(file, ArrowReaderOptions::new())).map_err(damaged(0))?;
    let metadata = metadata.map_err(|error| ReadError::Broken { after: 0, why: error.to_string() })?;
    Ok(metadata.schema().fields().iter().map(|field| clean(field.name()).into_owned()).collect())
}

/// Codes of one class column; remembers what the last dictionary of the file was translated to.
#[derive(Default)]
struct Coder {
    values: Option<ArrayRef>,
    /// Of our dictionary, when it was translated.
    generation: u64,
    translated: Vec<u32>,
    /// Codes of numbers and times by their bits: most columns have few, and making text of them is slow.
    bits: HashMap<u128, u32, RandomState>,
}

/// Distinct bits of one column that are remembered.
const BITS: usize = 65_536;

impl Coder {
    fn codes(
        &mut self,
        array: &ArrayRef,
        dictionary: &mut Dictionary,
        binding: &Binding,
        are_tags: bool,
        into: &mut Vec<u32>,
    ) -> Result<(), String> {
        let generation = dictionary.generation();
        let mut code = |text: &str| {
            let text = clean(text);
            if binding.is_null(text.as_bytes()) { 0 } else { dictionary.code(&text) }
        };
        let Some(coded) = array.as_any().downcast_ref::<DictionaryArray<Int32Type>>() else {
            if generation != self.generation || self.bits.len() > BITS {
                self.bits.clear();
                self.generation = generation;
            }
            let bits = bits_of(array);
            for row in 0..array.len() {
                let known = bits.as_ref().map(|bits| bits(row)).filter(|_| array.is_valid(row));
                if let Some(&code) = known.and_then(|bits| self.bits.get(&bits)) {
                    into.push(code);
                    continue;
                }
                let text = match text_at(array, row) {
                    // tags are no money: what cannot be read is no tag, and told as such
                    Err(why) if are_tags => Some(format!("{UNREADABLE}{why}")),
                    text => text?,
                };
                let code = text.map_or(0, |text| code(&text));
                if let Some(bits) = known {
                    self.bits.insert(bits, code);
                }
                into.push(code);
            }
            return Ok(());
        };
        // batches of a row group share the dictionary; the codes are new when ours was emptied
        let values = coded.values();
        let same = self.values.as_ref().is_some_and(|seen| seen.to_data().ptr_eq(&values.to_data()));
        if !same || generation != self.generation {
            self.generation = generation;
            let texts: &StringArray = values.as_string_opt().ok_or("a dictionary holds no texts")?;
            self.translated = texts.iter().map(|text| text.map_or(0, &mut code)).collect();
            self.values = Some(values.clone());
        }
        let keys = coded.keys();
        match keys.nulls() {
            None => {
                into.extend(keys.values().iter().map(|&key| self.translated[key.cast_unsigned() as usize]))
            }
            Some(nulls) => {
                into.extend(keys.values().iter().zip(nulls).map(|(&key, valid)| {
                    if valid { self.translated[key.cast_unsigned() as usize] } else { 0 }
                }))
            }
        }
        Ok(())
    }
}

/// The bits of an array's numbers or times; nothing for other arrays.
fn bits_of(array: &ArrayRef) -> Option<impl Fn(usize) -> u128> {
    let width = array.data_type().primitive_width()?;
    let data = array.to_data();
    let (buffer, offset) = (data.buffers().first()?.clone(), data.offset());
    Some(move |row: usize| {
        let mut bits = [0; 16];
        let start = (offset + row) * width;
        // Decimal256 is wider: no column of it is read as text
        bits[..width.min(16)].copy_from_slice(&buffer[start..start + width.min(16)]);
        u128::from_le_bytes(bits)
    })
}

/// Of each row, the text of the first of some columns that is filled; the rows with one that cannot be read.
fn plain_texts(
    of: usize,
    arrays: &[(usize, &ArrayRef)],
    rows: usize,
    binding: &Binding,
    into: &mut PlainTexts,
) -> Result<Vec<usize>, (usize, String)> {
    let (is_prose, is_kept) = (binding.prose.contains(&of), binding.kept.contains(&of));
    let mut unread = Vec::new();
    for row in 0..rows {
        let mut found = None;
        for (place, array) in arrays {
            let is_json = is_kept && array.data_type().is_nested() && !array.is_null(row);
            let text = if is_json {
                json_at(array, row).map(|json| Some(json.to_string()))
            } else {
                text_at(array, row)
            };
            let text = match text {
                Err(_) if is_kept => {
                    unread.push(row);
                    None
                }
                text => text.map_err(|why| (*place, why))?,
            };
            let text = text.map(|text| if is_prose { clean_prose(&text) } else { clean(&text) }.into_owned());
            found = text.filter(|text| !binding.is_null(text.as_bytes()));
            if found.is_some() {
                break;
            }
        }
        into.push(found.as_deref());
    }
    Ok(unread)
}

/// One cell as text: times as RFC 3339, maps and what else may hold tags as JSON objects.
fn text_at(array: &ArrayRef, row: usize) -> Result<Option<String>, String> {
    if array.is_null(row) {
        return Ok(None);
    }
    let utf8 = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).map_err(|_| "a cell is not UTF-8".to_owned());
        text.map(str::to_owned)
    };
    let time = |time: Option<DateTime<Utc>>| {
        time.map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true)).ok_or("a time is out of range")
    };
    Ok(Some(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).to_owned(),
        DataType::Utf8View => array.as_string_view().value(row).to_owned(),
        DataType::Dictionary(key, _) if **key == DataType::Int32 => {
            let coded = array.as_dictionary::<Int32Type>();
            let at = usize::try_from(coded.keys().value(row)).map_err(|_| "a code is negative")?;
            return text_at(coded.values(), at);
        }
        DataType::Dictionary(..) => {
            let coded = array.as_any_dictionary();
            let keys = coded.normalized_keys();
            return text_at(coded.values(), keys[row]);
        }
        // nothing but nulls: the type that Polars gives to a column without values
        DataType::Null => return Ok(None),
        DataType::Binary => utf8(array.as_binary::<i32>().value(row))?,
        DataType::LargeBinary => utf8(array.as_binary::<i64>().value(row))?,
        DataType::BinaryView => utf8(array.as_binary_view().value(row))?,
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).to_string(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).to_string(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).to_string(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).to_string(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).to_string(),
        DataType::Decimal128(_, 0) => array.as_primitive::<Decimal128Type>().value(row).to_string(),
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Timestamp(TimeUnit::Second, _) => {
            time(DateTime::from_timestamp(array.as_primitive::<TimestampSecondType>().value(row), 0))?
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => time(DateTime::from_timestamp_millis(
            array.as_primitive::<TimestampMillisecondType>().value(row),
        ))?,
        DataType::Timestamp(TimeUnit::Microsecond, _) => time(DateTime::from_timestamp_micros(
            array.as_primitive::<TimestampMicrosecondType>().value(row),
        ))?,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => time(Some(DateTime::from_timestamp_nanos(
            array.as_primitive::<TimestampNanosecondType>().value(row),
        )))?,
        DataType::Date32 => {
            let days = i64::from(array.as_primitive::<Date32Type>().value(row));
            time(DateTime::from_timestamp(days * 86_400, 0))?
        }
        DataType::Date64 => {
            time(DateTime::from_timestamp_millis(array.as_primitive::<Date64Type>().value(row)))?
        }
        DataType::Map(..) => object(array.as_map().value(row).columns())?,
        DataType::Struct(_) => struct_text(array, row)?,
        DataType::List(_) => list_text(&array.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => list_text(&array.as_list::<i64>().value(row))?,
        other => return Err(format!("its type {other} cannot be read as text")),
    }))
}

/// A nested cell as JSON, for what is kept as it came.
fn json_at(array: &ArrayRef, row: usize) -> Result<serde_json::Value, String> {
    use serde_json::Value;

    if array.is_null(row) {
        return Ok(Value::Null);
    }
    let list = |items: ArrayRef| (0..items.len()).map(|item| json_at(&items, item)).collect::<Result<_, _>>();
    let number = |text: String| serde_json::from_str(&text).map_err(|error| error.to_string());
    match array.data_type() {
        DataType::Struct(fields) => {
            let members = fields.iter().zip(array.as_struct().columns());
            let members = members.map(|(field, of)| Ok((field.name().clone(), json_at(of, row)?)));
            members.collect::<Result<_, String>>().map(Value::Object)
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let [keys, values] = entries.columns() else {
                return Err("it has not one key and one value".to_owned());
            };
            let mut object = serde_json::Map::new();
            for entry in 0..keys.len() {
                let key = text_at(keys, entry)?.unwrap_or_default();
                if object.insert(key.clone(), json_at(values, entry)?).is_some() {
                    return Err(format!("the key '{key}' stands twice"));
                }
            }
            Ok(Value::Object(object))
        }
        DataType::List(_) => list(array.as_list::<i32>().value(row)).map(Value::Array),
        DataType::LargeList(_) => list(array.as_list::<i64>().value(row)).map(Value::Array),
        DataType::Boolean => Ok(Value::Bool(array.as_boolean().value(row))),
        DataType::Float64 => number(array.as_primitive::<Float64Type>().value(row).to_string()),
        DataType::Float32 => number(array.as_primitive::<Float32Type>().value(row).to_string()),
        DataType::Decimal128(..) => number(array.as_primitive::<Decimal128Type>().value_as_string(row)),
        kind if kind.is_integer() => number(text_at(array, row)?.unwrap_or_default()),
        _ => Ok(Value::from(text_at(array, row)?)),
    }
}

/// Keys and values as a JSON object.
fn object(columns: &[ArrayRef]) -> Result<String, String> {
    let [keys, values] = columns else { return Err("it has not one key and one value".to_owned()) };
    let mut object = serde_json::Map::new();
    for entry in 0..keys.len() {
        let value = text_at(values, entry)?;
        let key = text_at(keys, entry)?.unwrap_or_default();
        let value = serde_json::Value::from(value);
        if object.get(&key).is_some_and(|before| *before != value) {
            return Err(format!("'{key}' stands twice"));
        }
        object.insert(key, value);
    }
    Ok(serde_json::Value::Object(object).to_string())
}

/// A list of keys and values as a JSON object.
fn list_text(entries: &ArrayRef) -> Result<String, String> {
    let part = |name: &str| {
        let (_, column) = entries
            .as_struct_opt()?
            .fields()
            .iter()
            .zip(entries.as_struct().columns())
            .find(|(field, _)| field.name().eq_ignore_ascii_case(name))?;
        Some(column.clone())
    };
    match [part("key"), part("value")] {
        [Some(keys), Some(values)] => object(&[keys, values]),
        _ => Err("it is a list, but not of key and value".to_owned()),
    }
}

/// A struct as a JSON object, without what is nothing: of tags, it has a field for every key that any row has.
fn struct_text(array: &ArrayRef, row: usize) -> Result<String, String> {
    let parts = array.as_struct();
    let mut object = serde_json::Map::new();
    for (field, column) in parts.fields().iter().zip(parts.columns()) {
        if let Some(text) = text_at(column, row)? {
            object.insert(field.name().clone(), text.into());
        }
    }
    Ok(serde_json::Value::Object(object).to_string())
}

/// Numbers exactly.
fn read_numbers(array: &ArrayRef, binding: &Binding) -> Result<Numbers, String> {
    let mut problems = Vec::new();
    let mut into = Vec::with_capacity(array.len());
    let mut push = |row: usize, amount: Option<Result<Amount, String>>| match amount {
        None => into.push(None),
        Some(Ok(amount)) => into.push(Some(amount)),
        Some(Err(why)) => {
            into.push(None);
            problems.push(RowProblem { row, why });
        }
    };
    let double = |value: f64| Amount::from_double(value).map_err(|error| error.to_string());
    match array.data_type() {
        DataType::Float64 => {
            for (row, value) in array.as_primitive::<Float64Type>().iter().enumerate() {
                push(row, value.map(double));
            }
        }
        DataType::Float32 => {
            for (row, value) in array.as_primitive::<Float32Type>().iter().enumerate() {
                let parse = |value: f32| Amount::parse(format!("{value:e}").as_bytes());
                push(row, value.map(|value| parse(value).map_err(|error| error.to_string())));
            }
        }
        DataType::Decimal128(_, scale) => {
            let scale = i64::from(*scale);
            for (row, value) in array.as_primitive::<Decimal128Type>().iter().enumerate() {
                let exact = |value| {
                    Amount::scaled(value, scale)
                        .ok_or_else(|| format!("{value}e-{scale} has too many digits"))
                };
                push(row, value.map(exact));
            }
        }
        DataType::Null => (0..array.len()).for_each(|row| push(row, None)),
        _ => {
            for row in 0..array.len() {
                let text = text_at(array, row)?;
                let text = text.as_deref().map(clean).filter(|text| !binding.is_null(text.as_bytes()));
                let parse = |text: &str| Amount::parse(text.as_bytes()).map_err(|error| error.to_string());
                push(row, text.as_deref().map(parse));
            }
        }
    }
    let from = vec![0; into.len()];
    Ok(Numbers { numbers: into, problems, from })
}
