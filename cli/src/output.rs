//! Data to standard output as a table, JSON or CSV; notes and progress to standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use comfy_table::{Cell, CellAlignment, Color, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::{Map, Value, json};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    Json,
    Csv,
}

/// Where and how to print.
pub(crate) struct Output {
    pub(crate) format: Format,
    color: bool,
    /// Why standard output takes no more.
    broken: OnceLock<io::Error>,
}

/// A list to print: columns with their alignment, and rows of texts.
pub(crate) struct Listing {
    columns: Vec<(String, CellAlignment)>,
    rows: Vec<Vec<String>>,
    totals: usize,
}

impl Listing {
    /// Columns whose name ends with `>` stand to the right.
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        let column = |name: &&'static str| match name.strip_suffix('>') {
            Some(name) => (name.to_owned(), CellAlignment::Right),
            None => ((*name).to_owned(), CellAlignment::Left),
        };
        Self { columns: columns.iter().map(column).collect(), rows: Vec::new(), totals: 0 }
    }

    /// Columns whose names are made here; all stand to the left.
    pub(crate) fn titled(titles: Vec<String>) -> Self {
        let columns = titles.into_iter().map(|title| (title, CellAlignment::Left));
        Self { columns: columns.collect(), rows: Vec::new(), totals: 0 }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// A row of sums, only in tables.
    pub(crate) fn total(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
        self.totals += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn data_rows(&self) -> &[Vec<String>] {
        &self.rows[..self.rows.len() - self.totals]
    }

    /// One object a row, with the column names as they are in CSV.
    pub(crate) fn to_json(&self) -> Value {
        let names: Vec<String> = self.columns.iter().map(|(name, _)| field_name(name)).collect();
        let object = |row: &Vec<String>| {
            let members = names.iter().cloned().zip(row.iter().map(|cell| Value::String(cell.clone())));
            Value::Object(members.collect::<Map<_, _>>())
        };
        self.data_rows().iter().map(object).collect()
    }
}

/// What JSON says of something that is listed: a text as it is, nothing for nothing.
pub(crate) fn text(value: &impl Serialize) -> String {
    match json!(value) {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn field_name(title: &str) -> String {
    title.to_lowercase().replace([' ', '-'], "_")
}

impl Output {
    pub(crate) fn new(format: Format, no_color: bool) -> Self {
        Self {
            format,
            color: !no_color && io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            broken: OnceLock::new(),
        }
    }

    /// A line of data.
    pub(crate) fn line(&self, text: &str) {
        self.bytes(format!("{text}\n").as_bytes());
    }

    /// Data as it is. Whether it was taken is asked at the end: [`Output::finish`]. Answers whether more is wanted.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> bool {
        if self.broken.get().is_some() {
            return false;
        }
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => true,
            Err(error) => self.broken.set(error).is_err(), // the first one is told
        }
    }

    /// Whether everything printed was taken. A reader that closes the pipe early has seen enough.
    pub(crate) fn finish(&self) -> Result<(), &io::Error> {
        match self.broken.get().filter(|error| error.kind() != io::ErrorKind::BrokenPipe) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// A line for a person, on standard error.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// With the members of objects in the order of their names.
    pub(crate) fn json(&self, value: &impl Serialize) {
        self.line(&format!("{:#}", json!(value)));
    }

    pub(crate) fn listing(&self, listing: &Listing) -> anyhow::Result<()> {
        match self.format {
            Format::Table => self.line(&self.table(listing)),
            Format::Json => self.json(&listing.to_json()),
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(Vec::new());
                writer.write_record(listing.columns.iter().map(|(name, _)| field_name(name)))?;
                for row in listing.data_rows() {
                    writer.write_record(
                        row.iter().map(|cell| billing::spreadsheet::neutralise(cell).into_owned()),
                    )?;
                }
                self.bytes(&writer.into_inner().map_err(csv::IntoInnerError::into_error)?);
            }
        }
        Ok(())
    }

    fn table(&self, listing: &Listing) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header(listing.columns.iter().map(|(name, _)| Cell::new(name)));
        for row in &listing.rows {
            let cells = row.iter().zip(&listing.columns);
            table.add_row(cells.map(|(cell, (_, alignment))| self.cell(cell).set_alignment(*alignment)));
        }
        table.to_string()
    }

    fn cell(&self, text: &str) -> Cell {
        let color = match text {
            "matched" | "closed" | "final" | "allocated" | "certified" | "done" | "accepted" => {
                Some(Color::Green)
            }
            "explained" | "open" | "reopened" | "registered" | "waiting" | "planned" | "sent" | "unknown"
            | "late" | "missing" => Some(Color::Yellow),
            "mismatch" | "held" | "failed" | "rejected" => Some(Color::Red),
            _ => None,
        };
        let cell = Cell::new(text);
        match color.filter(|_| self.color) {
            Some(color) => cell.fg(color),
            None => cell,
        }
    }

    /// A heading, in tables only.
    pub(crate) fn heading(&self, text: &str) {
        if self.format == Format::Table {
            let (bold, plain) = if self.color { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
            self.line(&format!("\n{bold}{text}{plain}"));
        }
    }

    /// A bar on a terminal, a line elsewhere.
    pub(crate) fn progress(&self, what: &str) -> Progress {
        if !io::stderr().is_terminal() {
            self.note(what);
            return Progress { bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()) };
        }
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what.to_owned());
        Progress { bar }
    }
}

/// Progress of something that is counted down.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn waiting(&self, waiting: usize) {
        let waiting = u64::try_from(waiting).unwrap_or(u64::MAX);
        let most = self.bar.length().unwrap_or(0).max(waiting);
        self.bar.set_length(most);
        self.bar.set_position(most - waiting);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
