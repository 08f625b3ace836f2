//! What of a request is secret, and answers without it.
//!
//! What is quoted of an answer that says no ends in logs, in reports, in the ledger and in dead letters. A server (or a proxy before it) may
//! repeat what it was sent, and so whatever of the request is secret is taken out of such an answer before anybody sees it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, HeaderValue, PROXY_AUTHORIZATION};
use reqwest::{Request, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::address::has_user_information;

/// A shorter text is found everywhere.
const SHORTEST_SECRET: usize = 4;
const HIDDEN: &str = "[...]";
/// Members of a URL's query that open something, by a part of their names.
const SIGNING: [&str; 9] = ["sig", "key", "token", "secret", "pass", "code", "auth", "cred", "pwd"];

/// Header, user information and signature: whatever of a request opens something.
pub(super) fn secrets_of(request: &Request) -> Vec<SecretString> {
    let is_secret = |name, value: &HeaderValue| {
        value.is_sensitive() || [AUTHORIZATION, PROXY_AUTHORIZATION].contains(name)
    };
    let headers = request.headers().iter().filter(|(name, value)| is_secret(*name, value));
    let mut found: Vec<String> = headers.flat_map(|(_, value)| credentials(value)).collect();
    let url = request.url();
    if has_user_information(url) {
        found.extend([url.username().to_owned(), url.password().unwrap_or_default().to_owned()]);
    }
    for (name, value) in url.query_pairs() {
        let name = name.to_lowercase();
        if SIGNING.iter().any(|part| name.contains(part)) {
            found.push(value.into_owned());
        }
    }
    found.into_iter().map(SecretString::from).collect()
}

/// What of a header may be repeated: all of it, what comes after its scheme, and the password in that.
fn credentials(value: &HeaderValue) -> Vec<String> {
    let Ok(text) = value.to_str() else { return Vec::new() };
    let mut found = vec![text.to_owned()];
    if let Some((scheme, credentials)) = text.split_once(' ') {
        found.push(credentials.to_owned());
        if scheme.eq_ignore_ascii_case("basic")
            && let Ok(pair) = STANDARD.decode(credentials)
            && let Some((_, password)) = String::from_utf8_lossy(&pair).split_once(':')
        {
            // OAuth2 has it encoded before it is put together
            found.push(percent_decode_str(password).decode_utf8_lossy().into_owned());
            found.push(password.to_owned());
        }
    }
    found
}

/// The body without what was sent, of an answer that says no; of any other, as it came.
pub(super) fn without_secrets(status: StatusCode, body: Bytes, sent: &[SecretString]) -> Bytes {
    if status.is_success() { body } else { hide(body, sent) }
}

/// A body without these secrets, however they are spelled in it.
fn hide(body: Bytes, secrets: &[SecretString]) -> Bytes {
    let secrets = secrets.iter().map(|secret| secret.expose_secret());
    let mut spelled: Vec<String> =
        secrets.filter(|secret| secret.len() >= SHORTEST_SECRET).flat_map(spellings).collect();
    if spelled.is_empty() || body.is_empty() {
        return body;
    }
    // one may be a part of another
    spelled.sort_by_key(|text| std::cmp::Reverse(text.len()));
    let hidden = match serde_json::from_slice::<Value>(&body) {
        Ok(mut document) => hide_in_document(&mut document, &spelled).then(|| document.to_string()),
        Err(_) => hide_in_text(&String::from_utf8_lossy(&body), &spelled),
    };
    hidden.map_or(body, Bytes::from)
}

fn spellings(secret: &str) -> Vec<String> {
    let escaped = Value::from(secret).to_string();
    let mut spelled = vec![
        secret.to_owned(),
        escaped.trim_matches('"').to_owned(),
        form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
    ];
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        spelled.extend(within_base64(&engine, secret));
    }
    spelled
}

/// What base64 makes of a text within another, for each place where it may begin: the letters that hold nothing else.
fn within_base64(engine: &GeneralPurpose, secret: &str) -> Vec<String> {
    let at = [(0, 0), (1, 2), (2, 3)].map(|(before, first)| {
        let encoded = engine.encode([vec![0; before], secret.as_bytes().to_vec()].concat());
        let whole = (before + secret.len()) * 8 / 6;
        encoded.get(first..whole).unwrap_or_default().to_owned()
    });
    at.into_iter().filter(|letters| letters.len() >= SHORTEST_SECRET).collect()
}

