//! Revenue of a month, reported by the program.

use serde_json::json;

use super::Desk;

#[test]
fn revenue_of_a_month_and_a_line_that_holds_it() {
    let desk = Desk::new();
    let nothing = desk.run(&["report", "revenue", "--month", "2026-10"]);
    assert_eq!((nothing.code, nothing.out.as_str()), (0, ""));
    assert!(nothing.err.contains("nothing to report"), "{}", nothing.err);
    desk.write(
        "catalog.yaml",
        b"currency: EUR\nrevenue: {clients: [{id: 1, name: '=Ann'}], services: [{id: 7, name: Shop, client: 1, fixed_monthly_price: 3}]}",
    );
    let payment = json!({
        "id": "a", "date": "2026-10-02T00:00:00Z", "client": 1, "source": "tr", "destination": "cr", "amount": 2, "currency": "EUR",
    });
    desk.write("a.jsonl", payment.to_string().as_bytes());
    desk.write("broken.jsonl", b"{}");
    desk.write(".env", b"REPORTING_DEFAULT_LOCATION=Zug\n");
    assert_eq!(desk.run(&["put", "catalog.yaml", "catalog/current.yaml"]).code, 0);
    assert_eq!(desk.run(&["put", "a.jsonl", "journal/2026-10/a.jsonl"]).code, 0);
    let csv = desk.run(&["report", "revenue", "--month", "2026-10", "--format", "csv"]);
    assert!(
        csv.out.contains(",'=Ann,7,Shop,0,3.00,false,0.00,0.00,0.00,3.00,100.00,2.00,1.00,Zug=2.00"),
        "{}",
        csv.out
    );
    let window = desk.json(&["report", "revenue", "--start", "2026-10-01", "--end", "2026-10-02"]);
    assert_eq!(window["total_revenue"], json!(0));
    assert_eq!(desk.run(&["put", "broken.jsonl", "journal/2026-10/b.jsonl"]).code, 3);
    let held = desk.run(&["report", "revenue", "--month", "2026-10"]);
    assert_eq!(held.code, 3);
    assert!(held.err.contains("journal/2026-10/b.jsonl line 1: id is missing"), "{}", held.err);
    assert_eq!(desk.run(&["report", "revenue", "--start", "2026-10-01"]).code, 2);
}
