//! The accounts of the organisation, after an empty page, which is legal.

use serde_json::{Value, json};

use super::{Aws, Refusal};

const ACCOUNTS: &str = include_str!("../../../examples/aws/organizations_page2.json");

/// The accounts.
pub(super) fn all() -> Vec<Value> {
    let document: Value = serde_json::from_str(ACCOUNTS).unwrap_or_default();
    document["Accounts"].as_array().cloned().unwrap_or_default()
}

/// The name of an account.
pub(super) fn name(id: &str) -> Option<String> {
    let named = all().into_iter().find(|account| account["Id"] == id)?;
    named["Name"].as_str().map(str::to_owned)
}

/// `ListAccounts`.
pub(super) fn answer(state: &mut Aws, request: &Value) -> Result<Value, Refusal> {
    // the first page holds nothing but a token
    let mut entries = vec![Vec::new()];
    entries.extend(all().chunks(2).map(<[Value]>::to_vec));
    let (page, next) = state.page(request, entries, 1, 0)?;
    let mut answer = json!({"Accounts": page.concat()});
    if let Some(next) = next {
        answer["NextToken"] = json!(next);
    }
    Ok(answer)
}
