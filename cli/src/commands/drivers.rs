//! Drivers of costs, as `run` shows them.

use fetch_prometheus::ReportedDriver;

use crate::output::{Listing, text};

/// What became of the drivers that a run fetched.
pub(crate) fn fetched(drivers: &[ReportedDriver]) -> Listing {
    let mut listing = Listing::new(&["month", "driver", "state", "targets>", "key"]);
    for driver in drivers {
        listing.row(vec![
            driver.month.to_string(),
            driver.driver.clone(),
            text(&driver.state),
            driver.quantities.len().to_string(),
            driver.key.clone(),
        ]);
    }
    listing
}
