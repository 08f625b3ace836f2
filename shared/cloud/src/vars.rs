//! Configuration variables: read once, at the start, and passed on as a value.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::http::Service;

/// A snapshot of variables. An empty variable counts as not set: templates declare variables that stay empty.
#[derive(Clone, Default)]
pub struct Vars {
    values: BTreeMap<String, String>,
    in_process: Option<Arc<dyn InProcess>>,
}

/// Services that run in this process, so that nobody needs sockets to reach them.
pub trait InProcess: Send + Sync {
    /// The SDK's way to an endpoint, if it is one of them.
    fn client(&self, endpoint: &str) -> Option<SharedHttpClient>;

    /// The server of a URL, if it is one of them.
    fn service(&self, url: &str) -> Option<Arc<dyn Service>>;
}

/// Names only: values may be secrets.
impl std::fmt::Debug for Vars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// A variable that is missing or cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VarError {
    /// Not set, or empty.
    #[error("the variable {name} is missing: set it to {meaning}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What belongs there.
        meaning: &'static str,
    },
    /// Set to something else than it takes.
    #[error("the variable {name} is '{value}', expected {expected}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// Its value (never that of a secret).
        value: String,
        /// What it takes.
        expected: String,
    },
}

impl Vars {
    /// The environment of this process, without whitespace around the values: it comes with what sets them.
    #[must_use]
    pub fn from_process() -> Self {
        // a variable that is not UTF-8 is none of ours
        let texts = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        texts.map(|(name, value)| (name, value.trim().to_owned())).collect()
    }

    /// The value, if set and not blank.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.trim().is_empty())
    }

    /// The value of a variable that must be set; `meaning` completes "set it to ...".
    ///
    /// # Errors
    /// [`VarError::Missing`].
    pub fn require(&self, name: &'static str, meaning: &'static str) -> Result<&str, VarError> {
        self.get(name).ok_or(VarError::Missing { name, meaning })
    }

    /// The value as a whole number, or a default when it is not set.
    ///
    /// # Errors
    /// [`VarError::Invalid`] if it is none.
    pub fn number<T: FromStr>(&self, name: &'static str, default: T) -> Result<T, VarError> {
        let Some(value) = self.get(name) else { return Ok(default) };
        let invalid =
            || VarError::Invalid { name, value: value.to_owned(), expected: "a whole number".into() };
        value.parse().map_err(|_| invalid())
    }

    /// The value as what it stands for, or a default when it is not set.
    ///
    /// # Errors
    /// [`VarError::Invalid`] with the type's own error, which says what is expected.
    pub fn parsed<T: FromStr>(&self, name: &'static str, default: T) -> Result<T, VarError>
    where
        T::Err: std::fmt::Display,
    {
        let Some(value) = self.get(name) else { return Ok(default) };
        let invalid =
            |error: T::Err| VarError::Invalid { name, value: value.to_owned(), expected: error.to_string() };
        value.parse().map_err(invalid)
    }

    /// The value as yes or no, or no when it is not set.
    ///
    /// # Errors
    /// [`VarError::Invalid`] if it is neither `true` nor `false`.
    pub fn flag(&self, name: &'static str) -> Result<bool, VarError> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(value) => {
                Err(VarError::Invalid { name, value: value.to_owned(), expected: "true or false".into() })
            }
        }
    }

    /// All variables that are set and not empty.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.keys().filter_map(|name| Some((name.as_str(), self.get(name)?)))
    }

    /// The same variables, with endpoints that are in this process.
    #[must_use]
    pub fn within(self, services: Arc<dyn InProcess>) -> Self {
        Self { in_process: Some(services), ..self }
    }

    /// The way to an endpoint that is in this process.
    pub(crate) fn in_process(&self, endpoint: &str) -> Option<SharedHttpClient> {
        self.in_process.as_ref()?.client(endpoint)
    }

    /// Whether a URL is that of a server in this process.
    pub(crate) fn is_in_process(&self, url: &str) -> bool {
        self.in_process.as_ref().is_some_and(|services| services.service(url).is_some())
    }

    pub(crate) fn services(&self) -> Option<Arc<dyn InProcess>> {
        self.in_process.clone()
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.values.insert(name.to_owned(), value.into());
    }

    /// These variables without those whose name starts so.
    #[must_use]
    pub fn without(mut self, prefix: &str) -> Self {
        self.values.retain(|name, _| !name.starts_with(prefix));
        self
    }

    /// These variables, and those of `other` where a name is not set here.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        for (name, value) in &other.values {
            if self.get(name).is_none() {
                self.values.insert(name.clone(), value.clone());
            }
        }
        self.in_process = self.in_process.or_else(|| other.in_process.clone());
        self
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Vars {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let values = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { values, in_process: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_unset_and_errors_name_the_variable() {
        let vars = Vars::from_iter([("A", ""), ("B", "x"), ("N", "many")]);
        assert_eq!((vars.get("A"), vars.get("B")), (None, Some("x")));
        assert_eq!(
            vars.require("A", "the organisation's id").unwrap_err().to_string(),
            "the variable A is missing: set it to the organisation's id"
        );
        assert_eq!(
            vars.number("N", 3u32).unwrap_err().to_string(),
            "the variable N is 'many', expected a whole number"
        );
        assert_eq!(vars.number("M", 3u32), Ok(3));
        assert_eq!(vars.flag("A"), Ok(false));
        assert_eq!(vars.flag("B").unwrap_err().to_string(), "the variable B is 'x', expected true or false");
        assert_eq!(
            Vars::from_iter([("A", "")]).or(&Vars::from_iter([("A", "a"), ("B", "b")])).get("A"),
            Some("a")
        );
        assert_eq!(format!("{vars:?}"), r#"{"A", "B", "N"}"#);
    }
}
