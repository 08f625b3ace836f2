//! What stands in Vault's answers. Errors never say what a member holds.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::Value;

use super::config::Engine;
use super::error::VaultError;
use crate::peer::{Answer, PeerError};

/// The JSON of an answer; of one that is none, only where it ends to be one is said.
pub(super) fn json(path: &str, body: &[u8]) -> Result<Value, VaultError> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|error| {
        let at = format!("it is no JSON from line {}, column {} on", error.line(), error.column());
        PeerError::unexpected(path, at).into()
    })
}

/// The token that a login answers.
pub(super) fn token(path: &str, answer: &Value) -> Result<SecretString, VaultError> {
    let token = answer.pointer("/auth/client_token").and_then(Value::as_str).unwrap_or_default();
    if token.is_empty() {
        let mfa = answer.pointer("/auth/mfa_requirement").is_some_and(|asked| !asked.is_null());
        let reason = if mfa { "the login asks for a second factor" } else { "there is no auth.client_token" };
        return Err(PeerError::unexpected(path, reason).into());
    }
    Ok(token.into())
}

/// The members of a secret, each also under its name in capitals (`public_key` as `PUBLIC_KEY`) unless that is a member itself.
pub(super) fn members(
    engine: Engine,
    path: &str,
    answer: &Value,
) -> Result<BTreeMap<String, SecretString>, VaultError> {
    let unexpected = |reason| VaultError::from(PeerError::unexpected(path, reason));
    let data = match engine {
        Engine::V1 => &answer["data"],
        Engine::V2 if answer["data"].get("data").is_none() => {
            return Err(unexpected("there is no data.data; set VAULT_KV=1 if that engine is of version 1"));
        }
        Engine::V2 => &answer["data"]["data"],
    };
    if data.is_null()
        && let Some(gone) = gone(path, answer)
    {
        return Err(gone);
    }
    let data = data.as_object().ok_or_else(|| unexpected("the secret is no JSON object"))?;
    let mut members = BTreeMap::new();
    for (name, value) in data {
        let kind = match value {
            Value::String(text) => {
                let text = text.trim();
                let capitals = name.to_uppercase();
                if !text.is_empty() && (capitals == *name || !data.contains_key(&capitals)) {
                    let name = if name.contains(char::is_uppercase) { name.clone() } else { capitals };
                    members.insert(name, SecretString::from(text.to_owned()));
                }
                continue;
            }
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object (a JSON document as a value must be written as text)",
        };
        return Err(VaultError::Member { path: path.to_owned(), member: name.clone(), kind });
    }
    Ok(members)
}

/// Whether the newest version is there no more: a 404 that has a body.
pub(super) fn gone(path: &str, answer: &Value) -> Option<VaultError> {
    let metadata = answer.pointer("/data/metadata")?;
    let (path, version) = (path.to_owned(), metadata["version"].as_u64()?);
    Some(match metadata["destroyed"].as_bool() {
        Some(true) => VaultError::Destroyed { path, version },
        _ => VaultError::Deleted { path, version },
    })
}

/// The newest version of a document.
pub(super) fn version(path: &str, answer: &Value) -> Result<u64, VaultError> {
    answer.pointer("/data/metadata/version").and_then(Value::as_u64).ok_or_else(|| {
        let missing = "there is no data.metadata.version; set VAULT_KV=1 if that engine is of version 1";
        PeerError::unexpected(path, missing).into()
    })
}

/// Whether an answer is about a version of a document that is there no more.
pub(super) fn is_about_a_version(body: &[u8]) -> bool {
    json("", body).is_ok_and(|answer| gone("", &answer).is_some())
}

/// Whether a write was refused because somebody else had written.
pub(super) fn was_changed(answer: &Answer) -> bool {
    answer.status == 400 && said(&answer.body).contains("check-and-set")
}

