use super::*;

/// A month of a team, revised after it was billed, and the month that takes the difference.
struct Team;

impl Tale for Team {
    fn least_calls(&self) -> usize {
        30
    }

    /// A team with an account and a service.
    fn begin(&self) -> LocalBoxFuture<'static, World> {
        Box::pin(async {
            let world = World::with(Organisation::recorded([]), false, quick()).await;
            let catalog = "{currency: USD, customers: [{name: blue, email: blue@example.com}], \
                           accounts: [{provider: acme, id: one, customer: blue, percentage: 110}], \
                           positions: [{customer: blue, month: 2026-10, reason: setup, amount: 5}]}";
            world.put("catalog/current.yaml", catalog).await;
            world.charge("acme", "2026-09", &[("one", "Compute", "10")], 0).await;
            world
        })
    }

    /// What is allocated is another story; so only bills go through the gate.
    fn steps(&self) -> Vec<Step> {
        let bill = |event| Step::Deliver("bill", event);
        let revised = act(|world| Box::pin(world.charge("acme", "2026-09", &[("one", "Compute", "11")], 1)));
        vec![
            bill(json!({"month": "2026-09"})),
            revised,
            bill(json!({"month": "2026-09"})),
            bill(json!({"month": "2026-10", "release": "the account is closed"})),
        ]
    }

    /// Who is told that nobody knows whether a mail went out looks, and says so.
    fn answer(&self, world: &World, event: &mut Value, failure: &Failure) {
        if failure.message.contains("nobody here knows whether it went out") {
            let subject = format!("for {}", event["month"].as_str().unwrap());
            let arrived = world.ses.sent().iter().any(|mail| mail.subject.ends_with(&subject));
            event["mails"] = json!({"blue": if arrived { "sent" } else { "send" }});
        }
    }
}

sweeps!(Team);
