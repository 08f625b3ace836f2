//! From what was read to what is to stand: the reports of a window, or why they are held.

use billing::catalog::{CURRENT, Offer, offer};
use billing::certificate::DocumentRef;
use billing::money::Currency;
use billing::revenue::{
    Journal, JournalFile, Material, RevenueRules, RevenueStatement, StatementError, Window, statements,
};
use billing::revision::sha256_hex;
use cloud::vars::VarError;
use serde::Serialize;

use crate::WindowError;
use crate::inputs::Inputs;

/// What is to stand.
pub(crate) enum Made {
    Reports(Vec<RevenueStatement>),
    Held(Held),
}

/// Why nothing new may be published.
#[derive(Serialize)]
pub(crate) struct Held {
    /// In one line.
    pub(crate) reason: String,
    /// One by one, as far as they are told.
    pub(crate) problems: Vec<HeldLine>,
    /// How many there are.
    pub(crate) count: usize,
}

#[derive(Serialize)]
pub(crate) struct HeldLine {
    pub(crate) file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
    pub(crate) reason: String,
}

impl Held {
    fn over(problems: Vec<HeldLine>, count: usize, reason: String) -> Self {
        Self { reason, problems, count }
    }

    fn one(file: &str, reason: String) -> Self {
        let line = HeldLine { file: file.to_owned(), line: None, reason: reason.clone() };
        Self::over(vec![line], 1, format!("{file}: {reason}"))
    }
}

/// The reports of a window, or why they are held. `standing` are the currencies in which one stands.
pub(crate) fn make(
    window: Window,
    inputs: &Inputs,
    rules: &RevenueRules,
    standing: &[Currency],
) -> Result<Made, WindowError> {
    if let Some((key, why)) = inputs.strays.first() {
        return Ok(Made::Held(Held::one(key, format!("{why}; move it elsewhere"))));
    }
    let offer = match inputs.catalog.as_deref().map_or_else(|| Ok(Offer::default()), offer) {
        Ok(offer) => offer,
        Err(error) => return Ok(Made::Held(Held::one(CURRENT, error.to_string()))),
    };
    let files = inputs.files.iter().map(|file| JournalFile {
        key: file.key.as_str(),
        month: file.key.month,
        bytes: &file.bytes,
    });
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let journal = match Journal::read(&files.collect::<Vec<_>>(), &offer, workers) {
        Ok(journal) => journal,
        Err(problems) => {
            let reason = problems.to_string();
            let line = |problem: billing::revenue::LineProblem| HeldLine {
                file: problem.file,
                line: Some(problem.line),
                reason: problem.problem.to_string(),
            };
            let lines = problems.first.into_iter().map(line).collect();
            return Ok(Made::Held(Held::over(lines, problems.count, reason)));
        }
    };
    let documents: Vec<DocumentRef> = inputs.files.iter().map(|file| file.document.clone()).collect();
    let catalog = inputs.catalog.as_deref().map(sha256_hex);
    let material = Material {
        window,
        journal: &journal,
        offer: &offer,
        rules,
        inputs: &documents,
        catalog: catalog.as_deref(),
        standing,
    };
    match statements(&material) {
        Ok(statements) => Ok(Made::Reports(statements)),
        Err(StatementError::NoDefaultLocation(service)) => Err(WindowError::NoDefaultLocation {
            service: format!("service {service}"),
            source: VarError::Missing {
                name: "REPORTING_DEFAULT_LOCATION",
                meaning: "the location of services without usage details",
            },
        }),
        Err(error) => Ok(Made::Held(Held::one(&format!("journal/ of {window}"), error.to_string()))),
    }
}
