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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CATALOG: &str = "currency: EUR\nrevenue:\n  clients: [{id: 1, name: Ann}]\n  services:\n    - {id: 7, name: Shop, client: 1, \
                           fixed_monthly_price: 10}\n";

    fn payment(id: &str, amount: &str, currency: &str) -> String {
        json!({
            "id": id, "date": "2026-10-02T12:00:00Z", "client": 1, "source": "tr", "destination": "iv", "amount": amount, "currency": currency,
            "invoice": {"id": id, "items": [{"id": 1, "service": 7, "item_type": "service", "amount": amount}]},
        })
        .to_string()
    }

    fn october() -> Window {
        Window::month("2026-10".parse().unwrap())
    }

    fn rules() -> RevenueRules {
        RevenueRules { default_location: Some("Chicago".into()), ..RevenueRules::default() }
    }

    fn made(inputs: &Inputs) -> Made {
        make(october(), inputs, &rules(), &[]).unwrap()
    }

    fn held(inputs: &Inputs) -> Held {
        match made(inputs) {
            Made::Held(held) => held,
            Made::Reports(_) => panic!("it is reported"),
        }
    }

    fn totals(made: &Made) -> Vec<String> {
        let Made::Reports(statements) = made else { panic!("it is held") };
        let total = |statement: &RevenueStatement| {
            format!("{} {}", statement.certificate.total_revenue, statement.certificate.currency)
        };
        statements.iter().map(total).collect()
    }

    #[test]
    fn the_files_of_a_month_are_one_journal_and_its_proof_names_them() {
        let (first, second) = (payment("a", "4.00", "EUR"), payment("b", "5.50", "EUR"));
        let made = made(&Inputs::of(&[("a.jsonl", &first), ("b.jsonl", &second)], Some(CATALOG)));
        assert_eq!(totals(&made), ["9.50 EUR"]);
        let Made::Reports(statements) = made else { panic!("it is held") };
        let inputs = &statements[0].certificate.inputs;
        let keys: Vec<_> = inputs.iter().map(|input| input.key.as_str()).collect();
        assert_eq!(keys, ["journal/2026-10/a.jsonl", "journal/2026-10/b.jsonl"]);
    }

    #[test]
    fn a_report_that_stands_in_a_currency_without_money_now_comes_to_nothing() {
        let inputs = Inputs::of(&[("a.jsonl", &payment("a", "4.00", "EUR"))], Some(CATALOG));
        let swiss = Currency::from_code("CHF").unwrap();
        let made = make(october(), &inputs, &rules(), &[swiss]).unwrap();
        assert_eq!(totals(&made), ["0.00 CHF", "4.00 EUR"]);
    }

    #[test]
    fn lines_that_cannot_be_used_hold_the_month_each_by_file_and_line() {
        let good = payment("a", "4.00", "EUR");
        let bad = format!("{}\n{{}}\n", payment("b", "1.00", "EUR"));
        let held = held(&Inputs::of(&[("a.jsonl", &good), ("b.jsonl", &bad)], Some(CATALOG)));
        assert_eq!((held.count, held.problems.len()), (1, 1));
        let HeldLine { file, line, .. } = &held.problems[0];
        assert_eq!((file.as_str(), *line), ("journal/2026-10/b.jsonl", Some(2)));
        assert!(held.reason.starts_with("journal/2026-10/b.jsonl line 2: "), "{}", held.reason);
    }

    #[test]
    fn what_is_no_journal_file_holds_the_month_until_it_is_moved() {
        let stray = ("journal/2026-10/c.csv".to_owned(), "its name does not end with .jsonl".to_owned());
        let mut inputs = Inputs::of(&[], Some(CATALOG));
        inputs.strays.push(stray);
        let reason = "journal/2026-10/c.csv: its name does not end with .jsonl; move it elsewhere";
        assert_eq!(held(&inputs).reason, reason);
    }

    #[test]
    fn a_catalog_that_cannot_be_read_holds_the_month() {
        let held = held(&Inputs::of(&[("a.jsonl", &payment("a", "4.00", "EUR"))], Some("revenue: [")));
        assert_eq!((held.problems[0].file.as_str(), held.problems[0].line), (CURRENT, None));
    }

    #[test]
    fn a_location_that_nobody_configured_is_no_fault_of_the_journal() {
        let inputs = Inputs::of(&[("a.jsonl", &payment("a", "4.00", "EUR"))], Some(CATALOG));
        let error = make(october(), &inputs, &RevenueRules::default(), &[]).err().unwrap().to_string();
        assert!(error.contains("REPORTING_DEFAULT_LOCATION") && error.contains("service 7"), "{error}");
    }
}
