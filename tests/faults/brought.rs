use super::*;

/// A further part that is asked about and added, the bill withdrawn, and brought again.
struct Brought;

impl Tale for Brought {
    fn least_calls(&self) -> usize {
        50
    }

    fn holds(&self) -> bool {
        true
    }

    fn steps(&self) -> Vec<Step> {
        let further = export("9.5").replace(",one,", ",two,").replace("Tax,Compute,,", "Usage,Compute,two,");
        let mut steps = Vec::from(uploaded("one.csv", export("10.004"), 0));
        steps.extend(uploaded("two.csv", further, 1));
        let say = |answer: &str, name: &str| json!({"key": format!("{SEPTEMBER}{name}"), "answer": answer});
        let withdraw = json!({"withdraw": "acme/a-1/2026-09/export", "reason": "the wrong account"});
        for event in [say("add", "two.csv"), withdraw, say("replace", "one.csv")] {
            steps.extend([Step::Deliver("allocate", event), Step::Follow]);
        }
        steps
    }
}

sweeps!(Brought);
