//! Usage of datastores (database as a service): from the events of their lives to instance hours, GiB-hours and traffic.
//!
//! A report depends on the set of events, not on their order or repetition: [`Event`]s of one datastore make a [`History`], a history
//! is lived through once ([`Life`]), and a life is measured in a [`Window`] (a [`DatastoreUsage`] for each customer). Time is counted in whole milliseconds and
//! sizes in billionths of a GiB; a figure is rounded once, when it is written.

mod event;
mod forgone;
mod history;
#[cfg(test)]
mod laws;
mod life;
mod measure;
mod order;
mod output;
mod owner;
mod quantity;
#[cfg(test)]
mod tests;
mod window;

pub use event::{BadLines, Change, Event, LineError, read_lines};
pub use history::History;
pub use life::{Life, MINIMUM_INTERVAL_MS};
pub use measure::{Backups, DatastoreUsage, InstanceUsage, VolumeUsage};
pub use output::{CSV_COLUMNS, csv_rows, json_row};
pub use quantity::{Gib, Moment, Rounded};
pub use window::{InvalidRetention, InvalidTolerance, InvalidWindow, Retention, Tolerance, Window};
