//! A team's charges are its own however Azure spells accounts and tags, and also where only a tag says whose they are.

use cloud::vars::Vars;
use local::Functions;
use local::sandbox::Organisation;
use serde_json::{Value, json};

use crate::teams_world::totals;
use crate::world::{World, now, quick};

const CATALOG: &str = "
currency: USD
cost_center_tag: cost-center
customers:
  - {name: Team Blue, cost_center: '1'}
  - {name: Team Red, cost_center: '2'}
accounts:
  - {provider: Microsoft, id: /subscriptions/SUB-1, customer: Team Blue}
";

const EXPORT: &str = "\
BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,SubAccountId,Tags
100,100,USD,payer,2026-09-01,Usage,Compute,sub-1,\"{\"\"Cost-Center\"\": \"\"2\"\"}\"
10,10,USD,payer,2026-09-01,Usage,Compute,sub-1,\"{\"\"cost-center\"\": \"\"2\"\"}\"
5,5,USD,payer,2026-09-01,Usage,Compute,sub-1,\"{\"\"cost-center\"\": \"\" 2 \"\"}\"
1,1,USD,payer,2026-09-01,Usage,Compute,sub-1,
7,7,USD,payer,2026-09-01,Usage,Compute,sub-9,\"{\"\"Cost-Center\"\": \"\"2\"\"}\"
3,3,USD,payer,2026-09-01,Usage,Compute,sub-8,\"{\"\"cost-center\"\": \"\"2\"\"}\"
";

async fn try_bill(world: &World, event: Value) -> Value {
    let vars = Vars::from_iter([("BILL_INPUTS", "Microsoft/PAYER")]).or(world.cloud.vars());
    Functions::new(vars).invoke("bill", &event, "test", now()).await.unwrap()
}

#[tokio::test]
async fn a_cost_centre_tag_finds_its_team_however_it_is_written_and_in_whichever_account() {
    let world = World::with(Organisation::recorded([]), false, quick()).await;
    world.put("catalog/current.yaml", CATALOG).await;
    let key = "raw/focus/azure/payer/2026-09/export/2026-09.csv";
    world.put(key, EXPORT).await;
    world.cloud.functions().invoke("allocate", &json!({"key": key}), "test", now()).await.unwrap();
    let report = try_bill(&world, json!({"month": "2026-09"})).await["months"][0].clone();
    assert_eq!(totals(&report), ["Team Blue 1.00 1.00", "Team Red 125.00 125.00"], "{report}");
    assert_eq!(report["unallocated"], json!([]));

    let red: Vec<String> = world.runs("2026-09").await[0]
        .bill("Team Red")
        .unwrap()
        .lines
        .iter()
        .map(|line| format!("{} {} {}", line.key, line.name, line.amount))
        .collect();
    let expected = [
        "account/azure//subscriptions/SUB-1 /subscriptions/SUB-1 115",
        "cost-center/azure/payer/sub-8 sub-8 3",
        "cost-center/azure/payer/sub-9 sub-9 7",
    ];
    assert_eq!(red, expected);
    let exported = world.text("bills/2026-09/azure.csv").await;
    assert!(exported.contains("100 % of 7 USD, tagged with cost centre 2"), "{exported}");

    // of the rule's charges those that are behind the line
    let line = "cost-center/azure/payer/sub-9";
    let event = json!({"month": "2026-09", "customer": "Team Red", "line": line, "explain": true});
    let explained = try_bill(&world, event).await["explained"].clone();
    let charges = explained["charges"].as_array().unwrap();
    assert_eq!(charges.len(), 1);
    assert_eq!(
        (&charges[0]["rule"], &charges[0]["documents"][0]["amount"]),
        (&json!("customers[1], line 6"), &json!("7"))
    );

    let by_tag = world.text("bills/2026-09/aggregates/by-tag.csv").await;
    assert!(by_tag.contains("2026-09,cost-center,2,true,USD,12"), "{by_tag}");
    assert!(!by_tag.contains("Cost-Center"), "{by_tag}");
}
