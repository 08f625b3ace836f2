//! Drivers of costs, as `run` shows them.

use serde_json::{Map, Value};

use crate::output::Listing;

/// What became of the drivers that a run fetched; nothing if it fetched none.
pub(crate) fn fetched(reports: &Map<String, Value>) -> Option<Listing> {
    let mut listing = Listing::new(&["month", "driver", "state", "targets>", "key"]);
    for driver in reports.get("fetch-prometheus")?["drivers"].as_array()? {
        let text = |name: &str| driver[name].as_str().unwrap_or_default().to_owned();
        let targets = driver["quantities"].as_object().map_or(0, Map::len).to_string();
        listing.row(vec![text("month"), text("driver"), text("state"), targets, text("key")]);
    }
    Some(listing)
}
