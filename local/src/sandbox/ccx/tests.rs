use billing::ccx::{Shape, UsageReport, certify};
use billing::certificate::Status;
use billing::keys::RawDocumentKey;
use billing::revision::Revision;

use super::*;
use crate::sandbox::running::Running;

impl Running<Ccx> {
    async fn start() -> Self {
        Self::of(CcxSandbox::example("2026-10".parse().unwrap())).await
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let [(_, user), (_, password)] = CCX_CREDENTIALS;
        let request = self.client.get(format!("{}{path}", self.url)).basic_auth(user, Some(password));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

#[tokio::test]
async fn both_spellings_tell_of_the_same_usage() {
    let running = Running::start().await;
    let (_, current) = running.get(&format!("{CURRENT}?from=2026-10-01&to=2026-10-31")).await;
    let (_, legacy) = running.get(&format!("{LEGACY}?start=2026-10-01&end=2026-10-31")).await;
    let certified = |document: &str| {
        let revision = Revision::of(document.as_bytes());
        let key = RawDocumentKey::parse(&format!("raw/ccx/a/2026-10/usage/{revision}.json")).unwrap();
        certify(&key, document.as_bytes(), "2026-11-02T00:00:00Z".parse().unwrap()).unwrap()
    };
    let (current, legacy) = (certified(&current), certified(&legacy));
    assert_eq!((current.subject.shape, current.status), (Shape::Current, Status::Matched));
    assert_eq!((legacy.subject.shape, legacy.status), (Shape::Legacy, Status::Explained));
    assert_eq!(current.totals.instance_hours, legacy.totals.instance_hours);
    assert_eq!(current.totals.network_egress_gib, legacy.totals.network_egress_gib);
    assert_eq!(current.datastores.listed, 11, "one of the dozen was gone before");
    // three nodes of 744 hours; two and a third of 380; the resized one; one that ends after 530
    let hours = current.totals.instance_hours["c4.m8"].to_string();
    assert_eq!(hours, (3 * 744 + 2 * 744 + (1_464 - 1_100) + 744 + (1_250 - 720)).to_string());
}

#[tokio::test]
async fn usage_is_clipped_to_the_days_asked_for() {
    let running = Running::start().await;
    let hours = async |from: &str, to: &str| {
        let (status, text) = running.get(&format!("{CURRENT}?from={from}&to={to}")).await;
        assert_eq!(status, 200, "{text}");
        let report = UsageReport::parse(text.as_bytes()).unwrap();
        let first = &report.datastores[0];
        (report.to.to_rfc3339(), first.instances[0].hours.to_string(), first.network_egress_gib.unwrap())
    };
    let (to, day, _) = hours("2026-10-05", "2026-10-05").await;
    assert_eq!((to.as_str(), day.as_str()), ("2026-10-06T00:00:00+00:00", "24"));
    let (_, month, before) = hours("2026-10-01", "2026-10-31").await;
    assert_eq!(month, "744");
    running.sandbox.amend();
    let (_, _, after) = hours("2026-10-01", "2026-10-31").await;
    assert_eq!(after.minus(before).unwrap().to_string(), "1.5");
}

#[tokio::test]
async fn wrong_requests_are_refused_as_the_server_does() {
    let running = Running::start().await;
    let reversed = running.get(&format!("{CURRENT}?from=2026-10-02&to=2026-10-01")).await;
    assert_eq!(reversed, (400, r#"{"error":"'to' must not be before 'from'"}"#.to_owned()));
    assert_eq!(running.get(&format!("{LEGACY}?start=october")).await.0, 400);
    assert_eq!(
        running.get("/api/admin/billing").await,
        (200, "<!doctype html><title>CCX</title>".to_owned())
    );
    let url = format!("{}{CURRENT}", running.url);
    let strangers = [running.client.get(&url), running.client.get(&url).basic_auth("admin", Some("wrong"))];
    for request in strangers {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.headers()["www-authenticate"], "Basic realm=\"Authentication Required\"");
    }
}
