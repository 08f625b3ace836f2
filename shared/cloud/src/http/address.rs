//! URLs: which are usable, and the one way in which they become text.

use url::Url;

use crate::vars::Vars;

/// A URL for messages: server and path. User, password, query and fragment stay away, because each may be a secret.
#[must_use]
pub fn shown(url: &Url) -> String {
    if !url.has_host() {
        return "[...]".to_owned(); // everything in it may be anything
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = if url.path() == "/" { "" } else { url.path() };
    format!("{}://{}{port}{path}", url.scheme(), url.host_str().unwrap_or_default())
}

/// Why a base URL cannot be used. Of what is none nothing is said: it may be a secret that got into the wrong variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}{} is not usable: {why}", .shown.as_ref().map(|url| format!(" '{url}'")).unwrap_or_default())]
pub struct InvalidBaseUrl {
    name: &'static str,
    shown: Option<String>,
    why: String,
}

/// A base URL from configuration, without a slash at the end: https, or http on this machine only. In a
/// container of `sam local invoke` (which sets `AWS_SAM_LOCAL`), the machine that runs it has a private address.
///
/// # Errors
/// [`InvalidBaseUrl`].
pub fn base_url(name: &'static str, text: &str, vars: &Vars) -> Result<Url, InvalidBaseUrl> {
    let invalid = |shown, why: &str| InvalidBaseUrl { name, shown, why: why.to_owned() };
    let parsed = Url::parse(text.trim_end_matches('/')).map_err(|error| invalid(None, &error.to_string()))?;
    let in_sam_local = vars.get("AWS_SAM_LOCAL") == Some("true");
    let loopback = match parsed.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback() || (in_sam_local && ip.is_private()),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let shown = || parsed.has_host().then(|| self::shown(&parsed));
    if has_user_information(&parsed) {
        return Err(invalid(shown(), IN_URL));
    }
    match parsed.scheme() {
        "https" => Ok(parsed),
        "http" if loopback || vars.is_in_process(parsed.as_str()) => Ok(parsed),
        _ => Err(invalid(shown(), "use https (plain http is for this machine only)")),
    }
}

const IN_URL: &str = "it must not hold a user or a password, credentials have variables of their own";

/// Whether a URL holds a user or a password, which would go into logs with it.
pub(crate) fn has_user_information(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let none = Vars::default();
        for fine in [
            "https://cloud.mongodb.com/api/atlas/v2",
            "http://127.0.0.1:8790/x/",
            "http://localhost:1",
            "http://[::1]:1",
        ] {
            assert!(base_url("ATLAS_API_URL", fine, &none).is_ok(), "{fine}");
        }
        let error = base_url("ATLAS_API_URL", "http://example.com", &none).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ATLAS_API_URL 'http://example.com' is not usable: use https (plain http is for this machine only)"
        );
        assert!(base_url("ATLAS_API_URL", "cloud.mongodb.com", &none).is_err());
        let (bridge, sam) = ("http://172.17.0.1:8790", Vars::from_iter([("AWS_SAM_LOCAL", "true")]));
        assert!(base_url("ATLAS_API_URL", bridge, &none).is_err());
        assert!(base_url("ATLAS_API_URL", bridge, &sam).is_ok());
    }

    #[test]
    fn no_message_holds_what_may_be_a_secret() {
        for (text, said) in [
            (
                "https://user:planted@example.com/a",
                "X 'https://example.com/a' is not usable: it must not hold a user",
            ),
            ("https://planted@example.com", "X 'https://example.com' is not usable: it must not hold a user"),
            ("http://user:planted@example.com/?sig=planted#planted", "X 'http://example.com' is not usable"),
            ("user:planted@example.com", "X is not usable: use https"),
            ("https://user:planted@example.com:x/", "X is not usable: invalid port number"),
            ("planted", "X is not usable: relative URL without a base"),
            ("ftp://user:planted@example.com/a?planted", "X 'ftp://example.com/a' is not usable"),
        ] {
            let message = base_url("X", text, &Vars::default()).unwrap_err().to_string();
            assert!(message.starts_with(said) && !message.contains("planted"), "{text}: {message}");
        }
        assert_eq!(shown(&Url::parse("data:planted").unwrap()), "[...]");
    }
}