/// Whether there was anything to hide.
fn hide_in_document(document: &mut Value, spelled: &[String]) -> bool {
    match document {
        Value::String(text) => match hide_in_text(text, spelled) {
            Some(hidden) => {
                *text = hidden;
                true
            }
            None => false,
        },
        Value::Array(items) => {
            items.iter_mut().fold(false, |found, item| hide_in_document(item, spelled) | found)
        }
        Value::Object(members) => {
            members.values_mut().fold(false, |found, value| hide_in_document(value, spelled) | found)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn hide_in_text(text: &str, spelled: &[String]) -> Option<String> {
    let mut hidden = Cow::Borrowed(text);
    for secret in spelled {
        if hidden.contains(secret.as_str()) {
            hidden = Cow::Owned(hidden.replace(secret.as_str(), HIDDEN));
        }
    }
    match hidden {
        Cow::Owned(hidden) => Some(hidden),
        Cow::Borrowed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use reqwest::RequestBuilder;
    use reqwest::header::HeaderMap;
    use serde_json::json;

    use super::*;

    const SECRET: &str = r#"pl"an/ted\é"#;

    fn hidden(body: &str, secrets: &[&str]) -> String {
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| SecretString::from(*secret)).collect();
        String::from_utf8(hide(body.to_owned().into(), &secrets).to_vec()).unwrap()
    }

    #[test]
    fn what_was_sent_does_not_come_back_however_it_is_spelled() {
        assert_eq!(hidden("no s-4711?", &["s-4711"]), "no [...]?");
        let body = json!({"a": [{"b": format!("<{SECRET}>")}], "n": 1});
        assert_eq!(hidden(&body.to_string(), &[SECRET]), r#"{"a":[{"b":"<[...]>"}],"n":1}"#);
        // written by who escapes more than needs be
        assert_eq!(hidden(r#"{"a": "\u0073-4711"}"#, &["s-4711"]), r#"{"a":"[...]"}"#);
        for spelled in spellings(SECRET) {
            assert_eq!(hidden(&format!("<{spelled}>"), &[SECRET]), "<[...]>");
        }
        for beside in ["", "a", "ab", "abc"] {
            let encoded = STANDARD.encode(format!("{beside}s-4711-secret{beside}"));
            let hidden = hidden(&encoded, &["s-4711-secret"]);
            assert!(hidden.contains(HIDDEN) && hidden.len() < 18, "{encoded}: {hidden}");
        }
        // the bytes of an answer that holds none are what they were
        assert_eq!(hidden(r#"{ "a" : 1.0 }"#, &["s-4711"]), r#"{ "a" : 1.0 }"#);
        assert_eq!(hidden("a p", &["p", ""]), "a p", "too short to be looked for");
    }

    #[test]
    fn headers_and_signatures_are_secrets_of_a_request() {
        let client = reqwest::Client::new();
        let request = |url: &str| client.get(url);
        let of = |request: RequestBuilder| -> Vec<String> {
            let found = secrets_of(&request.build().unwrap());
            found.iter().map(|secret| secret.expose_secret().to_owned()).collect()
        };
        let basic = of(request("https://example.com/").basic_auth("user", Some("pass%2Fword")));
        assert!(
            basic.contains(&"pass%2Fword".to_owned()) && basic.contains(&"pass/word".to_owned()),
            "{basic:?}"
        );
        assert!(basic.contains(&STANDARD.encode("user:pass%2Fword")) && !basic.contains(&"user".to_owned()));
        assert!(of(request("https://example.com/").bearer_auth("planted")).contains(&"planted".to_owned()));
        let mut headers = HeaderMap::new();
        let mut token = HeaderValue::from_static("planted");
        token.set_sensitive(true);
        headers.insert("x-vault-token", token);
        headers.insert("accept", HeaderValue::from_static("all"));
        assert_eq!(of(request("https://example.com/").headers(headers)), ["planted"]);
        assert_eq!(of(request("https://example.com/?se=2026&sig=a%2Fb&X-Amz-Signature=c")), ["a/b", "c"]);
    }
}
