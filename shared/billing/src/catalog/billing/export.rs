//! How bills are written for the invoicing system that takes them.

use super::reader::{Field, Reader};

pub(super) const EXPORT: [&str; 5] = ["delimiter", "header", "encoding", "decimal_point", "columns"];
pub(super) const COLUMN: [&str; 3] = ["title", "field", "text"];

/// The template of the export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportTemplate {
    /// Between columns: one ASCII character.
    pub delimiter: u8,
    /// Whether the first line names the columns.
    pub header: bool,
    /// How characters become bytes.
    pub encoding: Encoding,
    /// `.` or `,`.
    pub decimal_point: char,
    /// From left to right.
    pub columns: Vec<Column>,
}

/// How characters become bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// UTF-8 after a byte order mark, which some spreadsheets need.
    Utf8Bom,
    /// ISO 8859-1; other characters cannot be written.
    Latin1,
}

/// A column of the export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its title in the header.
    pub title: String,
    /// What stands in it.
    pub content: Content,
}

/// What stands in a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Something of the line.
    Field(ExportField),
    /// The same text in every line.
    Text(String),
}

/// What a line of a bill says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportField {
    /// The account, service or position.
    Name,
    /// The customer's cost centre.
    CostCenter,
    /// The customer's address, or the name if there is none.
    User,
    /// The customer's name.
    Customer,
    /// The customer's address.
    Email,
    /// The invoicing system's product.
    Product,
    /// The rounded amount.
    Amount,
    /// How it came about, in words.
    Comment,
    /// ISO 4217 code.
    Currency,
    /// `YYYY-MM`.
    Month,
    /// The provider of an account.
    Provider,
    /// What kind of line: `account`, `service`, ...
    Kind,
}

impl ExportField {
    /// All of them with the words that the catalog has for them.
    pub const ALL: [(&'static str, Self); 12] = [
        ("name", Self::Name),
        ("cost_center", Self::CostCenter),
        ("user", Self::User),
        ("customer", Self::Customer),
        ("email", Self::Email),
        ("product", Self::Product),
        ("amount", Self::Amount),
        ("comment", Self::Comment),
        ("currency", Self::Currency),
        ("month", Self::Month),
        ("provider", Self::Provider),
        ("kind", Self::Kind),
    ];
}

/// `name;cost_center;user;product;amount;comment` without a header.
impl Default for ExportTemplate {
    fn default() -> Self {
        let wanted = ["name", "cost_center", "user", "product", "amount", "comment"];
        let known = wanted.iter().filter_map(|name| ExportField::ALL.iter().find(|(known, _)| known == name));
        let column = |(title, field): &(&str, _)| Column {
            title: (*title).to_owned(),
            content: Content::Field(*field),
        };
        Self {
            delimiter: b';',
            header: false,
            encoding: Encoding::Utf8,
            decimal_point: '.',
            columns: known.map(column).collect(),
        }
    }
}

pub(super) fn read(reader: &mut Reader, field: &Field<'_>) -> ExportTemplate {
    let mut template = ExportTemplate::default();
    let Some(members) = reader.members(field, &EXPORT) else { return template };
    if let Some(field) = members.get("delimiter") {
        let delimiters = [(";", b';'), (",", b','), ("\t", b'\t'), ("tab", b'\t'), ("|", b'|')];
        template.delimiter = delimiter(reader, &field, &delimiters).unwrap_or(b';');
    }
    if let Some(field) = members.get("header") {
        template.header = reader.as_bool(&field).unwrap_or_default();
    }
    if let Some(field) = members.get("encoding") {
        let encodings =
            [("utf-8", Encoding::Utf8), ("utf-8-bom", Encoding::Utf8Bom), ("iso-8859-1", Encoding::Latin1)];
        template.encoding = reader.as_word(&field, &encodings).unwrap_or_default();
    }
    if let Some(field) = members.get("decimal_point") {
        template.decimal_point = reader.as_word(&field, &[(".", '.'), (",", ',')]).unwrap_or('.');
    }
    if let Some(field) = members.get("columns") {
        template.columns =
            reader.items(&field).iter().filter_map(|item| column(reader, item)).collect::<Vec<_>>();
        let amount = |column: &Column| column.content == Content::Field(ExportField::Amount);
        if !template.columns.iter().any(amount) {
            reader.problem(&field, "no column holds the amount, add one");
        }
    }
    template
}

fn delimiter(reader: &mut Reader, field: &Field<'_>, known: &[(&str, u8)]) -> Option<u8> {
    let text = reader.as_delimiter(field)?;
    let found = known.iter().find(|(word, _)| *word == text).map(|(_, byte)| *byte);
    if found.is_none() {
        reader.problem(field, format!("the delimiter '{text}' is none of ; , | tab"));
    }
    found
}

fn column(reader: &mut Reader, item: &Field<'_>) -> Option<Column> {
    if item.is_scalar() {
        let field = reader.as_word(item, &ExportField::ALL)?;
        return Some(Column { title: reader.as_text(item)?, content: Content::Field(field) });
    }
    let members = reader.members(item, &COLUMN)?;
    let title = reader.required_text(&members, "title");
    let content = match (members.get("field"), members.get("text")) {
        (Some(field), None) => reader.as_word(&field, &ExportField::ALL).map(Content::Field),
        (None, Some(field)) => reader.as_text(&field).map(Content::Text),
        _ => {
            reader.problem(item, "a column has either a field or a text");
            None
        }
    };
    Some(Column { title: title?, content: content? })
}
