use super::*;

/// An invoice in two revisions, and an open month.
struct Invoices;

impl Tale for Invoices {
    fn least_calls(&self) -> usize {
        50
    }

    fn begin(&self) -> LocalBoxFuture<'static, World> {
        let first = Organisation::recorded([open(), revision(500, "2026-11-02T00:00:00Z")]);
        Box::pin(World::with(first, false, quick()))
    }

    fn steps(&self) -> Vec<Step> {
        let restated = act(|world| {
            Box::pin(async {
                let restated = revision(620, "2026-11-09T00:00:00Z");
                world.atlas.replace(Organisation::recorded([open(), restated]));
            })
        });
        let mut steps = Vec::from(scheduled("fetch-atlas"));
        steps.push(restated);
        steps.extend(scheduled("fetch-atlas"));
        steps
    }
}

/// A small organisation: an ended month, in two revisions one after the other, and an open one.
fn revision(cents: i64, updated: &str) -> Vec<u8> {
    let line = |project: &str, cents: i64| json!({"groupId": project, "groupName": project, "sku": "X", "totalPriceCents": cents});
    json!({
        "id": "i1", "orgId": "o1", "statusName": "CLOSED", "updated": updated, "subtotalCents": cents + 100,
        "startDate": "2026-10-01T00:00:00Z", "endDate": "2026-11-01T00:00:00Z",
        "lineItems": [line("a", cents), line("b", 70), {"sku": "ATLAS_SUPPORT", "totalPriceCents": 30}],
    })
    .to_string()
    .into_bytes()
}

fn open() -> Vec<u8> {
    json!({
        "id": "i2", "orgId": "o1", "statusName": "PENDING", "subtotalCents": 5,
        "startDate": "2026-11-01T00:00:00Z", "endDate": "2026-12-01T00:00:00Z",
        "lineItems": [{"sku": "X", "groupId": "a", "groupName": "a", "totalPriceCents": 5}],
    })
    .to_string()
    .into_bytes()
}

sweeps!(Invoices);