/// Vault's own errors, else its warnings.
pub(super) fn said(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let texts = |name: &str| {
        let listed = body[name].as_array().into_iter().flatten().filter_map(Value::as_str);
        listed.collect::<Vec<_>>().join("; ")
    };
    let errors = texts("errors");
    if errors.trim().is_empty() { texts("warnings") } else { errors }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use serde_json::json;

    use super::*;

    const PATH: &str = "secret/data/monthend/atlas";

    fn read(engine: Engine, answer: &Value) -> Result<Vec<(String, String)>, String> {
        let members = members(engine, PATH, answer).map_err(|error| error.to_string())?;
        Ok(members.into_iter().map(|(name, value)| (name, value.expose_secret().to_owned())).collect())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn members_are_found_in_either_case_and_the_exact_name_wins() {
        let data = json!({"public_key": "lower", "PUBLIC_KEY": "exact ", "org_id": "o", "empty": " ", "Mixed_Case": "m"});
        let expected = Ok(pairs(&[("Mixed_Case", "m"), ("ORG_ID", "o"), ("PUBLIC_KEY", "exact")]));
        assert_eq!(read(Engine::V2, &json!({"data": {"data": data, "metadata": {"version": 1}}})), expected);
        assert_eq!(read(Engine::V1, &json!({"data": data})), expected);
    }

    #[test]
    fn what_is_no_secret_is_told_without_its_values() {
        let member = |value: Value| {
            read(Engine::V2, &json!({"data": {"data": {"key": value}, "metadata": {}}})).unwrap_err()
        };
        for (value, kind) in [
            (json!(4711), "a number"),
            (json!(null), "null"),
            (json!(true), "true or false"),
            (json!(["4711"]), "a list"),
            (json!({"a": "4711"}), "an object"),
        ] {
            let message = member(value);
            let expected = format!("the member key of {PATH} in Vault is {kind}");
            assert!(message.starts_with(&expected) && !message.contains("4711"), "{message}");
        }
        let deleted = json!({"data": {"data": null, "metadata": {"version": 2, "destroyed": false}}});
        assert!(read(Engine::V2, &deleted).unwrap_err().contains("version 2 of"));
        for (engine, answer, part) in [
            (Engine::V2, json!({"data": {"key": "4711"}}), "set VAULT_KV=1 if"),
            (Engine::V1, json!({"data": "4711"}), "the secret is no JSON object"),
            (Engine::V1, json!(null), "the secret is no JSON object"),
        ] {
            let message = read(engine, &answer).unwrap_err();
            assert!(message.contains(part) && !message.contains("4711"), "{message}");
        }
        let cut = json(PATH, br#"{"data": {"data": {"key": "47"#).unwrap_err().to_string();
        assert_eq!(
            cut,
            format!(
                "the answer to {PATH} is not what the API documents: it is no JSON from line 1, column 29 on"
            )
        );
    }

    #[test]
    fn errors_are_quoted_else_warnings() {
        let said = |body: &str| said(body.as_bytes());
        assert_eq!(said(r#"{"errors": ["permission denied", "again"]}"#), "permission denied; again");
        assert_eq!(said(r#"{"errors": [], "warnings": ["Invalid path"]}"#), "Invalid path");
        assert_eq!(said(r#"{"errors": []}"#), "");
        assert_eq!(said("<html>"), "");
    }

    #[test]
    fn a_login_without_a_token_is_none() {
        let token = |answer: Value| token("auth/approle/login", &answer).map_err(|error| error.to_string());
        assert_eq!(token(json!({"auth": {"client_token": "hvs.x"}})).unwrap().expose_secret(), "hvs.x");
        assert!(token(json!({"auth": null})).unwrap_err().contains("there is no auth.client_token"));
        let mfa = json!({"auth": {"client_token": "", "mfa_requirement": {"mfa_request_id": "x"}}});
        assert!(token(mfa).unwrap_err().contains("a second factor"));
    }
}
