//! What is wrong with a catalog: all of it, each with its place.

use std::fmt;

/// A place in the document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("line {}, column {}: {}{message}", mark.line, mark.column, prefix(path))]
pub struct Problem {
    /// Where it stands.
    pub mark: Mark,
    /// The field, as `accounts[3].customer`, counted from 0; empty for the whole document.
    pub path: String,
    /// What is wrong and what to do, in lower case.
    pub message: String,
}

fn prefix(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

impl Problem {
    pub(super) fn new(mark: Mark, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { mark, path: path.into(), message: message.into() }
    }
}

/// Everything that is wrong with a catalog, in the order of the document. There is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "the catalog has {count} {}", if count == 1 { "problem" } else { "problems" })?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}

/// `, did you mean 'x'?` if one of the names is close to the text; nothing otherwise.
pub(crate) fn did_you_mean<'n>(text: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    let lower = text.to_lowercase();
    let reach = (text.chars().count() / 3).max(1);
    let distance = |name: &str| strsim::osa_distance(&lower, &name.to_lowercase());
    let nearest =
        names.into_iter().map(|name| (distance(name), name)).filter(|(distance, _)| *distance <= reach).min();
    nearest.map_or_else(String::new, |(_, name)| format!(", did you mean '{name}'?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_nearby_is_offered_and_a_far_one_is_not() {
        assert_eq!(did_you_mean("Tem Blue", ["Team Red", "Team Blue"]), ", did you mean 'Team Blue'?");
        assert_eq!(did_you_mean("custommer", ["customer"]), ", did you mean 'customer'?");
        assert_eq!(did_you_mean("TEAM BLUE", ["Team Blue"]), ", did you mean 'Team Blue'?");
        assert_eq!(did_you_mean("unrelated", ["customer"]), "");
    }
}
