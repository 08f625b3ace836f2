//! What the console does with too much, and with what is no request of ours.

use cloud::vars::Vars;
use reqwest::header::CONTENT_TYPE;

use crate::console::{NEWER, PASSWORD, console, error, quarter};

#[tokio::test]
async fn attempts_at_the_same_time_are_counted_and_the_right_ones_are_not() {
    let world = console(Vars::default()).await;
    let client = reqwest::Client::new();
    let statuses = async |count: usize, password: &str| {
        let ask = async || {
            let request = client.get(world.url(NEWER)).basic_auth("admin", Some(password));
            request.send().await.unwrap().status().as_u16()
        };
        let mut statuses = futures::future::join_all((0..count).map(|_| ask())).await;
        statuses.sort_unstable();
        statuses
    };
    assert_eq!(statuses(25, PASSWORD).await, [200; 25]);
    loop {
        let begun = quarter();
        let (wrong, right) = (statuses(60, "wrong").await, statuses(3, PASSWORD).await);
        if begun == quarter() {
            assert_eq!((&wrong[..10], &wrong[10..]), (&[401; 10][..], &[429; 50][..]));
            assert_eq!(right, [429; 3]);
            return;
        }
    }
}

#[tokio::test]
async fn every_error_of_the_router_is_one_of_ours() {
    let world = console(Vars::default()).await;
    let base = "/api/admin/datastores/billing";
    let bad = format!("{base}/usage/%ff");
    assert_eq!(error(world.ask(&bad, &[]).await).await.0, 401);
    let told = error(world.as_admin(&bad).await).await;
    assert_eq!(told, (400, "the type of report cannot be read, use json or csv".into()));
    let posted = world.post(NEWER, "", &[]).await;
    assert_eq!(posted.headers()["allow"], "GET,HEAD");
    assert_eq!(error(posted).await, (405, "this is not asked for with that method".into()));
    assert_eq!(error(world.ask("/auth/admin/assets/%ff", &[]).await).await.0, 404);
    for (content_type, body, status) in [
        ("application/x-www-form-urlencoded", "user=admin".to_owned(), 422),
        ("application/json", "{}".into(), 415),
        ("application/x-www-form-urlencoded", "x".repeat(3_000_000), 413),
    ] {
        let request = reqwest::Client::new().post(world.url("/auth/admin/sign-in"));
        let response = request.header(CONTENT_TYPE, content_type).body(body).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        let page = response.text().await.unwrap();
        assert!(page.contains("The form cannot be read") && page.contains("name=\"csrf\""), "{page}");
    }
}
