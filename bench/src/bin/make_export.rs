//! `make-export FOLDER MONTH SUBSCRIPTIONS`: writes a month of hourly usage as Omnistrate exports it, with its marker; prints how many files.

#![expect(clippy::print_stdout, reason = "a program")]

use std::error::Error;
use std::path::Path;

use local::sandbox::OmnistrateExport;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, month, subscriptions] = arguments.as_slice() else {
        return Err("usage: make-export FOLDER MONTH SUBSCRIPTIONS".into());
    };
    let export = OmnistrateExport::sized(vec![month.parse()?], subscriptions.parse()?);
    println!("{}", export.write_to(Path::new(folder))?);
    Ok(())
}
