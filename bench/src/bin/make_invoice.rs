//! `make-invoice LINES PROJECTS FILE`: writes an Atlas invoice of that size, the same every time.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};

use bench::invoice::{self, Size};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [lines, projects, file] = arguments.as_slice() else {
        return Err("usage: make-invoice LINES PROJECTS FILE".into());
    };
    let mut out = BufWriter::new(File::create(file)?);
    invoice::write(&mut out, Size { lines: lines.parse()?, projects: projects.parse()? })?;
    Ok(out.flush()?)
}
